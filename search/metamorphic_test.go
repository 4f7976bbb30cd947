package search

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/index"
	"concord/query"
	"concord/text"
)

// The naive evaluator answers a query by reading every document anew: words by the analyser, phrases by position, scores by
// walking the posting list of each word for its impact. It shares no evaluation code with the package.
type naive struct {
	t     *testing.T
	p     *plan
	cache map[listKey]map[index.DocID]byte
	known map[groupKey]map[string]bool // terms that were compared with a word before
}

type naiveDoc struct {
	seg   *index.Segment
	id    index.DocID
	doc   *index.Document
	terms map[query.Field][][]string // per string of the field: term at each position
	flat  map[query.Field][]string   // term at each position of the field
}

// naively returns a naive evaluator and the live documents of segments, loaded for it.
func naively(t *testing.T, segs []*index.Segment) (*naive, []*naiveDoc) {
	t.Helper()
	n := &naive{t: t, cache: map[listKey]map[index.DocID]byte{}}
	var docs []*naiveDoc
	for _, seg := range segs {
		for d := range index.DocID(seg.Docs()) {
			if !seg.Deleted(d) {
				docs = append(docs, n.load(seg, d))
			}
		}
	}
	return n, docs
}

// of returns the evaluator of one query, with the weights that a searcher's statistics give its words.
func (n *naive) of(s *Searcher, root query.Node, q string) *naive {
	n.t.Helper()
	st, err := s.Stats(n.t.Context(), q)
	if err != nil {
		n.t.Fatal(err)
	}
	p, err := planFor(root, &st)
	if err != nil {
		n.t.Fatal(err)
	}
	return &naive{t: n.t, p: p, cache: n.cache}
}

func (n *naive) load(seg *index.Segment, id index.DocID) *naiveDoc {
	d, err := seg.Document(id)
	if err != nil {
		n.t.Fatal(err)
	}
	a := text.NewAnalyzer(d.Language)
	words := func(s string) []string {
		var out []string
		for _, t := range a.Append(nil, s) {
			for int(t.Position) >= len(out) {
				out = append(out, "")
			}
			out[t.Position] = t.Text
		}
		return out
	}
	nd := &naiveDoc{seg: seg, id: id, doc: d, terms: map[query.Field][][]string{}}
	url := strings.Map(func(r rune) rune {
		if strings.ContainsRune("/.:-_?=&", r) {
			return ' '
		}
		return r
	}, strings.TrimPrefix(d.URL, "https://"))
	nd.terms[query.Title] = [][]string{words(d.Title)}
	nd.terms[query.URL] = [][]string{words(url)}
	const betweenParts, betweenStrings = 16, 1 // as FORMAT.md of package index has it
	var all []string
	part := func(strs ...string) {
		for i, s := range strs {
			w := words(s)
			if i > 0 && len(all) > 0 {
				all = append(all, make([]string, betweenStrings)...)
			}
			all = append(all, w...)
			nd.terms[query.Any] = append(nd.terms[query.Any], w)
		}
		all = append(all, make([]string, betweenParts)...)
	}
	part(d.Title)
	part(d.Headings...)
	part(d.Anchors...)
	part(url)
	part(d.Body)
	nd.flat = map[query.Field][]string{query.Any: all, query.Title: nd.terms[query.Title][0], query.URL: nd.terms[query.URL][0]}
	return nd
}

// matches reports whether a term of a document is one that the node stands for.
func (n *naive) matches(q query.Node, term string) bool {
	key, _ := keyOf(q)
	known := n.known[key]
	if known == nil {
		known = map[string]bool{}
		if n.known == nil {
			n.known = map[groupKey]map[string]bool{}
		}
		n.known[key] = known
	}
	m, ok := known[term]
	if !ok {
		m = n.isOneOf(q, n.p.group(key), term)
		known[term] = m
	}
	return m
}

func (n *naive) isOneOf(q query.Node, g *group, term string) bool {
	switch q := q.(type) {
	case query.Prefix:
		start, _ := q.Terms(n.p.langs)
		if strings.HasPrefix(term, start) {
			return true
		}
	case query.Fuzzy:
		for _, near := range q.Terms(n.p.langs) {
			if distance(near.Text, term) <= near.Distance {
				return true
			}
		}
	}
	return slices.Contains(g.forms, term)
}

// distance is the number of insertions, deletions, substitutions and transpositions of neighbours between two words.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	d := make([][]int, len(x)+1)
	for i := range d {
		d[i] = make([]int, len(y)+1)
		d[i][0] = i
	}
	for j := range y {
		d[0][j+1] = j + 1
	}
	for i := range x {
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			d[i+1][j+1] = min(d[i][j+1]+1, d[i+1][j]+1, d[i][j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				d[i+1][j+1] = min(d[i+1][j+1], d[i-1][j-1]+1)
			}
		}
	}
	return d[len(x)][len(y)]
}

