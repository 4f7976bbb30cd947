package game

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"concord"
	"concord/query"
)

// BM25 are the parameters that all engines of the benchmark use where they let one choose.
type BM25 struct{ K1, B float64 }

// GameBM25 is what the game's engines score with.
var GameBM25 = BM25{0.9, 0.4}

// Exact evaluates queries document by document with BM25 in floating point: slow, simple, and what results of engines are
// held against. It keeps postings of the words it is made for only. Not safe for concurrent use.
//
// A word's score is idf * tf / (tf + k1*(1 - b + b*length/average)) with idf = ln(1 + (N-df+0.5)/(df+0.5)). A phrase scores as one
// word that occurs where the phrase does, with the idf of its words added up, as in Lucene.
type Exact struct {
	bm25    BM25
	words   map[string][]exactPosting
	lengths []uint32
	docs    int    // documents that count as the collection
	total   uint64 // words of all documents
}

// exactPosting is the places of a word in a document.
type exactPosting struct {
	doc       uint32
	positions []uint32
}

// NewExact returns an evaluator for the words of some queries.
func NewExact(p BM25, queries []query.Node) *Exact {
	x := &Exact{bm25: p, words: map[string][]exactPosting{}}
	for _, q := range queries {
		eachWord(q, func(w string) { x.words[w] = nil })
	}
	return x
}

func eachWord(n query.Node, yield func(string)) {
	switch n := n.(type) {
	case query.Word:
		yield(n.Text)
	case query.Phrase:
		for _, w := range n.Words {
			yield(w)
		}
	case query.Not:
		eachWord(n.Node, yield)
	case query.Maybe:
		eachWord(n.Node, yield)
	case query.And:
		for _, k := range n.Nodes {
			eachWord(k, yield)
		}
	case query.Or:
		for _, k := range n.Nodes {
			eachWord(k, yield)
		}
	}
}

// Add adds the next document, as its words in order.
func (x *Exact) Add(words []string) {
	doc := uint32(len(x.lengths))
	for at, w := range words {
		list, ok := x.words[w]
		if !ok {
			continue
		}
		if n := len(list); n == 0 || list[n-1].doc != doc {
			list = append(list, exactPosting{doc: doc})
		}
		last := &list[len(list)-1]
		last.positions = append(last.positions, uint32(at))
		x.words[w] = list
	}
	x.lengths = append(x.lengths, uint32(len(words)))
	x.docs++
	x.total += uint64(len(words))
}

// LikeLucene makes the evaluator score with what Lucene knows: lengths in one byte, and a collection of the documents that have a word.
func (x *Exact) LikeLucene() {
	x.docs = 0
	for i, n := range x.lengths {
		if n > 0 {
			x.docs++
		}
		x.lengths[i] = lossyLength(n)
	}
}

// lossyLength returns what is left of a length in one byte: lengths below 24 are exact, above it the distance to 24 keeps its highest four bits.
func lossyLength(n uint32) uint32 {
	const exact, keep = 24, 4
	if n < exact {
		return n
	}
	n -= exact
	if drop := bits.Len32(n) - keep; drop > 0 {
		n = n >> drop << drop
	}
	return n + exact
}

// cursor stands on a posting of one word.
type cursor struct {
	list []exactPosting
	idf  float64
}

// at returns the word's posting in a document, nil when it has none. The list begins at or after the document.
func (c *cursor) at(doc uint32) *exactPosting {
	if len(c.list) > 0 && c.list[0].doc == doc {
		return &c.list[0]
	}
	return nil
}

// All returns every document that matches, the best first; of equal ones the first in the corpus.
func (x *Exact) All(root query.Node) ([]Scored, error) {
	cursors := map[string]*cursor{}
	var list []*cursor
	eachWord(root, func(w string) {
		if cursors[w] == nil {
			df := float64(len(x.words[w]))
			cursors[w] = &cursor{x.words[w], math.Log(1 + (float64(x.docs)-df+0.5)/(df+0.5))}
			list = append(list, cursors[w])
		}
	})
	e := evaluation{x, cursors}
	var out []Scored
	for {
		doc := uint32(math.MaxUint32)
		for _, c := range list {
			if len(c.list) > 0 {
				doc = min(doc, c.list[0].doc)
			}
		}
		if doc == math.MaxUint32 {
			break
		}
		match, score, err := e.node(root, doc)
		if err != nil {
			return nil, err
		}
		if match {
			out = append(out, Scored{int(doc), score})
		}
		for _, c := range list {
			if len(c.list) > 0 && c.list[0].doc == doc {
				c.list = c.list[1:]
			}
		}
	}
	slices.SortFunc(out, func(a, b Scored) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Doc, b.Doc)) })
	return out, nil
}

