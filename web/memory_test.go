package web

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/text"
	"concord/weburl"

	"github.com/prometheus/client_golang/prometheus"
)

// memory is a whole node in memory: real answers, real receipts, no disk and no network.
type memory struct {
	now time.Time

	mu       sync.Mutex
	pages    map[string]*memoryPage // by URL
	crawls   []concord.Crawl
	hosts    []concord.HostStatus
	events   []concord.CrawlEvent // newest first
	watchers map[chan concord.CrawlEvent]bool
	deleted  map[string]string
	shards   int
	answered int
	imported int64
	exported string
	notReady error
	warnings []string
	cluster  *memoryCluster // nil: alone
	witness  *memoryWitness

	*memoryLedger
}

type memoryPage struct {
	hit      concord.Hit
	text     string
	captures []concord.Capture // newest first
	content  map[string]Content
	corrupt  bool
}

// newMemory returns a node without pages.
func newMemory(now time.Time) *memory {
	m := &memory{now: now, pages: map[string]*memoryPage{}, watchers: map[chan concord.CrawlEvent]bool{}, deleted: map[string]string{}, shards: 8, answered: 8}
	m.witness = newMemoryWitness()
	m.memoryLedger = newMemoryLedger(now.Add(-26 * time.Hour))
	return m
}

// config is the configuration of a server for m.
func (m *memory) config() Config {
	reg := prometheus.NewRegistry()
	docs := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "concord_documents", Help: "Searchable pages."}, func() float64 { return float64(len(m.pages)) })
	reg.MustRegister(docs)
	var cluster Cluster
	if m.cluster != nil {
		cluster = m.cluster
	}
	return Config{Cluster: cluster, Searcher: m, Crawls: m, Pages: m, Archive: m, Receipts: m, Ledger: m.memoryLedger, Transfer: m, Notary: m.witness, Witnesses: m.witness, Status: m.status, Ready: m.ready,
		Metrics: reg, Suggest: m.suggest, APIKey: testKey, KeyFile: "/home/alice/.local/share/concord/api-key", Operator: testOperator,
		Contact: "crawl@alice.example", UserAgent: "Concord/0.1.0 (+https://alice.example/bot)", Addr: "127.0.0.1:7667", Now: func() time.Time { return m.now }}
}

const (
	testKey      = "a-key-for-tests-0123456789"
	testOperator = "alice.example"
)

// add captures and indexes a page. The capture is attested when seal is called.
func (m *memory) add(h concord.Hit, body string, c Content) *memoryPage {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pages[h.URL]
	if p == nil {
		p = &memoryPage{content: map[string]Content{}}
		m.pages[h.URL] = p
	}
	if c.Status == 0 {
		c.Status = http.StatusOK
	}
	if c.Body == nil {
		c.Body = []byte(body)
	}
	c.Raw = c.Body
	if u, err := weburl.Parse(h.URL); err == nil {
		h.Site = u.Site()
	}
	n := 0
	for _, other := range m.pages {
		n += len(other.captures)
	}
	h.Capture = fmt.Sprintf("0f6f4c1e-7d0a-4c57-9a3e-%012x", n+1)
	cp := concord.Capture{ID: h.Capture, URL: h.URL, Time: h.Fetched, Status: c.Status, Mime: c.Mime, Size: int64(len(c.Raw)), Raw: concord.Sum(c.Raw),
		Text: concord.Sum([]byte(text.Normalise(h.Title + "\n" + body))), Profile: text.Profile, Record: concord.Sum([]byte("record " + h.Capture)),
		Location: concord.Location{File: "concord-00001.warc.gz", Offset: int64(n * 9000), Length: 8214}}
	if loc := c.Header.Get("Location"); loc != "" {
		cp.Redirect = loc
	}
	p.hit, p.text = h, body
	p.captures = slices.Insert(p.captures, 0, cp)
	p.content[cp.ID] = c
	m.pending = append(m.pending, cp)
	return p
}

func (m *memory) Stats(context.Context, string) (concord.Stats, error) {
	return concord.Stats{Docs: uint64(len(m.pages))}, nil
}

