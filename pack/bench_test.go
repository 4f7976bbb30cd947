package pack

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchLevels runs a benchmark of one operation at every level.
func benchLevels(b *testing.B, name string, op func()) {
	defer resetLevel()
	for _, level := range []string{"scalar", "avx2", "avx512"} {
		if set := levels()[level]; set != nil {
			set()
			b.Run(name+"/"+level, func(b *testing.B) {
				for b.Loop() {
					op()
				}
			})
		}
	}
}

func BenchmarkUnpack(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, width := range []int{1, 4, 7, 10, 14, 20, 30} {
		src := append(Append(nil, randomValues(r, BlockLen, width), width), make([]byte, 128)...)
		var out Block
		benchLevels(b, fmt.Sprintf("plain/%02d", width), func() { Unpack(&out, src, width) })
		benchLevels(b, fmt.Sprintf("deltas/%02d", width), func() { UnpackDeltas(&out, src, width, 7) })
		benchLevels(b, fmt.Sprintf("exact/%02d", width), func() { UnpackDeltas(&out, src[:16*width], width, 7) })
	}
}

func BenchmarkAppend(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	values := skewed(r, BlockLen, 12)
	var dst []byte
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			dst = Append(dst[:0], values, 12)
		}
	})
	b.Run("patched", func(b *testing.B) {
		for b.Loop() {
			dst = AppendPatched(dst[:0], values)
		}
	})
}

func BenchmarkPatched(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, wider := range []int{0, 3, 12} {
		values := randomValues(r, BlockLen, 7)
		for i := range wider {
			values[i*9] = 5000
		}
		src := append(AppendPatched(nil, values), make([]byte, 128)...)
		var out Block
		benchLevels(b, fmt.Sprintf("%02d", wider), func() { UnpackPatched(&out, src, BlockLen) })
		benchLevels(b, fmt.Sprintf("%02d-of-50", wider), func() { UnpackPatched(&out, src, 50) })
	}
}

// blockOfGap returns 128 documents with a mean gap, their bitmap and impacts.
func blockOfGap(gap int) (docs Block, bitmap []byte, span int, impacts []byte) {
	r := rand.New(rand.NewPCG(3, 4))
	copy(docs[:], ascending(r, BlockLen, 2*gap-1))
	span = int(docs[BlockLen-1]) + 1
	impacts = make([]byte, BlockLen+64)
	fillBytes(r, impacts)
	return docs, AppendBits(nil, docs[:], ^uint32(0), span), span, impacts[:BlockLen]
}

func BenchmarkBitmapBlock(b *testing.B) {
	var out Block
	var sums Sums
	var marks Bitmap
	for _, gap := range []int{1, 2, 4, 8, 16} {
		docs, bitmap, span, impacts := blockOfGap(gap)
		benchLevels(b, fmt.Sprintf("UnpackBits/%02d", gap), func() { UnpackBits(&out, bitmap, ^uint32(0), span) })
		benchLevels(b, fmt.Sprintf("AddBits/%02d", gap), func() { sums.AddBits(bitmap, span, impacts, 100, 300, 32) })
		benchLevels(b, fmt.Sprintf("OrBits/%02d", gap), func() { marks.OrBits(bitmap, span, 100) })
		benchLevels(b, fmt.Sprintf("AddScaled/%02d", gap), func() { sums.AddScaled(docs[:], impacts, 0, 300, 32) })
		benchLevels(b, fmt.Sprintf("SetDocs/%02d", gap), func() { marks.SetDocs(docs[:], 0) })
	}
}

func BenchmarkBlock(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	docs, _, _, impacts := blockOfGap(10)
	benchLevels(b, "MaskAtLeast/128", func() { MaskAtLeast(impacts, 200) })
	benchLevels(b, "MaskAtLeast/100", func() { MaskAtLeast(impacts[:100], 200) })
	var chosen, scores Block
	benchLevels(b, "Select/all", func() { Select(&chosen, &scores, docs[:], impacts, 0, 0, 1<<31, 300, 32) })
	benchLevels(b, "Select/few", func() { Select(&chosen, &scores, docs[:], impacts, 240, 0, 1<<31, 300, 32) })
	var gathered Gathered
	benchLevels(b, "Gather", func() { Gather(&gathered, impacts, 0x5555555555555555, 0x1111111111111111) })
	benchLevels(b, "AddMet", func() {
		AddMet(docs[:], scores[:], 0x5555555555555555, 0x1111111111111111, &gathered, 300, 32, 0, false)
	})
	targets := make([]uint32, 1024)
	for i := range targets {
		targets[i] = uint32(r.IntN(int(docs[BlockLen-1])))
	}
	i := 0
	benchLevels(b, "LowerBound", func() { LowerBound(&docs, BlockLen, targets[i&1023]); i++ })
	var sets [64][]uint32
	for i := range sets {
		sets[i] = ascending(r, BlockLen, 19)
	}
	benchLevels(b, "MaskCommon/128x128", func() { MaskCommon(sets[i&63], sets[(i+1)&63]); i++ })
	benchLevels(b, "MaskCommon/8x128", func() { MaskCommon(sets[i&63][40:48], sets[(i+1)&63]); i++ })
	benchLevels(b, "MaskCommon/128x8", func() { MaskCommon(sets[i&63], sets[(i+1)&63][40:48]); i++ })
}

func BenchmarkRice(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, k := range []int{0, 3, 6, 11} {
		for _, n := range []int{40, BlockLen} {
			values := make([]uint32, n)
			for i := range values {
				values[i] = uint32(r.ExpFloat64() * float64(int(3)<<k) / 2)
			}
			lows, highs := riceRun(values, k)
			lows, highs = append(append(lows, highs...), make([]byte, 64)...)[:len(lows)+len(highs)], append(highs, make([]byte, 64)...)
			var out Block
			var sums [BlockLen + 1]uint32
			benchLevels(b, fmt.Sprintf("UnpackRice/%02d/%03d", k, n), func() { UnpackRice(&out, lows, highs, n, k) })
			benchLevels(b, fmt.Sprintf("UnpackSums/%02d/%03d", k, n), func() { UnpackSums(&sums, lows, highs, n, k) })
		}
	}
	gaps := randomValues(r, BlockLen, 10)
	var dst Block
	for _, n := range []int{4, 16, 20, 50, BlockLen} {
		benchLevels(b, fmt.Sprintf("PrefixSum/%03d", n), func() { PrefixSum(dst[:], gaps[:n], 7) })
	}
}

func BenchmarkWindow(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	var x, y Bitmap
	for i := range x {
		x[i], y[i] = r.Uint64(), r.Uint64()
	}
	benchLevels(b, "And", func() { x.And(&y) })
	benchLevels(b, "AndNot", func() { x.AndNot(&y) })
	benchLevels(b, "Count", func() { x.Count() })
	dst := make([]uint16, 0, WindowLen)
	for _, gap := range []int{1, 2, 10, 100, 1000} {
		var sums Sums
		for i := range sums {
			if r.IntN(gap) == 0 {
				sums[i] = 1 + r.Uint32N(1000)
			}
		}
		benchLevels(b, fmt.Sprintf("CountNonZero/%04d", gap), func() { sums.CountNonZero() })
		benchLevels(b, fmt.Sprintf("AppendAbove/%04d", gap), func() { sums.AppendAbove(dst, 0) })
	}
	var sums Sums
	benchLevels(b, "Clear", func() { sums.Clear() })
}
