package search

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/trace"
)

// Copy is a searcher of one shard that can be asked now: the one on this machine, or another node's.
type Copy struct {
	Node string // where it is: the name under which it is counted, and found again in the next call
	concord.Searcher
}

// CopiesConfig sets Copies up.
type CopiesConfig struct {
	Name string // of the shard, for messages: "shard 3"
	// Copies returns those that can be asked now, preferred ones first. It is called once a question, must not block, and the caller
	// keeps what it returned unchanged. Each copy has the whole shard, if some messages later than another.
	Copies func() []Copy
}

// Copies is one shard that several nodes keep. It implements concord.Searcher and is safe for concurrent use.
//
// A question goes to the first copy. If that has not answered when it took longer than 95 of 100 such questions to this shard lately, the
// next copy is asked as well (a hedge), and the first good answer is taken. (J. Dean, L. A. Barroso: The Tail at Scale, 2013.) Hedges
// have a budget, so that a cluster with too much to do gets at most a tenth more. A copy that fails is followed by the next at once and
// without budget; so is one from which nothing at all is heard. Which copies are asked first changes with their behaviour, see health.
//
// An Invalid error is an answer: each copy would say the same. Every other error may be one copy's alone.
type Copies struct {
	cfg CopiesConfig

	mu      sync.Mutex
	known   map[string]*health
	waits   [kinds]latencies
	budget  budget
	calls   uint64
	refused uint64
}

// NewCopies returns the searcher of a shard's copies. Errors: Invalid.
func NewCopies(cfg CopiesConfig) (*Copies, error) {
	if cfg.Name == "" || cfg.Copies == nil {
		return nil, concord.Errorf(concord.Invalid, "copies of a shard need its name and a function that lists them")
	}
	return &Copies{cfg: cfg, known: map[string]*health{}, budget: budget{left: hedgeBurst}}, nil
}

// Stats implements concord.Searcher.
func (c *Copies) Stats(ctx context.Context, query string) (concord.Stats, error) {
	return askCopies(ctx, c, kindStats, func(ctx context.Context, s concord.Searcher) (concord.Stats, error) { return s.Stats(ctx, query) })
}

// Search implements concord.Searcher. The two rounds of a fan-out may reach copies that stand at different positions of their log: what
// the second does not have is left out.
func (c *Copies) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	return askCopies(ctx, c, kindOf(req), func(ctx context.Context, s concord.Searcher) (*concord.Answer, error) {
		a, err := s.Search(ctx, req)
		if a == nil && err == nil {
			err = concord.Errorf(concord.Internal, "it gave neither an answer nor an error")
		}
		return a, err
	})
}

// kind sorts questions by what they cost.
type kind int

const (
	kindStats kind = iota
	kindBare
	kindOnly
	kindExplain
	kindWhole
	kinds
)

func (k kind) String() string { return [kinds]string{"stats", "bare", "only", "explain", "whole"}[k] }

func kindOf(req concord.Request) kind {
	switch {
	case req.Explain:
		return kindExplain
	case req.Only != nil:
		return kindOnly
	case req.Bare:
		return kindBare
	}
	return kindWhole
}

// why is the reason for which a copy is asked.
type why int

const (
	asFirst why = iota
	asHedge
	asFailover
)

func (w why) String() string { return [...]string{"first", "hedge", "failover"}[w] }

// asking is a copy in the order of one call, and what became of it.
type asking struct {
	Copy
	health *health
	probe  bool      // it is asked first to see whether it is well again
	asked  time.Time // zero: not yet
	err    error     // it failed
	silent bool      // given up, though an answer may still come
}

type reply[T any] struct {
	i   int
	v   T
	err error
}

