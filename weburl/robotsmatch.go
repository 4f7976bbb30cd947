package weburl

import (
	"strings"

	"concord"
)

// rule is one Allow or Disallow line.
//
// Patterns and targets are compared as octets in one spelling, the match form: triplets normalised as in the normal
// form, characters that a path and a query escape differently always escaped, and "*" and "$" that stand for themselves
// escaped too, since a rule can only name them as %2A and %24.
type rule struct {
	pattern string // match form; "*" is a wildcard, "$" at the end an anchor
	decoded string // pattern with delimiters in its query decoded, when that differs
	allow   bool
	line    int
	text    string
}

// target is the path and query a rule is compared with.
type target struct {
	literal string // match form
	decoded string // the same with delimiters in the query decoded
}

const (
	// escapedInMatch are the characters whose escaping the normal form leaves to the place they stand in, or that have
	// a meaning in patterns.
	escapedInMatch = "*$`{}^'"
	// queryDelimiters mean the same in a query whether escaped or not, RFC 9309 section 2.2.2, table 1.
	queryDelimiters = ":/?[]@!(),;"
)

func newRule(allow bool, pattern string, line int, text string) rule {
	if pattern[0] != '/' && pattern[0] != '*' {
		pattern = "/" + pattern // "Disallow: private/" can only mean the directory
	}
	body, anchored := strings.CutSuffix(pattern, "$")
	var b strings.Builder
	for i, piece := range strings.Split(body, "*") {
		if i > 0 {
			b.WriteByte('*')
		}
		b.WriteString(matchForm(piece))
	}
	if anchored {
		b.WriteByte('$')
	}
	r := rule{pattern: b.String(), allow: allow, line: line, text: strings.ToValidUTF8(concord.Clip(text, maxRuleText), "?")}
	if d := decodeQuery(r.pattern); d != r.pattern {
		r.decoded = d
	}
	return r
}

func newTarget(uri string) target {
	literal := uri // already in normal form
	if strings.ContainsAny(uri, escapedInMatch) {
		literal = matchForm(uri)
	}
	return target{literal, decodeQuery(literal)}
}

// matchForm returns s, which may hold any bytes, in the match form. It is a fixed point.
func matchForm(s string) string {
	b := make([]byte, 0, len(s)+16)
	for {
		i := strings.IndexAny(s, "?"+escapedInMatch)
		if i < 0 {
			return string(appendNormal(b, s, rawInPath))
		}
		b = appendNormal(b, s[:i], rawInPath)
		if s[i] == '?' {
			b = append(b, '?')
		} else {
			b = appendTriplet(b, s[i])
		}
		s = s[i+1:]
	}
}

// decodeQuery decodes the triplets of delimiters after the first "?" of a string in match form.
func decodeQuery(s string) string {
	q := strings.IndexByte(s, '?')
	if q < 0 || strings.IndexByte(s[q:], '%') < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:q]...)
	for i := q; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v := unhex(s[i+1])<<4 | unhex(s[i+2]); strings.IndexByte(queryDelimiters, v) >= 0 {
				b = append(b, v)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func (r *rule) matches(t target) bool {
	if glob(r.pattern, t.literal) {
		return true
	}
	if r.decoded != "" {
		return glob(r.decoded, t.decoded)
	}
	return t.decoded != t.literal && glob(r.pattern, t.decoded)
}

// glob reports whether pattern matches a beginning of s, or all of s when it ends in "$". Each piece between wildcards
// is taken at its leftmost place: with no wildcard but "*" that never loses a match, and there is nothing to go back
// for, so hostile patterns cost no more than others.
func glob(pattern, s string) bool {
	pattern, anchored := strings.CutSuffix(pattern, "$")
	first, rest, more := strings.Cut(pattern, "*")
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	if !more {
		return !anchored || s == ""
	}
	for {
		var piece string
		piece, rest, more = strings.Cut(rest, "*")
		if !more {
			if anchored {
				return strings.HasSuffix(s, piece)
			}
			return strings.Contains(s, piece)
		}
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s = s[i+len(piece):]
	}
}
