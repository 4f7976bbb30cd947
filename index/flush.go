package index

import (
	"cmp"
	"slices"
	"strings"
)

// Write writes the live documents as a segment at path, which must not exist. When it returns without error the segment
// is durable. The builder is unchanged and may be written again elsewhere or dropped. A builder without documents writes a valid empty segment.
func (b *Builder) Write(path string) (SegmentInfo, error) {
	scoring, err := b.cfg.scoring()
	if err != nil {
		return SegmentInfo{}, err
	}
	return writeSegment(path, scoring, func(w *segmentWriter) error {
		order, err := b.writeDocs(w)
		if err != nil {
			return err
		}
		return b.writeTerms(w, order)
	})
}

// gone marks documents that get no new number.
const gone = ^uint32(0)

// writeDocs writes the documents in order and returns that order.
func (b *Builder) writeDocs(w *segmentWriter) ([]uint32, error) {
	order := make([]uint32, 0, b.Docs())
	for i := range b.docs {
		if !b.docs[i].dead {
			order = append(order, uint32(i))
		}
	}
	slices.SortFunc(order, func(i, j uint32) int {
		x, y := &b.docs[i], &b.docs[j]
		return cmp.Or(strings.Compare(x.site, y.site), strings.Compare(x.url, y.url))
	})
	for _, i := range order {
		if err := w.addDoc(&b.docs[i].docMeta, b.docs[i].record); err != nil {
			return nil, err
		}
	}
	return order, w.endDocs(b.cfg.Lengths)
}

// writeTerms writes all posting lists.
func (b *Builder) writeTerms(w *segmentWriter, order []uint32) error {
	memory := max(writeMemory(b.Bytes()), b.spare)
	v := &inverter{docs: b.docs, renumber: b.renumber, order: order, words: b.terms.sorted()}
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
