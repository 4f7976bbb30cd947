package search

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"concord/index"
	"concord/query"
)

// TestPruningChangesNothing holds the best k of searches that skip what cannot matter equal to those of scoring every document,
// over collections of several windows with words of all frequencies, for plain, wide and narrow queries.
func TestPruningChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 4))
	const docs, words = 30_000, 60
	b := index.NewBuilder(index.Config{OmitText: true})
	for i := range docs {
		var body strings.Builder
		for range 1 + r.IntN(12) {
			w := int(words * r.Float64() * r.Float64() * r.Float64())
			for range 1 + r.IntN(3)*r.IntN(3) {
				fmt.Fprintf(&body, "w%c%c ", 'a'+w/10, 'a'+w%10)
			}
		}
		if i/3000%3 == 1 { // words that are frequent in places
			body.WriteString(" wfa wfb wfa")
		}
		d := &index.Document{URL: fmt.Sprintf("https://a.example/%06d", i), Site: "a.example", Body: body.String()}
		if err := b.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	path := t.TempDir() + "/segment"
	if _, err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	seg := open(t, path)
	del := index.NewDeletes(seg.Docs())
	for range docs / 50 {
		del.Add(index.DocID(r.IntN(docs)))
	}
	view, err := seg.WithDeletes(del)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	reordered := t.TempDir() + "/reordered"
	if _, err := index.Merge(t.Context(), reordered, []*index.Segment{seg}, index.Config{OmitText: true, Reorder: true}); err != nil {
		t.Fatal(err)
	}
	other := open(t, reordered)
	if other.Ordered() {
		t.Fatal("the segment was not reordered")
	}
	for name, s := range map[string]*index.Segment{"whole": seg, "with deletes": view, "reordered": other} {
		sr := New(s)
		defer sr.Close()
		snap := sr.Acquire()
		defer snap.Release()
		for range 150 {
			q := sparseQuery(r, words)
			root, err := query.Parse(q)
			if err != nil {
				t.Fatal(q, err)
			}
			checkPruning(t, name, snap, root, []int{1, 3, 10, 100, 150, 1000}[r.IntN(6)])
		}
	}
}

func sparseQuery(r *rand.Rand, words int) string {
	word := func() string {
		w := int(float64(words) * r.Float64() * r.Float64())
		return fmt.Sprintf("w%c%c", 'a'+w/10, 'a'+w%10)
	}
	var parts []string
	for range 1 + r.IntN(5) {
		parts = append(parts, word())
	}
	switch r.IntN(8) {
	case 0:
		return strings.Join(parts, " ")
	case 1:
		return fmt.Sprintf("%q", word()+" "+word())
	case 2:
		return word() + " ?" + strings.Join(parts, " ?")
	case 3:
		return word() + " -" + strings.Join(parts, " -")
	case 4:
		return fmt.Sprintf("%s (%s)", word(), strings.Join(append(parts, word()), " OR "))
	case 5:
		return fmt.Sprintf("(%s) %q", strings.Join(append(parts, word()), " OR "), word()+" "+word())
	}
	return strings.Join(parts, " OR ")
}

// checkPruning compares a pruned search, an exact one and a count with the scores of all documents.
func checkPruning(t *testing.T, name string, snap *Snapshot, root query.Node, k int) {
	t.Helper()
	seg := snap.segments[0]
	p, err := snap.plan(root)
	if err != nil {
		t.Fatal(err)
	}
	x := snap.scratch(t.Context())
	c, err := p.compile(0, seg, x)
	if err != nil {
		t.Fatal(err)
	}
	var want []Scored
	for d := range index.DocID(seg.Docs()) { // every document, by the simplest of a clause's methods
		if score, ok := c.at(d, 0); ok && !seg.Deleted(d) {
			want = append(want, Scored{Doc: d, Score: float64(score) / p.scale})
		}
	}
	total := uint64(len(want))
	slices.SortFunc(want, func(a, b Scored) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(seg.Rank(a.Doc), seg.Rank(b.Doc)))
	})
	want = want[:min(k, len(want))]
	for _, exact := range []bool{false, true} {
		got, n, err := snap.Top(t.Context(), root, k, exact)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) || exact && n != total || n > total {
			t.Fatalf("%s: %s: best %d, exact %v: total %d, want %d\ngot  %v\nwant %v", name, root, k, exact, n, total, got, want)
		}
	}
	if n, err := snap.Count(t.Context(), root); err != nil || n != total {
		t.Fatalf("%s: count %s: %d %v, want %d", name, root, n, err, total)
	}
}
