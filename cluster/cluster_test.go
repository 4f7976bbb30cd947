package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"concord"
)

// testTTL is short, and long enough for a machine that is busy with other things not to lose leases by it.
const testTTL = time.Second

// patientTTL is for tests that count what moves.
const patientTTL = 4 * time.Second

func TestANodeAloneOwnsAllAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10*time.Second) // every delay would show
	w.start("a")
	if took := w.await(2*time.Second, "a"); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAKeeperWithoutMembersOwnsAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testTTL)
	ctx, stop := context.WithCancel(t.Context())
	n := &testNode{name: "a", gate: &gate{dead: make(chan struct{})}, keeper: &Keeper{Leases: w.leases, Node: "a", TTL: testTTL, Logger: testLogger()}}
	var parts []Partition
	for _, p := range w.names {
		parts = append(parts, recorder{w, n, p})
	}
	done := make(chan error, 1)
	go func() { done <- n.keeper.Run(ctx, parts...) }()
	w.await(5*time.Second, "a")
	time.Sleep(2 * testTTL) // several renewals
	if fence, ok := n.keeper.Owned("shard.1"); !ok || fence == 0 {
		t.Errorf("shard.1 is not owned: fence %d", fence)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, ok := n.keeper.Owned("shard.1"); ok {
		t.Error("still owned after the end")
	}
	if w.runCount() != len(w.names) {
		t.Errorf("%d runs of %d partitions", w.runCount(), len(w.names))
	}
}

func TestJoiningMovesItsShareOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patientTTL)
	w.settle = 100 * time.Millisecond
	w.start("a")
	w.await(5*time.Second, "a")
	w.start("b")
	w.await(10*time.Second, "a", "b")
	w.start("c")
	w.await(10*time.Second, "a", "b", "c")
	want := len(w.names) + differ(w.names, []string{"a"}, []string{"a", "b"}) + differ(w.names, []string{"a", "b"}, []string{"a", "b", "c"})
	time.Sleep(patientTTL / 4) // nothing more moves
	if got := w.runCount(); got != want {
		t.Errorf("%d runs, want %d: each partition moves once, or not at all", got, want)
	}
}

func TestANodeThatComesAndGoesMovesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patientTTL)
	w.settle = time.Minute
	w.start("a")
	w.await(5*time.Second, "a")
	for range 3 {
		n := w.start("b")
		time.Sleep(patientTTL / 5)
		n.stop()
	}
	if got := w.runCount(); got != len(w.names) {
		t.Errorf("%d runs of %d partitions", got, len(w.names))
	}
}

func TestDeathMovesWhatTheNodeHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testTTL)
	w.start("a")
	w.start("b")
	c := w.start("c")
	w.await(10*time.Second, "a", "b", "c")
	had := 0
	for _, node := range w.owners() {
		if node == "c" {
			had++
		}
	}
	w.kill(c)
	took := w.awaitThat(5*time.Second, "all owned by who lives", func() bool { return len(w.owners()) == len(w.names) })
	if bound := 2*testTTL + testTTL/2; took > bound {
		t.Errorf("%d partitions of a dead node stood still for %v, want at most %v", had, took, bound)
	}
	w.await(5*time.Second, "a", "b")
}

func TestGoodbyeMovesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5*time.Second)
	w.settle = 10 * time.Millisecond
	w.start("a")
	b := w.start("b")
	w.await(10*time.Second, "a", "b")
	b.stop()
	if took := w.await(4*time.Second, "a"); took > 2500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

func TestAPausedNodeStandsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testTTL)
	w.start("a")
	b := w.start("b")
	w.await(10*time.Second, "a", "b")
	b.gate.cut.Store(true)
	w.await(10*time.Second, "a") // checkRuns holds that b stopped before a began
	for p, node := range Assign(w.names, candidates([]string{"a", "b"})) {
		if _, ok := b.keeper.Owned(p); ok && node == "b" {
			t.Errorf("b believes that it owns %s", p)
		}
	}
	b.gate.cut.Store(false)
	w.await(10*time.Second, "a", "b")
}

