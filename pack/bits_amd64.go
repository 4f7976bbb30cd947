//go:build amd64 && !purego

package pack

import "math/bits"

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

// place says where the words of a bitmap, of which at least one bit lies in the window (of a length that is a multiple of 64), fall when they are shifted up by at%64 bits to the words
// of the window, 64 places each: then none of them lies on the border of the window, and none of the sums across two cache lines.
//
// The first skip words lie before the window, before is the last of them. From word first of the window there are n: of src after the skipped
// ones come whole words, then last, then zeros. (Nine results would still be passed in registers.)
func place(src []byte, span, at, window int) (first, n, skip, whole int, before, last uint64) {
	first = at >> 6
	if first < 0 {
		skip, first = -first, 0
		before = word(src, span, skip-1)
	}
	n = min((at&63+span+63)/64-skip, window/64-first)
	whole = max(0, span/64-skip)
	if span%64 != 0 && span/64 >= skip && whole < n {
		last = word(src, span, span/64)
	}
	return first, n, skip, min(whole, n), before, last
}

func addBits(s *Sums, src []byte, span int, impacts []byte, at int, weight, offset uint32) {
	if active < levelAVX512 {
		addBitsScalar(s, src, span, impacts, at, weight, offset)
		return
	}
	first, n, skip, whole, before, last := place(src, span, at, WindowLen)
	if skip > 0 {
		impacts = impacts[min(countBefore(src, span, -at), len(impacts)):]
	}
	if len(impacts) > 0 {
		from := &src[min(8*skip, len(src)-1)]
		addBits512(&s[64*first], n, from, whole, last, before, at&63, &impacts[0], len(impacts), weight, offset)
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
	first, n, skip, whole, before, last := place(src, span, at, BitmapLen)
	orBits512(&b[first], n, &src[min(8*skip, len(src)-1)], whole, last, before, at&63)
}