// evaluation is one query at work.
type evaluation struct {
	x       *Exact
	cursors map[string]*cursor
}

// node reports whether a document matches and what it scores.
func (e *evaluation) node(n query.Node, doc uint32) (match bool, score float64, err error) {
	switch n := n.(type) {
	case query.Word:
		p := e.cursors[n.Text].at(doc)
		return p != nil, e.word(n.Text, doc), nil
	case query.Phrase:
		tf := e.occurrences(n.Words, doc)
		if tf == 0 {
			return false, 0, nil
		}
		for _, w := range n.Words {
			score += e.cursors[w].idf
		}
		return true, score * e.x.saturation(tf, doc), nil
	case query.Or:
		for _, k := range n.Nodes {
			m, s, err := e.node(k, doc)
			if err != nil {
				return false, 0, err
			}
			if m {
				match, score = true, score+s
			}
		}
		return match, score, nil
	case query.And:
		return e.and(n.Nodes, doc)
	}
	return false, 0, concord.Errorf(concord.Invalid, "exact evaluation of a %T is not known", n)
}

func (e *evaluation) and(nodes []query.Node, doc uint32) (match bool, score float64, err error) {
	for _, k := range nodes {
		inner, required, counts := k, true, true
		switch k := k.(type) {
		case query.Not:
			inner, counts = k.Node, false
		case query.Maybe:
			inner, required = k.Node, false
		}
		m, s, err := e.node(inner, doc)
		if err != nil || required && m != counts {
			return false, 0, err
		}
		if m && counts {
			score += s
		}
	}
	return true, score, nil
}

func (e *evaluation) word(w string, doc uint32) float64 {
	c := e.cursors[w]
	p := c.at(doc)
	if p == nil {
		return 0
	}
	return c.idf * e.x.saturation(len(p.positions), doc)
}

// saturation is what tf occurrences in a document are worth, 0 to 1.
func (x *Exact) saturation(tf int, doc uint32) float64 {
	average := float64(x.total) / float64(x.docs)
	return float64(tf) / (float64(tf) + x.bm25.K1*(1-x.bm25.B+x.bm25.B*float64(x.lengths[doc])/average))
}

// occurrences returns how often the words stand side by side in a document.
func (e *evaluation) occurrences(words []string, doc uint32) (n int) {
	places := make([][]uint32, len(words))
	for i, w := range words {
		p := e.cursors[w].at(doc)
		if p == nil {
			return 0
		}
		places[i] = p.positions
	}
next:
	for _, start := range places[0] {
		for i := range places {
			if _, ok := slices.BinarySearch(places[i], start+uint32(i)); !ok {
				continue next
			}
		}
		n++
	}
	return n
}

// Overlap returns which part of an engine's best k documents is among the exact best k. Documents with the score of the last of these
// are as good as it. It is 1 when nothing matches and nothing was found.
func Overlap(exact, got []Scored, k int) float64 {
	n := min(k, len(exact))
	if n == 0 {
		if len(got) == 0 {
			return 1
		}
		return 0
	}
	const rounding = 1e-12 // of sums in another order
	good := map[int]bool{}
	for _, d := range exact {
		if d.Score < exact[n-1].Score*(1-rounding) {
			break
		}
		good[d.Doc] = true
	}
	hits := 0
	for _, d := range got[:min(k, len(got))] {
		if good[d.Doc] {
			hits++
		}
	}
	return float64(hits) / float64(n)
}

// ParseDocuments reads the answer to DOCS_k; ok is false when there is none.
func ParseDocuments(answer string) (out []Scored, ok bool) {
	for _, pair := range strings.Fields(answer) {
		var d Scored
		if n, err := fmt.Sscanf(pair, "%d:%g", &d.Doc, &d.Score); n != 2 || err != nil {
			return nil, false
		}
		out = append(out, d)
	}
	return out, true
}
