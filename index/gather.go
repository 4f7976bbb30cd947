package index

import (
	"cmp"
	"slices"
)

// maxGather is the number of positions of a list, 4 bytes each, that a merge holds while it puts their documents in a new order. Of a longer
// list it takes the documents in several passes, each for a range of new numbers.
const maxGather = 16 << 20

// gathering is a posting list on its way into a new order.
type gathering struct {
	limit     uint64 // positions to hold
	postings  []gathered
	positions []uint32
	slots     []uint32 // by document less the first: its posting + 1
}

type gathered struct{ doc, from, to uint32 }

// gatherLists merges lists whose documents change their order, each standing on its first live posting.
func (m *merger) gatherLists(lists []*mergeInput) error {
	var total uint64
	for _, in := range lists {
		total += max(in.postings.positions, uint64(in.postings.DocCount()))
	}
	passes := int(total/m.gather.limit) + 1
	step := uint32(m.docs/passes + 1)
	for first := uint32(0); first < uint32(m.docs); first += step {
		for _, in := range lists {
			if first > 0 {
				if err := in.openPostings(); err != nil {
					return err
				}
			}
			if err := m.gatherRange(in, first, first+step); err != nil {
				return err
			}
		}
		if err := m.flushGathered(first, min(step, uint32(m.docs)-first)); err != nil {
			return err
		}
	}
	return nil
}

// gatherRange takes the postings of an input whose new numbers are from first to end-1.
func (m *merger) gatherRange(in *mergeInput, first, end uint32) error {
	g := &m.gather
	for d := in.postings.Doc(); d != NoDoc; d = in.postings.Doc() {
		if err := m.tick(); err != nil {
			return err
		}
		if id := in.newID[d]; id >= first && id < end {
			from := uint32(len(g.positions))
			g.positions = in.postings.Positions(g.positions)
			if err := in.postings.Err(); err != nil {
				return err
			}
			g.postings = append(g.postings, gathered{id, from, uint32(len(g.positions))})
		}
		if err := in.nextPosting(); err != nil {
			return err
		}
	}
	return nil
}

// slotShare decides how a list is sorted: one with a posting in so many documents by a slot for each document.
const slotShare = 16

// flushGathered writes what was gathered of n documents from first on, in order.
func (m *merger) flushGathered(first, n uint32) error {
	g := &m.gather
	write := func(p gathered) error { return m.w.addPosting(p.doc, g.positions[p.from:p.to]) }
	defer func() { g.postings, g.positions = g.postings[:0], g.positions[:0] }()
	if uint32(len(g.postings)) < n/slotShare {
		slices.SortFunc(g.postings, func(a, b gathered) int { return cmp.Compare(a.doc, b.doc) })
		for _, p := range g.postings {
			if err := write(p); err != nil {
				return err
			}
		}
		return nil
	}
	g.slots = append(g.slots[:0], make([]uint32, n)...)
	for i, p := range g.postings {
		g.slots[p.doc-first] = uint32(i + 1)
	}
	for _, i := range g.slots {
		if i > 0 {
			if err := write(g.postings[i-1]); err != nil {
				return err
			}
		}
	}
	return nil
}
