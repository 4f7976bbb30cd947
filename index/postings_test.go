package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"concord"
)

// gapSegment has words in random documents at many densities: "every" in all, "dN" in about one of N.
func gapSegment(t *testing.T) *Segment {
	r := rand.New(rand.NewPCG(8, 8))
	b := NewBuilder(Config{})
	for i := range 20_000 {
		body := "every "
		for _, n := range []int{2, 3, 20, 150, 5000} {
			if r.IntN(n) == 0 {
				body += strings.Repeat(fmt.Sprintf("d%d ", n), 1+r.IntN(4))
			}
		}
		if i/40%25 == 0 {
			body += "bursts "
		}
		if i > 10_000 && i < 10_600 {
			body += "cluster "
		}
		if err := b.Add(&Document{URL: fmt.Sprintf("https://x.example/%05d", i), Site: "x.example", Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "s")
	if _, err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// plain is a posting list as plain arrays.
type plain struct {
	docs    []DocID
	impacts []byte
	freqs   []int
}

// TestPostingsWalks holds every way of walking a list equal to walking it with Next.
func TestPostingsWalks(t *testing.T) {
	s := gapSegment(t)
	r := rand.New(rand.NewPCG(9, 9))
	for _, word := range []string{"every", "d2", "d3", "d20", "d150", "d5000", "cluster", "bursts"} {
		term, ok, err := s.Term(FieldAll, word)
		if err != nil || !ok {
			t.Fatal(word, ok, err)
		}
		var p Postings
		reset := func() {
			if err := p.Reset(s, term); err != nil {
				t.Fatal(err)
			}
		}
		var want plain
		reset()
		for d := p.Next(); d != NoDoc; d = p.Next() {
			want.docs = append(want.docs, d)
			want.impacts = append(want.impacts, p.Impact())
			want.freqs = append(want.freqs, p.Freq())
		}
		if len(want.docs) != int(term.DocCount) || !slices.IsSorted(want.docs) || slices.Max(want.impacts) != p.MaxImpact() {
			t.Fatalf("%s: %d postings of %d, largest impact %d", word, len(want.docs), term.DocCount, p.MaxImpact())
		}
		for round := range 30 {
			reset()
			step := 1 + r.IntN(1<<r.IntN(14))
			for at := DocID(0); ; {
				i, _ := slices.BinarySearch(want.docs, at)
				if got := p.Advance(at); i == len(want.docs) && got != NoDoc || i < len(want.docs) && got != want.docs[i] {
					t.Fatalf("%s: Advance(%d) = %d", word, at, got)
				}
				if i == len(want.docs) {
					break
				}
				checkIntersect(t, &p, r)
				d, all := p.Doc(), p.Positions(nil)
				m := p.At(d)
				if block, place := p.Found(); m != want.impacts[i] || !slices.Equal(p.IntersectOf(nil, all, block, place), all) {
					t.Fatalf("%s: At(%d) finds other positions", word, d)
				}
				if n := len(p.Positions(nil)); n != want.freqs[i] || p.Impact() != want.impacts[i] {
					t.Fatalf("%s: document %d has %d positions, want %d", word, want.docs[i], n, want.freqs[i])
				}
				if r.IntN(3) == 0 && i+1 < len(want.docs) {
					if got := p.Next(); got != want.docs[i+1] {
						t.Fatalf("%s: Next after %d = %d", word, want.docs[i], got)
					}
				}
				at = max(at+DocID(1+r.IntN(step)), p.Doc())
			}
			testBlocks(t, word, &p, reset, want, r, round)
		}
	}
}

// testBlocks walks a list window by window and holds the bounds of windows to be bounds.
func testBlocks(t *testing.T, word string, p *Postings, reset func(), want plain, r *rand.Rand, round int) {
	reset()
	var docs []DocID
	var impacts []byte
	for at := DocID(0); at < 20_000; {
		end := at + DocID(1+r.IntN(5000))
		if !p.SeekBlock(at) {
			break
		}
		bound := p.MaxImpactIn(at, end-1)
		from := len(docs)
		for ok := true; ok && p.BlockFirst() < end; ok = p.NextBlock() {
			d, m := p.BlockIn(at, end)
			for i := range d {
				docs = append(docs, DocID(d[i]))
			}
			impacts = append(impacts, m...)
			if p.BlockLast() >= end {
				break
			}
		}
		for _, m := range impacts[from:] {
			if m > bound {
				t.Fatalf("%s: impact %d in a window bounded by %d", word, m, bound)
			}
		}
		if round%2 == 0 && r.IntN(4) == 0 { // leave a window out
			skip := end + DocID(r.IntN(3000))
			for i, d := range want.docs {
				if d >= end && d < skip {
					docs = append(docs, d)
					impacts = append(impacts, want.impacts[i])
				}
			}
			end = skip
		}
		at = end
	}
	if !slices.Equal(docs, want.docs) || !slices.Equal(impacts, want.impacts) {
		t.Fatalf("%s: blocks give %d postings, want %d", word, len(docs), len(want.docs))
	}
}

func TestBuilderReplacesAndDeletes(t *testing.T) {
	b := NewBuilder(Config{})
	old, fresh, other := testDoc(1), testDoc(1), testDoc(2)
	old.Body, fresh.Body = "stale words", "fresh words"
	for _, d := range []*Document{old, other, fresh, testDoc(3)} {
		if err := b.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if !b.Delete(testDoc(3).URL) || b.Delete(testDoc(3).URL) || b.Docs() != 2 || !b.Has(fresh.URL) {
		t.Error("Delete or Docs")
	}
	path := filepath.Join(t.TempDir(), "s")
	info, err := b.Write(path)
	if err != nil || info.Docs != 2 {
		t.Fatal(info, err)
	}
	if _, err := b.Write(path); concord.KindOf(err) != concord.Conflict {
		t.Errorf("second write: %v", err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, found, _ := s.Term(FieldAll, "stale"); found {
		t.Error("a replaced document's word is in the dictionary")
	}
	if fi := s.Info(); fi.CRC != info.CRC || fi.Bytes != info.Bytes {
		t.Errorf("Info %+v, written as %+v", fi, info)
	}
	for _, d := range []*Document{{}, {URL: strings.Repeat("x", MaxURLBytes+1)}, {URL: "x", MaxSnippet: -1}, {URL: "x", Body: strings.Repeat("x", MaxDocumentBytes)}} {
		if err := b.Add(d); concord.KindOf(err) != concord.Invalid {
			t.Errorf("bad document: %v", err)
		}
	}
}

func TestMergeKeepsTheLaterVersion(t *testing.T) {
	dir := t.TempDir()
	a, b := testDoc(1), testDoc(1)
	a.Body, b.Body = "first version", "second version"
	s1, s2 := build(t, filepath.Join(dir, "1"), a, testDoc(2)), build(t, filepath.Join(dir, "2"), b, testDoc(3))
	lengths := Lengths{Docs: 1000, Words: [NumParts]uint64{4000, 5000, 3000, 9000, 800_000}}
	cfg := Config{Lengths: &lengths}
	if _, err := Merge(t.Context(), filepath.Join(dir, "m"), []*Segment{s1, s2}, cfg); err != nil {
		t.Fatal(err)
	}
	direct := NewBuilder(cfg)
	for _, d := range []*Document{b, testDoc(2), testDoc(3)} {
		if err := direct.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := direct.Write(filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	x, _ := os.ReadFile(filepath.Join(dir, "m"))
	y, _ := os.ReadFile(filepath.Join(dir, "d"))
	if !bytes.Equal(x, y) {
		t.Error("merged with given lengths differs from built with them")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	big := gapSegment(t)
	if _, err := Merge(ctx, filepath.Join(dir, "c"), []*Segment{big}, Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled merge: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 4 {
		t.Errorf("%d files are left of a canceled merge", len(left))
	}
	if _, err := Merge(t.Context(), filepath.Join(dir, "empty"), nil, Config{}); err != nil {
		t.Fatal(err)
	}
	e, err := Open(filepath.Join(dir, "empty"))
	if err != nil || e.Docs() != 0 {
		t.Fatal(e, err)
	}
	if _, found, err := e.Term(FieldAll, "x"); found || err != nil {
		t.Error(found, err)
	}
	if _, found, err := e.Lookup("x"); found || err != nil {
		t.Error(found, err)
	}
	e.Close()
}

func TestDictionaryWalks(t *testing.T) {
	var docs []*Document
	for i, w := range []string{"retrieval", "retrieve", "retriever", "retina", "trieval", "zebra", "Größe", "東京都"} {
		d := testDoc(i)
		d.Body, d.Title, d.Headings, d.Anchors, d.Language = w, "", nil, nil, ""
		docs = append(docs, d)
	}
	s := build(t, filepath.Join(t.TempDir(), "s"), docs...)
	var got []string
	collect := func(w []byte, term Term) bool { got = append(got, string(w)); return len(got) < 100 }
	if err := s.Words(FieldAll, "retri", collect); err != nil || !slices.Equal(got, []string{"retrieval", "retrieve", "retriever"}) {
		t.Error(got, err)
	}
	f, err := NewFuzzy("retreival", 2)
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	if err := s.Fuzzy(FieldAll, f, collect); err != nil || !slices.Contains(got, "retrieval") || slices.Contains(got, "zebra") {
		t.Error(got, err)
	}
	if d, ok := f.Distance("retrieval"); d != 1 || !ok {
		t.Errorf("a transposition has distance %d", d)
	}
	if _, err := NewFuzzy(strings.Repeat("x", 40), 1); concord.KindOf(err) != concord.Invalid {
		t.Error(err)
	}
}

// TestViewsKeepTheMapping closes a segment while a view of it is in use.
func TestViewsKeepTheMapping(t *testing.T) {
	s := build(t, filepath.Join(t.TempDir(), "s"), testDoc(1), testDoc(2))
	d := NewDeletes(2)
	d.Add(0)
	v, err := s.WithDeletes(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if v.Live() != 1 || v.Docs() != 2 || !v.Deleted(0) {
		t.Error("counts of a view")
	}
	if _, err := readAll(v); err != nil {
		t.Error(err)
	}
	sum := uint64(0)
	for _, n := range v.Languages() {
		sum += n
	}
	if sum != 1 {
		t.Errorf("languages %v of one live document", v.Languages())
	}
	if _, err := v.WithDeletes(NewDeletes(3)); err != nil {
		t.Error("an empty set of deletes was refused:", err)
	}
	other := NewDeletes(3)
	other.Add(2)
	if _, err := v.WithDeletes(other); concord.KindOf(err) != concord.Invalid {
		t.Errorf("deletes of another segment: %v", err)
	}
	v.Close()
	v.Close()
}

// TestPatchedBlocks reads a list whose documents come in bursts, and then that list with damage that checksums do not tell of.
func TestPatchedBlocks(t *testing.T) {
	s := gapSegment(t)
	term, _, err := s.Term(FieldAll, "bursts")
	if err != nil {
		t.Fatal(err)
	}
	var p Postings
	if err := p.Reset(s, term); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(p.kinds, []byte{docsPatched}); n < 3 {
		t.Fatalf("%d of %d blocks are patched", n, len(p.kinds))
	}
	data := bytes.Clone(s.data)
	entries, err := parseTable(data)
	if err != nil {
		t.Fatal(err)
	}
	from, size := entries[secPostings-1].offset+p.dataAt, term.offset-p.dataAt
	r := rand.New(rand.NewPCG(2, 2))
	for range 300 {
		at, old := from+r.Uint64N(size), byte(0)
		old, data[at] = data[at], byte(r.Uint32())
		reseal(data, entries)
		bad, err := openBytes(data, len(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Reset(bad, term); err != nil {
			t.Fatal(err)
		}
		last := -1
		for d := p.Next(); d != NoDoc; d = p.Next() {
			if int(d) <= last || int(d) >= s.Docs() {
				t.Fatalf("document %d after %d", d, last)
			}
			last = int(d)
		}
		data[at] = old
		bad.Close()
	}
}

// checkIntersect holds IntersectOf equal to looking wanted positions up in Positions.
func checkIntersect(t *testing.T, p *Postings, r *rand.Rand) {
	t.Helper()
	all := p.Positions(nil)
	var wanted, want []uint32
	for at := uint32(r.IntN(80)); len(wanted) < 4; at += 1 + uint32(r.IntN(5)) {
		if r.IntN(3) == 0 {
			at = max(at, all[r.IntN(len(all))])
		}
		wanted = append(wanted, at)
		if _, ok := slices.BinarySearch(all, at); ok {
			want = append(want, at)
		}
	}
	if got := p.IntersectOf(wanted[:0], slices.Clone(wanted), p.unpacked, p.i); !slices.Equal(got, want) {
		t.Fatalf("of the positions %v: %v, want %v", all, got, want)
	}
	wanted = slices.Clone(all)
	if got := p.IntersectOf(wanted[:0], wanted, p.unpacked, p.i); !slices.Equal(got, all) {
		t.Fatalf("of the positions %v themselves: %v", all, got)
	}
}
