package pack

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// riceRun returns values as a Rice run: low bits and unary part.
func riceRun(values []uint32, k int) (lows, highs []byte) {
	low := make([]uint32, len(values))
	at := 0
	for i, v := range values {
		low[i] = v & (1<<k - 1)
		for at += int(v >> k); at/8 >= len(highs); {
			highs = append(highs, 0)
		}
		highs[at/8] |= 1 << (at % 8)
		at++
	}
	return Append(nil, low, k), highs
}

// riceCase returns values, their parameter, and the run before a page that may not be read. Some runs have other bytes behind
// their low bits.
func riceCase(t testing.TB, r *rand.Rand, sums bool) (values []uint32, k int, lows, highs []byte) {
	n := r.IntN(BlockLen + 1)
	if r.IntN(3) == 0 {
		n = BlockLen
	}
	k = r.IntN(MaxRice + 1)
	most := uint64(1) << k * uint64(1+r.IntN(8))
	if r.IntN(30) == 0 {
		most *= 1000 // beyond 65,536 bits
	}
	most = min(most, 1<<32)
	values = make([]uint32, n)
	for i := range values {
		values[i] = uint32(r.Uint64N(most))
	}
	coded := values
	if sums {
		for i := range values {
			values[i] = uint32(uint64(values[i]) * uint64(i) / BlockLen)
		}
		slices.Sort(values)
		coded = slices.Clone(values) // the same low bits, and the differences of the others
		for i := n - 1; i > 0; i-- {
			coded[i] -= values[i-1] >> k << k
		}
	}
	l, h := riceRun(coded, k)
	lows, highs = guarded(t, len(l)+r.IntN(3)*r.IntN(100)), guarded(t, len(h)+r.IntN(3)*r.IntN(20))
	fillBytes(r, lows)
	fillBytes(r, highs)
	copy(lows, l)
	copy(highs, h)
	return values, k, lows, highs
}

func TestRiceExample(t *testing.T) {
	lows, highs := riceRun([]uint32{3, 1, 2, 9, 0}, 1)
	if !bytes.Equal(lows, []byte{0x0b}) || !bytes.Equal(highs, []byte{0x16, 0x06}) {
		t.Errorf("% x % x", lows, highs)
	}
}

func TestUnpackRiceLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(31, 32))
		for range 3000 {
			values, k, lows, highs := riceCase(t, r, false)
			n := len(values)
			var out Block
			if !UnpackRice(&out, lows, highs, n, k) || !slices.Equal(out[:n], values) {
				t.Fatalf("%d values of %d low bits differ:\n%v\n%v", n, k, out[:n], values)
			}
			_, h := riceRun(values, k)
			if n > 0 && (UnpackRice(&out, lows, h[:len(h)-1], n, k) || k > 0 && UnpackRice(&out, lows[:Size(n, k)-1], highs, n, k)) {
				t.Fatalf("%d values of %d low bits are read from less than they take", n, k)
			}
		}
		if UnpackRice(new(Block), nil, nil, -1, 0) || UnpackRice(new(Block), nil, nil, math.MaxInt, 0) || UnpackRice(new(Block), nil, nil, 0, 32) {
			t.Error("a run that cannot be was read")
		}
	})
}

func TestUnpackSumsLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(33, 34))
		for range 3000 {
			sums, k, lows, highs := riceCase(t, r, true)
			n := len(sums)
			var out [BlockLen + 1]uint32
			out[0] = 9
			if !UnpackSums(&out, lows, highs, n, k) || out[0] != 0 || !slices.Equal(out[1:1+n], sums) {
				t.Fatalf("%d sums of %d low bits differ:\n%v\n%v", n, k, out[:n+1], sums)
			}
			if clear(highs); n > 0 && UnpackSums(&out, lows, highs, n, k) {
				t.Fatal("sums are read where there is no one")
			}
		}
		if UnpackSums(new([BlockLen + 1]uint32), nil, nil, -1, 0) || UnpackSums(new([BlockLen + 1]uint32), nil, nil, 1, 1) {
			t.Error("sums that cannot be were read")
		}
	})
}

func TestPrefixSumLevels(t *testing.T) {
	atEveryLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(35, 36))
		for range 3000 {
			gaps := guardedWords(t, r.IntN(150))
			narrow := r.IntN(33)
			for i := range gaps {
				gaps[i] = uint32(r.Uint64() >> 32 >> narrow)
			}
			base := r.Uint32() >> r.IntN(33)
			want, ok, sum := make([]uint32, len(gaps)), true, uint64(base)
			for i, gap := range gaps {
				sum += uint64(gap) + 1
				ok = ok && sum <= math.MaxUint32
				want[i] = uint32(sum)
			}
			dst := guardedWords(t, len(gaps))
			if PrefixSum(dst, gaps, base) != ok || !slices.Equal(dst, want) {
				t.Fatalf("%d gaps from %d: not %v\n%v\n%v", len(gaps), base, ok, dst, want)
			}
			if PrefixSum(gaps, gaps, base) != ok || !slices.Equal(gaps, want) {
				t.Fatalf("%d gaps from %d: not %v in place", len(gaps), base, ok)
			}
		}
	})
}
