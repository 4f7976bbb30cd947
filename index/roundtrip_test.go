package index

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testDoc(i int) *Document {
	words := ""
	for w := range 5 + i%7 {
		words += fmt.Sprintf("common word%d ", (i*7+w)%97)
	}
	return &Document{
		URL: fmt.Sprintf("https://host%d.example%d.org/page/%d", i%3, i%5, i), Site: fmt.Sprintf("example%d.org", i%5), Host: fmt.Sprintf("host%d.example%d.org", i%3, i%5),
		Language: []string{"en", "de", ""}[i%3], FileType: "html", Fetched: time.Unix(1700000000+int64(i), 0).UTC(),
		Title: fmt.Sprintf("Title number%d of pages", i), Headings: []string{"First heading", "second heading"}, Body: words,
		Anchors: []string{"link text"}, Capture: "00000000-0000-0000-0000-000000000000", NoArchive: i%10 == 0, MaxSnippet: i % 4,
	}
}

func build(t testing.TB, path string, docs ...*Document) *Segment {
	t.Helper()
	b := NewBuilder(Config{})
	for _, d := range docs {
		if err := b.Add(d); err != nil {
			t.Fatal(err)
		}
	}
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

func TestRoundTripAndMerge(t *testing.T) {
	dir := t.TempDir()
	var all []*Document
	for i := range 3000 {
		all = append(all, testDoc(i))
	}
	whole := build(t, filepath.Join(dir, "whole"), all...)
	for _, want := range all {
		doc, ok, err := whole.Lookup(want.URL)
		if err != nil || !ok {
			t.Fatalf("Lookup(%s) = %v, %v", want.URL, ok, err)
		}
		got, err := whole.Document(doc)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	}
	a := build(t, filepath.Join(dir, "a"), all[:1000]...)
	b := build(t, filepath.Join(dir, "b"), append(append([]*Document{}, all[1000:]...), testDoc(5000))...)
	del := NewDeletes(b.Docs())
	doc, _, _ := b.Lookup(testDoc(5000).URL)
	del.Add(doc)
	b2, err := b.WithDeletes(del)
	if err != nil {
		t.Fatal(err)
	}
	defer b2.Close()
	if _, err := Merge(t.Context(), filepath.Join(dir, "merged"), []*Segment{a, b2}, Config{}); err != nil {
		t.Fatal(err)
	}
	x, _ := os.ReadFile(filepath.Join(dir, "whole"))
	y, _ := os.ReadFile(filepath.Join(dir, "merged"))
	if string(x) != string(y) {
		t.Errorf("merged file of %d bytes differs from the file of %d bytes written at once", len(y), len(x))
	}
	var p Postings
	term, ok, err := whole.Term(FieldAll, "common")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := p.Reset(whole, term); err != nil {
		t.Fatal(err)
	}
	n := 0
	for d := p.Next(); d != NoDoc; d = p.Next() {
		got, _ := whole.Document(d)
		if f := p.Freq(); f != len(p.Positions(nil)) || f < 5 {
			t.Fatalf("document %s has %d positions, %d", got.URL, f, len(p.Positions(nil)))
		}
		n++
	}
	if n != 2000+1000 && p.Err() == nil {
		t.Errorf("%d postings", n)
	}
}

func TestOmitText(t *testing.T) {
	b := NewBuilder(Config{OmitText: true})
	full, want := testDoc(1), testDoc(1)
	full.Description = "not kept"
	if err := b.Add(full); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := b.Write(filepath.Join(dir, "s")); err != nil {
		t.Fatal(err)
	}
	s, err := Open(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Merge(t.Context(), filepath.Join(dir, "m"), []*Segment{s}, Config{}); err != nil {
		t.Fatal(err)
	}
	m, err := Open(filepath.Join(dir, "m"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	want.Body, want.Headings, want.Anchors = "", nil, nil
	got, err := m.Document(0)
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(err, d)
	}
	for _, word := range []string{"common", "heading", "link"} {
		if _, found, err := m.Term(FieldAll, word); !found || err != nil {
			t.Error(word, found, err)
		}
	}
}
