package web

import (
	"net/http"
	"strconv"
	"strings"

	"concord"
)

// explainPage says why a page is a result of a query, or is not.
type explainPage struct {
	frame
	Asked   string // address
	Error   string // about the address or the query
	Missing bool   // the page is not in the index
	Page    *concord.Hit
	Name    string // title, or address where there is none
	Link    string // to the live page
	Verdict string
	Tree    *reason
}

func (*explainPage) template() string { return "explain" }

// reason is a part of a query and what it did, ready to be shown.
type reason struct {
	Text    string
	Matches bool
	Score   string // empty: it adds nothing
	Share   int    // of the whole score, in percent
	Details []string
	Parts   []reason
}

func (s *Server) explainPage(w http.ResponseWriter, r *http.Request) {
	if !s.limitSearch(w, r) {
		return
	}
	v := r.URL.Query()
	p := &explainPage{frame: frame{Title: "Why this result?", BoxInTop: true, NoIndex: true, Query: strings.TrimSpace(v.Get("q"))}, Asked: strings.TrimSpace(v.Get("url"))}
	if p.Query == "" || p.Asked == "" {
		s.render(w, r, http.StatusOK, p)
		return
	}
	status, err := s.explainInto(r, p)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.render(w, r, status, p)
}

// explainInto fills the page in and returns its status. What the visitor can correct is no error.
func (s *Server) explainInto(r *http.Request, p *explainPage) (int, error) {
	u, err := pageURL(p.Asked)
	if err != nil {
		p.Error = sentence(err.Error())
		return http.StatusUnprocessableEntity, nil
	}
	p.Link = webLink(u)
	h, err := s.explained(r.Context(), p.Query, u)
	switch kind := concord.KindOf(err); {
	case err == nil:
	case kind == concord.Invalid:
		p.Error = "The query cannot be read: " + ended(err.Error())
		return statusOf[kind], nil
	case kind == concord.NotFound:
		p.Missing = true
		return statusOf[kind], nil
	default:
		return 0, err
	}
	p.Page, p.Name = h, strings.TrimSpace(h.Title)
	if p.Name == "" {
		p.Name = h.URL
	}
	ex := h.Explanation
	p.Verdict = "It matches, with a score of " + score(ex.Score) + "."
	if !ex.Matches {
		p.Verdict = "It does not match this query."
		if len(ex.Parts) > 0 && len(ex.Details) > 0 {
			p.Verdict = "It " + ended(ex.Details[0])
		}
	}
	tree := reasonOf(ex, ex.Score)
	p.Tree = &tree
	return http.StatusOK, nil
}

func reasonOf(ex *concord.Explanation, whole float64) reason {
	out := reason{Text: ex.Text, Matches: ex.Matches, Details: ex.Details}
	if ex.Score > 0 {
		out.Score = score(ex.Score)
		out.Share = int(100*ex.Score/whole + 0.5)
	}
	for i := range ex.Parts {
		out.Parts = append(out.Parts, reasonOf(&ex.Parts[i], whole))
	}
	return out
}

func score(f float64) string { return strconv.FormatFloat(f, 'f', 4, 64) }
