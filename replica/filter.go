package replica

import (
	"bytes"
	"encoding/binary"

	"concord"
)

// filter says of a page that a batch does not have it, or may have it: a Bloom filter (Bloom, "Space/time trade-offs in hash coding with allowable
// errors", 1970) with filterBits bits for each entry, which is wrong once in some 300 times. So looking for a page reads each file once, and then hardly any.
type filter []byte

const (
	filterBits   = 12
	filterHashes = 8
)

// newFilter makes the filter of a batch's text, which need not have been checked: the page is the last field of each line.
func newFilter(text []byte) filter {
	f := make(filter, (max(1, bytes.Count(text, []byte{'\n'}))*filterBits+7)/8)
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		h := hashPage(line[bytes.LastIndexByte(line, ' ')+1:])
		for j := range uint64(filterHashes) {
			bit := h.bit(j, f)
			f[bit/8] |= 1 << (bit % 8)
		}
	}
	return f
}

// mayHave is true when the filter was never made.
func (f filter) mayHave(h pageHash) bool {
	if f == nil {
		return true
	}
	for j := range uint64(filterHashes) {
		if bit := h.bit(j, f); f[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
	}
	return true
}

// pageHash gives a page's bits by double hashing.
type pageHash [2]uint64

func hashPage(url []byte) pageHash {
	d := concord.Sum(url)
	return pageHash{binary.BigEndian.Uint64(d[:8]), binary.BigEndian.Uint64(d[8:16]) | 1}
}

func (h pageHash) bit(j uint64, f filter) uint64 { return (h[0] + j*h[1]) % uint64(8*len(f)) }
