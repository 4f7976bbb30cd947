package index

import (
	"math/bits"
	"sort"

	"concord/pack"
)

// FacetColumn chooses a column whose values can be counted.
type FacetColumn uint8

const (
	FacetHost FacetColumn = iota
	FacetSite
	FacetLanguage
	FacetFileType
)

// Facet is a column of a segment seen as numbers of its values: 0 to Len-1, in ascending order of the values. It holds no memory of its own, is valid
// as long as the segment is open, and safe for concurrent use.
type Facet struct {
	codes  *column
	values []valueRange
}

// Facet returns a column of the segment.
func (s *Segment) Facet(c FacetColumn) Facet {
	switch c {
	case FacetSite:
		return Facet{&s.cols.all[colSite], s.cols.sites}
	case FacetLanguage:
		return Facet{&s.cols.all[colLanguage], s.cols.languages}
	case FacetFileType:
		return Facet{&s.cols.all[colFileType], s.cols.fileTypes}
	}
	return Facet{&s.cols.all[colHost], s.cols.hosts}
}

// Len returns the number of values.
func (f Facet) Len() int { return len(f.values) }

// Value returns a value by its number.
func (f Facet) Value(code uint32) string { return f.values[code].value }

// Code returns the number of a document's value; doc must be below Docs.
func (f Facet) Code(doc DocID) uint32 { return uint32(f.codes.at(int(doc))) }

// Count adds to counts, of Len elements, the values of the documents in a bitmap whose first bit stands for base. Bits must be those of documents of
// the segment.
func (f Facet) Count(counts []uint32, b *pack.Bitmap, base DocID) {
	c := f.codes
	if c.width == 0 {
		if n := b.Count(); n > 0 {
			counts[c.base] += uint32(n)
		}
		return
	}
	for i, w := range b {
		at := int(base) + i*64
		switch c.width {
		case 1:
			for ; w != 0; w &= w - 1 {
				counts[c.base+uint64(c.data[at+bits.TrailingZeros64(w)])]++
			}
		case 2:
			for ; w != 0; w &= w - 1 {
				counts[c.base+uint64(u16(c.data, at+bits.TrailingZeros64(w)))]++
			}
		default:
			for ; w != 0; w &= w - 1 {
				counts[c.at(at+bits.TrailingZeros64(w))]++
			}
		}
	}
}

// DateColumn chooses a date of documents.
type DateColumn uint8

const (
	DateFetched DateColumn = iota
	DatePublished
	DateKnown // published, or fetched where that is not known
)

// Date returns a date of a document in Unix seconds, and whether it has one.
func (s *Segment) Date(c DateColumn, doc DocID) (seconds int64, ok bool) {
	t := int64(noTime)
	if c != DateFetched {
		t = s.cols.published(int(doc))
	}
	if c == DateFetched || c == DateKnown && t == noTime {
		t = s.cols.fetched(int(doc))
	}
	return t, t != noTime
}

// CountDates adds to counts[i] the documents of a bitmap, as in Facet.Count, whose date is at bounds[i] or later and before bounds[i+1].
// bounds, in Unix seconds, ascend, and are one more than counts.
func (s *Segment) CountDates(counts []uint32, c DateColumn, bounds []int64, b *pack.Bitmap, base DocID) {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			t, ok := s.Date(c, base+DocID(i*64+bits.TrailingZeros64(w)))
			if at := sort.Search(len(bounds), func(i int) bool { return bounds[i] > t }); ok && at > 0 && at < len(bounds) {
				counts[at-1]++
			}
		}
	}
}
