package search

import (
	"cmp"
	"context"
	"math"
	"slices"

	"concord"
	"concord/index"
	"concord/pack"
	"concord/query"
	"concord/text"
)

// scoreScale is what an integer score is divided by: 64 words of the largest weight (ln of 2^32, about 22, and the boost of
// the title) stay below 2^32, and rounding stays below a millionth.
const scoreScale = 1 << 20

// titleBoost is what a word of the query is worth once more for standing in the title, beside its part in the combined impact,
// which a long body can outweigh. Measured with the title's weight 2: known items of 1,200 encyclopedia titles rise from a mean reciprocal
// rank of 0.984 to above 0.996, and nDCG@10 on abstracts does not fall.
const titleBoost = 0.4

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

// group is one word of a query: the index terms it may stand for, and what their impacts are worth.
type group struct {
	field index.Field
	forms []string
	table *pack.Table
	title *pack.Table // what the impact in the title adds, for words that may stand anywhere
}

// plan is a query ready to be compiled for segments.
type plan struct {
	root   query.Node
	langs  []string
	groups map[groupKey]*group
}

type groupKey struct {
	field index.Field
	word  string
}

// allForms returns the index terms of a word in any language there is, so that shards count the same terms whichever
// languages they hold.
func allForms(word string) []string { return text.QueryForms(word, append(text.Languages(), "")) }

// eachWord calls f with every word of the tree, those of phrases one by one.
func eachWord(n query.Node, f func(query.Field, string)) {
	switch n := n.(type) {
	case query.And:
		for _, k := range n.Nodes {
			eachWord(k, f)
		}
	case query.Or:
		for _, k := range n.Nodes {
			eachWord(k, f)
		}
	case query.Not:
		eachWord(n.Node, f)
	case query.Word:
		f(n.Field, n.Text)
	case query.Phrase:
		for _, w := range n.Words {
			f(n.Field, w)
		}
	}
}

