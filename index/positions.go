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
	total uint32 // positions of all its postings

	// frequencies less one, as running sums
	k           int
	sums, highs []byte // nil: all are one

	offsets []byte // where chunks begin, but the first
	wide    bool   // offsets have 4 bytes, not 2
	chunks  []byte

	// of a short list, decoded
	starts [blockLen + 1]uint32 // first position of each posting
	short  []uint32             // gaps
}

// Positions appends the positions of the current posting to dst, in order. Those of FieldAll lie in one space for all parts. Damage
// makes it return dst unchanged, and Err says so.
func (p *Postings) Positions(dst []uint32) []uint32 {
	from, to, ok := p.span()
	if !ok {
		return dst
	}
	if p.term.DocCount < blockLen {
		var pos uint64
		for _, gap := range p.where.short[from:to] {
			pos += uint64(gap)
			dst = append(dst, uint32(pos))
		}
		ok = pos <= maxPosition
	} else {
		dst, ok = p.where.append(dst, from, to)
	}
	if !ok {
		p.corrupt("malformed positions")
	}
	return dst
}

// Freq returns the number of positions of the current posting, 0 on damage.
func (p *Postings) Freq() int {
	from, to, ok := p.span()
	if !ok {
		return 0
	}
	return int(to - from)
}

// span returns where the positions of the current posting lie among those of its block.
func (p *Postings) span() (from, to uint32, ok bool) {
	if p.i < 0 || p.i >= p.n || p.where.block != p.unpacked && p.loadPositions() != nil {
		return 0, 0, false
	}
	w := &p.where
	i := uint32(p.i)
	if p.term.DocCount < blockLen {
		return w.starts[i], w.starts[i+1], true
	}
	if w.sums == nil && w.highs == nil {
		return i, i + 1, true
	}
	before, after, ok := sumsAt(w.sums, w.highs, p.i, w.k)
	from, to = before+i, after+i+1
	if !ok || to > w.total {
		p.corrupt("malformed frequencies")
		return 0, 0, false
	}
	return from, to, true
}

// append appends the positions whose gaps are numbers from to to-1 of the block; false when they are not there, dst being as it was.
func (w *positionReader) append(dst []uint32, from, to uint32) ([]uint32, bool) {
	at, pos := len(dst), uint64(0)
	for from < to {
		c := from / positionChunk
		chunk, ok := w.chunk(int(c))
		if !ok {
			return dst[:at], false
		}
		n := int(min(w.total-c*positionChunk, positionChunk))
		first := int(from - c*positionChunk)
		end := min(int(to-c*positionChunk), n)
		if dst, pos, ok = appendRiceSums(dst, chunk, n, first, end, pos); !ok {
			return dst[:at], false
		}
		from += uint32(end - first)
	}
	return dst, pos <= maxPosition
}

// chunk returns the bytes of a chunk; false when the offsets are damaged.
func (w *positionReader) chunk(c int) ([]byte, bool) {
	from, to := 0, len(w.chunks)
	if c > 0 {
		from = w.offset(c - 1)
	}
	if (c+1)*positionChunk < int(w.total) {
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

// loadPositions finds what is needed for the positions of the unpacked block.
func (p *Postings) loadPositions() error {
	if p.term.DocCount < blockLen {
		return p.loadShortPositions()
	}
	block := p.unpacked
	from, to := uint64(u32(p.dir, 2*p.blocks+block)), p.posEnd-p.posAt
	if block+1 < p.blocks {
		to = uint64(u32(p.dir, 2*p.blocks+block+1))
	}
	if to < from || to > p.posEnd-p.posAt {
		return p.corrupt("position offsets descend")
	}
	b, err := p.pos.bytes(p.posAt+from, to-from)
	if err != nil {
		return p.fail(err)
	}
	if !p.where.parse(b, p.n) {
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
	w.total = uint32(extra) + uint32(n)
	w.sums, w.highs, w.wide = nil, nil, false
	if extra > 0 {
		w.k, w.wide = int(b[0]&^wideOffsets), b[0]&wideOffsets != 0
		low, high := sumsSize(n, extra, w.k)
		if b = b[1:]; w.k > maxRice || low+high > uint64(len(b)) {
			return false
		}
		w.sums, w.highs, b = b[:low+high:low+high], b[low:low+high:low+high], b[low+high:]
	}
	size = 2
	if w.wide {
		size = 4
	}
	if size *= int(w.total-1) / positionChunk; size > len(b) {
		return false
	}
	w.offsets, w.chunks = b[:size:size], b[size:]
	return true
}

// appendPositions appends a block: how many positions there are more than postings, where those of each posting begin, where the
// chunks begin, and the chunks. gaps has for each posting its first position and the gaps between the others.
func (w *postingsWriter) appendPositions(b []byte) []byte {
	n := w.n
	extra := uint64(len(w.positions) - n)
	b = pack.AppendUvarint(b, extra)
	w.packed, w.offsets = w.packed[:0], w.offsets[:0]
	for rest := w.positions; len(rest) > 0; {
		c := rest[:min(len(rest), positionChunk)]
		rest = rest[len(c):]
		k := riceParam(c)
		w.packed = append(w.packed, byte(k))
		w.packed = appendRice(w.packed, c, k, w.scratch[:])
		w.offsets = append(w.offsets, uint32(len(w.packed)))
	}
	w.offsets = w.offsets[:len(w.offsets)-1]
	wide := len(w.packed) >= 1<<16
	if extra > 0 {
		k := sumsParam(n, extra)
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
