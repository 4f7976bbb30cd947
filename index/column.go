package index

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"concord"
)

// column is one number a document, read in place: what is stored of each, in as few bytes as the largest needs, plus a base. Safe for
// concurrent use.
type column struct {
	data  []byte
	width int    // bytes a document: 0, 1, 2, 4 or 8
	base  uint64 // what is added to them
	none  bool   // 0 stands for no value
}

// columnHead is the size of a column's entry in the table at the front of the columns section: base (8), width (1), none (1), zero (6).
const columnHead = 16

// at returns the value of a document.
func (c *column) at(doc int) uint64 {
	switch c.width {
	case 0:
		return c.base
	case 1:
		return c.base + uint64(c.data[doc])
	case 2:
		return c.base + uint64(u16(c.data, doc))
	case 4:
		return c.base + uint64(u32(c.data, doc))
	}
	return c.base + binary.LittleEndian.Uint64(c.data[8*doc:])
}

// below reports whether the values of all n documents are below limit.
func (c *column) below(limit uint64, n int) bool {
	if c.base >= limit {
		return n == 0
	}
	limit -= c.base
	data, most := c.data, uint64(0)
	switch c.width { // eight bytes at a time: opening a segment does this for several columns of all documents
	case 1:
		for _, v := range data {
			most = max(most, uint64(v))
		}
	case 2:
		for ; len(data) >= 8; data = data[8:] {
			w := binary.LittleEndian.Uint64(data)
			most = max(most, w&0xFFFF, w>>16&0xFFFF, w>>32&0xFFFF, w>>48)
		}
		for ; len(data) > 0; data = data[2:] {
			most = max(most, uint64(u16(data, 0)))
		}
	case 4:
		for ; len(data) >= 8; data = data[8:] {
			w := binary.LittleEndian.Uint64(data)
			most = max(most, w&0xFFFFFFFF, w>>32)
		}
		for ; len(data) > 0; data = data[4:] {
			most = max(most, uint64(u32(data, 0)))
		}
	case 8:
		for ; len(data) > 0; data = data[8:] {
			most = max(most, binary.LittleEndian.Uint64(data))
		}
	}
	return most < limit
}

// time returns the Unix seconds in a column of times, noTime where there is none.
func (c *column) time(doc int) int64 {
	v := c.at(doc)
	if c.none && v == c.base {
		return noTime
	}
	return int64(v)
}

// parseColumn reads entry i of the table at the front of b, whose column begins at off, and returns where the next begins.
func parseColumn(b []byte, i, off, n int) (c column, next int, err error) {
	head := b[i*columnHead:]
	c.base, c.width, c.none = binary.LittleEndian.Uint64(head), int(head[8]), head[9] == 1
	if c.width > 8 || c.width&(c.width-1) != 0 || head[9] > 1 || [6]byte(head[10:columnHead]) != [6]byte{} {
		return c, 0, concord.Errorf(concord.Corrupt, "section %q: malformed head of column %d", secColumns, i)
	}
	if n*c.width > len(b)-off {
		return c, 0, concord.Errorf(concord.Corrupt, "section %q: column %d is missing", secColumns, i)
	}
	next = off + n*c.width
	c.data = b[off:next:next]
	return c, next, nil
}

// appendColumn appends the values of column i, and puts its entry into the table at the front of dst.
func appendColumn[T uint8 | uint32 | int64](dst []byte, i int, values []T) []byte {
	least, most, none := spread(values)
	base := uint64(least)
	if none {
		base--
	}
	width := 0
	if n := (bits.Len64(uint64(most)-base) + 7) / 8; len(values) > 0 && n > 0 {
		for width = 1; width < n; width *= 2 {
		}
	}
	head := dst[i*columnHead:]
	binary.LittleEndian.PutUint64(head, base)
	head[8] = byte(width)
	if none {
		head[9] = 1
	}
	dst = slices.Grow(dst, width*len(values))
	for _, v := range values {
		stored := uint64(v) - base
		if none && int64(v) == noTime {
			stored = 0
		}
		switch width {
		case 1:
			dst = append(dst, byte(stored))
		case 2:
			dst = binary.LittleEndian.AppendUint16(dst, uint16(stored))
		case 4:
			dst = binary.LittleEndian.AppendUint32(dst, uint32(stored))
		case 8:
			dst = binary.LittleEndian.AppendUint64(dst, stored)
		}
	}
	return dst
}

// spread returns the least and the largest value, times that are none left out, and whether there are such.
func spread[T uint8 | uint32 | int64](values []T) (least, most T, none bool) {
	first := true
	for _, v := range values {
		switch {
		case int64(v) == noTime:
			none = true
		case first:
			least, most, first = v, v, false
		default:
			least, most = min(least, v), max(most, v)
		}
	}
	if first && none { // base and largest value agree: no bytes
		return 1, 0, true
	}
	return least, most, none
}
