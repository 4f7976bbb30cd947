package search

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"concord"
	"concord/index"
	"concord/query"
)

// explainer says how documents of one snapshot get their scores. It evaluates the tree once more, one document at a time, on the
// same lists and in the same integers as the search does. All scores of an explanation are whole numbers below 2^32 over the
// plan's scale, a power of two: floats hold them and their sums exactly.
type explainer struct {
	*plan
	s    *Snapshot
	x    *scratch
	docs [][]index.DocID // to be explained, by segment, in order
	best map[patternIn]map[index.DocID]bestTerm
	list index.Postings
	pos  []uint32

	// the document being explained
	number int
	seg    *index.Segment
	doc    index.DocID
}

// patternIn is a pattern in one segment.
type patternIn struct {
	key groupKey
	seg int
}

// bestTerm is the term of a pattern that a document scores for.
type bestTerm struct {
	word      string
	impact    byte
	positions []uint32
	others    int // further terms of the pattern in the document
}

// explain returns the explanation of each result. Whether they match need not be known.
func (s *Snapshot) explain(ctx context.Context, p *plan, results []ranked) ([]concord.Explanation, error) {
	e := &explainer{plan: p, s: s, x: s.scratch(ctx), docs: make([][]index.DocID, len(s.segments)), best: map[patternIn]map[index.DocID]bestTerm{}}
	for _, r := range results {
		e.docs[r.seg] = append(e.docs[r.seg], r.doc)
	}
	for _, docs := range e.docs {
		slices.Sort(docs)
	}
	out := make([]concord.Explanation, len(results))
	for i, r := range results {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e.number, e.seg, e.doc = int(r.seg), s.segments[r.seg], r.doc
		ex, err := e.node(p.root)
		if err != nil {
			return nil, err
		}
		out[i] = ex
	}
	s.scratches.Put(e.x)
	return out, nil
}

func (e *explainer) node(n query.Node) (concord.Explanation, error) {
	switch n := n.(type) {
	case query.Word:
		return e.word(n)
	case query.Prefix, query.Fuzzy:
		return e.pattern(n)
	case query.Phrase:
		return e.phrase(n)
	case query.And:
		return e.and(n)
	case query.Or:
		return e.or(n)
	case query.Not:
		return e.not(n)
	case query.Maybe:
		return e.maybe(n)
	}
	return e.filter(n)
}

func (e *explainer) and(n query.And) (concord.Explanation, error) {
	out := concord.Explanation{Text: n.String(), Matches: true}
	var lacks []string
	for _, k := range n.Nodes {
		part, err := e.node(k)
		if err != nil {
			return out, err
		}
		if _, optional := k.(query.Maybe); !part.Matches && !optional {
			lacks = append(lacks, part.Text)
		}
		out.Score += part.Score
		out.Parts = append(out.Parts, part)
	}
	if lacks != nil {
		out.Matches, out.Score = false, 0
		forfeit(out.Parts)
		out.Details = []string{"does not match, because of: " + strings.Join(lacks, ", ")}
	}
	return out, nil
}

func (e *explainer) or(n query.Or) (concord.Explanation, error) {
	out := concord.Explanation{Text: n.String()}
	for _, k := range n.Nodes {
		part, err := e.node(k)
		if err != nil {
			return out, err
		}
		out.Matches = out.Matches || part.Matches
		out.Score += part.Score
		out.Parts = append(out.Parts, part)
	}
	if !out.Matches {
		out.Details = []string{"none of these matches"}
	}
	return out, nil
}

func (e *explainer) not(n query.Not) (concord.Explanation, error) {
	part, err := e.node(n.Node)
	out := concord.Explanation{Text: n.String(), Matches: !part.Matches, Details: []string{"must not match, and does not"}}
	if part.Matches {
		out.Details = []string{"must not match, but does"}
		out.Parts = part.Parts
		forfeit(out.Parts)
	}
	return out, err
}

func (e *explainer) maybe(n query.Maybe) (concord.Explanation, error) {
	out, err := e.node(n.Node)
	out.Text = n.String()
	out.Details = append([]string{"need not match"}, out.Details...)
	return out, err
}

// forfeit takes the scores of parts that come to nothing, as what they are parts of does not match.
func forfeit(parts []concord.Explanation) {
	for i := range parts {
		parts[i].Score = 0
		forfeit(parts[i].Parts)
	}
}

