package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const bitmapBytes = bitmapLen / 8

// bitmapUnroll is the registers that a loop over a bitmap handles in one round.
const bitmapUnroll = 8

// overBitmap emits a loop over the bitmap at b, and that at o if it is not nil. each emits what is done with the step bytes from i*step.
func overBitmap(b, o reg.GPVirtual, step int, each func(i int)) {
	end := GP64()
	LEAQ(at(b, bitmapBytes), end)
	Label("loop")
	for i := range bitmapUnroll {
		each(i)
	}
	for _, p := range []reg.GPVirtual{b, o} {
		if p != nil {
			ADDQ(U32(uint32(bitmapUnroll*step)), p)
		}
	}
	CMPQ(b, end)
	JB(LabelRef("loop"))
}

// bitmaps writes the operations on whole bitmaps.
func bitmaps() {
	for _, op := range []struct {
		name, doc  string
		op512, op2 func(m, v, out Op)
		invert     bool
	}{
		{"And", "keeps in b what o marks.", func(m, v, out Op) { VPANDQ(m, v, out) }, func(m, v, out Op) { VPAND(m, v, out) }, false},
		{"Or", "adds to b what o marks.", func(m, v, out Op) { VPORQ(m, v, out) }, func(m, v, out Op) { VPOR(m, v, out) }, false},
		{"AndNot", "removes from b what o marks.", func(m, v, out Op) { VPANDNQ(m, v, out) }, func(m, v, out Op) { VPANDN(m, v, out) }, true},
	} {
		for _, wide := range []bool{true, false} {
			suffix, step := "2", 32
			if wide {
				suffix, step = "512", 64
			}
			kernel("bitmap"+op.name+suffix, "(b, o *uint64)", op.doc)
			b, o := pointer("b"), pointer("o")
			if op.invert { // the instruction complements the operand that is a register
				b, o = o, b
			}
			overBitmap(b, o, step, func(i int) {
				from, with := at(b, i*step), at(o, i*step)
				to := from
				if op.invert {
					to = with
				}
				if wide {
					v := ZMM()
					VMOVDQU64(from, v)
					op.op512(with, v, v)
					VMOVDQU64(v, to)
				} else {
					v := YMM()
					VMOVDQU(from, v)
					op.op2(with, v, v)
					VMOVDQU(v, to)
				}
			})
			VZEROUPPER()
			RET()
		}
	}
	bitmapCount("bitmapCount", "(b *uint64) int", "is Count.", false)
	bitmapCount("bitmapAndCount", "(b, o *uint64) int", "is AndCount.", true)
}

// bitmapCount writes both forms of a count: of one bitmap or of what is in two.
func bitmapCount(name, signature, doc string, both bool) {
	kernel(name+"512", signature, doc)
	b := pointer("b")
	var o reg.GPVirtual
	if both {
		o = pointer("o")
	}
	sum := [2]reg.VecVirtual{ZMM(), ZMM()}
	VPXORQ(sum[0], sum[0], sum[0])
	VPXORQ(sum[1], sum[1], sum[1])
	overBitmap(b, o, 64, func(i int) {
		v := ZMM()
		if both {
			VMOVDQU64(at(b, 64*i), v)
			VPANDQ(at(o, 64*i), v, v)
			VPOPCNTQ(v, v)
		} else {
			VPOPCNTQ(at(b, 64*i), v)
		}
		VPADDQ(v, sum[i%2], sum[i%2])
	})
	VPADDQ(sum[1], sum[0], sum[0])
	returnSum(sum[0], true)

	kernel(name+"2", signature, doc)
	b = pointer("b")
	if both {
		o = pointer("o")
	}
	n, c, w := GP64(), GP64(), GP64()
	XORQ(n, n)
	overBitmap(b, o, 8, func(i int) {
		if both {
			MOVQ(at(b, 8*i), w)
			ANDQ(at(o, 8*i), w)
			POPCNTQ(w, c)
		} else {
			XORQ(c, c) // older processors wait for what the register held
			POPCNTQ(at(b, 8*i), c)
		}
		ADDQ(c, n)
	})
	result(0, n)
	RET()
}

