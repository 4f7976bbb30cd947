package text

import (
	"iter"
	"strings"

	"github.com/clipperhouse/uax29/v2/words"
)

// MaxTermBytes bounds a term. Longer words are encoded data or missing spaces; nobody types them. They are left out, but
// keep their position, so that phrases do not close over them.
const MaxTermBytes = 64

// maxRawBytes bounds the spelling that is folded to see whether the term fits: NFKC shortens text, but not by more than
// this for any word of a real language.
const maxRawBytes = 4 * MaxTermBytes

// Token is one word of a text.
type Token struct {
	Start, End int    // byte offsets in the input: input[Start:End] is the word as written
	Position   uint32 // ordinal of the word in the text, from 0; words that were too long are counted
	Term       string // the word in lower case and NFKC; never empty
}

// Tokens returns the words of s in order.
func Tokens(s string) iter.Seq[Token] {
	return func(yield func(Token) bool) {
		for _, t := range new(Tokenizer).AppendTokens(nil, s) {
			if !yield(t) {
				return
			}
		}
	}
}

// Tokenizer finds words. The zero value is ready. It remembers the terms of words that are not plain ASCII, so reuse makes
// it faster. It is not safe for concurrent use.
type Tokenizer struct {
	segments *words.Iterator[string]
	terms    cache // spelling -> term, for words that are not plain ASCII
	noFast   bool  // take the slow path everywhere; for tests that hold the two paths equal
}

// AppendTokens appends the words of s to dst and returns the longer slice. Terms may share memory with s, or with one
// lower-case copy of it: clone a term that outlives the text.
func (t *Tokenizer) AppendTokens(dst []Token, s string) []Token {
	w := walk{out: dst}
	w.begin(t, s)
	w.lower = lowerASCII(s)
	for i := 0; i < len(s); {
		i = w.step(i)
	}
	return w.out
}

// walk is one pass over one text.
type walk struct {
	t        *Tokenizer
	s, lower string // lower has the same offsets as s, ASCII letters in lower case; it may be empty
	out      []Token
	position uint32
}

// begin prepares for a text.
func (w *walk) begin(t *Tokenizer, s string) { w.t, w.s, w.lower, w.position = t, s, "", 0 }

// end lets go of the text.
func (w *walk) end() {
	clear(w.out[:cap(w.out)])
	w.s, w.lower, w.out = "", "", w.out[:0]
}

// step handles what begins at the word boundary i and returns the next boundary.
func (w *walk) step(i int) int {
	if w.t.noFast {
		return w.slow(i)
	}
	s := w.s
	switch class := classes[s[i]]; class {
	case letter, digit:
		end := asciiWord(s, i)
		if end < 0 {
			return w.slow(i)
		}
		if w.lower == "" {
			w.emit(i, end, lowerASCII(s[i:end]))
		} else {
			w.emit(i, end, w.lower[i:end])
		}
		return end
	case foreign:
		return w.slow(i)
	default:
		// A mark or joiner may follow that attaches to this byte: only the full rules know.
		if i+1 < len(s) && classes[s[i+1]] == foreign {
			return w.slow(i)
		}
		return i + 1
	}
}

func (w *walk) emit(start, end int, term string) {
	if term == "" {
		return
	}
	if len(term) <= MaxTermBytes {
		w.out = append(w.out, Token{start, end, w.position, term})
	}
	w.position++
}

// The classes of bytes that the ASCII path tells apart.
const (
	separator  = iota // ends a word whatever follows
	letter            // A-Z a-z
	digit             // 0-9
	apostrophe        // joins two letters or two digits
	numeral           // . , ; join two digits; the full stop between letters separates, see the package comment
	foreign           // part of a rune outside ASCII
)

// classes maps each byte to its class. Colon and low line are separators by our tailoring.
var classes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= 0x80:
			t[c] = foreign
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			t[c] = letter
		case '0' <= c && c <= '9':
			t[c] = digit
		case c == '\'':
			t[c] = apostrophe
		case c == '.', c == ',', c == ';':
			t[c] = numeral
		}
	}
	return t
}()

// asciiWord returns the end of the word that begins at i, or -1 when a rune outside ASCII is near enough to matter.
func asciiWord(s string, i int) int {
	j := i
	for {
		j = wordRun(s, j)
		if j == len(s) {
			return j
		}
		mid := classes[s[j]]
		if mid == foreign {
			return -1
		}
		if mid == separator {
			// "a:" and "a_" followed by a mark are for the full rules.
			return j
		}
		if j+1 == len(s) {
			return j
		}
		before, after := classes[s[j-1]], classes[s[j+1]]
		switch {
		case after == foreign:
			return -1
		case before != after, after == letter && mid == numeral, after != letter && after != digit:
			return j
		}
		j++
	}
}

// lowerASCII returns s with A-Z in lower case and all other bytes as they are; s itself when there is nothing to do.
func lowerASCII(s string) string {
	i := 0
	for i < len(s) && s[i]-'A' >= 26 {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for ; i < len(s); i++ {
		c := s[i]
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}
