package index

import (
	"math/bits"
	"runtime"
)

// maxForward bounds the postings that documents are compared by: 4 bytes each, 256 MB.
const maxForward = 64 << 20

// Words that say nothing about what a document is near to: those of very few documents make no list shorter, those of most are everywhere.
const (
	minReorderDocs  = 16
	maxReorderShare = 4 // of a quarter of the documents
)

// reorder numbers the documents of the merge anew, so that those with the same words are near each other.
func (m *merger) reorder() error {
	f, err := m.forward()
	if err != nil {
		return err
	}
	order := bisect(f, runtime.GOMAXPROCS(0), func() bool { return m.ctx.Err() != nil })
	if err := m.ctx.Err(); err != nil {
		return err
	}
	place := make([]uint32, m.docs)
	for to, rank := range order {
		place[rank] = uint32(to)
	}
	for _, in := range m.inputs {
		for d, rank := range in.newID {
			if rank != gone {
				in.newID[d] = place[rank]
			}
		}
	}
	m.w.reorder(place)
	return nil
}

// forward returns the words of each document, by rank. When there are too many postings, those of the rarest words are left out.
func (m *merger) forward() (*forwardIndex, error) {
	most := uint64(max(m.docs/maxReorderShare, minReorderDocs))
	var sizes [33]uint64 // postings of words by the bits of their number of documents
	if err := m.eachWord(func(docs uint64, _ []*mergeInput) error {
		if docs <= most {
			sizes[bits.Len64(docs)] += docs
		}
		return nil
	}); err != nil {
		return nil, err
	}
	least, sum := uint64(minReorderDocs), uint64(0)
	for b := len(sizes) - 1; b > 0; b-- {
		if sum += sizes[b]; sum > maxForward {
			least = max(least, 1<<b)
			break
		}
	}
	f := &forwardIndex{starts: make([]uint32, m.docs+1)}
	wanted := func(docs uint64) bool { return docs >= least && docs <= most }
	// Count the words of each document, then enter them.
	if err := m.eachWord(func(docs uint64, lists []*mergeInput) error {
		if !wanted(docs) {
			return nil
		}
		f.termCount++
		return m.eachRank(lists, func(rank uint32) { f.starts[rank+1]++ })
	}); err != nil {
		return nil, err
	}
	for i := range m.docs {
		f.starts[i+1] += f.starts[i]
	}
	f.terms = make([]uint32, f.starts[m.docs])
	next := append([]uint32(nil), f.starts[:m.docs]...)
	term := uint32(0)
	err := m.eachWord(func(docs uint64, lists []*mergeInput) error {
		if !wanted(docs) {
			return nil
		}
		err := m.eachRank(lists, func(rank uint32) {
			f.terms[next[rank]] = term
			next[rank]++
		})
		term++
		return err
	})
	return f, err
}

// eachWord calls do for each word of FieldAll with the number of its documents and the inputs that have it.
func (m *merger) eachWord(do func(docs uint64, lists []*mergeInput) error) error {
	return m.words(FieldAll, func(_ []byte, lists []*mergeInput) error {
		var docs uint64
		for _, in := range lists {
			docs += uint64(in.term.DocCount)
		}
		return do(docs, lists)
	})
}

// eachRank calls do with the new rank of each live document of the lists.
func (m *merger) eachRank(lists []*mergeInput, do func(rank uint32)) error {
	for _, in := range lists {
		if err := m.ctx.Err(); err != nil {
			return err
		}
		p := &in.postings
		if err := p.Reset(in.seg, in.term); err != nil {
			return err
		}
		for ok := true; ok && p.Err() == nil; ok = p.NextBlock() {
			docs, _ := p.Block()
			for _, d := range docs {
				if rank := in.newID[d]; rank != gone {
					do(rank)
				}
			}
		}
		if err := p.Err(); err != nil {
			return err
		}
	}
	return nil
}
