package index

import (
	"encoding/binary"
	"math/bits"

	"concord"
	"concord/pack"
)

// This file reads posting lists block by block. See Postings.

// termHead is what is certain to hold the fixed part of a posting list's head: six integers and a byte.
const termHead = 6*binary.MaxVarintLen64 + 1

// termAt reads the head of a field's posting list at an offset.
func (s *Segment) termAt(f Field, at uint64) (Term, error) {
	b, err := s.sections[secPostings].upTo(at, termHead)
	if err != nil {
		return Term{}, err
	}
	r := pack.NewReader(b)
	h := r.Uvarint()
	t := Term{DocCount: 1, MaxImpact: 255, field: f, offset: at}
	if h&shortOne == 0 {
		t.DocCount = uint32(min(h>>1, MaxDocs+1))
	}
	if t.DocCount >= blockLen {
		t.MaxImpact = r.Byte()
	}
	if !r.OK() || t.DocCount == 0 || int(t.DocCount) > s.Docs() {
		return Term{}, concord.Errorf(concord.Corrupt, "section %q: malformed list at %d", secPostings, at)
	}
	return t, nil
}

// resetLong reads the head and places the directory of a list of blocks.
func (p *Postings) resetLong() error {
	at := p.term.offset
	head, err := p.sec.upTo(at, termHead)
	if err != nil {
		return p.fail(err)
	}
	r := pack.NewReader(head)
	r.Uvarint()
	r.Byte()
	p.positions = r.Uvarint()
	data, posAt, posLen := r.Uvarint(), r.Uvarint(), r.Uvarint()
	if !r.OK() || data > at || posAt > uint64(len(p.pos.data)) || posLen > uint64(len(p.pos.data))-posAt {
		return p.corrupt("malformed head")
	}
	p.data, p.dataAt, p.checked, p.posAt, p.posEnd = p.sec.data[at-data:at], at-data, 0, posAt, posAt+posLen
	nb := (int(p.term.DocCount) + blockLen - 1) / blockLen
	ns := (nb + superLen - 1) / superLen
	b, err := p.sec.bytes(at+uint64(len(head)-r.Len()), uint64(14*nb+ns))
	if err != nil {
		return p.fail(err)
	}
	p.blocks, p.tailLen = nb, int(p.term.DocCount)-(nb-1)*blockLen
	p.dir, p.maxima, p.kinds, p.super = b[:12*nb], b[12*nb:13*nb], b[13*nb:14*nb], b[14*nb:]
	return nil
}

// SeekBlock goes to the first block, from the current one on, that ends at target or later, without reading it. It reports false at
// the end of the list.
func (p *Postings) SeekBlock(target DocID) bool {
	if p.block >= p.blocks {
		return false
	}
	if uint32(target) <= p.last {
		return true
	}
	b := p.findBlock(uint32(target))
	p.block = b
	if b >= p.blocks {
		return false
	}
	p.last = p.lastDoc(b)
	return true
}

// NextBlock goes to the next block without reading it; false at the end of the list.
func (p *Postings) NextBlock() bool {
	if p.block >= p.blocks {
		return false
	}
	if p.block++; p.block >= p.blocks {
		return false
	}
	p.last = p.lastDoc(p.block)
	return true
}

// findBlock returns the first block from the current one on that ends at t or later: most steps are short, so it gallops, then
// searches.
func (p *Postings) findBlock(t uint32) int {
	b := p.block
	if p.term.DocCount < blockLen {
		if b < p.blocks && p.docs[p.n-1] < t {
			return 1
		}
		return b
	}
	step := 1
	lo := b
	for lo < p.blocks && u32(p.dir, lo) < t {
		b = lo + 1
		lo += step
		step *= 2
	}
	hi := min(lo, p.blocks)
	for b < hi {
		mid := int(uint(b+hi) / 2)
		if u32(p.dir, mid) < t {
			b = mid + 1
		} else {
			hi = mid
		}
	}
	return b
}

// BlockLast returns the last document of the current block; there must be one, as SeekBlock and NextBlock say.
func (p *Postings) BlockLast() DocID { return DocID(p.last) }

// BlockFirst returns a lower bound of the first document of the current block: the one after the end of the block before.
func (p *Postings) BlockFirst() DocID {
	if p.block == 0 {
		return 0
	}
	return DocID(p.lastDoc(p.block-1) + 1)
}

// BlockMax returns the largest impact of the current block.
func (p *Postings) BlockMax() byte {
	if p.term.DocCount < blockLen {
		return p.maxShort
	}
	return p.maxima[p.block]
}

