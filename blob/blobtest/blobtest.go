// Package blobtest answers "is this store of blobs one that may be trusted?": one suite of tests that every concord.Blobs passes.
package blobtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"concord"
)

// Options says what is special about a store.
type Options struct {
	// Damage changes one byte, or as many as are given by cut, of what is stored for the blob: cut < 0 flips a bit in the middle, else the
	// blob is cut to that many bytes. Nil where stored bytes cannot be reached.
	Damage func(t *testing.T, name string, cut int64)
	// Names is how many names the listing test makes; default 1,100, which is above the 1,000 that stores list at once.
	Names int
}

// Bytes returns n bytes that look random and depend on seed.
func Bytes(n int, seed uint64) []byte {
	b := make([]byte, n)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	rand.NewChaCha8(key).Read(b)
	return b
}

// Run runs the suite. open returns a store that is empty; it may return the same one again after others have emptied it.
func Run(t *testing.T, open func(t *testing.T) concord.Blobs, opts Options) {
	if opts.Names == 0 {
		opts.Names = 1100
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, concord.Blobs, Options)
	}{
		{"sizes", testSizes}, {"names", testNames}, {"put again", testPutAgain}, {"delete", testDelete}, {"refused puts", testRefusedPuts},
		{"cancel", testCancel}, {"read in part", testReadInPart}, {"list", testList}, {"list many", testListMany}, {"concurrent", testConcurrent},
		{"damage", testDamage},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t), opts) })
	}
}

// Put puts data and fails the test on any error.
func Put(t testing.TB, s concord.Blobs, name string, data []byte) {
	t.Helper()
	if err := s.Put(t.Context(), name, bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatalf("put %s (%d bytes): %v", name, len(data), err)
	}
}

