package query

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"

	"concord"
)

// explainColumns bounds the line Explain shows, so that it does not wrap on a terminal of 80 columns.
const explainColumns = 76

// Explain returns two lines for a terminal: the query, or the part of it around the place, and carets under the place
// with the reason.
//
//	cats "and dogs
//	     ^^^^^^^^^ quotation mark is never closed
func Explain(err *concord.QueryError) string {
	start := min(max(err.Offset, 0), len(err.Query))
	end := min(start+max(err.Length, 1), len(err.Query))
	before, place, after := printable(err.Query[:start]), printable(err.Query[start:end]), printable(err.Query[end:])
	before = ellipsis(before, explainColumns/2, true)
	place = ellipsis(place, explainColumns-columns(before)-1, false)
	after = ellipsis(after, explainColumns-columns(before)-columns(place), false)
	carets := max(columns(place), 1)
	return before + place + after + "\n" + strings.Repeat(" ", columns(before)) + strings.Repeat("^", carets) + " " + err.Reason
}

// printable sets a space for white space and an asterisk for what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r), r == utf8.RuneError:
			return '*'
		}
		return r
	}, s)
}

// ellipsis shortens s to at most limit columns, leaving out its start or its end.
func ellipsis(s string, limit int, atStart bool) string {
	if columns(s) <= limit {
		return s
	}
	if limit < 1 {
		return ""
	}
	for columns(s) > limit-1 {
		if atStart {
			_, size := utf8.DecodeRuneInString(s)
			s = s[size:]
		} else {
			_, size := utf8.DecodeLastRuneInString(s)
			s = s[:len(s)-size]
		}
	}
	if atStart {
		return "…" + s
	}
	return s + "…"
}

// columns returns how many columns of a terminal s takes.
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Me, r):
		case width.LookupRune(r).Kind() == width.EastAsianWide, width.LookupRune(r).Kind() == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}
