package search

import (
	"cmp"
	"math"
	"slices"

	"concord"
	"concord/index"
	"concord/query"
)

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
	c := p.x.word(g.weight)
	for _, t := range terms {
		l := p.x.lists.take()
		reset := l.Reset
		if p.x.unscored {
			reset = l.ResetUnscored
		}
		if err := reset(p.seg, t); err != nil {
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
	c := p.x.phrase(p.seg, indexField(n.Field), words, weight, n.Slop)
	c.lookAhead(p.x)
	return c, nil
}

func (p *compiler) or(nodes []query.Node) (clause, error) {
	c := p.x.ors.take()
	c.any = c.any[:0]
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
	c := p.x.ands.take()
	c.all, c.none, c.maybe = c.all[:0], c.none[:0], c.maybe[:0]
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
