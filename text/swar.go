package text

import "math/bits"

// Eight bytes at a time in one register ("SIMD within a register", Lamport 1975): byte i of the text is bits 8i to 8i+7.

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
	// caseBit in every byte makes capital letters small. Of the other bytes that words of ASCII are made of - small letters,
	// digits, apostrophe, full stop, comma and semicolon - it changes none, as all have it set.
	caseBits = 0x20 * ones
)

// load8 returns the 8 bytes of s at i, which must be there.
func load8(s string, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// nonWord returns w with the high bit of each byte set where the byte is no ASCII letter or digit, all other bits clear.
// With seven bits a byte no sum carries into the next one.
func nonWord(w uint64) uint64 {
	low := w &^ highs
	small := low | caseBits
	letters := (small + (0x80-'a')*ones) ^ (small + (0x80-'z'-1)*ones)
	digits := (low + (0x80-'0')*ones) ^ (low + (0x80-'9'-1)*ones)
	return (^(letters | digits) | w) & highs
}

// wordRun returns the end of the run of ASCII letters and digits at i.
func wordRun(s string, i int) int {
	for ; i+8 <= len(s); i += 8 {
		if m := nonWord(load8(s, i)); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for i < len(s) && classes[s[i]]-letter <= digit-letter {
		i++
	}
	return i
}

// shortWord is the longest word that fits a wordKey.
const shortWord = 16

// wordKey holds a word of up to shortWord bytes, padded with zero bytes, which no word has: equal words have equal keys.
type wordKey struct{ lo, hi uint64 }

// lowerKey returns the key of s[i:i+n] in lower case: ASCII, n from 1 to shortWord.
func lowerKey(s string, i, n int) wordKey {
	if i+shortWord <= len(s) {
		return cutKey(load8(s, i), load8(s, i+8), n)
	}
	var k wordKey
	for j := range min(n, 8) {
		k.lo |= uint64(s[i+j]) << (8 * j)
	}
	for j := 8; j < n; j++ {
		k.hi |= uint64(s[i+j]) << (8 * (j - 8))
	}
	return cutKey(k.lo, k.hi, n)
}

// cutKey returns the key of the first n of 16 bytes in lower case, n from 1 to shortWord.
func cutKey(lo, hi uint64, n int) wordKey {
	lo, hi = lo|caseBits, hi|caseBits
	if n <= 8 {
		return wordKey{lo & (^uint64(0) >> (64 - 8*n)), 0}
	}
	return wordKey{lo, hi & (^uint64(0) >> (128 - 8*n))}
}
