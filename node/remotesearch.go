package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"concord"

	"github.com/klauspost/compress/zstd"
)

// Services by which a node answers for the shards that it keeps.
const (
	serviceShardStats  = "shard-stats"
	serviceShardSearch = "shard-search"
)

// shardQuestion is asked of both. Stats needs the query of the request alone.
type shardQuestion struct {
	Shard   int             `json:"shard"`
	Request concord.Request `json:"request"`
	// RawQuery is the query where it is not UTF-8, which JSON strings are.
	RawQuery []byte `json:"rawQuery,omitempty"`
}

// shardReply has what was asked for, or why the request is refused. Other errors travel as those of bus.Ask.
type shardReply struct {
	Stats   *concord.Stats  `json:"stats,omitempty"`
	Answer  *concord.Answer `json:"answer,omitempty"`
	Refused *refusal        `json:"refused,omitempty"`
}

// refusal is an error of kind Invalid: the person who asked reads it, so that it must arrive as it was made.
type refusal struct {
	Message string          `json:"message"`
	Query   *malformedQuery `json:"query,omitempty"`
}

// malformedQuery is a *concord.QueryError. Query is base64: it need not be UTF-8.
type malformedQuery struct {
	Query  []byte `json:"query"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
	Reason string `json:"reason"`
}

// badRequest is the error that a refusal came from.
type badRequest struct {
	message string
	query   *concord.QueryError // nil: something else than the query is wrong
}

func (e *badRequest) Error() string { return e.message }

func (e *badRequest) Unwrap() error {
	if e.query == nil {
		return nil
	}
	return e.query
}

// localShard searches the copy of a shard that this node keeps, holding it for the time of a call: one that was hedged and lost may go on
// for a moment after its caller has its answer. get is as for shardServices.
type localShard struct {
	get   func(shard int) (concord.Searcher, func(), bool)
	shard int
}

var _ concord.Searcher = localShard{}

// Stats implements concord.Searcher.
func (l localShard) Stats(ctx context.Context, query string) (concord.Stats, error) {
	s, release, ok := l.get(l.shard)
	if !ok {
		return concord.Stats{}, notHere(l.shard)
	}
	defer release()
	return s.Stats(ctx, query)
}

// Search implements concord.Searcher.
func (l localShard) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	s, release, ok := l.get(l.shard)
	if !ok {
		return nil, notHere(l.shard)
	}
	defer release()
	return s.Search(ctx, req)
}

func notHere(shard int) error {
	return concord.Errorf(concord.Unavailable, "shard %d is not here at the moment", shard)
}

// remoteShard searches the copy of a shard that another node keeps. Answers are as those of a copy here but for slices that are empty,
// some of which come back nil; Took is the time from question to answer.
type remoteShard struct {
	to    asker
	node  string
	shard int
}

var _ concord.Searcher = remoteShard{}

// Stats implements concord.Searcher.
func (r remoteShard) Stats(ctx context.Context, query string) (concord.Stats, error) {
	reply, err := r.ask(ctx, serviceShardStats, concord.Request{Query: query})
	if err != nil {
		return concord.Stats{}, err
	}
	if reply.Stats == nil {
		return concord.Stats{}, r.unreadable(errors.New("it has no statistics"))
	}
	return *reply.Stats, nil
}

// Search implements concord.Searcher.
func (r remoteShard) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	began := time.Now()
	reply, err := r.ask(ctx, serviceShardSearch, req)
	if err != nil {
		return nil, err
	}
	if reply.Answer == nil {
		return nil, r.unreadable(errors.New("it has no results"))
	}
	reply.Answer.Took = time.Since(began)
	return reply.Answer, nil
}

// ask returns the reply to one question. Its error is Invalid only where the request is: a question that does not fit into a message
// or that the node cannot read, being of another version, may suit another copy.
func (r remoteShard) ask(ctx context.Context, service string, req concord.Request) (*shardReply, error) {
	q := shardQuestion{Shard: r.shard, Request: req}
	if plain := strings.ToValidUTF8(req.Query, ""); plain != req.Query {
		q.Request.Query, q.RawQuery = plain, []byte(req.Query)
	}
	data, err := pack(q)
	if err != nil {
		return nil, fmt.Errorf("encode a question for %s: %w", service, err)
	}
	if data, err = r.to.Ask(ctx, r.node, service, data); err != nil {
		if concord.KindOf(err) == concord.Invalid {
			return nil, concord.Errorf(concord.Internal, "%w", err)
		}
		return nil, err
	}
	var reply shardReply
	if err := unpack(data, &reply); err != nil {
		return nil, r.unreadable(err)
	}
	if reply.Refused != nil {
		return nil, reply.Refused.err()
	}
	return &reply, nil
}

func (r remoteShard) unreadable(err error) error {
	return concord.Errorf(concord.Corrupt, "the answer of %s for shard %d cannot be read: %w", r.node, r.shard, err)
}

// shardServices answers other nodes' questions to the shards kept here. get returns the searcher of one, and what to call when it is
// no longer used; false: it is not kept here, or not ready (Unavailable, so that another copy is asked).
func shardServices(get func(shard int) (concord.Searcher, func(), bool)) map[string]handler {
	service := func(do func(context.Context, concord.Searcher, concord.Request) (shardReply, error)) handler {
		return func(ctx context.Context, data []byte) ([]byte, error) {
			var q shardQuestion
			if err := unpack(data, &q); err != nil {
				return nil, concord.Errorf(concord.Invalid, "the question cannot be read: %w", err)
			}
			if q.RawQuery != nil {
				q.Request.Query = string(q.RawQuery)
			}
			reply, err := do(ctx, localShard{get, q.Shard}, q.Request)
			if err != nil && concord.KindOf(err) == concord.Invalid {
				reply, err = shardReply{Refused: refusalOf(err)}, nil
			}
			if err != nil {
				return nil, err
			}
			return pack(reply)
		}
	}
	return map[string]handler{
		serviceShardStats: service(func(ctx context.Context, s concord.Searcher, req concord.Request) (shardReply, error) {
			st, err := s.Stats(ctx, req.Query)
			return shardReply{Stats: &st}, err
		}),
		serviceShardSearch: service(func(ctx context.Context, s concord.Searcher, req concord.Request) (shardReply, error) {
			a, err := s.Search(ctx, req)
			return shardReply{Answer: a}, err
		}),
	}
}

func refusalOf(err error) *refusal {
	r := &refusal{Message: err.Error()}
	var q *concord.QueryError
	if errors.As(err, &q) {
		r.Query = &malformedQuery{[]byte(q.Query), q.Offset, q.Length, q.Reason}
	}
	return r
}

func (r *refusal) err() error {
	e := &badRequest{message: r.Message}
	if q := r.Query; q != nil {
		e.query = &concord.QueryError{Query: string(q.Query), Offset: q.Offset, Length: q.Length, Reason: q.Reason}
	}
	return concord.Errorf(concord.Invalid, "%w", e)
}

const (
	// packAbove is the size from which JSON is compressed: the places of ten thousand results, or a page of explanations, would else not
	// fit into a message, and a usual answer is a few kilobytes.
	packAbove = 64 << 10
	// maxUnpacked bounds what a message becomes: 10 100 results with the longest URLs there are.
	maxUnpacked = 64 << 20
	zstdMagic   = "\x28\xb5\x2f\xfd" // JSON never begins so
)

var packers = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) {
	// Neither has an error with these options.
	enc, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))
	dec, _ := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderConcurrency(2))
	return enc, dec
})

// pack is JSON, compressed when it is long.
func pack(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil || len(data) < packAbove {
		return data, err
	}
	enc, _ := packers()
	return enc.EncodeAll(data, nil), nil
}

// unpack reads what pack wrote. Fields that this version does not know are left out.
func unpack(data []byte, v any) error {
	if strings.HasPrefix(string(data[:min(len(data), len(zstdMagic))]), zstdMagic) {
		_, dec := packers()
		var err error
		if data, err = dec.DecodeAll(data, nil); err != nil {
			return err
		}
	}
	return json.Unmarshal(data, v)
}
