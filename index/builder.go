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

// maxNumberers bounds the numberers a builder keeps: each has tables of words, and languages come from pages.
const maxNumberers = 32

// languageNumberer is the numberer of a language.
type languageNumberer struct {
	language string
	*text.Numberer
}

// Builder collects documents in memory and writes them as a segment. It is not safe for concurrent use; several builders
// may work side by side.
type Builder struct {
	cfg       Config
	terms     *termTable
	docs      docStore
	byURL     urlTable
	values    interner
	numberers []languageNumberer
	absorbed  int64 // memory of the tables of other builders
	spare     int64 // memory that writing may take, if it is more than it needs

	// scratch of Add
	numbers []uint32
	log     tokenLog
	text    []byte
}

// NewBuilder returns an empty builder. An invalid Config is reported by Write.
func NewBuilder(cfg Config) *Builder {
	return &Builder{cfg: cfg, terms: newTermTable(), docs: newDocStore(), byURL: newURLTable()}
}

// Docs returns the number of live documents.
func (b *Builder) Docs() int { return b.docs.n - b.docs.dead }

// Has reports whether a document with the URL is in the builder.
func (b *Builder) Has(url string) bool {
	doc, ok := b.byURL.find(&b.docs, url)
	return ok && !b.docs.at(doc).dead
}

// Bytes is the memory in use: what documents that were deleted or replaced took included. Writing takes more: for its lists a
// quarter of it, and 16 MB at least, and up to a hundred bytes for each document and forty for each word.
func (b *Builder) Bytes() int64 {
	n := b.terms.bytes() + b.docs.bytes() + b.byURL.bytes() + b.values.bytes() + b.absorbed
	for _, a := range b.numberers {
		n += a.Bytes()
	}
	return n + int64(cap(b.text)+2*cap(b.log.units)+4*cap(b.numbers))
}

// reset empties the builder but keeps the larger pieces of its memory for the next documents.
func (b *Builder) reset() {
	b.docs.reset()
	b.terms.reset()
	*b = Builder{cfg: b.cfg, terms: b.terms, docs: b.docs, byURL: newURLTable()}
}

// seal lets go of what only Add, Delete and Has need: all that is left to do is to absorb others and to write.
func (b *Builder) seal() {
	b.byURL, b.numberers = urlTable{}, nil
	b.numbers, b.log, b.text = nil, tokenLog{}, nil
}

// absorb takes over the documents of o, which has none with a URL that b has, has absorbed no other, and must not be used
// afterwards. Both are sealed.
func (b *Builder) absorb(o *Builder) {
	numbers := make([]uint32, len(o.terms.words)+1)
	for i := range o.terms.words {
		numbers[i+1] = b.terms.number(string(o.terms.word(uint32(i + 1))))
	}
	b.docs.absorb(&o.docs, numbers)
	b.absorbed += o.values.bytes() + int64(len(numbers))*4
}

// Delete takes the document with the URL out again and reports whether there was one.
func (b *Builder) Delete(url string) bool {
	doc, ok := b.byURL.find(&b.docs, url)
	return ok && b.docs.kill(doc)
}

// Add indexes a document, replacing an earlier one with the same URL. It keeps no reference to d. Errors: Invalid for a
// document without URL or beyond a bound, Unavailable when the builder is full and must be written first.
func (b *Builder) Add(d *Document) error {
	if err := d.validate(); err != nil {
		return err
	}
	if b.docs.n >= MaxDocs || b.terms.full() || b.docs.logs.total > maxTokens {
		return concord.Errorf(concord.Unavailable, "add document: builder is full, write it first")
	}
	if before, ok := b.byURL.enter(&b.docs, d.URL, uint32(b.docs.n)); ok {
		b.docs.kill(before)
	}
	var length [NumParts]uint32
	b.index(d, &length)
	if b.cfg.OmitText {
		d = d.withoutText()
	}
	b.text = appendText(b.text[:0], d, &length, &b.values)
	b.docs.sources[0].values = b.values.all
	b.docs.add(b.text, b.log.units)
	b.trim()
	return nil
}

// maxTokens keeps the positions of a builder within 32 bits.
const maxTokens = 1<<32 - 1 - MaxDocumentBytes

// maxScratch bounds what is kept between documents for reuse; few are larger.
const maxScratch = 1 << 20

// trim lets go of the scratch space of an unusually large document.
func (b *Builder) trim() {
	if cap(b.text) > maxScratch {
		b.text, b.numbers, b.log = nil, nil, tokenLog{}
	}
}

// numberer returns the numberer of a language.
func (b *Builder) numberer(lang string) *text.Numberer {
	for _, a := range b.numberers {
		if a.language == lang {
			return a.Numberer
		}
	}
	if len(b.numberers) >= maxNumberers {
		b.numberers = nil
	}
	a := text.NewNumberer(lang, b.terms.number)
	b.numberers = append(b.numberers, languageNumberer{strings.Clone(lang), a})
	return a
}

// index makes the token log of a document and fills in the length of each part.
func (b *Builder) index(d *Document, length *[NumParts]uint32) {
	b.log.reset()
	a := b.numberer(d.Language)
	var start uint32
	part := func(p Part, limit uint32, strs ...string) {
		var n uint32
		for _, s := range strs {
			if n > 0 {
				n += stringGap
			}
			n = b.indexString(a, s, start, n, limit)
		}
		length[p] = n
		start += n + partGap
	}
	part(PartTitle, MaxPartWords, d.Title)
	part(PartHeadings, MaxPartWords, d.Headings...)
	part(PartAnchors, MaxPartWords, d.Anchors...)
	part(PartURL, MaxPartWords, urlWords(d.URL))
	part(PartBody, MaxBodyWords, d.Body)
}

// indexString logs one string whose first word has position n of a part that begins at start, and returns the part's new
// length.
func (b *Builder) indexString(a *text.Numberer, s string, start, n, limit uint32) uint32 {
	b.numbers = a.Append(b.numbers[:0], s)
	words := b.numbers
	if room := uint32(max(int64(limit)-int64(n), 0)); uint32(len(words)) > room {
		words = words[:room]
	}
	for len(words) > 0 && words[len(words)-1] == text.NoTerm {
		words = words[:len(words)-1]
	}
	b.log.append(start+n, words)
	return n + uint32(len(words))
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
