package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func maskAtLeast512() {
	kernel("maskAtLeast512", "(src *byte, n int, least byte) (lo, hi uint64)", "is MaskAtLeast of n bytes, n at most 128.")
	src, n := pointer("src"), pointer("n")
	least := ZMM()
	VPBROADCASTB(NewParamAddr("least", 16), least)
	for half := range 2 {
		load, k := lowMask(n), K()
		v := ZMM()
		VMOVDQU8_Z(at(src, 64*half), load, v)
		VPCMPUB(U8(atLeast), least, v, load, k)
		m := GP64()
		KMOVQ(k, m)
		result(half, m)
		if half == 0 {
			rest := GP64()
			XORQ(rest, rest)
			SUBQ(U8(64), n)
			CMOVQLT(rest, n)
		}
	}
	end()
}

func maskAtLeast2() {
	kernel("maskAtLeast2", "(src *byte, least byte) (lo, hi uint64)", "is MaskAtLeast of 128 bytes.")
	src := pointer("src")
	least := YMM()
	VPBROADCASTB(NewParamAddr("least", 8), least)
	for half := range 2 {
		var part [2]reg.GPVirtual
		for i := range part {
			v := YMM()
			VMOVDQU(at(src, 64*half+32*i), v)
			top := YMM()
			VPMAXUB(least, v, top)
			VPCMPEQB(top, v, v)
			part[i] = GP64()
			VPMOVMSKB(v, part[i].As32())
		}
		SHLQ(U8(32), part[1])
		ORQ(part[0], part[1])
		result(half, part[1])
	}
	end()
}

// select512 moves what is chosen of 16 documents, and what it is worth, to the front and writes all lanes: the next ones are written over
// those that do not count.
func select512() {
	kernel("select512", "(docs, scores, from *uint32, impacts *byte, n int, least, base, span, weight, offset uint32) int",
		"is Select of n documents, n at most 128; span is end less base.")
	docs, scores, from, impacts, n := pointer("docs"), pointer("scores"), pointer("from"), pointer("impacts"), pointer("n")
	least, base, span, weight, offset := ZMM(), ZMM(), ZMM(), ZMM(), ZMM()
	broadcast("least", least)
	broadcast("base", base)
	broadcast("span", span)
	broadcast("weight", weight)
	broadcast("offset", offset)
	begin := GP64()
	MOVQ(docs, begin)
	Label("loop")
	load := lowMask(n)
	d, m, x, chosen, count := ZMM(), ZMM(), ZMM(), K(), GP64()
	VMOVDQU32_Z(at(from, 0), load, d)
	VMOVDQU8_Z(at(impacts, 0), load, x.AsX())
	VPMOVZXBD(x.AsX(), m)
	VPCMPUD(U8(atLeast), least, m, load, chosen)
	VPSUBD(base, d, x)
	VPCMPUD(U8(less), span, x, chosen, chosen)
	VPADDD(offset, m, m)
	VPMULLD(weight, m, m)
	VPCOMPRESSD_Z(d, chosen, d)
	VPCOMPRESSD_Z(m, chosen, m)
	VMOVDQU32(d, at(docs, 0))
	VMOVDQU32(m, at(scores, 0))
	countLanes(chosen, count)
	LEAQ(indexed(docs, count, 4, 0), docs)
	LEAQ(indexed(scores, count, 4, 0), scores)
	ADDQ(U8(4*zmmLen), from)
	ADDQ(U8(zmmLen), impacts)
	SUBQ(U8(zmmLen), n)
	JG(LabelRef("loop"))
	SUBQ(begin, docs)
	SHRQ(U8(2), docs)
	end(docs)
}

// gather512 moves the bytes of each half to the front; those of the second half go behind those of the first.
func gather512() {
	kernel("gather512", "(dst, src *byte, n int, lo, hi uint64)", "is Gather of n bytes, n at most 128.")
	dst, src, n := pointer("dst"), pointer("src"), pointer("n")
	for half, name := range []string{"lo", "hi"} {
		load, chosen, mask := lowMask(n), K(), pointer(name)
		v := ZMM()
		VMOVDQU8_Z(at(src, 64*half), load, v)
		KMOVQ(mask, chosen)
		VPCOMPRESSB_Z(v, chosen, v)
		if half == 0 {
			VMOVDQU8(v, at(dst, 0))
			POPCNTQ(mask, mask)
			ADDQ(mask, dst)
			rest := GP64()
			XORQ(rest, rest)
			SUBQ(U8(64), n)
			CMOVQLT(rest, n)
			continue
		}
		count := GP64()
		POPCNTQ(mask, count)
		VMOVDQU8(v, lowMask(count), at(dst, 0))
	}
	end()
}

