package weburl

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"time"

	"concord"
)

// SitemapKind is the form a list of URLs has.
type SitemapKind string

const (
	SitemapUnknown SitemapKind = ""             // neither of the following
	SitemapURLs    SitemapKind = "urlset"       // sitemaps.org, pages
	SitemapIndex   SitemapKind = "sitemapindex" // sitemaps.org, further sitemaps
	SitemapText    SitemapKind = "text"         // one URL a line
	SitemapRSS     SitemapKind = "rss"          // RSS 0.9x, 1.0 and 2.0
	SitemapAtom    SitemapKind = "atom"         // RFC 4287
)

// SitemapEntry is one line of a sitemap.
type SitemapEntry struct {
	Loc     string    // the URL as written, white space trimmed; the caller parses or resolves it
	LastMod time.Time // when it was last changed, a hint of the site's own making, in UTC; zero: not said
	IsIndex bool      // Loc is another sitemap, not a page
}

// SitemapLimits bounds one sitemap. The zero value means the protocol's own bounds.
type SitemapLimits struct {
	MaxBytes   int64 // uncompressed; default MaxSitemapBytes
	MaxEntries int   // default MaxSitemapEntries
}

// The bounds sitemaps.org sets for one file.
const (
	MaxSitemapBytes   = 50 << 20
	MaxSitemapEntries = 50_000
)

// errTooLong ends reading at SitemapLimits.MaxBytes.
var errTooLong = concord.Errorf(concord.Invalid, "sitemap is longer than its limit")

// ReadSitemap reads a sitemap, sitemap index, RSS or Atom feed, or text file of URLs, gzipped or not, and calls emit for
// each entry as it is met: memory does not grow with the file. It returns the kind and, when reading did not come to a
// good end, an error: of kind Invalid for malformed input or an exceeded limit, else what emit or r returned. Entries
// before the error have been emitted; a caller does well to keep them.
//
// XML is read leniently (any namespace prefix, stray ampersands, CDATA), but document type declarations are refused and
// only the five predefined and numeric entities are known, so nothing can expand.
func ReadSitemap(r io.Reader, limits SitemapLimits, emit func(SitemapEntry) error) (SitemapKind, error) {
	if limits.MaxBytes <= 0 {
		limits.MaxBytes = MaxSitemapBytes
	}
	if limits.MaxEntries <= 0 {
		limits.MaxEntries = MaxSitemapEntries
	}
	in := bufio.NewReaderSize(&boundedReader{r, limits.MaxBytes}, 32<<10)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return SitemapUnknown, concord.Errorf(concord.Invalid, "read sitemap: %w", err)
		}
		in = bufio.NewReaderSize(&boundedReader{z, limits.MaxBytes}, 32<<10)
	}
	s := sitemapReader{emit: emit, left: limits.MaxEntries}
	err := s.read(in)
	if err == nil || concord.KindOf(err) == concord.Invalid || s.callerErr != nil {
		return s.kind, err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || isFlateError(err) {
		return s.kind, concord.Errorf(concord.Invalid, "read sitemap: %w", err)
	}
	return s.kind, err
}

// boundedReader fails with errTooLong after n bytes, where io.LimitedReader would look like a good end.
type boundedReader struct {
	r io.Reader
	n int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.n <= 0 {
		var one [1]byte
		if n, err := b.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.n)])
	b.n -= int64(n)
	return n, err
}

// sitemapReader turns events of the XML scanner, or lines, into entries.
type sitemapReader struct {
	emit      func(SitemapEntry) error
	callerErr error // what emit returned
	left      int
	kind      SitemapKind
	entry     SitemapEntry
	inEntry   bool
	depth     int // of the element entered last; the root is 1
	entryAt   int // depth of the entry element
}

func (s *sitemapReader) read(in *bufio.Reader) error {
	if bom, _ := in.Peek(3); bytes.Equal(bom, []byte("\xEF\xBB\xBF")) {
		in.Discard(3)
	}
	for {
		c, err := in.ReadByte()
		switch {
		case err == io.EOF:
			return concord.Errorf(concord.Invalid, "read sitemap: it is empty")
		case err != nil:
			return err
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			continue
		}
		in.UnreadByte()
		if c == '<' {
			return s.readXML(in)
		}
		return s.readText(in)
	}
}