// phrase returns the positions at which matches of a phrase begin, in the position space of the field.
func (n *naive) phrase(d *naiveDoc, q query.Phrase) (begins []uint32) {
	term := func(at int, word int) bool {
		all := d.flat[q.Field]
		return at >= 0 && at < len(all) && all[at] != "" && n.matches(query.Word{Text: q.Words[word], Field: q.Field}, all[at])
	}
	if q.Slop == 0 {
		for at := range d.flat[q.Field] {
			ok := true
			for i := range q.Words {
				ok = ok && term(at+i, i)
			}
			if ok {
				begins = append(begins, uint32(at))
			}
		}
		return begins
	}
	// Matches that share no position, by their least p[i]-i: all ways to give each word a position.
	taken := map[int]bool{}
	for least := -len(q.Words); least < len(d.flat[q.Field]); least++ {
		for first := range q.Words {
			if !term(least+first, first) || taken[least+first] {
				continue
			}
			used := map[int]bool{least + first: true}
			var place func(word int) bool
			place = func(word int) bool {
				if word == len(q.Words) {
					return true
				}
				if word == first {
					return place(word + 1)
				}
				for shift := 0; shift <= q.Slop; shift++ {
					at := least + shift + word
					if shift == 0 && word < first || !term(at, word) || taken[at] || used[at] {
						continue
					}
					used[at] = true
					if place(word + 1) {
						return true
					}
					delete(used, at)
				}
				return false
			}
			if place(0) {
				begins = append(begins, uint32(least+first))
				for at := range used {
					taken[at] = true
				}
			}
		}
	}
	slices.Sort(begins)
	return begins
}

// value is what a word adds to the score of a document that has it: each of its terms counts, of a pattern the best.
func (n *naive) value(d *naiveDoc, q query.Node) (score uint32) {
	key, _ := keyOf(q)
	g := n.p.group(key)
	terms := map[string]bool{}
	for _, s := range d.terms[fieldOf(q)] {
		for _, term := range s {
			if term != "" && n.matches(q, term) {
				terms[term] = true
			}
		}
	}
	var best byte
	for term := range terms {
		m := n.impacts(d.seg, g.field, term)[d.id]
		best = max(best, m)
		score += g.weight * (index.ImpactOffset + uint32(m))
	}
	if g.pattern() {
		return g.weight * (index.ImpactOffset + uint32(best))
	}
	return score
}

func fieldOf(q query.Node) query.Field {
	switch q := q.(type) {
	case query.Word:
		return q.Field
	case query.Prefix:
		return q.Field
	case query.Fuzzy:
		return q.Field
	}
	return query.Any
}

// occurs reports whether a term that q stands for is in its field.
func (n *naive) occurs(d *naiveDoc, q query.Node) bool {
	for _, s := range d.terms[fieldOf(q)] {
		for _, term := range s {
			if term != "" && n.matches(q, term) {
				return true
			}
		}
	}
	return false
}

// impacts returns the impact of a term in every document that has it.
func (n *naive) impacts(seg *index.Segment, f index.Field, form string) map[index.DocID]byte {
	key := listKey{seg, f, form}
	if m, ok := n.cache[key]; ok {
		return m
	}
	m := map[index.DocID]byte{}
	n.cache[key] = m
	t, ok, err := seg.Term(f, form)
	if err != nil {
		n.t.Fatal(err)
	}
	var p index.Postings
	if !ok {
		return m
	}
	if err := p.Reset(seg, t); err != nil {
		n.t.Fatal(err)
	}
	for x := p.Next(); x != index.NoDoc; x = p.Next() {
		m[x] = p.Impact()
	}
	return m
}

type listKey struct {
	seg  *index.Segment
	f    index.Field
	form string
}

