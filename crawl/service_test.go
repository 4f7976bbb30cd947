package crawl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concord"
	"concord/warc"
)

// TestNothingIsLostWhenALogIsNotThere: fetchers wait for a log or archive that is not available, and go on.
func TestNothingIsLostWhenALogIsNotThere(t *testing.T) {
	t.Parallel()
	s := mesh(t, 40)
	r := newRig(t, nil)
	var down atomic.Bool
	var refused atomic.Int32
	fail := func([]concord.Message) error {
		if down.Load() {
			refused.Add(1)
			return concord.Errorf(concord.Unavailable, "the log is full")
		}
		return nil
	}
	id := r.begin(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}})
	r.frontier.mu.Lock()
	r.frontier.fail = fail
	r.frontier.mu.Unlock()
	r.captures.mu.Lock()
	r.captures.fail = fail
	r.captures.mu.Unlock()
	for range 3 {
		down.Store(true)
		time.Sleep(60 * time.Millisecond)
		down.Store(false)
		time.Sleep(60 * time.Millisecond)
	}
	crawl := r.wait(id)
	if crawl.Fetched != 40 || len(r.indexed()) != 40 || refused.Load() == 0 {
		t.Errorf("crawl: %+v, refused %d", crawl, refused.Load())
	}
	for _, h := range s.requests() {
		if s.count(h.path) != 1 {
			t.Errorf("%s was asked for %d times", h.path, s.count(h.path))
		}
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := mesh(t, 5)
	var free atomic.Uint64
	free.Store(1)
	r := newRig(t, func(c *Config) {
		c.FreeSpaceFloor = 1 << 20
		c.FreeSpace = func(string) (uint64, uint64, error) { return free.Load(), 1 << 40, nil }
	})
	until(t, "the floor", func() bool { return r.c.stalled() != "" })
	id := r.begin(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}})
	time.Sleep(100 * time.Millisecond)
	totals, err := r.c.Totals(t.Context())
	if err != nil || !strings.Contains(totals.Stalled, "disk") || len(s.requests()) != 0 {
		t.Errorf("totals %+v, %d requests, %v", totals, len(s.requests()), err)
	}
	free.Store(1 << 30)
	if crawl := r.wait(id); crawl.Fetched != 5 {
		t.Errorf("crawl: %+v", crawl)
	}
}

func TestRestartGoesOn(t *testing.T) {
	t.Parallel()
	s := mesh(t, 60)
	r := newRig(t, nil)
	id := r.begin(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}})
	for i := range 3 {
		until(t, "some pages", func() bool { return len(s.requests()) > 10*(i+1) })
		r.restart()
	}
	crawl := r.wait(id)
	if crawl.Fetched != 60 || crawl.Indexed != 60 || len(r.indexed()) != 60 {
		t.Errorf("crawl: %+v", crawl)
	}
	seq, done, err := r.c.Drained(t.Context(), id)
	last, _ := r.captures.Last(t.Context(), "capture.*")
	if err != nil || !done || seq == 0 || seq > last {
		t.Errorf("drained: %d of %d, %v, %v", seq, last, done, err)
	}
}

func TestFences(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.close()
	c, err := Open(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	run := func(fence uint64) error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return c.Partitions()[0].Run(ctx, fence)
	}
	for _, step := range []struct {
		fence uint64
		ok    bool
	}{{7, true}, {6, false}, {7, true}, {9, true}, {8, false}} {
		err := run(step.fence)
		if ok := errors.Is(err, context.DeadlineExceeded); ok != step.ok || !ok && concord.KindOf(err) != concord.Conflict {
			t.Errorf("fence %d: %v", step.fence, err)
		}
	}
	if name := c.Partitions()[2].Name(); name != "frontier.2" {
		t.Errorf("name %q", name)
	}
}