// word explains a word by the forms of it that the document has.
func (e *explainer) word(n query.Word) (concord.Explanation, error) {
	out := concord.Explanation{Text: n.String()}
	key, _ := keyOf(n)
	g := e.group(key)
	for _, form := range g.forms {
		t, ok, err := e.seg.Term(g.field, form)
		if err != nil {
			return out, err
		}
		if !ok {
			continue
		}
		impact, err := e.read(t)
		if err != nil {
			return out, err
		}
		if impact > 0 {
			part := concord.Explanation{Text: "the form " + form, Matches: true, Score: e.units(g.weight, impact)}
			part.Details = append(part.Details, e.places(g.field, e.pos), e.impact(g.field, impact, e.pos), e.idf(g), e.product(g.idf, impact))
			out.Matches = true
			out.Score += part.Score
			out.Parts = append(out.Parts, part)
		}
	}
	switch len(out.Parts) {
	case 0:
		out.Details = []string{"not " + in(g.field) + " in any of its forms (" + strings.Join(g.forms, ", ") + ")"}
	case 1:
		only := out.Parts[0]
		out.Details, out.Parts = only.Details, nil
		if form := strings.TrimPrefix(only.Text, "the form "); form != n.Text {
			out.Details = append([]string{"kept in the index as " + form}, out.Details...)
		}
	}
	return out, nil
}

// read returns the impact of the document in a list, 0 when it is not there, and leaves its positions in e.pos.
func (e *explainer) read(t index.Term) (byte, error) {
	if err := e.list.Reset(e.seg, t); err != nil {
		return 0, err
	}
	impact := e.list.At(e.doc)
	if e.pos = e.pos[:0]; impact > 0 && e.list.Advance(e.doc) == e.doc {
		e.pos = e.list.Positions(e.pos)
	}
	return impact, e.list.Err()
}

// units returns a score as the search has it.
func (e *explainer) units(weight uint32, impact byte) float64 {
	return float64(worth(weight, impact)) / e.scale
}

// pattern explains a prefix or fuzzy word by the one of its terms that weighs most.
func (e *explainer) pattern(n query.Node) (concord.Explanation, error) {
	out := concord.Explanation{Text: n.String()}
	key, _ := keyOf(n)
	g := e.group(key)
	docs, err := e.patternDocs(g)
	if err != nil {
		return out, err
	}
	b, ok := docs[e.doc]
	if !ok {
		out.Details = []string{"no such word is " + in(g.field)}
		return out, nil
	}
	out.Matches, out.Score = true, e.units(g.weight, b.impact)
	best := "found as " + b.word
	if b.others > 0 {
		best += fmt.Sprintf(", the one that weighs most of %d", b.others+1)
	}
	out.Details = []string{best, e.places(g.field, b.positions), e.impact(g.field, b.impact, b.positions), e.idf(g), e.product(g.idf, b.impact)}
	return out, nil
}

// patternDocs returns the best terms of a pattern in the documents to be explained of the current segment. The dictionary is walked once
// for all of them.
func (e *explainer) patternDocs(g *group) (map[index.DocID]bestTerm, error) {
	at := patternIn{g.key, e.number}
	if docs, ok := e.best[at]; ok {
		return docs, nil
	}
	docs := map[index.DocID]bestTerm{}
	var fail error
	err := g.patternTerms(e.seg, func(word []byte, t index.Term) {
		if fail == nil {
			fail = e.addPattern(docs, word, t)
		}
	})
	if fail != nil {
		err = fail
	}
	e.best[at] = docs
	return docs, err
}

func (e *explainer) addPattern(docs map[index.DocID]bestTerm, word []byte, t index.Term) error {
	if err := e.x.tick(); err != nil {
		return err
	}
	if err := e.list.Reset(e.seg, t); err != nil {
		return err
	}
	for _, d := range e.docs[e.number] {
		impact := e.list.At(d)
		if impact == 0 {
			continue
		}
		b, more := docs[d]
		if more {
			b.others++
		}
		if impact > b.impact {
			b.word, b.impact, b.positions = string(word), impact, nil
			if e.list.Advance(d) == d {
				b.positions = e.list.Positions(nil)
			}
		}
		docs[d] = b
	}
	return e.list.Err()
}

