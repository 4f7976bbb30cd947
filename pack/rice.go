package pack

import (
	"encoding/binary"
	"math/bits"
)

// MaxRice is the largest number of low bits that UnpackRice and UnpackSums take.
const MaxRice = 31

// UnpackRice reads n values, at most 128, from a Rice run: the low k bits of each packed at the front of lows, and in highs the rest of each
// in unary, as many zero bits as it says and a one. It reports false, and leaves out unspecified, when a source is too
// short or n or k is out of range. Values are taken modulo 2^32; those from n on are unspecified. It is fastest when lows
// goes on for 64 bytes after the packed bits.
func UnpackRice(out *Block, lows, highs []byte, n, k int) bool {
	if uint(k) > MaxRice || uint(n) > BlockLen || len(lows) < Size(n, k) {
		return false
	}
	return n == 0 || unpackRice(out, lows, highs, n, k)
}

// QuickRice reports whether this processor reads a whole run by UnpackRice or UnpackSums in the time that counting off to a single value
// of it takes.
func QuickRice() bool { return quickRice() }

// UnpackSums reads n running sums, at most 128, in the code of Elias and Fano: the low k bits of each packed at the front of lows, and in highs
// the rest of each, less that of the one before, in unary. out[0] is 0 and out[i+1] is sum i, modulo 2^32; those after out[n] are
// unspecified. Sums of damaged bytes need not ascend. It reports false where UnpackRice does.
func UnpackSums(out *[BlockLen + 1]uint32, lows, highs []byte, n, k int) bool {
	if uint(k) > MaxRice || uint(n) > BlockLen || len(lows) < Size(n, k) {
		return false
	}
	out[0] = 0
	return n == 0 || unpackSums((*Block)(out[1:]), lows, highs, n, k)
}

// PrefixSum adds up gaps less one, as UnpackDeltas does: dst[0] = base + gaps[0] + 1, dst[i] = dst[i-1] + gaps[i] + 1. It reports false when
// a sum passes 32 bits; sums are taken modulo 2^32. The slices are one and the same or apart; where one is longer, its rest is left alone.
func PrefixSum(dst, gaps []uint32, base uint32) bool {
	n := min(len(dst), len(gaps))
	return prefixSum(dst[:n], gaps[:n], base)
}

func unpackRiceScalar(out *Block, lows, highs []byte, n, k int) bool {
	unpackLows(out, lows, n, k)
	i, next := 0, 0 // next is the place behind the last one
	for at := 0; len(highs) > 0; at += 64 {
		var w uint64
		if w, highs = nextWord(highs); w == 0 {
			continue
		}
		for ; w != 0; w &= w - 1 {
			place := at + bits.TrailingZeros64(w)
			out[i&(BlockLen-1)] |= uint32(place-next) << (k & 31)
			next = place + 1
			if i++; i == n {
				return true
			}
		}
	}
	return false
}

func unpackSumsScalar(out *Block, lows, highs []byte, n, k int) bool {
	unpackLows(out, lows, n, k)
	i := 0
	for at := 0; len(highs) > 0; at += 64 {
		var w uint64
		for w, highs = nextWord(highs); w != 0; w &= w - 1 {
			out[i&(BlockLen-1)] |= uint32(at+bits.TrailingZeros64(w)-i) << (k & 31)
			if i++; i == n {
				return true
			}
		}
	}
	return false
}

// nextWord returns the first 64 bits of b, zeros after its end, and the rest.
func nextWord(b []byte) (uint64, []byte) {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b), b[8:]
	}
	return lastWord(b, 0), nil
}

// unpackLows unpacks n values; those after them are unspecified. lows has them.
func unpackLows(out *Block, lows []byte, n, k int) {
	switch need := BlockLen / 8 * k; {
	case k == 0:
		*out = Block{}
	case len(lows) >= need:
		unpack(out, lows, k)
	default:
		var whole [BlockLen / 8 * MaxRice]byte
		copy(whole[:], lows[:Size(n, k)])
		unpack(out, whole[:], k)
	}
}

func prefixSumScalar(dst, gaps []uint32, base uint32) bool {
	sum, ok := base, true
	for i, gap := range gaps {
		sum += gap + 1
		ok = ok && sum > gap
		dst[i] = sum
	}
	return ok
}
