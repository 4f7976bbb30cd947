package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sumOf512 returns the sum of the lanes of v: 64-bit ones or 32-bit ones.
func sumOf512(v reg.VecVirtual, quads bool) reg.GPVirtual {
	y := YMM()
	VEXTRACTI64X4(U8(1), v, y)
	sumLanes(y, v.AsY(), y, quads)
	return sumOf2(y, quads)
}

func sumOf2(y reg.VecVirtual, quads bool) reg.GPVirtual {
	x, t := XMM(), XMM()
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
	return n
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
	s, past := pointer("s"), GP64()
	LEAQ(at(s, 4*windowLen), past)
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
	CMPQ(s, past)
	JB(LabelRef("loop"))
	VPADDD(sum[1], sum[0], sum[0])
	end(sumOf512(sum[0], false))

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
	out, past := GP64(), GP64()
	MOVQ(dst, out)
	LEAQ(at(s, 4*windowLen), past)
	Label("loop")
	k0, k1 := compare64(greater, least, s, 0)
	at1 := ZMM()
	VPADDW(step, at0, at1)
	KORTESTD(k0, k1)
	JEQ(LabelRef("none"))
	for _, half := range []struct {
		k      reg.OpmaskVirtual
		places reg.VecVirtual
	}{{k0, at0}, {k1, at1}} {
		v, n := ZMM(), GP64()
		VPCOMPRESSW_Z(half.places, half.k, v)
		VMOVDQU16(v, at(out, 0)) // 32 places: they end before dst does, as no more were written than were seen
		KMOVD(half.k, n.As32())
		POPCNTL(n.As32(), n.As32())
		LEAQ(indexed(out, n, 2, 0), out)
	}
	Label("none")
	VPADDW(step, at1, at0)
	ADDQ(U32(256), s)
	CMPQ(s, past)
	JB(LabelRef("loop"))
	returnPlaces(dst, out)
}

// returnPlaces returns how many places of two bytes lie between dst and out.
func returnPlaces(dst, out reg.GPVirtual) {
	VZEROUPPER()
	SUBQ(dst, out)
	SHRQ(U8(1), out)
	result(0, out)
	RET()
}

func sums2() {
	kernel("countNonZero2", "(s *uint32) int", "is CountNonZero.")
	s, past := pointer("s"), GP64()
	LEAQ(at(s, 4*windowLen), past)
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
	CMPQ(s, past)
	JB(LabelRef("loop"))
	VPADDD(sum[1], sum[0], sum[0])
	n := sumOf2(sum[0], false)
	MOVLQSX(n.As32(), n)
	ADDQ(U32(windowLen), n)
	end(n)

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
	returnPlaces(dst, out)
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
	end()

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
	end()
}
