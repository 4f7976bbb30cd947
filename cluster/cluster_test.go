package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"concord"
)

// memLeases is a Leases in memory, with a switch that cuts a node off.
type memLeases struct {
	mu      sync.Mutex
	rev     uint64
	holder  string
	until   time.Time
	current uint64
	cut     map[string]bool
}

func (l *memLeases) put(holder string, ttl time.Duration) uint64 {
	l.rev++
	l.holder, l.until, l.current = holder, time.Now().Add(ttl), l.rev
	return l.rev
}

func (l *memLeases) Acquire(_ context.Context, _, holder string, ttl time.Duration) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut[holder] {
		return 0, concord.Errorf(concord.Unavailable, "cut off")
	}
	if l.holder != "" && l.holder != holder && time.Now().Before(l.until) {
		return 0, concord.Errorf(concord.Conflict, "held by %s", l.holder)
	}
	return l.put(holder, ttl), nil
}

func (l *memLeases) Renew(_ context.Context, _, holder string, ttl time.Duration, revision uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut[holder] {
		return 0, concord.Errorf(concord.Unavailable, "cut off")
	}
	if l.current != revision {
		return 0, concord.Errorf(concord.Conflict, "taken")
	}
	return l.put(holder, ttl), nil
}

func (l *memLeases) Release(_ context.Context, _ string, revision uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == revision {
		l.holder = ""
	}
	return nil
}

// owner records when it runs, and under which fence.
type owner struct {
	node string
	seen *[]string
	mu   *sync.Mutex
	busy *int
	t    *testing.T
	last *uint64
}

func (o owner) Name() string { return "shard.0" }
func (o owner) Run(ctx context.Context, fence uint64) error {
	o.mu.Lock()
	if *o.busy++; *o.busy > 1 {
		o.t.Error("two owners at once")
	}
	if fence <= *o.last {
		o.t.Errorf("fence %d after %d", fence, *o.last)
	}
	*o.last = fence
	*o.seen = append(*o.seen, o.node)
	o.mu.Unlock()
	<-ctx.Done()
	o.mu.Lock()
	*o.busy--
	o.mu.Unlock()
	return ctx.Err()
}

func TestOwnershipMovesWhenANodeIsCutOff(t *testing.T) {
	ls := &memLeases{cut: map[string]bool{}}
	var mu sync.Mutex
	var seen []string
	var busy int
	var last uint64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	start := func(node string) {
		k := &Keeper{Leases: ls, Node: node, TTL: 300 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
		wg.Go(func() {
			if err := k.Run(ctx, owner{node, &seen, &mu, &busy, t, &last}); err != nil {
				t.Error(err)
			}
		})
	}
	start("a")
	time.Sleep(100 * time.Millisecond)
	start("b")
	time.Sleep(700 * time.Millisecond) // several renewals: b must not get it
	ls.mu.Lock()
	ls.cut["a"] = true
	ls.mu.Unlock()
	deadline := time.Now().Add(5 * time.Second)
	for {
		mu.Lock()
		n := len(seen)
		mu.Unlock()
		if n == 2 || time.Now().After(deadline) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	wg.Wait()
	if len(seen) != 2 || seen[0] != "a" || seen[1] != "b" {
		t.Fatalf("owners in turn: %v, want a then b", seen)
	}
}

type failing struct{ err error }

func (f failing) Name() string                      { return "attestor" }
func (f failing) Run(context.Context, uint64) error { return f.err }

func TestFailureOfAPartitionEndsRun(t *testing.T) {
	boom := errors.New("boom")
	k := &Keeper{Leases: &memLeases{}, Node: "a", Logger: slog.New(slog.DiscardHandler)}
	if err := k.Run(t.Context(), failing{boom}); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
}
