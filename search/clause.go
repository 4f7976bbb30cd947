package search

import (
	"math/bits"

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