// returnSum returns the sum of the lanes of v: 64-bit ones or 32-bit ones.
func returnSum(v reg.VecVirtual, quads bool) {
	y, x, t := YMM(), XMM(), XMM()
	VEXTRACTI64X4(U8(1), v, y)
	sumLanes(y, v.AsY(), y, quads)
	VEXTRACTI128(U8(1), y, x)
	sumLanes(x, y.AsX(), x, quads)
	VPSHUFD(U8(0x4e), x, t)
	sumLanes(t, x, x, quads)
	n := GP64()
	if !quads {
		VPSHUFD(U8(0xb1), x, t)
		sumLanes(t, x, x, quads)
		VMOVD(x, n.As32())
	} else {
		VMOVQ(x, n)
	}
	VZEROUPPER()
	result(0, n)
	RET()
}

func sumLanes(a, b, out Op, quads bool) {
	if quads {
		VPADDQ(a, b, out)
	} else {
		VPADDD(a, b, out)
	}
}

// sums512 writes the walks over all sums of a window.
func sums512() {
	kernel("countNonZero512", "(s *uint32) int", "is CountNonZero.")
	s, end := pointer("s"), GP64()
	LEAQ(at(s, 4*windowLen), end)
	one, sum := ZMM(), [2]reg.VecVirtual{ZMM(), ZMM()}
	broadcastConst(1, one)
	VPXORD(sum[0], sum[0], sum[0])
	VPXORD(sum[1], sum[1], sum[1])
	Label("loop")
	for i := range 4 {
		v := ZMM()
		VPMINUD(at(s, 64*i), one, v)
		VPADDD(v, sum[i%2], sum[i%2])
	}
	ADDQ(U32(256), s)
	CMPQ(s, end)
	JB(LabelRef("loop"))
	VPADDD(sum[1], sum[0], sum[0])
	returnSum(sum[0], false)

	places := GLOBL("firstPlaces", RODATA|NOPTR)
	for i := range 32 {
		DATA(2*i, U16(i))
	}
	kernel("above512", "(dst *uint16, s *uint32, least uint32) int",
		"writes the places of the sums above least to dst and returns how many they are.")
	dst, s := pointer("dst"), pointer("s")
	least, at0, step := ZMM(), ZMM(), ZMM()
	broadcast("least", least)
	VMOVDQU16(places, at0)
	r := GP32()
	MOVL(U32(32), r)
	VPBROADCASTW(r, step)
	out, end := GP64(), GP64()
	MOVQ(dst, out)
	LEAQ(at(s, 4*windowLen), end)
	Label("loop")
	var k [4]reg.OpmaskVirtual
	for i := range k {
		v := ZMM()
		k[i] = K()
		VMOVDQU32(at(s, 64*i), v)
		VPCMPUD(U8(greater), least, v, k[i])
	}
	KUNPCKWD(k[0], k[1], k[1])
	KUNPCKWD(k[2], k[3], k[3])
	at1 := ZMM()
	VPADDW(step, at0, at1)
	KORTESTD(k[1], k[3])
	JEQ(LabelRef("none"))
	for i, p := range []reg.VecVirtual{at0, at1} {
		v, n := ZMM(), GP64()
		VPCOMPRESSW_Z(p, k[2*i+1], v)
		VMOVDQU16(v, at(out, 0)) // 32 places: they end before dst does, as no more were written than were seen
		KMOVD(k[2*i+1], n.As32())
		POPCNTL(n.As32(), n.As32())
		LEAQ(indexed(out, n, 2, 0), out)
	}
	Label("none")
	VPADDW(step, at1, at0)
	ADDQ(U32(256), s)
	CMPQ(s, end)
	JB(LabelRef("loop"))
	VZEROUPPER()
	SUBQ(dst, out)
	SHRQ(U8(1), out)
	result(0, out)
	RET()
}

