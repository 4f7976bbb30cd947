package web

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"concord"

	"github.com/danielgtaylor/huma/v2"
)

const (
	ledgerEventsPath = apiPrefix + "/ledger/events"
	// ledgerLook is how often a stream looks whether the ledger has grown. It costs a read of memory.
	ledgerLook = 500 * time.Millisecond
)

type findInput struct {
	Q     string `query:"q" required:"true" maxLength:"2048" example:"alice.example" doc:"An operator, a URL, a digest in base64 or hex, an entry's number, block:12, ask:12, or a type of transaction."`
	Below uint64 `query:"below" example:"1187" doc:"Only entries with an index below this; absent or 0: from the newest."`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" example:"50"`
}

type findOutput struct{ Body LedgerFound }

type blockInput struct {
	Height int64 `path:"height" example:"1190"`
}

type blockOutput struct{ Body concord.LedgerBlock }

// LedgerNews is what a stream says when the ledger has grown.
type LedgerNews struct {
	Size       uint64 `json:"size" doc:"Entries in the log."`
	Checkpoint uint64 `json:"checkpoint" doc:"Entries under the newest checkpoint."`
}

func (s *Server) exploreAPI(api huma.API, tags []string, entry concord.LedgerEntry) {
	from := func(below uint64) uint64 {
		if below == 0 {
			return newest
		}
		return below
	}

	register(s, api, call{example: LedgerFound{Terms: []concord.LedgerTerm{{Kind: concord.TermOperator, Value: "alice.example"}}, Entries: []concord.LedgerEntry{entry}, Captures: []LedgerCapture{}},
		Operation: huma.Operation{
			OperationID: "search-ledger", Method: http.MethodGet, Path: "/ledger/search", Tags: tags, Summary: "Find entries by what they name", Middlewares: huma.Middlewares{s.searchLimit},
			Description: "By operator, URL, digest (a leaf, the root of a batch, a document, a seal, what a witness saw), number or type. Attestations name no URLs: for a URL, this node's own captures are given too, with the entries that attest them.",
		}}, func(ctx context.Context, in *findInput) (*findOutput, error) {
		q, err := askLedger(in.Q)
		if err != nil {
			return nil, err
		}
		a, err := s.findLedger(ctx, &q, from(in.Below), in.Limit)
		if err != nil {
			return nil, err
		}
		return &findOutput{Body: *a}, nil
	})

	register(s, api, call{example: concord.LedgerBlock{Height: 1190, First: 1187, Count: 2, NotBefore: exampleTime, NotAfter: exampleTime}, Operation: huma.Operation{
		OperationID: "get-block", Method: http.MethodGet, Path: "/ledger/blocks/{height}", Tags: tags, Summary: "Where a block's entries are, and when it was ordered",
	}}, func(ctx context.Context, in *blockInput) (*blockOutput, error) {
		b, err := s.cfg.Ledger.Block(in.Height)
		return &blockOutput{Body: b}, err
	})

	register(s, api, call{example: "event: ledger\ndata: {\"size\":1188,\"checkpoint\":1188}\n\n", Operation: huma.Operation{
		OperationID: "follow-ledger", Method: http.MethodGet, Path: "/ledger/events", Tags: tags, Summary: "Follow the growth of the ledger, live",
		Description: "Server-Sent Events: one named ledger when there are new entries, or a newer checkpoint, and one at the beginning.",
		Responses: map[string]*huma.Response{"200": {Description: "A stream of events.", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "Lines \"event: ledger\" and \"data: {size, checkpoint}\"."}},
		}}},
	}}, func(context.Context, *struct{}) (*huma.StreamResponse, error) { return s.streaming(s.followLedger) })
}

// followLedger says when the ledger has grown.
func (s *Server) followLedger(ctx context.Context, w http.ResponseWriter) {
	var last LedgerNews
	news := func(time.Time) string {
		now := LedgerNews{s.cfg.Ledger.Size(), s.cfg.Ledger.Checkpoint().Size}
		if now == last {
			return ""
		}
		last = now
		data, err := json.Marshal(now)
		if err != nil {
			return ""
		}
		return "event: ledger\ndata: " + string(data) + "\n\n"
	}
	look := time.NewTicker(ledgerLook)
	defer look.Stop()
	stream(ctx, s, w, "retry: 3000\n\n"+news(time.Time{}), look.C, news)
}
