package crawl

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concord"
)

// gaps checks that a server was never asked twice at a time, nor before a pause was over.
func (s *site) gaps(t *testing.T, least time.Duration) {
	t.Helper()
	hits := s.requests()
	if s.over > 0 {
		t.Errorf("%s: %d requests came while another was being answered", s.host, s.over)
	}
	for i := 1; i < len(hits); i++ {
		// The server notes a request's end a little after its client does.
		if gap := hits[i].start.Sub(hits[i-1].end); gap < least-3*time.Millisecond {
			t.Errorf("%s: %s came %s after %s, want %s", s.host, hits[i].path, gap, hits[i-1].path, least)
		}
	}
}

func TestDelays(t *testing.T) {
	t.Parallel()
	var seeds []string
	var sites []*site
	for range 6 {
		s := mesh(t, 8)
		sites, seeds = append(sites, s), append(seeds, s.host+"/p0")
	}
	r := newRig(t, func(c *Config) {
		c.Politeness.MinDelay, c.Politeness.MaxDelay = 30*time.Millisecond, 40*time.Millisecond
	})
	began := time.Now()
	crawl := r.crawl(concord.CrawlSpec{Seeds: seeds})
	if crawl.Fetched != 48 {
		t.Errorf("crawl: %+v", crawl)
	}
	for _, s := range sites {
		s.gaps(t, 30*time.Millisecond)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("six hosts side by side took %s", took)
	}
}

func TestSlowHostIsSpared(t *testing.T) {
	t.Parallel()
	s := mesh(t, 4)
	s.handle("*", func(w http.ResponseWriter, r *http.Request) {})
	slow := s.pages["/p1"]
	s.handle("/p1", func(w http.ResponseWriter, r *http.Request) { time.Sleep(60 * time.Millisecond); slow(w, r) })
	r := newRig(t, func(c *Config) {
		c.Politeness.MinDelay, c.Politeness.MaxDelay, c.Politeness.Factor = time.Millisecond, time.Second, 3
	})
	r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}})
	hits := s.requests()
	for i := range hits[:len(hits)-1] {
		if hits[i].path == "/p1" {
			if gap := hits[i+1].start.Sub(hits[i].end); gap < 175*time.Millisecond {
				t.Errorf("after an answer of 60 ms the host rested for %s, want 180 ms", gap)
			}
		}
	}
}

func TestCrawlDelay(t *testing.T) {
	t.Parallel()
	s := mesh(t, 4)
	s.raw("/robots.txt", "text/plain", "User-agent: *\nCrawl-delay: 0.1\n")
	r := newRig(t, nil)
	r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}})
	hits := s.requests()
	for i := 2; i < len(hits); i++ {
		if gap := hits[i].start.Sub(hits[i-1].end); gap < 95*time.Millisecond {
			t.Errorf("%s came after %s, want 100 ms", hits[i].path, gap)
		}
	}
}

// TestAddressIsShared has many names on one address: they take turns.
func TestAddressIsShared(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.handle("*", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<title>%s</title><p>This is the page of %s", r.Host, r.Host)
	})
	s.status("/robots.txt", 404)
	_, port, _ := strings.Cut(s.addr, ":")
	addr := netip.MustParseAddrPort(s.addr).Addr().String()
	m := map[string]string{}
	var seeds []string
	for i := range 6 {
		name := fmt.Sprintf("n%d.example", i)
		m[name] = addr
		seeds = append(seeds, "http://"+name+":"+port+"/")
	}
	r := newRig(t, func(c *Config) {
		c.Resolve = names(m)
		c.Politeness.PerAddress = 80 * time.Millisecond
	})
	crawl := r.crawl(concord.CrawlSpec{Seeds: seeds})
	if crawl.Fetched != 6 {
		t.Errorf("crawl: %+v", crawl)
	}
	hits := s.requests()
	// A busy machine delays single arrivals, never the sum of the turns by much.
	if n := len(hits); n < 6 || hits[n-1].start.Sub(hits[0].start) < time.Duration(n-2)*80*time.Millisecond {
		t.Errorf("%d requests to one address within %s, want 80 ms between two", n, hits[n-1].start.Sub(hits[0].start))
	}
}

