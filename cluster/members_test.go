package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"concord"
	"concord/cluster/memstore"
)

// startMembers runs a member without a keeper.
func startMembers(t *testing.T, store concord.Manifests, self Record) (m *Members, stop func() error) {
	t.Helper()
	m, err := NewMembers(MembersConfig{Store: store, Self: self, TTL: testTTL, Logger: testLogger()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	var err2 error
	ended := false
	stop = func() error {
		if !ended {
			cancel()
			err2, ended = <-done, true
		}
		return err2
	}
	t.Cleanup(func() { _ = stop() }) // its error is the test's to look at
	return m, stop
}

// awaitView waits for a view that is as it should be.
func awaitView(t *testing.T, m *Members, what string, ok func(*View) bool) *View {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		v, changed := m.View()
		if ok(v) {
			return v
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("never: %s; %+v", what, v)
		}
	}
}

func isLive(v *View, name string) bool {
	m, ok := v.Member(name)
	return ok && m.Live
}

func TestViewFollowsMembers(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	a, _ := startMembers(t, store, Record{Name: "a", Version: "1", Addrs: map[string]string{"http": "h:1"}})
	b, stopB := startMembers(t, store, Record{Name: "b", Capacity: 3})
	awaitView(t, a, "b is live", func(v *View) bool { return v.Loaded && isLive(v, "b") })
	v := awaitView(t, b, "a is live", func(v *View) bool { return isLive(v, "a") })
	if m, _ := v.Member("a"); m.Version != "1" || m.Addrs["http"] != "h:1" || m.Capacity != 1 {
		t.Errorf("b takes a for %+v", m)
	}
	b.Update(func(r *Record) {
		r.Serves = []Replica{{Partition: "shard.1", Position: 5}}
		r.Name = "not mine to change"
	})
	awaitView(t, a, "b serves shard.1", func(v *View) bool { m, _ := v.Member("b"); return len(m.Serves) == 1 })
	if len(a.Live()) != 2 {
		t.Errorf("live: %v", a.Live())
	}
	start := time.Now()
	if err := stopB(); err != nil {
		t.Fatal(err)
	}
	v = awaitView(t, a, "b is gone", func(v *View) bool { return !isLive(v, "b") })
	if took := time.Since(start); took > testTTL*3/4 {
		t.Errorf("the goodbye was heard after %v", took)
	}
	if m, _ := v.Member("b"); m.state() != NodeStopped {
		t.Errorf("b is %s", m.state())
	}
}

// Heartbeats alone wake nobody up.
func TestQuietClusterIsQuiet(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	a, _ := startMembers(t, store, Record{Name: "a"})
	startMembers(t, store, Record{Name: "b"})
	awaitView(t, a, "b is live", func(v *View) bool { return v.Loaded && isLive(v, "b") })
	time.Sleep(testTTL / 2) // what a watch tells twice
	_, changed := a.View()
	before := a.LastBeat()
	select {
	case <-changed:
		t.Error("something was told although nothing happened")
	case <-time.After(2 * testTTL):
	}
	if !a.LastBeat().After(before) {
		t.Error("no heartbeat meanwhile")
	}
}

func TestTwoProcessesOfOneName(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	first, stopFirst := startMembers(t, store, Record{Name: "a"})
	awaitView(t, first, "it is in", func(v *View) bool { return v.Loaded })
	second, _ := startMembers(t, store, Record{Name: "a"})
	awaitView(t, second, "it is in", func(v *View) bool { return v.Loaded })
	time.Sleep(testTTL)
	if err := stopFirst(); concord.KindOf(err) != concord.Conflict {
		t.Errorf("the first goes on beside the second: %v", err)
	}
}

func TestJoinedAgainAfterRemoval(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	if _, err := store.Put(t.Context(), leavingPrefix+"a", []byte(`{"removed":true,"generation":1}`), 0); err != nil {
		t.Fatal(err)
	}
	old, stopOld := startMembers(t, store, Record{Name: "a", Generation: 1})
	time.Sleep(testTTL / 10)
	if err := stopOld(); concord.KindOf(err) != concord.Unauthorized {
		t.Errorf("what was removed is back: %v, %v", err, old.Live())
	}
	a, _ := startMembers(t, store, Record{Name: "a", Generation: 2})
	v := awaitView(t, a, "it is in", func(v *View) bool { return v.Loaded })
	if m, _ := v.Member("a"); m.Leaving || len(v.Candidates()) != 1 {
		t.Errorf("joined again, and still counted as leaving: %+v", m)
	}
}

func TestRemoveRevokes(t *testing.T) {
	t.Parallel()
	var revoked []string
	m, err := NewMembers(MembersConfig{Store: memstore.New(), Self: Record{Name: "a"}, Logger: testLogger(),
		Revoke: func(_ context.Context, name string) error { revoked = append(revoked, name); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Remove(t.Context(), "b", false); concord.KindOf(err) != concord.NotFound || len(revoked) != 0 {
		t.Errorf("nobody was removed: %v, %v", err, revoked)
	}
	if err := m.Remove(t.Context(), "b", true); err != nil || len(revoked) != 1 {
		t.Errorf("one that never came: %v, %v", err, revoked)
	}
	m.peers["c"] = &peer{Record: Record{Name: "c"}}
	if err := m.Remove(t.Context(), "c", true); err != nil || len(revoked) != 2 {
		t.Errorf("one that is dead: %v, %v", err, revoked)
	}
}

// flaky is a store whose watches and writes fail when told to.
type flaky struct {
	concord.Manifests
	fail chan struct{} // received: the watch ends
	gate *gate
}

func (f flaky) Watch(ctx context.Context, prefix string, tell func(string, concord.Manifest) error) error {
	if err := f.gate.pass(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-f.fail:
			cancel(errors.New("connection lost"))
		case <-ctx.Done():
		}
	}()
	if err := f.Manifests.Watch(ctx, prefix, tell); err != nil {
		return concord.Errorf(concord.Unavailable, "%w", err)
	}
	return nil
}

// What was deleted while the watch was down is found out once it is up again.
func TestDeletedWhileNotWatching(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	for _, v := range []struct{ name, data string }{{memberPrefix + "gone", `{"name":"gone","capacity":1}`}, {leavingPrefix + "b", `{}`}} {
		if _, err := store.Put(t.Context(), v.name, []byte(v.data), 0); err != nil {
			t.Fatal(err)
		}
	}
	f := flaky{store, make(chan struct{}), &gate{dead: make(chan struct{})}}
	a, _ := startMembers(t, f, Record{Name: "a"})
	startMembers(t, store, Record{Name: "b"})
	awaitView(t, a, "b is leaving and the other known", func(v *View) bool {
		b, _ := v.Member("b")
		_, known := v.Member("gone")
		return known && b.Leaving
	})
	f.gate.cut.Store(true)
	f.fail <- struct{}{}
	time.Sleep(testTTL / 10) // the watch has ended
	for _, name := range []string{memberPrefix + "gone", leavingPrefix + "b"} {
		m, err := store.Get(t.Context(), name)
		if err == nil {
			err = store.Delete(t.Context(), name, m.Revision)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if v, _ := a.View(); len(v.Members) != 3 {
		t.Errorf("a knows without having been told: %+v", v.Members)
	}
	f.gate.cut.Store(false)
	awaitView(t, a, "b is not leaving and the other forgotten", func(v *View) bool {
		b, _ := v.Member("b")
		return len(v.Members) == 2 && !b.Leaving
	})
}

func TestSweep(t *testing.T) {
	t.Parallel()
	start := time.Now()
	m := &Members{cfg: MembersConfig{TTL: 8 * time.Second, Logger: testLogger()}, changed: make(chan struct{}),
		peers: map[string]*peer{"b": {Record: Record{Name: "b"}, live: true, seen: start}}}
	at := func(d time.Duration) bool {
		m.sweep(start.Add(d), time.Second)
		return m.peers["b"].live
	}
	for s := range 7 {
		if !at(time.Duration(s) * time.Second) {
			t.Fatalf("dead after %d s", s)
		}
	}
	// This process stood still for a minute: b was not silent, it was not heard.
	if !at(66 * time.Second) {
		t.Fatal("dead although nobody listened")
	}
	if at(68 * time.Second) {
		t.Fatal("still live after 8 s of silence that were listened to")
	}
}