// Search finds pages that hold all words of the query; "site:" restricts.
func (m *memory) Search(_ context.Context, req concord.Request) (*concord.Answer, error) {
	if i := strings.LastIndexByte(req.Query, '"'); strings.Count(req.Query, `"`)%2 == 1 {
		q := &concord.QueryError{Query: req.Query, Offset: i, Length: len(req.Query) - i, Reason: "the quotation mark is never closed"}
		return nil, concord.Errorf(concord.Invalid, "query: %w", q)
	}
	if req.Query == "explode" {
		return nil, fmt.Errorf("open segment 7: secret detail")
	}
	a := &concord.Answer{Shards: m.shards, Answered: m.answered, Took: 1900 * time.Microsecond}
	for i := m.answered; i < m.shards; i++ {
		a.Failures = append(a.Failures, fmt.Sprintf("shard %d: no answer within 2 s", i))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	words := strings.Fields(strings.ToLower(strings.ReplaceAll(req.Query, `"`, "")))
	if req.Only != nil {
		for _, u := range req.Only {
			if p := m.pages[u]; p != nil && m.deleted[u] == "" {
				h := p.hit
				h.Score = p.matches(words)
				h.Explanation = p.explain(req.Query, words)
				a.Hits = append(a.Hits, h)
			}
		}
		return a, nil
	}
	var hits []concord.Hit
	for _, p := range m.pages {
		if score := p.matches(words); score > 0 && m.deleted[p.hit.URL] == "" {
			h := p.hit
			h.Score = score
			h.Snippet = snippet(p.text, words)
			if req.Body && !h.NoArchive {
				h.Body = p.text
			}
			if req.Explain {
				h.Explanation = p.explain(req.Query, words)
			}
			hits = append(hits, h)
		}
	}
	slices.SortFunc(hits, func(a, b concord.Hit) int { return strings.Compare(a.URL, b.URL) })
	a.Total = uint64(len(hits))
	if a.Total == 0 && strings.HasPrefix(req.Query, "recipt") {
		a.Suggestion = strings.Replace(req.Query, "recipt", "receipt", 1)
	}
	if req.AnyTotal && len(hits) > req.Limit {
		a.Total, a.AtLeast = uint64(req.Limit), true
	}
	for _, f := range req.Facets {
		a.Facets = append(a.Facets, facetOf(hits, f))
	}
	from := min(req.Offset, len(hits))
	a.Hits = hits[from:min(from+req.Limit, len(hits))]
	return a, nil
}

func (p *memoryPage) matches(words []string) float64 {
	all := strings.ToLower(p.hit.Title + " " + p.text)
	score := 0.0
	for _, w := range words {
		if name, value, ok := strings.Cut(w, ":"); ok {
			if map[string]string{"site": p.hit.Site, "lang": p.hit.Language, "filetype": p.hit.FileType}[name] != value {
				return 0
			}
			score++
			continue
		}
		n := strings.Count(all, w)
		if n == 0 {
			return 0
		}
		score += float64(n)
	}
	return score
}

// explain makes an explanation of the score, a word each.
func (p *memoryPage) explain(query string, words []string) *concord.Explanation {
	ex := &concord.Explanation{Text: query, Matches: true}
	for _, w := range words {
		part := concord.Explanation{Text: w, Score: p.matches([]string{w}), Details: []string{"not on the page in any of its forms (" + w + ")"}}
		if part.Matches = part.Score > 0; part.Matches {
			part.Details = []string{"1 in the title (2 words, on average 4.1), 3 in the body (312 words, on average 480.2)", "BM25F impact 0.6431, rounded to (32 + 153) / 287 = 0.6446", "idf 4.1021: on 12 of 840 pages"}
		} else if ex.Matches {
			ex.Matches, ex.Details = false, []string{"does not match, because of: " + w}
		}
		ex.Parts = append(ex.Parts, part)
		ex.Score += part.Score
	}
	if !ex.Matches {
		ex.Score = 0
		for i := range ex.Parts {
			ex.Parts[i].Score = 0
		}
	}
	return ex
}

func facetOf(hits []concord.Hit, field string) concord.Facet {
	counts := map[string]uint64{}
	for _, h := range hits {
		counts[map[string]string{concord.FacetSite: h.Site, concord.FacetHost: h.Site, concord.FacetLang: h.Language, concord.FacetType: h.FileType,
			concord.FacetYear: h.Fetched.Format("2006")}[field]]++
	}
	f := concord.Facet{Field: field}
	for v, n := range counts {
		f.Values = append(f.Values, concord.FacetValue{Value: v, Count: n})
	}
	slices.SortFunc(f.Values, func(a, b concord.FacetValue) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	})
	return f
}