// addMet512 spreads the impacts over the lanes of those met, adds what they are worth, and moves who stays to the front: never further than what has
// been read, and with a mask, as what lies behind is still to come.
func addMet512() {
	kernel("addMet512", "(docs, scores *uint32, n int, lo, hi uint64, impacts *byte, weight, offset, least uint32, others uint32) int",
		"is AddMet of n documents, n at least 1 and at most 128; others is 0xffff when those not met may stay, else 0.")
	docs, scores, n, lo, hi, impacts := pointer("docs"), pointer("scores"), pointer("n"), pointer("lo"), pointer("hi"), pointer("impacts")
	weight, offset, least := ZMM(), ZMM(), ZMM()
	broadcast("weight", weight)
	broadcast("offset", offset)
	broadcast("least", least)
	others := K()
	KMOVW(Load(Param("others"), GP32()), others)
	outDocs, outScores, begin := GP64(), GP64(), GP64()
	MOVQ(docs, outDocs)
	MOVQ(scores, outScores)
	MOVQ(docs, begin)
	Label("loop")
	load, met, stay := lowMask(n), K(), K()
	KMOVW(lo.As32(), met)
	d, s, m := ZMM(), ZMM(), ZMM()
	VMOVDQU32_Z(at(docs, 0), load, d)
	VMOVDQU32_Z(at(scores, 0), load, s)
	VPMOVZXBD(at(impacts, 0), m)
	VPADDD(offset, m, m)
	VPMULLD(weight, m, m)
	VPEXPANDD_Z(m, met, m)
	VPADDD(m, s, s)
	KORW(met, others, stay)
	KANDW(load, stay, stay)
	VPCMPUD(U8(atLeast), least, s, stay, stay)
	VPCOMPRESSD_Z(d, stay, d)
	VPCOMPRESSD_Z(s, stay, s)
	count, back := GP64(), K()
	countLanes(stay, count)
	KMOVQ(lowBits(count), back)
	VMOVDQU32(d, back, at(outDocs, 0))
	VMOVDQU32(s, back, at(outScores, 0))
	LEAQ(indexed(outDocs, count, 4, 0), outDocs)
	LEAQ(indexed(outScores, count, 4, 0), outScores)
	countLanes(met, count)
	ADDQ(count, impacts)
	ADDQ(U8(4*zmmLen), docs)
	ADDQ(U8(4*zmmLen), scores)
	SHRQ(U8(zmmLen), hi, lo)
	SHRQ(U8(zmmLen), hi)
	SUBQ(U8(zmmLen), n)
	JG(LabelRef("loop"))
	SUBQ(begin, outDocs)
	SHRQ(U8(2), outDocs)
	end(outDocs)
}

// lowerBound512 compares all 128 values and takes the first that is not less.
func lowerBound512() {
	kernel("lowerBound512", "(b *uint32, target uint32) int", "returns the first index with b[i] >= target, 128 when there is none.")
	b := pointer("b")
	target := ZMM()
	broadcast("target", target)
	var half [2]reg.GPVirtual
	for h := range half {
		k0, k1 := compare64(atLeast, target, b, 256*h)
		KUNPCKDQ(k0, k1, k1)
		half[h] = GP64()
		KMOVQ(k1, half[h])
	}
	lo, hi := GP64(), GP64()
	TZCNTQ(half[1], hi)
	ADDQ(U8(64), hi)
	TZCNTQ(half[0], lo)
	TESTQ(half[0], half[0])
	CMOVQEQ(hi, lo)
	end(lo)
}

// commonStep is how many values of b are compared with 16 of a at a time.
const commonStep = 8

