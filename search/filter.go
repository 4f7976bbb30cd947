package search

import (
	"concord/index"
	"concord/pack"
)

// filter matches by a column and scores nothing.
type filter struct {
	*index.Filter
	docs int
}

func (c *filter) next(from index.DocID) index.DocID           { return c.Next(from) }
func (c *filter) has(doc index.DocID) bool                    { return c.Match(doc) }
func (c *filter) at(doc index.DocID, _ uint32) (uint32, bool) { return 0, c.Match(doc) }
func (c *filter) cost() int                                   { return c.docs }
func (c *filter) bound(first, last index.DocID) uint32        { return 0 }
func (c *filter) mark(w *window, out *pack.Bitmap)            { c.Mark(out, w.base, w.end) }
func (c *filter) keep(w *window, out *pack.Bitmap)            { keepEach(c, w, out) }

// nothing matches nothing: a word the segment does not have.
type nothing struct{}

func (nothing) next(index.DocID) index.DocID          { return index.NoDoc }
func (nothing) has(index.DocID) bool                  { return false }
func (nothing) at(index.DocID, uint32) (uint32, bool) { return 0, false }
func (nothing) cost() int                             { return 0 }
func (nothing) bound(first, last index.DocID) uint32  { return 0 }
func (nothing) mark(*window, *pack.Bitmap)            {}
func (nothing) keep(_ *window, out *pack.Bitmap)      { out.Clear() }
