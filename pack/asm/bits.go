package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// nextWord emits the beginning of a loop over 64-bit words, one of which comes into w: it goes to lastWord behind them, whose code may
// go back to word with one more.
func nextWord(src, words, w reg.GPVirtual) {
	Label("next")
	DECQ(words)
	JL(LabelRef("lastWord"))
	MOVQ(at(src, 0), w)
	ADDQ(U8(8), src)
	Label("word")
}

// endOfBits emits the end of both forms of unpackBits: after the words comes the last one if it is not zero, then n is returned, or total when a
// word has brought too many.
func endOfBits(words, w, n, total reg.GPVirtual) {
	Label("lastWord")
	CMPQ(words, I8(-1))
	JNE(LabelRef("finish"))
	Load(Param("last"), w)
	TESTQ(w, w)
	JNE(LabelRef("word"))
	Label("finish")
	MOVQ(n, total)
	Label("end")
	end(total)
}

// unpackBits512 goes by 64 bits: the numbers 0..63 of the set ones are squeezed together as bytes, then widened 16 at a time. Few words
// have more than 32 of 64 bits set, so what comes after two groups is behind a branch. Near the end of the block only as many
// lanes as there are bits are written.
func unpackBits512() {
	kernel("unpackBits512", "(out *uint32, src *byte, words int, last uint64, first uint32, dense bool) int",
		"writes the numbers of the set bits of words 64-bit words of src and of last, counted from first. It returns how many there are, "+
			"or more than 128, and less than 256, when it gave up. It is dense when words with more than 16 bits set are many.")
	out, src, words := pointer("out"), pointer("src"), pointer("words")
	iota, base, step := ZMM(), ZMM(), ZMM()
	VMOVDQU8(bitNumbers, iota)
	broadcast("first", base)
	broadcastConst(64, step)
	n := GP64()
	XORQ(n, n)
	w, c, total := GP64(), GP64(), GP64()
	dense := Load(Param("dense"), GP8()).(reg.GPVirtual)
	groups := GP64() // lanes that are written without asking
	MOVBQZX(dense, groups)
	INCQ(groups)
	SHLQ(U8(4), groups)
	packed := ZMM()
	group := func(g int) {
		v := ZMM()
		VPMOVZXBD(packed.AsX(), v)
		VPADDD(base, v, v)
		VMOVDQU32(v, indexed(out, n, 4, 64*g))
	}
	shiftDown := func() { VALIGND(U8(4), packed, packed, packed) }

	nextWord(src, words, w)
	POPCNTQ(w, c)
	LEAQ(indexed(n, c, 1, 0), total)
	k := K()
	KMOVQ(w, k)
	VPCOMPRESSB_Z(iota, k, packed)
	CMPQ(n, U8(blockLen-2*zmmLen))
	JA(LabelRef("careful"))
	group(0)
	CMPQ(groups, U8(zmmLen))
	JEQ(LabelRef("written"))
	shiftDown()
	group(1)
	Label("written")
	CMPQ(c, groups)
	JA(LabelRef("more"))
	Label("done")
	MOVQ(total, n)
	VPADDD(step, base, base)
	JMP(LabelRef("next"))

	Label("more") // the first are written
	CMPQ(total, U32(blockLen))
	JA(LabelRef("end"))
	SUBQ(groups, c)
	ADDQ(groups, n)
	shiftDown()
	JMP(LabelRef("carefulLoop"))

	Label("careful")
	CMPQ(total, U32(blockLen))
	JA(LabelRef("end"))
	Label("carefulLoop")
	CMPQ(c, U8(0))
	JLE(LabelRef("done"))
	km := lowMask(c)
	v := ZMM()
	VPMOVZXBD(packed.AsX(), v)
	VPADDD(base, v, v)
	VMOVDQU32(v, km, indexed(out, n, 4, 0))
	shiftDown()
	ADDQ(U8(zmmLen), n)
	SUBQ(U8(zmmLen), c)
	JMP(LabelRef("carefulLoop"))

	endOfBits(words, w, n, total)
}

// bitsOfByte holds the numbers of the set bits of each byte, eight bytes a row.
var bitsOfByte Mem

func bitTable() {
	bitsOfByte = GLOBL("bitsOfByte", RODATA|NOPTR)
	for b := range 256 {
		var row uint64
		n := 0
		for i := range 8 {
			if b>>i&1 != 0 {
				row |= uint64(i) << (8 * n)
				n++
			}
		}
		DATA(8*b, U64(row))
	}
}

// unpackBits2 goes by bytes: a table has the numbers of the set bits of each. What comes near the end of the block is written bit by bit.
func unpackBits2() {
	kernel("unpackBits2", "(out *uint32, src *byte, words int, last uint64, first uint32) int",
		"writes the numbers of the set bits of words 64-bit words of src and of last, counted from first. It returns how many there are, "+
			"or more than 128, and less than 256, when it gave up.")
	out, src, words := pointer("out"), pointer("src"), pointer("words")
	first := Load(Param("first"), GP32()).(reg.GPVirtual)
	base, step := YMM(), YMM()
	broadcastReg(first, base)
	broadcastConst(8, step)
	tab, n := GP64(), GP64()
	LEAQ(bitsOfByte, tab)
	XORQ(n, n)
	w, total := GP64(), GP64()

	nextWord(src, words, w)
	POPCNTQ(w, total)
	ADDQ(n, total)
	CMPQ(total, U8(blockLen-8))
	JA(LabelRef("careful"))
	for i := range 8 {
		b, c, v := GP32(), GP32(), YMM()
		MOVBLZX(w.As8(), b)
		if i < 7 {
			SHRQ(U8(8), w)
		}
		VPMOVZXBD(indexed(tab, b.As64(), 8, 0), v)
		VPADDD(base, v, v)
		VPADDD(step, base, base)
		VMOVDQU(v, indexed(out, n, 4, 0))
		POPCNTL(b, c)
		ADDQ(c.As64(), n)
	}
	Label("done")
	ADDL(U8(64), first)
	JMP(LabelRef("next"))

	Label("careful")
	CMPQ(total, U32(blockLen))
	JA(LabelRef("end"))
	Label("bit")
	TESTQ(w, w)
	JEQ(LabelRef("done"))
	bit := GP64()
	TZCNTQ(w, bit)
	ADDL(first, bit.As32())
	MOVL(bit.As32(), indexed(out, n, 4, 0))
	INCQ(n)
	BLSRQ(w, w)
	JMP(LabelRef("bit"))

	endOfBits(words, w, n, total)
}