func (e *explainer) phrase(n query.Phrase) (concord.Explanation, error) {
	out := concord.Explanation{Text: n.String()}
	e.x.begin()
	c := compiler{e.plan, e.number, e.seg, e.x}
	k, err := c.phrase(n)
	if err != nil {
		return out, err
	}
	ph, ok := k.(*phrase)
	if !ok || ph.limitAt(e.doc) == 0 {
		out.Details = []string{"not all of its words are " + in(indexField(n.Field))}
		return out, e.x.damage()
	}
	found := slices.Clone(ph.occurrences(e.doc, unmet))
	if err := e.x.damage(); err != nil {
		return out, err
	}
	if len(found) == 0 {
		out.Details = []string{"its words are " + in(indexField(n.Field)) + ", but not side by side in this order"}
		if n.Slop > 0 {
			out.Details = []string{fmt.Sprintf("its words are %s, but not within %d moves of this order", in(indexField(n.Field)), n.Slop)}
		}
		return out, nil
	}
	impact := e.seg.ImpactOf(ph.field, e.doc, found)
	out.Matches, out.Score = true, e.units(ph.weight, impact)
	var idf float64
	var sum []string
	for _, w := range n.Words {
		g := e.group(groupKey{ph.field, w})
		idf += g.idf
		sum = append(sum, fmt.Sprintf("%s %.4f", w, g.idf))
	}
	out.Details = []string{e.places(ph.field, found), e.impact(ph.field, impact, found), fmt.Sprintf("idf %.4f: the sum of its words' (%s)", idf, strings.Join(sum, ", ")), e.product(idf, impact)}
	return out, nil
}

// filter explains a filter by what the document has.
func (e *explainer) filter(n query.Node) (concord.Explanation, error) {
	out := concord.Explanation{Text: n.String()}
	c := compiler{e.plan, e.number, e.seg, e.x}
	k, err := c.node(n)
	if err != nil {
		return out, err
	}
	out.Matches = k.has(e.doc)
	known := func(s string) string {
		if s == "" {
			return "not known"
		}
		return s
	}
	switch n.(type) {
	case query.Site:
		out.Details = []string{"the host is " + known(e.seg.Host(e.doc))}
	case query.Lang:
		out.Details = []string{"the language is " + known(e.seg.Language(e.doc))}
	case query.FileType:
		out.Details = []string{"the type is " + known(e.seg.FileType(e.doc))}
	case query.Date:
		const layout = "2006-01-02 15:04:05 UTC"
		published := "not said when published"
		if t := e.seg.Published(e.doc); !t.IsZero() {
			published = "published " + t.UTC().Format(layout)
		}
		out.Details = []string{published + ", fetched " + e.seg.Fetched(e.doc).UTC().Format(layout)}
	}
	return out, nil
}

// in says where words of a field stand.
func in(f index.Field) string {
	switch f {
	case index.FieldTitle:
		return "in the title"
	case index.FieldURL:
		return "in the address"
	}
	return "on the page"
}

var partPlaces = [index.NumParts]string{"title", "headings", "links to the page", "address", "body"}

// places says how often and where.
func (e *explainer) places(f index.Field, positions []uint32) string {
	var out []string
	for _, c := range e.seg.PartCounts(f, e.doc, positions) {
		out = append(out, fmt.Sprintf("%d in the %s (%d words, on average %.1f)", c.Count, partPlaces[c.Part], c.Length, c.Average))
	}
	return strings.Join(out, ", ")
}

// impact says what a posting weighs, exactly and as it is kept.
func (e *explainer) impact(f index.Field, impact byte, positions []uint32) string {
	return fmt.Sprintf("BM25F impact %.4f, rounded to (%d + %d) / %d = %.4f", e.seg.ExactOf(f, e.doc, positions),
		index.ImpactOffset, impact, index.ImpactLevels, rounded(impact))
}

func rounded(impact byte) float64 {
	return float64(index.ImpactOffset+uint32(impact)) / index.ImpactLevels
}

// idf says how rare a word is. Pages that have several of its forms are counted as often.
func (e *explainer) idf(g *group) string {
	out := fmt.Sprintf("idf %.4f: on %d of %d pages", g.idf, g.df, e.plan.docs)
	switch {
	case g.pattern():
		out += ", each counted for every such word it has"
	case len(g.forms) > 1:
		out += ", each counted for every form it has"
	}
	return out
}

func (e *explainer) product(idf float64, impact byte) string {
	return fmt.Sprintf("%.4f × %.4f = %.4f", idf, rounded(impact), idf*rounded(impact))
}
