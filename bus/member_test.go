package bus

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"concord"

	"github.com/nats-io/nats.go/jetstream"
)

// reader follows a subject until its test ends and keeps the numbers of what came.
type reader struct {
	mu   sync.Mutex
	seqs []uint64
	data map[string]int
	last time.Time
	err  error
}

func follow(t testing.TB, l concord.Log, subject string) *reader {
	r := &reader{data: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		err := l.Follow(ctx, subject, 0, func(ms []concord.Message) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, m := range ms {
				r.seqs = append(r.seqs, m.Seq)
				r.data[string(m.Data)]++
			}
			r.last = time.Now()
			return nil
		})
		if ctx.Err() == nil {
			r.mu.Lock()
			r.err = err
			r.mu.Unlock()
		}
	}()
	return r
}

// complete waits until messages 0 to n-1 have come, each once and in order.
func (r *reader) complete(t testing.TB, n int) {
	t.Helper()
	eventually(t, 20*time.Second, fmt.Sprintf("%d messages read", n), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.err != nil {
			t.Fatal(r.err)
		}
		return len(r.data) >= n
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range n {
		if c := r.data[fmt.Sprintf("message %d", i)]; c != 1 {
			t.Fatalf("message %d came %d times", i, c)
		}
	}
	for i := 1; i < len(r.seqs); i++ {
		if r.seqs[i] <= r.seqs[i-1] {
			t.Fatalf("message %d came after %d", r.seqs[i], r.seqs[i-1])
		}
	}
}

func leaderOf(t testing.TB, b *Bus, stream string) string {
	t.Helper()
	logs, err := b.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range logs {
		if l.Name == stream {
			return l.Leader
		}
	}
	return ""
}

func settled(t testing.TB, b *Bus, without string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := b.Settled(ctx, without); err != nil {
		t.Fatal(err)
	}
}

// appender appends batches of ten, numbered, until stopped, and remembers the longest wait for an acknowledgement.
type appender struct {
	l       concord.Log
	next    int
	longest time.Duration
}

func (a *appender) run(t testing.TB, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		asked := time.Now()
		if _, err := a.l.Append(t.Context(), batch("capture.0", a.next, 10)...); err != nil {
			t.Fatalf("append of %d after %v: %v", a.next, time.Since(asked), err)
		}
		a.longest = max(a.longest, time.Since(asked))
		a.next += 10
	}
}

