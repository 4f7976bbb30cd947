package search

import (
	"math/rand/v2"
	"slices"
	"testing"

	"concord/index"
)

func TestCollectorKeepsTheBest(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	seg := write(t, index.Config{})
	for range 500 {
		k, n, scores := r.IntN(300), r.IntN(3000), 1+r.IntN(400)
		floor := uint32(r.IntN(scores)) * uint32(r.IntN(2))
		var h collector
		h.reset(seg, k, floor)
		var want []uint64
		for d := range n {
			score := uint32(r.IntN(scores))
			h.offer(score, index.DocID(d))
			if score >= floor {
				want = append(want, uint64(score)<<32|uint64(^uint32(d)))
			}
		}
		slices.Sort(want)
		slices.Reverse(want)
		if want = want[:min(k, len(want))]; !slices.Equal(h.best(), want) {
			t.Fatalf("best %d of %d with floor %d: got %x\nwant %x", k, n, floor, h.best(), want)
		}
	}
}

func TestSelectBest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		v := make([]uint64, 1+r.IntN(100))
		for i, x := range r.Perm(len(v)) {
			v[i] = uint64(x)
		}
		if r.IntN(4) == 0 {
			slices.Sort(v)
		}
		k := r.IntN(len(v) + 1)
		selectBest(v, k)
		slices.Sort(v[:k])
		for i, x := range v[:k] {
			if want := uint64(len(v) - k + i); x != want {
				t.Fatalf("best %d of %d: place %d has %d, want %d", k, len(v), i, x, want)
			}
		}
	}
}
