package web

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord"
)

const (
	pageSize = 10
	// nearPages is how many page numbers are offered on each side of the current one.
	nearPages = 4
	uiLang    = "en"
)

// homePage is the search box, calm.
type homePage struct {
	frame
	Documents  uint64
	Sites      uint64
	Captures   uint64
	Checkpoint concord.Checkpoint
	Age        time.Duration // of the checkpoint
	Running    int
	Examples   []exampleQuery
	Warnings   []string
}

func (*homePage) template() string { return "home" }

type exampleQuery struct{ Query, Means string }

func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	st, err := s.status(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := &homePage{frame: frame{Title: "Concord"}, Documents: st.Documents, Sites: st.Sites, Captures: st.Captures,
		Checkpoint: s.cfg.Ledger.Checkpoint(), Running: st.Crawl.Running, Warnings: st.Warnings}
	p.Age = s.cfg.Now().Sub(p.Checkpoint.Time)
	if st.Documents > 0 {
		p.Examples = s.examples(r.Context())
	}
	s.render(w, r, http.StatusOK, p)
}

// examples are queries that show the language, about a site that is here.
func (s *Server) examples(ctx context.Context) []exampleQuery {
	list := []exampleQuery{{`"first steps"`, "these words, in this order"}, {"crawl OR archive -robots", "either word, and not the third"}}
	if host := s.busiestHost(ctx); host != "" {
		list = append(list, exampleQuery{"site:" + host + " intitle:index", "on this site, in the title"})
	}
	return append(list, exampleQuery{"filetype:pdf after:2024-01-01", "PDFs of this date or later"})
}

// busiestHost names the host with the most pages among those that the crawler met last; empty: there is none.
func (s *Server) busiestHost(ctx context.Context) string {
	const looked = 20
	hosts, err := s.cfg.Crawls.Hosts(ctx, looked)
	if err != nil || len(hosts) == 0 {
		return ""
	}
	busiest := slices.MaxFunc(hosts, func(a, b concord.HostStatus) int { return cmp.Compare(a.Fetched, b.Fetched) })
	host := busiest.Host
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host = rest
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host
}

// searchPage is one page of results, or what was wrong with the query.
type searchPage struct {
	frame
	Empty      bool // nothing was asked
	Results    []resultView
	Total      uint64
	First      int // number of the first result
	Last       int
	Took       time.Duration
	Partial    string   // "7 of 8 shards answered"
	Failures   []string // why
	Absent     string   // "2 of 3 other operators answered"
	Notes      []string // about other operators
	Scope      string   // empty, or scopeOwn
	OtherScope string   // the same query in the other scope; empty: there is none
	Suggestion string
	Wrong      *wrongQuery
	Pages      []pageNumber
	Previous   string
	Next       string
	Documents  uint64
	API        string // the same answer for programs
	Narrow     []narrowing
}

func (*searchPage) template() string { return "search" }

type wrongQuery struct{ Before, Marked, After, Reason string }

type pageNumber struct {
	Number  int
	Link    string
	Current bool
}

// resultView is a result, decided: what is empty is not shown.
type resultView struct {
	concord.Hit
	Title    string
	Link     string // to the live page
	Host     string
	Path     []string // crumbs after the host
	Language string   // tag, when it is not the page's own
	Kind     string   // "PDF", …
	Archived string
	Receipt  string
	More     string // more from this site
	Why      string // this result
	Others   []otherView
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	if !s.limitSearch(w, r) {
		return
	}
	v := r.URL.Query()
	q := strings.TrimSpace(v.Get("q"))
	offset, err := strconv.Atoi(v.Get("offset"))
	if err != nil || offset < 0 {
		offset = 0
	}
	offset = min(offset, concord.MaxOffset)
	p := &searchPage{frame: frame{Title: "Search", Query: q, BoxInTop: true, NoIndex: true}, Empty: q == ""}
	if p.Empty {
		s.render(w, r, http.StatusOK, p)
		return
	}
	p.Title = concord.Clip(q, 80)
	if v.Get("scope") == scopeOwn {
		p.Scope = scopeOwn
	}
	p.API = apiPrefix + scoped("/search?"+url.Values{"q": {q}, "offset": {strconv.Itoa(offset)}}.Encode(), p.Scope)
	a, err := s.searcher(p.Scope)(r.Context(), concord.Request{Query: q, Offset: offset, Limit: pageSize, Facets: narrowFacets})
	if err != nil {
		s.searchFailed(w, r, p, err)
		return
	}
	p.answer(a, q, offset)
	s.acrossOperators(p, a, q)
	if a.Total == 0 {
		if st, err := s.status(r.Context()); err == nil {
			p.Documents = st.Documents
		}
	}
	s.render(w, r, http.StatusOK, p)
}