func (s *sitemapReader) add(e SitemapEntry) error {
	if e.Loc == "" {
		return nil
	}
	if s.left == 0 {
		return concord.Errorf(concord.Invalid, "read sitemap: it has more entries than its limit")
	}
	s.left--
	s.callerErr = s.emit(e)
	return s.callerErr
}

// readText reads one URL a line; other lines are passed over, but a file without any URL is not a sitemap.
func (s *sitemapReader) readText(in *bufio.Reader) error {
	found := false
	for {
		line, err := in.ReadSlice('\n')
		long := err == bufio.ErrBufferFull
		for err == bufio.ErrBufferFull { // no URL: skip to the end of the line
			_, err = in.ReadSlice('\n')
		}
		text := strings.TrimSpace(string(line[:min(len(line), maxFieldBytes)]))
		if scheme, _, ok := strings.Cut(text, "://"); !long && ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) {
			s.kind, found = SitemapText, true
			if err := s.add(SitemapEntry{Loc: text}); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF && !found:
			return concord.Errorf(concord.Invalid, "read sitemap: neither XML nor a list of URLs")
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

func (s *sitemapReader) readXML(in *bufio.Reader) error {
	x := xmlScanner{in: in}
	for {
		ev, err := x.next()
		if err != nil {
			return err
		}
		switch ev {
		case xmlStart:
			s.depth++
			if err := s.start(&x); err != nil {
				return err
			}
			if !x.selfClosed {
				continue
			}
			fallthrough
		case xmlEnd:
			if err := s.end(&x); err != nil {
				return err
			}
			if s.depth--; s.depth == 0 {
				return nil
			}
		case xmlEOF:
			return concord.Errorf(concord.Invalid, "read sitemap: it ends inside <%s>", x.name)
		}
	}
}

// start handles an element's start tag: the root says the kind, and inside an entry a few elements are of interest.
func (s *sitemapReader) start(x *xmlScanner) error {
	switch {
	case s.depth == 1:
		kinds := map[string]SitemapKind{"urlset": SitemapURLs, "sitemapindex": SitemapIndex, "rss": SitemapRSS, "RDF": SitemapRSS, "feed": SitemapAtom}
		if s.kind = kinds[x.name]; s.kind == SitemapUnknown {
			return concord.Errorf(concord.Invalid, "read sitemap: <%s> is no sitemap", concord.Clip(x.name, 40))
		}
	case !s.inEntry:
		if s.isEntry(x.name) {
			s.entry, s.inEntry, s.entryAt = SitemapEntry{IsIndex: s.kind == SitemapIndex}, true, s.depth
		}
	case s.depth == s.entryAt+1:
		x.capture = s.field(x.name, x.prefix) != fieldNone
		if s.kind == SitemapAtom && x.name == "link" && s.entry.Loc == "" && (x.rel == "" || x.rel == "alternate") {
			s.entry.Loc = strings.TrimSpace(x.href)
		}
	}
	return nil
}

func (s *sitemapReader) isEntry(name string) bool {
	switch s.kind {
	case SitemapURLs:
		return name == "url" && s.depth == 2
	case SitemapIndex:
		return name == "sitemap" && s.depth == 2
	case SitemapRSS:
		return name == "item"
	}
	return name == "entry" && s.depth == 2
}

type entryField uint8

const (
	fieldNone entryField = iota
	fieldLoc
	fieldTime
)

// field says what the text of a child element of an entry is.
func (s *sitemapReader) field(name, prefix string) entryField {
	switch s.kind {
	case SitemapURLs, SitemapIndex:
		switch name {
		case "loc":
			return fieldLoc
		case "lastmod":
			return fieldTime
		}
	case SitemapRSS:
		switch {
		case name == "link" && prefix != "atom":
			return fieldLoc
		case name == "pubDate" || name == "date":
			return fieldTime
		}
	case SitemapAtom:
		if name == "updated" {
			return fieldTime
		}
	}
	return fieldNone
}

// end handles an element's end: its text is complete, or its entry is.
func (s *sitemapReader) end(x *xmlScanner) error {
	switch {
	case !s.inEntry:
	case s.depth == s.entryAt:
		s.inEntry = false
		return s.add(s.entry)
	case s.depth == s.entryAt+1 && x.capture:
		text := x.takeText()
		switch s.field(x.name, x.prefix) {
		case fieldLoc:
			if s.entry.Loc == "" {
				s.entry.Loc = text
			}
		case fieldTime:
			if s.entry.LastMod.IsZero() {
				s.entry.LastMod = parseTime(text)
			}
		}
	}
	return nil
}
