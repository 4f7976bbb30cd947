package search

import (
	"cmp"
	"context"
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
	field  index.Field
	forms  []string // index terms
	prefix []string // beginnings of index terms
	fuzzy  []*index.Fuzzy
	idf    float64
	weight uint32 // of one impact step: idf in units of 1/(scale·ImpactLevels)
}

// pattern reports whether the dictionary must be walked to know the terms.
func (g *group) pattern() bool { return len(g.prefix)+len(g.fuzzy) > 0 }

// plan is a query ready to be compiled for segments.
type plan struct {
	root   query.Node
	langs  []string
	groups map[groupKey]*group
	scale  float64 // integer scores are this many times the real ones
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

// newGroup returns what a node stands for in a collection of these languages, without weight.
func newGroup(n query.Node, langs []string) (*group, error) {
	switch n := n.(type) {
	case query.Word:
		return &group{field: indexField(n.Field), forms: text.QueryForms(n.Text, langs)}, nil
	case query.Prefix:
		start, others := n.Terms(langs)
		return &group{field: indexField(n.Field), forms: others, prefix: []string{start}}, nil
	case query.Fuzzy:
		g := &group{field: indexField(n.Field)}
		for _, near := range n.Terms(langs) {
			if near.Distance == 0 {
				g.forms = append(g.forms, near.Text)
				continue
			}
			f, err := index.NewFuzzy(near.Text, near.Distance)
			if err != nil {
				return nil, err
			}
			g.fuzzy = append(g.fuzzy, f)
		}
		return g, nil
	}
	return nil, concord.Errorf(concord.Internal, "search: %T is no word", n)
}

// terms calls f with the dictionary entries of a segment that the group stands for, each once.
func (g *group) terms(seg *index.Segment, f func(index.Term)) error {
	seen := map[string]bool{}
	for _, form := range g.forms {
		t, ok, err := seg.Term(g.field, form)
		if err != nil {
			return err
		}
		if ok && !seen[form] {
			seen[form] = true
			f(t)
		}
	}
	add := func(word []byte, t index.Term) bool {
		if !seen[string(word)] {
			seen[string(word)] = true
			f(t)
		}
		return true
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

// everyLanguage returns all languages that have a stemmer, and none: what shards must count so that their counts add up whichever
// languages they hold.
func everyLanguage() []string { return append(text.Languages(), "") }

// newPlan looks up what each word stands for and is worth by the statistics.
func newPlan(root query.Node, stats *concord.Stats) (*plan, error) {
	p := &plan{root: root, langs: byCount(stats.Langs), groups: map[groupKey]*group{}}
	var fail error
	var sum float64 // the largest score there can be
	leaves(root, func(n query.Node) {
		key, _ := keyOf(n)
		g := p.groups[key]
		if g == nil {
			var err error
			if g, err = newGroup(n, p.langs); err != nil {
				fail = err
				return
			}
			g.idf = idf(stats.Docs, g.docCount(key, stats))
			p.groups[key] = g
		}
		sum += g.idf * float64(max(1, len(g.forms)))
	})
	if fail != nil {
		return nil, fail
	}
	p.scale = maxScale
	for p.scale > 1 && sum*p.scale > maxScore {
		p.scale /= 2
	}
	for _, g := range p.groups {
		g.weight = uint32(max(1, math.Round(g.idf*p.scale/index.ImpactLevels)))
	}
	return p, nil
}

// Scores are integers while they are compared. Their unit is as small as their sum allows.
const (
	maxScale = 1 << 24
	maxScore = 1 << 31
)

// docCount returns the number of documents that have the group's terms, by the statistics; a document with several of them is
// counted as often.
func (g *group) docCount(key groupKey, stats *concord.Stats) (df uint64) {
	if g.pattern() {
		return stats.Terms[statsKey(key.field, key.text)]
	}
	for _, form := range g.forms {
		df += stats.Terms[statsKey(key.field, form)]
	}
	return df
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

// compile returns the clause of the whole query for one segment, with cursors of x.
func (p *plan) compile(seg *index.Segment, x *scratch) (clause, error) {
	c := compiler{p, seg, x}
	return c.node(p.root)
}

type compiler struct {
	*plan
	seg *index.Segment
	x   *scratch
}

func (p *compiler) node(n query.Node) (clause, error) {
	switch n := n.(type) {
	case query.Word, query.Prefix, query.Fuzzy:
		return p.word(n)
	case query.Phrase:
		return p.phrase(n)
	case query.Or:
		return p.or(n.Nodes)
	case query.And:
		return p.and(n.Nodes)
	case query.Site:
		return p.filter(p.seg.FilterHosts(n.Match)), nil
	case query.Lang:
		return p.filter(p.seg.FilterLanguage(func(l string) bool { return l == n.Code })), nil
	case query.FileType:
		return p.filter(p.seg.FilterFileType(func(t string) bool { return t == n.Type })), nil
	case query.Date:
		return p.filter(dates(p.seg, n)), nil
	}
	return nil, concord.Errorf(concord.Internal, "search: query node %T is not known", n)
}

func (p *compiler) filter(f *index.Filter) clause { return &filter{f, p.seg.Docs()} }

func dates(seg *index.Segment, n query.Date) *index.Filter {
	after, before := int64(math.MinInt64), int64(math.MaxInt64)
	if !n.After.IsZero() {
		after = n.After.Unix()
	}
	if !n.Before.IsZero() {
		before = n.Before.Unix()
	}
	switch n.Of {
	case query.Published:
		return seg.FilterPublished(after, before)
	case query.Fetched:
		return seg.FilterFetched(after, before)
	}
	return seg.FilterDates(after, before)
}

// word returns a *word, an *expanded for a pattern, or nothing when the segment has none of the terms.
func (p *compiler) word(n query.Node) (clause, error) {
	key, _ := keyOf(n)
	g := p.groups[key]
	if g.pattern() {
		return p.expand(g)
	}
	c := &word{weight: g.weight, docs: p.seg.Docs()}
	for _, form := range g.forms {
		t, ok, err := p.seg.Term(g.field, form)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		l := p.x.postings()
		if err := l.Reset(p.seg, t); err != nil {
			return nil, err
		}
		c.lists = append(c.lists, l)
	}
	if len(c.lists) == 0 {
		return nothing{}, nil
	}
	return c, nil
}

// phrase needs each word once, wherever it stands.
func (p *compiler) phrase(n query.Phrase) (clause, error) {
	var words []*word
	var weight uint32
	for i, s := range n.Words {
		node := query.Word{Text: s, Field: n.Field}
		key, _ := keyOf(node)
		weight += p.groups[key].weight
		if first := slices.Index(n.Words, s); first < i {
			words = append(words, words[first])
			continue
		}
		c, err := p.word(node)
		if err != nil {
			return nil, err
		}
		w, ok := c.(*word)
		if !ok {
			return nothing{}, nil
		}
		words = append(words, w)
	}
	return newPhrase(p.seg, indexField(n.Field), words, weight, n.Slop), nil
}

func (p *compiler) or(nodes []query.Node) (clause, error) {
	c := &or{}
	for _, n := range nodes {
		k, err := p.node(n)
		if err != nil {
			return nil, err
		}
		if k != (nothing{}) {
			c.any = append(c.any, k)
		}
	}
	switch len(c.any) {
	case 0:
		return nothing{}, nil
	case 1:
		return c.any[0], nil
	}
	return c, nil
}

func (p *compiler) and(nodes []query.Node) (clause, error) {
	c := &and{}
	for _, n := range nodes {
		part, into := n, &c.all
		switch n := n.(type) {
		case query.Not:
			part, into = n.Node, &c.none
		case query.Maybe:
			part, into = n.Node, &c.maybe
		}
		k, err := p.node(part)
		if err != nil {
			return nil, err
		}
		if k != clause(nothing{}) {
			*into = append(*into, k)
		} else if into == &c.all {
			return nothing{}, nil
		}
	}
	if len(c.all) == 0 {
		return nil, concord.Errorf(concord.Internal, "search: no part must match in %s", query.And{Nodes: nodes})
	}
	slices.SortStableFunc(c.all, func(a, b clause) int { return cmp.Compare(a.cost(), b.cost()) })
	return c, nil
}

// Stats returns the statistics the query's scores depend on, as Searcher.Stats does.
func (s *Snapshot) Stats(ctx context.Context, q string) (concord.Stats, error) {
	root, err := parse(q)
	if err != nil {
		return concord.Stats{}, err
	}
	return s.stats(ctx, root, everyLanguage())
}

// stats counts terms of the given languages; nil: those of the snapshot.
func (s *Snapshot) stats(ctx context.Context, root query.Node, langs []string) (concord.Stats, error) {
	st := concord.Stats{Docs: s.Docs(), Terms: map[string]uint64{}, Langs: map[string]uint64{}}
	for _, seg := range s.segments {
		for l, n := range seg.Languages() {
			st.Langs[l] += n
		}
	}
	if langs == nil {
		langs = byCount(st.Langs)
	}
	var fail error
	leaves(root, func(n query.Node) {
		if fail == nil {
			fail = s.addStats(&st, n, langs)
		}
	})
	if fail == nil {
		fail = ctx.Err()
	}
	return st, fail
}

// addStats counts the documents of each of a word's terms, and those of a pattern's under its own name.
func (s *Snapshot) addStats(st *concord.Stats, n query.Node, langs []string) error {
	key, _ := keyOf(n)
	g, err := newGroup(n, langs)
	if err != nil {
		return err
	}
	if g.pattern() {
		name := statsKey(key.field, key.text)
		if _, ok := st.Terms[name]; ok {
			return nil
		}
		st.Terms[name] = 0
		for _, seg := range s.segments {
			if err := g.terms(seg, func(t index.Term) { st.Terms[name] += uint64(t.DocCount) }); err != nil {
				return err
			}
		}
		return nil
	}
	for _, form := range g.forms {
		name := statsKey(key.field, form)
		if _, ok := st.Terms[name]; ok {
			continue
		}
		df, err := s.docCount(key.field, form)
		if err != nil {
			return err
		}
		st.Terms[name] = df
	}
	return nil
}

func (s *Snapshot) docCount(f index.Field, form string) (df uint64, err error) {
	for _, seg := range s.segments {
		t, ok, err := seg.Term(f, form)
		if err != nil {
			return 0, err
		}
		if ok {
			df += uint64(t.DocCount)
		}
	}
	return df, nil
}

func parse(q string) (query.Node, error) {
	if err := validate(concord.Request{Query: q, Limit: 1}); err != nil {
		return nil, err
	}
	return query.Parse(q)
}
