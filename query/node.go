package query

import (
	"strconv"
	"strings"
	"time"
)

// Node is a node of a query tree: And, Or, Not, Maybe, Word, Prefix, Fuzzy, Phrase, Site, Lang, FileType or Date. Trees are values:
// nothing changes them after Parse, and they are safe for concurrent use.
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

// DateField says which time of a page a Date looks at.
type DateField uint8

const (
	Dated     DateField = iota // after:, before: the time published or, where the page does not say, fetched
	Published                  // published: pages that do not say when match no range
	Fetched                    // fetched:
)

func (f DateField) String() string {
	switch f {
	case Published:
		return "published"
	case Fetched:
		return "fetched"
	}
	return "dated"
}

// Span is the place of a node in the query's text, in bytes. Signs before it (minus, question mark) are not part of it, those
// after it (star, tilde) are.
type Span struct{ Offset, Length int }

// And matches what all nodes match.
type And struct{ Nodes []Node }

// Or matches what at least one node matches.
type Or struct{ Nodes []Node }

// Not takes out of the And it stands in what its node matches.
type Not struct{ Node Node }

// Maybe does not decide what the And it stands in matches: it adds to the score of documents that its node matches too.
type Maybe struct{ Node Node }

// Word matches documents with a word.
type Word struct {
	Text  string // a term of package text: lower case, not stemmed, diacritics kept
	Field Field
	Span  Span
}

// Prefix matches documents with a word that begins with a text. The index keeps no words, only terms: stems, diacritics folded.
// Hence it stands for (see Terms)
//
//   - the terms that begin with the folded text: in documents without a stemmer all words that begin with it, in others those
//     whose stem does;
//   - the terms that a Word of the same text stands for, so that a prefix finds all that the word without the star finds.
//
// "comp" finds compare and, as its stem is comput, computer; "running" finds run and running. Not found are words whose stem ends
// before the text does, or is spelled otherwise, when the text is no word itself: "runni" does not find running, whose stem is run,
// nor "organi" organize, whose stem is organ; a shorter text does. Of the words of Snowball's vocabularies, cut anywhere
// from the third letter on, 86 (Turkish) to 97 percent (Norwegian) are found, 87 of English.
type Prefix struct {
	Text  string // as Word.Text; at least MinPrefix letters or digits
	Field Field
	Span  Span
}

// Fuzzy matches documents with a word that is spelled like another: insertion, deletion, substitution and transposition of
// neighbours count one each. The index keeps stems, diacritics folded, so stems are compared with stems: it stands for (see Terms)
//
//   - all terms within Distance of the folded text;
//   - all terms within the smaller of Distance and FuzzyDistance of each term that a Word of the same text stands for: these are
//     shorter, and two letters off a stem of three is any word.
//
// "houzes" finds houses, as houz is one letter from hous. Differences of endings are free where the stemmer knows both; not
// found are words whose ending the mistake hides from the stemmer, such as runnign. With one mistake in each word of Snowball's vocabularies
// 82 (Turkish) to 95 percent (Dutch) are found, 89 of English.
type Fuzzy struct {
	Text     string // as Word.Text; at least MinFuzzy letters or digits, at most MaxFuzzyBytes, also when folded
	Distance int    // 1 or 2 (MaxFuzzyDistance)
	Field    Field
	Span     Span
}

// Phrase matches documents with these words side by side in this order or, with a Slop, nearly so: position p[i] of the document
// has Words[i], no two words share a position, and of the differences p[i] - i the largest is at most Slop more than the smallest.
// Slop 0 is the exact phrase; each word in between costs one; two neighbours changing places cost two ("a b" matches b a with a Slop
// of 2).
type Phrase struct {
	Words []string // at least two, each as in Word.Text
	Slop  int      // 0 to MaxSlop
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

// Date matches pages by a time: After ≤ time < Before. A zero time is no bound; one of them is set.
type Date struct {
	After, Before time.Time // UTC, midnight
	Of            DateField
	Span          Span
}

func (And) node()      {}
func (Or) node()       {}
func (Not) node()      {}
func (Maybe) node()    {}
func (Word) node()     {}
func (Prefix) node()   {}
func (Fuzzy) node()    {}
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
