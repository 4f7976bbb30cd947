package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"concord"
	"concord/receipt"
)

// apiClient is a client that reads problems.
func apiClient(t *testing.T, m *memory) *client {
	c := newClient(t, m)
	c.accept = "application/json"
	return c
}

func (c *client) json(target string, want int, into any) *http.Response {
	c.t.Helper()
	r := c.do(http.MethodGet, target, "", nil)
	decode(c.t, r, want, into)
	return r
}

func decode(t *testing.T, r *http.Response, want int, into any) {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != want {
		t.Fatalf("status %d, want %d: %s", r.StatusCode, want, b)
	}
	mime := "application/json"
	if want >= 400 {
		mime = problemType
	}
	if got := r.Header.Get("Content-Type"); got != mime {
		t.Errorf("content type %q, want %q", got, mime)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
}

func TestSearchCall(t *testing.T) {
	m := newLibrary()
	c := apiClient(t, m)
	var a SearchAnswer
	c.json("/api/v1/search?q=receipt&limit=3&offset=1", 200, &a)
	if a.Total != 12 || len(a.Results) != 3 || a.Shards != (ShardCount{8, 8}) || a.Took != 1.9 || a.Offset != 1 || a.Limit != 3 {
		t.Errorf("answer %+v", a)
	}
	r := a.Results[0]
	if r.URL != "https://docs.example.org/" || !strings.Contains(r.Snippet, "how a receipt is checked") || r.Site != "example.org" || r.Fetched.IsZero() ||
		!strings.HasPrefix(r.Receipt, "http://127.0.0.1:7667/api/v1/receipts?capture=") || !strings.HasPrefix(r.Archived, "http://127.0.0.1:7667/archive/") {
		t.Errorf("result %+v", r)
	}
	proof := c.get(strings.TrimPrefix(r.Receipt, "http://127.0.0.1:7667"), 200)
	if _, err := receipt.Verify([]byte(proof), []byte(m.Policy()), receipt.Options{URL: r.URL}); err != nil {
		t.Errorf("the receipt a result names: %v", err)
	}
	c.json("/api/v1/search?q=nothinglikeit", 200, &a)
	if a.Results == nil || len(a.Results) != 0 {
		t.Error("no results are not []")
	}
	var p Problem
	c.json("/api/v1/search?q="+url.QueryEscape(`größe "x y`), 422, &p)
	if len(p.Errors) != 1 || p.Errors[0].Location != "query.q" || p.Errors[0].Offset == nil || *p.Errors[0].Offset != 8 || p.Errors[0].Length != 4 ||
		p.Errors[0].Caret != "größe \"x y\n      ^^^^ the quotation mark is never closed" {
		t.Errorf("problem %+v", p)
	}
	for _, q := range []string{"", "?q=", "?q=x&limit=0", "?q=x&limit=101", "?q=x&offset=-1", "?q=x&limit=ten", "?q=" + strings.Repeat("a", 3000)} {
		c.json("/api/v1/search"+q, 422, &p)
		if len(p.Errors) == 0 {
			t.Errorf("%.40s: no place in the problem", q)
		}
	}
	c.json("/api/v1/search?q=explode", 500, &p)
	if strings.Contains(p.Detail, "secret") {
		t.Error("an internal error's cause reaches strangers")
	}
}

// A node whose clock is behind says that, and not that the others are away.
func TestLedgerWaitsForTheClock(t *testing.T) {
	f := newMemoryFederation(newLibrary())
	f.status.State, f.status.VotersUp, f.status.Waits = FederationHalted, 0, "this machine's clock is behind"
	c := f.client(t)
	for _, path := range []string{"/federation", "/ledger"} {
		page := c.get(path, 200)
		holds(t, path, page, "The ledger waits on this node:", "clock is behind")
		lacks(t, path, page, "voters are connected")
	}
}

// While the ledger stands still a receipt is not "available in 4 s": the API says what it waits for, and what there is at once.
func TestReceiptWhileHalted(t *testing.T) {
	f := newMemoryFederation(newLibrary())
	f.status.State, f.status.VotersUp = FederationHalted, 2
	c := f.client(t)
	c.accept = "application/json"
	const fresh = "https://docs.example.org/just-now.html"
	for _, which := range []string{"url=" + fresh, "capture=" + f.pages[fresh].captures[0].ID} {
		var p Problem
		r := c.json("/api/v1/receipts?"+which, 503, &p)
		holds(t, which, p.Detail, "captured", "The ledger stands still: 2 of 4 voters are connected and 3 are needed", "level=0")
		lacks(t, which, p.Detail, "available in")
		if s, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || s < 5 || s > 60 {
			t.Errorf("%s: Retry-After %q", which, r.Header.Get("Retry-After"))
		}
		if proof := c.get("/api/v1/receipts?level=0&"+which, 200); !receipt.IsPromise([]byte(proof)) {
			t.Errorf("%s: no promise, but %s", which, proof)
		}
	}
}

func TestProblemsEverywhere(t *testing.T) {
	c := apiClient(t, newLibrary())
	var p Problem
	c.json("/api/v1/nothing", 404, &p)
	if p.Status != 404 || p.Title == "" {
		t.Errorf("%+v", p)
	}
	r := c.do(http.MethodPut, "/api/v1/search", "", nil)
	decode(t, r, 405, &p)
	if !strings.Contains(r.Header.Get("Allow"), "GET") {
		t.Errorf("Allow: %q", r.Header.Get("Allow"))
	}
	c.json("/api/v1/crawls/none", 404, &p)
	c.json("/api/v1/ledger/entries/999", 404, &p)
	c.json("/api/v1/ledger/entries/x", 422, &p)
	c.json("/api/v1/receipts", 422, &p)
	c.json("/api/v1/receipts?url=https://nobody.example/", 404, &p)
	c.json("/api/v1/receipts?url=gopher://x", 422, &p)
	r = c.json("/api/v1/receipts?url=https://docs.example.org/just-now.html", 503, &p)
	if r.Header.Get("Retry-After") != "4" {
		t.Errorf("Retry-After: %q", r.Header.Get("Retry-After"))
	}
	promise := c.get("/api/v1/receipts?level=0&url=https://docs.example.org/just-now.html", 200)
	if r, err := receipt.Verify([]byte(promise), []byte(c.get("/api/v1/policy", 200)), receipt.Options{URL: "https://docs.example.org/just-now.html"}); err != nil || r.Level != 0 {
		t.Errorf("promise: %+v %v", r, err)
	}
	if proof := c.get("/api/v1/receipts?level=0&url=https://docs.example.org/first-steps.html", 200); receipt.IsPromise([]byte(proof)) {
		t.Error("a promise where there is a receipt")
	}
	c.json("/api/v1/receipts?level=2&url=https://docs.example.org/first-steps.html", 422, &p)
	c.json("/api/v1/receipts?level=0&url=https://nobody.example/", 404, &p)
	c.accept = "text/html"
	c.json("/api/v1/nothing", 404, &p) // the API speaks problems to browsers too
	for kind := concord.Internal; kind <= concord.Corrupt; kind++ {
		if statusOf[kind] == 0 {
			t.Errorf("no status for %v", kind)
		}
	}
}

func TestWritingNeedsTheKey(t *testing.T) {
	m := newLibrary()
	c := apiClient(t, m)
	spec := `{"seeds":["https://example.org/"],"scope":"site","depth":3}`
	var p Problem
	for _, call := range []struct{ method, target, mime, body string }{
		{"POST", "/api/v1/crawls", "application/json", spec}, {"DELETE", "/api/v1/crawls/c-3", "", ""}, {"DELETE", "/api/v1/pages?url=https://docs.example.org/", "", ""},
		{"POST", "/api/v1/archive/import?name=x.warc", "application/warc", "WARC"}, {"POST", "/api/v1/archive/export", "application/json", `{"dir":"/tmp/x"}`},
	} {
		r := c.do(call.method, call.target, call.mime, strings.NewReader(call.body))
		decode(t, r, 401, &p)
		if !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s %s: no WWW-Authenticate", call.method, call.target)
		}
	}
	c.key = "wrong" + testKey
	decode(t, c.do("POST", "/api/v1/crawls", "application/json", strings.NewReader(spec)), 401, &p)
	c.key = testKey
	r := c.do("POST", "/api/v1/crawls", "application/json", strings.NewReader(spec))
	var item CrawlItem
	decode(t, r, 201, &item)
	if r.Header.Get("Location") != "http://127.0.0.1:7667/api/v1/crawls/"+item.ID || item.Spec.Depth != 3 || item.Done {
		t.Errorf("location %q, crawl %+v", r.Header.Get("Location"), item)
	}
	decode(t, c.do("POST", "/api/v1/crawls", "application/json", strings.NewReader(`{"seeds":["https://example.org/"],"scope":"galaxy"}`)), 422, &p)
	decode(t, c.do("POST", "/api/v1/crawls", "application/json", strings.NewReader(`{"seed":"x"}`)), 422, &p)
	c.want(c.do("DELETE", "/api/v1/crawls/"+item.ID, "", nil), 204)
	c.json("/api/v1/crawls/"+item.ID, 200, &item)
	if !item.Done || !item.Searchable {
		t.Errorf("stopped crawl %+v", item)
	}
	c.want(c.do("DELETE", "/api/v1/pages?url=https://docs.example.org/", "", nil), 204)
	if m.deleted["https://docs.example.org/"] != "deleted by operator" {
		t.Errorf("reasons: %v", m.deleted)
	}
	var sum ImportSummary
	body := io.LimitReader(zeros{}, maxBody+100) // more than other bodies may have
	decode(t, c.do("POST", "/api/v1/archive/import?name=../x.warc", "application/warc", body), 200, &sum)
	if sum.Bytes != maxBody+100 || sum.Name != "x.warc" {
		t.Errorf("import %+v", sum)
	}
	decode(t, c.do("POST", "/api/v1/archive/import?name=x.warc", "application/warc", iotest.ErrReader(io.ErrUnexpectedEOF)), 500, &p)
	decode(t, c.do("POST", "/api/v1/archive/export", "application/json", strings.NewReader(`{"dir":"/tmp/x"}`)), 403, &p)
	big := `{"seeds":["` + strings.Repeat("x", maxBody) + `"]}`
	r = c.do("POST", "/api/v1/crawls", "application/json", strings.NewReader(big))
	if r.StatusCode != 413 {
		t.Errorf("a body of %d bytes: status %d", len(big), r.StatusCode)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestSocketMayWrite(t *testing.T) {
	m := newLibrary()
	s, err := New(m.config())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := s.HTTPServer(s.SocketHandler())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	hc := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	r, err := hc.Post("http://concord/api/v1/archive/export", "application/json", strings.NewReader(`{"dir":"/srv/out"}`))
	if err != nil {
		t.Fatal(err)
	}
	var sum ExportSummary
	decode(t, r, 200, &sum)
	if m.exported != "/srv/out" {
		t.Errorf("exported to %q", m.exported)
	}
	var st Status
	if r, err = hc.Get("http://concord/api/v1/status"); err != nil {
		t.Fatal(err)
	}
	decode(t, r, 200, &st)
	if st.DataDir == "" || st.Traces == "" {
		t.Error("the owner is not told the data directory")
	}
	var a SearchAnswer
	if r, err = hc.Get("http://concord/api/v1/search?q=receipt"); err != nil {
		t.Fatal(err)
	}
	decode(t, r, 200, &a)
	if !strings.HasPrefix(a.Results[0].Receipt, "http://127.0.0.1:7667/") {
		t.Errorf("receipt address %q", a.Results[0].Receipt)
	}
	// A stream must not hold up the shutdown.
	if r, err = hc.Get("http://concord/api/v1/events"); err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v after %v", err, time.Since(begun))
	}
	<-done
}

func TestReadingCalls(t *testing.T) {
	m := newLibrary()
	c := apiClient(t, m)
	var captures struct{ Captures []CaptureItem }
	c.json("/api/v1/captures?url=https://docs.example.org/first-steps.html%23x", 200, &captures)
	if len(captures.Captures) != 2 || captures.Captures[0].Time.Before(captures.Captures[1].Time) || captures.Captures[0].Raw.IsZero() {
		t.Errorf("captures %+v", captures)
	}
	var crawls struct{ Crawls []CrawlItem }
	c.json("/api/v1/crawls", 200, &crawls)
	if len(crawls.Crawls) != 2 || !crawls.Crawls[1].Searchable {
		t.Errorf("crawls %+v", crawls)
	}
	var hosts struct{ Hosts []concord.HostStatus }
	c.json("/api/v1/hosts?limit=2", 200, &hosts)
	if len(hosts.Hosts) != 2 {
		t.Errorf("hosts %+v", hosts)
	}
	var u concord.URLStatus
	c.json("/api/v1/urls?url=https://docs.example.org/private/1", 200, &u)
	if u.State != "refused" || u.Reason == "" {
		t.Errorf("url %+v", u)
	}
	var l LedgerAnswer
	c.json("/api/v1/ledger", 200, &l)
	if l.Size != 14 || l.Checkpoint.Size != 14 || l.Chain != testChain {
		t.Errorf("ledger %+v", l)
	}
	var entries struct {
		Entries []concord.LedgerEntry
		Size    uint64
	}
	c.json("/api/v1/ledger/entries?from=12&limit=50", 200, &entries)
	if len(entries.Entries) != 2 || entries.Entries[0].Index != 12 || entries.Size != 14 {
		t.Errorf("entries %+v", entries)
	}
	c.json("/api/v1/ledger/entries?from=99999", 200, &entries)
	var points struct{ Checkpoints []concord.Checkpoint }
	c.json("/api/v1/ledger/checkpoints?limit=3", 200, &points)
	if len(points.Checkpoints) != 3 || points.Checkpoints[0].Size != 14 {
		t.Errorf("checkpoints %+v", points)
	}
	if note := c.get("/api/v1/ledger/checkpoint", 200); note != m.Checkpoint().Note {
		t.Errorf("checkpoint %q", note)
	}
	var st Status
	c.json("/api/v1/status", 200, &st)
	if st.Documents != 16 || st.DataDir != "" || st.Traces != "" || st.Warnings == nil {
		t.Errorf("status %+v", st)
	}
	c.key = testKey
	c.json("/api/v1/status", 200, &st)
	if st.DataDir == "" {
		t.Error("the key's holder is not told the data directory")
	}
}

func TestEvents(t *testing.T) {
	m := newLibrary()
	s, base := serve(t, m)
	r, err := http.Get(base + "/api/v1/events?recent=2")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got := r.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	lines := bufio.NewScanner(r.Body)
	next := func() (e concord.CrawlEvent) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &e); err != nil {
					t.Fatal(err)
				}
				return e
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return e
	}
	if a, b := next(), next(); !a.Time.Before(b.Time) {
		t.Errorf("past events out of order: %v, %v", a.Time, b.Time)
	}
	m.emit(concord.CrawlEvent{Time: testNow, URL: "https://new.example/\n\ndata: forged", Note: "indexed"})
	if e := next(); e.URL != "https://new.example/\n\ndata: forged" {
		t.Errorf("event %+v", e)
	}
	s.Close()
	for lines.Scan() {
	}
	if len(s.streams) != 0 {
		t.Error("the stream's place was not given back")
	}
}

