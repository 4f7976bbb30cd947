//go:build amd64 && !purego

package pack

import (
	"math/bits"
	"unsafe"
)

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

// denseSpan is the span of a block below which many of its words have more than 16 bits set.
const denseSpan = 6 * BlockLen

func unpackBits(out *Block, src []byte, first uint32, span int) bool {
	if active == levelScalar {
		return unpackBitsScalar(out, src, first, span)
	}
	words, last := span/64, uint64(0)
	if span%64 != 0 {
		last = word(src, span, words)
	}
	if active == levelAVX2 {
		return unpackBits2(&out[0], &src[0], words, last, first) == BlockLen
	}
	return unpackBits512(&out[0], &src[0], words, last, first, span < denseSpan) == BlockLen
}

// place says where the words of a bitmap, of which at least one bit lies in the window, fall when they are shifted up by at%64 bits to the words
// of the window, 64 places each: then none of them lies on the border of the window, and none of the sums across two cache lines.
//
// The first skip words lie before the window, before is the last of them. From word first of the window there are n: of src after the skipped
// ones come whole words, then last, then zeros. (Nine results would still be passed in registers.)
func place(src []byte, span, at int) (first, n, skip, whole int, before, last uint64) {
	first = at >> 6
	if first < 0 {
		skip, first = -first, 0
		before = word(src, span, skip-1)
	}
	n = min((at&63+span+63)/64-skip, WindowLen/64-first)
	whole = max(0, span/64-skip)
	if span%64 != 0 && span/64 >= skip && whole < n {
		last = word(src, span, span/64)
	}
	return first, n, skip, min(whole, n), before, last
}

func addBits(s *Sums, src []byte, span int, impacts []byte, at int, weight uint32) {
	if active < levelAVX512 {
		addBitsScalar(s, src, span, impacts, at, weight)
		return
	}
	first, n, skip, whole, before, last := place(src, span, at)
	if skip > 0 {
		impacts = impacts[min(countBefore(src, span, -at), len(impacts)):]
	}
	if len(impacts) > 0 {
		from := &src[min(8*skip, len(src)-1)]
		addBits512(&s[64*first], n, from, whole, last, before, at&63, &impacts[0], len(impacts), weight)
	}
}

// countBefore counts the set bits before bit end.
func countBefore(src []byte, span, end int) int {
	n := 0
	for k := range end / 64 {
		n += bits.OnesCount64(word(src, span, k))
	}
	if end%64 != 0 {
		n += bits.OnesCount64(word(src, span, end/64) << (64 - end%64))
	}
	return n
}

func orBits(b *Bitmap, src []byte, span, at int) {
	if active < levelAVX512 {
		orBitsScalar(b, src, span, at)
		return
	}
	first, n, skip, whole, before, last := place(src, span, at)
	orBits512(&b[first], n, &src[min(8*skip, len(src)-1)], whole, last, before, at&63)
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
	switch {
	case active == levelScalar || len(a) == 0 || len(b) == 0:
		return maskCommonScalar(a, b)
	case len(b)%commonStep != 0 || active == levelAVX2 && len(a)%commonStep != 0:
		return maskCommonFilled(a, b)
	}
	return maskCommonWhole(a, b)
}

func maskCommonWhole(a, b []uint32) (lo, hi uint64) {
	var mask [2]uint64
	if active == levelAVX512 {
		maskCommon512(&a[0], len(a), &b[0], len(b), &mask[0])
	} else {
		maskCommon2(&a[0], len(a), &b[0], len(b), (*byte)(unsafe.Pointer(&mask)))
	}
	return mask[0], mask[1]
}

// maskCommonFilled is apart from maskCommon because it has two blocks to set to zero.
func maskCommonFilled(a, b []uint32) (lo, hi uint64) {
	var wholeA, wholeB Block
	lo, hi = maskCommonWhole(fillUp(&wholeA, a), fillUp(&wholeB, b))
	if n := len(a); n < 64 {
		return lo & (1<<n - 1), 0
	} else if n < BlockLen {
		hi &= 1<<(n-64) - 1
	}
	return lo, hi
}

// fillUp repeats the last value until the length is a multiple of commonStep. It copies v to whole when anything is to be added.
func fillUp(whole *Block, v []uint32) []uint32 {
	n := len(v)
	if n%commonStep == 0 {
		return v
	}
	copy(whole[:], v)
	for ; n%commonStep != 0; n++ {
		whole[n] = v[len(v)-1]
	}
	return whole[:n]
}

// commonStep is how many values of b are compared with 16 of a at a time.
const commonStep = 8

func setDocs(b *Bitmap, docs []uint32, base uint32) {
	if n := len(docs); n >= 8 && active >= levelAVX2 {
		setDocs2(&b[0], &docs[0], n/8, base)
		docs = docs[n&^7:]
	}
	setDocsScalar(b, docs, base)
}

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
