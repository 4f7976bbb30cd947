package index

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"concord"
	"concord/pack"
)

// columns reads the columns section in place.
type columns struct {
	n                                     int
	fetched, published                    []byte // 8 bytes a document
	site, host, bodyLength, language, typ []byte // 4 bytes
	short                                 [PartBody][]byte
	flags                                 []byte
	sites, hosts, languages, fileTypes    []valueRange
}

func parseColumns(n int, b, values []byte) (*columns, error) {
	bad := func(what string) (*columns, error) {
		return nil, concord.Errorf(concord.Corrupt, "section %q: %s", secColumns, what)
	}
	if len(b) != n*docColumns {
		return bad("size does not fit the number of documents")
	}
	c := &columns{n: n}
	take := func(width int) []byte { p := b[: n*width : n*width]; b = b[n*width:]; return p }
	c.fetched, c.published = take(8), take(8)
	c.site, c.host, c.bodyLength, c.language, c.typ = take(4), take(4), take(4), take(4), take(4)
	for p := range c.short {
		c.short[p] = take(2)
	}
	c.flags = take(1)
	r := pack.NewReader(values)
	for _, v := range []*[]valueRange{&c.sites, &c.hosts, &c.languages, &c.fileTypes} {
		count := r.Uvarint()
		if count > uint64(n) {
			return nil, concord.Errorf(concord.Corrupt, "section %q: more values than documents", secValues)
		}
		for i := range count {
			e := valueRange{value: r.String(), first: r.Uint32()}
			e.last = e.first + r.Uint32()
			if !r.OK() || e.last < e.first || int(e.last) >= n || i > 0 && e.value <= (*v)[i-1].value {
				return nil, concord.Errorf(concord.Corrupt, "section %q: value %d is malformed or out of order", secValues, i)
			}
			*v = append(*v, e)
		}
	}
	if !r.OK() || r.Len() != 0 {
		return nil, concord.Errorf(concord.Corrupt, "section %q: malformed", secValues)
	}
	for _, col := range []struct {
		codes  []byte
		values int
	}{{c.site, len(c.sites)}, {c.host, len(c.hosts)}, {c.language, len(c.languages)}, {c.typ, len(c.fileTypes)}} {
		for d := range n {
			if int(u32(col.codes, d)) >= col.values {
				return bad("value number out of range")
			}
		}
	}
	return c, nil
}

func u32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
func u16(b []byte, i int) uint32 { return uint32(binary.LittleEndian.Uint16(b[2*i:])) }
func i64(b []byte, i int) int64  { return int64(binary.LittleEndian.Uint64(b[8*i:])) }

// length returns the positions a part of a document takes.
func (c *columns) length(p Part, doc int) uint32 {
	if p == PartBody {
		return u32(c.bodyLength, doc)
	}
	return u16(c.short[p], doc)
}

// lookup returns the number of a value.
func lookup(values []valueRange, s string) (uint32, bool) {
	i, ok := slices.BinarySearchFunc(values, s, func(v valueRange, s string) int { return strings.Compare(v.value, s) })
	return uint32(i), ok
}

// Site, Host, Language, FileType, Fetched, Published, NoArchive and NoSnippet read one column of a document; doc must be below Docs.
func (s *Segment) Site(doc DocID) string { return s.cols.sites[u32(s.cols.site, int(doc))].value }

func (s *Segment) Host(doc DocID) string { return s.cols.hosts[u32(s.cols.host, int(doc))].value }

func (s *Segment) Language(doc DocID) string {
	return s.cols.languages[u32(s.cols.language, int(doc))].value
}

func (s *Segment) FileType(doc DocID) string {
	return s.cols.fileTypes[u32(s.cols.typ, int(doc))].value
}

func (s *Segment) Fetched(doc DocID) time.Time { return fromSeconds(i64(s.cols.fetched, int(doc))) }

func (s *Segment) Published(doc DocID) time.Time {
	return fromSeconds(i64(s.cols.published, int(doc)))
}

func (s *Segment) NoArchive(doc DocID) bool { return s.cols.flags[doc]&flagNoArchive != 0 }

func (s *Segment) NoSnippet(doc DocID) bool { return s.cols.flags[doc]&flagNoSnippet != 0 }

// SiteDocs returns the range of documents of a site: first to end-1, empty when there are none.
func (s *Segment) SiteDocs(site string) (first, end DocID) {
	if i, ok := lookup(s.cols.sites, site); ok {
		return DocID(s.cols.sites[i].first), DocID(s.cols.sites[i].last) + 1
	}
	return 0, 0
}
