//go:build amd64 && !purego

package pack

import "math/bits"

//go:generate go run -C asm . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg pack

func unpack(out *Block, src []byte, width int) {
	switch {
	case active == levelAVX512:
		unpack512(&out[0], &src[0], len(src), width)
	case active == levelAVX2 && width <= maxShortWidth:
		n := wholeGroups(src, width)
		if n > 0 {
			unpack2(&out[0], &src[0], n, width)
		}
		if n < groups2 {
			tail := lastGroups(src, width, n)
			unpack2(&out[8*n], &tail[0], groups2-n, width)
		}
	default:
		unpackScalar(out, src, width)
	}
}

func unpackDeltas(out *Block, src []byte, width int, base uint32) {
	switch {
	case active == levelAVX512:
		unpackDeltas512(&out[0], &src[0], len(src), width, base)
	case active == levelAVX2 && width <= maxShortWidth:
		n := wholeGroups(src, width)
		if n > 0 {
			unpackDeltas2(&out[0], &src[0], n, width, base)
			base = out[8*n-1]
		}
		if n < groups2 {
			tail := lastGroups(src, width, n)
			unpackDeltas2(&out[8*n], &tail[0], groups2-n, width, base)
		}
	default:
		unpackDeltasScalar(out, src, width, base)
	}
}

const (
	maxShortWidth = 25           // the widest value that always lies in four bytes
	groups2       = BlockLen / 8 // groups of a block for AVX2
	load2         = 16           // bytes that are loaded for half a group
)

// wholeGroups returns how many groups of eight values can be unpacked from src without loading what lies after it.
func wholeGroups(src []byte, width int) int {
	return max(0, min(groups2, (len(src)-load2-width/2+width)/width))
}

// lastGroups returns the bytes of the groups from n, fewer than width/2+16, with zeros after them.
func lastGroups(src []byte, width, n int) (tail [64]byte) {
	copy(tail[:], src[n*width:groups2*width])
	return tail
}

func unpackBits(out *Block, src []byte, first uint32, span int) bool {
	if active < levelAVX512 {
		return unpackBitsScalar(out, src, first, span)
	}
	words, last := span/64, uint64(0)
	if span%64 != 0 {
		last = word(src, span, words)
	}
	return unpackBits512(&out[0], &src[0], words, last, first) == BlockLen
}

func addBits(s *Sums, src []byte, span int, impacts []byte, at int, weight uint32) {
	if active < levelAVX512 {
		addBitsScalar(s, src, span, impacts, at, weight)
		return
	}
	k := 0
	for ; at < 0; at += 64 { // words that begin before the window; the last of them may end in it
		w := word(src, span, k)
		if at <= -64 {
			impacts = impacts[min(bits.OnesCount64(w), len(impacts)):]
		} else {
			impacts = addWord(s, w, impacts, at, weight)
		}
		if k++; k*64 >= span {
			return
		}
	}
	if len(impacts) == 0 {
		return
	}
	words, last := span/64-k, uint64(0)
	fit := (WindowLen - at) / 64 // words that end in the window
	if words >= fit {
		words = fit
	} else if span%64 != 0 {
		last = word(src, span, k+words)
	}
	left := len(impacts)
	if words > 0 || last != 0 {
		left = addBits512(&s[at], &src[8*k], words, last, &impacts[0], left, weight)
	}
	if k, at = k+words, at+64*words; words == fit && at < WindowLen && k*64 < span {
		addWord(s, word(src, span, k), impacts[len(impacts)-left:], at, weight)
	}
}

func starts(out *[BlockLen + 1]uint32, counts *Block) {
	switch active {
	case levelAVX512:
		starts512(&out[0], &counts[0])
	case levelAVX2:
		starts2(&out[0], &counts[0])
	default:
		startsScalar(out, counts)
	}
}

