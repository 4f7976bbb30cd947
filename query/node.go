package query

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Node is a node of a query tree: And, Or, Not, Word, Phrase, Site, Lang, FileType or Date. Trees are values: nothing changes them
// after Parse, and they are safe for concurrent use.
type Node interface {
	// String returns the query in canonical text.
	String() string
	node()
}

// Field says where a word or phrase must occur.
type Field uint8

const (
	Any   Field = iota // anywhere: title, headings, body, anchor text, URL
	Title              // intitle:
	URL                // inurl:
)

func (f Field) String() string {
	switch f {
	case Title:
		return "intitle"
	case URL:
		return "inurl"
	}
	return "any"
}

// Span is the place of a node in the query's text, in bytes. Signs before it (the minus) are not part of it.
type Span struct{ Offset, Length int }

// And matches what all nodes match.
type And struct{ Nodes []Node }

// Or matches what at least one node matches.
type Or struct{ Nodes []Node }

// Not takes out of the And it stands in what its node matches.
type Not struct{ Node Node }

// Word matches documents with a word.
type Word struct {
	Text  string // a term of package text: lower case, not stemmed, diacritics kept
	Field Field
	Span  Span
}

// Phrase matches documents with these words side by side in this order.
type Phrase struct {
	Words []string // at least two, each as in Word.Text
	Field Field
	Span  Span
}

// Site matches pages of a host and of all hosts under it.
type Site struct {
	Host string // lower case, IDNA in its ASCII form; with ":port" only that port is meant
	Span Span
}

// Lang matches pages in a language.
type Lang struct {
	Code string // ISO 639-1 (639-2 where there is none), lower case
	Span Span
}

// FileType matches pages of a type as concord.Page.FileType names it.
type FileType struct {
	Type string // lower case
	Span Span
}

// Date matches pages by the time they were published or, where they do not say, fetched: After ≤ time < Before. A zero time is
// no bound; one of them is set.
type Date struct {
	After, Before time.Time // UTC, midnight
	Span          Span
}

func (And) node()      {}
func (Or) node()       {}
func (Not) node()      {}
func (Word) node()     {}
func (Phrase) node()   {}
func (Site) node()     {}
func (Lang) node()     {}
func (FileType) node() {}
func (Date) node()     {}

// Match reports whether host (lower case, ASCII, with ":port" if it is not the scheme's own) is the site or under it.
func (s Site) Match(host string) bool {
	if !hasPort(s.Host) {
		host = withoutPort(host)
	}
	return host == s.Host || strings.HasSuffix(host, "."+s.Host)
}

// Match reports whether t lies in the range.
func (d Date) Match(t time.Time) bool {
	return (d.After.IsZero() || !t.Before(d.After)) && (d.Before.IsZero() || t.Before(d.Before))
}

func (n And) String() string {
	return join(n.Nodes, " ", func(c Node) bool { _, or := c.(Or); return or })
}
func (n Or) String() string {
	return join(n.Nodes, " OR ", func(c Node) bool { _, and := c.(And); return and })
}

func (n Not) String() string {
	switch n.Node.(type) {
	case And, Or:
		return "-(" + n.Node.String() + ")"
	}
	return "-" + n.Node.String()
}

func (n Word) String() string     { return prefix(n.Field) + n.Text }
func (n Phrase) String() string   { return prefix(n.Field) + `"` + strings.Join(n.Words, " ") + `"` }
func (n Site) String() string     { return "site:" + n.Host }
func (n Lang) String() string     { return "lang:" + n.Code }
func (n FileType) String() string { return "filetype:" + n.Type }

func (n Date) String() string {
	var parts []string
	if !n.After.IsZero() {
		parts = append(parts, "after:"+n.After.Format(time.DateOnly))
	}
	if !n.Before.IsZero() {
		parts = append(parts, "before:"+n.Before.Format(time.DateOnly))
	}
	return strings.Join(parts, " ")
}

func prefix(f Field) string {
	if f == Any {
		return ""
	}
	return f.String() + ":"
}

func join(nodes []Node, separator string, group func(Node) bool) string {
	parts := make([]string, len(nodes))
	for i, n := range nodes {
		parts[i] = n.String()
		if group(n) {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, separator)
}

// hasPort reports whether host ends in a colon and digits; a bare IPv6 address stands in brackets.
func hasPort(host string) bool { return withoutPort(host) != host }

func withoutPort(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host
	}
	if _, err := strconv.ParseUint(host[i+1:], 10, 16); err != nil {
		return host
	}
	return host[:i]
}

// Equal reports whether two trees mean the same, spans aside: same nodes in the same order.
func Equal(a, b Node) bool {
	switch a := a.(type) {
	case And:
		b, ok := b.(And)
		return ok && slices.EqualFunc(a.Nodes, b.Nodes, Equal)
	case Or:
		b, ok := b.(Or)
		return ok && slices.EqualFunc(a.Nodes, b.Nodes, Equal)
	case Not:
		b, ok := b.(Not)
		return ok && Equal(a.Node, b.Node)
	case Word:
		b, ok := b.(Word)
		return ok && a.Text == b.Text && a.Field == b.Field
	case Phrase:
		b, ok := b.(Phrase)
		return ok && a.Field == b.Field && slices.Equal(a.Words, b.Words)
	case Site:
		b, ok := b.(Site)
		return ok && a.Host == b.Host
	case Lang:
		b, ok := b.(Lang)
		return ok && a.Code == b.Code
	case FileType:
		b, ok := b.(FileType)
		return ok && a.Type == b.Type
	case Date:
		b, ok := b.(Date)
		return ok && a.After.Equal(b.After) && a.Before.Equal(b.Before)
	}
	return a == nil && b == nil
}
