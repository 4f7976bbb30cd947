package pack

import (
	"encoding/binary"
	"math/bits"
)

// WindowLen is the number of consecutive documents a window covers: its bitmap is 512 bytes and its sums are 16 KiB, so
// both stay in the first-level cache.
const WindowLen = 4096

// Bitmap marks documents of one window, bit i of word i/64 for the document i places after the window's first.
type Bitmap [WindowLen / 64]uint64

// Sums holds one score a document of a window.
type Sums [WindowLen]uint32

// Table maps an impact to what it adds to a score: a term's weight times the impact.
type Table [256]uint32

// Set marks document i.
func (b *Bitmap) Set(i uint32) { b[i/64%(WindowLen/64)] |= 1 << (i % 64) }

// Has reports whether document i is marked.
func (b *Bitmap) Has(i uint32) bool { return b[i/64%(WindowLen/64)]>>(i%64)&1 != 0 }

// Clear unmarks all.
func (b *Bitmap) Clear() { *b = Bitmap{} }

// Fill marks documents from..to-1 of the window; to is at most WindowLen.
func (b *Bitmap) Fill(from, to uint32) {
	for from < to {
		w, lo := from/64, from%64
		hi := min(to-w*64, 64)
		b[w] |= ^uint64(0) << lo & (^uint64(0) >> (64 - hi))
		from = w*64 + hi
	}
}

// And keeps what both mark, Or adds what o marks, AndNot removes what o marks.
func (b *Bitmap) And(o *Bitmap) {
	for i := range b {
		b[i] &= o[i]
	}
}

func (b *Bitmap) Or(o *Bitmap) {
	for i := range b {
		b[i] |= o[i]
	}
}

func (b *Bitmap) AndNot(o *Bitmap) {
	for i := range b {
		b[i] &^= o[i]
	}
}

// Count returns the number of marked documents.
func (b *Bitmap) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Empty reports whether nothing is marked.
func (b *Bitmap) Empty() bool {
	var or uint64
	for _, w := range b {
		or |= w
	}
	return or == 0
}

// SetDocs marks the documents docs[i]-base; all of them must lie in the window.
func (b *Bitmap) SetDocs(docs []uint32, base uint32) {
	for _, d := range docs {
		i := d - base
		b[i/64%(WindowLen/64)] |= 1 << (i % 64)
	}
}

// Add adds table[impacts[i]] to the sum of document docs[i]-base. The slices have equal length and all documents lie in the window.
func (s *Sums) Add(docs []uint32, impacts []byte, base uint32, table *Table) {
	if len(docs) == 0 {
		return
	}
	impacts = impacts[:len(docs)]
	for i, d := range docs {
		s[(d-base)%WindowLen] += table[impacts[i]]
	}
}

// SetAndAdd is SetDocs and Add in one pass.
func SetAndAdd(b *Bitmap, s *Sums, docs []uint32, impacts []byte, base uint32, table *Table) {
	if len(docs) == 0 {
		return
	}
	impacts = impacts[:len(docs)]
	for i, d := range docs {
		k := (d - base) % WindowLen
		b[k/64] |= 1 << (k % 64)
		s[k] += table[impacts[i]]
	}
}

// MaxByte returns the largest byte, 0 for none.
func MaxByte(v []byte) byte {
	var m byte
	for _, x := range v {
		m = max(m, x)
	}
	return m
}

// AppendBits appends a bitmap of span bits in which bit v[i]-base-1 is set, rounded up to whole bytes; values ascend and lie in
// (base, base+span] modulo 2^32.
func AppendBits(dst []byte, v []uint32, base uint32, span int) []byte {
	at := len(dst)
	for range (span + 7) / 8 {
		dst = append(dst, 0)
	}
	for _, x := range v {
		bit := x - base - 1
		dst[at+int(bit/8)] |= 1 << (bit % 8)
	}
	return dst
}

// UnpackBits reads 128 values from a bitmap of span bits written by AppendBits. It reports false when src is too short or does not
// hold exactly 128 set bits.
func UnpackBits(out *Block, src []byte, base uint32, span int) bool {
	if span < 0 || len(src) < (span+7)/8 {
		return false
	}
	src = src[:(span+7)/8]
	n := 0
	base++
	for len(src) > 0 {
		var w uint64
		step := 8
		if len(src) >= 8 {
			w = binary.LittleEndian.Uint64(src)
		} else {
			step = len(src)
			for i, c := range src {
				w |= uint64(c) << (8 * i)
			}
		}
		if n+bits.OnesCount64(w) > BlockLen {
			return false
		}
		for ; w != 0; w &= w - 1 {
			out[n&(BlockLen-1)] = base + uint32(bits.TrailingZeros64(w))
			n++
		}
		base += 64
		src = src[step:]
	}
	return n == BlockLen
}
