package index

import (
	"concord"
	"concord/pack"
)

// Postings walks one posting list in order of documents, deleted ones included. The zero value is ready for Reset; one Postings
// may be reset again and again without allocating. Not safe for concurrent use.
//
// There are three ways to use one, all of them forward only and free to be mixed:
//
//   - posting by posting: Next, Advance, and Impact, Positions and Freq of the current posting;
//   - block by block: SeekBlock and NextBlock place it on a block by the directory alone, where BlockMax and BlockLast cost nothing,
//     and then Block, BlockIn, BlockImpacts or BlockBits read as much of the block as is needed;
//   - by lookup: At answers whether a document is in the list, Common and Meet which of many are in the block, unpacking as little as they can;
//     PositionsOf and IntersectOf read the positions of what was found.
//
// When bytes turn out to be damaged the list ends early and Err says so: whoever reads a list to its end must ask Err.
type Postings struct {
	seg  *Segment
	size uint32   // documents of the segment
	sec  *section // postings
	pos  *section // positions
	err  error
	term Term

	blocks    int    // blocks of the list, the tail included; 1 for a short list
	data      []byte // the blocks
	dataAt    uint64 // where they begin
	checked   uint64 // up to where in data nothing need be checked from the current block on
	posAt     uint64 // where the positions of the blocks begin
	posEnd    uint64
	positions uint64 // of all blocks, how many there are; 0 for a short list
	dir       []byte // last documents, then document offsets, then position offsets, 4 bytes a block each
	maxima    []byte // a byte a block
	kinds     []byte
	super     []byte
	tailLen   int

	// of a short list
	maxShort     byte
	shortParam   byte
	shortOne     bool          // its one document has one position
	shortRest    uint64        // where its frequencies and positions are
	shortImpacts [bareLen]byte // of a very short one

	block int    // current block, blocks at the end
	last  uint32 // its last document

	located int // block that raw and impacts belong to, -1: none
	raw     []byte
	impacts []byte

	unpacked int // block that docs holds, -1: none
	docs     pack.Block
	n, i     int // postings in the unpacked block, and the current one
	doc      DocID
	found    found

	where positionReader
}

// Reset puts p before the first posting of a term of the segment. Errors: Corrupt.
func (p *Postings) Reset(s *Segment, t Term) error { return p.reset(s, t, true) }

// ResetUnscored is Reset for who asks for documents and positions only: impacts are then what costs nothing to tell, between 1 and 255.
func (p *Postings) ResetUnscored(s *Segment, t Term) error { return p.reset(s, t, false) }

func (p *Postings) reset(s *Segment, t Term, scored bool) error {
	p.seg, p.sec, p.pos, p.err, p.term = s, s.sections[secPostings], s.sections[secPositions], nil, t
	p.block, p.located, p.unpacked, p.where.block, p.positions = 0, -1, -1, -1, 0
	p.n, p.i, p.doc, p.raw, p.impacts, p.size = 0, -1, 0, nil, nil, uint32(s.Docs())
	p.found.doc = NoDoc
	var err error
	if t.DocCount < blockLen {
		err = p.resetShort(scored)
	} else {
		err = p.resetLong()
	}
	if err == nil {
		p.last = p.lastDoc(0)
	}
	return err
}

func (p *Postings) corrupt(what string) error {
	return p.fail(concord.Errorf(concord.Corrupt, "section %q: list at %d: %s", secPostings, p.term.offset, what))
}

// fail ends the list.
func (p *Postings) fail(err error) error {
	p.err = err
	p.n, p.i, p.doc, p.block, p.unpacked, p.found.doc = 0, 0, NoDoc, p.blocks, -1, NoDoc
	return err
}

// Err returns what ended the list early, nil when it did not.
func (p *Postings) Err() error { return p.err }

// Term returns the term whose list it is.
func (p *Postings) Term() Term { return p.term }

// DocCount returns the number of postings.
func (p *Postings) DocCount() uint32 { return p.term.DocCount }

