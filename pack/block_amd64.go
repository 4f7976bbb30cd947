//go:build amd64 && !purego

package pack

import "unsafe"

func maskAtLeast(impacts []byte, least byte) (lo, hi uint64) {
	switch {
	case active == levelAVX512 && len(impacts) > 0:
		return maskAtLeast512(&impacts[0], len(impacts), least)
	case active == levelAVX2 && len(impacts) == BlockLen:
		return maskAtLeast2(&impacts[0], least)
	}
	return maskAtLeastScalar(impacts, least)
}

func selectBlock(docs, scores *Block, from []uint32, impacts []byte, least byte, base, span, weight, offset uint32) int {
	if active == levelAVX512 {
		return select512(&docs[0], &scores[0], &from[0], &impacts[0], len(from), uint32(least), base, span, weight, offset)
	}
	return selectScalar(docs, scores, from, impacts, least, base, span, weight, offset)
}

func gatherBytes(dst *Gathered, src []byte, lo, hi uint64) {
	if active == levelAVX512 {
		gather512(&dst[0], &src[0], len(src), lo, hi)
		return
	}
	gatherScalar(dst, src, lo, hi)
}

func addMet(docs, scores []uint32, lo, hi uint64, impacts *Gathered, weight, offset, least uint32, required bool) int {
	if active != levelAVX512 {
		return addMetScalar(docs, scores, lo, hi, impacts, weight, offset, least, required)
	}
	others := uint32(0xffff)
	if required {
		others = 0
	}
	return addMet512(&docs[0], &scores[0], len(docs), lo, hi, &impacts[0], weight, offset, least, others)
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
