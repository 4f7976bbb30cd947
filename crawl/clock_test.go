package crawl

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"concord"
)

const hour = int64(time.Hour / time.Millisecond)

// Hosts that rest when the machine's clock is set back by an hour do not rest for that hour, nor do those that were asked shortly before and are
// asked for something new. When it is set forward no host is asked too early.
func TestClockIsSet(t *testing.T) {
	for what, by := range map[string]int64{"back": hour, "forward": -hour} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			const least = 300 * time.Millisecond
			s, idle := mesh(t, 8), mesh(t, 3)
			var done atomic.Bool // 503 once, with a rest of its own
			page := s.pages["/p5"]
			s.handle("/p5", func(w http.ResponseWriter, r *http.Request) {
				if !done.Swap(true) {
					w.Header().Set("Retry-After", "1")
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				page(w, r)
			})
			r := newRig(t, func(c *Config) {
				c.Politeness.MinDelay, c.Politeness.MaxDelay = least, least
				c.Politeness.Retries = []time.Duration{time.Second}
			})
			if c := r.crawl(concord.CrawlSpec{Seeds: []string{idle.host + "/p0"}, MaxPages: 1}); c.Fetched != 1 {
				t.Fatalf("%+v", c)
			}
			id := r.begin(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}})
			until(t, "some requests", func() bool { return len(s.requests()) >= 4 })
			r.c.clock.back.Store(by)
			began := time.Now()
			c := r.wait(id)
			if took := time.Since(began); c.Fetched != 8 || took > 15*time.Second {
				t.Errorf("after %v: %+v", took, c)
			}
			s.gaps(t, least)
			if c := r.crawl(concord.CrawlSpec{Seeds: []string{idle.host + "/p1"}}); c.Fetched < 2 {
				t.Errorf("a host that was asked before the clock was set: %+v", c)
			}
			idle.gaps(t, least)
		})
	}
}

func TestInstant(t *testing.T) {
	var k clock
	k.init()
	a := k.read()
	if a.now != a.wall || a.due != a.wall {
		t.Errorf("%+v, want three times the same", a)
	}
	k.back.Store(hour)
	b := k.read()
	if ahead := b.due - b.wall; b.now < a.now || b.now > a.now+hour/2 || b.wall > a.wall-hour/2 || ahead != hour {
		t.Errorf("an hour back: %+v after %+v", b, a)
	}
	rec := &hostRecord{Last: a.wall, Next: a.wall + 5000}
	if rest := b.rest(rec) - b.now; rest != 5000 {
		t.Errorf("a rest of 5 s that began before is %d ms", rest)
	}
	if rest := b.rest(&hostRecord{Last: b.wall, Next: b.wall + 700}) - b.now; rest != 700 {
		t.Errorf("one that begins now: %d ms", rest)
	}
	if rest := b.rest(&hostRecord{}) - b.now; rest != 0 {
		t.Errorf("a host nobody asked: %d ms", rest)
	}
	if s := b.shows(b.now + 1000).UnixMilli(); s != b.wall+1000 {
		t.Errorf("a second from now the clock shows %d, not %d", s, b.wall+1000)
	}
	k.back.Store(-hour)
	if c := k.read(); c.due != c.wall || c.now > b.now+hour/2 {
		t.Errorf("an hour forward: %+v", c)
	}
	k.back.Store(0)
	if c := k.read(); c.due-c.wall != hour {
		t.Errorf("and back: %+v", c)
	}
}
