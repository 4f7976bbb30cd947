package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/e2e/loopweb"
	"concord/index"
	"concord/receipt"
	"concord/warc"

	"github.com/google/go-cmp/cmp"
)

// state is everything that must be the same after a rebuild.
type outcome struct {
	Documents map[string]index.Document
	Captures  map[string]concord.Capture
	Crawls    []concord.Crawl
	URLs      map[string]concord.URLStatus
	Hosts     []concord.HostStatus
	Results   map[string][]string // by query: URLs with their scores, in order
	Receipts  map[string]string
}

// queries use every kind of thing an index knows.
var queries = []string{"page", "the page", "lamp", "river stone", `"the first page"`, "article OR page", "intitle:page", "site:127.66.0.1", "others", "hidden", "imported", "lang:en page", "words after:2020-01-01", "page -stone"}

func stateOf(t *testing.T, n *Node) *outcome {
	t.Helper()
	ctx := t.Context()
	s := &outcome{Documents: map[string]index.Document{}, Captures: map[string]concord.Capture{}, URLs: map[string]concord.URLStatus{},
		Results: map[string][]string{}, Receipts: map[string]string{}}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, sh := range shardsOf(n) {
		for _, v := range sh.Views() {
			for id := range index.DocID(v.Docs()) {
				if v.Deleted(id) {
					continue
				}
				d, err := v.Document(id)
				check(err)
				if _, twice := s.Documents[d.URL]; twice {
					t.Errorf("%s is in the index twice", d.URL)
				}
				s.Documents[d.URL] = *d
			}
			v.Close()
		}
		check(sh.EachCapture(func(c *concord.Capture) error { s.Captures[c.ID] = *c; return nil }))
	}
	var err error
	s.Crawls, err = n.crawler.Crawls(ctx)
	check(err)
	s.Hosts, err = n.crawler.Hosts(ctx, 1000)
	check(err)
	slices.SortFunc(s.Hosts, func(a, b concord.HostStatus) int { return strings.Compare(a.Host, b.Host) })
	for i := range s.Hosts {
		h := &s.Hosts[i]
		if h.Next.Before(time.Now()) {
			h.Reason = "" // it is ready, and which rest ended last says nothing
		}
	}
	for id, c := range s.Captures {
		u, err := n.crawler.URL(ctx, c.URL)
		check(err)
		if u.State == "unknown" {
			u.Reason = "" // it names one of the crawls that would have it
		}
		s.URLs[c.URL] = u
		proof, err := n.attestor.a.Receipt(ctx, id)
		if concord.KindOf(err) != concord.NotFound { // a few answers cannot be put into a line, and what was imported is not attested
			check(err)
			_, err = receipt.Verify(proof, []byte(n.chain.Policy()), receipt.Options{URL: c.URL})
			check(err)
		}
		s.Receipts[id] = string(proof)
	}
	for _, q := range queries {
		a, err := n.searcher.Search(ctx, concord.Request{Query: q, Limit: 100})
		check(err)
		for _, h := range a.Hits {
			s.Results[q] = append(s.Results[q], fmt.Sprintf("%s %.6f %s %s", h.URL, h.Score, h.Title, h.Capture))
		}
	}
	return s
}

// running is a node in this process.
type running struct {
	*Node
	stop func()
}

func runNode(t *testing.T, dir string) *running {
	t.Helper()
	return runConfigured(t, testConfig(dir))
}

func runConfigured(t *testing.T, cfg Config) *running {
	t.Helper()
	n, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- n.Run(ctx, func(string) { close(ready) }) }()
	stopped := false
	r := &running{Node: n, stop: func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-ended, n.Close()); err != nil {
			t.Errorf("run: %v", err)
		}
	}}
	t.Cleanup(r.stop)
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("the node is not ready")
	}
	return r
}

