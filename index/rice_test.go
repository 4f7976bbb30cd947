package index

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"concord/pack"
)

// checkRice writes values as a run and reads them whole and in parts.
func checkRice(t *testing.T, values []uint32) {
	t.Helper()
	var scratch pack.Block
	k := riceParam(values)
	run := appendRice([]byte{byte(k)}, values, k, scratch[:])
	got, rest, ok := readRice([]uint32{7}, append(run[1:len(run):len(run)], 0xee, 0x01), len(values), k)
	if !ok || len(rest) != 2 || got[0] != 7 || !slices.Equal(got[1:], values) {
		t.Fatalf("parameter %d: %v, %d bytes left, %v of %v", k, ok, len(rest), got, values)
	}
	for cut := range len(run) - 1 {
		if _, _, ok := readRice(nil, run[1:1+cut], len(values), k); ok {
			t.Fatalf("%d of %d bytes were read", cut, len(run)-1)
		}
	}
	for first := range values {
		for _, end := range []int{first, first + 1, (first + len(values)) / 2, len(values)} {
			if end < first {
				continue
			}
			want := []uint32{7}
			sum := uint32(5)
			for _, v := range values[first:end] {
				sum += v + 1
				want = append(want, sum)
			}
			c, ok := newRiceChunk(run, len(values))
			if !ok {
				t.Fatal("no chunk")
			}
			if first < len(values) {
				if v, ok := c.at(first); !ok || v != uint64(values[first]) {
					t.Fatalf("value %d: %d, %v, want %d", first, v, ok, values[first])
				}
			}
			part, total, ok := c.appendSums([]uint32{7}, first, end, 5)
			if !ok || !slices.Equal(part, want) || uint32(total) != sum {
				t.Fatalf("sums of values %d to %d: %v, want %v", first, end, part, want)
			}
		}
	}
}

// checkSums writes running sums and reads each.
func checkSums(t *testing.T, values []uint32) {
	t.Helper()
	var scratch pack.Block
	var total uint64
	for _, v := range values {
		total += uint64(v)
	}
	k := sumsParam(len(values), total)
	b := appendSums(nil, values, k, scratch[:])
	low, high := sumsSize(len(values), total, k)
	if uint64(len(b)) != low+high {
		t.Fatalf("%d bytes, want %d and %d", len(b), low, high)
	}
	var sum uint32
	for i, v := range values {
		before, after, ok := sumsAt(b, b[low:], i, k)
		if !ok || before != sum || after != sum+v {
			t.Fatalf("sums at %d: %d, %d, %v, want %d, %d", i, before, after, ok, sum, sum+v)
		}
		sum += v
	}
}

func TestRice(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for bits := range 20 {
		for range 30 {
			values := make([]uint32, 1+r.IntN(blockLen))
			for i := range values {
				values[i] = uint32(r.Uint64() & (1<<r.IntN(bits+1) - 1))
			}
			checkRice(t, values)
			checkSums(t, values)
		}
	}
	checkRice(t, slices.Repeat([]uint32{1<<30 - 1}, 3))
	checkRice(t, append(make([]uint32, blockLen-1), 1<<20))
	checkSums(t, append(make([]uint32, blockLen-1), 1<<20))
}

func TestSelectOne(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 2000 {
		w := r.Uint64() & r.Uint64()
		if r.IntN(3) == 0 {
			w |= r.Uint64() | r.Uint64()
		}
		n := 0
		for i := range 64 {
			if w>>i&1 == 1 {
				if got := selectOne(w, n); got != i {
					t.Fatalf("one %d of %x is at %d, not %d", n, w, i, got)
				}
				n++
			}
		}
	}
	for n := range 64 {
		if got := selectOne(1<<64-1, n); got != n {
			t.Fatal(n, got)
		}
	}
}

func FuzzRice(f *testing.F) {
	f.Add([]byte{3, 0x18, 0xc8, 0x5a, 5}, uint8(2), uint8(1))
	f.Add(make([]byte, 300), uint8(128), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, n, i uint8) {
		n = max(1, n%(blockLen+1))
		i %= n
		if len(b) == 0 {
			return
		}
		readRice(nil, b[1:], int(n), int(b[0]))
		if c, ok := newRiceChunk(b, int(n)); ok {
			c.appendSums(nil, int(i), int(n), 0)
			c.at(int(i))
			c.intersect(nil, []uint32{3, 70, 100_000}, int(i), int(n), 0)
		}
		k := int(b[0]) % (pack.MaxRice + 1)
		if low, _ := sumsSize(int(n), 0, k); low <= uint64(len(b)-1) {
			sumsAt(b[1:], b[1+low:], int(i), k)
		}
		values := make([]uint32, min(len(b)/3, blockLen))
		for i := range values {
			values[i] = uint32(binary.LittleEndian.Uint16(b[3*i:])) + uint32(b[3*i+2]&3)<<16
		}
		checkRice(t, values)
		checkSums(t, values)
	})
}

// BenchmarkPositions reads the positions of one document of a block, as a phrase query does.
func BenchmarkPositions(b *testing.B) {
	for _, c := range []struct {
		name string
		freq int
	}{{"freq=1", 1}, {"freq=3", 3}, {"freq=30", 30}, {"freq=300", 300}} {
		b.Run(c.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			w := postingsWriter{n: blockLen}
			for i := range blockLen {
				w.freqs[i] = uint32(r.IntN(2*c.freq - 1))
				w.firsts[i] = uint32(r.IntN(3000))
				for range w.freqs[i] {
					w.gaps = append(w.gaps, uint32(r.ExpFloat64()*3000/float64(c.freq)))
				}
			}
			block := w.appendPositions(nil)
			p := Postings{n: blockLen, blocks: 1, dir: make([]byte, 12), term: Term{DocCount: blockLen}, posEnd: uint64(len(block)),
				pos: &section{data: block}}
			dst := make([]uint32, 0, 2*c.freq)
			for n := 0; b.Loop(); n++ {
				p.i, p.where.block = n*37%blockLen, -1
				dst = p.Positions(dst[:0])
			}
			if p.err != nil {
				b.Fatal(p.err)
			}
			b.ReportMetric(float64(len(block)*8)/float64(blockLen+len(w.gaps)), "bits/position")
		})
	}
}
