package index

import (
	"encoding/binary"

	"concord/pack"
)

// positionChunk is the number of positions that share one parameter of their code: as many as adapt well, few enough to count off quickly.
const positionChunk = 128

// maxFreqs bounds the positions of a block, so that sums of damaged numbers do not overflow; maxPosition those of a document.
const (
	maxPosition = MaxBodyWords + 4*(MaxPartWords+partGap)
	maxFreqs    = blockLen * maxPosition
)

// positionReader finds the positions of single postings of a block, or of a short list, without decoding those of others.
type positionReader struct {
	block int    // block the rest is about, -1: none yet
	n     int    // its postings
	extra uint32 // how many more positions they have

	// where those of each posting end, as running sums
	k           int
	sums, highs []byte

	offsets []byte // where chunks begin, but the first
	wide    bool   // offsets have 4 bytes, not 2
	chunks  []byte // first positions, then the other positions by 128

	// What is decoded: all of a short list, which has no chunks; of a block, where pack.QuickRice says so, the rest by the chunk.
	decoded  bool
	starts   [blockLen + 1]uint32 // where the gaps of each posting are
	firsts   pack.Block
	gaps     []uint32 // of a short list
	number   uint32   // of the chunk that gapBlock is, -1: none
	gapBlock pack.Block
}

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

// first returns the first position of posting i.
func (w *positionReader) first(i int) (uint64, bool) {
	if w.decoded {
		return uint64(w.firsts[i]), w.firsts[i] <= maxPosition
	}
	b, ok := w.chunk(0)
	if !ok {
		return 0, false
	}
	c, ok := newRiceChunk(b, w.n)
	if !ok {
		return 0, false
	}
	pos, ok := c.at(i)
	return pos, ok && pos <= maxPosition
}

// gapsFrom returns the chunk with gap number from of the block, and that gap's place in it up to that of gap number to, or to the
// chunk's end.
func (w *positionReader) gapsFrom(from, to uint32) (c riceChunk, first, end int, ok bool) {
	number := from / positionChunk
	b, ok := w.chunk(int(number) + 1)
	if !ok {
		return c, 0, 0, false
	}
	n := min(w.extra-number*positionChunk, positionChunk)
	c, ok = newRiceChunk(b, int(n))
	return c, int(from % positionChunk), int(min(to-number*positionChunk, n)), ok
}

// append appends the positions of posting i: its first, and those whose gaps are numbers from to to-1 of the block; false when they are not
// there, dst being as it was.
func (w *positionReader) append(dst []uint32, i int, from, to uint32) ([]uint32, bool) {
	pos, ok := w.first(i)
	if !ok {
		return dst, false
	}
	at := len(dst)
	dst = append(dst, uint32(pos))
	for from < to {
		if w.decoded {
			gaps, ok := w.gapsIn(from, to)
			if !ok {
				return dst[:at], false
			}
			for _, gap := range gaps {
				pos += uint64(gap) + 1
				dst = append(dst, uint32(pos))
			}
			from += uint32(len(gaps))
			continue
		}
		c, first, end, ok := w.gapsFrom(from, to)
		if !ok {
			return dst[:at], false
		}
		if dst, pos, ok = c.appendSums(dst, first, end, pos); !ok {
			return dst[:at], false
		}
		from += uint32(end - first)
	}
	if pos > maxPosition {
		return dst[:at], false
	}
	return dst, true
}

// intersect appends to kept those of the wanted positions, which ascend, that are positions of posting i; see append.
func (w *positionReader) intersect(kept, wanted []uint32, i int, from, to uint32) ([]uint32, bool) {
	pos, ok := w.first(i)
	if !ok {
		return kept, false
	}
	for len(wanted) > 0 && uint64(wanted[0]) <= pos {
		if uint64(wanted[0]) == pos {
			kept = append(kept, wanted[0])
		}
		wanted = wanted[1:]
	}
	for from < to && len(wanted) > 0 {
		if w.decoded {
			gaps, ok := w.gapsIn(from, to)
			if !ok {
				return kept, false
			}
			wanted, kept, pos = intersectGaps(kept, wanted, gaps, pos)
			from += uint32(len(gaps))
			continue
		}
		c, first, end, ok := w.gapsFrom(from, to)
		if !ok {
			return kept, false
		}
		if wanted, kept, pos, ok = c.intersect(kept, wanted, first, end, pos); !ok {
			return kept, false
		}
		from += uint32(end - first)
	}
	return kept, pos <= maxPosition
}

// gapsIn returns the gaps from number from on, up to to or to the end of a chunk, of what is decoded.
func (w *positionReader) gapsIn(from, to uint32) ([]uint32, bool) {
	if w.chunks == nil {
		return w.gaps[from:to], true
	}
	number := from / positionChunk
	n := min(w.extra-number*positionChunk, positionChunk)
	if w.number != number {
		b, ok := w.chunk(int(number) + 1)
		if !ok {
			return nil, false
		}
		c, ok := newRiceChunk(b, int(n))
		if !ok || !pack.UnpackRice(&w.gapBlock, c.lows, c.highs, int(n), c.k) {
			return nil, false
		}
		w.number = number
	}
	return w.gapBlock[from%positionChunk : min(to-number*positionChunk, n)], true
}

