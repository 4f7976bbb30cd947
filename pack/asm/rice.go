package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The places of the ones are squeezed together word by word as unpackBits512 does, but kept as 16 bits each, in memory: places[i] for one i.
const (
	placesAt    = 64                          // where they begin, so that there is one before the first
	placesBytes = 2 * (blockLen + 64)         // 128 of them, and what the last word has beyond these
	riceLocal   = placesAt + placesBytes + 64 // a multiple of 64
)

func rice512() {
	unary512("unpackRice512", "are the differences of the places, less one", func(g, v reg.VecVirtual, places reg.GPVirtual) {
		w := YMM()
		VMOVDQU(at(places, 0), w)
		VPSUBW(at(places, -2), w, w)
		VPSUBW(g.AsY(), w, w)
		VPMOVZXWD(w, v)
	}, true)
	unary512("unpackSums512", "are the places, each less its number", func(g, v reg.VecVirtual, places reg.GPVirtual) {
		VPMOVZXWD(at(places, 0), v)
		VPSUBD(g, v, v)
	}, false)
}

// unary512 writes a kernel that puts values together from low bits, packed, and the rest, which high takes from the places of the ones. Its
// first argument holds the numbers of the values, or words of one if they are not asked for.
func unary512(name, doc string, high func(g, v reg.VecVirtual, places reg.GPVirtual), ones bool) {
	kernel(name, "(out *uint32, lows *byte, size int, highs *byte, words int, last uint64, n, width int) bool",
		"unpacks n values, 1 to 128, and as many as make it a multiple of 16, of which the low bits, 0 to 25, are packed in size bytes, no fewer than "+
			"they need; the others "+doc+", of the ones of words 64-bit words and of last, at most 65,536 bits. It reports whether there are n ones.")
	AllocLocal(riceLocal)
	placesOfOnes512()
	Label("found")

	out, lows, size, width := pointer("out"), pointer("lows"), pointer("size"), pointer("width")
	n := pointer("n")
	tab := tableRow(table, tableSize, width)
	index, shift, mask, up, number, step := ZMM(), ZMM(), ZMM(), ZMM(), ZMM(), ZMM()
	VMOVDQU32(at(tab, rowBytes), index)
	VMOVDQU32(at(tab, rowShifts), shift)
	broadcastReg(lowBits(width).As32(), mask)
	VPBROADCASTD(width.As32(), up)
	firstNumbers(ones, number, step)
	ADDQ(width, width) // the bytes of a group
	places := GP64()
	LEAQ(at(reg.StackPointer, placesAt), places)
	Label("group")
	v, h := ZMM(), ZMM()
	high(number, h, places)
	VPSLLVD(up, h, h)
	CMPQ(size, U8(64))
	JB(LabelRef("part"))
	VPERMB(at(lows, 0), index, v)
	Label("lows")
	VPSRLVD(shift, v, v)
	VPTERNLOGD(U8(0xea), h, mask, v) // v&mask | h
	VMOVDQU32(v, at(out, 0))
	if !ones {
		VPADDD(step, number, number)
	}
	ADDQ(width, lows)
	SUBQ(width, size)
	ADDQ(U8(64), out)
	ADDQ(U8(2*zmmLen), places)
	SUBQ(U8(zmmLen), n)
	JG(LabelRef("group"))
	endWith(true)

	Label("part")
	load := lowMask(size)
	VMOVDQU8_Z(at(lows, 0), load, v)
	VPERMB(v, index, v)
	JMP(LabelRef("lows"))
}

// firstNumbers sets the first argument of high for the first group, and the step to that of the next.
func firstNumbers(ones bool, number, step reg.VecVirtual) {
	if ones {
		broadcastConst(0x00010001, number)
		return
	}
	VPMOVZXBD(bitNumbers, number)
	broadcastConst(uint32(number.Size()/4), step)
}

// placesOfOnes512 emits the loop that finds n ones; it returns false, or goes on behind it.
func placesOfOnes512() {
	highs, words, n := pointer("highs"), pointer("words"), pointer("n")
	iota, base, step := ZMM(), ZMM(), ZMM()
	VMOVDQU8(bitNumbers, iota)
	VPXORD(base, base, base)
	broadcastConst(64|64<<16, step)
	places, enough, w, c := GP64(), GP64(), GP64(), GP64()
	LEAQ(at(reg.StackPointer, placesAt), places)
	LEAQ(indexed(places, n, 2, 0), enough)
	MOVW(I16(-1), at(places, -2))
	nextWord(highs, words, w)
	k, packed, lo, hi := K(), ZMM(), ZMM(), ZMM()
	POPCNTQ(w, c)
	KMOVQ(w, k)
	VPCOMPRESSB_Z(iota, k, packed)
	VPMOVZXBW(packed.AsY(), lo)
	VEXTRACTI64X4(U8(1), packed, hi.AsY())
	VPMOVZXBW(hi.AsY(), hi)
	VPADDW(base, lo, lo)
	VPADDW(base, hi, hi)
	VPADDW(step, base, base)
	VMOVDQU16(lo, at(places, 0))
	VMOVDQU16(hi, at(places, 64))
	LEAQ(indexed(places, c, 2, 0), places)
	endOfPlaces(words, w, places, enough)
}

// endOfPlaces emits the end of the loop over words: to found when places has come to enough, to the next word while there is one, and else
// it returns false.
func endOfPlaces(words, w, places, enough reg.GPVirtual) {
	CMPQ(places, enough)
	JB(LabelRef("next"))
	JMP(LabelRef("found"))
	Label("lastWord")
	Load(Param("last"), w)
	CMPQ(words, I8(-1))
	JEQ(LabelRef("word"))
	endWith(false)
}