// TestLongCallsOutliveTimeouts holds streams and imports open for longer than an ordinary request may take.
func TestLongCallsOutliveTimeouts(t *testing.T) {
	m := newLibrary()
	s, err := New(m.config())
	if err != nil {
		t.Fatal(err)
	}
	const limit = 150 * time.Millisecond
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = s.HTTPServer(s.Handler())
	ts.Config.ReadTimeout, ts.Config.WriteTimeout = limit, limit
	ts.Start()
	defer ts.Close()
	defer s.Close()
	r, err := http.Get(ts.URL + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	pr, pw := io.Pipe()
	go func() {
		for range 4 {
			time.Sleep(limit)
			pw.Write([]byte("WARC"))
		}
		pw.Close()
	}()
	req, err := http.NewRequest(http.MethodPost, ts.URL+"/api/v1/archive/import?name=slow.warc", pr)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var sum ImportSummary
	decode(t, answer, 200, &sum)
	if sum.Bytes != 16 {
		t.Errorf("imported %d bytes, want 16", sum.Bytes)
	}
	m.emit(concord.CrawlEvent{Time: testNow, URL: "https://late.example/"})
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "late.example") {
			return
		}
	}
	t.Errorf("the stream ended before the event: %v", lines.Err())
}

func TestStreamsAreBounded(t *testing.T) {
	m := newMemory(testNow)
	s, err := New(m.config())
	if err != nil {
		t.Fatal(err)
	}
	for range maxStreams {
		s.streams <- struct{}{}
	}
	w := httptest.NewRecorder()
	s.SocketHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://x/api/v1/events", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
}

