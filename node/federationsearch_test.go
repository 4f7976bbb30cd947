package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"concord"
	"concord/index"
	"concord/receipt"
	"concord/text"
	"concord/web"
)

// partner is an operator's node in this process.
type partner struct {
	*Node
	t    *testing.T
	addr string
}

func partnerConfig(t *testing.T, name string) Config {
	t.Helper()
	cfg := testConfig(shortDir(t))
	cfg.Operator, cfg.Chain, cfg.HTTP = name+".example", "net-1", freePorts(t, 1)
	cfg.Federation.Addr, cfg.Federation.AllowPrivate, cfg.Federation.SearchTimeout = freePorts(t, 1), true, 5*time.Second
	return cfg
}

// startPartner runs a node until the test ends.
func startPartner(t *testing.T, cfg Config) *partner {
	t.Helper()
	n, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- n.Run(ctx, func(addr string) { ready <- addr }) }()
	p := &partner{Node: n, t: t}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", cfg.Operator, err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("%s: close: %v", cfg.Operator, err)
		}
	})
	select {
	case p.addr = <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("%s: %v", cfg.Operator, err)
	case <-time.After(time.Minute):
		t.Fatalf("%s does not become ready", cfg.Operator)
	}
	return p
}

func (p *partner) get(path string, params url.Values, want int) []byte {
	p.t.Helper()
	resp, err := http.Get("http://" + p.addr + path + "?" + params.Encode())
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		p.t.Fatalf("GET %s?%s: status %d, want %d, %v: %s", path, params.Encode(), resp.StatusCode, want, err, b)
	}
	return b
}

