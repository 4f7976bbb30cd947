package search

import (
	"slices"

	"concord/index"
	"concord/pack"
)

// phrase matches documents with words at successive positions, or nearly so. It scores like a word that occurs where the phrase does: its
// impact is what a posting with these occurrences would have, its weight the sum of its words'.
type phrase struct {
	seg    *index.Segment
	field  index.Field
	words  []*word           // as they follow each other; the same word may stand in several places
	byCost []int             // places, rarest word first
	lists  []*index.Postings // one a different word, where every word has one form and there is no slop: see meet
	which  []int             // the list of each place
	order  []int             // in which lists meet candidates: the rarest last, as it is what most often has led to them
	met    []met             // one a list
	weight uint32
	slop   uint32
	starts []uint32
	docs   pack.Block // see mark
	sloppy sloppy
}

func (x *scratch) phrase(seg *index.Segment, field index.Field, words []*word, weight uint32, slop int) *phrase {
	p := x.phrases.take()
	p.seg, p.field, p.words, p.weight, p.slop = seg, field, append(p.words[:0], words...), weight, uint32(slop)
	p.byCost, p.lists, p.which, p.order, p.met = p.byCost[:0], p.lists[:0], p.which[:0], p.order[:0], nil
	for i := range words {
		p.byCost = append(p.byCost, i)
	}
	slices.SortStableFunc(p.byCost, func(a, b int) int { return words[a].cost() - words[b].cost() })
	return p
}

// rarest is the word that decides where to look.
func (c *phrase) rarest() *word { return c.words[c.byCost[0]] }

func (c *phrase) next(from index.DocID) index.DocID {
	for i := 0; i < len(c.byCost) && from != index.NoDoc; {
		if d := c.words[c.byCost[i]].next(from); d > from {
			from, i = d, 0
		} else {
			i++
		}
	}
	return from
}

func (c *phrase) cost() int { return c.rarest().cost() }

func (c *phrase) bound(first, last index.DocID) uint32 {
	if m := c.limit(func(l *index.Postings) byte { return l.MaxImpactIn(first, last) }); m > 0 {
		return worth(c.weight, m)
	}
	return 0
}

// limit returns an upper bound of the phrase's impact, 0 where a word is missing, by the impacts of its words' lists: the phrase occurs
// no more often than any of its words, and impacts grow with occurrences. But a word of several forms may occur more often than each of them,
// and with slop the words may stand in parts of different weight.
func (c *phrase) limit(impact func(*index.Postings) byte) byte {
	least := byte(255)
	for _, i := range c.byCost {
		var m byte
		for _, l := range c.words[i].lists {
			if x := impact(l); x > 0 && m > 0 {
				m = 255
			} else {
				m = max(m, x)
			}
		}
		if m == 0 {
			return 0
		}
		if c.slop == 0 {
			least = min(least, m)
		}
	}
	return least
}

// limitAt is limit for one document.
func (c *phrase) limitAt(doc index.DocID) byte {
	return c.limit(func(l *index.Postings) byte { return l.At(doc) })
}

func (c *phrase) has(doc index.DocID) bool {
	return c.limitAt(doc) > 0 && len(c.occurrences(doc, unmet)) > 0
}

func (c *phrase) at(doc index.DocID, need uint32) (uint32, bool) {
	limit := c.limitAt(doc)
	if limit == 0 || worth(c.weight, limit) <= need {
		return 0, false
	}
	found := c.occurrences(doc, unmet)
	if len(found) == 0 {
		return 0, false
	}
	return worth(c.weight, c.seg.ImpactOf(c.field, doc, found)), true
}

// mark goes by the documents of the rarest word.
func (c *phrase) mark(w *window, out *pack.Bitmap) {
	if len(c.lists) == 0 {
		markEach(c, w, out)
		return
	}
	l := c.rarest().lists[0]
	for ok := l.SeekBlock(w.base); ok && l.BlockFirst() < w.end; ok = l.NextBlock() {
		docs, _ := l.BlockIn(w.base, w.end)
		n := copy(c.docs[:], docs)
		out.SetDocs(c.matching(c.docs[:n]), uint32(w.base))
		if l.BlockLast() >= w.end {
			return
		}
	}
}

func (c *phrase) keep(w *window, out *pack.Bitmap) {
	if len(c.lists) == 0 {
		keepEach(c, w, out)
		return
	}
	mine := w.bitmap()
	n := 0
	w.each(out, func(doc index.DocID) {
		if n == len(c.docs) {
			mine.SetDocs(c.matching(c.docs[:n]), uint32(w.base))
			n = 0
		}
		c.docs[n] = uint32(doc)
		n++
	})
	mine.SetDocs(c.matching(c.docs[:n]), uint32(w.base))
	*out = *mine
	w.release(mine)
}

