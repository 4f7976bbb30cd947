package text

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
)

// NoTerm is the number of a position without a term: the place of a word that is too long.
const NoTerm uint32 = 0

// A Numberer makes of text what an Analyzer makes of it, as numbers: what an index wants of running text is which of
// the terms it knows stands where. A word that was seen before costs one look into a table by its spelling; neither the
// stem nor the string of the term is touched. It is not safe for concurrent use.
type Numberer struct {
	analyzer Analyzer
	number   func(term string) uint32
	short    shortTable        // words of up to 16 bytes of ASCII, lower case
	long     map[string]uint32 // all other words, as tokens have them
	slow     walk              // what the fast path leaves to the full rules
}

// longWords bounds the long words remembered, at about 100 bytes each.
const longWords = 1 << 15

// NewNumberer returns a numberer for texts in a language, as NewAnalyzer takes it. number gives the number of a term, which
// is any but NoTerm and stays the same while the numberer is used; it must not keep the string.
func NewNumberer(lang string, number func(term string) uint32) *Numberer {
	n := &Numberer{analyzer: Analyzer{lang: lang, run: algorithm(lang)}, number: number, long: map[string]uint32{}}
	n.short.reset(minShortSlots)
	return n
}

// Bytes is about the memory in use.
func (n *Numberer) Bytes() int64 {
	const longBytes = 100 // key, value, share of free slots
	return int64(len(n.short.slots))*shortSlotBytes + int64(len(n.long))*longBytes
}

// Append appends the numbers of the terms of s to dst, one for each position from 0 up to that of the last word, and
// returns the longer slice. Term by term they are what an Analyzer of the language appends.
func (n *Numberer) Append(dst []uint32, s string) []uint32 {
	n.slow.begin(&n.analyzer.tokenizer, s)
	for i := 0; i < len(s); {
		if i+shortWord > len(s) {
			dst, i = n.step(dst, i)
			continue
		}
		// A word of up to 15 letters and digits, then a separator or a point and a separator, and no rune outside ASCII near.
		lo, hi := load8(s, i), uint64(0)
		size := bits.TrailingZeros64(nonWord(lo)) >> 3
		if size == 8 {
			hi = load8(s, i+8)
			size += bits.TrailingZeros64(nonWord(hi)) >> 3
		}
		if size == 0 && lo&0x8080 == 0 {
			i++
			continue
		}
		end := i + size
		if size == 0 || size == shortWord || classes[s[end]] != separator &&
			(end+1 == len(s) || s[end] >= 0x80 || classes[s[end+1]] != separator) {
			dst, i = n.step(dst, i)
			continue
		}
		dst = append(dst, n.find(cutKey(lo, hi, size)))
		if i = end; i+1 == len(s) || s[i+1] < 0x80 {
			i++
		}
	}
	n.slow.end()
	return dst
}

// step is Tokenizer's step with numbers for tokens: it handles what begins at the word boundary i.
func (n *Numberer) step(dst []uint32, i int) ([]uint32, int) {
	w := &n.slow
	s := w.s
	switch classes[s[i]] {
	case letter, digit:
		end := asciiWord(s, i)
		if end < 0 || end-i > shortWord {
			break
		}
		return append(dst, n.find(lowerKey(s, i, end-i))), end
	case foreign:
	default:
		if i+1 == len(s) || classes[s[i+1]] != foreign {
			return dst, i + 1
		}
	}
	w.out, w.position = w.out[:0], 0
	next := w.step(i)
	at := uint32(0)
	for j := range w.out {
		for ; at < w.out[j].Position; at++ {
			dst = append(dst, NoTerm)
		}
		dst = append(dst, n.term(w.out[j].Term))
		at++
	}
	for ; at < w.position; at++ {
		dst = append(dst, NoTerm)
	}
	return dst, next
}

// term returns the number for the term of a token.
func (n *Numberer) term(term string) uint32 {
	if len(term) <= shortWord && isASCII(term) {
		return n.find(lowerKey(term, 0, len(term)))
	}
	if v, ok := n.long[term]; ok {
		return v
	}
	if len(n.long) >= longWords {
		clear(n.long)
	}
	v := n.number(n.form(term))
	n.long[strings.Clone(term)] = v
	return v
}

// form returns the index form of a token's term.
func (n *Numberer) form(term string) string {
	return indexForm(n.analyzer.lang, n.analyzer.run, term)
}

// find returns the number for a short word in lower case.
func (n *Numberer) find(k wordKey) uint32 {
	t := &n.short
	i := t.hash(k)
	for {
		e := &t.slots[i&uint64(len(t.slots)-1)]
		if e.key == k {
			return e.number
		}
		if e.number == NoTerm {
			break
		}
		i++
	}
	return n.learn(k)
}

// learn enters a short word that was not met yet.
func (n *Numberer) learn(k wordKey) uint32 {
	var buf [shortWord]byte
	for i := range 8 {
		buf[i], buf[8+i] = byte(k.lo>>(8*i)), byte(k.hi>>(8*i))
	}
	size := slices.Index(buf[:], 0)
	if size < 0 {
		size = shortWord
	}
	v := n.number(n.form(string(buf[:size])))
	n.short.add(k, v)
	return v
}

// shortTable maps short words to numbers: open addressing with linear probing, at most half full, keys in the slots.
type shortTable struct {
	slots  []shortSlot // a power of two
	used   int
	s0, s1 uint64 // so that nobody can write a page whose words all meet in one place
}

type shortSlot struct {
	key    wordKey
	number uint32 // NoTerm: free
}

const (
	shortSlotBytes = 24
	minShortSlots  = 1 << 10
	// maxShortSlots bounds a table to 12 MB: twice the words that make up nearly all text of a language. When it is
	// full it forgets everything; the frequent words are back at once.
	maxShortSlots = 1 << 19
)

func (t *shortTable) reset(slots int) {
	*t = shortTable{slots: make([]shortSlot, slots), s0: rand.Uint64() | 1, s1: rand.Uint64() | 1}
}

// hash mixes a key by one multiplication to 128 bits whose halves are joined.
func (t *shortTable) hash(k wordKey) uint64 {
	hi, lo := bits.Mul64(k.lo^t.s0, k.hi^t.s1)
	return hi ^ lo
}

// add enters a key that is not in the table.
func (t *shortTable) add(k wordKey, v uint32) {
	if 2*(t.used+1) > len(t.slots) {
		old := t.slots
		if len(old) < maxShortSlots {
			t.reset(2 * len(old))
			for _, e := range old {
				if e.number != NoTerm {
					t.add(e.key, e.number)
				}
			}
		} else {
			clear(old)
			t.used = 0
		}
	}
	i := t.hash(k)
	for t.slots[i&uint64(len(t.slots)-1)].number != NoTerm {
		i++
	}
	t.slots[i&uint64(len(t.slots)-1)] = shortSlot{k, v}
	t.used++
}