// addBits512 spreads the impacts of 64 places to the bytes of the set bits, in one instruction, sets as many bytes to the offset, and
// adds them four times 16 at a time: a lane holds an impact and an offset as words. Places without a bit get zeros to add, so that
// nothing depends on a mask but the spreading.
func addBits512() {
	spread := GLOBL("spreadBytes", RODATA|NOPTR) // byte i of 16 as the lowest of a lane, byte 32+i as the one before the highest
	lanes(0, zmmLen, func(i int) uint32 { return uint32(i | (32+i)<<16) })
	kernel("addBits512", "(sums *uint32, n int, src *byte, whole int, last, before uint64, shift int, impacts *byte, left int, weight, offset uint32)",
		"adds weight*(offset+impact) to sums[j] for every bit j that is set in n 64-bit words: those of src, of which there are whole ones and last, "+
			"shifted up by shift bits; the lowest come from before. offset is below 256.")
	sums, n, src, whole := pointer("sums"), pointer("n"), pointer("src"), pointer("whole")
	last, before, shift := pointer("last"), pointer("before"), pointer("shift")
	impacts, left := pointer("impacts"), pointer("left")
	weight, large := ZMM(), GP64()
	Load(Param("weight"), large.As32())
	VPBROADCASTW(large.As32(), weight)
	SHRQ(U8(15), large) // not zero: the weight is no positive number of 16 bits
	index, offset := [2]reg.VecVirtual{ZMM(), ZMM()}, ZMM()
	VMOVDQU32(spread, index[0])
	broadcastConst(zmmLen|zmmLen<<16, index[1])
	VPADDD(index[0], index[1], index[1])
	least := Load(Param("offset"), GP32()).(reg.GPVirtual)
	VPBROADCASTB(least, offset)
	low := K() // the lowest byte of each word
	mask := GP64()
	MOVQ(Imm(0x5555555555555555), mask)
	KMOVQ(mask, low)
	back := GP64() // the shift of the bits from the word before is 64-shift, one of them always
	MOVQ(U32(63), back)
	SUBQ(shift, back)

	w, x := GP64(), GP64()
	nextWord(src, whole, w)
	SHRQ(U8(1), before)
	SHRXQ(back, before, before)
	SHLXQ(shift, w, x)
	ORQ(before, x)
	MOVQ(w, before)
	k, bytes, offsets := K(), ZMM(), ZMM()
	KMOVQ(x, k)
	CMPQ(left, U8(64))
	JL(LabelRef("few"))
	VPEXPANDB_Z(at(impacts, 0), k, bytes)
	Label("spread")
	VMOVDQU8_Z(offset, k, offsets)
	half := [2]reg.VecVirtual{ZMM(), ZMM()} // 32 impacts and their offsets
	VINSERTI64X4(U8(1), offsets.AsY(), bytes, half[0])
	VSHUFI64X2(U8(0xee), offsets, bytes, half[1])
	TESTQ(large, large)
	JNE(LabelRef("large"))
	for i := range 4 { // two products of 16 bits in each lane
		v, sum := ZMM(), ZMM()
		VPERMB_Z(half[i/2], index[i%2], low, v)
		VMOVDQU32(at(sums, 64*i), sum)
		VPDPWSSD(weight, v, sum)
		VMOVDQU32(sum, at(sums, 64*i))
	}
	Label("added")
	POPCNTQ(x, x)
	ADDQ(U32(256), sums)
	ADDQ(x, impacts)
	DECQ(n)
	JZ(LabelRef("end"))
	SUBQ(x, left)
	JG(LabelRef("next"))
	Label("end")
	end()
	Label("lastWord") // the last one, then zeros
	MOVQ(last, w)
	XORQ(last, last)
	JMP(LabelRef("word"))
	Label("few") // of impacts: no byte after them may be read, and bits without one add nothing
	kl, taken := K(), lowBits(left)
	KMOVQ(taken, kl)
	PDEPQ(x, taken, x)
	KMOVQ(x, k)
	VMOVDQU8_Z(at(impacts, 0), kl, bytes)
	VPEXPANDB_Z(bytes, k, bytes)
	JMP(LabelRef("spread"))
	Label("large")
	one, all := ZMM(), ZMM()
	broadcastConst(0x00010001, one)
	broadcast("weight", all)
	for i := range 4 {
		v := ZMM()
		VPERMB_Z(half[i/2], index[i%2], low, v)
		VPMADDWD(one, v, v)
		VPMULLD(all, v, v)
		VPADDD(at(sums, 64*i), v, v)
		VMOVDQU32(v, at(sums, 64*i))
	}
	JMP(LabelRef("added"))
}

// orBits512 shifts eight words at a time, each with the one before it.
func orBits512() {
	kernel("orBits512", "(b *uint64, n int, src *byte, whole int, last, before uint64, shift int)",
		"marks in n words of b the bits that addBits512 would take.")
	b, n, src, whole := pointer("b"), pointer("n"), pointer("src"), pointer("whole")
	last, before, shift := ZMM(), ZMM(), ZMM()
	VPBROADCASTQ(pointer("last"), last)
	VPBROADCASTQ(pointer("before"), before)
	VPBROADCASTQ(pointer("shift"), shift)
	Label("next")
	load := lowMask(whole)
	w := ZMM()
	VMOVDQU64_Z(at(src, 0), load, w)
	next := GP64()
	LEAQ(at(whole, 1), next)
	k := lowMask(next)
	KANDNQ(k, load, k) // the lane of the last word
	VMOVDQA64(last, k, w)
	shifted := ZMM()
	VALIGNQ(U8(7), before, w, before)
	VMOVDQA64(w, shifted)
	VPSHLDVQ(shift, before, shifted)
	VMOVDQA64(w, before)
	store := lowMask(n)
	marks := ZMM()
	VMOVDQU64_Z(at(b, 0), store, marks)
	VPORQ(marks, shifted, marks)
	VMOVDQU64(marks, store, at(b, 0))
	ADDQ(U8(64), src)
	ADDQ(U8(64), b)
	SUBQ(U8(8), whole)
	JGE(LabelRef("more"))
	VPXORQ(last, last, last) // it was in this round
	XORQ(whole, whole)
	Label("more")
	SUBQ(U8(8), n)
	JG(LabelRef("next"))
	end()
}
