package index

import (
	"encoding/binary"

	"github.com/RoaringBitmap/roaring/v2"

	"concord"
)

// Deletes is a set of documents of one segment that count as gone. The owner of the segment keeps it beside the file.
// It is safe for concurrent reading; a nil *Deletes is an empty set that cannot be added to.
type Deletes struct {
	docs uint32
	bits *roaring.Bitmap
}

// NewDeletes returns an empty set for a segment of the given number of documents.
func NewDeletes(docs int) *Deletes { return &Deletes{docs: uint32(docs), bits: roaring.New()} }

// Docs returns the number of documents of the segment the set is for.
func (d *Deletes) Docs() uint32 {
	if d == nil {
		return 0
	}
	return d.docs
}

// Add marks a document as deleted and reports whether it was not before. Numbers out of range are ignored.
func (d *Deletes) Add(doc DocID) bool { return uint32(doc) < d.docs && d.bits.CheckedAdd(uint32(doc)) }

// Has reports whether a document is deleted.
func (d *Deletes) Has(doc DocID) bool { return d != nil && d.bits.Contains(uint32(doc)) }

// Count returns the number of deleted documents.
func (d *Deletes) Count() int {
	if d == nil {
		return 0
	}
	return int(d.bits.GetCardinality())
}

// Clone returns a copy that may be changed.
func (d *Deletes) Clone() *Deletes { return &Deletes{docs: d.docs, bits: d.bits.Clone()} }

const deletesMagic = "concdel1"

// Encode returns the set as bytes: magic, number of documents (uint32), CRC-32C of the rest (uint32), a roaring bitmap in
// the portable format.
func (d *Deletes) Encode() ([]byte, error) {
	d.bits.RunOptimize()
	set, err := d.bits.ToBytes()
	if err != nil {
		return nil, concord.Errorf(concord.Internal, "encode deletes: %w", err)
	}
	b := append(make([]byte, 0, len(set)+16), deletesMagic...)
	b = binary.LittleEndian.AppendUint32(b, d.docs)
	b = binary.LittleEndian.AppendUint32(b, deletesSum(d.docs, set))
	return append(b, set...), nil
}

func deletesSum(docs uint32, set []byte) uint32 {
	return crc(binary.LittleEndian.AppendUint32(append(make([]byte, 0, len(set)+4), set...), docs))
}

// DecodeDeletes reads what Encode wrote. Errors: Corrupt.
func DecodeDeletes(b []byte) (*Deletes, error) {
	bad := func(what string) (*Deletes, error) {
		return nil, concord.Errorf(concord.Corrupt, "deletes: %s", what)
	}
	if len(b) < 16 || string(b[:8]) != deletesMagic {
		return bad("not a set of deletes")
	}
	d := &Deletes{docs: binary.LittleEndian.Uint32(b[8:]), bits: roaring.New()}
	set := b[16:]
	if deletesSum(d.docs, set) != binary.LittleEndian.Uint32(b[12:]) {
		return bad("checksum mismatch")
	}
	if err := d.bits.UnmarshalBinary(set); err != nil {
		return bad("malformed bitmap")
	}
	if err := d.bits.Validate(); err != nil && !d.bits.IsEmpty() {
		return bad("malformed bitmap")
	}
	if !d.bits.IsEmpty() && d.bits.Maximum() >= d.docs {
		return bad("document out of range")
	}
	return d, nil
}
