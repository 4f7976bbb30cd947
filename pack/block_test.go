package pack

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMaskAtLeastLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		for n := range BlockLen + 3 {
			v := guarded(t, n)
			for _, least := range []byte{0, 1, 127, 128, 129, 254, 255, byte(r.Uint32())} {
				fillBytes(r, v)
				var want [2]uint64
				for i, c := range v[:min(n, BlockLen)] {
					if c >= least {
						want[i/64] |= 1 << (i % 64)
					}
				}
				if lo, hi := MaskAtLeast(v, least); lo != want[0] || hi != want[1] {
					t.Fatalf("%d bytes, at least %d: %x %x", n, least, lo, hi)
				}
			}
		}
	})
}

// ascending returns n distinct values in order, spread over about n*gap.
func ascending(r *rand.Rand, n, gap int) []uint32 {
	v := make([]uint32, n)
	last := uint32(r.IntN(gap * 4))
	for i := range v {
		v[i] = last
		last += 1 + uint32(r.IntN(gap))
	}
	return v
}

func TestLowerBoundLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		b := (*Block)(guardedWords(t, BlockLen))
		for range 300 {
			n := r.IntN(BlockLen + 1)
			fill := r.Uint32()
			for i := range b {
				b[i] = fill
			}
			copy(b[:], ascending(r, n, 1+r.IntN(1<<20)))
			for _, target := range []uint32{0, 1, 1<<32 - 1, b[r.IntN(BlockLen)], b[r.IntN(BlockLen)] + 1, r.Uint32()} {
				want, _ := slices.BinarySearch(b[:n], target)
				if got := LowerBound(b, n, target); got != want {
					t.Fatalf("%d of %d, not %d", got, n, want)
				}
			}
		}
		if LowerBound(b, -4, 9) != 0 || LowerBound(b, 1<<40, 1<<32-1) > BlockLen {
			t.Error("bounds")
		}
	})
}

func TestSelectLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(15, 16))
		for range 4000 {
			n := r.IntN(BlockLen + 1)
			from, impacts := guardedWords(t, n), guarded(t, n)
			copy(from, ascending(r, n, 1+r.IntN(50)))
			fillBytes(r, impacts)
			least, weight, offset := byte(r.IntN(256)), r.Uint32(), r.Uint32N(MaxOffset+1)
			base, end := r.Uint32N(2000), r.Uint32N(4000)
			if r.IntN(3) == 0 {
				base, end = 0, 1<<32-1
			}
			var wantDocs, wantScores []uint32
			for i, d := range from {
				if impacts[i] >= least && d >= base && d < end {
					wantDocs, wantScores = append(wantDocs, d), append(wantScores, weight*(offset+uint32(impacts[i])))
				}
			}
			docs, scores := (*Block)(guardedWords(t, BlockLen)), (*Block)(guardedWords(t, BlockLen))
			got := Select(docs, scores, from, impacts, least, base, end, weight, offset)
			if !slices.Equal(docs[:got], wantDocs) || !slices.Equal(scores[:got], wantScores) {
				t.Fatalf("%d of %d, want %d: least %d, from %d to %d", got, n, len(wantDocs), least, base, end)
			}
		}
	})
}

func TestMetLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(17, 18))
		for range 4000 {
			n, blockLen := 1+r.IntN(BlockLen), r.IntN(BlockLen+1)
			docs, scores, impacts := guardedWords(t, n), guardedWords(t, n), guarded(t, blockLen)
			copy(docs, ascending(r, n, 5))
			fillBytes(r, impacts)
			var block, met [2]uint64
			var want []byte
			for i := range min(n, blockLen) { // which are met, and where in the block: any as many
				if r.IntN(3) == 0 {
					met[i/64] |= 1 << (i % 64)
					at := blockLen - min(n, blockLen) + i
					block[at/64] |= 1 << (at % 64)
					want = append(want, impacts[at])
				}
			}
			var got Gathered
			if Gather(&got, impacts, block[0], block[1]); !slices.Equal(got[:len(want)], want) {
				t.Fatalf("gathered %v, want %v", got[:len(want)], want)
			}
			weight, offset, least, required := r.Uint32N(1<<15), r.Uint32N(MaxOffset+1), r.Uint32N(1<<23), r.IntN(2) == 0
			if r.IntN(3) == 0 {
				least = 0
			}
			var wantDocs, wantScores []uint32
			k := 0
			for i := range docs {
				scores[i] = r.Uint32N(1 << 23)
				score, has := scores[i], met[i/64]>>(i%64)&1 != 0
				if has {
					score += weight * (offset + uint32(want[k]))
					k++
				}
				if (has || !required) && score >= least {
					wantDocs, wantScores = append(wantDocs, docs[i]), append(wantScores, score)
				}
			}
			kept := AddMet(docs, scores, met[0], met[1], &got, weight, offset, least, required)
			if !slices.Equal(docs[:kept], wantDocs) || !slices.Equal(scores[:kept], wantScores) {
				t.Fatalf("%d of %d stay, want %d", kept, n, len(wantDocs))
			}
		}
	})
}

func TestMaskCommonLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		for range 4000 {
			gap := 1 + r.IntN(6)
			a, b := guardedWords(t, r.IntN(BlockLen+1)), guardedWords(t, r.IntN(BlockLen+1))
			copy(a, ascending(r, len(a), gap))
			copy(b, ascending(r, len(b), gap))
			if r.IntN(5) == 0 && len(a) > 0 {
				a[len(a)-1] = 1<<32 - 1
			}
			if r.IntN(5) == 0 && len(b) > 0 {
				b[len(b)-1] = 1<<32 - 1
			}
			var want [2]uint64
			for i, x := range a {
				if _, in := slices.BinarySearch(b, x); in {
					want[i/64] |= 1 << (i % 64)
				}
			}
			if lo, hi := MaskCommon(a, b); lo != want[0] || hi != want[1] {
				t.Fatalf("%v\n%v\n%x %x", a, b, lo, hi)
			}
		}
	})
}
