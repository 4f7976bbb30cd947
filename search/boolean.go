package search

import (
	"concord/index"
	"concord/pack"
)

// and matches what all of some clauses match and none of others. What may match besides only adds to scores.
type and struct {
	all   []clause // by cost
	none  []clause
	maybe []clause
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

func (c *and) bound(first, last index.DocID) (sum uint32) {
	for _, k := range c.all {
		sum += k.bound(first, last)
	}
	for _, k := range c.maybe {
		sum += k.bound(first, last)
	}
	return sum
}

func (c *and) has(doc index.DocID) bool {
	for _, k := range c.all {
		if !k.has(doc) {
			return false
		}
	}
	for _, k := range c.none {
		if k.has(doc) {
			return false
		}
	}
	return true
}

func (c *and) at(doc index.DocID, _ uint32) (sum uint32, ok bool) {
	for _, k := range c.all {
		score, ok := k.at(doc, 0)
		if !ok {
			return 0, false
		}
		sum += score
	}
	for _, k := range c.none {
		if k.has(doc) {
			return 0, false
		}
	}
	for _, k := range c.maybe {
		score, _ := k.at(doc, 0)
		sum += score
	}
	return sum, true
}

// markAlone is mark for an empty out.
func (c *and) markAlone(w *window, out *pack.Bitmap) {
	c.all[0].mark(w, out)
	c.keepRest(w, out, c.all[1:])
}

func (c *and) mark(w *window, out *pack.Bitmap) {
	mine := w.bitmap()
	c.markAlone(w, mine)
	out.Or(mine)
	w.release(mine)
}

func (c *and) keep(w *window, out *pack.Bitmap) { c.keepRest(w, out, c.all) }

func (c *and) keepRest(w *window, out *pack.Bitmap, all []clause) {
	for _, k := range all {
		if out.Empty() {
			return
		}
		k.keep(w, out)
	}
	for _, k := range c.none {
		if out.Empty() {
			return
		}
		drop := w.bitmap()
		if w.fewer(out.Count(), k.cost()) { // few are left: look only at these
			*drop = *out
			k.keep(w, drop)
		} else {
			k.mark(w, drop)
		}
		out.AndNot(drop)
		w.release(drop)
	}
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

func (c *or) bound(first, last index.DocID) (sum uint32) {
	for _, k := range c.any {
		sum += k.bound(first, last)
	}
	return sum
}

func (c *or) has(doc index.DocID) bool {
	for _, k := range c.any {
		if k.has(doc) {
			return true
		}
	}
	return false
}

func (c *or) at(doc index.DocID, _ uint32) (sum uint32, ok bool) {
	for _, k := range c.any {
		if score, has := k.at(doc, 0); has {
			sum += score
			ok = true
		}
	}
	return sum, ok
}

func (c *or) mark(w *window, out *pack.Bitmap) {
	for _, k := range c.any {
		k.mark(w, out)
	}
}

func (c *or) keep(w *window, out *pack.Bitmap) { keepMarked(c, w, out) }