// snippet cuts the text around the first match and marks the words.
func snippet(text string, words []string) (out []concord.Fragment) {
	lower := strings.ToLower(text)
	first := 0
	for _, w := range words {
		if i := strings.Index(lower, w); i >= 0 {
			first = max(0, i-90)
			break
		}
	}
	if first > 0 {
		first += strings.IndexByte(text[first:], ' ') + 1
	}
	for i, f := range strings.SplitAfter(concord.Clip(text[first:], 260), " ") {
		match := false
		for _, w := range words {
			match = match || strings.Contains(strings.ToLower(f), w)
		}
		if i == 0 && first > 0 {
			f = "… " + f
		}
		if match {
			word := strings.TrimRight(f, " ")
			out = append(out, concord.Fragment{Text: word, Match: true}, concord.Fragment{Text: " "})
			continue
		}
		out = append(out, concord.Fragment{Text: f})
	}
	return out
}

func (m *memory) Captures(_ context.Context, url string, limit int) ([]concord.Capture, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pages[url]
	if p == nil {
		return nil, nil
	}
	return slices.Clone(p.captures[:min(limit, len(p.captures))]), nil
}

func (m *memory) Delete(_ context.Context, url, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pages[url] == nil {
		return concord.Errorf(concord.NotFound, "nothing is known of %s", url)
	}
	m.deleted[url] = reason
	return nil
}

func (m *memory) Content(_ context.Context, c concord.Capture) (Content, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pages[c.URL]
	if p == nil {
		return Content{}, concord.Errorf(concord.NotFound, "no capture %s", c.ID)
	}
	if p.corrupt {
		return Content{}, concord.Errorf(concord.Corrupt, "payload digest differs at offset 12")
	}
	return p.content[c.ID], nil
}

func (m *memory) Start(_ context.Context, spec concord.CrawlSpec) (*concord.Crawl, error) {
	if len(spec.Seeds) == 0 {
		return nil, concord.Errorf(concord.Invalid, "give at least one seed")
	}
	switch spec.Scope {
	case "", concord.ScopeHost, concord.ScopeSite, concord.ScopePrefix:
	default:
		return nil, concord.Errorf(concord.Invalid, "scope %q is none of host, site, prefix", spec.Scope)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := concord.Crawl{ID: fmt.Sprintf("c-%d", len(m.crawls)+1), Spec: spec, Created: m.now, Queued: int64(len(spec.Seeds))}
	m.crawls = slices.Insert(m.crawls, 0, c)
	return &c, nil
}

func (m *memory) Crawls(context.Context) ([]concord.Crawl, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.crawls), nil
}

func (m *memory) Crawl(_ context.Context, id string) (*concord.Crawl, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.crawls {
		if c.ID == id {
			return &c, nil
		}
	}
	return nil, concord.Errorf(concord.NotFound, "there is no crawl %q", id)
}

func (m *memory) Stop(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.crawls {
		if m.crawls[i].ID == id {
			m.crawls[i].Finished, m.crawls[i].Queued = m.now, 0
			return nil
		}
	}
	return concord.Errorf(concord.NotFound, "there is no crawl %q", id)
}

func (m *memory) Hosts(_ context.Context, limit int) ([]concord.HostStatus, error) {
	return m.hosts[:min(limit, len(m.hosts))], nil
}