func TestHostCheck(t *testing.T) {
	c := apiClient(t, newMemory(testNow))
	for host, want := range map[string]int{"127.0.0.1:7667": 200, "localhost:7667": 200, "[::1]:7667": 200, "127.8.9.1": 200, "search.localhost": 200,
		"evil.example": 421, "evil.example:7667": 421, "127.0.0.1.evil.example:7667": 421, "10.0.0.1": 421, "localhost.evil.example": 421} {
		c.host = host
		if r := c.do(http.MethodGet, "/healthz", "", nil); r.StatusCode != want {
			t.Errorf("Host %s: status %d, want %d", host, r.StatusCode, want)
		}
	}
	m := newMemory(testNow)
	cfg := m.config()
	cfg.Origin, cfg.Hosts = "https://search.alice.example", []string{"proxy.internal"}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"search.alice.example", "proxy.internal:80"} {
		c.host, c.h = host, s.Handler()
		c.get("/healthz", 200)
	}
	cfg.Addr = "0.0.0.0:80"
	if s, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	c.host, c.h = "any.example", s.Handler()
	holds(t, "origin", c.get("/opensearch.xml", 200), "https://search.alice.example/search?q=")
}

func TestSecurityHeaders(t *testing.T) {
	c := newClient(t, newLibrary())
	for _, target := range []string{"/", "/search?q=receipt", "/nowhere", "/api/v1/status", "/static/style.css", "/openapi.json", "/metrics"} {
		h := c.do(http.MethodGet, target, "", nil).Header
		holds(t, target, h.Get("Content-Security-Policy"), "default-src 'none'", "frame-ancestors 'none'")
		lacks(t, target, h.Get("Content-Security-Policy"), "unsafe", "*")
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", target, h)
		}
	}
	for _, target := range []string{"/", "/search?q=receipt", "/crawl", "/ledger", "/receipt?url=https://docs.example.org/", "/verify", "/status", "/manual/", "/why?url=x.example"} {
		body := c.get(target, 200)
		lacks(t, target, body, " style=", "<style", " onclick", "http://fonts", "https://cdn")
		want := 1
		if strings.HasPrefix(target, "/receipt") || target == "/verify" {
			want = 2 // the verifier
		}
		if strings.Count(body, "<script") != want || strings.Count(body, `<script defer src="/static/`) != want {
			t.Errorf("%s: other scripts than our %d", target, want)
		}
	}
}

