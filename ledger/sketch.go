package ledger

import (
	"encoding/base64"
	"hash/fnv"
	"strings"
)

// SketchSize is the bytes of a sketch: the share of equal bytes is the resemblance of two texts to about 0.05.
const SketchSize = 64

// Sketch says how alike two texts are without the texts: b-bit minwise hashing (Li and König, WWW 2010) with one byte
// for each of 64 functions. Zero for a text without words.
type Sketch [SketchSize]byte

// shingle is how many words in a row make one element of the set that is sketched: long enough that common phrases do
// not make strangers alike, short enough that a changed word costs little.
const shingle = 4

// SketchOf returns the sketch of a normalised text: words between spaces and line feeds, shingles of four in a row (of
// all, in a shorter text), FNV-1a of each, and for every function the low byte of the least value of a mixed hash. It
// is one definition for all operators and must never change.
func SketchOf(text string) (s Sketch) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\n' })
	if len(words) == 0 {
		return s
	}
	var least [SketchSize]uint64
	for i := range least {
		least[i] = ^uint64(0)
	}
	width := min(shingle, len(words))
	for i := 0; i+width <= len(words); i++ {
		h := fnv.New64a()
		for _, w := range words[i : i+width] {
			h.Write([]byte(w))
			h.Write([]byte{' '})
		}
		x := h.Sum64()
		for k := range least {
			least[k] = min(least[k], mix(x^mix(uint64(k)+1)))
		}
	}
	for i, v := range least {
		s[i] = byte(v)
	}
	return s
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Equal returns how many bytes of two sketches are equal.
func (s Sketch) Equal(o Sketch) (n int) {
	for i := range s {
		if s[i] == o[i] {
			n++
		}
	}
	return n
}

// String returns the sketch in base64.
func (s Sketch) String() string { return base64.StdEncoding.EncodeToString(s[:]) }
