package pack

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

func TestDocsLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(15, 16))
		for round := range 500 {
			base := r.Uint32()
			var set Bitmap
			docs := guardedWords(t, r.IntN(BlockLen+1))
			for i := range docs {
				docs[i] = r.Uint32N(BitmapLen) >> (round % 8)
			}
			slices.Sort(docs)
			for i, d := range docs {
				docs[i] = base + d
				set.Set(d)
			}
			var b Bitmap
			if b.SetDocs(docs, base); b != set {
				t.Fatal("SetDocs differs")
			}
		}
	})
}

func TestAddScaledLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(23, 24))
		for range 500 {
			base := r.Uint32()
			docs := guardedWords(t, r.IntN(BlockLen+1))
			impacts := guarded(t, len(docs))
			fillBytes(r, impacts)
			weight := uint32(r.Uint64() >> (32 + r.IntN(32)))
			offset := r.Uint32N(MaxOffset + 1)
			var sums, want Sums
			for i, d := range r.Perm(WindowLen)[:len(docs)] {
				docs[i] = base + uint32(d)
				want[d] = weight * (offset + uint32(impacts[i]))
			}
			if sums.AddScaled(docs, impacts, base, weight, offset); sums != want {
				t.Fatalf("AddScaled differs: %d documents", len(docs))
			}
		}
	})
}

// Documents outside the window must not lead outside its memory.
func TestHostileDocs(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(17, 18))
		sums := (*Sums)(guardedWords(t, WindowLen))
		docs, impacts := make([]uint32, BlockLen), make([]byte, BlockLen)
		for range 100 {
			for i := range docs {
				docs[i] = r.Uint32()
			}
			fillBytes(r, impacts)
			sums.AddScaled(docs, impacts, r.Uint32(), r.Uint32(), r.Uint32())
			b := (*Bitmap)(unsafe.Pointer(&guardedWords(t, BitmapLen/32)[0]))
			b.SetDocs(docs, 5)
		}
	})
}

func TestWindowLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(19, 20))
		sums := (*Sums)(guardedWords(t, WindowLen))
		for round := range 60 {
			var a, b, c Bitmap
			for i := range a {
				a[i], b[i] = r.Uint64()&r.Uint64(), r.Uint64()|r.Uint64()
			}
			if a.Count() != bitmapCountScalar(&a) || b.Count() != bitmapCountScalar(&b) {
				t.Fatal("counts differ")
			}
			for _, op := range []struct{ fast, plain func(b, o *Bitmap) }{
				{(*Bitmap).And, bitmapAndScalar}, {(*Bitmap).Or, bitmapOrScalar}, {(*Bitmap).AndNot, bitmapAndNotScalar},
			} {
				x, y := a, a
				c = b
				if op.fast(&x, &c); c != b {
					t.Fatal("the argument changed")
				}
				if op.plain(&y, &b); x != y {
					t.Fatal("And, Or or AndNot differs")
				}
			}
			checkSums(t, r, sums, round)
		}
	})
}

func checkSums(t *testing.T, r *rand.Rand, sums *Sums, round int) {
	nonZero := 0
	least := r.Uint32() >> r.IntN(32)
	var want []uint16
	for i := range sums {
		sums[i] = 0
		if r.IntN(1+round) == 0 {
			sums[i] = r.Uint32() >> r.IntN(32)
		}
		if r.IntN(50) == 0 {
			sums[i] = least + uint32(r.IntN(3)) - 1
		}
		if sums[i] > 0 {
			nonZero++
		}
		if sums[i] > least {
			want = append(want, uint16(i))
		}
	}
	if got := sums.CountNonZero(); got != nonZero {
		t.Fatalf("%d are not zero, not %d", nonZero, got)
	}
	dst := unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(guarded(t, 2*WindowLen+2)))), WindowLen+1)[:1]
	dst[0] = 77
	if got := sums.AppendAbove(dst, least); got[0] != 77 || &got[0] != &dst[0] || !slices.Equal(got[1:], want) {
		t.Fatalf("AppendAbove(%d) gives %d places, not %d", least, len(got)-1, len(want))
	}
	if n := len(sums.AppendAbove(nil, 0)); n != nonZero {
		t.Fatalf("%d above 0, not %d", n, nonZero)
	}
}