func TestSearchLimit(t *testing.T) {
	m := newLibrary()
	c := apiClient(t, m)
	c.addr = "203.0.113.7:1000"
	for range DefaultSearchBurst {
		c.get("/api/v1/search?q=x", 200)
	}
	r := c.do(http.MethodGet, "/api/v1/search?q=x", "", nil)
	var p Problem
	decode(t, r, 429, &p)
	if r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	c.get("/api/v1/status", 200) // only searches are counted
	c.addr = "203.0.113.8:1000"
	c.get("/api/v1/search?q=x", 200)
	c.addr = "203.0.113.7:1001"
	m.now = m.now.Add(time.Second)
	c.get("/api/v1/search?q=x", 200)
}

func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter(1, 2)
	now := testNow
	for i := range 3 * maxClients {
		now = now.Add(time.Millisecond)
		l.allow(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if len(l.buckets) > maxClients {
		t.Errorf("%d clients", len(l.buckets))
	}
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff")
	l.allow(a, now)
	l.allow(b, now)
	if ok, wait := l.allow(a, now); ok || wait <= 0 {
		t.Error("two addresses of one network have a bucket each")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s := newSessions()
	first := s.start(testNow)
	for i := range maxSessions {
		s.start(testNow.Add(time.Duration(i+1) * time.Second))
	}
	if len(s.all) > maxSessions || s.valid(first, testNow) {
		t.Errorf("%d sessions, the first valid: %v", len(s.all), s.valid(first, testNow))
	}
	last := s.start(testNow)
	if !s.valid(last, testNow.Add(sessionLife-1)) || s.valid(last, testNow.Add(sessionLife)) {
		t.Error("a session does not end when it should")
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := newMemory(testNow).config()
	for name, spoil := range map[string]func(*Config){"Searcher": func(c *Config) { c.Searcher = nil }, "Operator": func(c *Config) { c.Operator = "" },
		"API key": func(c *Config) { c.APIKey = "short" }, "search rate": func(c *Config) { c.SearchRate = -1 }} {
		c := good
		spoil(&c)
		if _, err := New(c); concord.KindOf(err) != concord.Invalid || !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFileNames(t *testing.T) {
	for in, want := range map[string]string{"https://example.org/": "example.org", "https://example.org/a/../b?x=\"y\"": "example.org-a-b-x-y", "": "page", "javascript:/../..": "javascript",
		"https://xn--bcher-kva.example/ü": "xn-bcher-kva.example"} {
		if got := fileName(in, time.Time{}, ""); got != want {
			t.Errorf("fileName(%q) = %q, want %q", in, got, want)
		}
	}
	if n := fileName("https://e.org/"+strings.Repeat("long/", 200), testNow, ".tlog-proof"); len(n) > 120 {
		t.Errorf("%d bytes: %s", len(n), n)
	}
}
