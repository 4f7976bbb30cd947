package search

import (
	"math/bits"

	"concord/index"
	"concord/pack"
)

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
