package web

import (
	"context"
	"net/http"
	"time"

	"concord"
	"concord/replica"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Replicas are batches, this operator's and those it keeps of others. Package replica provides it and documents the methods.
type Replicas interface {
	Batch(ctx context.Context, index uint64) ([]byte, error)
	Vote(ctx context.Context, index uint64, poller concord.Digest) (replica.Vote, error)
	Admission(ctx context.Context, index uint64) ([]byte, error)
	Receipt(ctx context.Context, operator, pageURL string) ([]byte, error)
}

type batchInput struct {
	Index uint64 `path:"index" example:"1187" doc:"Of the attest entry in the ledger."`
}

type voteInput struct {
	Index uint64 `path:"index" example:"1187" doc:"Of the attest entry in the ledger."`
	Nonce string `query:"nonce" required:"true" maxLength:"44" example:"tHxn5sZv7uryQJvP02Sk7n/TXWi52gODjzj0CZ+qFMo=" doc:"32 random bytes, base64."`
}

type voteOutput struct {
	Cache string `header:"Cache-Control"`
	Body  replica.Vote
}

// batchTime bounds reading a batch for another operator, waiting for a place included.
const batchTime = 10 * time.Second

func (s *Server) replicaAPI(api huma.API) {
	tags := []string{tagLedger}
	register(s, api, call{example: "entry +U8K1FAjs9UaS+Pwk9HkoQ== 1795320004 200 … https://example.com/page/4\n…", Operation: huma.Operation{
		OperationID: "get-batch", Method: http.MethodGet, Path: "/batches/{index}", Tags: tags, Summary: "The entries under an attested root",
		Description: "Of this operator's own batches, and of those it keeps of others: the line of each capture, as receipts have it. Other operators keep them, and check them against the root in their " +
			"own copy of the ledger.",
		Responses: fileResponse(plainType, "The entries' lines."), Middlewares: huma.Middlewares{s.batchLimit},
	}}, func(ctx context.Context, in *batchInput) (*fileOutput, error) {
		x, err := s.replicas()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, batchTime)
		defer cancel()
		text, err := x.Batch(ctx, in.Index)
		return &fileOutput{Type: plainType, Cache: "no-cache", Body: text}, err
	})

	vote := replica.Vote{Nonce: concord.Sum([]byte("voter")), Hash: concord.Sum([]byte("vote"))}
	register(s, api, call{example: vote, Operation: huma.Operation{
		OperationID: "get-vote", Method: http.MethodGet, Path: "/batches/{index}/vote", Tags: tags, Summary: "A vote that only who has the batch can give",
		Description: "SHA-256 of the line \"concord/vote/v1\", the nonce of who asks, the nonce in the answer, and the batch's text.",
		Middlewares: huma.Middlewares{s.batchLimit},
	}}, func(ctx context.Context, in *voteInput) (*voteOutput, error) {
		x, err := s.replicas()
		if err != nil {
			return nil, err
		}
		nonce, err := concord.ParseDigest(in.Nonce)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, batchTime)
		defer cancel()
		v, err := x.Vote(ctx, in.Index, nonce)
		return &voteOutput{Cache: "no-store", Body: v}, err
	})
	s.admissionAPI(api)
}

// admissionAPI is for operators that keep others' batches.
func (s *Server) admissionAPI(api huma.API) {
	register(s, api, call{example: "concord/tx/v1 gov\n…\n\n— bob.example …\n", Operation: huma.Operation{
		OperationID: "get-batch-admission", Method: http.MethodGet, Path: "/batches/{index}/admission", Tags: []string{tagLedger}, Summary: "Whose key signed a batch",
		Description: "The text of the ledger that names the key, signed by its operator's cosigning key of now, as receipts carry it. After a change of keys only the operator's own node can make it, and " +
			"those that keep its batches have it from there.",
		Responses: fileResponse(plainType, "The text and its signature."), Middlewares: huma.Middlewares{s.batchLimit},
	}}, func(ctx context.Context, in *batchInput) (*fileOutput, error) {
		x, err := s.replicas()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, batchTime)
		defer cancel()
		admit, err := x.Admission(ctx, in.Index)
		return &fileOutput{Type: plainType, Cache: "no-cache", Body: admit}, err
	})
}

// batchLimit spends one of the tiles of the client's: operators ask for many batches, one after the other.
func (s *Server) batchLimit(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if s.limit(s.tiles, w, r) {
		next(ctx)
	}
}

func (s *Server) replicas() (Replicas, error) {
	if s.cfg.Replicas == nil {
		return nil, concord.Errorf(concord.Unavailable, "this node hands out no batches")
	}
	return s.cfg.Replicas, nil
}
