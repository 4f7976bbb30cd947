package index

import (
	"encoding/binary"
	"math/bits"

	"concord/pack"
)

// This file finds the bytes of a block and unpacks its documents. See Postings.

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