func (n *naive) eval(d *naiveDoc, q query.Node) (bool, uint32) {
	switch q := q.(type) {
	case query.Word, query.Prefix, query.Fuzzy:
		if n.occurs(d, q) {
			return true, n.value(d, q)
		}
	case query.Phrase:
		if begins := n.phrase(d, q); len(begins) > 0 {
			var weight uint32
			for _, w := range q.Words {
				weight += n.p.group(groupKey{indexField(q.Field), w}).weight
			}
			return true, weight * (index.ImpactOffset + uint32(d.seg.ImpactOf(indexField(q.Field), d.id, begins)))
		}
	case query.And:
		var sum uint32
		for _, k := range q.Nodes {
			if m, ok := k.(query.Maybe); ok {
				_, s := n.eval(d, m.Node)
				sum += s
				continue
			}
			ok, s := n.eval(d, k)
			if !ok {
				return false, 0
			}
			sum += s
		}
		return true, sum
	case query.Or:
		any, sum := false, uint32(0)
		for _, k := range q.Nodes {
			if ok, s := n.eval(d, k); ok {
				any, sum = true, sum+s
			}
		}
		return any, sum
	case query.Not:
		ok, _ := n.eval(d, q.Node)
		return !ok, 0
	case query.Site:
		return q.Match(d.doc.Host), 0
	case query.Lang:
		return d.doc.Language == q.Code, 0
	case query.FileType:
		return d.doc.FileType == q.Type, 0
	case query.Date:
		if q.Of == query.Published && d.doc.Published.IsZero() {
			return false, 0
		}
		if q.Of == query.Fetched || d.doc.Published.IsZero() {
			return q.Match(d.doc.Fetched), 0
		}
		return q.Match(d.doc.Published), 0
	}
	return false, 0
}

// answer returns all results in order.
func (n *naive) answer(docs []*naiveDoc) (out []string) {
	type hit struct {
		score     uint32
		site, url string
	}
	var hits []hit
	for _, d := range docs {
		if ok, s := n.eval(d, n.p.root); ok {
			hits = append(hits, hit{s, d.doc.Site, d.doc.URL})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.score, a.score), strings.Compare(a.site, b.site), strings.Compare(a.url, b.url))
	})
	for _, h := range hits {
		out = append(out, fmt.Sprintf("%.6f %s", float64(h.score)/n.p.scale, h.url))
	}
	return out
}

func randomWord(r *rand.Rand) string {
	words := []string{"run", "running", "ran", "house", "houses", "haus", "häuser", "index", "indexes", "apple", "pears", "green", "tree",
		"trees", "river", "alpha", "beta", "gamma", "delta", "q1", "q2", "q3", "rare"}
	i := int(float64(len(words)) * r.Float64() * r.Float64())
	return words[i]
}

func randomText(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(randomWord(r))
		b.WriteByte(' ')
	}
	return b.String()
}

func randomDoc(r *rand.Rand, i int) *index.Document {
	site := fmt.Sprintf("s%d.example", r.IntN(4))
	host := fmt.Sprintf("h%d.%s", r.IntN(2), site)
	d := &index.Document{URL: fmt.Sprintf("https://%s/%s/%d", host, randomWord(r), i), Site: site, Host: host, Language: []string{"en", "de", "en", ""}[r.IntN(4)],
		FileType: []string{"html", "pdf"}[r.IntN(2)], Fetched: time.Unix(1.7e9+int64(r.IntN(1e7)), 0), Title: randomText(r, r.IntN(5)), Body: randomText(r, 1+r.IntN(40))}
	if r.IntN(3) == 0 {
		d.Published = time.Unix(1.6e9+int64(r.IntN(2e8)), 0)
	}
	for range r.IntN(3) {
		d.Headings = append(d.Headings, randomText(r, 1+r.IntN(3)))
		d.Anchors = append(d.Anchors, randomText(r, 1+r.IntN(3)))
	}
	return d
}

func randomQuery(r *rand.Rand, depth int) string {
	leaf := func() string {
		switch r.IntN(20) {
		case 14:
			return []string{"ho*", "re*", "intitle:gr*", "ri*", "trees*", "hä*"}[r.IntN(6)]
		case 15:
			return []string{"huose~", "rum~1", "alpja~2", "intitle:grean~", "indxes~"}[r.IntN(5)]
		case 16, 17:
			return fmt.Sprintf("%q~%d", strings.TrimSpace(randomText(r, 2+r.IntN(2))), 1+r.IntN(5))
		case 18:
			return []string{"published:2022..", "published:..2023", "fetched:2023-12", "published:2021-05..2023-01"}[r.IntN(4)]
		case 0, 1:
			return fmt.Sprintf("%q", strings.TrimSpace(randomText(r, 2+r.IntN(2))))
		case 2:
			return "intitle:" + randomWord(r)
		case 3:
			return "inurl:" + randomWord(r)
		case 4:
			return fmt.Sprintf("intitle:%q", strings.TrimSpace(randomText(r, 2)))
		case 5:
			return fmt.Sprintf("site:s%d.example", r.IntN(5))
		case 6:
			return "lang:" + []string{"en", "de", "fr"}[r.IntN(3)]
		case 7:
			return []string{"filetype:pdf", "after:2023", "before:2023-12", "site:h1.s2.example"}[r.IntN(4)]
		}
		return randomWord(r)
	}
	if depth == 0 || r.IntN(3) == 0 {
		return leaf()
	}
	var parts []string
	for range 1 + r.IntN(4) {
		parts = append(parts, randomQuery(r, depth-1))
	}
	switch r.IntN(4) {
	case 3:
		return "(" + strings.Join(parts, " ") + " ?" + randomWord(r) + ")"
	case 0:
		return "(" + strings.Join(parts, " OR ") + ")"
	case 1:
		return "(" + strings.Join(parts, " ") + " -" + leaf() + ")"
	}
	return "(" + strings.Join(parts, " ") + ")"
}