// intersectGaps appends to kept those of the wanted positions that gaps lead to from pos. It returns those that are left, what was kept, and
// where it came to.
func intersectGaps(kept, wanted, gaps []uint32, pos uint64) (left, found []uint32, end uint64) {
	next := uint64(wanted[0])
	for _, gap := range gaps {
		if pos += uint64(gap) + 1; pos < next {
			continue
		}
		for len(wanted) > 0 && uint64(wanted[0]) <= pos {
			if uint64(wanted[0]) == pos {
				kept = append(kept, wanted[0])
			}
			wanted = wanted[1:]
		}
		if len(wanted) == 0 {
			break
		}
		next = uint64(wanted[0])
	}
	return wanted, kept, pos
}

// decode reads first positions and where gaps are, of all postings of the block.
func (w *positionReader) decode() bool {
	w.number = ^uint32(0)
	b, ok := w.chunk(0)
	if !ok {
		return false
	}
	c, ok := newRiceChunk(b, w.n)
	if !ok || !pack.UnpackRice(&w.firsts, c.lows, c.highs, w.n, c.k) {
		return false
	}
	if w.extra == 0 {
		clear(w.starts[:])
		return true
	}
	return pack.UnpackSums(&w.starts, w.sums, w.highs, w.n, w.k)
}

// chunk returns the bytes of a chunk; false when the offsets are damaged.
func (w *positionReader) chunk(c int) ([]byte, bool) {
	from, to := 0, len(w.chunks)
	if c > 0 {
		from = w.offset(c - 1)
	}
	if c*positionChunk < int(w.extra) {
		to = w.offset(c)
	}
	if from > to || to > len(w.chunks) {
		return nil, false
	}
	return w.chunks[from:to], true
}

func (w *positionReader) offset(i int) int {
	if w.wide {
		return int(u32(w.offsets, i))
	}
	return int(u16(w.offsets, i))
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

// wideOffsets is the bit beside the parameter of the frequencies that says how many bytes an offset has.
const wideOffsets = 0x80

// parse places the parts of a block of n postings.
func (w *positionReader) parse(b []byte, n int) bool {
	extra, size := binary.Uvarint(b)
	if size <= 0 || extra > maxFreqs || len(b) == size {
		return false
	}
	b = b[size:]
	w.n, w.extra = n, uint32(extra)
	if extra == 0 {
		w.chunks = b
		return true
	}
	w.k, w.wide = int(b[0]&^wideOffsets), b[0]&wideOffsets != 0
	low, high := sumsSize(n, extra, w.k)
	if b = b[1:]; w.k > pack.MaxRice || low+high > uint64(len(b)) {
		return false
	}
	w.sums, w.highs, b = b[:low+high], b[low:low+high], b[low+high:]
	size = 2
	if w.wide {
		size = 4
	}
	if size *= (int(extra) + positionChunk - 1) / positionChunk; size > len(b) {
		return false
	}
	w.offsets, w.chunks = b[:size], b[size:]
	return true
}

// appendPositions appends a block: how many positions there are more than postings, where those of each posting end, where the
// chunks begin, and the chunks.
func (w *postingsWriter) appendPositions(b []byte) []byte {
	n := w.n
	b = pack.AppendUvarint(b, uint64(len(w.gaps)))
	w.packed, w.offsets = w.packed[:0], w.offsets[:0]
	w.appendChunk(w.firsts[:n])
	for rest := w.gaps; len(rest) > 0; {
		c := rest[:min(len(rest), positionChunk)]
		rest = rest[len(c):]
		w.offsets = append(w.offsets, uint32(len(w.packed)))
		w.appendChunk(c)
	}
	wide := len(w.packed) >= 1<<16
	if len(w.gaps) > 0 {
		k := sumsParam(n, uint64(len(w.gaps)))
		mode := byte(k)
		if wide {
			mode |= wideOffsets
		}
		b = append(b, mode)
		b = appendSums(b, w.freqs[:n], k, w.scratch[:])
	}
	for _, o := range w.offsets {
		if wide {
			b = binary.LittleEndian.AppendUint32(b, o)
		} else {
			b = binary.LittleEndian.AppendUint16(b, uint16(o))
		}
	}
	return append(b, w.packed...)
}

// appendChunk appends a byte with a parameter and the run of the values.
func (w *postingsWriter) appendChunk(values []uint32) {
	k := riceParam(values)
	w.packed = append(w.packed, byte(k))
	w.packed = appendRice(w.packed, values, k, w.scratch[:])
}