// Get reads a blob to its end.
func Get(t testing.TB, s concord.Blobs, name string) ([]byte, error) {
	t.Helper()
	r, err := s.Get(t.Context(), name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Want fails the test unless the blob has data.
func Want(t testing.TB, s concord.Blobs, name string, data []byte) {
	t.Helper()
	got, err := Get(t, s, name)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("get %s: %d bytes (equal: %v), want %d: %v", name, len(got), bytes.Equal(got, data), len(data), err)
	}
}

// List returns the names below prefix.
func List(t testing.TB, s concord.Blobs, prefix string) []string {
	t.Helper()
	var names []string
	if err := s.List(t.Context(), prefix, func(b concord.BlobInfo) bool { names = append(names, b.Name); return true }); err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	return names
}

// wantNone fails the test unless name is not there, neither to Get nor in the list.
func wantNone(t testing.TB, s concord.Blobs, name string) {
	t.Helper()
	if data, err := Get(t, s, name); concord.KindOf(err) != concord.NotFound {
		t.Fatalf("get %s: %d bytes, %v; want not found", name, len(data), err)
	}
	if names := List(t, s, name); slices.Contains(names, name) {
		t.Fatalf("list has %s, which is not there", name)
	}
}

func testSizes(t *testing.T, s concord.Blobs, _ Options) {
	for i, size := range []int{0, 1, 4095, 64 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5 << 20, 20<<20 + 17} {
		name, data := fmt.Sprintf("sizes/%d", size), Bytes(size, uint64(i))
		before := time.Now().Add(-time.Minute)
		Put(t, s, name, data)
		Want(t, s, name, data)
		var infos []concord.BlobInfo
		if err := s.List(t.Context(), name, func(b concord.BlobInfo) bool { infos = append(infos, b); return b.Name != name }); err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(infos, func(b concord.BlobInfo) bool { return b.Name == name })
		if at < 0 || infos[at].Size != int64(size) || infos[at].Stored.Before(before) || infos[at].Stored.After(time.Now().Add(time.Minute)) {
			t.Fatalf("list of %s: %+v", name, infos)
		}
	}
	// Readers that can only be read, once.
	for _, size := range []int{3 << 20, 17 << 20} {
		data := Bytes(size, 99)
		if err := s.Put(t.Context(), "sizes/stream", struct{ io.Reader }{bytes.NewReader(data)}, int64(size)); err != nil {
			t.Fatal(err)
		}
		Want(t, s, "sizes/stream", data)
		if err := s.Delete(t.Context(), "sizes/stream"); err != nil {
			t.Fatal(err)
		}
	}
	// Readers that give one byte at a time, or data together with io.EOF.
	for i, r := range []io.Reader{iotest.OneByteReader(strings.NewReader("slow")), iotest.DataErrReader(strings.NewReader("slow"))} {
		name := fmt.Sprintf("sizes/slow-%d", i)
		if err := s.Put(t.Context(), name, r, 4); err != nil {
			t.Fatal(err)
		}
		Want(t, s, name, []byte("slow"))
	}
}

func testNames(t *testing.T, s concord.Blobs, _ Options) {
	good := []string{"a", "A.b-c_d/0", "archive/alice-00000.warc.gz", "dots/..b", "dots/b..c", "dots/.hidden", "dots/c.", "-", "_", strings.Repeat("n", concord.MaxBlobName),
		strings.Repeat("p/", 99) + "p"}
	for _, name := range good {
		Put(t, s, name, []byte(name))
	}
	for _, name := range good {
		Want(t, s, name, []byte(name))
	}
	for _, name := range []string{"", "/", "a//b", "../a", "a/..", "a b", "a+sha256", "+tmp/a", "a*", "a>", "\xff", strings.Repeat("n", concord.MaxBlobName+1)} {
		if err := s.Put(t.Context(), name, strings.NewReader("x"), 1); concord.KindOf(err) != concord.Invalid {
			t.Errorf("put %q: %v", name, err)
		}
		if _, err := s.Get(t.Context(), name); concord.KindOf(err) != concord.Invalid {
			t.Errorf("get %q: %v", name, err)
		}
		if err := s.Delete(t.Context(), name); concord.KindOf(err) != concord.Invalid {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	for _, name := range []string{"b", "a/b/c", "archive", "archive/alice-00000.warc.g", "A.b-c_d/0/1"} {
		wantNone(t, s, name)
	}
}

func testPutAgain(t *testing.T, s concord.Blobs, _ Options) {
	for _, size := range []int{100, 3 << 20} {
		name, data := fmt.Sprintf("again/%d", size), Bytes(size, 1)
		for range 3 {
			Put(t, s, name, data)
			Want(t, s, name, data)
		}
		r, err := s.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 10)
		if _, err := io.ReadFull(r, head); err != nil {
			t.Fatal(err)
		}
		Put(t, s, name, data) // under somebody who reads
		rest, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(append(head, rest...), data) {
			t.Fatalf("reading %s while it is put again: %d bytes, %v", name, len(rest), err)
		}
		r.Close()
	}
	if names := List(t, s, "again/"); len(names) != 2 {
		t.Fatalf("put again, listed %v", names)
	}
}

func testDelete(t *testing.T, s concord.Blobs, _ Options) {
	if err := s.Delete(t.Context(), "never/there"); err != nil {
		t.Fatal(err)
	}
	data := Bytes(2<<20, 7)
	for range 2 {
		Put(t, s, "delete/a", data)
		Put(t, s, "delete/b", data)
		if err := s.Delete(t.Context(), "delete/a"); err != nil {
			t.Fatal(err)
		}
		wantNone(t, s, "delete/a")
		Want(t, s, "delete/b", data)
		if err := s.Delete(t.Context(), "delete/a"); err != nil {
			t.Fatalf("deleting again: %v", err)
		}
	}
	if err := s.Delete(t.Context(), "delete"); err != nil {
		t.Fatal(err)
	}
	Want(t, s, "delete/b", data)
}

func testRefusedPuts(t *testing.T, s concord.Blobs, _ Options) {
	broken := errors.New("broken reader")
	for _, size := range []int64{10, 3 << 20, 20 << 20} {
		data := Bytes(int(size), 3)
		for name, r := range map[string]io.Reader{
			"short": bytes.NewReader(data[:size-1]), "long": io.MultiReader(bytes.NewReader(data), strings.NewReader("x")), "empty": strings.NewReader(""),
			"fails":        io.MultiReader(bytes.NewReader(data[:size/2]), iotest.ErrReader(broken)),
			"fails at end": io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)),
			"short stream": struct{ io.Reader }{bytes.NewReader(data[:size-1])},
		} {
			err := s.Put(t.Context(), "refused/a", r, size)
			if strings.HasPrefix(name, "fails") {
				if !errors.Is(err, broken) {
					t.Errorf("%s, %d bytes: %v; want the reader's own error", name, size, err)
				}
			} else if concord.KindOf(err) != concord.Invalid {
				t.Errorf("%s, %d bytes: %v; want invalid", name, size, err)
			}
			wantNone(t, s, "refused/a")
		}
	}
	if err := s.Put(t.Context(), "refused/a", strings.NewReader(""), -1); concord.KindOf(err) != concord.Invalid {
		t.Errorf("negative size: %v", err)
	}
	Put(t, s, "refused/a", []byte("and after all that, it works"))
}

