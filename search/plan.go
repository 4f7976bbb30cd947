package search

import (
	"cmp"
	"context"
	"fmt"
	"maps"
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
	weight uint32         // of one impact step: idf in units of 1/(scale·ImpactLevels)
	found  [][]index.Term // by segment, where they have been looked up
}

// pattern reports whether the dictionary must be walked to know the terms.
func (g *group) pattern() bool { return len(g.prefix)+len(g.fuzzy) > 0 }

// plan is a query ready to be compiled for segments.
type plan struct {
	root   query.Node
	langs  []string
	groups []*group
	docs   uint64  // of the collection
	scale  float64 // integer scores are this many times the real ones
}

// group returns the group of a word, prefix or fuzzy word of the query.
func (p *plan) group(key groupKey) *group {
	for _, g := range p.groups {
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

// newGroup returns what a node stands for in a collection of these languages, without weight.
func newGroup(key groupKey, n query.Node, langs []string) (*group, error) {
	switch n := n.(type) {
	case query.Word:
		return &group{key: key, field: key.field, forms: text.QueryForms(n.Text, langs)}, nil
	case query.Prefix:
		start, others := n.Terms(langs)
		return &group{key: key, field: key.field, forms: others, prefix: []string{start}}, nil
	case query.Fuzzy:
		g := &group{key: key, field: key.field}
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
	p := &plan{root: root, langs: langs}
	var fail error
	leaves(root, func(n query.Node) {
		key, _ := keyOf(n)
		if fail != nil || p.group(key) != nil {
			return
		}
		var g *group
		if g, fail = newGroup(key, n, langs); fail == nil {
			p.groups = append(p.groups, g)
		}
	})
	return p, fail
}

// weigh gives every word its weight in a collection of so many documents; docCount says how many have it.
func (p *plan) weigh(docs uint64, docCount func(*group) uint64) {
	var most, sum float64 // no score is larger than sum
	p.docs = docs
	for _, g := range p.groups {
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
	for _, g := range p.groups {
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
	p, err := newPlan(root, s.languages)
	if err != nil {
		return nil, err
	}
	for _, g := range p.groups {
		for i, seg := range s.segments {
			if _, err := g.in(i, seg); err != nil {
				return nil, err
			}
		}
	}
	p.weigh(s.Docs(), func(g *group) (df uint64) {
		for _, terms := range g.found {
			for _, t := range terms {
				df += uint64(t.DocCount)
			}
		}
		return df
	})
	return p, nil
}

// in returns the group's terms in segment i of the snapshot.
func (g *group) in(i int, seg *index.Segment) ([]index.Term, error) {
	for len(g.found) <= i {
		g.found = append(g.found, nil)
	}
	if g.found[i] == nil {
		found := make([]index.Term, 0, len(g.forms))
		if err := g.terms(seg, func(t index.Term) { found = append(found, t) }); err != nil {
			return nil, err
		}
		g.found[i] = found
	}
	return g.found[i], nil
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

// compile returns the clause of the whole query for segment i of the snapshot, with cursors of x.
func (p *plan) compile(i int, seg *index.Segment, x *scratch) (clause, error) {
	return p.compilePart(p.root, i, seg, x)
}

// compilePart is compile for a part of the query.
func (p *plan) compilePart(part query.Node, i int, seg *index.Segment, x *scratch) (clause, error) {
	c := compiler{p, i, seg, x}
	return c.node(part)
}

type compiler struct {
	*plan
	number int
	seg    *index.Segment
	x      *scratch
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
	g := p.group(key)
	terms, err := g.in(p.number, p.seg)
	if err != nil || len(terms) == 0 {
		return nothing{}, err
	}
	if g.pattern() {
		return p.expand(g, terms)
	}
	c := &word{weight: g.weight}
	for _, t := range terms {
		l := p.x.postings()
		if err := l.Reset(p.seg, t); err != nil {
			return nil, err
		}
		c.lists = append(c.lists, l)
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
		weight += p.group(key).weight
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
	c := newPhrase(p.seg, indexField(n.Field), words, weight, n.Slop)
	return c, c.lookAhead(p.x)
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
	return s.stats(ctx, root)
}

// stats counts the terms that words have in any language there is, so that the counts of shards add up whichever languages they hold.
func (s *Snapshot) stats(ctx context.Context, root query.Node) (concord.Stats, error) {
	st := concord.Stats{Docs: s.docs, Terms: map[string]uint64{}, Langs: maps.Clone(s.langs)}
	p, err := newPlan(root, append(text.Languages(), ""))
	if err != nil {
		return st, err
	}
	for _, g := range p.groups {
		if err := s.addStats(&st, g); err != nil {
			return st, err
		}
	}
	return st, ctx.Err()
}

// addStats counts the documents of each of a word's terms, and those of a pattern's under its own name.
func (s *Snapshot) addStats(st *concord.Stats, g *group) error {
	if g.pattern() {
		var df uint64
		for _, seg := range s.segments {
			if err := g.terms(seg, func(t index.Term) { df += uint64(t.DocCount) }); err != nil {
				return err
			}
		}
		st.Terms[statsKey(g.field, g.key.text)] = df
		return nil
	}
	for _, form := range g.forms {
		name := statsKey(g.field, form)
		if _, ok := st.Terms[name]; ok {
			continue
		}
		df, err := s.docCount(g.field, form)
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
