package index

import (
	"encoding/binary"

	"concord"
	"concord/pack"
)

// appendRecord encodes what the columns do not hold of a document.
func appendRecord(dst []byte, d *Document) []byte {
	str := func(s string) { dst = append(pack.AppendUvarint(dst, uint64(len(s))), s...) }
	strs := func(l []string) {
		dst = pack.AppendUvarint(dst, uint64(len(l)))
		for _, s := range l {
			str(s)
		}
	}
	str(d.Host)
	str(d.Title)
	str(d.Description)
	str(d.Capture)
	dst = pack.AppendUvarint(dst, uint64(d.MaxSnippet))
	strs(d.Headings)
	strs(d.Anchors)
	str(d.Body)
	return dst
}

// withoutText returns a copy of what remains of a document that is stored without its text.
func (d *Document) withoutText() *Document {
	c := *d
	c.Description, c.Headings, c.Anchors, c.Body = "", nil, nil, ""
	return &c
}

// parseRecord fills in the fields appendRecord wrote.
func parseRecord(d *Document, record []byte) error {
	r := pack.NewReader(record)
	strs := func() (l []string) {
		n := r.Uvarint()
		if n > uint64(r.Len()) { // each takes a byte at least
			n = uint64(r.Len()) + 1
		}
		for range n {
			if l = append(l, r.String()); !r.OK() {
				return nil
			}
		}
		return l
	}
	d.Host, d.Title, d.Description, d.Capture = r.String(), r.String(), r.String(), r.String()
	d.MaxSnippet = int(r.Uint32())
	d.Headings, d.Anchors = strs(), strs()
	d.Body = r.String()
	if !r.OK() || r.Len() != 0 {
		return concord.Errorf(concord.Corrupt, "section %q: malformed document", secStore)
	}
	return nil
}

// storeEntry is the size of an entry of the store index; maxStoreBlock bounds what a block unpacks to.
const (
	storeEntry    = 16
	maxStoreBlock = MaxDocumentBytes + 1<<20
)

// Document returns a document as it was added. Errors: Corrupt; Invalid for a number out of range.
func (s *Segment) Document(doc DocID) (*Document, error) {
	if int(doc) >= s.Docs() {
		return nil, concord.Errorf(concord.Invalid, "document %d of %d", doc, s.Docs())
	}
	rank, err := s.rank(doc)
	if err != nil {
		return nil, err
	}
	var c storeCursor
	record, err := c.record(s, uint32(rank))
	if err != nil {
		return nil, err
	}
	d := &Document{
		Site: s.Site(doc), Language: s.Language(doc), FileType: s.FileType(doc), Fetched: s.Fetched(doc), Published: s.Published(doc),
		NoArchive: s.NoArchive(doc), NoSnippet: s.NoSnippet(doc),
	}
	if d.URL, err = s.URL(doc); err != nil {
		return nil, err
	}
	return d, parseRecord(d, record)
}

// storeCursor reads records and keeps the last block unpacked, so that reading in order unpacks each block once.
type storeCursor struct {
	first, end uint32 // ranks of the documents of the block in raw
	raw        []byte
	next       uint32 // rank of the document that rest begins with
	rest       pack.Reader
}

// record returns the record of the document with a rank; it is valid until the next call.
func (c *storeCursor) record(s *Segment, rank uint32) ([]byte, error) {
	if c.raw == nil || rank < c.first || rank >= c.end {
		if err := c.load(s, rank); err != nil {
			return nil, err
		}
	}
	if rank < c.next {
		c.next, c.rest = c.first, pack.NewReader(c.raw)
	}
	var record []byte
	for ; c.next <= rank; c.next++ {
		record = c.rest.Bytes(c.rest.Uvarint())
	}
	if !c.rest.OK() {
		return nil, concord.Errorf(concord.Corrupt, "section %q: malformed block", secStore)
	}
	return record, nil
}

// load unpacks the block with the document of a rank.
func (c *storeCursor) load(s *Segment, rank uint32) error {
	index, store := s.sections[secStoreIndex].data, s.sections[secStore]
	n := len(index) / storeEntry
	first := func(i int) uint32 { return binary.LittleEndian.Uint32(index[i*storeEntry+8:]) }
	lo, hi := 0, n
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if first(mid) <= rank {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return concord.Errorf(concord.Corrupt, "section %q: no block holds the document of rank %d", secStoreIndex, rank)
	}
	i := lo - 1
	from, to := binary.LittleEndian.Uint64(index[i*storeEntry:]), uint64(len(store.data))
	c.end = uint32(s.Docs())
	if lo < n {
		to, c.end = binary.LittleEndian.Uint64(index[lo*storeEntry:]), first(lo)
	}
	size := binary.LittleEndian.Uint32(index[i*storeEntry+12:])
	if to < from || size > maxStoreBlock {
		return concord.Errorf(concord.Corrupt, "section %q: malformed entry %d", secStoreIndex, i)
	}
	packed, err := store.bytes(from, to-from)
	if err != nil {
		return err
	}
	raw, err := s.zstd.DecodeAll(packed, make([]byte, 0, size))
	if err != nil || len(raw) != int(size) {
		return concord.Errorf(concord.Corrupt, "section %q: block %d does not unpack to %d bytes: %w", secStore, i, size, err)
	}
	c.raw, c.first, c.next, c.rest = raw, first(i), first(i), pack.NewReader(raw)
	return nil
}
