package index

import (
	"slices"
	"strings"

	"concord/pack"
)

// columnWriter collects the fixed-width columns of the documents being written. Strings are numbered as they come and
// renumbered in sorted order at the end.
type columnWriter struct {
	fetched, published []int64
	site, host         []uint32
	language, fileType []uint32
	flags              []byte
	length             [NumParts][]uint32

	sites, hosts, languages, fileTypes valueWriter
}

// valueWriter numbers strings and remembers the range of documents that use each.
type valueWriter struct {
	codes map[string]uint32
	all   []valueRange
	last  uint32 // the code last given
}

// valueRange is a value of a column and the documents that have it: all of them lie in first..last.
type valueRange struct {
	value       string
	first, last uint32
}

func (v *valueWriter) code(s string, doc uint32) uint32 {
	if int(v.last) < len(v.all) && v.all[v.last].value == s { // as most are that of the document before
		v.all[v.last].last = doc
		return v.last
	}
	c, ok := v.codes[s]
	if !ok {
		if v.codes == nil {
			v.codes = map[string]uint32{}
		}
		c = uint32(len(v.all))
		s = strings.Clone(s)
		v.codes[s] = c
		v.all = append(v.all, valueRange{s, doc, doc})
	}
	v.all[c].last, v.last = doc, c
	return c
}

// sort puts the values in order and renumbers a column.
func (v *valueWriter) sort(column []uint32) {
	order := make([]uint32, len(v.all))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return strings.Compare(v.all[a].value, v.all[b].value) })
	sorted, code := make([]valueRange, len(order)), make([]uint32, len(order))
	for to, from := range order {
		sorted[to], code[from] = v.all[from], uint32(to)
	}
	v.all, v.codes = sorted, nil
	for i := range column {
		column[i] = code[column[i]]
	}
}

func (v *valueWriter) append(dst []byte) []byte {
	dst = pack.AppendUvarint(dst, uint64(len(v.all)))
	for _, r := range v.all {
		dst = pack.AppendUvarint(dst, uint64(len(r.value)))
		dst = append(dst, r.value...)
		dst = pack.AppendUvarint(dst, uint64(r.first))
		dst = pack.AppendUvarint(dst, uint64(r.last-r.first))
	}
	return dst
}

// reserve makes room for so many documents.
func (c *columnWriter) reserve(docs int) {
	c.fetched, c.published, c.flags = slices.Grow(c.fetched, docs), slices.Grow(c.published, docs), slices.Grow(c.flags, docs)
	c.site, c.host = slices.Grow(c.site, docs), slices.Grow(c.host, docs)
	c.language, c.fileType = slices.Grow(c.language, docs), slices.Grow(c.fileType, docs)
	for p := range c.length {
		c.length[p] = slices.Grow(c.length[p], docs)
	}
}

func (c *columnWriter) add(m *docMeta) {
	doc := uint32(len(c.flags))
	c.fetched = append(c.fetched, m.fetched)
	c.published = append(c.published, m.published)
	c.site = append(c.site, c.sites.code(m.site, doc))
	c.host = append(c.host, c.hosts.code(m.host, doc))
	c.language = append(c.language, c.languages.code(m.language, doc))
	c.fileType = append(c.fileType, c.fileTypes.code(m.fileType, doc))
	c.flags = append(c.flags, m.flags)
	for p := range c.length {
		c.length[p] = append(c.length[p], m.length[p])
	}
}

func (c *columnWriter) lengths() Lengths {
	l := Lengths{Docs: uint64(len(c.flags))}
	for p := range c.length {
		for _, n := range c.length[p] {
			l.Words[p] += uint64(n)
		}
	}
	return l
}

// encode returns the columns and values sections. It lets go of every column but the lengths once it is encoded.
func (c *columnWriter) encode() (columns, values []byte) {
	c.sites.sort(c.site)
	c.hosts.sort(c.host)
	c.languages.sort(c.language)
	c.fileTypes.sort(c.fileType)
	b := make([]byte, numColumns*columnHead)
	b = appendLast(b, colFetched, &c.fetched)
	b = appendLast(b, colPublished, &c.published)
	b = appendLast(b, colSite, &c.site)
	b = appendLast(b, colHost, &c.host)
	b = appendLast(b, colLanguage, &c.language)
	b = appendLast(b, colFileType, &c.fileType)
	for p := range NumParts {
		b = appendColumn(b, colLength+int(p), c.length[p])
	}
	b = appendLast(b, colFlags, &c.flags)
	for _, v := range []*valueWriter{&c.sites, &c.hosts, &c.languages, &c.fileTypes} {
		values = v.append(values)
	}
	return b, values
}

// appendLast is appendColumn of values that nobody needs afterwards.
func appendLast[T uint8 | uint32 | int64](dst []byte, i int, values *[]T) []byte {
	dst = appendColumn(dst, i, *values)
	*values = nil
	return dst
}

// Columns in the order of the section.
const (
	colFetched = iota
	colPublished
	colSite
	colHost
	colLanguage
	colFileType
	colLength // of each part
	colFlags  = colLength + int(NumParts)

	numColumns = colFlags + 1
)

// permute moves document i of every column to place[i]. The ranges of values become those of the new places.
func (c *columnWriter) permute(place []uint32) {
	c.fetched, c.published = permuted(c.fetched, place), permuted(c.published, place)
	c.flags = permuted(c.flags, place)
	for p := range c.length {
		c.length[p] = permuted(c.length[p], place)
	}
	for _, v := range []struct {
		codes  *[]uint32
		values *valueWriter
	}{{&c.site, &c.sites}, {&c.host, &c.hosts}, {&c.language, &c.languages}, {&c.fileType, &c.fileTypes}} {
		*v.codes = permuted(*v.codes, place)
		for i := range v.values.all {
			v.values.all[i].first, v.values.all[i].last = gone, 0
		}
		for doc, code := range *v.codes {
			r := &v.values.all[code]
			r.first, r.last = min(r.first, uint32(doc)), uint32(doc)
		}
	}
}

func permuted[T any](values []T, place []uint32) []T {
	to := make([]T, len(values))
	for i, v := range values {
		to[place[i]] = v
	}
	return to
}