// cancelReader ends a context when it has given half of its bytes.
type cancelReader struct {
	r      io.Reader
	left   int
	cancel context.CancelFunc
}

func (c *cancelReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p[:min(len(p), 64<<10)])
	if c.left -= n; c.left < 0 {
		c.cancel()
	}
	return n, err
}

func testCancel(t *testing.T, s concord.Blobs, _ Options) {
	for _, size := range []int{100 << 10, 20 << 20} {
		data := Bytes(size, 5)
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Put(ctx, "cancel/a", &cancelReader{bytes.NewReader(data), size / 2, cancel}, int64(size))
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("put whose context ends: %v", err)
		}
		wantNone(t, s, "cancel/a")
		if err := s.Put(ctx, "cancel/a", bytes.NewReader(data), int64(size)); !errors.Is(err, context.Canceled) {
			t.Fatalf("put after its context: %v", err)
		}
		wantNone(t, s, "cancel/a")
	}
	data := Bytes(20<<20, 6)
	Put(t, s, "cancel/b", data)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Get(ctx, "cancel/b")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Fatalf("reading after the context: %v", err)
	}
	if err := s.List(ctx, "cancel/", func(concord.BlobInfo) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Fatalf("list after the context: %v", err)
	}
	if err := s.Delete(ctx, "cancel/b"); !errors.Is(err, context.Canceled) {
		t.Fatalf("delete after the context: %v", err)
	}
	Want(t, s, "cancel/b", data)
}

