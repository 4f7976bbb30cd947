package index

import (
	"encoding/binary"
	"slices"

	"concord/pack"
)

// docStore is what a builder keeps of its documents, by number in the order they came. A document is twenty-eight bytes without a pointer, which
// say where its text and its token log lie in pages; what columns hold of it is part of the text, in as few bytes as it needs:
//
//	length of the URL, URL, site, host, language, file type, positions of each part, flags (1 byte), times fetched and published,
//	record of the document store
//
// Numbers are uvarints. Strings are numbers of a table that the source of the document has: the builder that it was added to.
type docStore struct {
	pages   [][]builderDoc // docPage documents each; those beyond n are of an earlier use
	n, dead int
	texts   pageAlloc[byte]
	logs    pageAlloc[uint16]
	sources []docSource
}

// builderDoc is where a document lies.
type builderDoc struct {
	text, log place
	source    uint16
	dead      bool
}

// docSource says what the numbers of a document stand for.
type docSource struct {
	words  []uint32 // by number in a token log: the number in the table of words; nil: the same
	values []string // by number in a text
}

// docMeta is the part of a document that lies in columns and in the URL section.
type docMeta struct {
	url                []byte
	site, host         string
	language, fileType string
	fetched, published int64 // Unix seconds; noTime: none
	flags              uint8
	length             [NumParts]uint32 // positions each part takes
}

const (
	builderDocBytes = 28
	docPage         = 1 << 12 // documents of a page: it grows without being copied
)

func newDocStore() docStore { return docStore{sources: make([]docSource, 1)} }

// at returns a document; it is valid for as long as the store.
func (s *docStore) at(doc uint32) *builderDoc { return &s.pages[doc/docPage][doc%docPage] }

// add appends a document of this builder with a copy of its text and its log.
func (s *docStore) add(text []byte, log []uint16) {
	s.append(builderDoc{text: s.texts.clone(text), log: s.logs.clone(log)})
}

func (s *docStore) append(d builderDoc) {
	if s.n == len(s.pages)*docPage {
		s.pages = append(s.pages, make([]builderDoc, docPage))
	}
	*s.at(uint32(s.n)) = d
	s.n++
}

// kill marks a document as deleted and reports whether it was live. Its text and log stay where they are.
func (s *docStore) kill(doc uint32) bool {
	d := s.at(doc)
	if d.dead {
		return false
	}
	d.dead = true
	s.dead++
	return true
}

// bytes is the memory in use, without the strings of sources.
func (s *docStore) bytes() int64 {
	pages := (s.n + docPage - 1) / docPage
	return int64(pages)*docPage*builderDocBytes + s.texts.total + 2*s.logs.total
}

// kept is the memory of pages from before a reset that are not used again yet.
func (s *docStore) kept() int64 {
	pages := len(s.pages) - (s.n+docPage-1)/docPage
	return int64(pages)*docPage*builderDocBytes + int64(len(s.texts.free)+2*len(s.logs.free))*allocPage
}

// release lets go of the pages that kept counts.
func (s *docStore) release() {
	s.pages = slices.Clone(s.pages[:(s.n+docPage-1)/docPage])
	s.texts.free, s.logs.free = nil, nil
}

// reset empties the store but keeps its pages.
func (s *docStore) reset() {
	s.texts.reset()
	s.logs.reset()
	*s = docStore{pages: s.pages, texts: s.texts, logs: s.logs, sources: make([]docSource, 1)}
}

// absorb takes over the live documents of o, which must not be used afterwards. The words of their logs are those of the table.
func (s *docStore) absorb(o *docStore, words []uint32) {
	text, log := s.texts.absorb(&o.texts), s.logs.absorb(&o.logs)
	source := uint16(len(s.sources))
	s.sources = append(s.sources, docSource{words, o.sources[0].values})
	for i := range uint32(o.n) {
		if d := *o.at(i); !d.dead {
			d.text.page += text
			d.log.page += log
			d.source = source
			s.append(d)
		}
	}
}

// tokens returns the token log of a document and the table for its numbers.
func (s *docStore) tokens(doc uint32) (log []uint16, words []uint32) {
	d := s.at(doc)
	return s.logs.slice(d.log), s.sources[d.source].words
}

// url returns the URL of a document, which must not be changed.
func (s *docStore) url(doc uint32) []byte {
	text := s.texts.slice(s.at(doc).text)
	n, size := binary.Uvarint(text)
	return text[size : size+int(n)]
}

// urlAndSite returns the URL of a document, which must not be changed, and the number of its site.
func (s *docStore) urlAndSite(doc uint32) (url []byte, site uint32) {
	r := pack.NewReader(s.texts.slice(s.at(doc).text))
	url = r.Bytes(r.Uvarint())
	return url, r.Uint32()
}

// read fills in m and returns the record of a document. Neither the record nor the URL may be changed.
func (s *docStore) read(doc uint32, m *docMeta) (record []byte) {
	d := s.at(doc)
	values := s.sources[d.source].values
	r := pack.NewReader(s.texts.slice(d.text))
	m.url = r.Bytes(r.Uvarint())
	m.site, m.host = values[r.Uint32()], values[r.Uint32()]
	m.language, m.fileType = values[r.Uint32()], values[r.Uint32()]
	for p := range m.length {
		m.length[p] = r.Uint32()
	}
	m.flags = r.Byte()
	m.fetched, m.published = intOf(r.Uvarint()), intOf(r.Uvarint())
	return r.Bytes(uint64(r.Len()))
}

// appendText encodes the text of a document. values numbers strings.
func appendText(dst []byte, d *Document, length *[NumParts]uint32, values *interner) []byte {
	host := d.Host
	if host == "" {
		host = d.Site
	}
	dst = append(pack.AppendUvarint(dst, uint64(len(d.URL))), d.URL...)
	for _, v := range [...]string{d.Site, host, d.Language, d.FileType} {
		dst = pack.AppendUvarint(dst, uint64(values.number(v)))
	}
	for _, n := range length {
		dst = pack.AppendUvarint(dst, uint64(n))
	}
	dst = append(dst, d.flags())
	dst = pack.AppendUvarint(dst, ofInt(toSeconds(d.Fetched)))
	dst = pack.AppendUvarint(dst, ofInt(toSeconds(d.Published)))
	return appendRecord(dst, d)
}

// ofInt makes small numbers of times near 1970: the sign goes to the lowest bit. noTime, the least of all, becomes 0.
func ofInt(t int64) uint64 { return uint64(t<<1^t>>63) + 1 }

// intOf is the inverse of ofInt.
func intOf(v uint64) int64 {
	v--
	return int64(v>>1) ^ -int64(v&1)
}
