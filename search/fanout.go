package search

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"concord"
	"concord/trace"
)

// DefaultTimeout is how long a Fanout waits for one shard: an answer that takes longer is worth less than one without it.
const DefaultTimeout = 3 * time.Second

// FanoutConfig sets a Fanout up.
type FanoutConfig struct {
	Shards  []concord.Searcher // each holds documents no other holds
	Names   []string           // for failures, one a shard; nil: "shard 0", …
	Timeout time.Duration      // for each round of questions to one shard; 0: DefaultTimeout
}

// Fanout asks several Searchers and merges their answers. It implements concord.Searcher and is safe for concurrent use.
type Fanout struct{ cfg FanoutConfig }

// NewFanout returns a Fanout. Errors: Invalid.
func NewFanout(cfg FanoutConfig) (*Fanout, error) {
	if cfg.Names != nil && len(cfg.Names) != len(cfg.Shards) {
		return nil, concord.Errorf(concord.Invalid, "fan-out over %d shards with %d names", len(cfg.Shards), len(cfg.Names))
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	return &Fanout{cfg: cfg}, nil
}

func (f *Fanout) name(i int) string {
	if f.cfg.Names != nil {
		return f.cfg.Names[i]
	}
	return fmt.Sprintf("shard %d", i)
}

// Stats adds up what the shards say. Shards that fail are left out; it is an error when all do, or when the query is malformed.
func (f *Fanout) Stats(ctx context.Context, query string) (concord.Stats, error) {
	stats, errs := ask(ctx, f, "statistics", f.all(), func(ctx context.Context, s concord.Searcher) (concord.Stats, error) { return s.Stats(ctx, query) })
	var sum concord.Stats
	for i, err := range errs {
		if err == nil {
			sum.Add(stats[i])
		}
	}
	return sum, f.failed(ctx, errs)
}

// Search asks all shards for their statistics, unless the request has them, then all that gave them for the places of their best
// results, then those whose results make the page for these results whole, with their explanations. Shards that fail in any round are named in Failures.
func (f *Fanout) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	began := time.Now()
	if err := validate(req); err != nil {
		return nil, err
	}
	shards := f.all()
	failures := make([]error, len(shards))
	if req.Stats == nil {
		stats, errs := ask(ctx, f, "statistics", shards, func(ctx context.Context, s concord.Searcher) (concord.Stats, error) { return s.Stats(ctx, req.Query) })
		if err := f.failed(ctx, errs); err != nil {
			return nil, err
		}
		req.Stats = &concord.Stats{}
		var alive []int
		for i, err := range errs {
			if failures[i] = err; err == nil {
				req.Stats.Add(stats[i])
				alive = append(alive, i)
			}
		}
		shards = alive
	}
	answers, err := f.places(ctx, shards, req, failures)
	if err != nil {
		return nil, err
	}
	var out *concord.Answer
	if req.Only != nil {
		out = combineOnly(answers, req.Only)
	} else {
		out = Combine(answers, req.Offset, req.Limit)
		if req.Bare {
			out.Facets = combineFacets(answers, true)
		} else {
			err = f.fill(ctx, out, shards, answers, req, failures)
		}
	}
	if err != nil {
		return nil, err
	}
	for i, err := range failures {
		if err != nil {
			out.Shards++
			out.Failures = append(out.Failures, fmt.Sprintf("%s did not answer: %s", f.name(i), reason(err)))
		}
	}
	out.Took = time.Since(began)
	return out, nil
}

