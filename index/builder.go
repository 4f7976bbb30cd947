package index

import (
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"concord"
	"concord/text"
)

// Position gaps. A phrase matches adjacent positions only, so any gap keeps it inside one string; between parts there is
// room for sloppy phrases to come.
const (
	partGap   = 16
	stringGap = 1 // between two headings, and between two anchors
)

// maxAnalyzers bounds the analysers a builder keeps: each has a cache of stems, and languages come from pages.
const maxAnalyzers = 32

// Builder collects documents in memory and writes them as a segment. It is not safe for concurrent use; several builders
// may work side by side.
type Builder struct {
	cfg       Config
	terms     *termTable
	docs      []builderDoc
	byURL     map[string]uint32 // live documents
	analyzers map[string]*text.Analyzer
	words     []text.Term
	dead      int
	bytes     int64 // of records and document entries
}

// builderDoc is what the builder keeps of a document beside its terms.
type builderDoc struct {
	docMeta
	record []byte // as it goes to the document store
	dead   bool
}

// docMeta is the part of a document that lies in columns and in the URL section.
type docMeta struct {
	url, site, host    string
	language, fileType string
	fetched, published int64 // Unix seconds; noTime: none
	flags              uint8
	length             [NumParts]uint32 // positions each part takes
}

// NewBuilder returns an empty builder. An invalid Config is reported by Write.
func NewBuilder(cfg Config) *Builder {
	return &Builder{cfg: cfg, terms: newTermTable(), byURL: map[string]uint32{}, analyzers: map[string]*text.Analyzer{}}
}

// Docs returns the number of live documents.
func (b *Builder) Docs() int { return len(b.docs) - b.dead }

// Has reports whether a document with the URL is in the builder.
func (b *Builder) Has(url string) bool { _, ok := b.byURL[url]; return ok }

// Bytes estimates the memory in use. Writing needs little beyond it: a few bytes a document and the largest posting list.
func (b *Builder) Bytes() int64 {
	const docOverhead = 320 // builderDoc, map entry and small strings
	return b.terms.bytes() + b.bytes + int64(len(b.docs))*docOverhead
}

// Delete takes the document with the URL out again and reports whether there was one.
func (b *Builder) Delete(url string) bool {
	i, ok := b.byURL[url]
	if ok {
		b.docs[i].dead = true
		b.bytes -= int64(len(b.docs[i].record))
		b.docs[i].record = nil
		delete(b.byURL, url)
		b.dead++
	}
	return ok
}

// Add indexes a document, replacing an earlier one with the same URL. It keeps no reference to d. Errors: Invalid for a
// document without URL or beyond a bound, Unavailable when the builder is full and must be written first.
func (b *Builder) Add(d *Document) error {
	if err := d.validate(); err != nil {
		return err
	}
	if len(b.docs) >= MaxDocs || b.terms.full() {
		return concord.Errorf(concord.Unavailable, "add document: builder is full, write it first")
	}
	b.Delete(d.URL)
	url := strings.Clone(d.URL)
	host := d.Host
	if host == "" {
		host = d.Site
	}
	bd := builderDoc{docMeta: docMeta{
		url: url, site: strings.Clone(d.Site), host: strings.Clone(host), language: strings.Clone(d.Language),
		fileType: strings.Clone(d.FileType), fetched: toSeconds(d.Fetched), published: toSeconds(d.Published), flags: d.flags(),
	}}
	id := uint32(len(b.docs))
	b.index(id, d, &bd.length)
	if b.cfg.OmitText {
		d = d.withoutText()
	}
	bd.record = appendRecord(make([]byte, 0, d.textBytes()+64), d)
	b.bytes += int64(len(bd.record) + 2*len(url) + len(d.Site) + len(host))
	b.docs = append(b.docs, bd)
	b.byURL[url] = id
	return nil
}

// index adds the document's words to the posting lists and fills in the length of each part.
func (b *Builder) index(id uint32, d *Document, length *[NumParts]uint32) {
	a := b.analyzers[d.Language]
	if a == nil {
		if len(b.analyzers) >= maxAnalyzers {
			clear(b.analyzers)
		}
		a = text.NewAnalyzer(d.Language)
		b.analyzers[strings.Clone(d.Language)] = a
	}
	var start uint32
	part := func(p Part, own Field, limit uint32, strs ...string) {
		var n uint32
		for _, s := range strs {
			if n > 0 {
				n += stringGap
			}
			n = b.indexString(a, id, s, start, n, limit, own)
		}
		length[p] = n
		start += n + partGap
	}
	part(PartTitle, FieldTitle, MaxPartWords, d.Title)
	part(PartHeadings, FieldAll, MaxPartWords, d.Headings...)
	part(PartAnchors, FieldAll, MaxPartWords, d.Anchors...)
	part(PartURL, FieldURL, MaxPartWords, urlWords(d.URL))
	part(PartBody, FieldAll, MaxBodyWords, d.Body)
}

// indexString indexes one string whose first word has position n of a part that begins at start, and returns the part's new
// length. Words go to FieldAll and, when it is another, to the part's own field.
func (b *Builder) indexString(a *text.Analyzer, id uint32, s string, start, n, limit uint32, own Field) uint32 {
	b.words = a.Append(b.words[:0], s)
	end := n
	for i := range b.words {
		w := &b.words[i]
		at := n + w.Position
		if at >= limit {
			break
		}
		b.terms.add(FieldAll, w.Text, id, start+at)
		if own != FieldAll {
			b.terms.add(own, w.Text, id, at)
		}
		end = at + 1
	}
	return end
}

// urlWords returns the words of a URL as text: without scheme, escapes resolved, everything but letters and digits a space.
func urlWords(u string) string {
	if _, rest, ok := strings.Cut(u, "://"); ok {
		u = rest
	}
	if s, err := url.PathUnescape(u); err == nil && utf8.ValidString(s) {
		u = s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			return r
		}
		return ' '
	}, u)
}

func (d *Document) validate() error {
	switch {
	case d.URL == "" || len(d.URL) > MaxURLBytes:
		return concord.Errorf(concord.Invalid, "add document: URL of %d bytes, want 1 to %d", len(d.URL), MaxURLBytes)
	case d.textBytes() > MaxDocumentBytes:
		return concord.Errorf(concord.Invalid, "add document %s: %d bytes of text, at most %d", concord.Clip(d.URL, 100), d.textBytes(), MaxDocumentBytes)
	case d.MaxSnippet < 0 || d.MaxSnippet > 1<<31-1:
		return concord.Errorf(concord.Invalid, "add document %s: snippet length %d is out of range", concord.Clip(d.URL, 100), d.MaxSnippet)
	}
	return nil
}

// textBytes is the size of the strings, all that counts for memory.
func (d *Document) textBytes() int {
	n := len(d.URL) + len(d.Site) + len(d.Host) + len(d.Language) + len(d.FileType) + len(d.Title) + len(d.Description) + len(d.Body) + len(d.Capture)
	for _, h := range d.Headings {
		n += len(h) + 8
	}
	for _, a := range d.Anchors {
		n += len(a) + 8
	}
	return n
}

// Bits of the flags column.
const (
	flagNoArchive = 1 << iota
	flagNoSnippet
)

func (d *Document) flags() (f uint8) {
	if d.NoArchive {
		f |= flagNoArchive
	}
	if d.NoSnippet {
		f |= flagNoSnippet
	}
	return f
}

// noTime stands for the zero time in columns.
const noTime = -1 << 63

func toSeconds(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.Unix()
}

func fromSeconds(s int64) time.Time {
	if s == noTime {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}
