package pack

import (
	"encoding/binary"
	"math/bits"
)

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

// UnpackBits reads 128 values from a bitmap of span bits written by AppendBits. It reports false when src is too short or the bitmap
// does not hold exactly 128 set bits; out is then unspecified. Bits from span on to the end of the last byte are not read.
func UnpackBits(out *Block, src []byte, base uint32, span int) bool {
	if span < BlockLen || span > 8*len(src) {
		return false
	}
	return unpackBits(out, src[:(span+7)/8], base+1, span)
}

// AddBits adds weight*(offset+impact), modulo 2^32, to the sum of every set bit of a bitmap of span bits: bit j stands for the place
// at+j of the window, and the set bits take successive impacts. offset is at most MaxOffset. Places outside the window, which a block that begins before it or ends after it has, consume
// their impact and add nothing; so do bits for which no impact is left, and bits that src is too short for.
func (s *Sums) AddBits(src []byte, span int, impacts []byte, at int, weight, offset uint32) {
	span = min(span, 8*len(src))
	if span <= 0 || at >= WindowLen || at <= -span {
		return
	}
	addBits(s, src[:(span+7)/8], span, impacts, at, weight, offset&MaxOffset)
}

// OrBits marks the place at+j of the window for every set bit j of a bitmap of span bits; what lies outside the window, or past the
// end of src, is left out.
func (b *Bitmap) OrBits(src []byte, span int, at int) {
	span = min(span, 8*len(src))
	if span <= 0 || at >= BitmapLen || at <= -span {
		return
	}
	orBits(b, src[:(span+7)/8], span, at)
}

// word returns the bits from 64*k of a bitmap of span bits, zero from span on. It needs k*64 < span and len(src) = (span+7)/8.
func word(src []byte, span, k int) uint64 {
	if left := span - 64*k; left < 64 {
		return lastWord(src, 8*k) & (1<<(uint(left)&63) - 1)
	}
	return binary.LittleEndian.Uint64(src[8*k:])
}

// lastWord returns the bytes from at, of which there are at most eight.
func lastWord(src []byte, at int) uint64 {
	if len(src) >= 8 { // the last eight, without those before at
		return binary.LittleEndian.Uint64(src[len(src)-8:]) >> (8 * uint(at+8-len(src)) & 63)
	}
	var w uint64
	for i, c := range src[at:] {
		w |= uint64(c) << (8 * i & 63)
	}
	return w
}

func unpackBitsScalar(out *Block, src []byte, first uint32, span int) bool {
	n := 0
	for k := 0; k*64 < span; k++ {
		var w uint64
		if rest := src[8*k:]; len(rest) >= 8 && span-64*k >= 64 { // not by word, for what a call costs
			w = binary.LittleEndian.Uint64(rest)
		} else {
			w = word(src, span, k)
		}
		if n+bits.OnesCount64(w) > BlockLen {
			return false
		}
		for ; w != 0; w &= w - 1 {
			out[n&(BlockLen-1)] = first + uint32(bits.TrailingZeros64(w))
			n++
		}
		first += 64
	}
	return n == BlockLen
}

func orBitsScalar(b *Bitmap, src []byte, span, at int) {
	shift := uint(at) & 63
	i := at >> 6 // the word of the window that bit 0 falls in: below 0 when the block begins before the window
	k := 0
	var before uint64 // the word of src before word k
	if i < 0 {
		k, i = -i, 0
		before = word(src, span, k-1)
	}
	for rest := src[min(8*k, len(src)):]; i < len(b) && k < span/64 && len(rest) >= 8; rest = rest[8:] {
		w := binary.LittleEndian.Uint64(rest)
		b[i] |= w<<shift | before>>1>>(63-shift)
		before = w
		i, k = i+1, k+1
	}
	for ; i < len(b) && 64*(k-1) < span; i, k = i+1, k+1 { // the last word, and what is left of it
		var w uint64
		if 64*k < span {
			w = word(src, span, k)
		}
		b[i] |= w<<shift | before>>1>>(63-shift)
		before = w
	}
}

func addBitsScalar(s *Sums, src []byte, span int, impacts []byte, at int, weight, offset uint32) {
	for k := 0; k*64 < span; k++ {
		w := word(src, span, k)
		if uint(at+64) < WindowLen+64 {
			impacts = addWord(s, w, impacts, at, weight, offset)
		} else {
			impacts = impacts[min(bits.OnesCount64(w), len(impacts)):]
		}
		at += 64
	}
}

// addWord is AddBits of one word; it returns the impacts left.
func addWord(s *Sums, w uint64, impacts []byte, at int, weight, offset uint32) []byte {
	i := 0
	for ; w != 0 && i < len(impacts); w &= w - 1 {
		if p := uint(at + bits.TrailingZeros64(w)); p < WindowLen {
			s[p] += weight * (offset + uint32(impacts[i]))
		}
		i++
	}
	return impacts[i:]
}
