package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"concord"
)

// content is what a bus has for its users: what Grow must not change.
type content struct {
	Messages []concord.Message
	Last     uint64
	Lease    string
	Fence    uint64
}

// fillOld makes the directory of a node that was alone: logs with a trimmed subject, a lease that is held and one that was given back.
func fillOld(t *testing.T, n int) (dir string, want content) {
	t.Helper()
	dir = t.TempDir()
	b := open(t, dir)
	defer b.Close()
	ctx := t.Context()
	l := openLog(t, b)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < n; i += 100 {
		ms := batch(fmt.Sprintf("capture.%d", i/100%4), i, 100)
		for j := range ms {
			noise := make([]byte, 500+rng.IntN(1000))
			for k := range noise {
				noise[k] = byte(rng.Uint32())
			}
			ms[j].Data = append(ms[j].Data, noise...)
		}
		if _, err := l.Append(ctx, ms...); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Trim(ctx, "capture.1", uint64(n/2)); err != nil {
		t.Fatal(err)
	}
	f, err := b.Log(ctx, "FRONTIER", "frontier.*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Append(ctx, batch("frontier.0", 0, 50)...); err != nil {
		t.Fatal(err)
	}
	if err := f.Trim(ctx, "frontier.0", 50); err != nil { // an empty log that goes on at 51
		t.Fatal(err)
	}
	leases, err := b.Leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := leases.Acquire(ctx, "frontier.0", "node-0", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := leases.Release(ctx, "frontier.0", r); err != nil {
		t.Fatal(err)
	}
	if want.Fence, err = leases.Acquire(ctx, "shard.0", "node-0", time.Hour); err != nil {
		t.Fatal(err)
	}
	got := read(t, b)
	got.Fence = want.Fence
	return dir, got
}

func read(t *testing.T, b *Bus) content {
	t.Helper()
	ctx := t.Context()
	l := openLog(t, b)
	last, err := l.Last(ctx, "capture.*")
	if err != nil {
		t.Fatal(err)
	}
	c := content{Last: last}
	stop := fmt.Errorf("stop")
	if err := l.Follow(ctx, "capture.*", 0, func(ms []concord.Message) error {
		c.Messages = append(c.Messages, ms...)
		if ms[len(ms)-1].Seq == last {
			return stop
		}
		return nil
	}); err != stop {
		t.Fatal(err)
	}
	leases, err := b.Leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	e, err := leases.read(ctx, "shard.0")
	if err != nil {
		t.Fatal(err)
	}
	c.Lease, c.Fence = e.holder, e.revision
	return c
}

func equal(t *testing.T, what string, got, want content) {
	t.Helper()
	if got.Last != want.Last || got.Lease != want.Lease || got.Fence != want.Fence || len(got.Messages) != len(want.Messages) {
		t.Fatalf("%s: ends at %d with %d messages, lease of %q at %d; want %d, %d, %q, %d", what,
			got.Last, len(got.Messages), got.Lease, got.Fence, want.Last, len(want.Messages), want.Lease, want.Fence)
	}
	for i, m := range want.Messages {
		g := got.Messages[i]
		if g.Seq != m.Seq || g.Subject != m.Subject || g.ID != m.ID || !g.Time.Equal(m.Time) || string(g.Data) != string(m.Data) {
			t.Fatalf("%s: message %d on %s differs from %d on %s", what, g.Seq, g.Subject, m.Seq, m.Subject)
		}
	}
}

// TestGrow kills the process that moves a directory into a cluster at every stage, and lets the next finish.
func TestGrow(t *testing.T) {
	long(t)
	t.Parallel()
	from, want := fillOld(t, 8000)
	c := newCluster(t, 3)
	r1, r2 := c.spawn(1), c.spawn(2)
	c.wait(r1)
	c.wait(r2)
	kills := []struct {
		stage string
		after int
	}{{"copy", 3}, {"verify", 3}, {"done", 1}}
	for _, k := range kills {
		job, _ := json.Marshal(childJob{Dir: c.dirs[0], Name: c.name(0), Listen: c.addrs[0], TLSDir: c.certs[0], Peers: []string{c.addrs[1], c.addrs[2]},
			Grow: from, DieStage: k.stage, DieAfter: k.after})
		started := time.Now()
		kid, ready := spawnChild(t, job)
		err := <-ready
		_ = kid.cmd.Process.Kill()
		_ = kid.cmd.Wait()
		if err == nil || strings.HasPrefix(err.Error(), "child:") {
			t.Fatalf("%s: the child was not killed: %v", k.stage, err)
		}
		moved, err := Moved(from)
		if err != nil || moved != (k.stage == "done") {
			t.Fatalf("%s: moved %v, %v", k.stage, moved, err)
		}
		t.Logf("killed at %s %d, %v after its start", k.stage, k.after, time.Since(started))
		old, err := Open(t.Context(), Config{Dir: from, NodeName: "node-0", Logger: testLogger()})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "old directory after the kill at "+k.stage, read(t, old), want)
		old.Close()
	}
	c.open(0)
	b := c.buses[0]
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := Grow(ctx, from, b, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(from); err != nil {
		t.Fatal(err)
	}
	equal(t, "cluster", read(t, b), want)
	settled(t, b, "")
	logs, err := b.Logs(ctx)
	if err != nil || len(logs) != 3 {
		t.Fatalf("%+v, %v", logs, err)
	}
	for _, l := range logs {
		if l.Replicas != 3 {
			t.Errorf("%s has %d copies", l.Name, l.Replicas)
		}
	}
	l := openLog(t, b)
	if seq, err := l.Append(ctx, batch("capture.0", 100000, 1)...); err != nil || seq != want.Last+1 {
		t.Fatalf("the log goes on at %d, %v; want %d", seq, err, want.Last+1)
	}
	f, err := b.Log(ctx, "FRONTIER", "frontier.*")
	if err != nil {
		t.Fatal(err)
	}
	if seq, err := f.Append(ctx, batch("frontier.0", 100, 1)...); err != nil || seq != 51 {
		t.Fatalf("the empty log goes on at %d, %v", seq, err)
	}
}

func TestGrowToOperatorsServer(t *testing.T) {
	long(t)
	t.Parallel()
	from, want := fillOld(t, 1000)
	b := openURL(t, operatorServer(t, nil))
	stages := map[string]bool{}
	for range 2 { // the second finds that all is done
		if err := Grow(t.Context(), from, b, func(p GrowProgress) { stages[p.Stage] = true }); err != nil {
			t.Fatal(err)
		}
	}
	if len(stages) != 4 {
		t.Errorf("stages: %v", stages)
	}
	equal(t, "server", read(t, b), want)
	other, _ := fillOld(t, 200)
	if err := Grow(t.Context(), other, b, nil); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("another node's directory: %v", err)
	}
	if err := Grow(t.Context(), t.TempDir(), b, nil); concord.KindOf(err) != concord.Invalid {
		t.Fatalf("an empty directory: %v", err)
	}
}

// A node that was killed holds its leases, which run out while they are moved, in either engine at its own time.
func TestGrowWhileLeasesRunOut(t *testing.T) {
	long(t)
	t.Parallel()
	from := t.TempDir()
	old := open(t, from)
	leases, err := old.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var last uint64
	for i := range 10 {
		if last, err = leases.Acquire(t.Context(), fmt.Sprintf("shard.%d", i), "node-0", 2*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	old.Close()
	b := openURL(t, operatorServer(t, nil))
	if err := Grow(t.Context(), from, b, func(p GrowProgress) {
		if p.Stage == "raise" {
			time.Sleep(3 * time.Second)
		}
	}); err != nil {
		t.Fatal(err)
	}
	moved, err := b.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if fence, err := moved.Acquire(t.Context(), "shard.0", "node-1", time.Minute); err != nil || fence <= last {
		t.Fatalf("the next fence is %d, %v; want more than %d", fence, err, last)
	}
}
