package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concord"
	"concord/cluster/memstore"
)

// world is a cluster in one process: a store and leases that all nodes share, and a record of who ran what.
type world struct {
	t      *testing.T
	store  concord.Manifests
	leases Leases
	ttl    time.Duration
	settle time.Duration
	names  []string

	mu     sync.Mutex
	runs   []run
	fences map[string]uint64 // the largest each partition has seen: what a manifest would hold
	nodes  map[string]*testNode
}

// run is one time that a node ran a partition.
type run struct {
	partition, node string
	fence           uint64
	from, to        time.Time // to is zero while it runs
}

func newWorld(t *testing.T, ttl time.Duration) *world {
	w := &world{t: t, store: memstore.New(), leases: newMemLeases(), ttl: ttl, settle: ttl / 2, names: partitionNames(4, 4),
		fences: map[string]uint64{}, nodes: map[string]*testNode{}}
	t.Cleanup(func() {
		for _, n := range w.nodes {
			n.stop()
		}
		w.checkRuns()
	})
	return w
}

// testNode is one node of a world. Its store and leases go through a gate, so that it can be cut off or stand still.
type testNode struct {
	name    string
	members *Members
	keeper  *Keeper
	gate    *gate
	stop    func() // with goodbye
	done    chan error
}

// gate stands between a node and the rest of the world.
type gate struct {
	concord.Manifests
	Leases
	cut  atomic.Bool   // every call fails
	dead chan struct{} // closed: every call blocks until its context ends, and then nothing is heard of the node again
}

func (g *gate) pass(ctx context.Context) error {
	select {
	case <-g.dead:
		<-ctx.Done()
		return concord.Errorf(concord.Unavailable, "dead")
	default:
	}
	if g.cut.Load() {
		return concord.Errorf(concord.Unavailable, "cut off")
	}
	return nil
}

func (g *gate) Get(ctx context.Context, name string) (concord.Manifest, error) {
	if err := g.pass(ctx); err != nil {
		return concord.Manifest{}, err
	}
	return g.Manifests.Get(ctx, name)
}

func (g *gate) Put(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	if err := g.pass(ctx); err != nil {
		return 0, err
	}
	return g.Manifests.Put(ctx, name, data, revision)
}

func (g *gate) Watch(ctx context.Context, prefix string, f func(string, concord.Manifest) error) error {
	if err := g.pass(ctx); err != nil {
		return err
	}
	return g.Manifests.Watch(ctx, prefix, func(name string, m concord.Manifest) error {
		if err := g.pass(ctx); err != nil {
			return err
		}
		return f(name, m)
	})
}

func (g *gate) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (uint64, error) {
	if err := g.pass(ctx); err != nil {
		return 0, err
	}
	return g.Leases.Acquire(ctx, name, holder, ttl)
}

func (g *gate) Renew(ctx context.Context, name, holder string, ttl time.Duration, revision uint64) (uint64, error) {
	if err := g.pass(ctx); err != nil {
		return 0, err
	}
	return g.Leases.Renew(ctx, name, holder, ttl, revision)
}

func (g *gate) Release(ctx context.Context, name string, revision uint64) error {
	if err := g.pass(ctx); err != nil {
		return err
	}
	return g.Leases.Release(ctx, name, revision)
}