// TestLogThatDoesNotBelong: a state that is ahead of its log would pass over all that comes.
func TestLogThatDoesNotBelong(t *testing.T) {
	t.Parallel()
	s := mesh(t, 3)
	r := newRig(t, nil)
	r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}})
	r.close()
	r.cfg.Frontier = newMemLog()
	c, err := Open(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, f := range c.Partitions() {
		if err := f.Run(t.Context(), 1); concord.KindOf(err) != concord.Corrupt {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.html("/", "The front page links to another", "/secret")
	s.html("/secret", "Something that should not be found")
	r := newRig(t, nil)
	r.crawl(concord.CrawlSpec{Seeds: []string{s.host}})
	if err := r.c.Delete(t.Context(), s.host+"/unknown", ""); concord.KindOf(err) != concord.NotFound {
		t.Errorf("unknown page: %v", err)
	}
	if err := r.c.Delete(t.Context(), s.host+"/secret", "asked to"); err != nil {
		t.Fatal(err)
	}
	r.crawl(concord.CrawlSpec{Seeds: []string{s.host}})
	if s.count("/secret") != 1 || len(r.indexed()) != 1 {
		t.Errorf("asked for %d times, indexed %v", s.count("/secret"), r.indexed())
	}
	if why := r.why(s.host + "/secret"); why.State != "refused" || why.Reason != "asked to" || why.Indexed {
		t.Errorf("why: %+v", why)
	}
}

// TestASecondCrawlAdopts: what an earlier crawl fetched is fetched once more, so that its links count.
func TestASecondCrawlAdopts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.html("/", "The front page of it all", "/a")
	s.html("/a", "A page in between", "/b")
	s.html("/b", "A page at the end of the way")
	r := newRig(t, nil)
	first := r.crawl(concord.CrawlSpec{Seeds: []string{s.host}, Depth: 1})
	second := r.crawl(concord.CrawlSpec{Seeds: []string{s.host}})
	if first.Fetched != 2 || second.Fetched != 3 || second.Indexed != 3 {
		t.Errorf("first %+v, second %+v", first, second)
	}
	c := r.captured(s.host + "/a")
	if len(c) != 2 || c[1].Revisit != c[0].ID || c[1].Crawl != second.ID {
		t.Errorf("captures: %+v", c)
	}
	if why := r.why(s.host + "/a"); why.Crawl != second.ID || !why.Indexed {
		t.Errorf("why: %+v", why)
	}
}

func TestWatchAndHosts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.html("/", "The front page", "/a")
	s.html("/a", "Another page")
	s.raw("/robots.txt", "text/plain", "User-agent: *\nDisallow: /a\n")
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	events := r.c.Watch(ctx)
	idle := r.c.Watch(ctx) // nobody reads it
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host}})
	cancel()
	notes := map[string]string{}
	for e := range events {
		notes[strings.TrimPrefix(e.URL, s.host)] = e.Note
		if e.Crawl != crawl.ID {
			t.Errorf("event: %+v", e)
		}
	}
	for range idle {
	}
	want := map[string]string{"/robots.txt": "robots.txt: rules", "/": "indexed", "/a": "refused: robots.txt line 2: Disallow: /a", "/sitemap.xml": "sitemap"}
	for path, note := range want {
		if notes[path] != note {
			t.Errorf("%s: %q, want %q", path, notes[path], note)
		}
	}
	if recent := r.c.Recent(2); len(recent) != 2 || recent[0].Time.Before(recent[1].Time) {
		t.Errorf("recent: %+v", recent)
	}
	hosts, err := r.c.Hosts(t.Context(), 10)
	if err != nil || len(hosts) != 1 || hosts[0].Host != s.host || hosts[0].Fetched != 3 || !strings.HasPrefix(hosts[0].Robots, "rules from") {
		t.Errorf("hosts: %+v, %v", hosts, err)
	}
	stats := r.c.Stats()
	if stats.Status["2xx"] != 2 || stats.Status["4xx"] != 1 || stats.Refusals["robots.txt"] != 1 || stats.Robots != 1 || stats.InFlight != 0 {
		t.Errorf("stats: %+v", stats)
	}
	unknown := r.why("http://elsewhere.example/")
	if unknown.State != "unknown" || !strings.Contains(unknown.Reason, "scope") {
		t.Errorf("unknown: %+v", unknown)
	}
}

