package page

import (
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"concord"
)

// extractText reads a text/plain body: its lines are kept, its first line is the title.
func extractText(in Input, p *concord.Page) {
	p.FileType = "text"
	body, _ := decode(in.Body, in.ContentType, false)
	p.Body = cleanLines(body)
	p.Title = textTitle(in, p.Body)
}

// titleLineBytes is how long a first line may be and still be a title rather than a paragraph.
const titleLineBytes = 120

// textTitle is the first line, or where that is none the last segment of the URL's path.
func textTitle(in Input, body string) string {
	first, _, _ := strings.Cut(body, "\n")
	first = collapse(strings.Trim(first, "#=*-_/;%|< \t"))
	if first != "" && len(first) <= titleLineBytes && strings.ContainsFunc(first, unicode.IsLetter) {
		return first
	}
	return lastSegment(in)
}

// lastSegment returns the last segment of the URL's path, unescaped, else its host.
func lastSegment(in Input) string {
	u, err := url.Parse(in.URL.String())
	if err != nil {
		return ""
	}
	if base := path.Base(u.Path); base != "/" && base != "." && utf8.ValidString(base) {
		return collapse(base)
	}
	return u.Hostname()
}

// cleanLines drops control characters and trailing spaces, and allows one empty line in a row.
func cleanLines(s string) string {
	var b strings.Builder
	b.Grow(min(len(s), MaxBodyBytes+utf8.UTFMax))
	empty := 0
	for line := range strings.Lines(s) {
		line = strings.TrimRightFunc(strings.Map(printable, line), unicode.IsSpace)
		if line == "" {
			empty++
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
			if empty > 0 {
				b.WriteByte('\n')
			}
		}
		empty = 0
		b.WriteString(line)
		if b.Len() > MaxBodyBytes {
			break
		}
	}
	return b.String()
}

// printable maps control and invisible formatting characters away and form feeds to line ends.
func printable(r rune) rune {
	switch {
	case r == '\t', r == '\n':
		return r
	case r == '\f', r == '\v', r == '\r':
		return '\n'
	case r < ' ', r >= 0x7F && r < 0xA0, r == 0xFEFF, r == 0xAD:
		return -1
	}
	return r
}

// collapse trims s and makes every run of white space one space; soft hyphens and other invisible characters go.
func collapse(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		c := s[i]
		clean = c < utf8.RuneSelf && (c > ' ' || c == ' ' && i > 0 && i < len(s)-1 && s[i-1] != ' ') && c != 0x7F
	}
	if clean {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) {
			space = b.Len() > 0
			continue
		}
		if r = printable(r); r < 0 || invisible(r) {
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// invisible reports characters that have no width and no meaning for a reader of the text.
func invisible(r rune) bool { return r == 0x200B || r == 0x2060 || r == 0xFFFE }

// clipText cuts s to at most n bytes at a rune border, preferably after a space, and says so.
func clipText(s string, n int, cut *bool) string {
	if len(s) <= n {
		return s
	}
	*cut = true
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	s = s[:n]
	if i := strings.LastIndexAny(s, " \n"); i > n-64 && i > 0 {
		s = s[:i]
	}
	return strings.TrimRightFunc(s, unicode.IsSpace)
}