func sums2() {
	kernel("countNonZero2", "(s *uint32) int", "is CountNonZero.")
	s, end := pointer("s"), GP64()
	LEAQ(at(s, 4*windowLen), end)
	zero, sum := YMM(), [2]reg.VecVirtual{YMM(), YMM()}
	VPXOR(zero, zero, zero)
	VPXOR(sum[0], sum[0], sum[0])
	VPXOR(sum[1], sum[1], sum[1])
	Label("loop")
	for i := range 4 { // a zero counts -1
		v := YMM()
		VPCMPEQD(at(s, 32*i), zero, v)
		VPADDD(v, sum[i%2], sum[i%2])
	}
	SUBQ(I32(-128), s)
	CMPQ(s, end)
	JB(LabelRef("loop"))
	VPADDD(sum[1], sum[0], sum[0])
	x, t := XMM(), XMM()
	VEXTRACTI128(U8(1), sum[0], x)
	VPADDD(x, sum[0].AsX(), x)
	VPSHUFD(U8(0x4e), x, t)
	VPADDD(t, x, x)
	VPSHUFD(U8(0xb1), x, t)
	VPADDD(t, x, x)
	n := GP64()
	VMOVD(x, n.As32())
	MOVLQSX(n.As32(), n)
	ADDQ(U32(windowLen), n)
	VZEROUPPER()
	result(0, n)
	RET()

	// v > least without a sign: the larger of both is not least.
	kernel("above2", "(dst *uint16, s *uint32, least uint32) int",
		"writes the places of the sums above least to dst and returns how many they are.")
	dst, s := pointer("dst"), pointer("s")
	least := YMM()
	broadcast("least", least)
	out, place, mask, bit, full := GP64(), GP64(), GP64(), GP64(), GP64()
	MOVQ(dst, out)
	XORQ(place, place)
	MOVQ(U32(0xffffffff), full)
	Label("loop")
	XORQ(mask, mask)
	for i := range 4 {
		v, m := YMM(), GP64()
		VPMAXUD(indexed(s, place, 4, 32*i), least, v)
		VPCMPEQD(least, v, v)
		VMOVMSKPS(v, m.As32())
		if i > 0 {
			SHLQ(U8(8*i), m)
		}
		ORQ(m, mask)
	}
	XORQ(full, mask)
	JEQ(LabelRef("none"))
	Label("bit")
	TZCNTQ(mask, bit)
	ADDQ(place, bit)
	MOVW(bit.As16(), at(out, 0))
	ADDQ(U8(2), out)
	BLSRQ(mask, mask)
	JNE(LabelRef("bit"))
	Label("none")
	ADDQ(U8(32), place)
	CMPQ(place, U32(windowLen))
	JB(LabelRef("loop"))
	VZEROUPPER()
	SUBQ(dst, out)
	SHRQ(U8(1), out)
	result(0, out)
	RET()
}

