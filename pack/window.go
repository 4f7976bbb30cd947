package pack

import (
	"math/bits"
	"slices"
)

// WindowLen is the number of consecutive documents whose scores are added up at a time: their sums are 16 KiB, so that they stay in the
// first-level cache.
const WindowLen = 4096

// BitmapLen is the number of consecutive documents that a bitmap marks. It is 8 KiB, so that three of them stay in the first-level cache:
// the longer, the fewer blocks of a list lie across its ends, and the less often lists are sought.
const BitmapLen = 1 << 16

// Bitmap marks documents of one window of BitmapLen, bit i of word i/64 for the document i places after the window's first.
type Bitmap [BitmapLen / 64]uint64

// Sums holds one score a document of a window.
type Sums [WindowLen]uint32

// Set marks document i.
func (b *Bitmap) Set(i uint32) { b[i/64%(BitmapLen/64)] |= 1 << (i % 64) }

// Clear unmarks all.
func (b *Bitmap) Clear() { *b = Bitmap{} }

// And keeps what both mark.
func (b *Bitmap) And(o *Bitmap) { bitmapAnd(b, o) }

// Or adds what o marks.
func (b *Bitmap) Or(o *Bitmap) { bitmapOr(b, o) }

// AndNot removes what o marks.
func (b *Bitmap) AndNot(o *Bitmap) { bitmapAndNot(b, o) }

// Count returns the number of marked documents.
func (b *Bitmap) Count() int { return bitmapCount(b) }

// Empty reports whether nothing is marked.
func (b *Bitmap) Empty() bool {
	var or uint64
	for _, w := range b {
		or |= w
	}
	return or == 0
}

// SetDocs marks the documents docs[i]-base; they ascend, and all of them lie in the window.
func (b *Bitmap) SetDocs(docs []uint32, base uint32) { setDocs(b, docs, base) }

// Clear sets all sums to zero.
func (s *Sums) Clear() { *s = Sums{} }

// CountNonZero returns the number of documents whose sum is not zero.
func (s *Sums) CountNonZero() int { return countNonZero(s) }

// AppendAbove appends, in ascending order, the places of the documents whose sum is greater than least. It grows dst when there is
// no room for WindowLen more.
func (s *Sums) AppendAbove(dst []uint16, least uint32) []uint16 {
	dst = slices.Grow(dst, WindowLen)
	n := len(dst)
	return dst[:n+above((*[WindowLen]uint16)(dst[n:n+WindowLen]), s, least)]
}

// MaxOffset is the largest number that AddScaled and AddBits can be told to add to each impact: it is a byte, as impacts are. Larger ones
// are taken modulo 256.
const MaxOffset = 255

// AddScaled adds weight*(offset+impacts[i]) to the sum of document docs[i]-base, modulo 2^32. offset is at most MaxOffset. The documents are distinct and lie in the window
// (others are taken modulo its length); where one slice is longer, its rest is not read.
func (s *Sums) AddScaled(docs []uint32, impacts []byte, base, weight, offset uint32) {
	n := min(len(docs), len(impacts))
	addScaled(s, docs[:n], impacts[:n], base, weight, offset&MaxOffset)
}

// MaxByte returns the largest byte, 0 for none.
func MaxByte(v []byte) byte {
	var m byte
	for _, x := range v {
		m = max(m, x)
	}
	return m
}

func bitmapAndScalar(b, o *Bitmap) {
	for i := range b {
		b[i] &= o[i]
	}
}

func bitmapOrScalar(b, o *Bitmap) {
	for i := range b {
		b[i] |= o[i]
	}
}

func bitmapAndNotScalar(b, o *Bitmap) {
	for i := range b {
		b[i] &^= o[i]
	}
}

func bitmapCountScalar(b *Bitmap) int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func setDocsScalar(b *Bitmap, docs []uint32, base uint32) {
	for len(docs) >= 4 {
		i, j, k, l := docs[0]-base, docs[1]-base, docs[2]-base, docs[3]-base
		b[i/64%(BitmapLen/64)] |= 1 << (i % 64)
		b[j/64%(BitmapLen/64)] |= 1 << (j % 64)
		b[k/64%(BitmapLen/64)] |= 1 << (k % 64)
		b[l/64%(BitmapLen/64)] |= 1 << (l % 64)
		docs = docs[4:]
	}
	for _, d := range docs {
		i := d - base
		b[i/64%(BitmapLen/64)] |= 1 << (i % 64)
	}
}

func countNonZeroScalar(s *Sums) int {
	n := 0
	for _, v := range s {
		n += int((uint64(v) + 1<<32 - 1) >> 32)
	}
	return n
}

// aboveScalar writes every place and keeps those that are above: no branch depends on a sum.
func aboveScalar(dst *[WindowLen]uint16, s *Sums, least uint32) int {
	n := 0
	for i, v := range s {
		dst[n&(WindowLen-1)] = uint16(i)
		n += int((uint64(least) - uint64(v)) >> 63)
	}
	return n
}

func addScaledScalar(s *Sums, docs []uint32, impacts []byte, base, weight, offset uint32) {
	for len(docs) >= 4 && len(impacts) >= 4 {
		s[(docs[0]-base)%WindowLen] += weight * (offset + uint32(impacts[0]))
		s[(docs[1]-base)%WindowLen] += weight * (offset + uint32(impacts[1]))
		s[(docs[2]-base)%WindowLen] += weight * (offset + uint32(impacts[2]))
		s[(docs[3]-base)%WindowLen] += weight * (offset + uint32(impacts[3]))
		docs, impacts = docs[4:], impacts[4:]
	}
	for i, d := range docs[:min(len(docs), len(impacts))] {
		s[(d-base)%WindowLen] += weight * (offset + uint32(impacts[i]))
	}
}