func testReadInPart(t *testing.T, s concord.Blobs, _ Options) {
	data := Bytes(9<<20, 8)
	Put(t, s, "part/a", data)
	for range 20 { // readers that are given up early hold nothing open
		r, err := s.Get(t.Context(), "part/a")
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 3<<20)
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, data[:3<<20]) {
			t.Fatalf("first part: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	data = Bytes(1<<20+7, 8)
	Put(t, s, "part/b", data)
	r, err := s.Get(t.Context(), "part/b")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := iotest.TestReader(struct{ io.Reader }{r}, data); err != nil {
		t.Fatal(err)
	}
}

func testList(t *testing.T, s concord.Blobs, _ Options) {
	names := []string{"l/a-b", "l/a.b", "l/a/b", "l/a/b-", "l/a0", "l/aB", "l/b/c/d", "l/b/c.d", "m", "l0"}
	for _, name := range names {
		Put(t, s, name, []byte(name))
	}
	slices.Sort(names)
	for _, prefix := range []string{"", "l", "l/", "l/a", "l/a/", "l/a/b", "l/a/b-", "l/a/b-/", "l/b/c", "z", "m", "m/", "/", "l/a*", ">"} {
		var want []string
		for _, name := range names {
			if strings.HasPrefix(name, prefix) {
				want = append(want, name)
			}
		}
		if got := List(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("list %q: %v, want %v", prefix, got, want)
		}
	}
	n := 0
	if err := s.List(t.Context(), "l/", func(concord.BlobInfo) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Errorf("stopping a list: %d, %v", n, err)
	}
}

func testListMany(t *testing.T, s concord.Blobs, opts Options) {
	var want []string
	for i := range opts.Names {
		want = append(want, fmt.Sprintf("many/%d/%04x", i%7, i*2654435761%65536*opts.Names+i))
	}
	var g sync.WaitGroup
	for part := range 8 {
		g.Go(func() {
			for i := part; i < len(want); i += 8 {
				if err := s.Put(t.Context(), want[i], strings.NewReader(want[i]), int64(len(want[i]))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	g.Wait()
	slices.Sort(want)
	if got := List(t, s, "many/"); !slices.Equal(got, want) {
		t.Fatalf("list has %d names, want %d in order", len(got), len(want))
	}
	n := 0
	if err := s.List(t.Context(), "many/", func(concord.BlobInfo) bool { n++; return true }); err != nil || n != len(want) {
		t.Fatalf("list again: %d, %v", n, err)
	}
}

func testConcurrent(t *testing.T, s concord.Blobs, _ Options) {
	const workers, rounds = 8, 6
	shared := Bytes(2<<20+5, 42)
	var g sync.WaitGroup
	for w := range workers {
		g.Go(func() {
			for i := range rounds {
				name := fmt.Sprintf("conc/%d-%d", w, i)
				data := Bytes(w*200_000+i*7, uint64(w*1000+i))
				if err := s.Put(t.Context(), name, bytes.NewReader(data), int64(len(data))); err != nil {
					t.Errorf("put %s: %v", name, err)
					return
				}
				if got, err := Get(t, s, name); err != nil || !bytes.Equal(got, data) {
					t.Errorf("get %s: %d bytes, %v", name, len(got), err)
				}
				if err := s.Put(t.Context(), "conc/shared", bytes.NewReader(shared), int64(len(shared))); err != nil {
					t.Errorf("put shared: %v", err)
				}
				if got, err := Get(t, s, "conc/shared"); err != nil || !bytes.Equal(got, shared) {
					t.Errorf("get shared: %d bytes, %v", len(got), err)
				}
				if i%2 == 0 {
					if err := s.Delete(t.Context(), name); err != nil {
						t.Errorf("delete %s: %v", name, err)
					}
				}
			}
		})
	}
	g.Wait()
	if got := List(t, s, "conc/"); len(got) != workers*rounds/2+1 {
		t.Errorf("%d blobs are left, want %d", len(got), workers*rounds/2+1)
	}
	Want(t, s, "conc/shared", shared)
}

func testDamage(t *testing.T, s concord.Blobs, opts Options) {
	if opts.Damage == nil {
		t.Skip("SKIPPED: damage to stored bytes is not tested: those of this store cannot be reached from here, only in a test of its own")
	}
	for _, size := range []int{1, 1000, 5 << 20} {
		for _, cut := range []int64{-1, 0, int64(size - 1)} {
			name, data := fmt.Sprintf("damage/%d/%d", size, cut+1), Bytes(size, 9)
			Put(t, s, name, data)
			opts.Damage(t, name, cut)
			got, err := Get(t, s, name)
			if concord.KindOf(err) != concord.Corrupt && !(err == nil && bytes.Equal(got, data)) {
				t.Fatalf("%s: %d bytes, %v; want corrupt", name, len(got), err)
			}
			if r, err := s.Get(t.Context(), name); err == nil { // a reader that knows the size and stops there
				if _, err := io.ReadFull(r, make([]byte, size)); err == nil && !bytes.Equal(got, data) {
					t.Fatalf("%s: all bytes were given out, damage and all", name)
				}
				r.Close()
			}
			Put(t, s, name, data) // putting it again mends it
			Want(t, s, name, data)
		}
	}
}
