package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"concord"
	"concord/index"
)

// replica is a copy whose speed and failures a test sets. It answers with a hit that names it.
type replica struct {
	node string

	mu     sync.Mutex
	delay  time.Duration
	err    error
	asked  int
	ended  int           // by the end of their context
	silent chan struct{} // while it is not closed, nothing comes back
}

func (r *replica) set(delay time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay, r.err = delay, err
}

func (r *replica) count() (asked, ended int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked, r.ended
}

// mute takes the copy down without a word; the function returned brings it back.
func (r *replica) mute() (unmute func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	silent := make(chan struct{})
	r.silent = silent
	return func() { close(silent) }
}

func (r *replica) work(ctx context.Context) error {
	r.mu.Lock()
	r.asked++
	delay, err, silent := r.delay, r.err, r.silent
	r.mu.Unlock()
	if silent != nil {
		select {
		case <-silent:
		case <-ctx.Done():
		}
	}
	select {
	case <-time.After(delay):
		return err
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended++
		return ctx.Err()
	}
}

func (r *replica) Stats(ctx context.Context, _ string) (concord.Stats, error) {
	return concord.Stats{Docs: 7}, r.work(ctx)
}

func (r *replica) Search(ctx context.Context, _ concord.Request) (*concord.Answer, error) {
	if err := r.work(ctx); err != nil {
		return nil, err
	}
	return &concord.Answer{Shards: 1, Answered: 1, Hits: []concord.Hit{{URL: "https://" + r.node + "/"}}}, nil
}

// replicas makes a shard of n copies, n0 first, that answer after delay.
func replicas(t *testing.T, n int, delay time.Duration) (*Copies, []*replica) {
	t.Helper()
	var rs []*replica
	var copies []Copy
	for i := range n {
		r := &replica{node: fmt.Sprint("n", i), delay: delay}
		rs, copies = append(rs, r), append(copies, Copy{Node: r.node, Searcher: r})
	}
	c, err := NewCopies(CopiesConfig{Name: "shard 3", Copies: func() []Copy { return copies }})
	if err != nil {
		t.Fatal(err)
	}
	return c, rs
}

// asks returns which copy answered and after how long.
func asks(t *testing.T, c *Copies) (node string, took time.Duration) {
	t.Helper()
	began := time.Now()
	a, err := c.Search(t.Context(), concord.Request{Query: "x", Limit: 10, Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(strings.TrimPrefix(a.Hits[0].URL, "https://"), "/"), time.Since(began)
}

func counts(c *Copies, node string) CopyCounts {
	for _, n := range c.Counts().Copies {
		if n.Node == node {
			return n
		}
	}
	return CopyCounts{}
}

const (
	usual  = 10 * time.Millisecond
	hedged = usual + time.Millisecond // what some take: after it the next copy is asked
)

// settled is a shard whose usual answers are known.
func settled(t *testing.T, n int) (*Copies, []*replica) {
	c, rs := replicas(t, n, usual)
	for i := range recentAnswers {
		rs[0].set(usual, nil)
		if i < recentAnswers/16 {
			rs[0].set(hedged, nil)
		}
		if node, took := asks(t, c); node != "n0" || took > hedged {
			t.Fatalf("%s answered after %v", node, took)
		}
	}
	rs[0].set(usual, nil)
	if after := c.Counts().HedgeAfter["bare"]; after != hedged {
		t.Fatalf("it hedges after %v", after)
	}
	if after := c.Counts().HedgeAfter["only"]; after != firstHedge {
		t.Fatalf("it hedges after %v a kind that was not asked yet", after)
	}
	return c, rs
}

func TestCopiesFirstIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, rs := settled(t, 3)
		if asked, _ := rs[1].count(); asked != 0 {
			t.Errorf("the second was asked %d times", asked)
		}
		if n := counts(c, "n0"); n != (CopyCounts{Node: "n0", Asked: recentAnswers, Answered: recentAnswers}) {
			t.Errorf("%+v", n)
		}
	})
}

func TestCopiesSlowCopyIsHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, rs := settled(t, 2)
		rs[0].set(time.Second, nil)
		if node, took := asks(t, c); node != "n1" || took != hedged+usual {
			t.Errorf("%s answered after %v", node, took)
		}
		synctest.Wait()
		if _, ended := rs[0].count(); ended != 1 {
			t.Errorf("the slow one was not told that its answer is not wanted")
		}
		if node, took := asks(t, c); node != "n1" || took != usual {
			t.Errorf("then %s answered after %v", node, took)
		}
		if n := counts(c, "n0"); n.Lost != 1 || !n.Behind {
			t.Errorf("%+v", n)
		}
		if n := counts(c, "n1"); n.Hedges != 1 || n.Won != 1 || n.Behind {
			t.Errorf("%+v", n)
		}
		time.Sleep(slowPenalty * hedged) // it is tried again, by one call of several
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { asks(t, c) })
		}
		wg.Wait()
		if n := counts(c, "n0"); n.Lost != 2 {
			t.Errorf("%+v", n)
		}
		rs[0].set(usual, nil)
		time.Sleep(slowPenalty*hedged + usual) // the second penalty is longer
		if node, _ := asks(t, c); node != "n1" {
			t.Errorf("%s was tried too soon", node)
		}
		time.Sleep(slowPenalty * hedged)
		for range 2 {
			if node, took := asks(t, c); node != "n0" || took != usual {
				t.Errorf("well again: %s answered after %v", node, took)
			}
		}
	})
}

func TestCopiesFailuresGoOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, kind := range []concord.Kind{concord.Unavailable, concord.Internal, concord.Corrupt, concord.NotFound} {
			c, rs := settled(t, 3)
			rs[0].set(time.Millisecond, concord.Errorf(kind, "gone"))
			rs[1].set(0, context.DeadlineExceeded) // of the copy, not of the caller
			if node, took := asks(t, c); node != "n2" || took != usual+time.Millisecond {
				t.Errorf("%v: %s answered after %v", kind, node, took)
			}
			if node, took := asks(t, c); node != "n2" || took != usual {
				t.Errorf("%v: then %s answered after %v", kind, node, took)
			}
			if n := counts(c, "n2"); n.Failovers != 1 || n.Hedges != 0 || n.Won != 1 || n.Asked != 2 {
				t.Errorf("%v: %+v", kind, n)
			}
		}
	})
}

func TestCopiesMalformedQueryIsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, rs := settled(t, 2)
		rs[0].set(0, concord.Errorf(concord.Invalid, "%w", &concord.QueryError{Query: "(", Length: 1, Reason: "never closed"}))
		_, err := c.Search(t.Context(), concord.Request{Query: "(", Limit: 1})
		var q *concord.QueryError
		if concord.KindOf(err) != concord.Invalid || !errors.As(err, &q) {
			t.Errorf("%v", err)
		}
		if asked, _ := rs[1].count(); asked != 0 || counts(c, "n0").Behind {
			t.Errorf("another was asked what each would refuse")
		}
	})
}

// A copy dies while it works, with many questions in hand: none waits for more than a hedge.
func TestCopiesDeathInTheMiddle(t *testing.T) {
	for _, many := range []int{1, hedgeBurst, 100} {
		synctest.Test(t, func(t *testing.T) {
			c, rs := settled(t, 2)
			defer rs[0].mute()()
			bound := hedged + usual
			if many > hedgeBurst {
				bound = minSilence + hedged + usual // beyond the budget by its silence
			}
			var wg sync.WaitGroup
			for range many {
				wg.Go(func() {
					if node, took := asks(t, c); node != "n1" || took > bound {
						t.Errorf("%d in hand: %s answered after %v", many, node, took)
					}
				})
			}
			wg.Wait()
			for range 20 { // one in all waits for a hedge: the one that tries it again
				time.Sleep(100 * time.Millisecond)
				if node, took := asks(t, c); node != "n1" || took > usual+c.Counts().HedgeAfter["bare"] {
					t.Errorf("later %s answered after %v", node, took)
				}
			}
			if n := counts(c, "n0"); n.Asked-n.Hedges > uint64(recentAnswers+many+7) {
				t.Errorf("the dead copy was asked: %+v", n)
			}
		})
	}
}

func TestCopiesAllDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, rs := settled(t, 2)
		rs[0].set(0, concord.Errorf(concord.Unavailable, "nobody there has it"))
		rs[1].set(0, concord.Errorf(concord.Corrupt, "segment 4"))
		for range 2 { // in whichever order
			_, err := c.Stats(t.Context(), "x")
			if concord.KindOf(err) != concord.Unavailable || !strings.Contains(err.Error(), "n0: nobody there") || !strings.Contains(err.Error(), "n1: segment 4") {
				t.Errorf("%v", err)
			}
		}
		defer rs[0].mute()()
		defer rs[1].mute()()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Stats(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}

		var none []Copy
		c, _ = NewCopies(CopiesConfig{Name: "shard 3", Copies: func() []Copy { return none }})
		if _, err := c.Stats(t.Context(), "x"); concord.KindOf(err) != concord.Unavailable || err.Error() != "no node has shard 3 at the moment" {
			t.Errorf("%v", err)
		}
		none = []Copy{{Node: "n0", Searcher: rs[0]}}
		rs[0].silent = nil
		rs[0].set(0, concord.Errorf(concord.Corrupt, "segment 5"))
		if _, err := c.Stats(t.Context(), "x"); concord.KindOf(err) != concord.Corrupt || err.Error() != "shard 3 on n0: segment 5" {
			t.Errorf("%v", err)
		}
	})
}

func TestCopiesCallerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, rs := settled(t, 2)
		rs[0].set(time.Hour, nil)
		rs[1].set(time.Hour, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(15*time.Millisecond, cancel)
		began := time.Now()
		if _, err := c.Search(ctx, concord.Request{Query: "x", Limit: 1, Bare: true}); err != context.Canceled || time.Since(began) != 15*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		synctest.Wait()
		for i, r := range rs {
			if asked, ended := r.count(); ended != 1 {
				t.Errorf("copy %d goes on: %d asked, %d ended", i, asked, ended)
			}
			if n := counts(c, r.node); n.Behind || n.Lost+n.Failed != 0 {
				t.Errorf("a copy is blamed for it: %+v", n)
			}
		}
		if _, err := c.Search(ctx, concord.Request{Query: "x", Limit: 1}); err != context.Canceled {
			t.Errorf("%v", err)
		}
	})
}

// When everything gets slow at once, hedges are a tenth of the calls, and the wait follows what is usual now.
func TestCopiesBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, rs := settled(t, 3)
		const calls, batch = 2000, 100
		for i := range calls / batch {
			var wg sync.WaitGroup
			for j := range batch {
				for _, r := range rs { // half of what each copy does takes four times as long as usual
					r.set(usual*time.Duration(1+3*((i+j)%2)), nil)
				}
				wg.Go(func() { asks(t, c) })
				time.Sleep(time.Millisecond)
			}
			wg.Wait()
		}
		var hedges, failovers uint64
		for _, n := range c.Counts().Copies {
			hedges, failovers = hedges+n.Hedges, failovers+n.Failovers
		}
		t.Logf("%d calls: %d hedges, %d refused, %d failovers, hedge after %v", calls, hedges, c.Counts().Refused, failovers, c.Counts().HedgeAfter["bare"])
		if hedges > hedgeBurst+calls/10+recentAnswers/10 || failovers > 0 {
			t.Errorf("%d hedges and %d failovers of %d calls", hedges, failovers, calls)
		}
		if after := c.Counts().HedgeAfter["bare"]; after < 3*usual {
			t.Errorf("hedges are sent after %v still", after)
		}
	})
}

