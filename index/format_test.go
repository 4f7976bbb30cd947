package index

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concord"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// goldenSegment is the path of the kept sample of a format version.
const goldenSegment = "testdata/version2.segment"

func goldenDocs() (docs []*Document) {
	for i := range 150 {
		docs = append(docs, testDoc(i))
	}
	return docs
}

// TestReleasedFormat keeps the sample of version 2 readable for ever, and the writer writing it.
func TestReleasedFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "now")
	now := build(t, path, goldenDocs()...)
	if *rewrite {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(goldenSegment, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := Open(goldenSegment)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	want, err := readAll(now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(old)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Error("the sample reads differently from what is written now: did the scoring, the analyser or the format change?")
	}
}

type workedPosting struct {
	doc       uint32
	impact    byte
	positions []uint32
}

// writeList writes a posting list and returns what it adds to the postings section.
func writeList(t *testing.T, postings ...workedPosting) []byte {
	t.Helper()
	var b bytes.Buffer
	f, err := newFileWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	f.begin(secPostings)
	w := postingsWriter{out: f, pos: &spool{}}
	w.begin()
	for _, p := range postings {
		if err := w.add(p.doc, p.impact, p.positions); err != nil {
			t.Fatal(err)
		}
	}
	if at, err := w.finish(); err != nil || at != 0 {
		t.Fatal(at, err)
	}
	header := "concord1\x02\x00\x00\x00\x00\x00\x00\x00"
	if !strings.HasPrefix(b.String(), header) {
		t.Fatalf("header % x", b.Bytes()[:headerSize])
	}
	return b.Bytes()[headerSize:]
}

// TestWorkedExamples holds the bytes that FORMAT.md gives as examples.
func TestWorkedExamples(t *testing.T) {
	if got, want := writeList(t, workedPosting{5, 7, []uint32{9}}), "\x17\x09"; string(got) != want {
		t.Errorf("one document: % x, want % x", got, want)
	}
	got := writeList(t, workedPosting{3, 200, []uint32{7}}, workedPosting{4, 90, []uint32{0, 5}})
	if want := "\x04\x00\x18\x05\x07\x00\x04"; string(got) != want {
		t.Errorf("two documents: % x, want % x", got, want)
	}
	w := postingsWriter{out: &fileWriter{entries: make([]tableEntry, 1)}}
	for i, p := range [][]uint32{{4}, {0, 2, 3}, {1, 9}} {
		if err := w.add(uint32(i), 1, p); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := w.appendPositions(nil), "\x03\x00\x29\x02\x00\x00\xb0\x01\x05\x23"; string(got) != want {
		t.Errorf("block of positions: % x, want % x", got, want)
	}
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, bytes := range []string{"`17 09`", "`04 | 00 | 18 | 05 | 07 00 04`", "`03 | 00 | 29 | 02 00 | 00 b0 | 01 05 23`"} {
		if !strings.Contains(string(doc), bytes) {
			t.Errorf("FORMAT.md does not have the example %s", bytes)
		}
	}
}

// TestOldVersionIsRefused: version 1 was never released; a file of it must be said to be of another version.
func TestOldVersionIsRefused(t *testing.T) {
	data := sample(t)
	data[8] = 1
	_, err := openBytes(data, len(data))
	if concord.KindOf(err) != concord.Corrupt || !strings.Contains(err.Error(), "version 1, this program reads version 2") {
		t.Error(err)
	}
}
