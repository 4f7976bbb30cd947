//go:build amd64 && !purego

package pack

import "unsafe"

// maxUnary bounds the bytes of a unary stream whose ones can be numbered in 16 bits. Longer ones are right, but rare, and slower.
const maxUnary = 1 << 16 / 8

func unpackRice(out *Block, lows, highs []byte, n, k int) bool {
	if active == levelScalar || active == levelAVX512 && k > maxShortWidth {
		return unpackRiceScalar(out, lows, highs, n, k)
	}
	words, last := unaryWords(highs)
	ok := false
	if active == levelAVX512 {
		ok = unpackRice512(&out[0], unsafe.SliceData(lows), len(lows), unsafe.SliceData(highs), words, last, n, k)
	} else {
		unpackLows(out, lows, n, k)
		ok = unpackRice2(&out[0], unsafe.SliceData(highs), words, last, n, k)
	}
	return ok || len(highs) > maxUnary && unpackRiceScalar(out, lows, highs, n, k)
}

func unpackSums(out *Block, lows, highs []byte, n, k int) bool {
	if active == levelScalar || active == levelAVX512 && k > maxShortWidth {
		return unpackSumsScalar(out, lows, highs, n, k)
	}
	words, last := unaryWords(highs)
	ok := false
	if active == levelAVX512 {
		ok = unpackSums512(&out[0], unsafe.SliceData(lows), len(lows), unsafe.SliceData(highs), words, last, n, k)
	} else {
		unpackLows(out, lows, n, k)
		ok = unpackSums2(&out[0], unsafe.SliceData(highs), words, last, n, k)
	}
	return ok || len(highs) > maxUnary && unpackSumsScalar(out, lows, highs, n, k)
}

// unaryWords returns how many whole words the first maxUnary bytes have, and what is left of them.
func unaryWords(highs []byte) (words int, last uint64) {
	highs = highs[:min(len(highs), maxUnary)]
	words = len(highs) / 8
	if len(highs)%8 != 0 {
		last = lastWord(highs, 8*words)
	}
	return words, last
}

func prefixSum(dst, gaps []uint32, base uint32) bool {
	n, ok := len(dst), true
	if n >= 16 && active == levelAVX512 {
		return prefixSum512(&dst[0], &gaps[0], n, base)
	} else if n >= 16 && active == levelAVX2 {
		ok = prefixSum2(&dst[0], &gaps[0], n/8, base)
		base = dst[n&^7-1]
		dst, gaps = dst[n&^7:], gaps[n&^7:]
	}
	return prefixSumScalar(dst, gaps, base) && ok
}
