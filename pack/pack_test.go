package pack

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// twin reads a packed stream bit by bit: the layout as documented, with no regard to speed.
func twin(src []byte, n, width int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		for b := range width {
			bit := i*width + b
			out[i] |= uint32(src[bit/8]>>(bit%8)&1) << b
		}
	}
	return out
}

func randomValues(r *rand.Rand, n, width int) []uint32 {
	v := make([]uint32, n)
	for i := range v {
		v[i] = uint32(r.Uint64() & (1<<width - 1))
	}
	return v
}

func TestEveryWidth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for width := range MaxWidth + 1 {
		values := randomValues(r, BlockLen, width)
		packed := Append([]byte{9}, values, width)[1:]
		if len(packed) != Size(BlockLen, width) || len(packed) != 16*width {
			t.Fatalf("width %d: %d bytes", width, len(packed))
		}
		if got := twin(packed, BlockLen, width); !slices.Equal(got, values) {
			t.Fatalf("width %d: packed bits differ from the layout", width)
		}
		for _, src := range [][]byte{packed, append(slices.Clone(packed), make([]byte, 20)...)} {
			var out Block
			if !Unpack(&out, src, width) || !slices.Equal(out[:], values) {
				t.Fatalf("width %d: Unpack differs", width)
			}
		}
		for n := 0; n <= BlockLen; n += 13 {
			short := Append(nil, values[:n], width)
			if len(short) != Size(n, width) || !slices.Equal(twin(short, n, width), values[:n]) {
				t.Fatalf("width %d: %d packed values differ from the layout", width, n)
			}
		}
		if width > 0 {
			var out Block
			if Unpack(&out, packed[:len(packed)-1], width) {
				t.Fatalf("width %d: Unpack read a cut block", width)
			}
		}
	}
	var out Block
	if Unpack(&out, make([]byte, 1000), 33) || Unpack(&out, nil, -1) {
		t.Error("width out of range unpacked")
	}
}

// TestAt holds single values equal to those of the unpacked block, at every width, of sources that are whole, go on, or end anywhere.
func TestAt(t *testing.T) {
	r := rand.New(rand.NewPCG(37, 38))
	for width := range MaxWidth + 1 {
		packed := Append(nil, randomValues(r, BlockLen, width), width)
		for end := range len(packed) + 12 {
			src := guarded(t, end)
			for i := range src[copy(src, packed):] {
				src[len(packed)+i] = 255
			}
			whole := make([]byte, max(len(packed), end))
			copy(whole, src)
			var want Block
			if !Unpack(&want, whole, width) {
				t.Fatalf("width %d: not unpacked", width)
			}
			for i, v := range want {
				if got := At(src, width, i); got != v {
					t.Fatalf("width %d, %d bytes: value %d is %d, not %d", width, end, i, got, v)
				}
			}
		}
	}
}

func TestDeltasAndBits(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, gap := range []int{1, 2, 3, 10, 1000, 1 << 20} {
		for _, base := range []uint32{^uint32(0), 0, 12345} {
			var docs Block
			gaps := make([]uint32, BlockLen)
			last := base
			for i := range docs {
				gaps[i] = uint32(r.IntN(gap))
				last += gaps[i] + 1
				docs[i] = last
			}
			w := Width(gaps)
			var out Block
			if !UnpackDeltas(&out, Append(nil, gaps, w), w, base) || out != docs {
				t.Fatalf("gap %d base %d: deltas differ", gap, base)
			}
			if gap > 1000 {
				continue
			}
			span := int(last - base)
			bitmap := AppendBits(nil, docs[:], base, span)
			out = Block{}
			if !UnpackBits(&out, bitmap, base, span) || out != docs {
				t.Fatalf("gap %d base %d: bitmap differs", gap, base)
			}
			bitmap[len(bitmap)/2] ^= 4
			if UnpackBits(&out, bitmap, base, span) {
				t.Fatalf("gap %d: a bitmap of 127 or 129 bits was read", gap)
			}
		}
	}
}

func FuzzPack(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, uint8(5))
	f.Add(make([]byte, 4*BlockLen), uint8(31))
	f.Fuzz(func(t *testing.T, b []byte, extra uint8) {
		values := make([]uint32, min(len(b)/4, BlockLen))
		for i := range values {
			values[i] = binary.LittleEndian.Uint32(b[4*i:])
		}
		w := min(Width(values)+int(extra%4), MaxWidth)
		packed := Append(nil, values, w)
		if got := twin(packed, len(values), w); !slices.Equal(got, values) {
			t.Fatal("packed bits differ from the layout")
		}
		for i, v := range values {
			if At(packed, w, i) != v {
				t.Fatal("At differs")
			}
		}
		var out, plain Block
		if Unpack(&out, b, int(extra)) { // arbitrary bytes at an arbitrary width
			copy(plain[:], twin(b, BlockLen, int(extra)))
			if out != plain {
				t.Fatal("Unpack differs from its twin")
			}
		}
		UnpackBits(&out, b, uint32(extra), len(b)*8-int(extra%8))
	})
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{1, 0x80, 1, 3, 'a', 'b', 'c'})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		for r.Len() > 0 {
			before := r.Len()
			switch before % 4 {
			case 0:
				r.Uvarint()
			case 1:
				r.Uint32()
			case 2:
				_ = r.String()
			default:
				r.Byte()
			}
			if r.Len() >= before {
				t.Fatal("nothing was consumed")
			}
		}
		if r.Byte(); r.OK() {
			t.Fatal("read past the end")
		}
	})
}

// interval marks the documents from..to-1.
func interval(from, to uint32) (b Bitmap) {
	for i := from; i < to; i++ {
		b.Set(i)
	}
	return b
}

func TestWindow(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var b, c Bitmap
	var docs []uint32
	const base = 100_000
	for i := range uint32(BitmapLen) {
		if r.IntN(3) == 0 {
			docs = append(docs, base+i)
			c.Set(i)
		}
	}
	b.SetDocs(docs, base)
	if b != c || b.Count() != len(docs) || b.Empty() {
		t.Error("SetDocs differs from Set")
	}
	for range 200 {
		from := uint32(r.IntN(BitmapLen))
		to := from + uint32(r.IntN(BitmapLen+1-int(from)))
		f := interval(from, to)
		if f.Count() != int(to-from) {
			t.Fatalf("%d of the documents from %d to %d are marked", f.Count(), from, to)
		}
		g := b
		g.And(&f)
		h := b
		h.AndNot(&f)
		if g.Count()+h.Count() != b.Count() {
			t.Fatal("And and AndNot do not add up")
		}
		g.Or(&h)
		if g != b {
			t.Fatal("Or does not undo the split")
		}
	}
	if b.Clear(); !b.Empty() || MaxByte(nil) != 0 || MaxByte([]byte{3, 250, 9}) != 250 {
		t.Error("Clear or MaxByte")
	}
}