// SkipBelow goes to the first block, from the current one on, with an impact of at least least; false when there is none.
func (p *Postings) SkipBelow(least byte) bool {
	if p.term.DocCount < blockLen {
		if p.block < p.blocks && p.maxShort < least {
			p.block = p.blocks
		}
		return p.block < p.blocks
	}
	b := p.block
	for b < p.blocks && p.maxima[b] < least {
		if b++; b%superLen == 0 {
			for b < p.blocks && p.super[b/superLen] < least {
				b += superLen
			}
		}
	}
	b = min(b, p.blocks)
	if b != p.block {
		if p.block = b; b < p.blocks {
			p.last = p.lastDoc(b)
		}
	}
	return b < p.blocks
}

// Block returns the documents of the current block and their impacts, valid until p moves to another block; nothing on damage.
func (p *Postings) Block() (docs []uint32, impacts []byte) {
	if !p.unpack() {
		return nil, nil
	}
	return p.docs[:p.n], p.impacts
}

// BlockIn is Block without the documents before base and from end on.
func (p *Postings) BlockIn(base, end DocID) (docs []uint32, impacts []byte) {
	if docs, impacts = p.Block(); len(docs) == 0 {
		return nil, nil
	}
	from, to := 0, p.n
	if docs[0] < uint32(base) {
		from = pack.LowerBound(&p.docs, p.n, uint32(base))
	}
	if p.last >= uint32(end) {
		to = pack.LowerBound(&p.docs, p.n, uint32(end))
	}
	return docs[from:to], impacts[from:to]
}

// BlockImpacts returns the impacts of the current block without unpacking its documents; nothing on damage.
func (p *Postings) BlockImpacts() []byte {
	if !p.locate() {
		return nil
	}
	return p.impacts
}

// BlockBits returns the current block as a bitmap of span bits, bit i standing for document first+i, when that is the form it is
// stored in and not unpacked yet.
func (p *Postings) BlockBits() (b, impacts []byte, first DocID, span int, ok bool) {
	if p.unpacked == p.block || !p.locate() || !p.bitmap() {
		return nil, nil, 0, 0, false
	}
	first = p.BlockFirst()
	return p.raw, p.impacts, first, int(p.last-uint32(first)) + 1, true
}

func (p *Postings) bitmap() bool {
	return p.term.DocCount >= blockLen && p.kinds[p.block] == docsBitmap
}

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

// Meet is Common, and says for each document the block has which of its postings that is, in order of documents.
func (p *Postings) Meet(docs []uint32, places *[blockLen]byte) (lo, hi uint64) {
	if lo, hi = p.Common(docs); lo|hi == 0 {
		return 0, 0
	}
	n := 0
	if p.unpacked == p.block && bits.OnesCount64(lo)+bits.OnesCount64(hi) > fewMet {
		mineLo, mineHi := pack.MaskCommon(p.docs[:p.n], docs)
		for half, mask := range [2]uint64{mineLo, mineHi} {
			for ; mask != 0; mask &= mask - 1 {
				places[n&(blockLen-1)] = byte(half*64 + bits.TrailingZeros64(mask))
				n++
			}
		}
		return lo, hi
	}
	for half, mask := range [2]uint64{lo, hi} {
		for ; mask != 0; mask &= mask - 1 {
			places[n&(blockLen-1)] = byte(p.place(docs[half*64+bits.TrailingZeros64(mask)]))
			n++
		}
	}
	return lo, hi
}

// MeetImpacts is Common, and gathers the impacts of the documents the block has, in their order.
func (p *Postings) MeetImpacts(docs []uint32, impacts *pack.Gathered) (lo, hi uint64) {
	if lo, hi = p.Common(docs); lo|hi == 0 {
		return 0, 0
	}
	if p.unpacked == p.block && bits.OnesCount64(lo)+bits.OnesCount64(hi) > fewMet {
		mineLo, mineHi := pack.MaskCommon(p.docs[:p.n], docs)
		pack.Gather(impacts, p.impacts, mineLo, mineHi)
		return lo, hi
	}
	n := 0
	for half, mask := range [2]uint64{lo, hi} {
		for ; mask != 0; mask &= mask - 1 {
			impacts[n&(blockLen-1)] = p.impacts[p.place(docs[half*64+bits.TrailingZeros64(mask)])]
			n++
		}
	}
	return lo, hi
}