// crawl crawls to the end.
func (r *running) crawl(t *testing.T, spec concord.CrawlSpec) string {
	t.Helper()
	spec.AllowPrivate = true
	c, err := r.crawler.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the crawl ends", func() bool {
		ok, err := crawls{r.crawler, r.Node}.Searchable(t.Context(), c.ID)
		return ok && err == nil
	})
	return c.ID
}

// rest waits until the node has nothing left to do.
func (r *running) rest(t *testing.T) {
	t.Helper()
	until(t, "the node comes to rest", func() bool {
		last, err := r.captures.Last(t.Context(), "capture.*")
		if err != nil || r.attestor.a.Position() < last || r.attestor.a.Stats().Pending > 0 {
			return false
		}
		for _, s := range shardsOf(r.Node) {
			if s.Status().Segments > 1 {
				return false
			}
		}
		return r.chain.Status().Size == r.chain.Checkpoint().Size
	})
	time.Sleep(4 * time.Second) // late link texts go in when a shard has been idle for 3 s
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// foreign is a WARC file of another tool, with a page and its request.
func foreign(t *testing.T, url string) []byte {
	t.Helper()
	dir := t.TempDir()
	a, err := warc.Open(warc.Config{Dir: dir, Software: "another/1.0"})
	if err != nil {
		t.Fatal(err)
	}
	body := "<title>Imported</title><main><p>This page was imported from the archive of somebody else. " + filler("imported") + "</main>"
	list, _, err := warc.Build(warc.Exchange{URL: url, Time: time.Now().Add(-time.Hour), IP: netip.MustParseAddr("192.0.2.1"), Request: []byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
		Response: []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len(body), body)), Metadata: []warc.Field{{Name: "crawl", Value: "00000000000000aa"}}})
	if err == nil {
		_, err = a.Append([][]warc.Record{list})
	}
	if err = errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.warc.gz"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fullNode crawls a web with everything odd in it, some of it twice, imports, stops a crawl, deletes pages, and comes to
