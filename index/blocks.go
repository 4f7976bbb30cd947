package index

import (
	"encoding/binary"

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

// BlockNumber returns the number of the current block.
func (p *Postings) BlockNumber() int { return p.block }
