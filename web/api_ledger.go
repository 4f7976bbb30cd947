package web

import (
	"context"
	"net/http"
	"time"

	"concord"

	"github.com/danielgtaylor/huma/v2"
)

const (
	maxEntries     = 200 // of one answer
	maxCheckpoints = 200
)

// LedgerAnswer is the ledger at a glance.
type LedgerAnswer struct {
	LedgerInfo
	Size       uint64             `json:"size" doc:"Entries in the log."`
	Checkpoint concord.Checkpoint `json:"checkpoint" doc:"The newest; its size is 0 when there is none yet."`
}

type ledgerOutput struct{ Body LedgerAnswer }

type entriesInput struct {
	From  uint64 `query:"from" default:"0" example:"0" doc:"Index of the first entry wanted."`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" example:"50"`
}

type entriesOutput struct {
	Body struct {
		Entries []concord.LedgerEntry `json:"entries" nullable:"false"`
		Size    uint64                `json:"size" doc:"Entries in the log."`
	}
}

type entryInput struct {
	Index uint64 `path:"index" example:"1187"`
}

type entryOutput struct{ Body concord.LedgerEntry }

type checkpointsInput struct {
	UpTo  uint64 `query:"upTo" example:"1188" doc:"Only those of at most so many entries; 0: from the newest."`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"20" example:"20"`
}

type checkpointsOutput struct {
	Body struct {
		Checkpoints []concord.Checkpoint `json:"checkpoints" nullable:"false" doc:"Newest first."`
	}
}

func (s *Server) ledgerAPI(api huma.API) {
	tags := []string{tagLedger}
	entry := concord.LedgerEntry{Index: 1187, Type: "attest", From: "alice.example", Height: 1190, Time: exampleTime,
		Leaf: concord.Sum([]byte("leaf")), Text: "concord/tx/v1 attest\nchain net-1:9f2c41d07ab3\nfrom alice.example\n…"}
	point := concord.Checkpoint{Origin: "net-1.example/log", Size: 1188, Root: concord.Sum([]byte("root")), Height: 1190, Time: exampleTime,
		Note: "net-1.example/log\n1188\n…\n\n— alice.example …\n"}

	register(s, api, call{example: LedgerAnswer{LedgerInfo: LedgerInfo{Chain: "net-1:9f2c41d07ab3", Origin: point.Origin, Height: 1190,
		Quorum: "1 of 1 operators", Genesis: exampleTime, Operators: []OperatorInfo{{Name: "alice.example", State: "active", Power: 10}}},
		Size: 1188, Checkpoint: point}, Operation: huma.Operation{
		OperationID: "get-ledger", Method: http.MethodGet, Path: "/ledger", Tags: tags, Summary: "The ledger at a glance",
	}}, func(ctx context.Context, _ *struct{}) (*ledgerOutput, error) {
		out := &ledgerOutput{Body: LedgerAnswer{LedgerInfo: s.cfg.Ledger.Info(), Size: s.cfg.Ledger.Size(), Checkpoint: s.cfg.Ledger.Checkpoint()}}
		out.Body.Operators = nonNil(out.Body.Operators)
		return out, nil
	})

	register(s, api, call{example: map[string]any{"entries": []concord.LedgerEntry{entry}, "size": 1188}, Operation: huma.Operation{
		OperationID: "list-entries", Method: http.MethodGet, Path: "/ledger/entries", Tags: tags, Summary: "List entries",
		Description: "Entries with indexes from, from+1, …; fewer than limit at the end of the log.",
	}}, func(ctx context.Context, in *entriesInput) (*entriesOutput, error) {
		out := &entriesOutput{}
		out.Body.Size = s.cfg.Ledger.Size()
		var list []concord.LedgerEntry
		var err error
		if in.From < out.Body.Size {
			list, err = s.cfg.Ledger.Entries(in.From, min(in.Limit, maxEntries))
		}
		out.Body.Entries = nonNil(list)
		return out, err
	})

	register(s, api, call{example: entry, Operation: huma.Operation{
		OperationID: "get-entry", Method: http.MethodGet, Path: "/ledger/entries/{index}", Tags: tags, Summary: "One entry in full",
	}}, func(ctx context.Context, in *entryInput) (*entryOutput, error) {
		e, err := s.cfg.Ledger.Entry(in.Index)
		if err != nil {
			return nil, err
		}
		return &entryOutput{Body: *e}, nil
	})

	register(s, api, call{example: entry.Text, Operation: huma.Operation{
		OperationID: "get-entry-text", Method: http.MethodGet, Path: "/ledger/entries/{index}/text", Tags: tags,
		Summary: "The bytes of an entry", Description: "As they lie in the log: the SHA-256 of a zero byte and these is its leaf hash.",
		Responses: fileResponse(plainType, "The entry."),
	}}, func(ctx context.Context, in *entryInput) (*fileOutput, error) {
		e, err := s.cfg.Ledger.Entry(in.Index)
		if err != nil {
			return nil, err
		}
		return &fileOutput{Type: plainType, Disposition: attachment(fileName("entry"+entryLink(in.Index), time.Time{}, ".txt")), Body: []byte(e.Text)}, nil
	})

	register(s, api, call{example: "c2sp.org/tlog-proof@v1\nindex 1187\n…", Operation: huma.Operation{
		OperationID: "get-entry-proof", Method: http.MethodGet, Path: "/ledger/entries/{index}/proof", Tags: tags,
		Summary: "Inclusion proof of an entry", Description: "A tlog-proof file under the newest checkpoint.",
		Responses: fileResponse(plainType, "The proof."),
	}}, func(ctx context.Context, in *entryInput) (*fileOutput, error) {
		proof, err := s.cfg.Ledger.Proof(in.Index)
		return &fileOutput{Type: plainType, Disposition: attachment(fileName("entry"+entryLink(in.Index), time.Time{}, ".tlog-proof")), Body: proof}, err
	})

	register(s, api, call{example: point.Note, Operation: huma.Operation{
		OperationID: "get-checkpoint", Method: http.MethodGet, Path: "/ledger/checkpoint", Tags: tags, Summary: "The newest checkpoint as a signed note",
		Responses: fileResponse(plainType, "The note with its cosignatures."),
	}}, func(ctx context.Context, _ *struct{}) (*fileOutput, error) {
		c := s.cfg.Ledger.Checkpoint()
		if c.Size == 0 {
			return nil, concord.Errorf(concord.Unavailable, "there is no checkpoint yet")
		}
		return &fileOutput{Type: plainType, Cache: "no-cache", Body: []byte(c.Note)}, nil
	})

	register(s, api, call{example: map[string]any{"checkpoints": []concord.Checkpoint{point}}, Operation: huma.Operation{
		OperationID: "list-checkpoints", Method: http.MethodGet, Path: "/ledger/checkpoints", Tags: tags, Summary: "List checkpoints",
		Description: "Newest first. Each is a signed note; its lines say who cosigned it.",
	}}, func(ctx context.Context, in *checkpointsInput) (*checkpointsOutput, error) {
		list, err := s.cfg.Ledger.Checkpoints(in.UpTo, min(in.Limit, maxCheckpoints))
		out := &checkpointsOutput{}
		out.Body.Checkpoints = nonNil(list)
		return out, err
	})
	s.exploreAPI(api, tags, entry)
}