// moveOn emits what follows a step, which was compared with a group of a whose last value is most: to the next step while there is one and most
// may be in it, then behind the last one of the group.
func moveOn(b, endB, most reg.GPVirtual) {
	CMPL(at(b, 4*commonStep-4), most)
	JA(LabelRef("groupDone")) // the step may hold values of the next group
	JEQ(LabelRef("both"))
	ADDQ(U8(4*commonStep), b)
	CMPQ(b, endB)
	JB(LabelRef("step"))
	JMP(LabelRef("groupDone"))
	Label("both")
	ADDQ(U8(4*commonStep), b)
	Label("groupDone")
}

// maskCommon512 compares 16 values of a with each of eight of b, and moves on in b while these are not beyond the 16.
func maskCommon512() {
	kernel("maskCommon512", "(a *uint32, na int, b *uint32, nb int, mask *uint64)",
		"sets bit i of mask when a[i], for i < na, is one of the nb values of b. Both ascend and are not empty; na is at most 128, nb is a multiple of 8.")
	a, na, b, nb, mask := pointer("a"), pointer("na"), pointer("b"), pointer("nb"), pointer("mask")
	endB := GP64()
	LEAQ(indexed(b, nb, 4, 0), endB)
	lastOfA := GP64()
	LEAQ(indexed(a, na, 4, -4), lastOfA)

	Label("group")
	load := lowMask(na)
	v := ZMM()
	VMOVDQU32_Z(at(a, 0), load, v)
	high := GP64() // the address of the last value of the group
	LEAQ(at(a, 4*zmmLen-4), high)
	CMPQ(high, lastOfA)
	CMOVQHI(lastOfA, high)
	most := GP32()
	MOVL(at(high, 0), most)
	apart := K()
	KMOVW(load, apart)
	Label("step")
	var k [commonStep / 2]reg.OpmaskVirtual
	for i := range k {
		k[i] = K()
		VPCMPD_BCST(U8(notEqual), at(b, 4*i), v, k[i])
	}
	for i := range k {
		VPCMPD_BCST(U8(notEqual), at(b, 4*(i+len(k))), v, k[i], k[i])
	}
	KANDW(k[0], k[1], k[1])
	KANDW(k[2], k[3], k[3])
	KANDW(k[1], k[3], k[3])
	KANDW(k[3], apart, apart)
	moveOn(b, endB, most)
	KANDNW(load, apart, apart)
	m := GP32()
	KMOVW(apart, m)
	MOVW(m.As16(), at(mask, 0))
	ADDQ(U8(2), mask)
	ADDQ(U8(4*zmmLen), a)
	SUBQ(U8(zmmLen), na)
	JLE(LabelRef("end"))
	CMPQ(b, endB)
	JB(LabelRef("group"))
	Label("end")
	end()
}

// maskCommon2 is maskCommon512 for eight values of a; the caller sees to it that these are whole groups.
func maskCommon2() {
	kernel("maskCommon2", "(a *uint32, na int, b *uint32, nb int, mask *uint8)",
		"sets bit i of mask when a[i], for i < na, is one of the nb values of b. Both ascend and are not empty, and both lengths are multiples of 8.")
	a, na, b, nb, mask := pointer("a"), pointer("na"), pointer("b"), pointer("nb"), pointer("mask")
	endB, endA := GP64(), GP64()
	LEAQ(indexed(b, nb, 4, 0), endB)
	LEAQ(indexed(a, na, 4, 0), endA)

	Label("group")
	v, found := YMM(), YMM()
	VMOVDQU(at(a, 0), v)
	VPXOR(found, found, found)
	most := GP32()
	MOVL(at(a, 4*ymmLen-4), most)
	Label("step")
	for i := range commonStep {
		x := YMM()
		VPBROADCASTD(at(b, 4*i), x)
		VPCMPEQD(x, v, x)
		VPOR(x, found, found)
	}
	moveOn(b, endB, most)
	m := GP32()
	VMOVMSKPS(found, m)
	MOVB(m.As8(), at(mask, 0))
	INCQ(mask)
	ADDQ(U8(4*ymmLen), a)
	CMPQ(a, endA)
	JAE(LabelRef("end"))
	CMPQ(b, endB)
	JB(LabelRef("group"))
	Label("end")
	end()
}
