package cluster

import (
	"testing"
	"time"

	"concord"
	"concord/bus"
)

// The engine's leases live for whole seconds.
const busTTL = 2 * time.Second

// newBusWorld is a world whose leases are the engine's.
func newBusWorld(t *testing.T) *world {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{Dir: t.TempDir(), NodeName: "node-1", Logger: testLogger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	w := newWorld(t, busTTL) // its cleanup comes first
	w.settle = busTTL / 4
	if w.leases, err = b.Leases(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestOnTheBus(t *testing.T) {
	t.Parallel()
	w := newBusWorld(t)
	a := w.start("a")
	t.Logf("alone: %v", w.await(10*time.Second, "a"))
	b := w.start("b")
	t.Logf("a second node: %v", w.await(20*time.Second, "a", "b"))
	c := w.start("c")
	t.Logf("a third node: %v", w.await(20*time.Second, "a", "b", "c"))

	w.kill(c)
	took := w.awaitThat(20*time.Second, "all owned by who lives", func() bool { return len(w.owners()) == len(w.names) })
	t.Logf("one died: all owned again after %v", took)
	if bound := 2*busTTL + time.Second; took > bound {
		t.Errorf("all owned again after %v, want at most %v", took, bound)
	}
	w.await(20*time.Second, "a", "b")

	b.gate.cut.Store(true)
	t.Logf("one is cut off: %v", w.await(20*time.Second, "a"))
	b.gate.cut.Store(false)
	t.Logf("and back: %v", w.await(20*time.Second, "a", "b"))

	if err := b.members.Drain(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	t.Logf("one is drained: %v", w.await(20*time.Second, "b"))
	t.Logf("longest gap of a hand-over: %v", w.longestGap(a.name, b.name))
	w.awaitThat(5*time.Second, "a is drained", func() bool { return stateOf(b, w, "a") == NodeDrained })
	if err := b.members.Remove(t.Context(), "a", false); err != nil {
		t.Fatal(err)
	}
	if err := <-a.done; concord.KindOf(err) != concord.Unauthorized {
		t.Errorf("the removed node goes on: %v", err)
	}
	a.done <- nil
}

// longestGap returns for how long a partition was without an owner when it went from one node to another.
func (w *world) longestGap(from, to string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var gap time.Duration
	for i, r := range w.runs {
		for _, next := range w.runs[i+1:] {
			if next.partition == r.partition {
				if r.node == from && next.node == to {
					gap = max(gap, next.from.Sub(r.to))
				}
				break
			}
		}
	}
	return gap
}