// TestAnswersEqualNaive holds every page of every answer equal to exhaustive evaluation, over random collections in random
// arrangements of segments, with deletes, and over shards.
func TestAnswersEqualNaive(t *testing.T) {
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 7))
		var docs []*index.Document
		n := []int{30, 300, 700, 1500, 4500}[seed]
		for i := range n {
			docs = append(docs, randomDoc(r, i))
		}
		segs := arrange(t, r, docs, 1+int(seed)%4)
		testSegments(t, r, segs, []int{250, 120, 60, 25, 8}[seed])
	}
}

// arrange writes documents into segments, some of which lose documents again.
func arrange(t *testing.T, r *rand.Rand, docs []*index.Document, parts int) []*index.Segment {
	var segs []*index.Segment
	for i := range parts {
		s := write(t, index.Config{}, docs[i*len(docs)/parts:(i+1)*len(docs)/parts]...)
		if r.IntN(2) == 0 {
			del := index.NewDeletes(s.Docs())
			for range s.Docs() / 5 {
				del.Add(index.DocID(r.IntN(s.Docs())))
			}
			v, err := s.WithDeletes(del)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { v.Close() })
			s = v
		}
		segs = append(segs, s)
	}
	return segs
}

func testSegments(t *testing.T, r *rand.Rand, segs []*index.Segment, queries int) {
	s, both := searchers(t, segs)
	all, docs := naively(t, segs)
	matched := 0
	for range queries {
		q := randomQuery(r, 3)
		root, err := query.Parse(q)
		if err != nil {
			continue
		}
		n := all.of(s, root, q)
		want := n.answer(docs)
		matched += min(len(want), 1)
		req := concord.Request{Query: q, Offset: r.IntN(3) * 7, Limit: 1 + r.IntN(30)}
		page := want[min(req.Offset, len(want)):min(req.Offset+req.Limit, len(want))]
		k := 1 + r.IntN(50)
		if got := pruned(t, s, n.p, k); !slices.Equal(got, want[:min(k, len(want))]) {
			t.Fatalf("pruned, %d documents: %s\nbest %d\ngot  %q\nwant %q", len(docs), root, k, got, want[:min(k, len(want))])
		}
		for name, sr := range both {
			a, err := sr.Search(t.Context(), req)
			if err != nil {
				t.Fatalf("%s: %s: %v", name, q, err)
			}
			var got []string
			for _, h := range a.Hits {
				got = append(got, fmt.Sprintf("%.6f %s", h.Score, h.URL))
			}
			if int(a.Total) != len(want) || !slices.Equal(got, page) {
				t.Fatalf("%s, %d documents: %s\noffset %d limit %d\ntotal %d, want %d\ngot  %q\nwant %q", name, len(docs), root, req.Offset, req.Limit, a.Total, len(want), got, page)
			}
		}
	}
	if matched*3 < queries {
		t.Errorf("only %d of %d queries match anything", matched, queries)
	}
}

// pruned returns the best results of a search that need not count matches, as naive.answer writes them.
func pruned(t *testing.T, s *Searcher, p *plan, k int) (out []string) {
	snap := s.Acquire()
	defer snap.Release()
	best, _, err := snap.top(t.Context(), p, k, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range best {
		url, err := snap.segments[b.seg].URL(b.doc)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%.6f %s", float64(b.score)/p.scale, url))
	}
	return out
}

// TestMergedAnswersEqual holds answers equal before and after segments are merged.
func TestMergedAnswersEqual(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var docs []*index.Document
	for i := range 700 {
		docs = append(docs, randomDoc(r, i))
	}
	segs := arrange(t, r, docs, 3)
	path := filepath.Join(t.TempDir(), "merged")
	if _, err := index.Merge(t.Context(), path, segs, index.Config{}); err != nil {
		t.Fatal(err)
	}
	testSegments(t, r, []*index.Segment{open(t, path)}, 60)
	if _, err := index.Merge(t.Context(), path+" reordered", segs[:2], index.Config{Reorder: true}); err != nil {
		t.Fatal(err)
	}
	testSegments(t, r, []*index.Segment{open(t, path+" reordered"), segs[2]}, 60)
}
