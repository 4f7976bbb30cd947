package index

import (
	"encoding/binary"
	"sort"

	"concord"
	"concord/pack"
)

// termHead is what is certain to hold the fixed part of a posting list's head: five integers and a byte.
const termHead = 5*binary.MaxVarintLen64 + 1

// termAt reads the head of the posting list at an offset.
func (s *Segment) termAt(at uint64) (Term, error) {
	b, err := s.sections[secPostings].upTo(at, termHead)
	if err != nil {
		return Term{}, err
	}
	r := pack.NewReader(b)
	t := Term{DocCount: r.Uint32(), offset: at, MaxImpact: 255}
	if t.DocCount >= blockLen {
		t.MaxImpact = r.Byte()
	}
	if !r.OK() || t.DocCount == 0 || int(t.DocCount) > s.Docs() {
		return Term{}, concord.Errorf(concord.Corrupt, "section %q: malformed list at %d", secPostings, at)
	}
	return t, nil
}

// Postings walks one posting list in order of documents, deleted ones included. The zero value is ready for Reset; one Postings
// may be reset again and again without allocating. Not safe for concurrent use.
//
// When bytes turn out to be damaged the list ends early and Err says so: whoever reads a list to its end must ask Err.
type Postings struct {
	seg  *Segment
	sec  *section // postings
	pos  *section // positions
	err  error
	term Term

	blocks   int    // blocks of the list, the tail included; 1 for a short list
	dataAt   uint64 // where the blocks begin
	posAt    uint64 // where the positions of the blocks begin
	posEnd   uint64
	dir      []byte // last documents, then document offsets, then position offsets, 4 bytes a block each
	maxima   []byte // a byte a block
	kinds    []byte
	super    []byte
	short    pack.Reader // of a short list: frequencies and positions
	tailLen  int
	maxShort byte

	block   int // block that is unpacked, -1: none yet
	docs    pack.Block
	impacts []byte
	n, i    int // postings in the block, and the current one
	doc     DocID

	posBlock  int // block whose positions are ready, -1: none
	freqStart [blockLen + 1]uint32
	packed    []byte // packed positions
	posWidth  int
	shortPos  []uint32
}

// Reset puts p before the first posting of a term of the segment. Errors: Corrupt.
func (p *Postings) Reset(s *Segment, t Term) error {
	shortPos := p.shortPos[:0]
	p.seg, p.sec, p.pos, p.err, p.term = s, s.sections[secPostings], s.sections[secPositions], nil, t
	p.block, p.posBlock, p.n, p.i, p.doc, p.impacts, p.shortPos = -1, -1, 0, -1, 0, nil, shortPos
	if t.DocCount < blockLen {
		return p.resetShort()
	}
	return p.resetLong()
}

func (p *Postings) corrupt(what string) error {
	p.err = concord.Errorf(concord.Corrupt, "section %q: list at %d: %s", secPostings, p.term.offset, what)
	p.n, p.i, p.doc = 0, 0, NoDoc
	return p.err
}

func (p *Postings) fail(err error) error {
	p.err = err
	p.n, p.i, p.doc = 0, 0, NoDoc
	return err
}

// resetShort unpacks a short list.
func (p *Postings) resetShort() error {
	head, err := p.sec.upTo(p.term.offset, termHead)
	if err != nil {
		return p.fail(err)
	}
	r := pack.NewReader(head)
	r.Uvarint()
	size := r.Uvarint()
	if !r.OK() {
		return p.corrupt("malformed head")
	}
	b, err := p.sec.bytes(p.term.offset+uint64(len(head)-r.Len()), size)
	if err != nil {
		return p.fail(err)
	}
	r = pack.NewReader(b)
	p.n = int(p.term.DocCount)
	if err := p.readGaps(&r, ^uint32(0)); err != nil {
		return err
	}
	p.impacts = r.Bytes(uint64(p.n))
	if !r.OK() {
		return p.corrupt("impacts are missing")
	}
	p.short = r
	p.blocks, p.block, p.i = 1, 0, -1
	p.maxShort = pack.MaxByte(p.impacts)
	return nil
}

