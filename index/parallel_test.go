package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"concord"
)

// writerDocs are documents of which some replace earlier ones.
func writerDocs(n int) (docs []*Document) {
	r := rand.New(rand.NewPCG(7, 7))
	for i := range n {
		d := testDoc(r.IntN(n))
		d.Capture = fmt.Sprint("version ", i)
		d.Body += fmt.Sprintf(" version%d", i%13)
		docs = append(docs, d)
	}
	return docs
}

// TestWriterEqualsOneBuilder: threads and memory change how the segment is made, not a byte of it.
func TestWriterEqualsOneBuilder(t *testing.T) {
	docs := writerDocs(1500)
	dir := t.TempDir()
	one := NewBuilder(Config{})
	for _, d := range docs {
		if err := one.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := one.Write(filepath.Join(dir, "one")); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(dir, "one"))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ threads, every, parts int }{{1, 0, 0}, {3, 0, 0}, {1, 400, 4}, {3, 150, 9}, {2, 19, 100}, {1, 38, 41}} {
		path := filepath.Join(dir, fmt.Sprint(i))
		w, err := NewWriter(WriterConfig{Path: path, Threads: c.threads})
		if err != nil {
			t.Fatal(err)
		}
		for n, d := range docs {
			if err := w.Add(d); err != nil {
				t.Fatal(err)
			}
			if c.every > 0 && n%c.every == c.every-1 { // as if memory were full
				for _, x := range w.workers {
					if x.in != nil {
						x.send()
						close(x.in)
					}
				}
				w.running.Wait()
				for _, x := range w.workers {
					x.in = nil
					if err := x.flush(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		info, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d threads, %d parts: %d bytes differ from the %d of one builder", c.threads, info.Parts, len(got), len(want))
		}
		if info.Path != path || info.Bytes != int64(len(got)) || info.Parts < c.parts || c.parts == 0 && info.Parts != 0 || info.WrittenBytes < info.Bytes {
			t.Errorf("%d threads, %d documents a part: %+v", c.threads, c.every, info)
		}
		if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
			t.Errorf("files are left: %q", left)
		}
	}
}

// TestWriterKeepsItsBound: a small share of memory makes parts, and the builder's own count stays within it.
func TestWriterKeepsItsBound(t *testing.T) {
	w, err := NewWriter(WriterConfig{Path: filepath.Join(t.TempDir(), "s"), Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.share = minInvertBytes + 3<<20
	docs := writerDocs(3000)
	for _, d := range docs {
		d.Body += string(bytes.Repeat([]byte("long text of many words "), 500))
		if err := w.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Parts < 8 {
		t.Errorf("%d parts of 36 MB of text in 6 MB", info.Parts)
	}
	b := NewBuilder(Config{})
	for _, d := range docs[:1000] {
		if err := b.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	full := b.Bytes()
	b.reset()
	if b.Docs() != 0 || b.Has(docs[0].URL) || b.Bytes() > full/4 {
		t.Errorf("after reset: %d documents, %d of %d bytes", b.Docs(), b.Bytes(), full)
	}
}

func TestWriterRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, c := range []WriterConfig{{}, {Path: path, Threads: -1}, {Path: path, Threads: maxWriterThreads + 1}, {Path: path, MemoryBytes: 1},
		{Path: path, Config: Config{Scoring: &Scoring{K1: -1}}}} {
		if _, err := NewWriter(c); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
	w, err := NewWriter(WriterConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(&Document{}); concord.KindOf(err) != concord.Invalid {
		t.Errorf("document without URL: %v", err)
	}
	if err := w.Add(testDoc(1)); err != nil {
		t.Errorf("after a refused document: %v", err)
	}
	if info, err := w.Finish(t.Context()); err != nil || info.Docs != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	if err := w.Add(testDoc(2)); concord.KindOf(err) != concord.Invalid {
		t.Errorf("Add after Finish: %v", err)
	}
	if _, err := w.Finish(t.Context()); concord.KindOf(err) != concord.Invalid {
		t.Errorf("Finish after Finish: %v", err)
	}
	if _, err := NewWriter(WriterConfig{Path: path}); concord.KindOf(err) != concord.Conflict {
		t.Errorf("existing path: %v", err)
	}
}

// TestWriterFails: a part that cannot be written ends the writer with that error, and nobody waits.
func TestWriterFails(t *testing.T) {
	for _, threads := range []int{1, 3} {
		path := filepath.Join(t.TempDir(), "s")
		w, err := NewWriter(WriterConfig{Path: path, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		w.share = 1 // every document is a part
		if err := os.WriteFile(w.partsDir(), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		failed := error(nil)
		for i := 0; failed == nil && i < 100_000; i++ {
			failed = w.Add(testDoc(i % 5000))
		}
		if failed == nil {
			t.Error("documents were taken that cannot be written")
		}
		if _, err := w.Finish(t.Context()); err == nil {
			t.Error("Finish reports no error")
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a segment is there: %v", err)
		}
	}
}

// TestWriterLeavesNothing: after Close, a canceled Finish and a crash.
func TestWriterLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	begin := func() *Writer {
		w, err := NewWriter(WriterConfig{Path: path, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		w.share = 1
		for i := range 40 {
			if err := w.Add(testDoc(i)); err != nil {
				t.Fatal(err)
			}
		}
		return w
	}
	empty := func(after string) {
		t.Helper()
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("after %s: %v", after, left)
		}
	}
	if err := begin().Close(); err != nil {
		t.Fatal(err)
	}
	empty("Close")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := begin()
	if _, err := w.Finish(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	empty("a canceled Finish")
	if err := os.MkdirAll(filepath.Join(dir, "s.parts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "s.parts", "000001.seg"), []byte("half a part"), 0o600); err != nil {
		t.Fatal(err)
	}
	w = begin()
	if info, err := w.Finish(t.Context()); err != nil || info.Docs != 40 {
		t.Errorf("after a crash: %+v, %v", info, err)
	}
}