// place returns which posting of the current block is that of a document it has.
func (p *Postings) place(doc uint32) int {
	if p.unpacked == p.block {
		return pack.LowerBound(&p.docs, p.n, doc)
	}
	return p.bit(doc)
}

// fewMet is up to how many documents places are searched one by one.
const fewMet = 6

// BlockNumber returns the number of the current block.
func (p *Postings) BlockNumber() int { return p.block }

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

// locate finds the bytes of the current block and its impacts.
func (p *Postings) locate() bool {
	block := p.block
	if p.located == block {
		return true
	}
	base := ^uint32(0)
	if block > 0 {
		base = p.lastDoc(block - 1)
	}
	if p.last >= p.size || base != ^uint32(0) && p.last <= base {
		p.corrupt("documents of the directory are out of range or order")
		return false
	}
	from, to := uint64(u32(p.dir, p.blocks+block)), uint64(len(p.data))
	if block+1 < p.blocks {
		to = uint64(u32(p.dir, p.blocks+block+1))
	}
	if to < from || to > uint64(len(p.data)) {
		p.corrupt("block offsets descend")
		return false
	}
	if to > p.checked {
		if err := p.sec.check(p.dataAt+from, to-from); err != nil {
			p.fail(err)
			return false
		}
		p.checked = (p.dataAt+to+chunkSize-1)/chunkSize*chunkSize - p.dataAt // blocks are read in order: the rest of the chunk is checked too
	}
	b := p.data[from:to:to]
	n, size := blockLen, -1
	switch kind := p.kinds[block]; {
	case kind == docsTail:
		n = p.tailLen
		size = len(b) - n
	case kind == docsPatched:
		size = len(b) - n
	case kind == docsBitmap:
		size = int(p.last-base+7) / 8
	case kind <= pack.MaxWidth:
		size = pack.Size(blockLen, int(kind))
	}
	if size < 0 || len(b) != size+n || (p.kinds[block] == docsTail) != (n < blockLen) ||
		p.kinds[block] == docsBitmap && !fullBitmap(b[:size], int(p.last-base)) {
		p.corrupt("malformed block")
		return false
	}
	p.raw, p.impacts, p.located = b[:size], b[size:], block
	return true
}

// fullBitmap reports whether a bitmap of span bits has one bit a posting, the last of them at its end.
func fullBitmap(b []byte, span int) bool {
	n := 0
	last := b[len(b)-1]
	for ; len(b) >= 8; b = b[8:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b))
	}
	for _, c := range b {
		n += bits.OnesCount8(c)
	}
	return n == blockLen && bits.Len8(last) == (span+7)%8+1
}

// unpack unpacks the current block and stands before its first posting, unless it is unpacked already.
func (p *Postings) unpack() bool {
	if p.unpacked == p.block {
		return true
	}
	if p.block >= p.blocks || !p.locate() {
		return false
	}
	base := ^uint32(0)
	if p.block > 0 {
		base = p.lastDoc(p.block - 1)
	}
	p.n, p.i = len(p.impacts), -1
	ok := true
	switch kind := p.kinds[p.block]; kind {
	case docsTail:
		ok = p.unpackTail(base)
	case docsPatched:
		ok = p.unpackPatched(base)
	case docsBitmap:
		ok = pack.UnpackBits(&p.docs, p.raw, base, int(p.last-base))
	default:
		ok = pack.UnpackDeltas(&p.docs, p.raw, int(kind), base) && (kind <= noWrap || ascend(p.docs[:], base))
	}
	if !ok || p.docs[(p.n-1)&(blockLen-1)] != p.last {
		p.corrupt("malformed block")
		return false
	}
	p.unpacked = p.block
	return true
}

// noWrap is the width up to which 128 gaps cannot pass 2^32, so that a block that ends at the right document ascends to it.
const noWrap = 24

// unpackPatched unpacks the documents of a patched block.
func (p *Postings) unpackPatched(base uint32) bool {
	rest, ok := pack.UnpackPatched(&p.docs, p.raw, blockLen)
	if !ok || len(rest) != 0 {
		return false
	}
	pack.PrefixSum(p.docs[:], p.docs[:], base)    // whether sums ascend is asked below
	bits := int(p.raw[0]&63) + 8*int(p.raw[0]>>6) // of the largest gap
	return bits <= noWrap || ascend(p.docs[:], base)
}

// ascend reports whether documents ascend from base.
func ascend(docs []uint32, base uint32) bool {
	for _, d := range docs {
		if d+1 <= base+1 {
			return false
		}
		base = d
	}
	return true
}