func TestDrainThenRemove(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testTTL)
	a := w.start("a")
	b := w.start("b")
	w.await(10*time.Second, "a", "b")
	ctx := t.Context()
	if err := a.members.Remove(ctx, "b", false); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("removed while at work: %v", err)
	}
	if err := a.members.Remove(ctx, "b", true); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("removed by force while at work: %v", err)
	}
	if err := a.members.Drain(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if err := a.members.Drain(ctx, "b"); err != nil {
		t.Fatalf("the second time: %v", err)
	}
	w.await(10*time.Second, "a")
	w.checkOneAtATime("b")
	w.awaitThat(time.Second, "b is drained", func() bool { return stateOf(a, w, "b") == NodeDrained })
	if err := b.members.Drain(ctx, "a"); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("the last node was drained: %v", err)
	}
	if err := a.members.Remove(ctx, "b", false); err != nil {
		t.Fatal(err)
	}
	if err := <-b.done; concord.KindOf(err) != concord.Unauthorized {
		t.Fatalf("the removed node goes on: %v", err)
	}
	b.done <- nil
	w.awaitThat(time.Second, "b is not listed", func() bool { return stateOf(a, w, "b") == "" })

	again := w.start("b") // its old certificate would not let it in; its name must not either
	if err := <-again.done; concord.KindOf(err) != concord.Unauthorized {
		t.Fatalf("a removed node came back: %v", err)
	}
	again.done <- nil
}

// checkOneAtATime holds that each partition a node handed over ran again before the node stopped the next one.
func (w *world) checkOneAtATime(node string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var given []run
	for _, r := range w.runs {
		if r.node == node && !r.to.IsZero() {
			given = append(given, r)
		}
	}
	slices.SortFunc(given, func(a, b run) int { return a.to.Compare(b.to) })
	for i := 1; i < len(given); i++ {
		taken := slices.ContainsFunc(w.runs, func(r run) bool {
			return r.partition == given[i-1].partition && r.from.After(given[i-1].to) && r.from.Before(given[i].to)
		})
		if !taken {
			w.t.Errorf("%s stopped on %s before %s ran again", given[i].partition, node, given[i-1].partition)
		}
	}
}

func stateOf(seenBy *testNode, w *world, name string) string {
	for _, n := range seenBy.members.Status(w.names).Nodes {
		if n.Name == name {
			return n.State
		}
	}
	return ""
}

func TestDeadNodeIsRemovedByForceOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testTTL)
	a := w.start("a")
	b := w.start("b")
	w.await(10*time.Second, "a", "b")
	w.kill(b)
	w.await(5*time.Second, "a")
	w.awaitThat(time.Second, "b is dead", func() bool { return stateOf(a, w, "b") == NodeDead })
	if err := a.members.Remove(t.Context(), "b", false); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("removed without force: %v", err)
	}
	if err := a.members.Remove(t.Context(), "b", true); err != nil {
		t.Fatal(err)
	}
	w.awaitThat(time.Second, "b is not listed", func() bool { return stateOf(a, w, "b") == "" })
}

func TestDrainIsUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testTTL)
	a := w.start("a")
	w.start("b")
	w.await(10*time.Second, "a", "b")
	if err := a.members.Drain(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	w.await(10*time.Second, "a")
	if err := a.members.Undrain(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	w.await(10*time.Second, "a", "b")
}

// A node that lives but does not take what is assigned to it (its keeper does not run) is stood in for.
func TestWhatIsNotTakenIsTakenByAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testTTL)
	idle, err := NewMembers(MembersConfig{Store: w.store, Self: Record{Name: "idle"}, TTL: testTTL, Logger: testLogger()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- idle.Run(ctx) }()
	w.start("a")
	w.awaitThat(10*time.Second, "a owns all", func() bool { return len(w.owners()) == len(w.names) })
	before := w.runCount()
	time.Sleep(3 * testTTL)
	if w.runCount() != before {
		t.Error("partitions move to a node that does not ask for them")
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestStatusTellsWhatMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testTTL)
	w.settle = 2 * testTTL
	a := w.start("a")
	w.await(5*time.Second, "a")
	w.start("b")
	seen := map[string]bool{}
	w.awaitThat(10*time.Second, "every state was seen", func() bool {
		for _, p := range a.members.Status(w.names).Partitions {
			if p.State != PartitionOwned || p.Owner != p.Assigned {
				seen[p.State] = true
				if p.Why == "" {
					t.Errorf("%s is %s on %s and not on %s, and nobody says why", p.Name, p.State, p.Owner, p.Assigned)
				}
			}
		}
		return seen[PartitionOwned] && seen[PartitionWaiting] && seen[PartitionMoving]
	})
	w.await(10*time.Second, "a", "b")
	w.awaitThat(time.Second, "all is quiet", func() bool {
		st := a.members.Status(w.names)
		return st.Hears && st.Moving == 0 && st.Unowned == 0 && len(st.Nodes) == 2 && st.Nodes[0].Owns+st.Nodes[1].Owns == len(w.names) && !st.LastBeat.IsZero()
	})
}