// rest. It returns the data directory and what was in it.
func fullNode(t *testing.T, subnet byte) (string, *outcome) {
	t.Helper()
	hosts := slices.DeleteFunc(loopweb.Odd(), func(h *loopweb.Host) bool {
		return slices.Contains([]string{"hostile", "robots-broken", "flaky", "slow"}, h.Name)
	})
	web, err := loopweb.Start(subnet, append(hosts, loopweb.Generated("generated", 40))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(web.Close)
	dir := shortDir(t)
	r := runNode(t, dir)
	r.crawl(t, concord.CrawlSpec{Seeds: web.Seeds(), MaxPages: 2000})
	r.crawl(t, concord.CrawlSpec{Seeds: web.Seeds()[:4], Depth: 2}) // again, mostly revisits
	stopped, err := r.crawler.Start(t.Context(), concord.CrawlSpec{Seeds: []string{"http://127.66.9.9:1/never/"}, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.crawler.Stop(t.Context(), stopped.ID); err != nil {
		t.Fatal(err)
	}
	if sum, err := (transfer{r.Node}).Import(t.Context(), "foreign.warc.gz", bytes.NewReader(foreign(t, "http://elsewhere.example/page"))); err != nil || sum.Captures != 1 {
		t.Fatalf("import: %+v, %v", sum, err)
	}
	gone := web.Hosts[len(web.Hosts)-1].URL("/")
	if err := (pages{r.Node}).Delete(t.Context(), gone, "asked to"); err != nil {
		t.Fatal(err)
	}
	r.rest(t)
	r.stop()
	n, err := Open(t.Context(), testConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	n.trim(t.Context())
	for _, sh := range shardsOf(n) { // averages, and with them scores, depend on what was deleted and is still in a segment
		if err := sh.Settle(t.Context(), sh.Position()); err != nil {
			t.Fatal(err)
		}
	}
	s := stateOf(t, n)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if len(s.Documents) < 50 || s.URLs[gone].Indexed || len(s.Results["imported"]) == 0 || len(s.Receipts) < 100 {
		t.Fatalf("%d documents, deleted %+v", len(s.Documents), s.URLs[gone])
	}
	return dir, s
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	dir := shortDir(t)
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	restoreModes(t, from, dir)
	return dir
}

// same opens a data directory and compares what is in it.
func same(t *testing.T, dir string, want *outcome) {
	t.Helper()
	n, err := Open(t.Context(), testConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	got := stateOf(t, n)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	// What a host failed to answer is not in the archive, so it is not known any more that it did not answer.
	want.Hosts = slices.DeleteFunc(want.Hosts, func(h concord.HostStatus) bool { return h.Failed > 0 })
	got.Hosts = slices.DeleteFunc(got.Hosts, func(h concord.HostStatus) bool { return strings.HasSuffix(h.Host, ":1") })
	for i := range min(len(want.Hosts), len(got.Hosts)) { // delays vary by a tenth from process to process, so that hosts do not stay in step
		a, b := &want.Hosts[i], &got.Hosts[i]
		if d := a.Delay - b.Delay; d.Abs() <= a.Delay/8 {
			b.Delay = a.Delay
		}
		b.Next, b.Reason = a.Next, a.Reason
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not what was there (-before +after):\n%s", diff)
	}
}

// goesOn runs the node: what was there stays, and what comes is crawled, found and attested.
func goesOn(t *testing.T, dir string, want *outcome) {
	t.Helper()
	s := newSite(t, 3, 0)
	r := runNode(t, dir)
	r.crawl(t, concord.CrawlSpec{Seeds: []string{s.URL}})
	until(t, "it is attested", func() bool {
		last, err := r.captures.Last(t.Context(), "capture.*")
		return err == nil && r.attestor.a.Position() >= last && r.attestor.a.Stats().Pending == 0
	})
	got := stateOf(t, r.Node)
	for url, d := range want.Documents {
		if now, ok := got.Documents[url]; !ok || now.Capture != d.Capture {
			t.Errorf("%s is not in the index any more", url)
		}
	}
	if have := len(want.Documents) + 4; len(got.Documents) != have {
		t.Errorf("%d documents after another crawl, want %d", len(got.Documents), have)
	}
	for id, proof := range want.Receipts {
		if got.Receipts[id] != proof {
			t.Errorf("another receipt of %s", id)
		}
	}
	r.stop()
}

// Whatever is lost but archive, keys and ledger comes back as it was.
func TestRebuild(t *testing.T) {
	t.Parallel()
	golden, want := fullNode(t, 66)
	losses := [][]string{{"bus", "frontier", "shard", "attest"}, {"shard/1"}}
	if thorough() {
		losses = append(losses, []string{"bus"}, []string{"frontier"}, []string{"shard"}, []string{"attest"}, []string{"frontier/frontier.0"})
	}
	for _, lost := range losses {
		t.Run(strings.ReplaceAll(strings.Join(lost, "+"), "/", "·"), func(t *testing.T) {
			dir := copyDir(t, golden)
			for _, part := range lost {
				if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := Open(t.Context(), testConfig(dir)); err == nil || !strings.Contains(err.Error(), "concord rebuild") {
				t.Errorf("without %v a node opens, or does not say what helps: %v", lost, err)
				if err == nil {
					n.Close()
				}
			}
			report, err := Rebuild(t.Context(), testConfig(dir), RebuildOptions{})
			if err != nil {
				t.Fatal(err)
			}
			b, _ := json.Marshal(report)
			t.Logf("%s", b)
			if report.Damaged > 0 || report.NoReceipts > 0 || report.Found.Undecided > 0 || report.Found.Unread > 0 {
				t.Errorf("it lost something: %s", b)
			}
			same(t, dir, want)
			goesOn(t, dir, want)
			if exists(filepath.Join(dir, rebuildDir)) {
				t.Error("something of the rebuild is left")
			}
			again, err := Rebuild(t.Context(), testConfig(dir), RebuildOptions{})
			if err != nil || len(again.Made) > 0 {
				t.Errorf("once more: %+v, %v", again.Made, err)
			}
		})
	}
}
