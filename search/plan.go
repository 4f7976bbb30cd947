package search

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"concord"
	"concord/index"
	"concord/query"
	"concord/text"
)

// statsKey is the key of an index term in concord.Stats.Terms: "all:run".
func statsKey(f index.Field, term string) string { return f.String() + ":" + term }

func indexField(f query.Field) index.Field {
	switch f {
	case query.Title:
		return index.FieldTitle
	case query.URL:
		return index.FieldURL
	}
	return index.FieldAll
}

// group is one word, prefix or fuzzy word of a query: the index terms it stands for, and what their impacts are worth.
type group struct {
	key    groupKey
	field  index.Field
	forms  []string       // index terms
	prefix []string       // beginnings of index terms
	fuzzy  []*index.Fuzzy // what index terms are like
	df     uint64         // documents that have it, as the idf counts them
	idf    float64
	weight uint32      // of one impact step: idf in units of 1/(scale·ImpactLevels)
	found  []inSegment // by segment
}

// inSegment is the terms of a segment that a group stands for.
type inSegment struct {
	known bool // they have been looked up
	terms []index.Term
}

// pattern reports whether the dictionary must be walked to know the terms.
func (g *group) pattern() bool { return len(g.prefix)+len(g.fuzzy) > 0 }

// plan is a query ready to be compiled for segments.
type plan struct {
	root   query.Node
	langs  []string
	groups slab[group]
	docs   uint64  // of the collection
	scale  float64 // integer scores are this many times the real ones
}

// group returns the group of a word, prefix or fuzzy word of the query.
func (p *plan) group(key groupKey) *group {
	for _, g := range p.groups.taken() {
		if g.key == key {
			return g
		}
	}
	return nil
}

// groupKey names a word in a field, or a pattern: its canonical text.
type groupKey struct {
	field index.Field
	text  string
}

func keyOf(n query.Node) (groupKey, bool) {
	switch n := n.(type) {
	case query.Word:
		return groupKey{indexField(n.Field), n.Text}, true
	case query.Prefix:
		return groupKey{indexField(n.Field), n.Text + "*"}, true
	case query.Fuzzy:
		return groupKey{indexField(n.Field), fmt.Sprintf("%s~%d", n.Text, n.Distance)}, true
	}
	return groupKey{}, false
}

// set makes g what a node stands for in a collection of these languages, without weight.
func (g *group) set(key groupKey, n query.Node, langs []string) error {
	*g = group{key: key, field: key.field, forms: g.forms[:0], prefix: g.prefix[:0], fuzzy: g.fuzzy[:0], found: g.found[:0]}
	switch n := n.(type) {
	case query.Word:
		g.forms = text.AppendQueryForms(g.forms, n.Text, langs)
		return nil
	case query.Prefix:
		start, others := n.Terms(langs)
		g.forms, g.prefix = append(g.forms, others...), append(g.prefix, start)
		return nil
	case query.Fuzzy:
		for _, near := range n.Terms(langs) {
			if near.Distance == 0 {
				g.forms = append(g.forms, near.Text)
				continue
			}
			f, err := index.NewFuzzy(near.Text, near.Distance)
			if err != nil {
				return err
			}
			g.fuzzy = append(g.fuzzy, f)
		}
		return nil
	}
	return concord.Errorf(concord.Internal, "search: %T is no word", n)
}

// terms calls f with the dictionary entries of a segment that the group stands for, each once.
func (g *group) terms(seg *index.Segment, f func(index.Term)) error {
	if !g.pattern() {
		for _, form := range g.forms {
			t, ok, err := seg.Term(g.field, form)
			if err != nil {
				return err
			}
			if ok {
				f(t)
			}
		}
		return nil
	}
	return g.patternTerms(seg, func(_ []byte, t index.Term) { f(t) })
}

// patternTerms is terms for a pattern, with the words, which are valid during the call only.
func (g *group) patternTerms(seg *index.Segment, f func(word []byte, t index.Term)) error {
	seen := map[string]bool{}
	add := func(word []byte, t index.Term) bool {
		if !seen[string(word)] {
			seen[string(word)] = true
			f(word, t)
		}
		return true
	}
	for _, form := range g.forms {
		t, ok, err := seg.Term(g.field, form)
		if err != nil {
			return err
		}
		if ok {
			add([]byte(form), t)
		}
	}
	for _, p := range g.prefix {
		if err := seg.Words(g.field, p, add); err != nil {
			return err
		}
	}
	for _, automaton := range g.fuzzy {
		if err := seg.Fuzzy(g.field, automaton, add); err != nil {
			return err
		}
	}
	return nil
}

