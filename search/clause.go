package search

import (
	"math/bits"

	"concord/index"
	"concord/pack"
)

// A clause is a node of a query compiled for one segment. Its cursors only go forward: no call may name a document before that of
// an earlier call, and windows come in ascending order.
type clause interface {
	// next returns a lower bound, at least from, of the first document from there on that matches; NoDoc: none does.
	next(from index.DocID) index.DocID
	// has reports whether a document matches.
	has(doc index.DocID) bool
	// at returns what a document that matches gets, at least 1 if a word of the clause scores at all. Where the score cannot
	// exceed need it may say that the document does not match instead.
	at(doc index.DocID, need uint32) (score uint32, ok bool)
	// mark sets the bits of the window's matching documents in out.
	mark(w *window, out *pack.Bitmap)
	// keep clears the bits of documents that do not match.
	keep(w *window, out *pack.Bitmap)
	// bound returns the most that a document from first to last can get; it does not move cursors. An empty stretch of a
	// list counts as 0.
	bound(first, last index.DocID) uint32
	// cost estimates how many documents match.
	cost() int
}

// window is the stretch of documents being looked at, base to end-1, and bitmaps to do it with. It ends where the segment does if that is
// not further than pack.WindowLen, where scores are added up, or than pack.BitmapLen, where documents are marked.
type window struct {
	base, end index.DocID
	docs      index.DocID // of the segment
	free      []*pack.Bitmap
}

// share estimates how many of n documents lie in the window.
func (w *window) share(n int) int { return n * int(w.end-w.base) / max(int(w.docs), 1) }

// fewer reports whether looking so few documents up takes less than marking the n documents of a list.
func (w *window) fewer(few, n int) bool {
	if n*bitmapGap >= int(w.docs) {
		return few*markedBits < w.share(n)
	}
	return few*markedDocs < w.share(n)
}

// What can be done in the time a document is looked up, measured: so many documents marked of blocks that are bitmaps, which they are where a
// list has more than one document of bitmapGap, and of others.
const (
	bitmapGap  = 5
	markedBits = 100
	markedDocs = 16
)

// words returns the part of a bitmap that the window's documents take.
func (w *window) words(b *pack.Bitmap) []uint64 { return b[:(w.end-w.base+63)/64] }

// bitmap returns an empty bitmap, to be released.
func (w *window) bitmap() *pack.Bitmap {
	if n := len(w.free); n > 0 {
		b := w.free[n-1]
		w.free = w.free[:n-1]
		b.Clear()
		return b
	}
	return new(pack.Bitmap)
}

func (w *window) release(b *pack.Bitmap) { w.free = append(w.free, b) }

// each calls f with the documents marked in b, in order.
func (w *window) each(b *pack.Bitmap, f func(doc index.DocID)) {
	for n, word := range w.words(b) {
		for ; word != 0; word &= word - 1 {
			f(w.base + index.DocID(n*64+bits.TrailingZeros64(word)))
		}
	}
}

// markEach is mark for clauses that can only be asked document by document.
func markEach(c clause, w *window, out *pack.Bitmap) {
	for d := c.next(w.base); d < w.end; d = c.next(d + 1) {
		if c.has(d) {
			out.Set(uint32(d - w.base))
		}
	}
}

// keepEach is keep, document by document.
func keepEach(c clause, w *window, out *pack.Bitmap) {
	for n := range w.words(out) {
		for rest := out[n]; rest != 0; rest &= rest - 1 {
			if !c.has(w.base + index.DocID(n*64+bits.TrailingZeros64(rest))) {
				out[n] &^= rest & -rest
			}
		}
	}
}

// keepMarked is keep for clauses that can be marked: where many documents are left, that is quicker.
func keepMarked(c clause, w *window, out *pack.Bitmap) {
	if w.fewer(out.Count(), c.cost()) {
		keepEach(c, w, out)
		return
	}
	mine := w.bitmap()
	c.mark(w, mine)
	out.And(mine)
	w.release(mine)
}