func (p *partner) search(params url.Values) (a web.SearchAnswer) {
	p.t.Helper()
	if err := json.Unmarshal(p.get("/api/v1/search", params, http.StatusOK), &a); err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *partner) until(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// has crawls one page and waits until it can be found and has its receipt.
func (p *partner) has(seed string) {
	p.t.Helper()
	c := crawls{p.crawler, p.Node}
	cr, err := c.Start(p.t.Context(), concord.CrawlSpec{Seeds: []string{seed}, Scope: concord.ScopeHost, AllowPrivate: true})
	if err != nil {
		p.t.Fatal(err)
	}
	p.until(seed+" is searchable", func() bool {
		ok, err := c.Searchable(p.t.Context(), cr.ID)
		got, err2 := c.Crawl(p.t.Context(), cr.ID)
		return ok && err == nil && err2 == nil && got.Done()
	})
	p.until(seed+" is attested", func() bool {
		st, err := p.attestStats(p.t.Context())
		return err == nil && st.Pending == 0 && st.Attested > 0 && p.chain.Checkpoint().Size == p.chain.Status().Size
	})
}

// invites starts another operator of the ledger, whose address there leads through a tamperer.
func (p *partner) invites(name string) (*partner, *tamperer) {
	p.t.Helper()
	fed := p.federation()
	bundle, err := fed.Bundle(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	cfg := partnerConfig(p.t, name)
	way := newTamperer(p.t, cfg.HTTP)
	identity, _, err := JoinFederation(cfg, bundle, way.URL+"/", "")
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := fed.Invite(p.t.Context(), identity); err != nil {
		p.t.Fatal(err)
	}
	other := startPartner(p.t, cfg)
	p.until(name+" is a member", func() bool { return len(p.otherOperators()) == 1 })
	return other, way
}

func onePage(t *testing.T, html string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, html)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// Two operators share a ledger; a search of one finds what both have, with receipts that hold under its own policy.
func TestSearchAcrossOperators(t *testing.T) {
	t.Parallel()
	alice := startPartner(t, partnerConfig(t, "alice"))
	bob, way := alice.invites("bob")

	english := "<html lang=en><title>Harbour news</title><main><h1>Harbour news</h1><p>The council voted on the new harbour wall on Monday, and the boats stayed in. " + filler("a") + "</main>"
	german := "<html lang=de><title>Hafen</title><main><h1>Der Hafen</h1><p>Am Montag stimmte der Rat über die neue Mauer am Hafen ab, sagte der harbour master, und die Boote blieben liegen. " +
		"Niemand wollte bei diesem Wetter hinausfahren, und so saßen alle am Ufer und redeten. " + filler("b") + "</main>"
	secret := "<html lang=en><title>Members</title><meta name=robots content=noarchive><main><p>What the harbour club says to its members only. " + filler("c") + "</main>"
	ours, theirs, kept := onePage(t, english), onePage(t, german), onePage(t, secret)
	alice.has(ours)
	bob.has(theirs)
	bob.has(kept)
	bob.has(ours)

	var a web.SearchAnswer
	alice.until("alice's copy of the ledger has what bob attested", func() bool {
		a = alice.search(url.Values{"q": {"harbour"}})
		return len(a.Results) == 2 && len(a.Results[0].Operators)+len(a.Results[1].Operators) == 3
	})
	if want := []concord.OperatorAnswer{{Name: "bob.example", Answered: true, Verified: 2}}; len(a.Operators) != 1 || a.Operators[0].Verified != want[0].Verified || !a.Operators[0].Answered ||
		a.Shards != (web.ShardCount{Asked: 2, Answered: 2}) || a.Total != 2 {
		t.Errorf("%+v", a)
	}
	policy := alice.get("/api/v1/policy", nil, http.StatusOK)
	for _, r := range a.Results {
		var seen []string
		for _, s := range r.Operators {
			seen = append(seen, s.Operator)
			u := strings.TrimPrefix(s.Receipt, "http://"+alice.addr)
			path, query, _ := strings.Cut(u, "?")
			params, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			rep, err := receipt.Verify(alice.get(path, params, http.StatusOK), policy, receipt.Options{URL: r.URL})
			if err != nil || rep.Operator != s.Operator {
				t.Errorf("receipt of %s by %s: %v", r.URL, s.Operator, err)
			}
		}
		switch r.URL {
		case ours:
			if !slices.Equal(seen, []string{"alice.example", "bob.example"}) || r.Title != "Harbour news" || r.Capture == "" || r.Archived == "" {
				t.Errorf("ours: %+v", r)
			}
		case theirs:
			if !slices.Equal(seen, []string{"bob.example"}) || r.Title != "Hafen" || r.Language != "de" || r.Capture != "" || r.Archived != "" || !strings.Contains(r.Snippet, "Hafen") || r.Score <= 0 {
				t.Errorf("theirs: %+v", r)
			}
		}
	}
	if own := alice.search(url.Values{"q": {"harbour"}, "scope": {"own"}}); len(own.Results) != 1 || own.Results[0].URL != ours || own.Operators != nil {
		t.Errorf("own: %+v", own)
	}
	alice.get("/api/v1/search", url.Values{"q": {"harbour"}, "proof": {"true"}}, http.StatusUnprocessableEntity)
	proven := bob.search(url.Values{"q": {"harbour"}, "scope": {"own"}, "proof": {"true"}})
	if len(proven.Results) != 2 || proven.Total != 3 {
		t.Errorf("bob hands out %+v", proven)
	}
	for _, r := range proven.Results {
		if r.URL == kept || r.Proof == nil || text.Normalise(r.Proof.Text) != r.Proof.Text || !strings.HasPrefix(r.Proof.Text, r.Title) || r.Proof.Title != len(r.Title) {
			t.Errorf("bob hands out %+v", r)
		}
	}
	page := string(alice.get("/search", url.Values{"q": {"harbour"}}, http.StatusOK))
	for _, want := range []string{"receipt of bob.example", "Only what alice.example has itself", "2 pages"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of results lacks %q", want)
		}
	}
	page = string(alice.get("/receipt", url.Values{"url": {theirs}, "operator": {"bob.example"}}, http.StatusOK))
	if !strings.Contains(page, "bob.example made this capture") || strings.Contains(page, "Archived copy") {
		t.Error("the page of bob's receipt is another")
	}
	if page = string(alice.get("/federation", nil, http.StatusOK)); !strings.Contains(page, "candidate") || !strings.Contains(page, alice.chain.ID()) {
		t.Error("the federation's page lacks its members")
	}
	manual, err := os.ReadFile("../web/manual/74-federation.md")
	if err != nil {
		t.Fatal(err)
	}
	m := string(alice.get("/metrics", nil, http.StatusOK))
	if !strings.Contains(m, `concord_operators_answered_total{operator="bob.example"}`) {
		t.Error("no metrics of operators")
	}
	for _, name := range regexp.MustCompile(`concord_operators_[a-z_]+`).FindAllString(m, -1) {
		if !strings.Contains(string(manual), "`"+name+"`") {
			t.Errorf("the manual does not name %s", name)
		}
	}
	alice.get("/api/v1/receipts", url.Values{"url": {theirs}, "operator": {"mallory.example"}}, http.StatusNotFound)

	way.replaces("Boote blieben", "Preise fielen")
	a = alice.search(url.Values{"q": {"harbour"}})
	if len(a.Results) != 1 || a.Results[0].URL != ours || a.Operators[0].Verified != 1 || a.Operators[0].Dropped["text"] != 1 {
		t.Errorf("a text that was changed: %+v", a)
	}
	way.replaces(theirs[:len(theirs)-1], "https://bank.example") // wherever it stands in plain text: receipts hold it in base64
	if a = alice.search(url.Values{"q": {"harbour"}}); len(a.Results) != 2 || a.Results[0].URL != theirs && a.Results[1].URL != theirs {
		t.Errorf("what an answer says beside its proofs is read: %+v", a)
	}
	way.replaces(`"receipt":"c2sp.org`, `"receipt":"c2sp_org`)
	if a = alice.search(url.Values{"q": {"harbour"}}); len(a.Results) != 1 || a.Operators[0].Dropped["receipt"] != 2 {
		t.Errorf("receipts that were changed: %+v", a)
	}
	st, err := alice.federation().Status(t.Context())
	if err != nil || len(st.Searches) != 1 || st.Searches[0].Dropped["text"] != 1 || st.Searches[0].Dropped["receipt"] != 2 {
		t.Errorf("counted: %+v, %v", st.Searches, err)
	}
}

// tamperer stands between an operator and those who ask it.
type tamperer struct {
	*httptest.Server
	mu       sync.Mutex
	old, new string
}

func newTamperer(t *testing.T, addr string) *tamperer {
	w := &tamperer{}
	w.Server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: addr}) },
		ModifyResponse: func(r *http.Response) error {
			b, err := io.ReadAll(r.Body)
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.old != "" {
				b = bytes.ReplaceAll(b, []byte(w.old), []byte(w.new))
			}
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
			r.Header.Set("Content-Length", strconv.Itoa(len(b)))
			return err
		},
	})
	t.Cleanup(w.Close)
	return w
}

func (w *tamperer) replaces(old, new string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.old, w.new = old, new
}

// BenchmarkBeside indexes thirty results of other operators, with texts of 8 KB, and searches them beside an index.
func BenchmarkBeside(b *testing.B) {
	cfg := testConfig(b.TempDir())
	n, err := Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	var docs []*index.Document
	for i := range 30 {
		docs = append(docs, &index.Document{URL: fmt.Sprintf("https://a.example/%d", i), Site: "a.example", Host: "a.example", Language: "en", Title: "A title",
			Body: strings.Repeat(fmt.Sprintf("Words of page %d by the harbour. ", i), 250)})
	}
	for b.Loop() {
		s, release, err := n.beside(docs)
		if err != nil {
			b.Fatal(err)
		}
		if a, err := s.Search(b.Context(), concord.Request{Query: "harbour", Limit: 10}); err != nil || a.Total != 30 {
			b.Fatal(err, a)
		}
		release()
	}
}