// newPlan looks up what each word stands for and is worth by the statistics.
func newPlan(root query.Node, stats *concord.Stats) *plan {
	p := &plan{root: root, langs: byCount(stats.Langs), groups: map[groupKey]*group{}}
	eachWord(root, func(f query.Field, word string) {
		key := groupKey{indexField(f), word}
		if p.groups[key] != nil {
			return
		}
		g := &group{field: key.field, forms: text.QueryForms(word, p.langs)}
		var df uint64
		for _, form := range g.forms {
			df += stats.Terms[statsKey(key.field, form)]
		}
		g.table = weights(stats.Docs, df, 1)
		g.title = weights(stats.Docs, df, titleBoost)
		p.groups[key] = g
	})
	return p
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

// weights returns what each impact adds to a score: factor times ln(1 + (N - df + 0.5) / (df + 0.5)) times the impact, in units of
// 1/scoreScale, and never less than 1.
func weights(docs, df uint64, factor float64) *pack.Table {
	df = max(df, 1)
	docs = max(docs, df)
	idf := factor * math.Log(1+(float64(docs-df)+0.5)/(float64(df)+0.5))
	t := new(pack.Table)
	for i := 1; i < len(t); i++ {
		t[i] = uint32(max(1, math.Round(idf*float64(i)/255*scoreScale)))
	}
	return t
}

// compile returns the clause of the whole query for one segment.
func (p *plan) compile(seg *index.Segment) (clause, error) { return p.node(seg, p.root) }

func (p *plan) node(seg *index.Segment, n query.Node) (clause, error) {
	docs := seg.Docs()
	switch n := n.(type) {
	case query.Word:
		return p.word(seg, n.Field, n.Text)
	case query.Phrase:
		return p.phrase(seg, n)
	case query.Or:
		return p.or(seg, n.Nodes)
	case query.And:
		return p.and(seg, n.Nodes)
	case query.Site:
		return &filter{seg.FilterHosts(n.Match), docs}, nil
	case query.Lang:
		return &filter{seg.FilterLanguage(func(l string) bool { return l == n.Code }), docs}, nil
	case query.FileType:
		return &filter{seg.FilterFileType(func(t string) bool { return t == n.Type }), docs}, nil
	case query.Date:
		after, before := int64(math.MinInt64), int64(math.MaxInt64)
		if !n.After.IsZero() {
			after = n.After.Unix()
		}
		if !n.Before.IsZero() {
			before = n.Before.Unix()
		}
		return &filter{seg.FilterDates(after, before), docs}, nil
	}
	return nil, concord.Errorf(concord.Internal, "search: query node %T is not known", n)
}

// word returns a *word, or nothing when the segment has none of its forms.
func (p *plan) word(seg *index.Segment, f query.Field, s string) (clause, error) {
	g := p.groups[groupKey{indexField(f), s}]
	c := &word{docs: seg.Docs()}
	var err error
	if c.lists, err = lists(seg, g.field, g.forms); err != nil {
		return nil, err
	}
	if len(c.lists) == 0 {
		return nothing{}, nil
	}
	c.table, c.title.table = g.table, g.title
	if g.field == index.FieldAll {
		c.title.lists, err = lists(seg, index.FieldTitle, g.forms)
	}
	return c, err
}

// lists opens the posting lists of those terms that a field of the segment has.
func lists(seg *index.Segment, f index.Field, forms []string) (out []*index.Postings, err error) {
	for _, form := range forms {
		t, ok, err := seg.Term(f, form)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		l := new(index.Postings)
		if err := l.Reset(seg, t); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func (p *plan) phrase(seg *index.Segment, n query.Phrase) (clause, error) {
	var words []*word
	for _, s := range n.Words {
		c, err := p.word(seg, n.Field, s)
		if err != nil {
			return nil, err
		}
		w, ok := c.(*word)
		if !ok {
			return nothing{}, nil
		}
		words = append(words, w)
	}
	return newPhrase(words), nil
}

func (p *plan) or(seg *index.Segment, nodes []query.Node) (clause, error) {
	c := &or{}
	for _, n := range nodes {
		k, err := p.node(seg, n)
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

func (p *plan) and(seg *index.Segment, nodes []query.Node) (clause, error) {
	c := &and{}
	for _, n := range nodes {
		not, isNot := n.(query.Not)
		if isNot {
			n = not.Node
		}
		k, err := p.node(seg, n)
		switch {
		case err != nil:
			return nil, err
		case !isNot && k == clause(nothing{}):
			return nothing{}, nil
		case !isNot:
			c.all = append(c.all, k)
		case k != clause(nothing{}):
			c.none = append(c.none, k)
		}
	}
	if len(c.all) == 0 {
		return nil, concord.Errorf(concord.Internal, "search: nothing but excluded parts in %s", query.And{Nodes: nodes})
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

func (s *Snapshot) stats(ctx context.Context, root query.Node) (concord.Stats, error) {
	st := concord.Stats{Docs: s.Docs(), Terms: map[string]uint64{}, Langs: map[string]uint64{}}
	for _, seg := range s.segments {
		for l, n := range seg.Languages() {
			st.Langs[l] += n
		}
	}
	var fail error
	eachWord(root, func(f query.Field, word string) {
		for _, form := range allForms(word) {
			key := statsKey(indexField(f), form)
			if _, ok := st.Terms[key]; ok || fail != nil {
				continue
			}
			var df uint64
			for _, seg := range s.segments {
				t, ok, err := seg.Term(indexField(f), form)
				if err != nil {
					fail = err
					return
				}
				if ok {
					df += uint64(t.DocCount)
				}
			}
			st.Terms[key] = df
		}
	})
	if fail == nil {
		fail = ctx.Err()
	}
	return st, fail
}

func parse(q string) (query.Node, error) {
	if err := validate(concord.Request{Query: q, Limit: 1}); err != nil {
		return nil, err
	}
	return query.Parse(q)
}