// searchFailed shows a malformed query with its place marked; any other error is an error page.
func (s *Server) searchFailed(w http.ResponseWriter, r *http.Request, p *searchPage, err error) {
	var q *concord.QueryError
	if errors.As(err, &q) {
		before, marked, after := splitQuery(q)
		p.Wrong = &wrongQuery{before, marked, after, sentence(q.Reason)}
	} else if concord.KindOf(err) == concord.Invalid {
		p.Wrong = &wrongQuery{Reason: sentence(err.Error())}
	} else {
		s.fail(w, r, err)
		return
	}
	s.render(w, r, statusOf[concord.Invalid], p)
}

func (p *searchPage) answer(a *concord.Answer, q string, offset int) {
	p.Total, p.Took, p.Suggestion, p.Failures = a.Total, a.Took, a.Suggestion, a.Failures
	if a.Answered < a.Shards {
		p.Partial = strconv.Itoa(a.Answered) + " of " + plural(a.Shards, "shard", "shards") + " answered"
	}
	for i := range a.Hits {
		p.Results = append(p.Results, viewOf(&a.Hits[i], q))
	}
	if len(a.Hits) == 0 {
		return
	}
	p.Narrow = narrowings(q, a.Facets)
	p.First, p.Last = offset+1, offset+len(a.Hits)
	if offset > 0 {
		p.Previous = searchLink(q, max(0, offset-pageSize))
	}
	reach := min(a.Total, concord.MaxOffset+pageSize)
	if uint64(offset+pageSize) < reach {
		p.Next = searchLink(q, offset+pageSize)
	}
	current, last := offset/pageSize+1, int((reach+pageSize-1)/pageSize)
	for n := max(1, current-nearPages); n <= min(last, current+nearPages); n++ {
		p.Pages = append(p.Pages, pageNumber{n, searchLink(q, (n-1)*pageSize), n == current})
	}
}

// acrossOperators fills in what other operators have to do with an answer.
func (s *Server) acrossOperators(p *searchPage, a *concord.Answer, q string) {
	p.Absent, p.Notes = operatorsPartial(a.Operators), OperatorNotes(a.Operators)
	for i := range p.Results {
		v := &p.Results[i]
		if v.Others = s.others(&v.Hit); v.Capture == "" {
			v.Receipt, v.Archived, v.Why = "", "", ""
		}
	}
	switch {
	case p.Scope == scopeOwn && s.cfg.Operators != nil:
		p.OtherScope = searchLink(q, 0)
		for i := range p.Pages {
			p.Pages[i].Link = scoped(p.Pages[i].Link, p.Scope)
		}
		p.Previous, p.Next = scoped(p.Previous, p.Scope), scoped(p.Next, p.Scope)
		for i := range p.Narrow {
			for k := range p.Narrow[i].Values {
				p.Narrow[i].Values[k].Link = scoped(p.Narrow[i].Values[k].Link, p.Scope)
			}
		}
	case len(a.Operators) > 0:
		p.OtherScope = scoped(searchLink(q, 0), scopeOwn)
	}
}

func viewOf(h *concord.Hit, q string) resultView {
	v := resultView{Hit: *h, Title: strings.TrimSpace(h.Title), Link: webLink(h.URL), Receipt: receiptLink(h.Capture, h.URL),
		More: searchLink("site:"+h.Site, 0), Why: explainLink(q, h.URL)}
	v.Host, v.Path = crumbs(h.URL)
	if v.Title == "" {
		v.Title = h.URL
	}
	if h.Language != "" && h.Language != uiLang {
		v.Language = h.Language
	}
	if h.FileType != "" && h.FileType != "html" {
		v.Kind = strings.ToUpper(h.FileType)
	}
	if !h.NoArchive {
		v.Archived = archiveLink(h.Capture, h.URL)
	}
	return v
}

// crumbs cuts a URL into its host and the readable parts of its path.
func crumbs(raw string) (host string, path []string) {
	const maxCrumb, maxCrumbs = 40, 4
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return concord.Clip(raw, 2*maxCrumb), nil
	}
	for _, c := range strings.Split(strings.Trim(u.Path, "/"), "/") {
		if c != "" {
			path = append(path, concord.Clip(c, maxCrumb))
		}
	}
	if u.RawQuery != "" {
		path = append(path, "?"+concord.Clip(u.RawQuery, maxCrumb))
	}
	if len(path) > maxCrumbs {
		path = slices.Concat(path[:1], []string{"…"}, path[len(path)-maxCrumbs+2:])
	}
	return u.Host, path
}