// MaxImpact returns the largest impact of the list.
func (p *Postings) MaxImpact() byte {
	if p.term.DocCount < blockLen {
		return p.maxShort
	}
	return p.term.MaxImpact
}

// lastDoc is the last document of a block.
func (p *Postings) lastDoc(block int) uint32 {
	if p.term.DocCount < blockLen {
		return p.docs[p.n-1]
	}
	return u32(p.dir, block)
}

// Doc returns the current document, NoDoc at the end; before the first Next or Advance it means nothing.
func (p *Postings) Doc() DocID { return p.doc }

// Next goes to the next posting and returns its document, NoDoc at the end.
func (p *Postings) Next() DocID {
	if p.doc == NoDoc {
		return NoDoc
	}
	if p.unpacked != p.block {
		if !p.unpack() {
			return NoDoc
		}
		p.i = -1
	}
	if p.i++; p.i >= p.n {
		if !p.NextBlock() {
			return p.end()
		}
		if !p.unpack() {
			return NoDoc
		}
		p.i = 0
	}
	p.doc = DocID(p.docs[p.i&(blockLen-1)])
	return p.doc
}

func (p *Postings) end() DocID {
	p.i, p.doc = p.n, NoDoc
	return NoDoc
}

// Advance goes to the first posting with a document of at least target, not backwards, and returns its document.
func (p *Postings) Advance(target DocID) DocID {
	t := uint32(target)
	if p.doc == NoDoc || p.unpacked == p.block && p.i >= 0 && p.doc >= target {
		return p.doc
	}
	if !p.SeekBlock(target) {
		return p.end()
	}
	if !p.unpack() {
		return NoDoc
	}
	p.seek(t)
	p.doc = DocID(p.docs[p.i&(blockLen-1)])
	return p.doc
}

// seek goes to the first posting of the unpacked block from the current one on with a document of at least t; there is one.
func (p *Postings) seek(t uint32) {
	i := max(p.i, 0)
	if p.docs[i&(blockLen-1)] >= t {
		p.i = i
	} else if i+1 < p.n && p.docs[(i+1)&(blockLen-1)] >= t {
		p.i = i + 1
	} else {
		p.i = pack.LowerBound(&p.docs, p.n, t)
	}
}

// Impact returns the quantised impact of the current posting, 1 to 255.
func (p *Postings) Impact() byte { return p.impacts[p.i] }

// found is the posting that At found last.
type found struct {
	doc   DocID // NoDoc: none
	block int
	i     int
}

// At goes to target, not backwards, and returns the impact of its posting, 0 when there is none.
func (p *Postings) At(target DocID) byte {
	if p.found.doc == target {
		return p.impacts[p.found.i]
	}
	t := uint32(target)
	if t > p.last || p.block >= p.blocks {
		if !p.SeekBlock(target) {
			return 0
		}
	}
	i := -1
	switch {
	case p.unpacked == p.block:
		i = p.search(t)
	case p.located != p.block && !p.locate():
	case p.bitmap():
		i = p.bit(t)
	case p.unpack():
		i = p.search(t)
	}
	if i < 0 {
		return 0
	}
	p.found = found{target, p.block, i}
	return p.impacts[i]
}

// Found returns where the posting is that At found last.
func (p *Postings) Found() (block, place int) { return p.found.block, p.found.i }

// search returns which posting of the unpacked block is that of document t, -1: none from the current one on.
func (p *Postings) search(t uint32) int {
	i := max(p.i, 0)
	if i >= p.n || p.docs[i&(blockLen-1)] > t {
		return -1
	}
	p.seek(t)
	p.doc = DocID(p.docs[p.i&(blockLen-1)])
	if uint32(p.doc) != t {
		return -1
	}
	return p.i
}

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
	if first == 0 && uint32(last) >= p.lastDoc(p.blocks-1) {
		return p.term.MaxImpact
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
