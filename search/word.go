package search

import (
	"slices"

	"concord/index"
	"concord/pack"
)

// word matches documents with one of several index terms: the forms a word of the query has in the languages of the collection. Each
// form that a document has adds to its score.
type word struct {
	lists  []*index.Postings
	weight uint32 // of one impact step
	merged []uint32
}

// word returns a word with lists.
func (x *scratch) word(weight uint32, lists ...*index.Postings) *word {
	w := x.words.take()
	w.lists, w.weight = append(w.lists[:0], lists...), weight
	return w
}

// worth is what a posting adds to a score.
func worth(weight uint32, impact byte) uint32 { return weight * (index.ImpactOffset + uint32(impact)) }

// leastImpact returns the smallest impact whose worth exceeds need, above 255 when there is none.
func leastImpact(weight uint32, need int64) int {
	if need < 0 {
		return 1
	}
	return max(1, int(need/int64(weight))+1-index.ImpactOffset)
}

// boundIn returns the most that a list adds to a document from first to last, 0 when it has none there.
func boundIn(weight uint32, l *index.Postings, first, last index.DocID) uint32 {
	if m := l.MaxImpactIn(first, last); m > 0 {
		return worth(weight, m)
	}
	return 0
}

func (c *word) bound(first, last index.DocID) (sum uint32) {
	for _, l := range c.lists {
		sum += boundIn(c.weight, l, first, last)
	}
	return sum
}

func (c *word) next(from index.DocID) index.DocID {
	next := index.NoDoc
	for _, l := range c.lists {
		next = min(next, l.Advance(from))
	}
	return next
}

func (c *word) cost() (n int) {
	for _, l := range c.lists {
		n += int(l.DocCount())
	}
	return n
}

func (c *word) has(doc index.DocID) bool {
	for _, l := range c.lists {
		if l.At(doc) > 0 {
			return true
		}
	}
	return false
}

func (c *word) at(doc index.DocID, _ uint32) (score uint32, ok bool) {
	for _, l := range c.lists {
		if m := l.At(doc); m > 0 {
			score += worth(c.weight, m)
			ok = true
		}
	}
	return score, ok
}

func (c *word) mark(w *window, out *pack.Bitmap) {
	for _, l := range c.lists {
		markList(l, w, out)
	}
}

// markList sets the bits of a list's documents in the window.
func markList(l *index.Postings, w *window, out *pack.Bitmap) {
	for ok := l.SeekBlock(w.base); ok && l.BlockFirst() < w.end; ok = l.NextBlock() {
		if b, _, first, span, ok := l.BlockBits(); ok {
			out.OrBits(b, span, int(first)-int(w.base))
		} else {
			docs, _ := l.BlockIn(w.base, w.end)
			out.SetDocs(docs, uint32(w.base))
		}
		if l.BlockLast() >= w.end {
			return
		}
	}
}

// lowerBound returns the place of the first document from doc on.
func lowerBound(docs []uint32, doc uint32) int {
	lo, n := 0, len(docs)
	for n > 1 { // no branch depends on a document
		half := n / 2
		if docs[lo+half-1] < doc {
			lo += half
		}
		n -= half
	}
	if n == 1 && docs[lo] < doc {
		lo++
	}
	return lo
}

func (c *word) keep(w *window, out *pack.Bitmap) { keepMarked(c, w, out) }

// positions returns the positions of all forms in a document that has one of them, in order, valid until the next call.
func (c *word) positions(doc index.DocID) []uint32 {
	out := c.merged[:0]
	sources := 0
	for _, l := range c.lists {
		if l.At(doc) > 0 {
			block, place := l.Found()
			out = l.PositionsOf(out, block, place)
			sources++
		}
	}
	if sources > 1 {
		slices.Sort(out)
	}
	c.merged = out
	return out
}

// intersect keeps the positions, which ascend, at which the word stands in a document that has it.
func (c *word) intersect(doc index.DocID, wanted []uint32) []uint32 {
	if len(c.lists) == 1 {
		l := c.lists[0]
		l.At(doc)
		block, place := l.Found()
		return l.IntersectOf(wanted[:0], wanted, block, place)
	}
	kept := wanted[:0]
	all := c.positions(doc)
	for _, at := range wanted {
		for len(all) > 0 && all[0] < at {
			all = all[1:]
		}
		if len(all) > 0 && all[0] == at {
			kept = append(kept, at)
		}
	}
	return kept
}
