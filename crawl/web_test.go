package crawl

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concord"
	"concord/warc"
)

// site is a web server on a loopback address of its own.
type site struct {
	host string // http://127.x.y.z:port
	addr string
	srv  *http.Server

	mu    sync.Mutex
	pages map[string]http.HandlerFunc
	hits  []hit
	busy  int
	over  int // requests that came while another was being answered
}

type hit struct {
	path  string
	start time.Time
	end   time.Time
	agent string
	cond  string
}

var siteCount atomic.Uint32

// newSite starts a server on the next loopback address.
func newSite(t testing.TB, change ...func(*http.Server)) *site {
	t.Helper()
	n := siteCount.Add(1)
	ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+n>>16, n>>8&255, n&255))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{addr: ln.Addr().String(), host: "http://" + ln.Addr().String(), pages: map[string]http.HandlerFunc{}}
	s.srv = &http.Server{Handler: s}
	for _, fn := range change {
		fn(s.srv)
	}
	go s.srv.Serve(ln)
	t.Cleanup(func() { s.srv.Close() })
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	i := len(s.hits)
	cond := r.Header.Get("If-None-Match") + r.Header.Get("If-Modified-Since")
	s.hits = append(s.hits, hit{path: r.URL.RequestURI(), start: time.Now(), agent: r.UserAgent(), cond: cond})
	if s.busy++; s.busy > 1 {
		s.over++
	}
	h := s.pages[r.URL.RequestURI()]
	if h == nil {
		h = s.pages["*"]
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.hits[i].end = time.Now()
		s.busy--
		s.mu.Unlock()
	}()
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h(w, r)
}

func (s *site) handle(path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = h
}

// html serves a page with a title, a text of its own, and links.
func (s *site) html(path, text string, links ...string) {
	s.raw(path, "text/html; charset=utf-8", htmlPage(path, text, links...))
}

func htmlPage(title, text string, links ...string) string {
	b := "<!doctype html><html lang=en><head><title>" + title + "</title></head><body><main><h1>" + title + "</h1><p>" + text + "</p>"
	for _, l := range links {
		b += fmt.Sprintf("<p>See <a href=%q>the page %s</a>.</p>", l, l)
	}
	return b + "</main></body></html>"
}

func (s *site) raw(path, contentType, body string) {
	s.handle(path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		fmt.Fprint(w, body)
	})
}

func (s *site) status(path string, code int, header ...string) {
	s.handle(path, func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	})
}

func (s *site) requests() []hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]hit(nil), s.hits...)
}

// count returns how often a path was asked for.
func (s *site) count(path string) int {
	n := 0
	for _, h := range s.requests() {
		if h.path == path {
			n++
		}
	}
	return n
}

// quick is a politeness that tests can wait for.
func quick() Politeness {
	return Politeness{MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond, Factor: 1, PerAddress: time.Millisecond,
		BackoffUnit: 2 * time.Millisecond, MaxBackoff: 20 * time.Millisecond,
		Retries: []time.Duration{10 * time.Millisecond, 20 * time.Millisecond}, DNSRetry: time.Hour, Patience: time.Second}
}

// rig is a crawler with its logs, directories and archive, which may be abandoned and opened again.
type rig struct {
	t        testing.TB
	cfg      Config
	frontier *memLog
	captures *memLog
	c        *Crawler
	stop     context.CancelFunc
	done     sync.WaitGroup
	mu       sync.Mutex
	failure  error
	arc      *warc.Archive
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, frontier: newMemLog(), captures: newMemLog()}
	arc, err := warc.Open(warc.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r.arc = arc
	t.Cleanup(func() { arc.Close() })
	r.cfg = Config{Dir: t.TempDir(), Partitions: 3, Shards: 2, Frontier: r.frontier, Captures: r.captures, Archive: arc,
		Operator: "test.example", ContactURL: "https://test.example/bot", Politeness: quick(), Recrawl: Recrawl{Off: true}, FreeSpaceFloor: -1}
	if change != nil {
		change(&r.cfg)
	}
	r.start()
	t.Cleanup(r.close)
	return r
}

// start opens a crawler on the rig's state and runs all of it.
func (r *rig) start() {
	r.t.Helper()
	c, err := Open(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.c, r.stop = c, cancel
	run := func(fn func(context.Context) error) {
		r.done.Go(func() {
			if err := fn(ctx); err != nil && ctx.Err() == nil {
				r.mu.Lock()
				r.failure = err
				r.mu.Unlock()
				cancel()
			}
		})
	}
	run(c.Run)
	for _, f := range c.Partitions() {
		run(func(ctx context.Context) error { return f.Run(ctx, 1) })
	}
}

func (r *rig) close() {
	if r.c == nil {
		return
	}
	r.stop()
	r.done.Wait()
	if err := r.c.Close(); err != nil {
		r.t.Error(err)
	}
	r.c = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure != nil {
		r.t.Errorf("the crawler failed: %v", r.failure)
	}
}

func (r *rig) restart() {
	r.t.Helper()
	r.close()
	r.start()
}

func (r *rig) begin(spec concord.CrawlSpec) string {
	r.t.Helper()
	spec.AllowPrivate = true
	crawl, err := r.c.Start(context.Background(), spec)
	if err != nil {
		r.t.Fatal(err)
	}
	return crawl.ID
}

// wait waits for the end of a crawl.
func (r *rig) wait(id string) *concord.Crawl {
	r.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		crawl, err := r.c.Crawl(context.Background(), id)
		if err != nil {
			r.t.Fatal(err)
		}
		if crawl.Done() {
			return crawl
		}
		r.mu.Lock()
		failure := r.failure
		r.mu.Unlock()
		if failure != nil || time.Now().After(deadline) {
			hosts, _ := r.c.Hosts(context.Background(), 20)
			for _, h := range hosts {
				r.t.Logf("%+v", h)
			}
			r.t.Fatalf("crawl does not end: %+v (failure: %v)", crawl, failure)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *rig) crawl(spec concord.CrawlSpec) *concord.Crawl {
	r.t.Helper()
	return r.wait(r.begin(spec))
}

func (r *rig) why(url string) concord.URLStatus {
	r.t.Helper()
	s, err := r.c.URL(context.Background(), url)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// captured returns the captures of a URL, in order.
func (r *rig) captured(url string) []*concord.Capture {
	var out []*concord.Capture
	for _, e := range r.captures.events() {
		if e.Capture != nil && e.Capture.URL == url {
			out = append(out, e.Capture)
		}
	}
	return out
}

// indexed is what the index would hold: the URLs of pages that were announced and not removed.
func (r *rig) indexed() map[string]string {
	out := map[string]string{}
	for _, e := range r.captures.events() {
		if c := e.Capture; c != nil {
			switch {
			case c.Skip == "" && e.Page != nil:
				out[c.URL] = e.Page.Title
			case c.Skip != "" && c.Revisit == "" && c.Status >= 200 && c.Status < 400 && c.Status != 304:
				delete(out, c.URL)
			}
		}
		if e.Remove != nil {
			delete(out, e.Remove.URL)
		}
	}
	return out
}

// names resolves names to addresses as a test says.
func names(m map[string]string) func(context.Context, string) ([]netip.Addr, error) {
	return func(_ context.Context, host string) ([]netip.Addr, error) {
		if a, ok := m[host]; ok {
			return []netip.Addr{netip.MustParseAddr(a)}, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
}
