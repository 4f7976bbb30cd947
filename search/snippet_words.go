package search

import (
	"slices"
	"strings"

	"concord/index"
	"concord/query"
	"concord/text"
)

// shownPattern is a prefix or fuzzy word of the query. The words of a page are compared with it; the dictionary is not asked.
type shownPattern struct {
	*group
	word int
}

// newSnippets collects the terms to be shown: those of the query that a matching page shows. It uses and fills analyzers.
func newSnippets(p *plan, analyzers map[string]*text.Analyzer) *snippets {
	s := &snippets{terms: map[string]int{}, analyzers: analyzers}
	for _, w := range query.Words(p.root) {
		for _, form := range text.QueryForms(w, p.langs) {
			if _, ok := s.terms[form]; !ok {
				s.terms[form] = s.words
			}
		}
		s.words++
	}
	query.Walk(p.root, func(n query.Node) bool {
		switch n := n.(type) {
		case query.Not:
			return false
		case query.Prefix, query.Fuzzy:
			s.addPattern(p, n)
		}
		return true
	})
	return s
}

func (s *snippets) addPattern(p *plan, n query.Node) {
	key, _ := keyOf(n)
	g := p.group(key)
	if g.field == index.FieldURL || slices.ContainsFunc(s.patterns, func(o shownPattern) bool { return o.group == g }) {
		return
	}
	for _, form := range g.forms {
		if _, ok := s.terms[form]; !ok {
			s.terms[form] = s.words
		}
	}
	s.patterns = append(s.patterns, shownPattern{g, s.words})
	s.words++
}

// wordOf returns the number of the query's word that a term stands for.
func (s *snippets) wordOf(term string) (int, bool) {
	w, ok := s.terms[term]
	if ok || len(s.patterns) == 0 {
		return w, ok
	}
	if w, ok = s.alike[term]; !ok {
		if s.alike == nil || len(s.alike) >= maxAlike {
			s.alike = map[string]int{}
		}
		w = -1
		if i := slices.IndexFunc(s.patterns, func(p shownPattern) bool { return p.like(term) }); i >= 0 {
			w = s.patterns[i].word
		}
		s.alike[term] = w
	}
	return w, w >= 0
}

// like reports whether a pattern stands for a term, the forms of its own word aside.
func (g *group) like(term string) bool {
	return slices.ContainsFunc(g.prefix, func(p string) bool { return strings.HasPrefix(term, p) }) ||
		slices.ContainsFunc(g.fuzzy, func(f *index.Fuzzy) bool { _, ok := f.Distance(term); return ok })
}
