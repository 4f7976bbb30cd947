package index

import "concord/pack"

// positionChunk is the number of positions that share one parameter of their code: as many as adapt well, few enough to count off quickly.
const positionChunk = 128

// maxFreqs bounds the positions of a block, so that sums of damaged numbers do not overflow; maxPosition those of a document.
const (
	maxPosition = MaxBodyWords + 4*(MaxPartWords+partGap)
	maxFreqs    = blockLen * maxPosition
)

// Positions appends the positions of the current posting to dst, in order. Those of FieldAll lie in one space for all parts. Damage
// makes it return dst unchanged, and Err says so.
func (p *Postings) Positions(dst []uint32) []uint32 { return p.PositionsOf(dst, p.unpacked, p.i) }

// PositionsOf is Positions for posting i of a block, as Found and Meet tell.
func (p *Postings) PositionsOf(dst []uint32, block, i int) []uint32 {
	from, to, ok := p.span(block, i)
	if !ok {
		return dst
	}
	if dst, ok = p.where.append(dst, i, from, to); !ok {
		p.corrupt("malformed positions")
	}
	return dst
}

// IntersectOf appends to dst those of the wanted positions, which ascend, at which posting i of a block has an occurrence. It reads no
// further than the last of them: for looking few positions up it is faster than PositionsOf. wanted may be the memory that dst appends to, as in
// IntersectOf(starts[:0], starts, block, i). Damage makes it return dst unchanged, and Err says so.
func (p *Postings) IntersectOf(dst, wanted []uint32, block, i int) []uint32 {
	from, to, ok := p.span(block, i)
	if !ok {
		return dst
	}
	at := len(dst)
	if dst, ok = p.where.intersect(dst, wanted, i, from, to); !ok {
		p.corrupt("malformed positions")
		return dst[:at]
	}
	return dst
}

// FirstOf returns the first position of posting i of a block and how many others there are. It is for two lists that are read side by side, quicker than
// PositionsOf. It reports false where positions cannot be had in pieces, and on damage: PositionsOf says which.
func (p *Postings) FirstOf(block, i int) (first, others uint32, ok bool) {
	w := &p.where
	if block < 0 || i < 0 || i >= p.postingsIn(block) || w.block != block && p.loadPositions(block) != nil || !w.decoded {
		return 0, 0, false
	}
	from, to := w.starts[i&(blockLen-1)], w.starts[i&(blockLen-1)+1]
	first = w.firsts[i&(blockLen-1)]
	return first, to - from, from <= to && to <= w.extra && first <= maxPosition
}

// GapsOf returns for each position of a posting but the first, which FirstOf has just returned, how far, less one, it is from the one before, valid
// until the next call. It reports false where they are not in one piece, and on damage.
func (p *Postings) GapsOf(i int) (gaps []uint32, ok bool) {
	w := &p.where
	from, to := w.starts[i&(blockLen-1)], w.starts[i&(blockLen-1)+1]
	if from == to {
		return nil, true
	}
	gaps, ok = w.gapsIn(from, to)
	return gaps, ok && uint32(len(gaps)) == to-from
}

// Freq returns the number of positions of the current posting, 0 on damage.
func (p *Postings) Freq() int {
	from, to, ok := p.span(p.unpacked, p.i)
	if !ok {
		return 0
	}
	return int(to-from) + 1
}

// span returns where the positions of posting i of a block, but its first, lie among those of the block.
func (p *Postings) span(block, i int) (from, to uint32, ok bool) {
	if block < 0 || i < 0 || i >= p.postingsIn(block) || p.where.block != block && p.loadPositions(block) != nil {
		return 0, 0, false
	}
	w := &p.where
	switch {
	case w.decoded:
		from, to = w.starts[i], w.starts[i+1]
		ok = from <= to
	case w.extra == 0:
		return 0, 0, true
	default:
		from, to, ok = sumsAt(w.sums, w.highs, i, w.k)
	}
	if !ok || to > w.extra {
		p.corrupt("malformed frequencies")
		return 0, 0, false
	}
	return from, to, true
}

// postingsIn returns the number of postings of a block.
func (p *Postings) postingsIn(block int) int {
	switch {
	case p.term.DocCount < blockLen:
		return p.n
	case block == p.blocks-1:
		return p.tailLen
	}
	return blockLen
}

// loadPositions finds what is needed for the positions of a block.
func (p *Postings) loadPositions(block int) error {
	if p.term.DocCount < blockLen {
		return p.loadShortPositions()
	}
	from, to := uint64(u32(p.dir, 2*p.blocks+block)), p.posEnd-p.posAt
	if block+1 < p.blocks {
		to = uint64(u32(p.dir, 2*p.blocks+block+1))
	}
	if to < from || to > p.posEnd-p.posAt {
		return p.corrupt("position offsets descend")
	}
	if err := p.pos.check(p.posAt+from, to-from); err != nil {
		return p.fail(err)
	}
	if !p.where.parse(p.pos.data[p.posAt+from:p.posAt+to], p.postingsIn(block)) {
		return p.corrupt("malformed positions")
	}
	if p.where.decoded = pack.QuickRice(); p.where.decoded && !p.where.decode() {
		return p.corrupt("malformed positions")
	}
	p.where.block = block
	return nil
}
