package index

import (
	"net/url"
	"slices"
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

// Builder collects documents in memory and writes them as a segment. It is not safe for concurrent use; several builders
// may work side by side.
type Builder struct {
	cfg       Config
	terms     *termTable
	docs      []builderDoc
	byURL     urlTable
	numberers map[string]*text.Numberer // by language
	renumber  [][]uint32                // see inverter
	records   pageAlloc[byte]
	tokens    pageAlloc[uint16]
	strings   map[string]string // short strings that many documents share
	dead      int
	bytes     int64 // of strings
	spare     int64 // memory that writing may take, if it is more than a share of Bytes

	// scratch of Add
	numbers []uint32
	log     tokenLog
	record  []byte
}

// builderDoc is what the builder keeps of a document.
type builderDoc struct {
	docMeta
	record []byte   // as it goes to the document store
	tokens []uint16 // token log
	source uint16   // whose numbers the log has: index into renumber
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
	return &Builder{cfg: cfg, terms: newTermTable(), byURL: newURLTable(), numberers: map[string]*text.Numberer{},
		renumber: make([][]uint32, 1), strings: map[string]string{}}
}

// Docs returns the number of live documents.
func (b *Builder) Docs() int { return len(b.docs) - b.dead }

// Has reports whether a document with the URL is in the builder.
func (b *Builder) Has(url string) bool { return b.live(url) != nil }

// live returns the document with the URL, nil when there is none.
func (b *Builder) live(url string) *builderDoc {
	if n := *b.byURL.find(b.docs, url); n != 0 && !b.docs[n-1].dead {
		return &b.docs[n-1]
	}
	return nil
}

// Bytes is the memory in use: what documents that were deleted or replaced took included. Writing takes up to a quarter of
// it more, and 16 MB at least.
func (b *Builder) Bytes() int64 {
	n := b.terms.bytes() + b.byURL.bytes() + b.records.total + 2*b.tokens.total + b.bytes
	for _, a := range b.numberers {
		n += a.Bytes()
	}
	return n + int64(cap(b.docs))*builderDocBytes + int64(cap(b.record)+2*cap(b.log.units)+4*cap(b.numbers))
}

// memory is Bytes and what writing takes at least.
func (b *Builder) memory() int64 {
	n := b.Bytes()
	return n + writeMemory(n)
}

// writeMemory is what writing a builder of n bytes takes for its lists: less would be many walks through the logs.
func writeMemory(n int64) int64 { return max(n/4, minInvertBytes) }

// reset empties the builder but keeps the larger pieces of its memory for the next documents.
func (b *Builder) reset() {
	clear(b.docs)
	b.records.reset()
	b.tokens.reset()
	b.terms.reset()
	*b = Builder{cfg: b.cfg, terms: b.terms, docs: b.docs[:0], byURL: newURLTable(), numberers: map[string]*text.Numberer{},
		renumber: make([][]uint32, 1), strings: map[string]string{}, records: b.records, tokens: b.tokens}
}

// absorb takes over the documents of o, which has none with a URL that b has, and which must not be used afterwards.
func (b *Builder) absorb(o *Builder) {
	numbers := make([]uint32, len(o.terms.words)+1)
	for i := range o.terms.words {
		numbers[i+1] = b.terms.number(string(o.terms.word(uint32(i + 1))))
	}
	b.renumber = append(b.renumber, numbers)
	b.docs = slices.Grow(b.docs, o.Docs())
	for i := range o.docs {
		if d := o.docs[i]; !d.dead {
			d.source = uint16(len(b.renumber) - 1)
			b.docs = append(b.docs, d)
			b.byURL.set(b.docs)
		}
	}
	b.records.total += o.records.total
	b.tokens.total += o.tokens.total
	b.bytes += o.bytes + int64(len(numbers))*4
}

// builderDocBytes is the size of a builderDoc.
const builderDocBytes = 176

// Delete takes the document with the URL out again and reports whether there was one.
func (b *Builder) Delete(url string) bool {
	d := b.live(url)
	if d == nil {
		return false
	}
	d.dead, d.record, d.tokens = true, nil, nil
	b.dead++
	return true
}

// Add indexes a document, replacing an earlier one with the same URL. It keeps no reference to d. Errors: Invalid for a
// document without URL or beyond a bound, Unavailable when the builder is full and must be written first.
func (b *Builder) Add(d *Document) error {
	if err := d.validate(); err != nil {
		return err
	}
	if len(b.docs) >= MaxDocs || b.terms.full() || b.tokens.total > maxTokens {
		return concord.Errorf(concord.Unavailable, "add document: builder is full, write it first")
	}
	b.Delete(d.URL)
	host := d.Host
	if host == "" {
		host = d.Site
	}
	bd := builderDoc{docMeta: docMeta{
		url: strings.Clone(d.URL), site: b.intern(d.Site), host: b.intern(host), language: b.intern(d.Language),
		fileType: b.intern(d.FileType), fetched: toSeconds(d.Fetched), published: toSeconds(d.Published), flags: d.flags(),
	}}
	b.bytes += int64(len(bd.url))
	b.index(d, &bd.length)
	bd.tokens = b.tokens.clone(b.log.units)
	if b.cfg.OmitText {
		d = d.withoutText()
	}
	b.record = appendRecord(b.record[:0], d)
	bd.record = b.records.clone(b.record)
	b.docs = append(b.docs, bd)
	b.byURL.set(b.docs)
	b.trim()
	return nil
}

// maxTokens keeps the positions of a builder within 32 bits.
const maxTokens = 1<<32 - 1 - MaxDocumentBytes

// maxScratch bounds what is kept between documents for reuse; few are larger.
const maxScratch = 1 << 20

// trim lets go of the scratch space of an unusually large document.
func (b *Builder) trim() {
	if cap(b.record) > maxScratch {
		b.record, b.numbers, b.log = nil, nil, tokenLog{}
	}
}

// maxInterned bounds the strings shared between documents.
const maxInterned = 1 << 14

// intern returns a copy of s, the same one for the same s.
func (b *Builder) intern(s string) string {
	if v, ok := b.strings[s]; ok {
		return v
	}
	if len(b.strings) >= maxInterned {
		clear(b.strings)
	}
	const entryBytes = 48 // of the map
	s = strings.Clone(s)
	b.strings[s] = s
	b.bytes += int64(len(s)) + entryBytes
	return s
}

// numberer returns the numberer of a language.
func (b *Builder) numberer(lang string) *text.Numberer {
	a := b.numberers[lang]
	if a == nil {
		if len(b.numberers) >= maxNumberers {
			clear(b.numberers)
		}
		a = text.NewNumberer(lang, b.terms.number)
		b.numberers[strings.Clone(lang)] = a
	}
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
