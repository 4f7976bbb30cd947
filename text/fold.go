package text

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// term returns the term of a word as written: lower case, NFKC, without format characters; "" when nothing is left, and
// a text longer than MaxTermBytes when the word is too long.
func (t *Tokenizer) term(word string) string {
	if len(word) > maxRawBytes {
		return word
	}
	if isASCII(word) {
		return lowerASCII(word)
	}
	if v, ok := t.terms.get(word); ok {
		return v
	}
	return t.terms.put(word, foldCase(word))
}

// foldCase computes what term remembers. Lower-casing can undo NFKC and the other way round, hence the repetition; the
// second round changes nothing any more for all but a handful of runes.
func foldCase(word string) string {
	for range 3 {
		next := strings.Trim(norm.NFKC.String(strings.Map(foldRune, norm.NFKC.String(word))), "'")
		if next == word {
			break
		}
		word = next
	}
	return word
}

// foldRune maps one rune of a word to lower case, the apostrophes to one, and drops what no two writers agree on.
func foldRune(r rune) rune {
	switch r {
	case '\u2018', '\u2019', '\u201B', '\u02BC': // quotation marks and the modifier letter used as apostrophe
		return '\''
	case '"': // joins Hebrew letters only; the sign made for it is no quotation mark
		return '\u05F4'
	case '\'', '.', ',', ';', '\u2044', '\u00B7', '\u05F3', '\u05F4': // what UAX #29 lets join letters or digits
		return r
	}
	switch {
	case unicode.IsLetter(r), unicode.IsNumber(r):
		return unicode.ToLower(r)
	case unicode.Is(unicode.Me, r), unicode.Is(unicode.Variation_Selector, r), r == 0x034F:
		return -1
	case unicode.IsMark(r):
		return r
	}
	return -1
}

// foldMarks removes from a term what searchers leave out when they type: diacritics of Latin and Greek letters, Arabic and
// Hebrew vowel points, Cyrillic stress marks and the two dots of ё; letters with strokes and ligatures become their plain
// spellings, final sigma an ordinary one. Marks that make another letter elsewhere (й, が, Indic vowels) stay.
func foldMarks(term string) string {
	if isASCII(term) {
		return term
	}
	var b strings.Builder
	var base rune
	for _, r := range norm.NFD.String(term) {
		if unicode.Is(unicode.Mn, r) {
			if !droppable(base, r) {
				b.WriteRune(r)
			}
			continue
		}
		base = r
		if plain, ok := plainLetters[r]; ok {
			b.WriteString(plain)
			continue
		}
		b.WriteRune(r)
	}
	return norm.NFC.String(b.String())
}

// plainLetters are letters without a decomposition that are commonly typed as others.
var plainLetters = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'ħ': "h", 'ı': "i", 'ŧ': "t",
	'ŋ': "n", 'ĸ': "k", 'ς': "σ", 'ə': "e", 'ƒ': "f", 'ɓ': "b", 'ɗ': "d", 'ƙ': "k",
	'\u0640': "",                                // Arabic tatweel only stretches a word
	'ي':      "ی", 'ك': "ک", 'ى': "ی", 'ة': "ه", // one shape, two keyboards: Arabic and Persian
}

// droppable reports whether searchers leave out mark on base.
func droppable(base, mark rune) bool {
	switch {
	case unicode.Is(unicode.Latin, base), unicode.Is(unicode.Greek, base),
		unicode.Is(unicode.Arabic, base), unicode.Is(unicode.Hebrew, base):
		return true
	case unicode.Is(unicode.Cyrillic, base):
		return mark == 0x0300 || mark == 0x0301 || mark == 0x0308 && base == 'е'
	}
	return false
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
