package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The horizontal layout: value i of a group begins at bit i*width. A byte shuffle brings into each 32-bit lane the four bytes from the
// one its value begins in, a variable shift drops the bits before it, a mask those after it. With a width above 25 a value can touch
// a fifth byte; then a second shuffle brings the four bytes after and the shift is one over both.

// Rows of the table of a width, 64 bytes each.
const (
	rowBytes  = 0   // for 16 lanes: where the four bytes are
	rowShifts = 64  // for 16 lanes: the bits before the value
	rowHigh   = 128 // for 16 lanes: where the four bytes after these are
	tableSize = 192

	rowBytes2  = 0  // for AVX2: 4 lanes twice, each half within its own 16 bytes
	rowShifts2 = 32 // and the bits before
	tableSize2 = 64

	maxWidth       = 32
	maxShortWidth  = 25 // the widest value that always lies in four bytes
	bytesPerGroup  = 2  // times the width: 16 values
	bytesPerGroup2 = 1  // times the width: 8 values
)

var table, table2, inc, last4, count2, count4 Mem

func unpackTables() {
	table = GLOBL("unpackTable512", RODATA|NOPTR)
	for w := range maxWidth + 1 {
		row := func(at int, lane func(i int) uint32) { lanes(w*tableSize+at, zmmLen, lane) }
		row(rowBytes, func(i int) uint32 { return run4(uint32(i * w / 8)) })
		row(rowShifts, func(i int) uint32 { return uint32(i * w % 8) })
		row(rowHigh, func(i int) uint32 { return run4(uint32(i*w/8 + 4)) })
	}
	table2 = GLOBL("unpackTable2", RODATA|NOPTR)
	for w := range maxShortWidth + 1 {
		bit := func(i int) int { // the second half begins in the middle of a byte when the width is odd
			return i%4*w + i/4*4*(w%2)
		}
		lanes(w*tableSize2+rowBytes2, ymmLen, func(i int) uint32 { return run4(uint32(bit(i) / 8)) })
		lanes(w*tableSize2+rowShifts2, ymmLen, func(i int) uint32 { return uint32(bit(i) % 8) })
	}
	inc = GLOBL("countUp", RODATA|NOPTR)
	lanes(0, zmmLen, func(i int) uint32 { return uint32(i + 1) })
	count2 = GLOBL("countTwos", RODATA|NOPTR)
	lanes(0, zmmLen, func(i int) uint32 { return uint32(i%2 + 1) })
	count4 = GLOBL("countFours", RODATA|NOPTR)
	lanes(0, zmmLen, func(i int) uint32 { return uint32(i%4 + 1) })
	sumTables()
	last4 = GLOBL("lastOfFour", RODATA|NOPTR)
	lanes(0, zmmLen, func(i int) uint32 { return uint32(i/8*8 + 3) })
}

// lanes declares n 32-bit lanes, two in a directive.
func lanes(at, n int, lane func(i int) uint32) {
	for i := 0; i < n; i += 2 {
		DATA(at+4*i, U64(uint64(lane(i))|uint64(lane(i+1))<<32))
	}
}

// run4 holds the indexes of four bytes from b, modulo 64.
func run4(b uint32) uint32 {
	var v uint32
	for k := range uint32(4) {
		v |= (b + k) % 64 << (8 * k)
	}
	return v
}

// groups512 emits the loop over the eight groups of a block in three forms: values within four bytes; the same when n says that src
// ends before 64 bytes after the last group, so that only the bytes of the group may be read; and values of up to five bytes. each gets
// a group's 16 values and its number.
func groups512(src, n, width reg.GPVirtual, each func(g int, v reg.VecVirtual)) {
	tab := tableRow(table, width)
	index, shift, mask, high := ZMM(), ZMM(), ZMM(), ZMM()
	VMOVDQU32(at(tab, rowBytes), index)
	VMOVDQU32(at(tab, rowShifts), shift)
	m := GP64()
	MOVQ(I32(-1), m)
	BZHIQ(width, m, m)
	VPBROADCASTD(m.As32(), mask)
	r := newReader512(src, n, width)
	narrow := func(g int, from Op) {
		v := ZMM()
		VPERMB(from, index, v)
		VPSRLVD(shift, v, v)
		VPANDD(mask, v, v)
		each(g, v)
	}
	CMPQ(width, U8(maxShortWidth))
	JA(LabelRef("wide"))
	r.groups("", narrow)
	Label("wide")
	VMOVDQU32(at(tab, rowHigh), high)
	r.careful(func(g int, from Op) {
		v, h := ZMM(), ZMM()
		VPERMB(from, index, v)
		VPERMB(from, high, h)
		VPSHRDVD(shift, h, v)
		VPANDD(mask, v, v)
		each(g, v)
	})
}

