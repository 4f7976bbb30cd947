package index

import (
	"cmp"
	"slices"
	"strings"

	"concord/pack"
)

// Write writes the live documents as a segment at path, which must not exist. When it returns without error the segment
// is durable. The builder is unchanged and may be written again elsewhere or dropped. A builder without documents writes a valid empty segment.
func (b *Builder) Write(path string) (SegmentInfo, error) {
	scoring, err := b.cfg.scoring()
	if err != nil {
		return SegmentInfo{}, err
	}
	return writeSegment(path, scoring, func(w *segmentWriter) error {
		newID, err := b.writeDocs(w)
		if err != nil {
			return err
		}
		return b.writeTerms(w, newID)
	})
}

// gone marks documents that get no new number.
const gone = ^uint32(0)

// writeDocs writes the documents in order and returns their new numbers.
func (b *Builder) writeDocs(w *segmentWriter) ([]uint32, error) {
	order := make([]uint32, 0, b.Docs())
	newID := make([]uint32, len(b.docs))
	for i := range b.docs {
		newID[i] = gone
		if !b.docs[i].dead {
			order = append(order, uint32(i))
		}
	}
	slices.SortFunc(order, func(i, j uint32) int {
		x, y := &b.docs[i], &b.docs[j]
		return cmp.Or(strings.Compare(x.site, y.site), strings.Compare(x.url, y.url))
	})
	for n, i := range order {
		newID[i] = uint32(n)
		if err := w.addDoc(&b.docs[i].docMeta, b.docs[i].record); err != nil {
			return nil, err
		}
	}
	return newID, w.endDocs(b.cfg.Lengths)
}

// posting locates one posting while a list is put in its new order.
type posting struct {
	doc      uint32
	from, to uint32 // its positions in the list's buffer
}

// writeTerms writes all posting lists, renumbered.
func (b *Builder) writeTerms(w *segmentWriter, newID []uint32) error {
	order := b.terms.sorted()
	var stream []byte
	var list []posting
	var positions []uint32
	for f := range NumFields {
		if err := w.beginField(f); err != nil {
			return err
		}
		for len(order) > 0 && b.terms.key(&b.terms.terms[order[0]])[0] == byte(f) {
			e := &b.terms.terms[order[0]]
			order = order[1:]
			stream = b.terms.stream(stream[:0], e)
			list, positions = decodeStream(list[:0], positions[:0], stream, e.docs, newID)
			w.beginTerm()
			for _, p := range list {
				if err := w.addPosting(p.doc, positions[p.from:p.to]); err != nil {
					return err
				}
			}
			if err := w.endTerm(b.terms.key(e)[1:]); err != nil {
				return err
			}
		}
		if err := w.endField(); err != nil {
			return err
		}
	}
	return nil
}

// decodeStream reads a term's stream into postings in order of new document numbers.
func decodeStream(list []posting, positions []uint32, stream []byte, docs uint32, newID []uint32) ([]posting, []uint32) {
	r := pack.NewReader(stream)
	var doc uint32
	sorted := true
	for range docs {
		doc += r.Uint32()
		from := uint32(len(positions))
		var pos uint32
		for r.Len() > 0 {
			gap := r.Uint32()
			if gap == 0 {
				break
			}
			pos += gap - 1
			positions = append(positions, pos)
		}
		id := newID[doc]
		if id == gone {
			positions = positions[:from]
			continue
		}
		if n := len(list); n > 0 && list[n-1].doc > id {
			sorted = false
		}
		list = append(list, posting{id, from, uint32(len(positions))})
	}
	if !sorted {
		slices.SortFunc(list, func(a, b posting) int { return cmp.Compare(a.doc, b.doc) })
	}
	return list, positions
}