func TestLatencies(t *testing.T) {
	var l latencies
	for i := range firstAnswers {
		if l.hedgeAfter() != firstHedge {
			t.Fatalf("after %d answers %v", i, l.hedgeAfter())
		}
		l.add(time.Microsecond)
	}
	if l.hedgeAfter() != minHedge {
		t.Errorf("the floor: %v", l.hedgeAfter())
	}
	for i := range 10 * recentAnswers {
		l.add(time.Duration(i%100) * time.Millisecond)
	}
	if after := l.hedgeAfter(); after < 90*time.Millisecond || after > 98*time.Millisecond {
		t.Errorf("95 of 0 to 99 ms: %v", after)
	}
	for range recentAnswers / 10 {
		l.add(time.Minute)
	}
	if l.hedgeAfter() != maxHedge {
		t.Errorf("the ceiling: %v", l.hedgeAfter())
	}
}

func TestCopiesForgetNodes(t *testing.T) {
	r := &replica{}
	var node string
	c, err := NewCopies(CopiesConfig{Name: "s", Copies: func() []Copy { return []Copy{{Node: node, Searcher: r}} }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxKnownCopies {
		node = fmt.Sprint(i)
		if _, err := c.Stats(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.Counts().Copies); n > maxKnownCopies+1 {
		t.Errorf("%d nodes are remembered", n)
	}
	for _, bad := range []CopiesConfig{{}, {Name: "s"}, {Copies: func() []Copy { return nil }}} {
		if _, err := NewCopies(bad); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%v", err)
		}
	}
}

// The copies of a shard stand at different positions, and each round of a fan-out reaches another: a page may then lack a hit, which is
// no failure.
func TestFanoutOverUnevenCopies(t *testing.T) {
	var docs []*index.Document
	for i := range 6 {
		docs = append(docs, page(fmt.Sprintf("https://a.example/%d", i), "Rivers", "river bank "+strings.Repeat("water ", i)))
	}
	ahead, late := New(write(t, index.Config{}, docs...)), New(write(t, index.Config{}, docs[:4]...))
	other := New(write(t, index.Config{}, page("https://b.example/", "Rivers", "river")))
	for _, s := range []*Searcher{ahead, late, other} {
		defer s.Close()
	}
	for first := range 2 {
		asked := 0
		copies, err := NewCopies(CopiesConfig{Name: "shard 0", Copies: func() []Copy {
			both := []Copy{{"ahead", ahead}, {"late", late}}
			if asked++; (asked+first)%2 == 0 {
				slices.Reverse(both)
			}
			return both
		}})
		if err != nil {
			t.Fatal(err)
		}
		fan, err := NewFanout(FanoutConfig{Shards: []concord.Searcher{copies, other}})
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			a, err := fan.Search(t.Context(), concord.Request{Query: "river", Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			if a.Shards != 2 || a.Answered != 2 || len(a.Failures) != 0 || len(a.Hits) != 5 && len(a.Hits) != 7 {
				t.Errorf("%d hits, %d of %d shards, %q", len(a.Hits), a.Answered, a.Shards, a.Failures)
			}
			for _, h := range a.Hits {
				if h.Title == "" || h.Score == 0 || len(h.Snippet) == 0 {
					t.Errorf("half a hit: %+v", h)
				}
			}
		}
	}
}

// A fan-out names the shard that no copy answers for.
func TestFanoutWithoutCopies(t *testing.T) {
	s := New(write(t, index.Config{}, page("https://b.example/", "Rivers", "river")))
	defer s.Close()
	nobody, _ := NewCopies(CopiesConfig{Name: "shard 1", Copies: func() []Copy { return nil }})
	fan, _ := NewFanout(FanoutConfig{Shards: []concord.Searcher{s, nobody}})
	a, err := fan.Search(t.Context(), concord.Request{Query: "river", Limit: 10})
	if err != nil || len(a.Hits) != 1 || a.Answered != 1 || a.Shards != 2 || len(a.Failures) != 1 || a.Failures[0] != "shard 1 did not answer: no node has shard 1 at the moment" {
		t.Errorf("%+v, %v", a, err)
	}
}