// endWith leaves a kernel with a constant as its result.
func endWith(ok bool) {
	VZEROUPPER()
	r := GP8()
	if ok {
		MOVB(U8(1), r)
	} else {
		XORB(r, r)
	}
	result(0, r)
	RET()
}

func rice2() {
	unary2("unpackRice2", "as many as there are zeros before each one", func(one, v reg.VecVirtual, places reg.GPVirtual) {
		VMOVDQU(at(places, 0), v.AsX())
		VPSUBW(at(places, -2), v.AsX(), v.AsX())
		VPSUBW(one.AsX(), v.AsX(), v.AsX())
		VPMOVZXWD(v.AsX(), v)
	}, true)
	unary2("unpackSums2", "as many as there are zeros before each one and all before it", func(number, v reg.VecVirtual, places reg.GPVirtual) {
		VPMOVZXWD(at(places, 0), v)
		VPSUBD(number, v, v)
	}, false)
}

// unary2 writes a kernel that adds the high bits to values. high and ones are those of unary512.
func unary2(name, doc string, high func(g, v reg.VecVirtual, places reg.GPVirtual), ones bool) {
	kernel(name, "(out *uint32, highs *byte, words int, last uint64, n, width int) bool",
		"adds what lies above the low bits, of which there are width, to n values, 1 to 128, and as many as make it a multiple of 8: "+doc+
			" in words 64-bit words and last, at most 65,536 bits. It reports whether there are n ones.")
	AllocLocal(riceLocal)
	placesOfOnes2()
	Label("found")
	out, n := pointer("out"), pointer("n")
	number, step, up := YMM(), YMM(), XMM()
	VMOVQ(pointer("width"), up)
	firstNumbers(ones, number, step)
	places := GP64()
	LEAQ(at(reg.StackPointer, placesAt), places)
	Label("group")
	v := YMM()
	high(number, v, places)
	VPSLLD(up, v, v)
	VPOR(at(out, 0), v, v)
	VMOVDQU(v, at(out, 0))
	if !ones {
		VPADDD(step, number, number)
	}
	ADDQ(U8(32), out)
	ADDQ(U8(2*ymmLen), places)
	SUBQ(U8(ymmLen), n)
	JG(LabelRef("group"))
	endWith(true)
}

// placesOfOnes2 is placesOfOnes512 byte by byte, with a table.
func placesOfOnes2() {
	highs, words, n := pointer("highs"), pointer("words"), pointer("n")
	base, step := XMM(), YMM()
	VPXOR(base, base, base)
	broadcastConst(8|8<<16, step)
	tab, places, enough, w := GP64(), GP64(), GP64(), GP64()
	LEAQ(bitsOfByte, tab)
	LEAQ(at(reg.StackPointer, placesAt), places)
	LEAQ(indexed(places, n, 2, 0), enough)
	MOVW(I16(-1), at(places, -2))
	nextWord(highs, words, w)
	for i := range 8 {
		b, c, v := GP32(), GP32(), XMM()
		MOVBLZX(w.As8(), b)
		if i < 7 {
			SHRQ(U8(8), w)
		}
		VPMOVZXBW(indexed(tab, b.As64(), 8, 0), v)
		VPADDW(base, v, v)
		VPADDW(step.AsX(), base, base)
		VMOVDQU(v, at(places, 0))
		POPCNTL(b, c)
		LEAQ(indexed(places, c.As64(), 2, 0), places)
	}
	endOfPlaces(words, w, places, enough)
}

// prefixSums writes both forms of PrefixSum. A sum that is not larger than its gap has passed 32 bits.
func prefixSums() {
	kernel("prefixSum512", "(dst, gaps *uint32, n int, base uint32) bool", "is PrefixSum of n gaps, at least one.")
	dst, gaps, n := pointer("dst"), pointer("gaps"), pointer("n")
	p := newPrefix512()
	broadcast("base", p.carry)
	passed := K()
	KXORW(passed, passed, passed)
	Label("loop")
	load, k := lowMask(n), K()
	gap, v := ZMM(), ZMM()
	VMOVDQU32_Z(at(gaps, 0), load, gap)
	VMOVDQA32(gap, v)
	p.sum(v, 1)
	VMOVDQU32(v, load, at(dst, 0))
	VPCMPUD(U8(atMost), gap, v, load, k)
	KORW(k, passed, passed)
	ADDQ(U8(64), gaps)
	ADDQ(U8(64), dst)
	SUBQ(U8(zmmLen), n)
	JA(LabelRef("loop"))
	VZEROUPPER()
	ok := GP8()
	KORTESTW(passed, passed)
	SETEQ(ok)
	result(0, ok)
	RET()

	kernel("prefixSum2", "(dst, gaps *uint32, groups int, base uint32) bool", "is PrefixSum of groups of 8 gaps.")
	dst, gaps, groups := pointer("dst"), pointer("gaps"), pointer("groups")
	p2 := newPrefix2()
	broadcast("base", p2.carry)
	wrong := YMM()
	VPXOR(wrong, wrong, wrong)
	Label("loop")
	gap, v = YMM(), YMM()
	VMOVDQU(at(gaps, 0), gap)
	VMOVDQA(gap, v)
	p2.sum(v)
	VMOVDQU(v, at(dst, 0))
	VPMAXUD(gap, v, v)
	VPCMPEQD(gap, v, v)
	VPOR(v, wrong, wrong)
	ADDQ(U8(32), gaps)
	ADDQ(U8(32), dst)
	DECQ(groups)
	JNZ(LabelRef("loop"))
	VPTEST(wrong, wrong)
	ok = GP8()
	SETEQ(ok)
	VZEROUPPER()
	result(0, ok)
	RET()
}
