// Command asm answers: where do the vector kernels of package pack come from? It writes their assembly and the Go declarations, with
// avo, which only this module needs:
//
//	go run . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg pack
//
// A kernel has the suffix 2 (AVX2) or 512 (AVX-512 as of Ice Lake and Zen 4) and is compared with its plain twin by the tests of
// package pack. Kernels check nothing: lengths and widths are the business of the Go function that calls them.
package main

import (
	"fmt"

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
	equal    = 0
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
	starts512()
	unpack2()
	unpackDeltas2()
	starts2()
	unpackBits512()
	unpackBits2()
	addBits512()
	orBits512()
	maskAtLeast512()
	maskAtLeast2()
	lowerBound512()
	maskCommon512()
	maskCommon2()
	maskDocs512()
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

func label(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func result(index int, r reg.Register) { Store(r, ReturnIndex(index)) }

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

func broadcastReg(r reg.GPVirtual, lanes reg.VecVirtual) {
	if lanes.Size() == 64 {
		VPBROADCASTD(r, lanes)
		return
	}
	x := XMM()
	VMOVD(r, x)
	VPBROADCASTD(x, lanes)
}