func TestCluster(t *testing.T) {
	long(t)
	t.Parallel()
	c := newCluster(t, 3)
	started := time.Now()
	b := c.mixed()
	t.Logf("three nodes serve after %v", time.Since(started))
	ctx := t.Context()
	l := openLog(t, b)
	if c := l.(*log).stream.CachedInfo().Config.Compression; c != jetstream.NoCompression {
		t.Fatalf("the log's copies are compressed: %v", c) // see Bus.compression
	}
	leases, err := b.Leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	settled(t, b, "")
	logs, err := b.Logs(ctx)
	if err != nil || len(logs) != 2 || logs[0].Replicas != 3 || len(logs[0].Copies) != 3 {
		t.Fatalf("logs: %+v, %v", logs, err)
	}
	peers, err := b.Peers(ctx)
	if err != nil || len(peers) != 3 {
		t.Fatalf("peers: %+v, %v", peers, err)
	}
	for i, p := range peers {
		if p.Name != c.name(i) || p.Address != c.addrs[i] || !p.Online || p.Self != (i == 0) {
			t.Errorf("peer %+v", p)
		}
	}

	r := follow(t, l, "capture.0")
	a := &appender{l: l}
	a.run(t, 300*time.Millisecond)
	r.complete(t, a.next)
	lease, err := leases.Acquire(ctx, "shard.0", "node-0", 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leases.Acquire(ctx, "shard.0", "node-1", time.Second); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("second holder: %v", err)
	}

	t.Run("renewals", func(t *testing.T) {
		for i := range 300 { // the engine refuses a few in ten thousand although their revision is right
			if lease, err = leases.Renew(ctx, "shard.0", "node-0", 30*time.Second, lease); err != nil {
				t.Fatalf("renewal %d: %v", i, err)
			}
		}
	})

	t.Run("stranger", func(t *testing.T) { stranger(t, c, b) })

	t.Run("kill of a follower", func(t *testing.T) {
		victim := 1
		if leaderOf(t, b, "CAPTURES") == c.name(1) {
			victim = 2
		}
		c.kill(victim)
		a.longest = 0
		a.run(t, time.Second)
		t.Logf("longest append %v", a.longest)
		if lease, err = leases.Renew(ctx, "shard.0", "node-0", 30*time.Second, lease); err != nil {
			t.Fatal(err)
		}
		c.wait(c.spawn(victim))
		settled(t, b, "")
	})

	t.Run("kill of the leader", func(t *testing.T) {
		if err := b.Yield(ctx); err != nil {
			t.Fatal(err)
		}
		victim := 1
		if leaderOf(t, b, "CAPTURES") == c.name(2) {
			victim = 2
		}
		time.AfterFunc(300*time.Millisecond, func() { _ = c.kids[victim].cmd.Process.Kill() })
		a.longest = 0
		a.run(t, 2*time.Second)
		t.Logf("longest append %v", a.longest)
		// The engine's followers wait 4 to 9 s before they stand for election, which cannot be changed from outside.
		if a.longest > 12*time.Second {
			t.Errorf("appends stood still for %v", a.longest)
		}
		asked := time.Now()
		if lease, err = leases.Renew(ctx, "shard.0", "node-0", 30*time.Second, lease); err != nil {
			t.Fatalf("renew after %v: %v", time.Since(asked), err)
		}
		r.complete(t, a.next)
		c.kill(victim)
		c.wait(c.spawn(victim))
		settled(t, b, "")
	})

	t.Run("a planned stop", func(t *testing.T) {
		for leaderOf(t, b, "CAPTURES") != c.name(1) {
			if err := ask(ctx, b, b.conn, "$JS.API.STREAM.LEADER.STEPDOWN.CAPTURES", nil); err != nil {
				t.Fatal(err)
			}
		}
		a.longest = 0
		stopped := make(chan error, 1)
		go func() {
			time.Sleep(300 * time.Millisecond)
			_, _ = c.kids[1].in.Write([]byte("close\n"))
			stopped <- c.kids[1].cmd.Wait()
		}()
		a.run(t, 3*time.Second)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		t.Logf("longest append %v", a.longest)
		if a.longest > 4*time.Second { // what an election takes at the least
			t.Errorf("a planned stop cost %v", a.longest)
		}
		r.complete(t, a.next)
		c.kids[1] = nil
		c.wait(c.spawn(1))
		settled(t, b, "")
	})

	t.Run("trim", func(t *testing.T) {
		if err := l.Trim(ctx, "capture.0", 100); err != nil {
			t.Fatal(err)
		}
		if got := collect(t, l, "capture.0", 0, 10); got[0].Seq != 101 {
			t.Fatalf("after the trim the log starts at %d", got[0].Seq)
		}
	})

	t.Run("restart of all", func(t *testing.T) {
		end, err := l.Last(ctx, "capture.*")
		if err != nil {
			t.Fatal(err)
		}
		c.kill(1)
		c.kill(2)
		b.Close()
		started := time.Now()
		b = c.mixed()
		t.Logf("serve again after %v", time.Since(started))
		l = openLog(t, b)
		if again, err := l.Last(ctx, "capture.*"); err != nil || again != end {
			t.Fatalf("the log ended at %d, now at %d, %v", end, again, err)
		}
		if leases, err = b.Leases(ctx); err != nil {
			t.Fatal(err)
		}
		if lease, err = leases.Renew(ctx, "shard.0", "node-0", 30*time.Second, lease); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("drain and remove", func(t *testing.T) {
		err := b.Drain(ctx, "node-2")
		if concord.KindOf(err) != concord.Invalid {
			t.Fatalf("drain of one of three: %v", err)
		}
		if err := b.Remove(ctx, "nobody"); concord.KindOf(err) != concord.NotFound {
			t.Fatalf("remove a stranger: %v", err)
		}
		c.wait(c.spawn(c.add()))
		eventually(t, 10*time.Second, "four nodes", func() bool { return b.clusterSize() == 4 })
		limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		started := time.Now()
		if err := b.Drain(limited, "node-2"); err != nil {
			t.Fatal(err)
		}
		t.Logf("drained in %v", time.Since(started))
		c.kill(2)
		started = time.Now()
		if err := b.Remove(limited, "node-2"); err != nil {
			t.Fatal(err)
		}
		t.Logf("removed in %v", time.Since(started))
		if peers, err := b.Peers(ctx); err != nil || len(peers) != 3 {
			t.Fatalf("peers: %+v, %v", peers, err)
		}
		a.l = l
		a.run(t, 200*time.Millisecond)
	})
}

// stranger is a node that another authority certified: it neither joins nor is spoken to.
func stranger(t *testing.T, c *testCluster, b *Bus) {
	cfg := c.config(0)
	cfg.NodeName, cfg.Dir = "stranger", t.TempDir()
	other := newCluster(t, 1)
	cfg.Cluster.TLS, cfg.Cluster.Listen, cfg.Cluster.Peers = loadTLS(newAuthority(t).issue(t)), other.addrs[0], c.addrs
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if s, err := Open(ctx, cfg); err == nil {
		s.Close()
		t.Fatal("a node with another authority's certificate joined")
	} else if concord.KindOf(err) != concord.Unavailable {
		t.Fatal(err)
	}
	if peers, err := b.Peers(t.Context()); err != nil || len(peers) != 3 {
		t.Fatalf("peers: %+v, %v", peers, err)
	}
}
