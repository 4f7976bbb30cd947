// Package pack answers: how are integers packed and scores added, fast?
//
// It holds the inner loops of the index and nothing else: blocks of 128 unsigned integers packed at one width,
// bytes of variable length for what does not fill a block, bitmaps over a window of documents, and sums of 8-bit
// impacts. It knows neither files nor terms, allocates nothing, and never reads outside the slices it is given.
//
// Invariants: what Pack wrote at a width, Unpack reads at that width; every function of this package is pure, so a
// vectorised version with the same signature must give the same results bit for bit (the tests hold a plain twin).
//
// # Layout of a packed block
//
// The block is one little-endian stream of bits: value i occupies the bits from i*width to (i+1)*width-1, where bit n of
// the stream is bit n%8 of byte n/8. 128 values of width w take exactly 16*w bytes. The stream is "horizontal": one
// value can be read without its neighbours, and eight values start at a byte border at every width, which is what
// byte-shuffle instructions want.
//
// # Layout of a patched run
//
// Up to 128 values, how many of them the reader knows: one byte whose low six bits are the width w and whose high two bits are h, the
// bytes an exception takes; if h is not 0, one byte with the number of exceptions e, at most 31; the values modulo 2^w, packed at w as
// above and padded with zero bits to a whole byte; then e bytes with the indexes of the exceptions, ascending; then for each of them h
// bytes, little-endian, the value shifted right by w. A run of no values has no bytes.
//
// Worked: 3 1 2 900 0 is `43 01 8b 08 03 70`: w = 3 and h = 1; one exception; 3, 1, 2, 900%8 = 4, 0 at three bits are 8b 08; value 3
// has 900>>3 = 70 (hexadecimal) above them.
package pack

import (
	"encoding/binary"
	"math/bits"
)

// BlockLen is the number of values in a packed block.
const BlockLen = 128

// MaxWidth is the widest packed value, in bits.
const MaxWidth = 32

// Block is one unpacked block.
type Block [BlockLen]uint32

// Width returns the number of bits the largest of the values needs, 0 when all are zero.
func Width(values []uint32) int {
	var or uint32
	for _, v := range values {
		or |= v
	}
	return bits.Len32(or)
}

// Size returns the bytes n values take at a width.
func Size(n, width int) int { return (n*width + 7) / 8 }

// Append packs values at the width, which must be at least Width(values), and returns the extended slice. It writes
// Size(len(values), width) bytes.
func Append(dst []byte, values []uint32, width int) []byte {
	if width == 0 {
		return dst
	}
	var acc uint64
	var n int
	for _, v := range values {
		acc |= uint64(v) << n
		n += width
		if n >= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(acc))
			acc >>= 32
			n -= 32
		}
	}
	for ; n > 0; n -= 8 {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// Unpack reads a block of 128 values of the width from src. It reports false, and leaves out unspecified, when src is shorter than
// 16*width bytes or the width is not one. It is fastest when src goes on for 64 bytes after the block.
func Unpack(out *Block, src []byte, width int) bool {
	if uint(width) > MaxWidth || len(src) < BlockLen/8*width {
		return false
	}
	if width == 0 {
		*out = Block{}
		return true
	}
	unpack(out, src, width)
	return true
}

// UnpackDeltas reads a block of gaps less one and returns it as ascending values: out[0] = base + gap[0] + 1,
// out[i] = out[i-1] + gap[i] + 1, modulo 2^32. To begin a list at zero, base is ^uint32(0). It reports false where Unpack does.
func UnpackDeltas(out *Block, src []byte, width int, base uint32) bool {
	if uint(width) > MaxWidth || len(src) < BlockLen/8*width {
		return false
	}
	if width == 0 {
		for i := range out {
			out[i] = base + uint32(i) + 1
		}
		return true
	}
	unpackDeltas(out, src, width, base)
	return true
}

// At returns value i of a packed stream of n values, without touching the others. It reports false when src is too
// short or i is not below n.
func At(src []byte, n, width, i int) (uint32, bool) {
	if uint(width) > MaxWidth || uint(i) >= uint(n) || len(src) < Size(n, width) {
		return 0, false
	}
	return at(src, width, i), true
}

// at is At without checks: the bits of value i lie inside src.
func at(src []byte, width, i int) uint32 {
	bit := i * width
	b := bit >> 3
	mask := uint64(1)<<width - 1
	if b+8 <= len(src) {
		return uint32(binary.LittleEndian.Uint64(src[b:]) >> (bit & 7) & mask)
	}
	var x uint64
	for k, c := range src[b:] {
		x |= uint64(c) << (8 * k)
	}
	return uint32(x >> (bit & 7) & mask)
}

// Range appends the values from..to-1 of a packed stream of n values to dst. It reports false when src is too short or
// the range does not lie within n.
func Range(dst []uint32, src []byte, n, width, from, to int) ([]uint32, bool) {
	if uint(width) > MaxWidth || n < 0 || len(src) < Size(n, width) || from < 0 || to > n || from > to {
		return dst, false
	}
	for i := from; i < to; i++ {
		dst = append(dst, at(src, width, i))
	}
	return dst, true
}
