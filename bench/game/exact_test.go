package game

import (
	"math"
	"slices"
	"strings"
	"testing"

	"concord/query"
)

var exactCorpus = []string{"the quick brown fox", "the lazy dog the dog", "quick dog quick fox quick", "brown dog", ""}

func exactOf(t *testing.T, queries ...string) (*Exact, []query.Node) {
	t.Helper()
	var roots []query.Node
	for _, q := range queries {
		n, err := ParseQuery(q)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, n)
	}
	x := NewExact(GameBM25, roots)
	for _, d := range exactCorpus {
		x.Add(strings.Fields(d))
	}
	return x, roots
}

func TestExactMatches(t *testing.T) {
	for q, want := range map[string][]int{
		"quick": {0, 2}, "quick dog": {0, 1, 2, 3}, "+quick +dog": {2}, "+dog -quick": {1, 3}, `"quick fox"`: {2}, `"the dog"`: {1},
		"+dog quick": {1, 2, 3}, `"dog dog"`: nil, "cat": nil, `+(fox lazy) -"quick brown"`: {1, 2},
	} {
		x, roots := exactOf(t, q)
		all, err := x.All(roots[0])
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, d := range all {
			got = append(got, d.Doc)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s matches %v, want %v", q, got, want)
		}
	}
}

// The score is that of the formula, worked out for one word and one document: 5 documents, 2 with the word, 16 words in all.
func TestExactScore(t *testing.T) {
	x, roots := exactOf(t, "quick")
	all, err := x.All(roots[0])
	if err != nil {
		t.Fatal(err)
	}
	idf := math.Log(1 + (5-2+0.5)/(2+0.5))
	want := idf * 3 / (3 + 0.9*(1-0.4+0.4*5/(16.0/5)))
	if all[0].Doc != 2 || math.Abs(all[0].Score-want) > 1e-12 {
		t.Errorf("best is %v, want document 2 with %v", all[0], want)
	}
}

func TestLossyLength(t *testing.T) {
	for n, want := range map[uint32]uint32{0: 0, 23: 23, 24: 24, 39: 39, 40: 40, 41: 40, 42: 42, 1000: 984, 100000: 98328} {
		if got := lossyLength(n); got != want {
			t.Errorf("length %d becomes %d, want %d", n, got, want)
		}
	}
}

func TestOverlap(t *testing.T) {
	exact := []Scored{{1, 3}, {2, 2}, {3, 2}, {4, 1}}
	for _, c := range []struct {
		got  []Scored
		want float64
	}{{[]Scored{{1, 0}, {2, 0}}, 1}, {[]Scored{{3, 0}, {1, 0}}, 1}, {[]Scored{{1, 0}, {4, 0}}, 0.5}, {nil, 0}} {
		if got := Overlap(exact, c.got, 2); got != c.want {
			t.Errorf("overlap of %v is %v, want %v", c.got, got, c.want)
		}
	}
	if Overlap(nil, nil, 10) != 1 || Overlap(nil, exact, 10) != 0 {
		t.Error("nothing agrees with nothing only")
	}
}
