package index

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// mixedTopics returns a forward index of documents of several topics in random order, and the topic of each.
func mixedTopics(docs, topics int) (*forwardIndex, []int) {
	r := rand.New(rand.NewPCG(1, 9))
	const own, common = 50, 400
	f := &forwardIndex{starts: []uint32{0}, termCount: topics*own + common}
	topic := make([]int, docs)
	for d := range docs {
		topic[d] = r.IntN(topics)
		var terms []uint32
		for range 20 {
			terms = append(terms, uint32(topic[d]*own+r.IntN(own)), uint32(topics*own+r.IntN(common)))
		}
		slices.Sort(terms)
		f.terms = append(f.terms, slices.Compact(terms)...)
		f.starts = append(f.starts, uint32(len(f.terms)))
	}
	return f, topic
}

// gapBits is what an order is judged by: bits of the gaps of all lists.
func gapBits(f *forwardIndex, order []uint32) float64 {
	last := make([]int, f.termCount)
	for t := range last {
		last[t] = -1
	}
	var sum float64
	for i, d := range order {
		for _, t := range f.of(d) {
			sum += math.Log2(float64(i - last[t]))
			last[t] = i
		}
	}
	return sum
}

func TestBisect(t *testing.T) {
	never := func() bool { return false }
	f, topic := mixedTopics(4000, 16)
	order := bisect(f, 1, never)
	sorted := slices.Clone(order)
	slices.Sort(sorted)
	same := make([]uint32, f.docs())
	for i := range same {
		if same[i] = uint32(i); sorted[i] != uint32(i) {
			t.Fatal("not a permutation")
		}
	}
	changes := 0
	for i := 1; i < len(order); i++ {
		if topic[order[i]] != topic[order[i-1]] {
			changes++
		}
	}
	if before, after := gapBits(f, same), gapBits(f, order); after > before*0.75 || changes > 400 {
		t.Errorf("gaps take %.0f bits, %.0f before; the topic changes %d times", after, before, changes)
	}
	if !slices.Equal(order, bisect(f, 4, never)) {
		t.Error("four workers give another order than one")
	}
	for _, n := range []int{0, 1, 2, bisectLeaf + 1} {
		f, _ := mixedTopics(n, 2)
		if got := bisect(f, 2, never); len(got) != n {
			t.Errorf("%d of %d documents", len(got), n)
		}
	}
	calls := 0
	bisect(f, 1, func() bool { calls++; return calls > 3 })
	if calls > 400 {
		t.Errorf("went on for %d calls after it was told to stop", calls)
	}
}

func BenchmarkBisect(b *testing.B) {
	f, _ := mixedTopics(20_000, 40)
	for b.Loop() {
		bisect(f, 2, func() bool { return false })
	}
	b.ReportMetric(float64(len(f.terms)), "postings")
}