// tableRow returns the address of the rows of a width.
func tableRow(table Mem, width reg.GPVirtual) reg.GPVirtual {
	row, tab := GP64(), GP64()
	IMUL3Q(U8(tableSize), width, row)
	LEAQ(table, tab)
	ADDQ(row, tab)
	return tab
}

// reader512 goes through the groups of 16 values, 2*width bytes each.
type reader512 struct {
	src, n, step, need reg.GPVirtual
	load               reg.OpmaskVirtual // the bytes of a group
}

func newReader512(src, n, width reg.GPVirtual) reader512 {
	r := reader512{src: src, n: n, step: GP64(), need: GP64()}
	LEAQ(indexed(width, width, 1, 0), r.step)
	IMUL3Q(U8(7), r.step, r.need)
	ADDQ(U8(64), r.need)
	r.load = lowMask(r.step)
	return r
}

// groups emits the loop that reads 64 bytes for each group, and the one that does not; they return.
func (r reader512) groups(name string, each func(g int, from Op)) {
	CMPQ(r.n, r.need)
	JB(LabelRef("careful" + name))
	for g := range blockLen / zmmLen {
		each(g, at(r.src, 0))
		ADDQ(r.step, r.src)
	}
	VZEROUPPER()
	RET()
	Label("careful" + name)
	r.careful(each)
}

func (r reader512) careful(each func(g int, from Op)) {
	for g := range blockLen / zmmLen {
		from := ZMM()
		VMOVDQU8_Z(at(r.src, 0), r.load, from)
		ADDQ(r.step, r.src)
		each(g, from)
	}
	VZEROUPPER()
	RET()
}

func unpack512() {
	kernel("unpack512", "(out *uint32, src *byte, n, width int)", "unpacks 128 values of a width from 1 to 32 from n bytes.")
	out, src, n, width := pointer("out"), pointer("src"), pointer("n"), pointer("width")
	groups512(src, n, width, func(g int, v reg.VecVirtual) { VMOVDQU32(v, at(out, 64*g)) })
}

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

	tab := tableRow(sumTable, width)
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

func starts512() {
	kernel("starts512", "(out *uint32, counts *uint32)", "is Starts.")
	out, counts := pointer("out"), pointer("counts")
	p := newPrefix512()
	VPXORD(p.carry, p.carry, p.carry)
	VMOVD(p.carry.AsX(), at(out, 0))
	for g := range blockLen / zmmLen {
		v := ZMM()
		VMOVDQU32(at(counts, 64*g), v)
		p.sum(v, 1)
		VMOVDQU32(v, at(out, 64*g+4))
	}
	VZEROUPPER()
	RET()
}

// groups2 emits the loop over the groups of eight values. The two halves of a group are loaded apart, 16 bytes each.
func groups2(src, groups, width reg.GPVirtual, each func(v reg.VecVirtual)) {
	row, tab := GP64(), GP64()
	IMUL3Q(U8(tableSize2), width, row)
	LEAQ(table2, tab)
	ADDQ(row, tab)
	index, shift, mask := YMM(), YMM(), YMM()
	VMOVDQU(at(tab, rowBytes2), index)
	VMOVDQU(at(tab, rowShifts2), shift)
	m := GP64()
	MOVQ(I32(-1), m)
	BZHIQ(width, m, m)
	x := XMM()
	VMOVD(m.As32(), x)
	VPBROADCASTD(x, mask)
	half := GP64()
	MOVQ(width, half)
	SHRQ(U8(1), half)
	ADDQ(src, half)
	Label("loop")
	v := YMM()
	VMOVDQU(at(src, 0), v.AsX())
	VINSERTI128(U8(1), at(half, 0), v, v)
	VPSHUFB(index, v, v)
	VPSRLVD(shift, v, v)
	VPAND(mask, v, v)
	ADDQ(width, src)
	ADDQ(width, half)
	each(v)
	DECQ(groups)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func unpack2() {
	kernel("unpack2", "(out *uint32, src *byte, groups, width int)",
		"unpacks groups of eight values of a width from 1 to 25. For each it reads the 16 bytes from width/2 after its beginning.")
	out, src, groups, width := pointer("out"), pointer("src"), pointer("groups"), pointer("width")
	groups2(src, groups, width, func(v reg.VecVirtual) {
		VMOVDQU(v, at(out, 0))
		ADDQ(U8(32), out)
	})
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

func starts2() {
	kernel("starts2", "(out *uint32, counts *uint32)", "is Starts.")
	out, counts := pointer("out"), pointer("counts")
	p := newPrefix2()
	VPXOR(p.carry, p.carry, p.carry)
	VMOVD(p.zero.AsX(), at(out, 0))
	for g := range blockLen / ymmLen {
		v := YMM()
		VMOVDQU(at(counts, 32*g), v)
		p.sum(v)
		VMOVDQU(v, at(out, 32*g+4))
	}
	VZEROUPPER()
	RET()
}
