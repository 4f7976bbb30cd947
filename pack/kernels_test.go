package pack

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"reflect"
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
	sum := base
	for i, gap := range want {
		sum += gap + 1
		want[i] = sum
	}
	if !UnpackDeltas(&out, src, width, base) || out != want {
		t.Fatalf("width %d, %d bytes: UnpackDeltas differs", width, len(src))
	}
}

// meet takes impacts of at least some value for those of documents met, and returns what Gather and AddMet make of them.
func meet(docs []uint32, impacts []byte, x uint32) (gathered []byte, kept, scores []uint32) {
	n := min(len(docs), len(impacts), BlockLen)
	lo, hi := MaskAtLeast(impacts[:n], byte(x))
	var out Gathered
	Gather(&out, impacts[:n], lo, hi)
	kept, scores = slices.Clone(docs[:n]), slices.Clone(docs[:n])
	gathered = out[:bits.OnesCount64(lo)+bits.OnesCount64(hi)]
	n = AddMet(kept, scores, lo, hi, &out, x, x, x, x%2 == 0)
	return gathered, kept[:n], scores[:n]
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
		near := make([]uint32, len(words)) // documents of one window
		for i, w := range words {
			near[i] = w % BitmapLen >> (x % 16)
		}
		slices.Sort(near)
		for i := range near {
			near[i] += x
		}
		type outcome struct {
			ok               [6]bool
			plain, sum, bits Block
			rice, prefix     Block
			runs             [BlockLen + 1]uint32
			sums, scaled     Sums
			or               Bitmap
			mask             [4]uint64
			bound            int
			count            [3]int
			above            [WindowLen]uint16
			chosen, worth    Block
			chose            int
			gathered         []byte
			kept, scores     []uint32
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
			n, k := int(at)&255, int(span)&31
			if o.ok[3] = UnpackRice(&o.rice, src, src[len(src)/3:], n, k); !o.ok[3] {
				n = 0
			}
			clear(o.rice[n:])
			if o.ok[4] = UnpackSums(&o.runs, src, src[len(src)/3:], n, k); !o.ok[4] {
				n = 0
			}
			clear(o.runs[n+1:])
			o.ok[5] = PrefixSum(o.prefix[:], words, x)
			o.sums.AddBits(src, int(span), src, int(at), x, x)
			o.or.OrBits(src, int(span), int(at))
			o.mask[0], o.mask[1] = MaskAtLeast(src, byte(x))
			o.mask[2], o.mask[3] = MaskCommon(left, right)
			var sorted Block
			o.bound = LowerBound(&sorted, copy(sorted[:], left), x)
			o.count[0], o.count[1] = o.sums.CountNonZero(), o.or.Count()
			copy(o.above[:], o.sums.AppendAbove(nil, x))
			set := o.or
			set.SetDocs(near, x)
			set.AndNot(&o.or)
			o.count[2] = set.Count()
			o.scaled.AddScaled(left[:min(len(left), 1)], src, x, x, x)
			o.chose = Select(&o.chosen, &o.worth, left, src, byte(x), x%1000, x, x, x)
			clear(o.chosen[o.chose:])
			clear(o.worth[o.chose:])
			o.gathered, o.kept, o.scores = meet(left, src, x)
			if first == nil {
				first = &o
			} else if !reflect.DeepEqual(first, &o) {
				t.Fatalf("%s differs: masks %x and %x, counts %d and %d, bounds %d and %d", name, first.mask, o.mask, first.count, o.count, first.bound, o.bound)
			}
		}
	})
}
