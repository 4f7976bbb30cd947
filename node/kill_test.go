package node

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"concord"
)

// A node that is killed again and again while it crawls and attests loses nothing it has shown, and ends where an
// undisturbed one ends: every page found once, every receipt valid.
func TestKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, 10*time.Millisecond)
	dir := shortDir(t)
	p := start(t, dir)
	id := p.crawl(s.URL)
	shown := map[string]string{} // captures by URL, as searches showed them
	for i := range 4 {
		time.Sleep(time.Duration(400+100*i) * time.Millisecond)
		for _, h := range p.search("page") {
			shown[h.URL] = h.Capture
		}
		p.kill()
		p = start(t, dir)
	}
	p.await(id)
	p.attested()
	policy, _ := p.get("/api/v1/policy", nil)
	if found, proven := s.check(p, policy); found != s.pages || proven != s.pages {
		t.Errorf("%d pages found and %d proven, want %d", found, proven, s.pages)
	}
	if len(shown) == 0 {
		t.Error("nothing was shown before the kills: the test tests nothing")
	}
	for u, c := range shown {
		if !captured(p, u, c) {
			t.Errorf("capture %s of %s was shown before a kill and is lost", c, u)
		}
	}
	p.stop()
}

// A node that is killed at any moment of its first start starts again.
func TestKilledYoung(t *testing.T) {
	t.Parallel()
	for i := range 10 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			first := exec.Command(os.Args[0])
			first.Env = append(os.Environ(), childVar+"="+dir)
			if err := first.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(60*i+20) * time.Millisecond)
			_ = first.Process.Kill()
			_ = first.Wait()
			p := start(t, dir)
			if p.alive() && p.addr != "" {
				p.stop()
			} else {
				t.Errorf("killed after %d ms, it does not start again: %s", 60*i+20, p.says())
			}
		})
	}
}

func captured(p *process, u, id string) bool {
	var list struct{ Captures []struct{ ID string } }
	p.json("/api/v1/captures", map[string][]string{"url": {u}, "limit": {"100"}}, &list)
	for _, c := range list.Captures {
		if c.ID == id {
			return true
		}
	}
	return false
}

// The captures log gives back what every consumer has committed.
func TestTrim(t *testing.T) {
	t.Parallel()
	s := newSite(t, 20, 0)
	dir := shortDir(t)
	p := start(t, dir)
	p.await(p.crawl(s.URL))
	p.attested()
	p.stop()

	n, err := Open(t.Context(), testConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for i := range n.layout.Shards {
		if k := messages(t, n, i); k == 0 {
			t.Errorf("the log of shard %d is empty before it is trimmed", i)
		}
	}
	n.trim(t.Context())
	for i := range n.layout.Shards {
		if k := messages(t, n, i); k > 0 {
			t.Errorf("the log of shard %d still has %d messages", i, k)
		}
	}
}

// messages counts what the captures log still has of a shard.
func messages(t *testing.T, n *Node, shard int) (k int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := n.captures.Follow(ctx, concord.CaptureSubject(shard), 0, func(m []concord.Message) error { k += len(m); return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return k
}
