package pack

import (
	"math"
	"math/rand/v2"
	"testing"
)

// randomBits returns a bitmap of span bits of about one set bit in gap, and stray bits after the span.
func randomBits(t testing.TB, r *rand.Rand, span, gap int) []byte {
	b := guarded(t, (span+7)/8)
	clear(b)
	for i := range 8 * len(b) {
		if i >= span || r.IntN(gap) == 0 {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// bitsOf lists the set bits below span.
func bitsOf(b []byte, span int) (set []int) {
	for i := range span {
		if b[i/8]>>(i%8)&1 != 0 {
			set = append(set, i)
		}
	}
	return set
}

func TestUnpackBitsLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for range 1500 {
			gap := 1 + r.IntN(20)
			span := 1 + r.IntN(2*gap*BlockLen)
			src := randomBits(t, r, span, gap)
			if set := bitsOf(src, span); len(set) > BlockLen && r.IntN(4) > 0 {
				span = set[BlockLen-1] + 1 + r.IntN(set[BlockLen]-set[BlockLen-1])
				src = src[:(span+7)/8]
			}
			set := bitsOf(src, span)
			out := (*Block)(guardedWords(t, BlockLen))
			base := r.Uint32()
			ok := UnpackBits(out, src, base, span)
			if ok != (len(set) == BlockLen) {
				t.Fatalf("span %d, %d set: %v", span, len(set), ok)
			}
			for i, b := range set {
				if ok && out[i] != base+1+uint32(b) {
					t.Fatalf("span %d: value %d is %d, not %d", span, i, out[i]-base-1, b)
				}
			}
		}
	})
}

func TestAddBitsLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		sums := (*Sums)(guardedWords(t, WindowLen))
		for range 1500 {
			gap := 1 + r.IntN(20)
			span := 1 + r.IntN(2*gap*BlockLen)
			src := randomBits(t, r, span, gap)
			set := bitsOf(src, span)
			impacts := guarded(t, max(0, len(set)-r.IntN(3)*r.IntN(50)))
			fillBytes(r, impacts)
			at := r.IntN(WindowLen+2*span+200) - span - 100
			weight := uint32(r.Uint64() >> (32 + r.IntN(32)))
			offset := r.Uint32N(MaxOffset + 1)
			var want Sums
			for i := range want {
				want[i] = r.Uint32()
			}
			*sums = want
			for i, b := range set {
				if p := at + b; p >= 0 && p < WindowLen && i < len(impacts) {
					want[p] += weight * (offset + uint32(impacts[i]))
				}
			}
			if sums.AddBits(src, span, impacts, at, weight, offset); *sums != want {
				t.Fatalf("AddBits differs: span %d at %d, %d impacts", span, at, len(impacts))
			}
		}
		sums.AddBits(nil, 5, nil, 0, 1, 2)
		sums.AddBits(make([]byte, 9), 1<<40, nil, 3, 1, 2)
		sums.AddBits(make([]byte, 9), -1, nil, 3, 1, 2)
		if UnpackBits(new(Block), make([]byte, 99), 0, math.MaxInt) || UnpackBits(new(Block), nil, 0, math.MinInt) {
			t.Error("a bitmap that is not there was read")
		}
	})
}

func TestOrBitsLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(21, 22))
		for range 1500 {
			gap := 1 + r.IntN(20)
			span := 1 + r.IntN(2*gap*BlockLen)
			src := randomBits(t, r, span, gap)
			at := r.IntN(2*span+200) - span - 100
			if r.IntN(2) == 0 {
				at += BitmapLen // across its end
			}
			var mark, got Bitmap
			for i := range mark {
				mark[i] = r.Uint64() & r.Uint64() & r.Uint64()
			}
			got = mark
			for _, b := range bitsOf(src, span) {
				if p := at + b; p >= 0 && p < BitmapLen {
					mark.Set(uint32(p))
				}
			}
			if got.OrBits(src, span, at); got != mark {
				t.Fatalf("OrBits differs: span %d at %d", span, at)
			}
		}
		new(Bitmap).OrBits(make([]byte, 9), 1<<40, -1<<62)
	})
}
