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

var table, table2, inc, last4, count2, count4, bitNumbers Mem

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
	bitNumbers = GLOBL("bitNumbers", RODATA|NOPTR)
	for i := range 64 {
		DATA(i, U8(i))
	}
	bitTable()
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
	tab := tableRow(table, tableSize, width)
	index, shift, mask, high := ZMM(), ZMM(), ZMM(), ZMM()
	VMOVDQU32(at(tab, rowBytes), index)
	VMOVDQU32(at(tab, rowShifts), shift)
	broadcastReg(lowBits(width).As32(), mask)
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

// tableRow returns the address of the rows of a width, which take size bytes.
func tableRow(table Mem, size uint8, width reg.GPVirtual) reg.GPVirtual {
	row, tab := GP64(), GP64()
	IMUL3Q(U8(size), width, row)
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
	end()
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
	end()
}

func unpack512() {
	kernel("unpack512", "(out *uint32, src *byte, n, width int)", "unpacks 128 values of a width from 1 to 32 from n bytes.")
	out, src, n, width := pointer("out"), pointer("src"), pointer("n"), pointer("width")
	groups512(src, n, width, func(g int, v reg.VecVirtual) { VMOVDQU32(v, at(out, 64*g)) })
}

// groups2 emits the loop over the groups of eight values. The two halves of a group are loaded apart, 16 bytes each.
func groups2(src, groups, width reg.GPVirtual, each func(v reg.VecVirtual)) {
	tab := tableRow(table2, tableSize2, width)
	index, shift, mask := YMM(), YMM(), YMM()
	VMOVDQU(at(tab, rowBytes2), index)
	VMOVDQU(at(tab, rowShifts2), shift)
	broadcastReg(lowBits(width).As32(), mask)
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
	end()
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
