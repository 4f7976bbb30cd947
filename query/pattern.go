package query

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"concord"
)

// Bounds of inexact search. Short words have too many neighbours for the answer to mean anything.
const (
	MinPrefix        = 2  // letters or digits before a star
	MinFuzzy         = 3  // letters or digits before a tilde
	MaxFuzzyDistance = 2  // letters; what index.NewFuzzy takes
	MaxFuzzyBytes    = 32 // of the word; what index.NewFuzzy takes
	MaxSlop          = 50 // a paragraph; beyond it the words are not about one another
	MaxPatterns      = 8  // prefixes and fuzzy words in one query: each is looked up in the whole dictionary
)

// FuzzyDistance returns how far a word may be off where the query does not say: 0 below MinFuzzy letters or digits, 1 up to five,
// else 2.
func FuzzyDistance(word string) int {
	switch n := letters(word); {
	case n < MinFuzzy:
		return 0
	case n <= 5:
		return 1
	}
	return MaxFuzzyDistance
}

// letters counts the letters and digits of a word; marks belong to the letter before them.
func letters(word string) (n int) {
	for _, r := range word {
		if isWordRune(r) {
			n++
		}
	}
	return n
}

// pattern makes the node of a word that ends in a star, or in a tilde and perhaps a number; ok is false where these are text.
func (p *parser) pattern(span Span, field Field) (n Node, ok bool, err *concord.QueryError) {
	part := p.s[span.Offset : span.Offset+span.Length]
	word, sign := cutSign(part)
	if sign == "" {
		return nil, false, nil
	}
	terms := p.terms
	words, err := p.tokens(Span{span.Offset, len(word)})
	switch {
	case err != nil:
		return nil, false, err
	case len(words) == 0, len(words) == 1 && !takesSign(words[0], sign):
		p.terms = terms
		return nil, false, nil // compatibility characters: what they stand for cannot be written with the sign
	case len(words) > 1:
		return nil, false, p.fail(span.Offset, span.Length,
			fmt.Sprintf("%s needs a single word before it, and this is %d: put it in quotation marks to find it as it is", sign[:1], len(words)))
	}
	if p.patterns++; p.patterns > MaxPatterns {
		return nil, false, p.fail(span.Offset, span.Length, fmt.Sprintf("query has more than %d words with * or ~", MaxPatterns))
	}
	var reason string
	if sign == "*" {
		n, reason = prefixNode(words[0], field, span)
	} else {
		n, reason = fuzzyNode(words[0], sign[1:], field, span)
	}
	if reason != "" {
		return nil, false, p.fail(span.Offset, span.Length, reason)
	}
	return n, true, nil
}

func prefixNode(word string, field Field, span Span) (n Node, reason string) {
	if letters(word) < MinPrefix {
		return nil, fmt.Sprintf("* needs at least %d letters or digits before it", MinPrefix)
	}
	return Prefix{word, field, span}, ""
}

func fuzzyNode(word, digits string, field Field, span Span) (n Node, reason string) {
	distance := FuzzyDistance(word)
	switch {
	case distance == 0:
		return nil, fmt.Sprintf("~ needs at least %d letters or digits before it: shorter words are like too many others", MinFuzzy)
	case len(word) > MaxFuzzyBytes, len(folded(word)) > MaxFuzzyBytes:
		return nil, fmt.Sprintf("word is longer than %d bytes: too long for ~", MaxFuzzyBytes)
	case digits == "":
	case len(digits) == 1 && '1' <= digits[0] && digits[0] <= '0'+MaxFuzzyDistance:
		distance = int(digits[0] - '0')
	default:
		return nil, fmt.Sprintf("the number after ~ is how many letters may differ, 1 or %d: put it in quotation marks to find it as it is",
			MaxFuzzyDistance)
	}
	return Fuzzy{word, distance, field, span}, ""
}

// cutSign cuts the star, or the tilde and the digits after it, that text ends in; the sign is empty where there is none.
func cutSign(part string) (word, sign string) {
	end := len(part) - 1
	if !strings.HasSuffix(part, "*") {
		end = len(strings.TrimRight(part, "0123456789")) - 1
		if end < 0 || part[end] != '~' {
			return part, ""
		}
	}
	if !takesSign(part[:end], part[end:]) {
		return part, ""
	}
	return part[:end], part[end:]
}

// takesSign reports whether a star or tilde after text is a sign: it follows a letter or digit, and there is a letter where it is a
// tilde (3~5 is from three to five). After scripts written without spaces both are text: there a word of two characters or more is
// found inside others anyway, and 안녕~ is how people write.
func takesSign(word, sign string) bool {
	if sign[0] == '~' && !strings.ContainsFunc(word, unicode.IsLetter) {
		return false
	}
	word = strings.TrimRightFunc(word, unicode.IsMark)
	last, _ := utf8.DecodeLastRuneInString(word)
	const long, longHalf = 'ー', 'ｰ' // letters of both kinds of kana
	return isWordRune(last) && !unicode.In(last, unspaced...) && last != long && last != longHalf
}

// unspaced are the scripts whose text becomes pairs of characters or single ones, see package text.
var unspaced = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}

// isWordRune reports whether r is what words are made of; RuneError is not.
func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }
