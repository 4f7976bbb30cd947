package search

import (
	"math/bits"
	"slices"

	"concord/index"
	"concord/pack"
)

// probeRatio is how many postings can be read in bulk in the time one is looked up.
const probeRatio = 12

// word matches documents with one of several index terms: the forms a word of the query has in the languages of the
// collection. It scores as one term, by the largest impact among the forms, and once more where the word stands in the title.
type word struct {
	forms
	title forms // of words that may stand anywhere: their lists of the title field, whose documents are among those of forms
	docs  int   // documents of the segment
}

// forms are posting lists of which the largest impact counts, and what impacts are worth.
type forms struct {
	lists []*index.Postings
	table *pack.Table
}

// bound returns the most that a document from first to last can get.
func (c *forms) bound(first, last index.DocID) uint64 {
	var m byte
	for _, l := range c.lists {
		m = max(m, l.MaxImpactIn(first, last))
	}
	return uint64(c.table[m])
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

func (c *word) bound(first, last index.DocID) uint64 {
	sum := c.forms.bound(first, last)
	if len(c.title.lists) > 0 {
		sum += c.title.bound(first, last)
	}
	return sum
}

func (c *word) mark(w *window, out *pack.Bitmap, score bool) {
	c.forms.mark(w, out, score)
	if score {
		c.title.mark(w, out, true)
	}
}

func (c *forms) mark(w *window, out *pack.Bitmap, score bool) {
	if len(c.lists) > 1 && score {
		c.markForms(w, out)
		return
	}
	base := uint32(w.base)
	for _, l := range c.lists {
		for l.Advance(w.base) < w.end {
			docs, impacts := l.Run(w.end)
			if score {
				pack.SetAndAdd(out, w.sums, docs, impacts, base, c.table)
			} else {
				out.SetDocs(docs, base)
			}
		}
		if err := l.Err(); err != nil {
			w.fail(err)
		}
	}
}

// markForms is mark for several forms: the largest impact counts.
func (c *forms) markForms(w *window, out *pack.Bitmap) {
	seen := w.bitmap()
	base := uint32(w.base)
	for _, l := range c.lists {
		for l.Advance(w.base) < w.end {
			docs, impacts := l.Run(w.end)
			seen.SetDocs(docs, base)
			for i, d := range docs {
				w.impacts[(d-base)%pack.WindowLen] = max(w.impacts[(d-base)%pack.WindowLen], impacts[i])
			}
		}
		if err := l.Err(); err != nil {
			w.fail(err)
		}
	}
	w.each(seen, func(i uint32) {
		w.sums[i] += c.table[w.impacts[i]]
		w.impacts[i] = 0
	})
	out.Or(seen)
	w.release(seen)
}

func (c *word) keep(w *window, out *pack.Bitmap, score bool) {
	inWindow := c.cost() * int(w.end-w.base) / max(c.docs, 1)
	if out.Count()*probeRatio >= inWindow {
		mine := w.bitmap()
		c.mark(w, mine, score)
		out.And(mine)
		w.release(mine)
		return
	}
	for n := range out {
		for rest := out[n]; rest != 0; rest &= rest - 1 {
			bit := rest & -rest
			i := uint32(n*64 + bits.TrailingZeros64(rest))
			m := c.at(w, w.base+index.DocID(i))
			if m == 0 {
				out[n] &^= bit
			} else if score {
				w.sums[i] += c.table[m] + c.inTitle(w, w.base+index.DocID(i))
			}
		}
	}
}

// inTitle returns what the word adds for standing in a document's title.
func (c *word) inTitle(w *window, doc index.DocID) uint32 {
	if len(c.title.lists) == 0 {
		return 0
	}
	return c.title.table[c.title.at(w, doc)]
}

// at returns the largest impact of the forms in a document, 0 when it has none of them.
func (c *forms) at(w *window, doc index.DocID) (m byte) {
	for _, l := range c.lists {
		if l.Advance(doc) == doc {
			m = max(m, l.Impact())
		}
		if err := l.Err(); err != nil {
			w.fail(err)
		}
	}
	return m
}

// positions returns the positions of all forms in a document, in order, valid until the next call.
func (c *word) positions(w *window, d index.DocID) []uint32 {
	out := w.positions[1][:0]
	sources := 0
	for _, l := range c.lists {
		if l.Advance(d) == d {
			out = l.Positions(out)
			sources++
		}
		if err := l.Err(); err != nil {
			w.fail(err)
		}
	}
	if sources > 1 {
		slices.Sort(out)
	}
	w.positions[1] = out
	return out
}
