package index

import (
	"encoding/binary"
	"math/bits"

	"concord/pack"
)

// This file says which of many documents a block has. See Postings.

// Common returns which of some documents the current block has: bit i of lo and hi together for docs[i]. There are at most 128, they
// ascend, and none is beyond the end of the block.
func (p *Postings) Common(docs []uint32) (lo, hi uint64) {
	if p.unpacked != p.block && p.locate() && p.bitmap() {
		first := uint32(p.BlockFirst())
		for i, d := range docs {
			bit := d - first
			if d < first || int(bit/8) >= len(p.raw) {
				continue
			}
			has := uint64(p.raw[bit/8]>>(bit%8)) & 1
			if i < 64 {
				lo |= has << i
			} else {
				hi |= has << (i - 64)
			}
		}
		return lo, hi
	}
	if !p.unpack() {
		return 0, 0
	}
	return pack.MaskCommon(docs, p.docs[:p.n])
}

// Meet is Common, and gathers for each document the block has which of its postings that is, in order of documents.
func (p *Postings) Meet(docs []uint32, places *pack.Gathered) (lo, hi uint64) {
	lo, hi = p.Common(docs)
	p.gather(places, everyPlace[:p.postingsIn(p.block)], docs, lo, hi)
	return lo, hi
}

// MeetImpacts is Meet with impacts instead of places.
func (p *Postings) MeetImpacts(docs []uint32, impacts *pack.Gathered) (lo, hi uint64) {
	lo, hi = p.Common(docs)
	p.gather(impacts, p.impacts, docs, lo, hi)
	return lo, hi
}

// everyPlace is the number of each posting of a block.
var everyPlace = func() (all [blockLen]byte) {
	for i := range all {
		all[i] = byte(i)
	}
	return all
}()

// fewMet is up to how many documents places are searched one by one.
const fewMet = 6

// gather gathers those values, one a posting of the block, of the documents that lo and hi say it has.
func (p *Postings) gather(out *pack.Gathered, values []byte, docs []uint32, lo, hi uint64) {
	if p.unpacked == p.block && bits.OnesCount64(lo)+bits.OnesCount64(hi) > fewMet {
		mineLo, mineHi := pack.MaskCommon(p.docs[:p.n], docs)
		pack.Gather(out, values, mineLo, mineHi)
		return
	}
	n := 0
	for half, mask := range [2]uint64{lo, hi} {
		for ; mask != 0; mask &= mask - 1 {
			doc := docs[half*64+bits.TrailingZeros64(mask)]
			if p.unpacked == p.block {
				out[n&(blockLen-1)] = values[pack.LowerBound(&p.docs, p.n, doc)]
			} else {
				out[n&(blockLen-1)] = values[p.bit(doc)]
			}
			n++
		}
	}
}

// bit returns which posting of a block stored as bitmap is that of document t, -1: none.
func (p *Postings) bit(t uint32) int {
	first := uint32(p.BlockFirst())
	if t < first {
		return -1
	}
	bit := t - first
	if int(bit/8) >= len(p.raw) || p.raw[bit/8]>>(bit%8)&1 == 0 {
		return -1
	}
	n, b := 0, p.raw
	for ; bit >= 64; bit -= 64 {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	var w uint64
	if len(b) >= 8 {
		w = binary.LittleEndian.Uint64(b)
	} else {
		for i, c := range b {
			w |= uint64(c) << (8 * i)
		}
	}
	return (n + bits.OnesCount64(w&(1<<bit-1))) & (blockLen - 1)
}
