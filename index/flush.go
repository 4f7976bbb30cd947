package index

import "bytes"

// Memory that writing takes, besides the builder's.
const (
	// docsDocBytes is what the document sections take of each document: its place in the order, its norm, the hash of its URL in three
	// forms, its columns, and of them the lengths of parts a second time, as they are encoded.
	docsDocBytes = 4 + 8 + (8 + 8 + 4) + (2*8 + 4*4 + 1 + lengthBytes) + lengthBytes
	// termsDocBytes is what is left of it while posting lists are written.
	termsDocBytes = 4 + 8 + lengthBytes
	lengthBytes   = 4 * int64(NumParts)
	// termBytes is what writing takes for each word: its list, its number, and the key that it is sorted by.
	termBytes = 16 + 1 + 4 + 16
)

// memory is Bytes and what writing takes at least.
func (b *Builder) memory() int64 {
	return b.Bytes() + max(int64(b.Docs())*docsDocBytes, b.termsMemory()+b.listMemory())
}

// termsMemory is what posting lists take beside listMemory.
func (b *Builder) termsMemory() int64 {
	return int64(b.Docs())*termsDocBytes + int64(len(b.terms.words))*termBytes
}

// listMemory is what the lists of a batch may take: with less, writing would be many walks through the logs.
func (b *Builder) listMemory() int64 { return max(b.Bytes()/4, minInvertBytes) }

// Write writes the live documents as a segment at path, which must not exist. When it returns without error the segment
// is durable. The builder is unchanged and may be written again elsewhere or dropped. A builder without documents writes a valid empty segment.
func (b *Builder) Write(path string) (SegmentInfo, error) {
	scoring, err := b.cfg.scoring()
	if err != nil {
		return SegmentInfo{}, err
	}
	return writeSegment(path, scoring, b.writeTo)
}

func (b *Builder) writeTo(w *segmentWriter) error {
	order, err := b.writeDocs(w)
	if err != nil {
		return err
	}
	return b.writeTerms(w, order)
}

// Segment returns the live documents as a segment that lies in memory, for a handful that is searched once. The caller closes it.
func (b *Builder) Segment() (*Segment, error) {
	scoring, err := b.cfg.scoring()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := newSegmentWriter("", &out, scoring)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := b.writeTo(w); err != nil {
		return nil, err
	}
	if _, err := w.finish(); err != nil {
		return nil, err
	}
	return openData(out.Bytes(), out.Len(), func(int, int) {})
}

// gone marks documents that get no new number.
const gone = ^uint32(0)

// writeDocs writes the documents in order and returns that order.
func (b *Builder) writeDocs(w *segmentWriter) ([]uint32, error) {
	order := b.docs.sorted()
	w.reserve(len(order))
	var m docMeta
	for _, i := range order {
		record := b.docs.read(i, &m)
		if err := w.addDoc(&m, record); err != nil {
			return nil, err
		}
	}
	return order, w.endDocs(b.cfg.Lengths)
}

// writeTerms writes all posting lists.
func (b *Builder) writeTerms(w *segmentWriter, order []uint32) error {
	memory := max(b.listMemory(), b.spare-b.termsMemory())
	v := &inverter{docs: &b.docs, order: order, length: &w.cols.length, words: b.terms.sorted()}
	for f := range NumFields {
		if err := w.beginField(f); err != nil {
			return err
		}
		if err := v.field(f, memory, func(number uint32) error {
			w.beginTerm()
			for i, p := range v.postings {
				to := uint32(len(v.positions))
				if i+1 < len(v.postings) {
					to = v.postings[i+1].from
				}
				if err := w.addPosting(p.doc, v.positions[p.from:to]); err != nil {
					return err
				}
			}
			return w.endTerm(b.terms.word(number))
		}); err != nil {
			return err
		}
		if err := w.endField(); err != nil {
			return err
		}
	}
	return nil
}
