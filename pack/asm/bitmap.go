package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const bitmapBytes = bitmapLen / 8

// bitmapUnroll is the registers that a loop over a bitmap handles in one round.
const bitmapUnroll = 8

// overBitmap emits a loop over one or more bitmaps side by side. each emits what is done with the step bytes from i*step.
func overBitmap(step int, each func(i int), bitmaps ...reg.GPVirtual) {
	past := GP64()
	LEAQ(at(bitmaps[0], bitmapBytes), past)
	Label("loop")
	for i := range bitmapUnroll {
		each(i)
	}
	for _, b := range bitmaps {
		ADDQ(U32(uint32(bitmapUnroll*step)), b)
	}
	CMPQ(bitmaps[0], past)
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
			overBitmap(step, func(i int) {
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
			}, b, o)
			end()
		}
	}
	bitmapCount()
}

// bitmapCount writes both forms of a count.
func bitmapCount() {
	kernel("bitmapCount512", "(b *uint64) int", "is Count.")
	b := pointer("b")
	sum := [2]reg.VecVirtual{ZMM(), ZMM()}
	VPXORQ(sum[0], sum[0], sum[0])
	VPXORQ(sum[1], sum[1], sum[1])
	overBitmap(64, func(i int) {
		v := ZMM()
		VPOPCNTQ(at(b, 64*i), v)
		VPADDQ(v, sum[i%2], sum[i%2])
	}, b)
	VPADDQ(sum[1], sum[0], sum[0])
	end(sumOf512(sum[0], true))

	kernel("bitmapCount2", "(b *uint64) int", "is Count.")
	b = pointer("b")
	n, c := GP64(), GP64()
	XORQ(n, n)
	overBitmap(8, func(i int) {
		XORQ(c, c) // older processors wait for what the register held
		POPCNTQ(at(b, 8*i), c)
		ADDQ(c, n)
	}, b)
	result(0, n)
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
	end()
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
	end()
}
