package query

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"concord"
)

// spaceAt returns the length of the white space rune s begins with, 0 for none.
func spaceAt(s string) int {
	if r, size := utf8.DecodeRuneInString(s); unicode.IsSpace(r) {
		return size
	}
	return 0
}

// quoteAt returns the length of the quotation mark at s[i:], 0 for none. Between Hebrew letters the straight one is part of
// an abbreviation.
func quoteAt(s string, i int) int {
	r, size := utf8.DecodeRuneInString(s[i:])
	switch r {
	case '“', '”', '„', '‟', '«', '»', '＂':
		return size
	case '"':
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[i+size:])
		if unicode.Is(unicode.Hebrew, before) && unicode.Is(unicode.Hebrew, after) {
			return 0
		}
		return size
	}
	return 0
}

// quoted reads what stands in quotation marks, which need not be of the same kind, and returns the place of the content.
func (p *parser) quoted() (Span, *concord.QueryError) {
	open := p.pos
	p.pos += quoteAt(p.s, p.pos)
	for start := p.pos; p.pos < len(p.s); {
		if size := quoteAt(p.s, p.pos); size > 0 {
			content := Span{start, p.pos - start}
			p.pos += size
			return content, nil
		}
		_, size := utf8.DecodeRuneInString(p.s[p.pos:])
		p.pos += size
	}
	return Span{}, p.fail(open, len(p.s)-open, "quotation mark is never closed")
}

// word reads text up to white space, a bar, a quotation mark, or a parenthesis that is not part of it, and at least one
// rune.
func (p *parser) word() Span {
	start := p.pos
	for p.pos < len(p.s) {
		if p.pos > start && p.wordEnds() {
			break
		}
		_, size := utf8.DecodeRuneInString(p.s[p.pos:])
		p.pos += size
		if p.s[p.pos-1] == '(' {
			p.pos = closingParenthesis(p.s, p.pos) // wordEnds has seen that there is one
		}
	}
	return Span{start, p.pos - start}
}

func (p *parser) wordEnds() bool { return wordEndsAt(p.s, p.pos) }

// wordEndsAt reports whether text that reaches to i ends there.
func wordEndsAt(s string, i int) bool {
	switch c := s[i]; {
	case c == ')' || c == '|':
		return true
	case c == '(':
		return closingParenthesis(s, i+1) < 0
	}
	return spaceAt(s[i:]) > 0 || quoteAt(s, i) > 0
}

// closingParenthesis returns the place after the parenthesis that closes the one before i, when nothing between them ends a
// word, so that both are text, as in printf(x); else -1.
func closingParenthesis(s string, i int) int {
	for depth := 1; i < len(s); {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		case '|':
			return -1
		}
		if spaceAt(s[i:]) > 0 || quoteAt(s, i) > 0 {
			return -1
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		i += size
	}
	return -1
}

// filterName returns the name before the colon that s begins with, in lower case: letters only, as long as a filter's.
func filterName(s string) (string, bool) {
	const longest = len("published")
	i := strings.IndexByte(s[:min(len(s), longest+1)], ':')
	if i <= 0 {
		return "", false
	}
	name := strings.ToLower(s[:i])
	switch name {
	case "site", "lang", "filetype", "intitle", "inurl", "before", "after", "published", "fetched":
		return name, true
	}
	return "", false
}
