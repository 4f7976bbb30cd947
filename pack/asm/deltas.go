package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Rows of the table for adding up while unpacking: in each group of four lanes (of two, when the width is above 8) lane i takes the
// values 0..i as bytes (as words), and a dot product with ones adds them up.
const (
	rowSource = 0   // for each 64 bits: which eight bytes hold its values
	rowPick   = 64  // for each byte of the result: at which of these 64 bits it begins
	rowKeep   = 128 // and which of its bits belong to a value of the sum

	maxByteWidth = 8
	maxWordWidth = 15 // words are signed
)

var sumTable Mem

func sumTables() {
	sumTable = GLOBL("sumTable512", RODATA|NOPTR)
	for w := range maxWordWidth + 1 {
		perGroup, size := 4, 1
		if w > maxByteWidth {
			perGroup, size = 2, 2
		}
		mask := 1<<w - 1
		begin := func(lane int) int { return lane / perGroup * perGroup * w } // the first bit of the group
		bytes := func(row int, f func(lane, value, part int) byte) {
			lanes(w*tableSize+row, zmmLen, func(lane int) (v uint32) {
				for b := range 4 {
					v |= uint32(f(lane, b/size, b%size)) << (8 * b)
				}
				return v
			})
		}
		lanes(w*tableSize+rowSource, zmmLen, func(i int) uint32 { return run4(uint32(begin(i)/8 + i%2*4)) })
		bytes(rowPick, func(lane, value, part int) byte { return byte(begin(lane)%8 + value*w + 8*part) })
		bytes(rowKeep, func(lane, value, part int) byte {
			if value > lane%perGroup {
				return 0
			}
			return byte(mask >> (8 * part))
		})
	}
}

func unpackDeltas512() {
	kernel("unpackDeltas512", "(out *uint32, src *byte, n, width int, base uint32)",
		"unpacks gaps less one as unpack512 does and adds them up from base.")
	out, src, n, width := pointer("out"), pointer("src"), pointer("n"), pointer("width")
	p := newPrefix512()
	broadcast("base", p.carry)
	CMPQ(width, U8(maxWordWidth))
	JA(LabelRef("each"))

	tab := tableRow(sumTable, tableSize, width)
	source, pick, keep, ones, count := ZMM(), ZMM(), ZMM(), ZMM(), ZMM()
	VMOVDQU32(at(tab, rowSource), source)
	VMOVDQU32(at(tab, rowPick), pick)
	VMOVDQU32(at(tab, rowKeep), keep)
	r := newReader512(src, n, width)
	sums := func(name string, from int, dot func(a, b, c Op)) {
		r.groups(name, func(g int, m Op) {
			v, sum := ZMM(), ZMM()
			VPERMB(m, source, v)
			VPMULTISHIFTQB(v, pick, v)
			VPANDD(keep, v, v)
			VMOVDQA32(count, sum)
			dot(ones, v, sum)
			p.sum(sum, from)
			VMOVDQU32(sum, at(out, 64*g))
		})
	}
	CMPQ(width, U8(maxByteWidth))
	JA(LabelRef("words"))
	broadcastConst(0x01010101, ones)
	VMOVDQU32(count4, count)
	sums("Bytes", 4, func(a, b, c Op) { VPDPBUSD(a, b, c) })
	Label("words")
	broadcastConst(0x00010001, ones)
	VMOVDQU32(count2, count)
	sums("Words", 2, func(a, b, c Op) { VPDPWSSD(a, b, c) })

	Label("each")
	groups512(src, n, width, func(g int, v reg.VecVirtual) {
		p.sum(v, 1)
		VMOVDQU32(v, at(out, 64*g))
	})
}

// prefix512 adds up 16 lanes at a time. The sum so far is in every lane of carry.
type prefix512 struct {
	last4, last8, last, inc, carry reg.VecVirtual
	upper2, upper4, upper8         reg.OpmaskVirtual
}

func newPrefix512() prefix512 {
	p := prefix512{ZMM(), ZMM(), ZMM(), ZMM(), ZMM(), K(), K(), K()}
	VMOVDQU32(last4, p.last4)
	broadcastConst(zmmLen/2-1, p.last8)
	broadcastConst(zmmLen-1, p.last)
	VMOVDQU32(inc, p.inc)
	setMask(0xcccc, p.upper2)
	setMask(0xf0f0, p.upper4)
	setMask(0xff00, p.upper8)
	return p
}

// setMask sets a mask of 16 lanes.
func setMask(lanes uint32, k reg.OpmaskVirtual) {
	r := GP32()
	MOVL(U32(lanes), r)
	KMOVW(r, k)
}

// sum replaces v by carry plus the sums of v[j]+1 over j <= i, and moves carry on: pairs are added up, then fours, eights and all, each
// time by adding the last sum of the lower half to the upper half. Only one addition lies on the path from one carry to the next. Groups of
// from lanes are added up already; if these are more than one, so are the ones.
func (p prefix512) sum(v reg.VecVirtual, from int) {
	t := ZMM()
	if from == 1 {
		VPSLLQ(U8(32), v, t)
		VPADDD(t, v, v)
	}
	if from <= 2 {
		t = ZMM()
		VPSHUFD_Z(U8(0x50), v, p.upper2, t)
		VPADDD(t, v, v)
	}
	t = ZMM()
	VPERMD_Z(v, p.last4, p.upper4, t)
	VPADDD(t, v, v)
	t = ZMM()
	VPERMD_Z(v, p.last8, p.upper8, t)
	VPADDD(t, v, v)
	if from == 1 {
		VPADDD(p.inc, v, v)
	}
	total := ZMM()
	VPERMD(v, p.last, total)
	VPADDD(p.carry, v, v)
	VPADDD(total, p.carry, p.carry)
}

func unpackDeltas2() {
	kernel("unpackDeltas2", "(out *uint32, src *byte, groups, width int, base uint32)",
		"unpacks gaps less one as unpack2 does and adds them up from base.")
	out, src, groups, width := pointer("out"), pointer("src"), pointer("groups"), pointer("width")
	p := newPrefix2()
	broadcast("base", p.carry)
	groups2(src, groups, width, func(v reg.VecVirtual) {
		p.sum(v)
		VMOVDQU(v, at(out, 0))
		ADDQ(U8(32), out)
	})
}

// prefix2 is prefix512 for eight lanes.
type prefix2 struct {
	middle, last, inc, carry, zero reg.VecVirtual
}

func newPrefix2() prefix2 {
	p := prefix2{YMM(), YMM(), YMM(), YMM(), YMM()}
	broadcastConst(ymmLen/2-1, p.middle)
	broadcastConst(ymmLen-1, p.last)
	VMOVDQU(inc, p.inc)
	VPXOR(p.zero, p.zero, p.zero)
	return p
}

func (p prefix2) sum(v reg.VecVirtual) {
	for _, bytes := range []uint8{4, 8} { // within each half
		t := YMM()
		VPSLLDQ(U8(bytes), v, t)
		VPADDD(t, v, v)
	}
	t := YMM()
	VPERMD(v, p.middle, t) // the sum of the lower half, for the upper
	VPBLENDD(U8(0x0f), p.zero, t, t)
	VPADDD(t, v, v)
	VPADDD(p.inc, v, v)
	total := YMM()
	VPERMD(v, p.last, total)
	VPADDD(p.carry, v, v)
	VPADDD(total, p.carry, p.carry)
}