// fill replaces the bare hits of a page by whole ones. Hits of a shard that fails now are taken out, and the shard no longer counts as
// one that answered.
func (f *Fanout) fill(ctx context.Context, out *concord.Answer, shards []int, answers []*concord.Answer, req concord.Request, failures []error) error {
	owner := map[string]int{}
	for k, a := range answers {
		if a != nil {
			for i := range a.Hits {
				owner[a.Hits[i].URL] = shards[k]
			}
		}
	}
	wanted := map[int][]string{}
	for i := range out.Hits {
		k := owner[out.Hits[i].URL]
		wanted[k] = append(wanted[k], out.Hits[i].URL)
	}
	asked := slices.Sorted(maps.Keys(wanted))
	whole, errs := askEach(ctx, f, "documents", asked, func(ctx context.Context, i int, s concord.Searcher) (*concord.Answer, error) {
		return s.Search(ctx, concord.Request{Query: req.Query, Stats: req.Stats, Only: wanted[i], Explain: req.Explain, Body: req.Body})
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	byURL := map[string]concord.Hit{}
	for k, a := range whole {
		if errs[k] != nil {
			failures[asked[k]] = errs[k]
			out.Answered, out.Shards = out.Answered-1, out.Shards-1 // the caller counts failures
			continue
		}
		for _, h := range a.Hits {
			byURL[h.URL] = h
		}
	}
	hits := out.Hits[:0]
	for _, h := range out.Hits {
		if w, ok := byURL[h.URL]; ok {
			if w.Explanation == nil { // else the score is what it explains, even if the shard has changed since
				w.Score = h.Score
			}
			hits = append(hits, w)
		}
	}
	out.Hits = hits
	return nil
}

// places asks the shards where their first offset+limit results are, or for the URLs that the caller wants.
func (f *Fanout) places(ctx context.Context, shards []int, req concord.Request, failures []error) ([]*concord.Answer, error) {
	if req.Only == nil {
		req.Bare, req.Explain, req.Body, req.Offset, req.Limit = true, false, false, 0, req.Offset+req.Limit
	}
	answers, errs := ask(ctx, f, "places", shards, func(ctx context.Context, s concord.Searcher) (*concord.Answer, error) { return s.Search(ctx, req) })
	if err := f.failed(ctx, errs); err != nil {
		return nil, err
	}
	for k, i := range shards {
		failures[i] = errs[k]
	}
	return answers, nil
}

func (f *Fanout) all() []int {
	all := make([]int, len(f.cfg.Shards))
	for i := range all {
		all[i] = i
	}
	return all
}

// failed returns the error that stands for all of errs: that of the caller's context, a malformed query, or nil as long
// as one shard answered.
func (f *Fanout) failed(ctx context.Context, errs []error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if slices.Contains(errs, nil) {
		return nil
	}
	var first error
	for _, err := range errs {
		if concord.KindOf(err) == concord.Invalid {
			return err
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		return nil
	}
	return concord.Errorf(concord.Unavailable, "none of %d shards answered: %w", len(errs), first)
}

// reason says in plain words why a shard did not answer.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "it took too long"
	}
	return err.Error()
}

// ask calls one function on several shards at once, each under the timeout, and waits for all. A shard that ignores its context is
// left behind when its time is up. what is asked for is the name of the spans.
func ask[T any](ctx context.Context, f *Fanout, what string, shards []int, call func(context.Context, concord.Searcher) (T, error)) ([]T, []error) {
	return askEach(ctx, f, what, shards, func(ctx context.Context, _ int, s concord.Searcher) (T, error) { return call(ctx, s) })
}

// askEach is ask with a function that is told which shard it calls.
func askEach[T any](ctx context.Context, f *Fanout, what string, shards []int, call func(context.Context, int, concord.Searcher) (T, error)) ([]T, []error) {
	type result struct {
		v   T
		err error
	}
	results, errs := make([]T, len(shards)), make([]error, len(shards))
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	ctx, round := trace.Start(ctx, what)
	defer round.End(nil)
	var wg sync.WaitGroup
	for k, i := range shards {
		wg.Add(1)
		go func() {
			defer wg.Done()
			ctx, span := trace.Start(ctx, "shard")
			if span.On() {
				span.Set("shard", f.name(i))
			}
			defer func() { span.End(errs[k]) }()
			done := make(chan result, 1)
			go func() {
				v, err := call(ctx, i, f.cfg.Shards[i])
				done <- result{v, err}
			}()
			select {
			case r := <-done:
				results[k], errs[k] = r.v, r.err
			case <-ctx.Done():
				errs[k] = ctx.Err()
			}
		}()
	}
	wg.Wait()
	return results, errs
}