// leaves calls f with every word, prefix and fuzzy word of the tree; words of phrases come as words of their own.
func leaves(root query.Node, f func(query.Node)) {
	query.Walk(root, func(n query.Node) bool {
		switch n := n.(type) {
		case query.Word, query.Prefix, query.Fuzzy:
			f(n)
		case query.Phrase:
			for _, w := range n.Words {
				f(query.Word{Text: w, Field: n.Field})
			}
		}
		return true
	})
}

// newPlan looks up what each word stands for in a collection of these languages. What it is worth is for weigh to say.
func newPlan(root query.Node, langs []string) (*plan, error) {
	p := new(plan)
	return p, p.set(root, langs)
}

// set is newPlan in memory that is used again.
func (p *plan) set(root query.Node, langs []string) error {
	p.root, p.langs, p.groups.used = root, langs, 0
	var fail error
	leaves(root, func(n query.Node) {
		key, _ := keyOf(n)
		if fail == nil && p.group(key) == nil {
			fail = p.groups.take().set(key, n, langs)
		}
	})
	return fail
}

// weigh gives every word its weight in a collection of so many documents; docCount says how many have it.
func (p *plan) weigh(docs uint64, docCount func(*group) uint64) {
	var most, sum float64 // no score is larger than sum
	p.docs = docs
	for _, g := range p.groups.taken() {
		g.df = docCount(g)
		g.idf = idf(docs, g.df)
		most = max(most, g.idf)
	}
	leaves(p.root, func(n query.Node) {
		key, _ := keyOf(n)
		g := p.group(key)
		sum += g.idf * float64(max(1, len(g.forms)))
	})
	p.scale = 1 << 30
	for p.scale > 1 && (most*p.scale > maxWeight*index.ImpactLevels || sum*p.scale > maxScore) {
		p.scale /= 2
	}
	for _, g := range p.groups.taken() {
		g.weight = uint32(max(1, math.Round(g.idf*p.scale/index.ImpactLevels)))
	}
}

// Scores are integers while they are compared, in a unit as small as these bounds allow. Weights of 15 bits round the frequencies of
// words by less than their thirty-thousandth part, and are what the quickest way of adding impacts takes.
const (
	maxWeight = 1<<15 - 1
	maxScore  = 1 << 31
)

// planFor makes a plan for a collection that statistics describe.
func planFor(root query.Node, stats *concord.Stats) (*plan, error) {
	p, err := newPlan(root, byCount(stats.Langs))
	if err != nil {
		return nil, err
	}
	p.weigh(stats.Docs, func(g *group) uint64 { return g.docCount(stats) })
	return p, nil
}

// docCount returns the number of documents that have the group's terms, by the statistics; a document with several of them is
// counted as often.
func (g *group) docCount(stats *concord.Stats) (df uint64) {
	if g.pattern() {
		return stats.Terms[statsKey(g.field, g.key.text)]
	}
	for _, form := range g.forms {
		df += stats.Terms[statsKey(g.field, form)]
	}
	return df
}

// plan makes a plan for the snapshot as the whole collection.
func (s *Snapshot) plan(root query.Node) (*plan, error) {
	p := new(plan)
	return p, s.planInto(p, root)
}

// planInto is plan in memory that is used again.
func (s *Snapshot) planInto(p *plan, root query.Node) error {
	if err := p.set(root, s.languages); err != nil {
		return err
	}
	for _, g := range p.groups.taken() {
		for i, seg := range s.segments {
			if _, err := g.in(i, seg); err != nil {
				return err
			}
		}
	}
	p.weigh(s.Docs(), func(g *group) (df uint64) {
		for _, in := range g.found {
			for _, t := range in.terms {
				df += uint64(t.DocCount)
			}
		}
		return df
	})
	return nil
}

// in returns the group's terms in segment i of the snapshot.
func (g *group) in(i int, seg *index.Segment) ([]index.Term, error) {
	for len(g.found) <= i {
		n := len(g.found)
		g.found = slices.Grow(g.found, 1)[:n+1]
		g.found[n] = inSegment{terms: g.found[n].terms[:0]} // the memory of a plan before
	}
	in := &g.found[i]
	if in.known {
		return in.terms, nil
	}
	if err := g.terms(seg, func(t index.Term) { in.terms = append(in.terms, t) }); err != nil {
		return nil, err
	}
	in.known = true
	return in.terms, nil
}

// byCount returns the languages, the one with most documents first.
func byCount(langs map[string]uint64) []string {
	out := make([]string, 0, len(langs))
	for l := range langs {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(langs[b], langs[a]), cmp.Compare(a, b)) })
	return out
}

// idf returns ln(1 + (N - df + 0.5) / (df + 0.5)), the weight of a word in BM25 as Lucene has it, which is never negative.
func idf(docs, df uint64) float64 {
	df = max(df, 1)
	docs = max(docs, df)
	return math.Log(1 + (float64(docs-df)+0.5)/(float64(df)+0.5))
}
