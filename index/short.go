package index

import (
	"encoding/binary"

	"concord/pack"
)

// A short list has fewer than blockLen postings and lies in one piece: documents, impacts, frequencies, positions. The number it begins
// with has its kind in the low bit. A very short one has no impacts: they are computed from the positions when it is read, in
// less than a microsecond, and would be a tenth of all impacts there are.
const (
	shortOne     = 1 // a single document: the rest of the number is the document, doubled, and one if there is one position
	listDocCount = 0 // the rest of the number is that of the documents
)

// bareLen is the number of documents from which on a short list has impacts.
const bareLen = 32

// Bits of the byte with the parameters of a short list.
const (
	shortGapBits  = 5
	maxShortFreqs = 7 // largest parameter of the frequencies, in the 3 bits that are left
)

// shortRead is what is first read of a short list: nearly all are whole in it. It grows as long as the list turns out to be longer.
const (
	shortRead     = 512
	shortReadGrow = 16
	maxShortRead  = 1 << 30
)

// finishShort writes a list of fewer than blockLen postings.
func (w *postingsWriter) finishShort() (uint64, error) {
	at := w.out.offset()
	b := w.buf[:0]
	if w.n == 1 {
		h := uint64(w.docs[0])<<2 | shortOne
		if w.freqs[0] == 0 {
			h |= 2
		}
		if b = pack.AppendUvarint(b, h); w.freqs[0] > 0 {
			b = pack.AppendUvarint(b, uint64(w.freqs[0]-1))
		}
	} else {
		docs := w.docGaps()
		kDocs, kFreqs := riceParam(docs), min(riceParam(w.freqs[:w.n]), maxShortFreqs)
		b = pack.AppendUvarint(b, uint64(w.count)<<1|listDocCount)
		b = append(b, byte(kDocs|kFreqs<<shortGapBits))
		b = appendRice(b, docs, kDocs, w.scratch[:])
		if w.n >= bareLen {
			b = append(b, w.impacts[:w.n]...)
		}
		b = appendRice(b, w.freqs[:w.n], kFreqs, w.scratch[:])
	}
	gaps := w.gaps
	for i, f := range w.freqs[:w.n] {
		b = pack.AppendUvarint(b, uint64(w.firsts[i]))
		for _, g := range gaps[:f] {
			b = pack.AppendUvarint(b, uint64(g))
		}
		gaps = gaps[f:]
	}
	w.buf = b
	_, err := w.out.Write(b)
	return at, err
}

// shortBytes calls read with the bytes from an offset of the postings section, more and more of them until it says that they were
// enough. It reports false when all there are were not.
func (p *Postings) shortBytes(at uint64, read func(b []byte) bool) (bool, error) {
	for size := uint64(shortRead); size <= maxShortRead; size *= shortReadGrow {
		b, err := p.sec.upTo(at, size)
		if err != nil {
			return false, err
		}
		if read(b) {
			return true, nil
		}
		if uint64(len(b)) < size {
			break
		}
	}
	return false, nil
}

// resetShort unpacks the documents of a short list and, where they are asked for, the impacts.
func (p *Postings) resetShort(scored bool) error {
	ok, err := p.shortBytes(p.term.offset, p.parseShort)
	if err != nil {
		return p.fail(err)
	}
	if !ok {
		return p.corrupt("malformed short list")
	}
	if p.docs[p.n-1] >= uint32(p.seg.Docs()) || !ascend(p.docs[:p.n], ^uint32(0)) {
		return p.corrupt("document out of range")
	}
	p.blocks, p.located, p.unpacked = 1, 0, 0
	switch {
	case p.n >= bareLen:
	case scored:
		if err := p.computeImpacts(); err != nil {
			return err
		}
	default:
		p.impacts = p.shortImpacts[:p.n]
		for i := range p.impacts {
			p.impacts[i] = 255
		}
	}
	p.maxShort = pack.MaxByte(p.impacts)
	return nil
}

// parseShort reads documents and impacts of the short list at the front of b, and where the rest is.
func (p *Postings) parseShort(b []byte) bool {
	p.n = int(p.term.DocCount)
	h, size := binary.Uvarint(b)
	if size <= 0 || len(b) == size {
		return false
	}
	rest := b[size:]
	p.shortParam = 0
	if p.n == 1 {
		p.docs[0] = uint32(h >> 2)
		p.shortOne = h&2 != 0
		if h>>2 > 1<<32-1 {
			return false
		}
	} else {
		p.shortParam = rest[0]
		_, after, ok := readRice(p.docs[:0], rest[1:], p.n, int(p.shortParam&(1<<shortGapBits-1)))
		if !ok {
			return false
		}
		pack.PrefixSum(p.docs[:p.n], p.docs[:p.n], ^uint32(0)) // that sums ascend is asked when all is read
		rest = after
	}
	if p.n >= bareLen {
		if len(rest) < p.n {
			return false
		}
		p.impacts, rest = rest[:p.n:p.n], rest[p.n:]
	}
	p.shortRest = p.term.offset + uint64(len(b)-len(rest))
	return true
}

// computeImpacts gives a very short list its impacts.
func (p *Postings) computeImpacts() error {
	if err := p.loadShortPositions(); err != nil {
		return err
	}
	p.impacts = p.shortImpacts[:p.n]
	var buf [64]uint32
	for i := range p.n {
		positions, ok := p.where.append(buf[:0], i, p.where.starts[i], p.where.starts[i+1])
		if !ok {
			return p.corrupt("malformed positions")
		}
		p.impacts[i] = p.seg.ImpactOf(p.term.field, DocID(p.docs[i]), positions)
	}
	return nil
}

// loadShortPositions reads frequencies and positions of a short list.
func (p *Postings) loadShortPositions() error {
	ok, err := p.shortBytes(p.shortRest, p.parseShortPositions)
	if err != nil {
		return p.fail(err)
	}
	if !ok {
		return p.corrupt("malformed positions")
	}
	p.where.block = p.unpacked
	return nil
}

// parseShortPositions reads what follows the impacts of a short list, which lies at the front of b.
func (p *Postings) parseShortPositions(b []byte) bool {
	w := &p.where
	var freqs pack.Block
	if p.n > 1 {
		var ok bool
		if _, b, ok = readRice(freqs[:0], b, p.n, int(p.shortParam>>shortGapBits)); !ok {
			return false
		}
	} else if !p.shortOne {
		f, size := binary.Uvarint(b)
		if size <= 0 || f >= maxPosition {
			return false
		}
		freqs[0], b = uint32(f)+1, b[size:]
	}
	r := pack.NewReader(b)
	w.gaps = w.gaps[:0]
	for i, f := range freqs[:p.n] {
		w.starts[i] = uint32(len(w.gaps))
		w.firsts[i] = r.Uint32()
		if int(f) > r.Len() {
			return false
		}
		for range f {
			w.gaps = append(w.gaps, r.Uint32())
		}
	}
	w.starts[p.n] = uint32(len(w.gaps))
	w.extra, w.chunks, w.decoded = uint32(len(w.gaps)), nil, true
	return r.OK()
}

// unpackTail unpacks the documents of the last block of a long list, when it is not full: a byte with the parameter, and the run
// of their gaps.
func (p *Postings) unpackTail(base uint32) bool {
	if len(p.raw) == 0 {
		return false
	}
	_, rest, ok := readRice(p.docs[:0], p.raw[1:], p.n, int(p.raw[0]))
	if !ok || len(rest) != 0 {
		return false
	}
	pack.PrefixSum(p.docs[:p.n], p.docs[:p.n], base) // that sums ascend is asked below
	return ascend(p.docs[:p.n], base)
}
