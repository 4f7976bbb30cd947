package pack

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// skewed returns values most of which are small, as gaps between positions are.
func skewed(r *rand.Rand, n, most int) []uint32 {
	v := make([]uint32, n)
	for i := range v {
		v[i] = uint32(r.Uint64() & (1<<r.IntN(r.IntN(most+1)+1) - 1))
	}
	return v
}

func checkPatched(t *testing.T, values []uint32) []byte {
	t.Helper()
	b := AppendPatched([]byte{7}, values)[1:]
	if limit := 1 + Size(len(values), Width(values)); len(values) > 0 && len(b) > limit {
		t.Fatalf("%d bytes for %d values that take %d without exceptions", len(b), len(values), limit)
	}
	for _, tail := range []int{0, 3, 600} {
		var out Block
		src := append(slices.Clone(b), bytes.Repeat([]byte{0xee}, tail)...)
		rest, ok := UnpackPatched(&out, src, len(values))
		if !ok || len(rest) != tail || !slices.Equal(out[:len(values)], values) {
			t.Fatalf("%d values with %d bytes after them: %v, %d left", len(values), tail, ok, len(rest))
		}
	}
	for cut := range b {
		var out Block
		if _, ok := UnpackPatched(&out, b[:cut], len(values)); ok {
			t.Fatalf("%d of %d bytes were read", cut, len(b))
		}
	}
	return b
}

func TestPatchedExample(t *testing.T) {
	if b := checkPatched(t, []uint32{3, 1, 2, 900, 0}); !bytes.Equal(b, []byte{0x43, 0x01, 0x8b, 0x08, 0x03, 0x70}) {
		t.Errorf("% x", b)
	}
}

func TestPatched(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for most := range MaxWidth + 1 {
		for range 20 {
			checkPatched(t, skewed(r, BlockLen, most))
			checkPatched(t, skewed(r, r.IntN(BlockLen+1), most))
		}
	}
	checkPatched(t, slices.Repeat([]uint32{1<<32 - 1}, BlockLen))
	checkPatched(t, append(make([]uint32, BlockLen-1), 1<<32-1))
	checkPatched(t, append(make([]uint32, BlockLen-1), 1<<24-1))
}

func FuzzPatched(f *testing.F) {
	f.Add([]byte{0x43, 0x01, 0x8b, 0x08, 0x03, 0x70}, uint8(5))
	f.Add(make([]byte, 300), uint8(128))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		var out Block
		if rest, ok := UnpackPatched(&out, b, int(n)); ok {
			if len(rest) > len(b) || n > BlockLen {
				t.Fatal("read what cannot be")
			}
			if again := AppendPatched(nil, out[:n]); len(again) > len(b)-len(rest) {
				t.Fatalf("%d bytes where %d do", len(again), len(b)-len(rest))
			}
		}
		values := make([]uint32, min(len(b)/4, BlockLen))
		for i := range values {
			values[i] = binary.LittleEndian.Uint32(b[4*i:])
		}
		checkPatched(t, values)
	})
}
