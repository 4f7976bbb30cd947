package index

import (
	"encoding/binary"

	"concord/pack"
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