// addScaled writes both forms of AddScaled. Distinct documents make gathering and scattering right; without them, with AVX2, places and
// products are computed eight at a time and added one after the other.
func addScaled() {
	kernel("addScaled512", "(s *uint32, docs *uint32, impacts *byte, groups int, base, weight, offset uint32)",
		"is AddScaled of groups of 16 documents, by gathering and scattering.")
	s, docs, impacts, groups := pointer("s"), pointer("docs"), pointer("impacts"), pointer("groups")
	base, weight, offset, window := ZMM(), ZMM(), ZMM(), ZMM()
	broadcast("base", base)
	broadcast("weight", weight)
	broadcast("offset", offset)
	broadcastConst(windowLen-1, window)
	Label("loop")
	d, v, sum, k := ZMM(), ZMM(), ZMM(), K()
	VPMOVZXBD(at(impacts, 0), v)
	VMOVDQU32(at(docs, 0), d)
	VPSUBD(base, d, d)
	VPANDD(window, d, d)
	VPADDD(offset, v, v)
	VPMULLD(weight, v, v)
	KXNORW(k, k, k)
	VPXORD(sum, sum, sum)
	VPGATHERDD(Mem{Base: s, Index: d, Scale: 4}, k, sum)
	VPADDD(sum, v, v)
	KXNORW(k, k, k)
	VPSCATTERDD(v, k, Mem{Base: s, Index: d, Scale: 4})
	ADDQ(U8(64), docs)
	ADDQ(U8(16), impacts)
	DECQ(groups)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()

	kernel("addScaled2", "(s *uint32, docs *uint32, impacts *byte, groups int, base, weight, offset uint32)",
		"is AddScaled of groups of 8 documents.")
	AllocLocal(64)
	s, docs, impacts, groups = pointer("s"), pointer("docs"), pointer("impacts"), pointer("groups")
	base, weight, offset, window = YMM(), YMM(), YMM(), YMM()
	broadcast("base", base)
	broadcast("weight", weight)
	broadcast("offset", offset)
	VPCMPEQD(window, window, window)
	VPSRLD(U8(32-12), window, window)
	Label("loop")
	d, v = YMM(), YMM()
	VPMOVZXBD(at(impacts, 0), v)
	VMOVDQU(at(docs, 0), d)
	VPSUBD(base, d, d)
	VPAND(window, d, d)
	VPADDD(offset, v, v)
	VPMULLD(weight, v, v)
	VMOVDQU(v, at(reg.StackPointer, 0))
	for i := range 4 {
		if i == 2 {
			VEXTRACTI128(U8(1), d, d.AsX())
		}
		pair, first, p := GP64(), GP32(), GP32()
		if i%2 == 0 {
			VMOVQ(d.AsX(), pair)
		} else {
			VPEXTRQ(U8(1), d.AsX(), pair)
		}
		MOVL(pair.As32(), first)
		SHRQ(U8(32), pair)
		MOVL(at(reg.StackPointer, 8*i), p)
		ADDL(p, indexed(s, first.As64(), 4, 0))
		MOVL(at(reg.StackPointer, 8*i+4), p)
		ADDL(p, indexed(s, pair, 4, 0))
	}
	ADDQ(U8(32), docs)
	ADDQ(U8(8), impacts)
	DECQ(groups)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// setDocs512 gathers and scatters the words of 16 documents. As these ascend, those of one word are neighbours: each takes the marks of the
// ones before it, in steps of 1, 2, 4 and 8 lanes as far as any run of equal words goes, and the last one is scattered.
func setDocs512() {
	kernel("setDocs512", "(b *uint64, docs *uint32, groups int, base uint32)", "is SetDocs of groups of 16 documents.")
	b, docs, groups := pointer("b"), pointer("docs"), pointer("groups")
	base, one, words, none := ZMM(), ZMM(), ZMM(), ZMM()
	broadcast("base", base)
	broadcastConst(1, one)
	broadcastConst(bitmapLen/32-1, words)
	VPTERNLOGD(U8(0xff), none, none, none) // no word
	Label("loop")
	d, word, mark := ZMM(), ZMM(), ZMM()
	VMOVDQU32(at(docs, 0), d)
	VPSUBD(base, d, d)
	VPSRLD(U8(5), d, word)
	VPANDD(words, word, word)
	VPROLVD(d, one, mark)
	for step := 1; step < zmmLen; step *= 2 {
		before, same := ZMM(), K()
		VALIGND(U8(uint8(zmmLen-step)), none, word, before)
		VPCMPEQD(before, word, same)
		if step == 1 || step == 4 {
			KTESTW(same, same)
			JEQ(LabelRef("together"))
		}
		before = ZMM()
		VALIGND(U8(uint8(zmmLen-step)), none, mark, before)
		VPORD(before, mark, same, mark)
	}
	Label("together")
	next, last, k, marks := ZMM(), K(), K(), ZMM()
	VALIGND(U8(1), word, none, next)
	VPCMPD(U8(notEqual), next, word, last)
	KMOVW(last, k)
	VPXORD(marks, marks, marks)
	VPGATHERDD(Mem{Base: b, Index: word, Scale: 4}, k, marks)
	VPORD(marks, mark, mark)
	VPSCATTERDD(mark, last, Mem{Base: b, Index: word, Scale: 4})
	ADDQ(U8(64), docs)
	DECQ(groups)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// setDocs2 writes SetDocs by bytes, so that fewer of the marks wait for the one before: where and what are computed eight at a time and
// go through memory to where they are used one at a time.
func setDocs2() {
	kernel("setDocs2", "(b *uint64, docs *uint32, groups int, base uint32)", "is SetDocs of groups of 8 documents.")
	AllocLocal(64)
	b, docs, groups := pointer("b"), pointer("docs"), pointer("groups")
	base, one, seven, window := YMM(), YMM(), YMM(), YMM()
	broadcast("base", base)
	broadcastConst(1, one)
	broadcastConst(7, seven)
	broadcastConst(bitmapBytes-1, window)
	Label("loop")
	d, bit := YMM(), YMM()
	VMOVDQU(at(docs, 0), d)
	VPSUBD(base, d, d)
	VPAND(seven, d, bit)
	VPSLLVD(bit, one, bit)
	VPSRLD(U8(3), d, d)
	VPAND(window, d, d)
	VMOVDQU(d, at(reg.StackPointer, 0))
	VMOVDQU(bit, at(reg.StackPointer, 32))
	for i := range ymmLen {
		place, mark := GP32(), GP32()
		MOVL(at(reg.StackPointer, 4*i), place)
		MOVL(at(reg.StackPointer, 32+4*i), mark)
		ORB(mark.As8(), indexed(b, place.As64(), 1, 0))
	}
	ADDQ(U8(32), docs)
	DECQ(groups)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