func TestWatchIsARing(t *testing.T) {
	t.Parallel()
	c := new(Crawler)
	c.watch.init()
	for i := range recentEvents + 10 {
		c.watch.emit(concord.CrawlEvent{Status: i})
	}
	got := c.Recent(recentEvents * 2)
	if len(got) != recentEvents || got[0].Status != recentEvents+9 || got[recentEvents-1].Status != 10 {
		t.Errorf("%d events from %d to %d", len(got), got[0].Status, got[len(got)-1].Status)
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	var items []warc.Item
	exchange := func(url, status, head, body string) {
		records, _, err := warc.Build(warc.Exchange{URL: url, Time: time.Unix(1_700_000_000, 0), Request: []byte("GET / HTTP/1.1\r\n\r\n"),
			Response: []byte("HTTP/1.1 " + status + "\r\n" + head + "\r\n" + body)})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w := warc.NewWriter(&b, true)
		for i := range records {
			if _, _, err := w.Write(&records[i]); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := warc.Scan(&b, "test", warc.Limits{}, func(it warc.Item) error { items = append(items, it); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	exchange("http://old.example/", "200 OK", "Content-Type: text/html\r\n", htmlPage("Old page", "Kept by another tool"))
	exchange("http://old.example/copy-of-it", "200 OK", "Content-Type: text/html\r\n", htmlPage("Old page", "Kept by another tool"))
	exchange("http://old.example/moved", "301 Moved", "Location: /\r\n", "")
	exchange("http://old.example/picture", "200 OK", "Content-Type: image/png\r\n", "\x89PNG\r\n\x1a\n")
	for round := range 2 {
		im := r.c.Import(t.Context())
		n := 0
		for i := range items {
			out, err := im.Add(&items[i])
			if err != nil {
				t.Fatal(err)
			}
			if out.Captured {
				n++
			}
		}
		if err := im.Flush(); err != nil {
			t.Fatal(err)
		}
		if want := []int{4, 0}[round]; n != want {
			t.Errorf("round %d: %d captured, want %d", round, n, want)
		}
	}
	got := r.indexed()
	if len(got) != 1 || got["http://old.example/"] != "Old page" || len(r.captures.events()) != 4 {
		t.Errorf("indexed: %v, %d events", got, len(r.captures.events()))
	}
	why := r.why("http://old.example/copy-of-it")
	if why.State != "fetched" || why.Duplicate != "http://old.example/" {
		t.Errorf("why: %+v", why)
	}
	c := r.captured("http://old.example/")[0]
	if rec, err := r.arc.Read(c.Location); err != nil || rec.ID() != c.ID || c.Crawl != concord.ImportCrawl {
		t.Errorf("record: %v, %v", rec, err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := Config{Dir: t.TempDir(), Frontier: newMemLog(), Captures: newMemLog(), Archive: &warc.Archive{}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*Config){
		"directory":    func(c *Config) { c.Dir = "" },
		"log":          func(c *Config) { c.Frontier = nil },
		"archive":      func(c *Config) { c.Archive = nil },
		"partitions":   func(c *Config) { c.Partitions = -1 },
		"concurrency":  func(c *Config) { c.Concurrency = 1 << 30 },
		"least":        func(c *Config) { c.Politeness.MinDelay, c.Politeness.MaxDelay = 2, 1 },
		"contact page": func(c *Config) { c.ContactURL = "nobody" },
		"one line":     func(c *Config) { c.Operator = "a\r\nb" },
	} {
		c := good
		change(&c)
		if err := c.Validate(); concord.KindOf(err) != concord.Invalid || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestTwoProcesses: the state belongs to one.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	if c, err := Open(r.cfg); err == nil {
		c.Close()
		t.Error("opened twice")
	}
	if _, err := os.Stat(filepath.Join(r.cfg.Dir, "frontier.0")); err != nil {
		t.Error(err)
	}
}

// TestMemoryIsBounded puts many hosts and URLs into one partition and looks at what stays in memory.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Partitions = 1
		c.FreeSpaceFloor = 1 << 20
		c.FreeSpace = func(string) (uint64, uint64, error) { return 0, 1 << 40, nil } // take up, but fetch nothing
	})
	until(t, "the floor", func() bool { return r.c.stalled() != "" })
	id := r.begin(concord.CrawlSpec{Seeds: []string{"http://127.0.0.1/"}, Scope: concord.ScopeSite})
	n, err := parseCrawlID(id)
	if err != nil {
		t.Fatal(err)
	}
	f := r.c.Partitions()[0]
	seq := f.at()
	const hosts, perHost = 5_000, 5
	for i := 0; i < hosts; i += 100 {
		m := &linksMsg{Crawl: n, Depth: 1, From: "http://127.0.0.1/"}
		for h := range 100 {
			for p := range perHost {
				m.Links = append(m.Links, linkItem{URL: fmt.Sprintf("http://h%d.example/page/%d", i+h, p)})
			}
		}
		seq++
		if err := f.apply([]concord.Message{{Seq: seq, Data: m.encode()}}); err != nil {
			t.Fatal(err)
		}
	}
	if crawl, _ := r.c.Crawl(t.Context(), id); crawl.Queued != hosts*perHost+1 {
		t.Errorf("crawl: %+v", crawl)
	}
	f.mu.Lock()
	for range 20 {
		if err := f.activate(r.c.clock.read()); err != nil {
			t.Error(err)
		}
	}
	active := len(f.active)
	f.mu.Unlock()
	if active != maxActive {
		t.Errorf("%d hosts in memory, want %d", active, maxActive)
	}
	list, err := r.c.Hosts(t.Context(), 50)
	if err != nil || len(list) != 50 {
		t.Errorf("%d hosts listed, %v", len(list), err)
	}
}