func TestThrottlingAndRetries(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var busy, broken, dead atomic.Int32
	answer := func(n *atomic.Int32, after int32, code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) > after {
				fmt.Fprintf(w, "<title>%s</title><p>Now this page is here, under %s", r.URL, r.URL)
				return
			}
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	s.handle("/busy", answer(&busy, 2, 429, "Retry-After", "1"))
	s.handle("/broken", answer(&broken, 1, 500))
	s.handle("/dead", answer(&dead, 1000, 502))
	r := newRig(t, func(c *Config) { c.Politeness.Patience = time.Minute })
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/busy", s.host + "/broken", s.host + "/dead"}})
	if crawl.Fetched != 3 || crawl.Indexed != 2 || crawl.Skipped != 1 || crawl.Failed != 0 {
		t.Errorf("crawl: %+v", crawl)
	}
	if busy.Load() != 3 || broken.Load() != 2 || dead.Load() != 3 {
		t.Errorf("asked %d, %d, %d times", busy.Load(), broken.Load(), dead.Load())
	}
	hits := s.requests()
	for i := range hits[:len(hits)-1] {
		if hits[i].path == "/busy" && s.count("/busy") == 3 {
			rest := hits[i+1].start.Sub(hits[i].end)
			if first := hits[i].path == "/busy" && i < len(hits)-2; first && rest < 990*time.Millisecond && rest > 0 && countBefore(hits, i, "/busy") < 2 {
				t.Errorf("after Retry-After: 1 the host was asked again after %s", rest)
			}
		}
	}
	if got := r.why(s.host + "/dead"); got.Status != 502 || got.Skip != "status 502" {
		t.Errorf("why: %+v", got)
	}
}

func countBefore(hits []hit, i int, path string) int {
	n := 0
	for _, h := range hits[:i] {
		if h.path == path {
			n++
		}
	}
	return n
}

// TestLongWaitsEndACrawl: what waits for longer than a crawl does counts as failed until its retry, which fetches it all the same.
func TestLongWaitsEndACrawl(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var asked atomic.Int32
	s.handle("/", func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(500)
			return
		}
		fmt.Fprint(w, "<title>t</title><p>There you are at last")
	})
	r := newRig(t, func(c *Config) {
		c.Politeness.Patience = 100 * time.Millisecond
		c.Politeness.Retries = []time.Duration{600 * time.Millisecond}
		c.Resolve = names(nil)
	})
	id := r.begin(concord.CrawlSpec{Seeds: []string{s.host, "http://no.such.host.example/"}})
	crawl := r.wait(id)
	if crawl.Failed != 2 || crawl.Fetched != 0 || crawl.Queued != 0 {
		t.Errorf("crawl: %+v", crawl)
	}
	if got := r.why(s.host + "/"); got.State != "failed" || !strings.Contains(got.Reason, "500") || got.Next.IsZero() {
		t.Errorf("why: %+v", got)
	}
	if got := r.why("http://no.such.host.example/"); got.State != "queued" || !strings.Contains(got.Reason, "resolve") {
		t.Errorf("why: %+v", got)
	}
	for range 400 {
		if crawl, _ = r.c.Crawl(t.Context(), id); crawl.Fetched == 1 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if crawl.Failed != 1 || crawl.Fetched != 1 || crawl.Indexed != 1 || !crawl.Done() {
		t.Errorf("after the retry: %+v", crawl)
	}
}

