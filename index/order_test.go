package index

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concord"

	"github.com/google/go-cmp/cmp"
)

// topicDocs are documents of a few hosts, each on one of eight topics with words of its own, in no order of topics.
func topicDocs(n int) (docs []*Document) {
	r := rand.New(rand.NewPCG(7, 7))
	for i := range n {
		topic := r.IntN(8)
		var body strings.Builder
		for range 30 + r.IntN(60) {
			fmt.Fprintf(&body, "t%dw%d ", topic, r.IntN(40))
		}
		for range 20 {
			fmt.Fprintf(&body, "w%d ", r.IntN(1+r.IntN(300)))
		}
		d := testDoc(i)
		d.Site, d.Host = fmt.Sprintf("site%d.example", i%7), fmt.Sprintf("www%d.site%d.example", i%3, i%7)
		d.URL = fmt.Sprintf("https://%s/%d", d.Host, i)
		d.Body, d.Fetched = body.String(), time.Unix(1_700_000_000+int64(r.IntN(1e7)), 0).UTC()
		d.FileType = []string{"html", "pdf"}[r.IntN(2)]
		docs = append(docs, d)
	}
	return docs
}

func merge(t testing.TB, path string, cfg Config, segs ...*Segment) *Segment {
	t.Helper()
	if _, err := Merge(t.Context(), path, segs, cfg); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestReorderedMerge reorders a merge, and holds everything but the numbers of documents as it is without.
func TestReorderedMerge(t *testing.T) {
	dir := t.TempDir()
	docs := topicDocs(1600)
	a, b := build(t, filepath.Join(dir, "a"), docs[:1000]...), build(t, filepath.Join(dir, "b"), docs[900:]...)
	plain := merge(t, filepath.Join(dir, "plain"), Config{}, a, b)
	re := merge(t, filepath.Join(dir, "re"), Config{Reorder: true}, a, b)
	if !plain.Ordered() || re.Ordered() || plain.Docs() != 1600 || re.Docs() != 1600 {
		t.Fatal("order or number of documents", plain.Ordered(), re.Ordered(), re.Docs())
	}
	sameContents(t, plain, re)

	// What was reordered can be merged again, into either order.
	again := merge(t, filepath.Join(dir, "again"), Config{}, re)
	x, _ := os.ReadFile(plain.Path())
	y, _ := os.ReadFile(again.Path())
	if !bytes.Equal(x, y) {
		t.Error("put back in order it is not the file that was never reordered")
	}
	del := NewDeletes(re.Docs())
	old, _, _ := re.Lookup(docs[10].URL)
	del.Add(old)
	view, err := re.WithDeletes(del)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	fresh := build(t, filepath.Join(dir, "fresh"), docs[10], testDoc(1))
	want := build(t, filepath.Join(dir, "want"), append(slices.Clone(docs), testDoc(1))...)
	sameContents(t, want, merge(t, filepath.Join(dir, "mixed"), Config{Reorder: true}, view, fresh))
	mixed := merge(t, filepath.Join(dir, "mixed2"), Config{}, view, fresh)
	x, _ = os.ReadFile(want.Path())
	y, _ = os.ReadFile(mixed.Path())
	if !bytes.Equal(x, y) {
		t.Error("merged of a reordered and a fresh segment differs from built at once")
	}
}

// sameContents holds two segments with the same documents equal but for their numbers; want is ordered.
func sameContents(t *testing.T, want, got *Segment) {
	t.Helper()
	rank := make([]DocID, got.Docs())
	for d := range DocID(got.Docs()) {
		r := DocID(got.Rank(d))
		rank[d] = r
		x, err := want.Document(r)
		if err != nil {
			t.Fatal(err)
		}
		y, err := got.Document(d)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(x, y); diff != "" {
			t.Fatal(diff)
		}
		if found, ok, err := got.Lookup(y.URL); found != d || !ok || err != nil {
			t.Fatalf("Lookup(%s) = %d, %v, %v, want %d", y.URL, found, ok, err, d)
		}
	}
	for f := range NumFields {
		words := 0
		err := want.Words(f, "", func(word []byte, term Term) bool {
			words++
			samePostings(t, want, got, f, string(word), term, rank)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Words(f, "", func([]byte, Term) bool { words--; return true }); err != nil || words != 0 {
			t.Fatalf("%s: %d words are missing, %v", f, words, err)
		}
	}
	sameFilters(t, want, got, rank)
}

func samePostings(t *testing.T, want, got *Segment, f Field, word string, term Term, rank []DocID) {
	t.Helper()
	type posting struct {
		impact    byte
		positions []uint32
	}
	other, ok, err := got.Term(f, word)
	if err != nil || !ok || other.DocCount != term.DocCount {
		t.Fatalf("%s:%s: %+v, want %+v, %v", f, word, other, term, err)
	}
	all := map[DocID]posting{}
	var p Postings
	if err := p.Reset(want, term); err != nil {
		t.Fatal(err)
	}
	for d := p.Next(); d != NoDoc; d = p.Next() {
		all[d] = posting{p.Impact(), p.Positions(nil)}
	}
	if err := p.Reset(got, other); err != nil {
		t.Fatal(err)
	}
	last := DocID(0)
	for d := p.Next(); d != NoDoc; d = p.Next() {
		w, ok := all[rank[d]]
		if !ok || w.impact != p.Impact() || !slices.Equal(w.positions, p.Positions(nil)) || d < last {
			t.Fatalf("%s:%s in %d: another posting", f, word, d)
		}
		delete(all, rank[d])
		last = d
	}
	if len(all) > 0 || p.Err() != nil {
		t.Fatalf("%s:%s: %d postings are missing, %v", f, word, len(all), p.Err())
	}
}

func sameFilters(t *testing.T, want, got *Segment, rank []DocID) {
	t.Helper()
	host := func(h string) bool { return strings.HasSuffix(h, "site3.example") }
	pdf := func(s string) bool { return s == "pdf" }
	for i, f := range [][2]*Filter{{want.FilterHosts(host), got.FilterHosts(host)}, {want.FilterFileType(pdf), got.FilterFileType(pdf)},
		{want.FilterDates(1_702_000_000, 1_705_000_000), got.FilterDates(1_702_000_000, 1_705_000_000)}} {
		n := 0
		for d := range rank {
			if f[0].Match(rank[d]) != f[1].Match(DocID(d)) {
				t.Fatalf("filter %d: document %d", i, d)
			}
			if f[1].Match(DocID(d)) {
				n++
				if f[1].Next(DocID(d)) != DocID(d) {
					t.Fatalf("filter %d: Next passes document %d", i, d)
				}
			}
		}
		if n == 0 {
			t.Errorf("filter %d selects nothing", i)
		}
	}
}

// TestDamagedRanks makes ranks that are no permutation.
func TestDamagedRanks(t *testing.T) {
	dir := t.TempDir()
	re := merge(t, filepath.Join(dir, "re"), Config{Reorder: true}, build(t, filepath.Join(dir, "a"), topicDocs(300)...))
	data, err := os.ReadFile(re.Path())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := parseTable(data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		bad := bytes.Clone(data)
		at := entries[secRanks-1].offset
		if bad[at] = 0; i == 0 {
			bad[at], bad[at+1] = 0xff, 0xff
		}
		reseal(bad, entries)
		s, err := openBytes(bad, len(bad))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Merge(t.Context(), filepath.Join(dir, fmt.Sprint(i)), []*Segment{s}, Config{}); concord.KindOf(err) != concord.Corrupt ||
			!strings.Contains(err.Error(), `section "ranks"`) {
			t.Errorf("merge with damaged ranks: %v", err)
		}
		s.Close()
	}
}

// TestGatherInPasses holds the merge of long lists in several passes equal to that in one.
func TestGatherInPasses(t *testing.T) {
	dir := t.TempDir()
	re := merge(t, filepath.Join(dir, "re"), Config{Reorder: true}, build(t, filepath.Join(dir, "a"), topicDocs(800)...))
	var files [2][]byte
	for i := range files {
		path := filepath.Join(dir, fmt.Sprint(i))
		_, err := writeSegment(path, DefaultScoring(), func(w *segmentWriter) error {
			m, err := newMerger(t.Context(), w, []*Segment{re}, Config{})
			if err != nil {
				return err
			}
			if i == 1 {
				m.gather.limit = 100
			}
			return m.run(Config{})
		})
		if err != nil {
			t.Fatal(err)
		}
		if files[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("lists gathered in passes differ")
	}
}
