package search

import (
	"concord/index"
	"concord/pack"
)

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
