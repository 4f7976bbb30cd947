package index

import "concord/pack"

// Positions appends the positions of the current posting to dst, in order. Those of FieldAll lie in one space for all parts. Damage
// makes it return dst unchanged, and Err says so.
func (p *Postings) Positions(dst []uint32) []uint32 {
	if p.i < 0 || p.i >= p.n || p.posBlock != p.unpacked && p.loadPositions() != nil {
		return dst
	}
	from, to := p.freqStart[p.i], p.freqStart[p.i+1]
	at := len(dst)
	if p.term.DocCount < blockLen {
		dst = append(dst, p.shortPos[from:to]...)
	} else {
		var ok bool
		dst, ok = pack.Range(dst, p.packed, int(p.freqStart[p.n]), p.posWidth, int(from), int(to))
		if !ok {
			p.corrupt("malformed positions")
			return dst[:at]
		}
	}
	var pos uint32
	for i := at; i < len(dst); i++ {
		pos += dst[i]
		dst[i] = pos
	}
	return dst
}

// Freq returns the number of positions of the current posting, 0 on damage.
func (p *Postings) Freq() int {
	if p.i < 0 || p.i >= p.n || p.posBlock != p.unpacked && p.loadPositions() != nil {
		return 0
	}
	return int(p.freqStart[p.i+1] - p.freqStart[p.i])
}

// maxFreqs bounds the positions of a block, so that sums of damaged numbers do not overflow.
const maxFreqs = blockLen * (MaxBodyWords + 5*(MaxPartWords+partGap))

// loadPositions reads the frequencies of the unpacked block and finds its positions.
func (p *Postings) loadPositions() error {
	if p.term.DocCount < blockLen {
		return p.loadShortPositions()
	}
	from, to := uint64(u32(p.dir, 2*p.blocks+p.block)), p.posEnd-p.posAt
	if p.block+1 < p.blocks {
		to = uint64(u32(p.dir, 2*p.blocks+p.block+1))
	}
	if to < from+2 || to > p.posEnd-p.posAt {
		return p.corrupt("position offsets descend")
	}
	b, err := p.pos.bytes(p.posAt+from, to-from)
	if err != nil {
		return p.fail(err)
	}
	fw, pw := int(b[0]), int(b[1])
	b = b[2:]
	var freqs pack.Block
	var ok bool
	if p.n == blockLen {
		ok = pack.Unpack(&freqs, b, fw)
	} else {
		_, ok = pack.Range(freqs[:0], b, p.n, fw, 0, p.n)
	}
	if !ok || pw > pack.MaxWidth {
		return p.corrupt("malformed positions")
	}
	var sum uint64
	for i := range p.n {
		p.freqStart[i] = uint32(sum)
		sum += uint64(freqs[i]) + 1
		if sum > maxFreqs {
			return p.corrupt("too many positions")
		}
	}
	p.freqStart[p.n] = uint32(sum)
	b = b[pack.Size(p.n, fw):]
	if len(b) != pack.Size(int(sum), pw) {
		return p.corrupt("positions do not fill their block")
	}
	p.packed, p.posWidth, p.posBlock = b, pw, p.block
	return nil
}

// loadShortPositions reads frequencies and positions of a short list.
func (p *Postings) loadShortPositions() error {
	r := p.short
	var sum uint64
	for i := range p.n {
		p.freqStart[i] = uint32(sum)
		sum += r.Uvarint() + 1
		if sum > maxFreqs {
			return p.corrupt("too many positions")
		}
	}
	p.freqStart[p.n] = uint32(sum)
	if sum > uint64(r.Len()) {
		return p.corrupt("positions are missing")
	}
	p.shortPos = p.shortPos[:0]
	for range sum {
		p.shortPos = append(p.shortPos, r.Uint32())
	}
	if !r.OK() || r.Len() != 0 {
		return p.corrupt("malformed positions")
	}
	p.posBlock = p.block
	return nil
}