// unmet stands for a document that the lists have not met: the words are asked.
const unmet = -1

// occurrences returns the positions where the phrase begins in a document that has all of its words, number k of those met: those of its
// rarest word, shifted, thinned out word by word.
func (c *phrase) occurrences(doc index.DocID, k int) []uint32 {
	if c.slop > 0 {
		return c.sloppy.occurrences(c, doc)
	}
	starts, rest, ok := c.pair(k)
	shift := uint32(c.byCost[0]) // starts are this much too large
	if !ok {
		rest = c.byCost[1:]
		starts = c.positions(c.byCost[0], doc, k)
		for len(starts) > 0 && starts[0] < shift {
			starts = starts[1:]
		}
	}
	if len(starts) == 0 {
		return nil
	}
	for _, i := range rest {
		for j := range starts {
			starts[j] += uint32(i) - shift
		}
		shift = uint32(i)
		if starts = c.intersect(i, doc, k, starts); len(starts) == 0 {
			return nil
		}
	}
	for j := range starts {
		starts[j] -= shift
	}
	return starts
}

// pair returns the positions at which the rarest word of a document met stands and the next rarest too, where the phrase wants it, and the
// places of the other words. It reports false where they cannot be read side by side.
func (c *phrase) pair(k int) (starts []uint32, rest []int, ok bool) {
	if k == unmet || len(c.byCost) < 2 {
		return nil, nil, false
	}
	placeA, placeB := c.byCost[0], c.byCost[1]
	whichA, whichB := c.which[placeA], c.which[placeB]
	if whichA == whichB { // one word twice: its cursor cannot be in two places
		return nil, nil, false
	}
	atA, atB := int(c.met[whichA].places[k]), int(c.met[whichB].places[k])
	a, othersA, okA := c.lists[whichA].FirstOf(int(c.met[whichA].blocks[k]), atA)
	b, othersB, okB := c.lists[whichB].FirstOf(int(c.met[whichB].blocks[k]), atB)
	if !okA || !okB {
		return nil, nil, false
	}
	a, b = a+uint32(placeB), b+uint32(placeA) // the same where the phrase wants both
	var gapsA, gapsB []uint32                 // of a list whose one position, or first, is behind all of the other's none is needed
	if othersA > 0 && (othersB > 0 || a < b) {
		if gapsA, okA = c.lists[whichA].GapsOf(atA); !okA {
			return nil, nil, false
		}
	}
	if othersB > 0 && (othersA > 0 || b < a) {
		if gapsB, okB = c.lists[whichB].GapsOf(atB); !okB {
			return nil, nil, false
		}
	}
	c.starts = beside(c.starts[:0], a, gapsA, b, gapsB, uint32(placeB), uint32(placeA))
	return c.starts, c.byCost[2:], true
}

// beside appends those positions of a list, of which it has the first and the gaps to the others less one, that have one of another list
// at a distance: position p where p + plusA = q + plusB; a and b are these sums for the first ones. Sums are taken modulo 2^32.
func beside(dst []uint32, a uint32, gapsA []uint32, b uint32, gapsB []uint32, plusA, plusB uint32) []uint32 {
	for {
		if a == b && a >= plusA+plusB { // the phrase does not begin before the text
			dst = append(dst, a-plusA)
		}
		if a <= b {
			if len(gapsA) == 0 {
				return dst
			}
			a, gapsA = a+gapsA[0]+1, gapsA[1:]
		} else {
			if len(gapsB) == 0 {
				return dst
			}
			b, gapsB = b+gapsB[0]+1, gapsB[1:]
		}
	}
}

// positions returns where the word at a place of the phrase stands, in memory of c.
func (c *phrase) positions(place int, doc index.DocID, k int) []uint32 {
	if k == unmet {
		c.starts = append(c.starts[:0], c.words[place].positions(doc)...)
	} else {
		l, m := c.lists[c.which[place]], &c.met[c.which[place]]
		c.starts = l.PositionsOf(c.starts[:0], int(m.blocks[k]), int(m.places[k]))
	}
	return c.starts
}

// intersect keeps the positions at which the word at a place of the phrase stands.
func (c *phrase) intersect(place int, doc index.DocID, k int, wanted []uint32) []uint32 {
	if k == unmet {
		return c.words[place].intersect(doc, wanted)
	}
	l, m := c.lists[c.which[place]], &c.met[c.which[place]]
	return l.IntersectOf(wanted[:0], wanted, int(m.blocks[k]), int(m.places[k]))
}
