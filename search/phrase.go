package search

import (
	"math/bits"
	"slices"

	"concord/index"
	"concord/pack"
)

// phrase matches documents with words at successive positions. It scores like its words where it matches.
type phrase struct {
	words  []*word
	byCost []int
}

func newPhrase(words []*word) *phrase {
	p := &phrase{words: words}
	for i := range words {
		p.byCost = append(p.byCost, i)
	}
	slices.SortStableFunc(p.byCost, func(a, b int) int { return words[a].cost() - words[b].cost() })
	return p
}

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

func (c *phrase) cost() int { return c.words[c.byCost[0]].cost() }

func (c *phrase) bound(first, last index.DocID) (sum uint64) {
	for _, k := range c.words {
		sum += k.bound(first, last)
	}
	return sum
}

func (c *phrase) mark(w *window, out *pack.Bitmap, score bool) {
	for d := c.next(w.base); d < w.end; d = c.next(d + 1) {
		if c.adjacent(w, d) {
			out.Set(uint32(d - w.base))
			if score {
				c.add(w, d)
			}
		}
	}
}

func (c *phrase) keep(w *window, out *pack.Bitmap, score bool) {
	for n := range out {
		for rest := out[n]; rest != 0; rest &= rest - 1 {
			d := w.base + index.DocID(n*64+bits.TrailingZeros64(rest))
			if c.next(d) == d && c.adjacent(w, d) {
				if score {
					c.add(w, d)
				}
			} else {
				out[n] &^= rest & -rest
			}
		}
	}
}

func (c *phrase) add(w *window, d index.DocID) {
	for _, k := range c.words {
		w.sums[d-w.base] += k.table[k.at(w, d)] + k.inTitle(w, d)
	}
}

// adjacent reports whether the words stand side by side in a document that has all of them: it keeps the places where the
// phrase may begin, and thins them out word by word, rarest first.
func (c *phrase) adjacent(w *window, d index.DocID) bool {
	starts := w.positions[0][:0]
	for n, i := range c.byCost {
		pos := c.words[i].positions(w, d)
		if n == 0 {
			for _, p := range pos {
				if p >= uint32(i) {
					starts = append(starts, p-uint32(i))
				}
			}
		} else {
			starts = intersect(starts, pos, uint32(i))
		}
		if len(starts) == 0 {
			break
		}
	}
	w.positions[0] = starts[:0]
	return len(starts) > 0
}

// intersect keeps the starts s for which s+shift is among pos; both ascend.
func intersect(starts, pos []uint32, shift uint32) []uint32 {
	kept := starts[:0]
	j := 0
	for _, s := range starts {
		for j < len(pos) && pos[j] < s+shift {
			j++
		}
		if j < len(pos) && pos[j] == s+shift {
			kept = append(kept, s)
		}
	}
	return kept
}
