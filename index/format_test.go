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

// TestWorkedShortList holds the bytes that FORMAT.md gives as an example.
func TestWorkedShortList(t *testing.T) {
	var b bytes.Buffer
	f, err := newFileWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	f.begin(secPostings)
	w := postingsWriter{out: f, pos: &spool{}}
	w.begin()
	for _, p := range []struct {
		doc       uint32
		impact    byte
		positions []uint32
	}{{3, 200, []uint32{7}}, {4, 90, []uint32{0, 5}}} {
		if err := w.add(p.doc, p.impact, p.positions); err != nil {
			t.Fatal(err)
		}
	}
	at, err := w.finish()
	if err != nil || at != 0 {
		t.Fatal(at, err)
	}
	want := "concord1\x02\x00\x00\x00\x00\x00\x00\x00" + "\x04\x00\x18\xc8\x5a\x05\x07\x00\x05"
	if b.String() != want {
		t.Errorf("got % x\nwant % x", b.String(), want)
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