func maskAtLeast(impacts []byte, least byte) (lo, hi uint64) {
	switch {
	case active == levelAVX512 && len(impacts) > 0:
		return maskAtLeast512(&impacts[0], len(impacts), least)
	case active == levelAVX2 && len(impacts) == BlockLen:
		return maskAtLeast2(&impacts[0], least)
	}
	return maskAtLeastScalar(impacts, least)
}

func lowerBound(b *Block, n int, target uint32) int {
	if active == levelAVX512 {
		return min(n, lowerBound512(&b[0], target))
	}
	return lowerBoundScalar(b, n, target)
}

func maskCommon(a, b []uint32) (lo, hi uint64) {
	if active < levelAVX512 || len(a) == 0 || len(b) == 0 {
		return maskCommonScalar(a, b)
	}
	if len(b)%commonStep != 0 { // the last value again and again
		var whole Block
		n := copy(whole[:], b)
		for ; n%commonStep != 0; n++ {
			whole[n] = b[len(b)-1]
		}
		b = whole[:n]
	}
	var mask [2]uint64
	maskCommon512(&a[0], len(a), &b[0], len(b), &mask[0])
	return mask[0], mask[1]
}

// commonStep is how many values of b are compared with 16 of a at a time.
const commonStep = 8

func maskDocs(b *Bitmap, docs []uint32, base uint32) (lo, hi uint64) {
	if active == levelAVX512 && len(docs) > 0 {
		return maskDocs512(&b[0], &docs[0], len(docs), base)
	}
	return maskDocsScalar(b, docs, base)
}

func bitmapAnd(b, o *Bitmap) {
	switch active {
	case levelAVX512:
		bitmapAnd512(&b[0], &o[0])
	case levelAVX2:
		bitmapAnd2(&b[0], &o[0])
	default:
		bitmapAndScalar(b, o)
	}
}

func bitmapOr(b, o *Bitmap) {
	switch active {
	case levelAVX512:
		bitmapOr512(&b[0], &o[0])
	case levelAVX2:
		bitmapOr2(&b[0], &o[0])
	default:
		bitmapOrScalar(b, o)
	}
}

func bitmapAndNot(b, o *Bitmap) {
	switch active {
	case levelAVX512:
		bitmapAndNot512(&b[0], &o[0])
	case levelAVX2:
		bitmapAndNot2(&b[0], &o[0])
	default:
		bitmapAndNotScalar(b, o)
	}
}

func bitmapCount(b *Bitmap) int {
	switch active {
	case levelAVX512:
		return bitmapCount512(&b[0])
	case levelAVX2:
		return bitmapCount2(&b[0])
	}
	return bitmapCountScalar(b)
}

func bitmapAndCount(a, b *Bitmap) int {
	switch active {
	case levelAVX512:
		return bitmapAndCount512(&a[0], &b[0])
	case levelAVX2:
		return bitmapAndCount2(&a[0], &b[0])
	}
	return bitmapAndCountScalar(a, b)
}

func countNonZero(s *Sums) int {
	switch active {
	case levelAVX512:
		return countNonZero512(&s[0])
	case levelAVX2:
		return countNonZero2(&s[0])
	}
	return countNonZeroScalar(s)
}

func above(dst *[WindowLen]uint16, s *Sums, least uint32) int {
	switch active {
	case levelAVX512:
		return above512(&dst[0], &s[0], least)
	case levelAVX2:
		return above2(&dst[0], &s[0], least)
	}
	return aboveScalar(dst, s, least)
}

func addScaled(s *Sums, docs []uint32, impacts []byte, base, weight uint32) {
	if n := len(docs); n >= 16 && active == levelAVX512 {
		addScaled512(&s[0], &docs[0], &impacts[0], n/16, base, weight)
		docs, impacts = docs[n&^15:], impacts[n&^15:]
	} else if n >= 8 && active == levelAVX2 {
		addScaled2(&s[0], &docs[0], &impacts[0], n/8, base, weight)
		docs, impacts = docs[n&^7:], impacts[n&^7:]
	}
	addScaledScalar(s, docs, impacts, base, weight)
}
