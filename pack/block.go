package pack

import (
	"encoding/binary"
	"math/bits"
)

// MaskAtLeast sets bit i, counted from the lowest of lo to the highest of hi, when impacts[i] >= least. Bytes after the first 128 are
// not read.
func MaskAtLeast(impacts []byte, least byte) (lo, hi uint64) {
	return maskAtLeast(impacts[:min(len(impacts), BlockLen)], least)
}

// LowerBound returns the first index below n, of values that ascend, where the value is at least target; n when there is none. An n
// outside 0..128 counts as the nearest of the two.
func LowerBound(b *Block, n int, target uint32) int {
	return lowerBound(b, max(0, min(n, BlockLen)), target)
}

// Select chooses those documents of a block that are in [base, end) and whose impact is at least least. It writes them to docs, and
// what they are worth, weight*(offset+impact) modulo 2^32, to scores, and returns how many they are; what is behind them is unspecified. At
// most 128 documents are looked at, and only as many as there are impacts. offset is at most MaxOffset.
func Select(docs, scores *Block, from []uint32, impacts []byte, least byte, base, end, weight, offset uint32) int {
	n := min(len(from), len(impacts), BlockLen)
	if n == 0 || end <= base {
		return 0
	}
	return selectBlock(docs, scores, from[:n], impacts[:n], least, base, end-base, weight, offset&MaxOffset)
}

// Gathered is what Gather makes: at most 128 bytes, and room that is read beyond them.
type Gathered [BlockLen + 16]byte

// Gather moves those bytes whose bits are set to the front of dst, in order: bit i, counted from the lowest of lo to the highest of hi, stands for
// src[i]. What is behind them is unspecified. Bytes after the first 128 are not read; where src is shorter, higher bits must not be set.
func Gather(dst *Gathered, src []byte, lo, hi uint64) {
	if len(src) > 0 {
		gatherBytes(dst, src[:min(len(src), BlockLen)], lo, hi)
	}
}

// AddMet adds to the scores of those documents whose bits are set, as in Gather, what they are worth: weight*(offset+impact), modulo 2^32, their impacts
// being the first of impacts, in order. It moves to the front those whose score is at least least then, with required only if their bits
// are set, and returns how many they are. The slices have the same length, at most 128, and offset is at most MaxOffset.
func AddMet(docs, scores []uint32, lo, hi uint64, impacts *Gathered, weight, offset, least uint32, required bool) int {
	n := min(len(docs), len(scores), BlockLen)
	if n == 0 {
		return 0
	}
	return addMet(docs[:n], scores[:n], lo, hi, impacts, weight, offset&MaxOffset, least, required)
}

// MaskCommon sets bit i when a[i] occurs in b. Both hold distinct values in ascending order, at most 128 of them; what
// comes after is not read.
func MaskCommon(a, b []uint32) (lo, hi uint64) {
	return maskCommon(a[:min(len(a), BlockLen)], b[:min(len(b), BlockLen)])
}

// selectScalar goes by the impacts that are large enough.
func selectScalar(docs, scores *Block, from []uint32, impacts []byte, least byte, base, span, weight, offset uint32) int {
	n := 0
	lo, hi := maskAtLeast(impacts, least)
	for half, mask := range [2]uint64{lo, hi} {
		for ; mask != 0; mask &= mask - 1 {
			i := half*64 + bits.TrailingZeros64(mask)
			if d := from[i]; d-base < span {
				docs[n&(BlockLen-1)], scores[n&(BlockLen-1)] = d, weight*(offset+uint32(impacts[i]))
				n++
			}
		}
	}
	return n
}

func gatherScalar(dst *Gathered, src []byte, lo, hi uint64) {
	n := 0
	for half, mask := range [2]uint64{lo, hi} {
		for ; mask != 0; mask &= mask - 1 {
			if i := half*64 + bits.TrailingZeros64(mask); i < len(src) {
				dst[n&(BlockLen-1)] = src[i]
				n++
			}
		}
	}
}

func addMetScalar(docs, scores []uint32, lo, hi uint64, impacts *Gathered, weight, offset, least uint32, required bool) int {
	kept, met := 0, 0
	for i, d := range docs {
		if i == 64 {
			lo = hi
		}
		score, has := scores[i], lo>>(i&63)&1 != 0
		if has {
			score += weight * (offset + uint32(impacts[met&(BlockLen-1)]))
			met++
		}
		if (has || !required) && score >= least {
			docs[kept], scores[kept] = d, score
			kept++
		}
	}
	return kept
}

// Constants of arithmetic on eight bytes in one word.
const (
	eachLow  = 0x0101010101010101
	eachHigh = 0x8080808080808080
	gather   = 0x0102040810204080 // multiplied by bytes of 0 and 1, gives them as bits in the highest byte
)

func maskAtLeastScalar(impacts []byte, least byte) (lo, hi uint64) {
	y := eachLow * uint64(least)
	i := 0
	for ; len(impacts) >= 8; impacts = impacts[8:] {
		m := atLeast8(binary.LittleEndian.Uint64(impacts), y)
		if i < 64 {
			lo |= m << i
		} else {
			hi |= m << (i & 63)
		}
		i += 8
	}
	for _, c := range impacts {
		if c >= least {
			if i < 64 {
				lo |= 1 << i
			} else {
				hi |= 1 << (i & 63)
			}
		}
		i++
	}
	return lo, hi
}

// atLeast8 compares eight bytes: bit i of the result is set when byte i of x is at least byte i of y.
func atLeast8(x, y uint64) uint64 {
	low := (x | eachHigh) - (y &^ eachHigh) // the high bit of a byte: its low seven bits are at least y's
	ge := x&^y | ^(x^y)&low
	return (ge >> 7 & eachLow) * gather >> 56
}

// lowerBoundScalar halves without branches: which way is never predictable.
func lowerBoundScalar(b *Block, n int, target uint32) int {
	if n == 0 {
		return 0
	}
	at := 0
	for size := n; size > 1; {
		half := size / 2
		next := at + half
		if b[(next-1)&(BlockLen-1)] < target {
			at = next
		}
		size -= half
	}
	if b[at&(BlockLen-1)] < target {
		at++
	}
	return at
}

// maskCommonScalar merges the two halves of a with b.
func maskCommonScalar(a, b []uint32) (lo, hi uint64) {
	half := min(len(a), 64)
	lo, j := common64(a[:half], b)
	hi, _ = common64(a[half:], b[j:])
	return lo, hi
}

// common64 sets bit i when a[i], of at most 64 values, occurs in b, and returns where in b it ended. A step moves on at least one side without
// branching on the values.
func common64(a, b []uint32) (mask uint64, j int) {
	i := 0
	for i < len(a) && j < len(b) {
		x, y := uint64(a[i]), uint64(b[j])
		after := (y - x) >> 63 // 1 when y < x: b moves on, else a
		equal := ((x ^ y) - 1) >> 63
		mask |= equal << (i & 63)
		i += int(1 - after)
		j += int(after)
	}
	return mask, j
}