func TestPolitenessRules(t *testing.T) {
	t.Parallel()
	p := Config{}.withDefaults().Politeness
	at := int64(1_000_000)
	ask := func(h *hostRecord, o observation) time.Duration {
		o.start = at
		p.observe(h, &o)
		at = h.Next
		return time.Duration(h.Next-o.start-o.took) * time.Millisecond
	}
	near := func(got, want time.Duration) bool { return got >= want && got <= want+want/10+time.Millisecond }
	h := new(hostRecord)
	for _, c := range []struct {
		o    observation
		want time.Duration
		why  string
	}{
		{observation{status: 200, took: 20}, time.Second, "delay"},
		{observation{status: 200, took: 900}, 4500 * time.Millisecond, "delay"},
		{observation{status: 200, took: 60_000}, 30 * time.Second, "delay"},
		{observation{status: 503, took: 20}, 10 * time.Second, "back-off after 503"},
		{observation{status: 429, took: 20}, 20 * time.Second, "back-off after 429"},
		{observation{outcome: failed, note: "timeout", took: 10_000}, 80 * time.Second, "back-off after timeout"},
		{observation{status: 429, took: 20, retryAfter: 600_000}, 600 * time.Second, "retry-after"},
		{observation{status: 429, took: 20, retryAfter: 1 << 40}, 24 * time.Hour, "retry-after"},
		{observation{status: 200, took: 20}, 160 * time.Second, "back-off after earlier trouble"},
	} {
		if got := ask(h, c.o); !near(got, c.want) || h.Reason != c.why {
			t.Errorf("%+v: next after %s because of %q, want %s because of %q", c.o, got, h.Reason, c.want, c.why)
		}
	}
	for range 60 {
		ask(h, observation{status: 200, took: 20})
	}
	if h.Backoff != 0 {
		t.Errorf("after 60 good answers the back-off is %d", h.Backoff)
	}
	h.CrawlDelay = 7_000
	if got := ask(h, observation{status: 200, took: 20}); !near(got, 7*time.Second) || h.Reason != "crawl-delay" {
		t.Errorf("crawl-delay 7 s: %s", got)
	}
	h.CrawlDelay = 86_400_000
	if got := ask(h, observation{status: 200, took: 20}); !near(got, 300*time.Second) {
		t.Errorf("crawl-delay of a day: %s", got)
	}
	h = new(hostRecord)
	for i, want := range []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour} {
		if got := ask(h, observation{outcome: unresolved, note: "no such host"}); got != want || !h.Parked {
			t.Errorf("name that does not resolve, time %d: %s (parked %v), want %s", i, got, h.Parked, want)
		}
	}
	for range 30 {
		ask(h, observation{outcome: unresolved})
	}
	if got := ask(h, observation{outcome: unresolved}); got != 7*24*time.Hour {
		t.Errorf("name that never resolves: %s", got)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for value, want := range map[string]int64{"": 0, "120": 120_000, " 5 ": 5_000, "-3": 0, "soon": 0, "99999999999999999999": 0,
		"Sun, 22 Nov 2026 10:02:00 GMT": 120_000, "Sun, 22 Nov 2026 09:00:00 GMT": 0} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
}

// One page that is always too busy must not keep a crawl open: what waits for longer than its patience is for later.
func TestBusyForEverIsForLater(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.status("/robots.txt", 404)
	s.html("/", "the page that can be had", "/busy")
	s.status("/busy", 503)
	r := newRig(t, func(c *Config) {
		c.Politeness.BackoffUnit, c.Politeness.Patience = 100*time.Millisecond, 300*time.Millisecond
		c.Politeness.MaxBackoff, c.Politeness.Retries = time.Minute, []time.Duration{time.Second, time.Minute}
	})
	began := time.Now()
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/"}})
	if took := time.Since(began); took > 5*time.Second || crawl.Indexed != 1 || crawl.Failed != 1 {
		t.Errorf("after %v: %+v", took, crawl)
	}
}

// The rest of a host is counted from a request's end as its message has it: rounding must not put that before the true end.
func TestSpanIsNeverShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ begin, took time.Duration }{{0, 0}, {900 * time.Microsecond, 10950 * time.Microsecond}, {1, 1}, {999999, 1}, {999999, 2}, {0, time.Millisecond}} {
		began := time.UnixMilli(1700000000000).Add(c.begin)
		start, ms := span(began, c.took)
		end := time.UnixMilli(start + ms)
		if rest := end.Sub(began.Add(c.took)); rest < 0 || rest >= time.Millisecond || time.UnixMilli(start).After(began) {
			t.Errorf("begun at +%v, %v long: from %d ms for %d ms, which ends %v after the end", c.begin, c.took, start, ms, rest)
		}
	}
}