// askCopies puts one question to copies until one answers, all have failed or ctx ends. A copy that ignores its context is left behind
// when another has answered.
func askCopies[T any](ctx context.Context, c *Copies, k kind, call func(context.Context, concord.Searcher) (T, error)) (none T, err error) {
	if err := ctx.Err(); err != nil {
		return none, err
	}
	line, after := c.begin(k)
	if len(line) == 0 {
		return none, concord.Errorf(concord.Unavailable, "no node has %s at the moment", c.cfg.Name)
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	replies, asked := make(chan reply[T], len(line)), 0
	ask := func(w why) {
		i := asked
		c.asking(&line[i], w)
		asked++
		go func() {
			ctx, span := trace.Start(inner, "copy")
			span.Set("node", line[i].Node)
			span.Set("asked", w.String())
			v, err := call(ctx, line[i].Searcher)
			span.End(err)
			replies <- reply[T]{i, v, err}
		}()
	}
	ask(asFirst)
	timer := time.NewTimer(after)
	defer timer.Stop()
	for failed := 0; ; {
		select {
		case <-ctx.Done():
			c.unanswered(line[:asked], after, ctx.Err())
			return none, ctx.Err()
		case r := <-replies:
			if r.err == nil || concord.KindOf(r.err) == concord.Invalid {
				c.answered(k, line[:asked], r.i, r.err == nil)
				return r.v, r.err
			}
			if ctx.Err() != nil {
				continue // the error is the caller's end
			}
			c.failed(&line[r.i], r.err)
			if failed++; failed == len(line) {
				return none, c.allFailed(line)
			}
			if asked < len(line) {
				ask(asFailover)
				timer.Reset(after)
			}
		case <-timer.C:
			if asked == len(line) {
				continue
			}
			if w, ok := c.oneMore(&line[asked-1], after); ok {
				ask(w)
			}
			timer.Reset(after)
		}
	}
}

// begin returns the copies in the order in which this call asks them, and how long it waits for one before it asks the next as well.
func (c *Copies) begin(k kind) ([]asking, time.Duration) {
	copies := c.cfg.Copies()
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	c.budget.earn()
	c.forget(copies)
	return c.order(copies, now), c.waits[k].hedgeAfter()
}

func (c *Copies) asking(a *asking, w why) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.asked = time.Now()
	n := &a.health.counts
	n.Asked++
	switch w {
	case asHedge:
		n.Hedges++
	case asFailover:
		n.Failovers++
	}
}

// oneMore reports whether to ask one more copy although those asked may still answer, and as what: because nothing at all came from the
// last for so long that it counts as failed, or as a hedge, if the budget has one left. A probe is of a copy in doubt, and rare: its hedge
// is free.
func (c *Copies) oneMore(last *asking, after time.Duration) (why, bool) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	quiet := min(now.Sub(last.asked), now.Sub(last.health.heard))
	if quiet >= max(2*after, minSilence) {
		last.silent = true
		return asFailover, true
	}
	if last.probe || c.budget.spend() {
		return asHedge, true
	}
	c.refused++
	return 0, false
}

// answered notes that copy i of those asked answered first: those asked before it that have not are slow.
func (c *Copies) answered(k kind, asked []asking, i int, counts bool) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	won := &asked[i]
	won.health.answered(won.asked, now)
	if i > 0 {
		won.health.counts.Won++
	}
	for j := range asked[:i] {
		if asked[j].err == nil {
			asked[j].health.counts.Lost++
			asked[j].health.trouble(now, asked[j].probe, slowPenalty*c.waits[k].hedgeAfter())
		}
	}
	if counts { // a query refused as malformed says nothing of others
		c.waits[k].add(now.Sub(waitedSince(asked, i)))
	}
}

// waitedSince returns when the wait for answer i began: when the first of those copies was asked that are alive. So an answer that came
// by a hedge counts with the wait for the hedge, and 95 of 100 stays what it is of copies that are not hedged.
func waitedSince(asked []asking, i int) time.Time {
	since := asked[i].asked
	for j := range asked {
		if a := &asked[j]; a.err == nil && !a.silent && a.asked.Before(since) {
			since = a.asked
		}
	}
	return since
}

func (c *Copies) failed(a *asking, err error) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	a.err = err
	a.health.heard = now
	a.health.counts.Failed++
	a.health.trouble(now, a.probe, minPenalty)
}

// unanswered notes that the caller's time was up, or that it went away, before any copy answered.
func (c *Copies) unanswered(asked []asking, after time.Duration, cause error) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range asked {
		a := &asked[i]
		if a.err != nil {
			continue
		}
		if cause == context.DeadlineExceeded && now.Sub(a.asked) >= after {
			a.health.counts.Lost++
			a.health.trouble(now, a.probe, minPenalty)
		}
	}
}

// maxCauseBytes bounds what the message of a shard that does not answer says of one copy.
const maxCauseBytes = 300

func (c *Copies) allFailed(line []asking) error {
	if len(line) == 1 {
		return fmt.Errorf("%s on %s: %w", c.cfg.Name, line[0].Node, line[0].err)
	}
	var causes []string
	for i := range line {
		causes = append(causes, line[i].Node+": "+concord.Clip(line[i].err.Error(), maxCauseBytes))
	}
	return concord.Errorf(concord.Unavailable, "no copy of %s answers: %s", c.cfg.Name, strings.Join(causes, "; "))
}