// readGaps reads n variable-length gaps less one into docs.
func (p *Postings) readGaps(r *pack.Reader, last uint32) error {
	for i := range p.n {
		next := uint64(last+1) + uint64(r.Uint32())
		if next >= uint64(p.seg.Docs()) || !r.OK() {
			return p.corrupt("document out of range")
		}
		last = uint32(next)
		p.docs[i&(blockLen-1)] = last
	}
	return nil
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
	data, posAt, posLen := r.Uvarint(), r.Uvarint(), r.Uvarint()
	if !r.OK() || data > at || posAt > uint64(len(p.pos.data)) || posLen > uint64(len(p.pos.data))-posAt {
		return p.corrupt("malformed head")
	}
	p.dataAt, p.posAt, p.posEnd = at-data, posAt, posAt+posLen
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

// lastDoc is the last document of a block of a long list.
func (p *Postings) lastDoc(block int) uint32 { return u32(p.dir, block) }

// load unpacks a block and stands before its first posting.
func (p *Postings) load(block int) error {
	if p.block == block {
		p.i = -1
		return nil
	}
	base := ^uint32(0)
	if block > 0 {
		base = p.lastDoc(block - 1)
	}
	last := p.lastDoc(block)
	if last >= uint32(p.seg.Docs()) || base != ^uint32(0) && last <= base {
		return p.corrupt("documents of the directory are out of range or order")
	}
	from := uint64(u32(p.dir, p.blocks+block))
	to := p.term.offset - p.dataAt
	if block+1 < p.blocks {
		to = uint64(u32(p.dir, p.blocks+block+1))
	}
	if to < from || to > p.term.offset-p.dataAt {
		return p.corrupt("block offsets descend")
	}
	b, err := p.sec.bytes(p.dataAt+from, to-from)
	if err != nil {
		return p.fail(err)
	}
	p.n = blockLen
	ok := true
	switch kind := p.kinds[block]; {
	case kind == docsTail:
		p.n = p.tailLen
		r := pack.NewReader(b)
		if err := p.readGaps(&r, base); err != nil {
			return err
		}
		b = r.Rest()
	case kind == docsBitmap:
		span := int(last - base)
		size := (span + 7) / 8
		ok = pack.UnpackBits(&p.docs, b, base, span)
		b = b[min(size, len(b)):]
	case kind <= pack.MaxWidth:
		ok = pack.UnpackDeltas(&p.docs, b, int(kind), base) && (kind <= noWrap || ascend(p.docs[:], base))
		b = b[min(pack.Size(blockLen, int(kind)), len(b)):]
	default:
		ok = false
	}
	if !ok || len(b) != p.n || p.docs[p.n-1] != last || (p.kinds[block] == docsTail) != (p.n < blockLen) {
		return p.corrupt("malformed block")
	}
	p.impacts, p.block, p.i = b, block, -1
	return nil
}

// noWrap is the width up to which 128 gaps cannot pass 2^32, so that a block that ends at the right document ascends to it.
const noWrap = 24

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

// Err returns what ended the list early, nil when it did not.
func (p *Postings) Err() error { return p.err }

// DocCount returns the number of postings.
func (p *Postings) DocCount() uint32 { return p.term.DocCount }

// MaxImpact returns the largest impact of the list.
func (p *Postings) MaxImpact() byte {
	if p.term.DocCount < blockLen {
		return p.maxShort
	}
	return p.term.MaxImpact
}

// Doc returns the current document, NoDoc at the end; before the first Next or Advance it means nothing.
func (p *Postings) Doc() DocID { return p.doc }

// Next goes to the next posting and returns its document, NoDoc at the end.
func (p *Postings) Next() DocID {
	if p.doc == NoDoc {
		return NoDoc
	}
	if p.i++; p.i >= p.n {
		if p.block+1 >= p.blocks {
			p.i, p.doc = p.n, NoDoc
			return NoDoc
		}
		if p.load(p.block+1) != nil {
			return NoDoc
		}
		p.i = 0
	}
	p.doc = DocID(p.docs[p.i&(blockLen-1)])
	return p.doc
}

// Advance goes to the first posting with a document of at least target, not backwards, and returns its document.
func (p *Postings) Advance(target DocID) DocID {
	t := uint32(target)
	if p.doc == NoDoc {
		return NoDoc
	} else if p.i >= 0 && p.i < p.n {
		if p.doc >= target {
			return p.doc
		}
	} else if p.i >= p.n && p.n > 0 { // Run took the rest of the block
		t = max(t, p.docs[p.n-1]+1)
	}
	if p.block < 0 || p.n == 0 || p.docs[p.n-1] < t {
		if !p.seek(t) {
			return NoDoc
		}
	}
	i := max(p.i, 0)
	for step := 8; i+step < p.n && p.docs[i+step-1] < t; {
		i += step
	}
	for i < p.n && p.docs[i] < t {
		i++
	}
	p.i, p.doc = i, DocID(p.docs[i&(blockLen-1)])
	return p.doc
}

// seek unpacks the first block that ends at t or later; false at the end of the list or on damage.
func (p *Postings) seek(t uint32) bool {
	b := p.findBlock(t)
	if b >= p.blocks {
		p.i, p.doc = p.n, NoDoc
		return false
	}
	return p.load(b) == nil
}

// findBlock returns the first block from the current one on that ends at t or later.
func (p *Postings) findBlock(t uint32) int {
	b := max(p.block, 0)
	if p.term.DocCount < blockLen {
		if p.docs[p.n-1] < t {
			return 1
		}
		return 0
	}
	// Most steps are short: gallop, then search.
	step := 1
	lo := b
	for lo < p.blocks && p.lastDoc(lo) < t {
		b = lo + 1
		lo += step
		step *= 2
	}
	hi := min(lo, p.blocks)
	return b + sort.Search(hi-b, func(i int) bool { return p.lastDoc(b+i) >= t })
}

// Impact returns the quantised impact of the current posting, 1 to 255.
func (p *Postings) Impact() byte { return p.impacts[p.i] }

// MaxImpactIn returns an upper bound of the impacts of documents from first to last, both included, 0 when the list has none
// there. It looks at the directory only and does not move p; first must not lie before the current block.
func (p *Postings) MaxImpactIn(first, last DocID) byte {
	if p.err != nil {
		return 255
	}
	if p.term.DocCount < blockLen {
		if p.docs[p.n-1] < uint32(first) || p.docs[0] > uint32(last) {
			return 0
		}
		return p.maxShort
	}
	var m byte
	for b := p.findBlock(uint32(first)); b < p.blocks; b++ {
		if b > 0 && p.lastDoc(b-1) >= uint32(last) {
			break
		}
		if b%superLen == 0 && b+superLen <= p.blocks && p.lastDoc(b+superLen-1) <= uint32(last) {
			m = max(m, p.super[b/superLen])
			b += superLen - 1
			continue
		}
		m = max(m, p.maxima[b])
	}
	return m
}

// Run returns the postings from the current one on that lie in the unpacked block and before end, and moves p behind
// them. The slices are valid until p moves to another block. An empty run means that the current document is at or after end.
//
//	for p.Advance(start) < end {
//		docs, impacts := p.Run(end)
//	}
func (p *Postings) Run(end DocID) (docs []uint32, impacts []byte) {
	from := p.i
	if p.doc == NoDoc || p.doc >= end {
		return nil, nil
	}
	to := p.n
	if p.docs[p.n-1] >= uint32(end) {
		to = from + sort.Search(p.n-from, func(i int) bool { return p.docs[from+i] >= uint32(end) })
	}
	docs, impacts = p.docs[from:to], p.impacts[from:to]
	p.i = to - 1
	p.doc = DocID(p.docs[to-1])
	if to < p.n {
		p.i, p.doc = to, DocID(p.docs[to])
	} else if p.block+1 >= p.blocks {
		p.i, p.doc = p.n, NoDoc
	} else {
		p.i = p.n // the next block is unpacked when it is asked for
		p.doc = DocID(p.docs[p.n-1])
	}
	return docs, impacts
}
