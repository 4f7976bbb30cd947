package search

import (
	"math/bits"
	"slices"

	"concord/index"
	"concord/pack"
)

// A clause is a node of a query compiled for one segment. Its cursors only go forward: windows come in ascending order, and in
// each window one of mark and keep is called once.
type clause interface {
	// next returns a lower bound, at least from, of the first document from there on that matches; NoDoc: none does.
	next(from index.DocID) index.DocID
	// mark sets the bits of the window's matching documents in out. With score it adds what they get to the sums of the
	// window; documents that do not match get something unspecified or nothing.
	mark(w *window, out *pack.Bitmap, score bool)
	// keep clears the bits of documents that do not match, and adds scores like mark for those that stay.
	keep(w *window, out *pack.Bitmap, score bool)
	// bound returns the most that a document from first to last can get.
	bound(first, last index.DocID) uint64
	// cost estimates how many documents match.
	cost() int
}

// window is the stretch of documents being evaluated, base to end-1, and the room to do it in.
type window struct {
	base, end index.DocID
	sums      *pack.Sums
	err       error // the first damage met

	freeBitmaps []*pack.Bitmap
	freeSums    []*pack.Sums
	impacts     [pack.WindowLen]byte // all zero between uses
	positions   [2][]uint32
}

func (w *window) bitmap() *pack.Bitmap {
	if n := len(w.freeBitmaps); n > 0 {
		b := w.freeBitmaps[n-1]
		w.freeBitmaps = w.freeBitmaps[:n-1]
		b.Clear()
		return b
	}
	return new(pack.Bitmap)
}

func (w *window) release(b *pack.Bitmap) { w.freeBitmaps = append(w.freeBitmaps, b) }

func (w *window) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// each calls f with the documents marked in b, in order.
func (w *window) each(b *pack.Bitmap, f func(i uint32)) {
	for n, word := range b {
		for ; word != 0; word &= word - 1 {
			f(uint32(n*64 + bits.TrailingZeros64(word)))
		}
	}
}

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

// and matches what all of some clauses match and none of others.
type and struct {
	all  []clause // by cost; the first is not a filter unless all are
	none []clause
}

func (c *and) next(from index.DocID) index.DocID {
	for i := 0; i < len(c.all) && from != index.NoDoc; {
		if d := c.all[i].next(from); d > from {
			from, i = d, 0
		} else {
			i++
		}
	}
	return from
}

func (c *and) cost() int { return c.all[0].cost() }

func (c *and) bound(first, last index.DocID) (sum uint64) {
	for _, k := range c.all {
		sum += k.bound(first, last)
	}
	return sum
}

// root is mark for a clause whose out is empty and whose sums nobody else adds to.
func (c *and) root(w *window, out *pack.Bitmap, score bool) {
	c.all[0].mark(w, out, score)
	c.rest(w, out, score, c.all[1:])
}

func (c *and) rest(w *window, out *pack.Bitmap, score bool, all []clause) {
	for _, k := range all {
		if out.Empty() {
			return
		}
		k.keep(w, out, score)
	}
	for _, k := range c.none {
		if out.Empty() {
			return
		}
		drop := w.bitmap()
		if out.Count()*probeRatio < k.cost()/64 { // few are left: look only at these
			*drop = *out
			k.keep(w, drop, false)
		} else {
			k.mark(w, drop, false)
		}
		out.AndNot(drop)
		w.release(drop)
	}
}

// apart evaluates with sums of its own, so that documents that match only in part get nothing.
func (c *and) apart(w *window, score bool, eval func()) func(matched *pack.Bitmap) {
	if !score {
		eval()
		return func(*pack.Bitmap) {}
	}
	outer := w.sums
	if n := len(w.freeSums); n > 0 {
		w.sums, w.freeSums = w.freeSums[n-1], w.freeSums[:n-1]
	} else {
		w.sums = new(pack.Sums)
	}
	eval()
	inner := w.sums
	w.sums = outer
	return func(matched *pack.Bitmap) {
		w.each(matched, func(i uint32) { outer[i] += inner[i] })
		*inner = pack.Sums{}
		w.freeSums = append(w.freeSums, inner)
	}
}

func (c *and) mark(w *window, out *pack.Bitmap, score bool) {
	mine := w.bitmap()
	settle := c.apart(w, score, func() { c.root(w, mine, score) })
	settle(mine)
	out.Or(mine)
	w.release(mine)
}

func (c *and) keep(w *window, out *pack.Bitmap, score bool) {
	settle := c.apart(w, score, func() { c.rest(w, out, score, c.all) })
	settle(out)
}

// or matches what at least one of its clauses matches.
type or struct{ any []clause }

func (c *or) next(from index.DocID) index.DocID {
	next := index.NoDoc
	for _, k := range c.any {
		next = min(next, k.next(from))
	}
	return next
}

func (c *or) cost() (n int) {
	for _, k := range c.any {
		n += k.cost()
	}
	return n
}

func (c *or) bound(first, last index.DocID) (sum uint64) {
	for _, k := range c.any {
		sum += k.bound(first, last)
	}
	return sum
}

func (c *or) mark(w *window, out *pack.Bitmap, score bool) {
	for _, k := range c.any {
		k.mark(w, out, score)
	}
}

func (c *or) keep(w *window, out *pack.Bitmap, score bool) {
	mine := w.bitmap()
	c.mark(w, mine, score)
	out.And(mine)
	w.release(mine)
}

// filter matches by a column and scores nothing.
type filter struct {
	*index.Filter
	docs int
}

func (c *filter) next(from index.DocID) index.DocID        { return c.Next(from) }
func (c *filter) cost() int                                { return c.docs }
func (c *filter) bound(first, last index.DocID) uint64     { return 0 }
func (c *filter) mark(w *window, out *pack.Bitmap, _ bool) { c.Mark(out, w.base, w.end) }

func (c *filter) keep(w *window, out *pack.Bitmap, _ bool) {
	for n := range out {
		for rest := out[n]; rest != 0; rest &= rest - 1 {
			if !c.Match(w.base + index.DocID(n*64+bits.TrailingZeros64(rest))) {
				out[n] &^= rest & -rest
			}
		}
	}
}

// nothing matches nothing: a word the segment does not have.
type nothing struct{}

func (nothing) next(index.DocID) index.DocID             { return index.NoDoc }
func (nothing) cost() int                                { return 0 }
func (nothing) bound(first, last index.DocID) uint64     { return 0 }
func (nothing) mark(*window, *pack.Bitmap, bool)         {}
func (nothing) keep(_ *window, out *pack.Bitmap, _ bool) { out.Clear() }

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
