package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

type statusOutput struct {
	Body Status
}

func (s *Server) nodeAPI(api huma.API) {
	example := Status{Version: "0.1.0", Operator: "alice.example", Started: exampleTime, Uptime: time.Hour, Documents: 5_120, Captures: 5_904,
		Shards:  []ShardStatus{{Shard: 0, Documents: 5_120, Segments: 4, Bytes: 31_000_000}},
		Archive: ArchiveStatus{Files: 3, Bytes: 210_000_000}, Crawl: CrawlTotals{Running: 1, Queued: 212, Fetched: 5_904, Indexed: 5_120, Rate: 14.2},
		Ledger: LedgerStatus{Height: 1190, Size: 1188, Checkpoint: 1188, Time: exampleTime}, Warnings: []string{},
		Machine: MachineStatus{Memory: 180_000_000, Goroutines: 210, DiskFree: 90_000_000_000, DiskTotal: 250_000_000_000}}
	register(s, api, call{example: example, Operation: huma.Operation{
		OperationID: "get-status", Method: http.MethodGet, Path: "/status", Tags: []string{tagNode}, Summary: "What the node says about itself",
		Description: "Paths on the node's machine and its collector of traces are left out for callers without the key.",
	}}, func(ctx context.Context, _ *struct{}) (*statusOutput, error) {
		st, err := s.status(ctx)
		return &statusOutput{Body: st}, err
	})
}

// status returns the node's facts as the caller may see them.
func (s *Server) status(ctx context.Context) (Status, error) {
	st, err := s.cfg.Status(ctx)
	if err != nil {
		return Status{}, err
	}
	if !callerOf(ctx).insider() {
		st.DataDir, st.Traces = "", ""
	}
	var warnings []string
	st.Cluster, warnings = s.summary(ctx)
	st.Shards, st.Warnings = nonNil(st.Shards), append(slices.Clone(nonNil(st.Warnings)), warnings...)
	return st, nil
}
