package pack

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// atEveryLevel runs a test with the kernels of each level of this processor.
func atEveryLevel(t *testing.T, f func(t *testing.T)) {
	defer resetLevel()
	for name, set := range levels() {
		set()
		t.Run(name, f)
	}
}

// guardedWords returns n values of four bytes, after which nothing may be read.
func guardedWords(t testing.TB, n int) []uint32 {
	b := guarded(t, 4*n)
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

func TestUnpackLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for width := range MaxWidth + 1 {
			for _, after := range []int{0, 1, 7, 15, 16, 40, 63, 64, 200} {
				src := guarded(t, 16*width+after)
				for range 4 {
					fillBytes(r, src)
					checkUnpack(t, src, width, r.Uint32())
				}
			}
		}
	})
}

// fillBytes fills with random bytes, or with ones.
func fillBytes(r *rand.Rand, b []byte) {
	ones := r.IntN(4) == 0
	for i := range b {
		if b[i] = byte(r.Uint32()); ones {
			b[i] = 255
		}
	}
}

func checkUnpack(t *testing.T, src []byte, width int, base uint32) {
	t.Helper()
	want := Block(twin(src, BlockLen, width))
	var out Block
	if !Unpack(&out, src, width) || out != want {
		t.Fatalf("width %d, %d bytes: Unpack differs", width, len(src))
	}
	for i := range want {
		base, want[i] = base+want[i]+1, base+want[i]+1
	}
	if !UnpackDeltas(&out, src, width, want[0]-binaryFirst(src, width)-1) || out != want {
		t.Fatalf("width %d, %d bytes: UnpackDeltas differs", width, len(src))
	}
}

// binaryFirst returns the first value of a packed stream.
func binaryFirst(src []byte, width int) uint32 { return twin(src, 1, width)[0] }

func TestStartsLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for range 100 {
			counts := (*Block)(guardedWords(t, BlockLen))
			copy(counts[:], skewed(r, BlockLen, 32))
			var want, got [BlockLen + 1]uint32
			for i, c := range counts {
				want[i+1] = want[i] + c + 1
			}
			if Starts(&got, counts); got != want {
				t.Fatalf("%v", got)
			}
		}
	})
}

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
			var want Sums
			for i := range want {
				want[i] = r.Uint32()
			}
			*sums = want
			var mark, both Bitmap
			for i, b := range set {
				if p := at + b; p >= 0 && p < WindowLen {
					mark.Set(uint32(p))
					if i < len(impacts) {
						want[p] += weight * uint32(impacts[i])
					}
				}
			}
			if sums.AddBits(src, span, impacts, at, weight); *sums != want {
				t.Fatalf("AddBits differs: span %d at %d, %d impacts", span, at, len(impacts))
			}
			if both.OrBits(src, span, at); both != mark {
				t.Fatalf("OrBits differs: span %d at %d", span, at)
			}
		}
		sums.AddBits(nil, 5, nil, 0, 1)
		sums.AddBits(make([]byte, 9), 1<<40, nil, 3, 1)
		sums.AddBits(make([]byte, 9), -1, nil, 3, 1)
		new(Bitmap).OrBits(make([]byte, 9), 1<<40, -1<<62)
		if UnpackBits(new(Block), make([]byte, 99), 0, math.MaxInt) || UnpackBits(new(Block), nil, 0, math.MinInt) {
			t.Error("a bitmap that is not there was read")
		}
	})
}

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

func TestDocsLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(15, 16))
		for range 500 {
			base := r.Uint32()
			var mark, set Bitmap
			for i := range uint32(WindowLen) {
				if r.IntN(3) == 0 {
					mark.Set(i)
				}
			}
			docs := guardedWords(t, r.IntN(BlockLen+1))
			impacts := guarded(t, len(docs))
			fillBytes(r, impacts)
			weight := uint32(r.Uint64() >> (32 + r.IntN(32)))
			var mask [2]uint64
			var sums, want Sums
			for i, d := range r.Perm(WindowLen)[:len(docs)] {
				docs[i] = base + uint32(d)
				if mark.Has(uint32(d)) {
					mask[i/64] |= 1 << (i % 64)
				}
				want[d] = weight * uint32(impacts[i])
				set.Set(uint32(d))
			}
			if lo, hi := mark.MaskDocs(docs, base); lo != mask[0] || hi != mask[1] {
				t.Fatal("MaskDocs differs")
			}
			if sums.AddScaled(docs, impacts, base, weight); sums != want {
				t.Fatalf("AddScaled differs: %d documents", len(docs))
			}
			var b Bitmap
			if b.SetDocs(docs, base); b != set {
				t.Fatal("SetDocs differs")
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
			sums.AddScaled(docs, impacts, r.Uint32(), r.Uint32())
			var b Bitmap
			b.SetDocs(docs, 5)
			if lo, hi := b.MaskDocs(docs, 5); lo&hi != ^uint64(0) {
				t.Fatal("not taken modulo the window")
			}
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
			if a.Count() != bitmapCountScalar(&a) || AndCount(&a, &b) != bitmapAndCountScalar(&a, &b) {
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

// FuzzKernels compares every level with the plain kernels on arbitrary bytes.
func FuzzKernels(f *testing.F) {
	f.Add(make([]byte, 600), uint16(300), int16(-40), uint32(9))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 255, 255, 255, 0, 0, 0}, uint16(128), int16(4000), uint32(1<<31))
	f.Fuzz(func(t *testing.T, b []byte, span uint16, at int16, x uint32) {
		defer resetLevel()
		src := guarded(t, len(b))
		copy(src, b)
		words := guardedWords(t, len(b)/4)
		for i := range words {
			words[i] = binary.LittleEndian.Uint32(b[4*i:])
		}
		half := len(words) / 2
		left, right := slices.Clone(words[:half]), words[half:]
		slices.Sort(left)
		slices.Sort(right)
		left, right = slices.Compact(left), right[:len(slices.Compact(right))]
		type outcome struct {
			ok               [3]bool
			plain, sum, bits Block
			sums, scaled     Sums
			or               Bitmap
			mask             [6]uint64
			bound            int
		}
		var first *outcome
		for name, set := range levels() {
			set()
			var o outcome
			o.ok[0] = Unpack(&o.plain, src, int(span%33))
			o.ok[1] = UnpackDeltas(&o.sum, src, int(span%33), x)
			if o.ok[2] = UnpackBits(&o.bits, src, x, int(span)); !o.ok[2] {
				o.bits = Block{}
			}
			o.sums.AddBits(src, int(span), src, int(at), x)
			o.or.OrBits(src, int(span), int(at))
			o.mask[0], o.mask[1] = MaskAtLeast(src, byte(x))
			o.mask[2], o.mask[3] = MaskCommon(left, right)
			o.mask[4], o.mask[5] = o.or.MaskDocs(words, x)
			o.bound = LowerBound(&o.sum, 0, x)
			o.scaled.AddScaled(left[:min(len(left), 1)], src, x, x)
			if first == nil {
				first = &o
			} else if *first != o {
				t.Fatalf("%s differs: %v", name, []bool{first.ok == o.ok, first.plain == o.plain, first.sum == o.sum, first.bits == o.bits,
					first.sums == o.sums, first.scaled == o.scaled, first.or == o.or, first.mask == o.mask, first.bound == o.bound})
			}
		}
	})
}