func (m *memory) URL(_ context.Context, url string) (concord.URLStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.Contains(url, "/private/") {
		return concord.URLStatus{URL: url, State: "refused", Reason: "robots.txt line 3 disallows /private/ for concord", Known: m.now.Add(-time.Hour), Depth: 3,
			From: "https://docs.example.org/", Crawl: "c-1"}, nil
	}
	if p := m.pages[url]; p != nil {
		c := p.captures[0]
		return concord.URLStatus{URL: url, State: "fetched", Known: c.Time, Fetched: c.Time, Next: c.Time.Add(24 * time.Hour), Status: c.Status, Tries: 1,
			Depth: 2, From: "https://docs.example.org/", Indexed: c.Redirect == "", Redirect: c.Redirect, Crawl: "c-1"}, nil
	}
	return concord.URLStatus{URL: url, State: "unknown"}, nil
}

func (m *memory) Recent(n int) []concord.CrawlEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events[:min(n, len(m.events))])
}

func (m *memory) Watch(ctx context.Context) <-chan concord.CrawlEvent {
	c := make(chan concord.CrawlEvent, 16)
	m.mu.Lock()
	m.watchers[c] = true
	m.mu.Unlock()
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, c)
		close(c)
	})
	return c
}

// watching counts those who follow the events.
func (m *memory) watching() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.watchers)
}

// emit tells the watchers of an event.
func (m *memory) emit(e concord.CrawlEvent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = slices.Insert(m.events, 0, e)
	for c := range m.watchers {
		select {
		case c <- e:
		default:
		}
	}
}

func (m *memory) Searchable(context.Context, string) (bool, error) { return true, nil }

func (m *memory) Import(_ context.Context, name string, r io.Reader) (ImportSummary, error) {
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return ImportSummary{Name: name, Bytes: n}, fmt.Errorf("read %s: %w", name, err)
	}
	m.imported += n
	return ImportSummary{Name: name, Records: 3, Captures: 1, Indexed: 1, Skipped: 2, Bytes: n}, nil
}

func (m *memory) Export(_ context.Context, dir, _ string) (ExportSummary, error) {
	m.exported = dir
	return ExportSummary{Dir: dir, Files: 1, Records: 9}, nil
}

func (m *memory) ready(context.Context) error { return m.notReady }

func (m *memory) suggest(_ context.Context, prefix string, limit int) ([]string, error) {
	var out []string
	for _, p := range m.pages {
		if strings.HasPrefix(strings.ToLower(p.hit.Title), strings.ToLower(prefix)) {
			out = append(out, p.hit.Title)
		}
	}
	slices.Sort(out)
	return out[:min(limit, len(out))], nil
}

func (m *memory) status(context.Context) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := uint64(len(m.pages))
	st := Status{Version: concord.Version, Operator: testOperator, Node: "node-1", Started: m.now.Add(-3 * time.Hour), Uptime: 3 * time.Hour,
		DataDir: "/home/alice/.local/share/concord", Traces: "to http://10.0.0.9:4318/v1/traces", Addr: "127.0.0.1:7667", Documents: n, Captures: 2 * n,
		Archive: ArchiveStatus{Files: 3, Bytes: 214_000_000}, Warnings: m.warnings,
		Ledger:  LedgerStatus{Height: m.Info().Height, Size: m.Size(), Checkpoint: m.Checkpoint().Size, Time: m.Checkpoint().Time, Pending: uint64(len(m.pending))},
		Machine: MachineStatus{Memory: 182_000_000, Goroutines: 214, DiskFree: 91_000_000_000, DiskTotal: 250_000_000_000}}
	sites := map[string]bool{}
	for _, p := range m.pages {
		sites[p.hit.Site] = true
	}
	st.Sites = uint64(len(sites))
	for i := range m.shards {
		st.Shards = append(st.Shards, ShardStatus{Shard: i, Documents: n / uint64(m.shards), Segments: 3 + i%2, Bytes: 3_900_000 + int64(i)*41_000})
	}
	for _, c := range m.crawls {
		st.Crawl.Queued += c.Queued
		st.Crawl.Fetched += c.Fetched
		st.Crawl.Indexed += c.Indexed
		st.Crawl.Failed += c.Failed
		st.Crawl.Refused += c.Refused
		st.Crawl.Bytes += c.Bytes
		if !c.Done() {
			st.Crawl.Running++
			st.Crawl.Rate = 14.2
		}
	}
	return st, nil
}
