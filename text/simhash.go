package text

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// MinSimhashWords is the number of words below which a text has no simhash: a few words in common say nothing.
const MinSimhashWords = 32

// bytesPerWord is a usual distance between words, to make room for their tokens at once.
const bytesPerWord = 5

// Simhash returns a 64-bit fingerprint such that texts that share most of their runs of three words differ in few bits
// (Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002). It is 0 for texts of fewer than
// MinSimhashWords words, and never 0 for others.
//
// Each run of three consecutive terms (see Token.Term) is hashed: h(w) is xxHash64 with seed 0 of the term's bytes, and the run's hash is
// mix(mix(mix(h1)+h2)+h3), where mix(x) = y xor y>>29 with y = x*0x9E3779B97F4A7C15 (mod 2^64). Bit i of the result is set when
// more runs have bit i set than not. Runs count as often as they occur.
func Simhash(s string) uint64 {
	tokens := new(Tokenizer).AppendTokens(make([]Token, 0, len(s)/bytesPerWord), s)
	if len(tokens) < MinSimhashWords {
		return 0
	}
	var ones [64]int32
	h1, h2 := xxhash.Sum64String(tokens[0].Term), xxhash.Sum64String(tokens[1].Term)
	for _, t := range tokens[2:] {
		h3 := xxhash.Sum64String(t.Term)
		run := mix(mix(mix(h1)+h2) + h3)
		for i := range ones {
			ones[i] += int32(run >> i & 1)
		}
		h1, h2 = h2, h3
	}
	half := int32(len(tokens)-2) / 2
	var hash uint64
	for i, n := range ones {
		if n > half {
			hash |= 1 << i
		}
	}
	return max(hash, 1)
}

func mix(x uint64) uint64 {
	x *= 0x9E3779B97F4A7C15
	return x ^ x>>29
}

// Distance returns the number of bits in which two simhashes differ, 0 to 64. A distance of 3 or less between long texts
// means that they say the same (Manku et al., "Detecting near-duplicates for web crawling", WWW 2007).
func Distance(a, b uint64) int { return bits.OnesCount64(a ^ b) }