func testLogger() *slog.Logger {
	if os.Getenv("CLUSTER_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// start brings a node up.
func (w *world) start(name string) *testNode {
	w.t.Helper()
	g := &gate{Manifests: w.store, Leases: w.leases, dead: make(chan struct{})}
	log := testLogger().With("node", name)
	m, err := NewMembers(MembersConfig{Store: g, Self: Record{Name: name}, TTL: w.ttl, Logger: log})
	if err != nil {
		w.t.Fatal(err)
	}
	n := &testNode{name: name, members: m, gate: g, done: make(chan error, 1),
		keeper: &Keeper{Leases: g, Node: name, TTL: w.ttl, Settle: w.settle, Members: m, Logger: log}}
	var parts []Partition
	for _, p := range w.names {
		parts = append(parts, recorder{w, n, p})
	}
	keepCtx, endKeep := context.WithCancel(context.Background())
	memberCtx, endMember := context.WithCancel(context.Background())
	var membership error
	gone := make(chan struct{})
	go func() { membership = m.Run(memberCtx); close(gone); endKeep() }()
	go func() {
		err := n.keeper.Run(keepCtx, parts...)
		endMember()
		<-gone
		n.done <- errorsFirst(err, membership)
	}()
	var once sync.Once
	n.stop = func() {
		once.Do(func() {
			endKeep()
			if err := <-n.done; err != nil {
				w.t.Errorf("node %s: %v", name, err)
			}
		})
	}
	w.mu.Lock()
	w.nodes[name] = n
	w.mu.Unlock()
	return n
}

func errorsFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// kill makes a node vanish without goodbye: nothing of it is heard any more. Its runs end now, as they do in a process
// that is killed.
func (w *world) kill(n *testNode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(n.gate.dead)
	for i := range w.runs {
		if r := &w.runs[i]; r.node == n.name && r.to.IsZero() {
			r.to = time.Now()
		}
	}
}

// recorder is a partition that writes down when it runs.
type recorder struct {
	w    *world
	node *testNode
	name string
}

func (r recorder) Name() string { return r.name }

func (r recorder) Run(ctx context.Context, fence uint64) error {
	r.w.mu.Lock()
	select {
	case <-r.node.gate.dead:
		r.w.mu.Unlock()
		<-ctx.Done()
		return nil
	default:
	}
	if have := r.w.fences[r.name]; fence <= have {
		r.w.t.Errorf("%s runs on %s with fence %d after %d", r.name, r.node.name, fence, have)
	}
	r.w.fences[r.name] = fence
	i := len(r.w.runs)
	r.w.runs = append(r.w.runs, run{r.name, r.node.name, fence, time.Now(), time.Time{}})
	r.w.mu.Unlock()
	<-ctx.Done()
	if _, ok := r.node.keeper.Owned(r.name); ok {
		time.Sleep(5 * time.Millisecond) // the last commit
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if r.w.runs[i].to.IsZero() {
		r.w.runs[i].to = time.Now()
	}
	return ctx.Err()
}

// checkRuns holds that no partition ever had two owners at once.
func (w *world) checkRuns() {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := map[string]run{}
	for _, r := range w.runs {
		if before, ok := last[r.partition]; ok && (before.to.IsZero() || before.to.After(r.from)) {
			w.t.Errorf("%s ran on %s from %v and on %s until %v", r.partition, r.node, r.from, before.node, before.to)
		}
		last[r.partition] = r
	}
}

// owners returns who runs what now.
func (w *world) owners() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	owners := map[string]string{}
	for _, r := range w.runs {
		if r.to.IsZero() {
			owners[r.partition] = r.node
		}
	}
	return owners
}

// runCount returns how often partitions began to run.
func (w *world) runCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.runs)
}

// await waits until every partition runs where Assign puts it over these nodes.
func (w *world) await(within time.Duration, nodes ...string) time.Duration {
	w.t.Helper()
	want := Assign(w.names, candidates(nodes))
	return w.awaitThat(within, fmt.Sprintf("partitions run as assigned over %v", nodes), func() bool {
		have := w.owners()
		for p, node := range want {
			if have[p] != node {
				return false
			}
		}
		return true
	})
}

func (w *world) awaitThat(within time.Duration, what string, ok func() bool) time.Duration {
	w.t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > within {
			w.t.Fatalf("not within %v: %s; owners: %v", within, what, w.owners())
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(start)
}

func candidates(names []string) []Candidate {
	var c []Candidate
	for _, n := range names {
		c = append(c, Candidate{n, 1})
	}
	return c
}

// differ counts the partitions whose owner differs between two assignments.
func differ(partitions, before, after []string) int {
	n := 0
	a, b := Assign(partitions, candidates(before)), Assign(partitions, candidates(after))
	for p := range a {
		if a[p] != b[p] {
			n++
		}
	}
	return n
}

// memLeases is Leases in memory.
type memLeases struct {
	mu     sync.Mutex
	rev    uint64
	leases map[string]memLease
}

type memLease struct {
	holder   string
	until    time.Time
	revision uint64
}

func newMemLeases() *memLeases { return &memLeases{leases: map[string]memLease{}} }

func (l *memLeases) put(name, holder string, ttl time.Duration) uint64 {
	l.rev++
	l.leases[name] = memLease{holder, time.Now().Add(ttl), l.rev}
	return l.rev
}

// live returns the lease if somebody has it. The caller holds mu.
func (l *memLeases) live(name string) (memLease, bool) {
	x, ok := l.leases[name]
	return x, ok && time.Now().Before(x.until)
}

func (l *memLeases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x, ok := l.live(name); ok && x.holder != holder {
		return 0, concord.Errorf(concord.Conflict, "held by %s", x.holder)
	}
	return l.put(name, holder, ttl), ctx.Err()
}

func (l *memLeases) Renew(ctx context.Context, name, holder string, ttl time.Duration, revision uint64) (uint64, error) {
	if ctx.Err() != nil {
		return 0, concord.Errorf(concord.Unavailable, "renew: %w", ctx.Err())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if x, ok := l.live(name); !ok || x.revision != revision {
		return 0, concord.Errorf(concord.Conflict, "taken or run out")
	}
	return l.put(name, holder, ttl), nil
}

func (l *memLeases) Release(_ context.Context, name string, revision uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leases[name].revision == revision {
		delete(l.leases, name)
	}
	return nil
}
