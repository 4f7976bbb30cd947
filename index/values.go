package index

import (
	"encoding/binary"
	"time"

	"concord"
	"concord/pack"
)

// columns reads the columns section in place.
type columns struct {
	n                                  int
	all                                [numColumns]column
	sites, hosts, languages, fileTypes []valueRange
}

func parseColumns(n int, b, values []byte) (*columns, error) {
	if len(b) < numColumns*columnHead {
		return nil, concord.Errorf(concord.Corrupt, "section %q: no table", secColumns)
	}
	c := &columns{n: n}
	off := numColumns * columnHead
	for i := range c.all {
		var err error
		if c.all[i], off, err = parseColumn(b, i, off, n); err != nil {
			return nil, err
		}
	}
	if off != len(b) {
		return nil, concord.Errorf(concord.Corrupt, "section %q: size does not fit the number of documents", secColumns)
	}
	if err := c.parseValues(values); err != nil {
		return nil, err
	}
	for i, values := range map[int][]valueRange{colSite: c.sites, colHost: c.hosts, colLanguage: c.languages, colFileType: c.fileTypes} {
		if !c.all[i].below(uint64(len(values)), n) {
			return nil, concord.Errorf(concord.Corrupt, "section %q: value number out of range", secColumns)
		}
	}
	return c, nil
}

// parseValues reads the values section. The strings are parts of one copy of it.
func (c *columns) parseValues(values []byte) error {
	all := string(values)
	r := pack.NewReader(values)
	for _, v := range []*[]valueRange{&c.sites, &c.hosts, &c.languages, &c.fileTypes} {
		count := r.Uvarint()
		if count > uint64(c.n) || count > uint64(r.Len()) {
			return concord.Errorf(concord.Corrupt, "section %q: more values than documents", secValues)
		}
		*v = make([]valueRange, 0, count)
		for i := range count {
			size := len(r.Bytes(r.Uvarint()))
			end := len(all) - r.Len()
			e := valueRange{value: all[end-size : end], first: r.Uint32()}
			e.last = e.first + r.Uint32()
			if !r.OK() || e.last < e.first || int(e.last) >= c.n || i > 0 && e.value <= (*v)[i-1].value {
				return concord.Errorf(concord.Corrupt, "section %q: value %d is malformed or out of order", secValues, i)
			}
			*v = append(*v, e)
		}
	}
	if !r.OK() || r.Len() != 0 {
		return concord.Errorf(concord.Corrupt, "section %q: malformed", secValues)
	}
	return nil
}

func u32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
func u16(b []byte, i int) uint32 { return uint32(binary.LittleEndian.Uint16(b[2*i:])) }

// length returns the positions a part of a document takes.
func (c *columns) length(p Part, doc int) uint32 { return uint32(c.all[colLength+int(p)].at(doc)) }

// fetched, published and flags read one column of a document.
func (c *columns) fetched(doc int) int64   { return c.all[colFetched].time(doc) }
func (c *columns) published(doc int) int64 { return c.all[colPublished].time(doc) }
func (c *columns) flags(doc int) byte      { return byte(c.all[colFlags].at(doc)) }

// countLanguages returns the number of documents of each language.
func (c *columns) countLanguages() map[string]uint64 {
	counts := make([]uint64, len(c.languages))
	switch codes := &c.all[colLanguage]; codes.width {
	case 0:
		if c.n > 0 {
			counts[codes.base] = uint64(c.n)
		}
	case 1:
		var some [256]uint64
		for _, code := range codes.data {
			some[code]++
		}
		for code, n := range some {
			if n > 0 {
				counts[codes.base+uint64(code)] = n
			}
		}
	default:
		for d := range c.n {
			counts[codes.at(d)]++
		}
	}
	langs := map[string]uint64{}
	for i, n := range counts {
		if n > 0 {
			langs[c.languages[i].value] = n
		}
	}
	return langs
}

// Site, Host, Language, FileType, Fetched, Published, NoArchive and NoSnippet read one column of a document; doc must be below Docs.
func (s *Segment) Site(doc DocID) string { return s.cols.sites[s.cols.all[colSite].at(int(doc))].value }

func (s *Segment) Host(doc DocID) string { return s.cols.hosts[s.cols.all[colHost].at(int(doc))].value }

func (s *Segment) Language(doc DocID) string {
	return s.cols.languages[s.cols.all[colLanguage].at(int(doc))].value
}

func (s *Segment) FileType(doc DocID) string {
	return s.cols.fileTypes[s.cols.all[colFileType].at(int(doc))].value
}

func (s *Segment) Fetched(doc DocID) time.Time { return fromSeconds(s.cols.fetched(int(doc))) }

func (s *Segment) Published(doc DocID) time.Time { return fromSeconds(s.cols.published(int(doc))) }

func (s *Segment) NoArchive(doc DocID) bool { return s.cols.flags(int(doc))&flagNoArchive != 0 }

func (s *Segment) NoSnippet(doc DocID) bool { return s.cols.flags(int(doc))&flagNoSnippet != 0 }
