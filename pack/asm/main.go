// Command asm answers: where do the vector kernels of package pack come from? It writes their assembly and the Go declarations, with
// avo, which only this module needs:
//
//	go run . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg pack
//
// A kernel has the suffix 2 (AVX2) or 512 (AVX-512 as of Ice Lake and Zen 4) and is compared with its plain twin by the tests of
// package pack. Kernels check nothing: lengths and widths are the business of the Go function that calls them.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// blockLen is pack.BlockLen, windowLen pack.WindowLen, both in values of four bytes; bitmapLen is pack.BitmapLen, in bits.
const (
	blockLen  = 128
	windowLen = 4096
	bitmapLen = 1 << 16
	zmmLen    = 16
	ymmLen    = 8
)

// Predicates of VPCMPU and of other comparisons, from the Intel manual.
const (
	less     = 1
	atMost   = 2
	notEqual = 4
	atLeast  = 5
	greater  = 6
)

func main() {
	ConstraintExpr("amd64,!purego")
	unpackTables()
	unpack512()
	unpackDeltas512()
	unpack2()
	unpackDeltas2()
	unpackBits512()
	unpackBits2()
	addBits512()
	orBits512()
	maskAtLeast512()
	maskAtLeast2()
	select512()
	gather512()
	addMet512()
	lowerBound512()
	maskCommon512()
	maskCommon2()
	bitmaps()
	sums512()
	sums2()
	addScaled()
	setDocs512()
	setDocs2()
	rice512()
	rice2()
	prefixSums()
	Generate()
}

// kernel begins a function.
func kernel(name, signature, doc string) {
	TEXT(name, NOSPLIT, "func"+signature)
	Pragma("noescape")
	Doc(name + " " + doc)
}

func pointer(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

func at(base reg.Register, disp int) Mem { return Mem{Base: base, Disp: disp} }

func indexed(base, index reg.Register, scale uint8, disp int) Mem {
	return Mem{Base: base, Index: index, Scale: scale, Disp: disp}
}

func result(index int, r reg.Register) { Store(r, ReturnIndex(index)) }

// end leaves a kernel that used vectors, with results.
func end(results ...reg.Register) {
	VZEROUPPER()
	for i, r := range results {
		result(i, r)
	}
	RET()
}

// lowBits returns a register whose lowest n bits are set, all when n is 64 or more (but below 256).
func lowBits(n reg.GPVirtual) reg.GPVirtual {
	m := GP64()
	MOVQ(I32(-1), m)
	BZHIQ(n, m, m)
	return m
}

// lowMask is lowBits as a mask of lanes.
func lowMask(n reg.GPVirtual) reg.OpmaskVirtual {
	k := K()
	KMOVQ(lowBits(n), k)
	return k
}

// countLanes counts the lanes of a mask of 16.
func countLanes(k reg.OpmaskVirtual, n reg.GPVirtual) {
	KMOVW(k, n.As32())
	POPCNTL(n.As32(), n.As32())
}

// compare64 compares 64 values without a sign with those of a register, and returns two masks of 32.
func compare64(predicate uint8, with reg.VecVirtual, values reg.GPVirtual, disp int) (lo, hi reg.OpmaskVirtual) {
	var k [4]reg.OpmaskVirtual
	for i := range k {
		v := ZMM()
		k[i] = K()
		VMOVDQU32(at(values, disp+64*i), v)
		VPCMPUD(U8(predicate), with, v, k[i])
	}
	KUNPCKWD(k[0], k[1], k[1])
	KUNPCKWD(k[2], k[3], k[3])
	return k[1], k[3]
}

// broadcast sets every lane to a parameter of four bytes.
func broadcast(param string, lanes reg.VecVirtual) {
	broadcastReg(Load(Param(param), GP32()).(reg.GPVirtual), lanes)
}

// broadcastConst sets every lane to a constant.
func broadcastConst(v uint32, lanes reg.VecVirtual) {
	r := GP32()
	MOVL(U32(v), r)
	broadcastReg(r, lanes)
}

func broadcastReg(r reg.Register, lanes reg.VecVirtual) {
	if lanes.Size() == 64 {
		VPBROADCASTD(r, lanes)
		return
	}
	x := XMM()
	VMOVD(r, x)
	VPBROADCASTD(x, lanes)
}