type failing struct{ err error }

func (f failing) Name() string                      { return "attestor" }
func (f failing) Run(context.Context, uint64) error { return f.err }

func TestFailureOfAPartitionEndsRun(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	leases := newMemLeases()
	k := &Keeper{Leases: leases, Node: "a", Logger: testLogger()}
	if err := k.Run(t.Context(), failing{boom}); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	if _, held := leases.live("attestor"); held {
		t.Error("the lease was not given back")
	}
}

// stubborn does not stop when it is told to, but when it is let go.
type stubborn struct {
	started chan uint64
	letGo   chan struct{}
}

func (s stubborn) Name() string { return "shard.0" }
func (s stubborn) Run(ctx context.Context, fence uint64) error {
	s.started <- fence
	<-ctx.Done()
	<-s.letGo
	return nil
}

func TestLeaseIsKeptWhileAPartitionStops(t *testing.T) {
	t.Parallel()
	leases := newMemLeases()
	k := &Keeper{Leases: leases, Node: "a", TTL: 600 * time.Millisecond, Logger: testLogger()}
	ctx, stop := context.WithCancel(t.Context())
	started, letGo, done := make(chan uint64, 1), make(chan struct{}), make(chan error, 1)
	go func() { done <- k.Run(ctx, stubborn{started, letGo}) }()
	<-started
	stop()
	for range 70 {
		time.Sleep(20 * time.Millisecond)
		if _, err := leases.Acquire(t.Context(), "shard.0", "b", time.Minute); concord.KindOf(err) != concord.Conflict {
			t.Fatalf("another node could take it while it committed: %v", err)
		}
	}
	close(letGo)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := leases.Acquire(t.Context(), "shard.0", "b", time.Minute); err != nil {
		t.Fatalf("not given back: %v", err)
	}
}

// slowLeases answer a renewal late.
type slowLeases struct {
	*memLeases
	asked chan struct{}
}

func (l slowLeases) Renew(ctx context.Context, name, holder string, ttl time.Duration, revision uint64) (uint64, error) {
	rev, err := l.memLeases.Renew(ctx, name, holder, ttl, revision)
	l.asked <- struct{}{}
	pause(ctx, 100*time.Millisecond)
	if ctx.Err() != nil {
		return 0, concord.Errorf(concord.Unavailable, "%w", ctx.Err())
	}
	return rev, err
}

func TestLeaseIsGivenBackWhileARenewalIsUnderWay(t *testing.T) {
	t.Parallel()
	leases := slowLeases{newMemLeases(), make(chan struct{}, 1)}
	k := &Keeper{Leases: leases, Node: "a", TTL: 3 * time.Second, Logger: testLogger()}
	ctx, stop := context.WithCancel(t.Context())
	started, letGo, done := make(chan uint64, 1), make(chan struct{}), make(chan error, 1)
	close(letGo)
	go func() { done <- k.Run(ctx, stubborn{started, letGo}) }()
	<-leases.asked
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := leases.Acquire(t.Context(), "shard.0", "b", time.Minute); err != nil {
		t.Fatalf("not given back: %v", err)
	}
}

func ExampleAssign() {
	fmt.Println(Assign([]string{"attestor"}, []Candidate{{Name: "a", Capacity: 1}}))
	// Output: map[attestor:a]
}

// fenced is a partition whose commit is refused, since another node has committed under a larger fence.
type fenced struct {
	leases *memLeases
	runs   chan uint64
}

func (f fenced) Name() string { return "shard.0" }
func (f fenced) Run(ctx context.Context, fence uint64) error {
	f.runs <- fence
	if fence > 1 {
		<-ctx.Done()
		return nil
	}
	f.leases.mu.Lock()
	f.leases.put(f.Name(), "b", 50*time.Millisecond)
	f.leases.mu.Unlock()
	return fmt.Errorf("commit: %w", concord.Errorf(concord.Conflict, "fence 1 is older than 2"))
}

func TestFencedOffIsNoFailure(t *testing.T) {
	t.Parallel()
	leases, runs := newMemLeases(), make(chan uint64, 2)
	k := &Keeper{Leases: leases, Node: "a", TTL: time.Minute, Logger: testLogger()}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx, fenced{leases, runs}) }()
	if one, three := <-runs, <-runs; one != 1 || three != 3 {
		t.Errorf("ran under %d and %d", one, three)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
