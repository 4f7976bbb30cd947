package blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"concord"
	"concord/blob/blobtest"
)

// counted counts what is asked of a store.
type counted struct {
	concord.Blobs
	gets atomic.Int64
}

func (c *counted) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	c.gets.Add(1)
	return c.Blobs.Get(ctx, name)
}

func openCache(t testing.TB, inner concord.Blobs, dir string, max int64) *Cache {
	t.Helper()
	c, err := Cached(inner, dir, max)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// diskUse is the size of all files of a cache.
func diskUse(t testing.TB, dir string) (n int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.Name() != "LOCK" {
			n += info.Size()
		}
	}
	return n
}

func TestCache(t *testing.T) {
	var cache string
	blobtest.Run(t, func(t *testing.T) concord.Blobs {
		cache = t.TempDir()
		c := openCache(t, openDir(t, t.TempDir()), cache, 64<<20)
		t.Cleanup(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if use := diskUse(t, cache); use != c.used || use > c.max {
				t.Errorf("%d bytes on disk, %d counted", use, c.used)
			}
		})
		return c
	}, blobtest.Options{Names: 50})
}

func TestCacheServesWhatWasRead(t *testing.T) {
	inner := &counted{Blobs: openDir(t, t.TempDir())}
	dir := t.TempDir()
	c := openCache(t, inner, dir, 16<<20)
	data := blobtest.Bytes(1<<20+1, 1)
	blobtest.Put(t, c, "a", data)
	for range 3 {
		blobtest.Want(t, c, "a", data)
	}
	r, err := c.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	c.Close()
	c = openCache(t, inner, dir, 16<<20)
	blobtest.Want(t, c, "a", data)
	if n := inner.gets.Load(); n != 1 {
		t.Errorf("the store was asked %d times, want once", n)
	}
	// A reader that stops at the last byte has read all of it.
	blobtest.Put(t, c, "b", data)
	for range 2 {
		r, err := c.Get(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, len(data))); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	if n := inner.gets.Load(); n != 2 {
		t.Errorf("the store was asked %d times, want twice", n)
	}
	if _, err := Cached(inner, dir, 1<<20); concord.KindOf(err) != concord.Conflict {
		t.Errorf("a second cache in the same directory: %v", err)
	}
}

func TestCacheMendsDamage(t *testing.T) {
	inner := &counted{Blobs: openDir(t, t.TempDir())}
	dir := t.TempDir()
	c := openCache(t, inner, dir, 64<<20)
	data := blobtest.Bytes(3<<20+100, 2)
	blobtest.Put(t, c, "a", data)
	blobtest.Want(t, c, "a", data)
	path := filepath.Join(dir, copyKey("a")+copySuffix)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	good, _ := os.ReadFile(path)
	for i, at := range []int64{0, 5, 6, 9, 11, 14, 70_000, info.Size() / 2, info.Size() - 20, info.Size() - 16, info.Size() - 1} {
		bad := bytes.Clone(good)
		bad[at] ^= 0x80
		for _, content := range [][]byte{bad, good[:at]} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			before := inner.gets.Load()
			blobtest.Want(t, c, "a", data)
			blobtest.Want(t, c, "a", data)
			if n := inner.gets.Load() - before; n != 1 {
				t.Fatalf("damage %d at byte %d: the store was asked %d times, want once", i, at, n)
			}
		}
	}
	os.Remove(path)
	blobtest.Want(t, c, "a", data)
}

func TestCacheEvictsWhatWasUsedLongestAgo(t *testing.T) {
	inner := &counted{Blobs: openDir(t, t.TempDir())}
	dir := t.TempDir()
	const max = 1 << 20
	c := openCache(t, inner, dir, max)
	blob := func(i int) (string, []byte) { return fmt.Sprintf("b/%d", i), blobtest.Bytes(200<<10, uint64(i)) }
	for i := range 12 {
		name, data := blob(i)
		blobtest.Put(t, c, name, data)
		blobtest.Want(t, c, name, data)
		zero, zeroData := blob(0)
		blobtest.Want(t, c, zero, zeroData) // used all the time
		if use := diskUse(t, dir); use > max {
			t.Fatalf("%d bytes on disk, at most %d are allowed", use, max)
		}
	}
	if n := inner.gets.Load(); n != 12 {
		t.Errorf("the store was asked %d times, want 12: what is used must stay", n)
	}
	blobtest.Put(t, c, "large", blobtest.Bytes(max+1, 9))
	blobtest.Want(t, c, "large", blobtest.Bytes(max+1, 9))
	if use := diskUse(t, dir); use > max {
		t.Errorf("%d bytes on disk after a blob larger than the cache", use)
	}
	c.Close()
	// What a killed process left half written goes, and a smaller bound holds at once.
	if err := os.WriteFile(filepath.Join(dir, "1"+fillSuffix), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	c = openCache(t, inner, dir, 300<<10)
	if use := diskUse(t, dir); use > 300<<10 {
		t.Errorf("%d bytes on disk after a smaller bound", use)
	}
	c.Close()
}

func TestCacheUnderLoad(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, openDir(t, t.TempDir()), dir, 700<<10)
	for i := range 10 {
		blobtest.Put(t, c, fmt.Sprint(i), blobtest.Bytes(150<<10, uint64(i)))
	}
	var g sync.WaitGroup
	for w := range 6 {
		g.Go(func() {
			for i := range 40 {
				k := (w*7 + i*i) % 10
				if i%5 == 4 {
					c.drop(copyKey(fmt.Sprint(k)))
				}
				got, err := blobtest.Get(t, c, fmt.Sprint(k))
				if err != nil || !bytes.Equal(got, blobtest.Bytes(150<<10, uint64(k))) {
					t.Errorf("blob %d: %d bytes, %v", k, len(got), err)
				}
			}
		})
	}
	g.Wait()
	if use := diskUse(t, dir); use != c.used || use > c.max {
		t.Errorf("%d bytes on disk, %d counted, at most %d", use, c.used, c.max)
	}
}

func FuzzCopy(f *testing.F) {
	dir := f.TempDir()
	store, err := Dir(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { store.Close() })
	c := openCache(f, store, dir, 1<<20)
	blobtest.Put(f, c, "a", []byte("some bytes"))
	blobtest.Want(f, c, "a", []byte("some bytes"))
	good, err := os.ReadFile(filepath.Join(dir, copyKey("a")+copySuffix))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(strings.Repeat("\xff", 100)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := newBlockReader(bytes.NewReader(data), "a")
		if err != nil {
			return
		}
		if got, err := io.ReadAll(r); err == nil && len(got) > len(data) {
			t.Fatalf("%d bytes out of %d", len(got), len(data))
		}
	})
}
