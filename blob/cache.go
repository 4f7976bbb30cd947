package blob

import (
	"container/list"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/durable"
)

// Cache keeps copies of the blobs that were read last on the local disk, before a store that is slower or costs money. It never changes
// what is read: every block of a copy has its checksum, and a copy that is damaged is dropped and read on from the store behind it, from
// the same byte. Copies are not synced; what a power cut spoils is found like any damage.
//
// A blob that another node deletes may still be read here until its copy is evicted.
type Cache struct {
	inner  concord.Blobs
	dir    string
	max    int64
	unlock func() error

	mu    sync.Mutex
	used  int64                    // bytes of copies and of those being filled
	byKey map[string]*list.Element // of *cached
	order *list.List               // the one used last is at the front
}

// cached is one copy; its file is named by its key.
type cached struct {
	key       string
	sizeBytes int64
}

const (
	copySuffix = ".copy"
	fillSuffix = ".fill"
)

// Cached returns inner with a cache of at most maxBytes in dir, which it makes, fills with what it held before, and owns: a second cache
// in the same directory is a Conflict. Close gives it back, and leaves inner open.
func Cached(inner concord.Blobs, dir string, maxBytes int64) (*Cache, error) {
	if maxBytes <= 0 {
		return nil, concord.Errorf(concord.Invalid, "open cache of blobs: a bound of %d bytes", maxBytes)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fsError("open cache of blobs", err)
	}
	unlock, err := durable.Lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, fsError("open cache of blobs", err)
	}
	c := &Cache{inner: inner, dir: dir, max: maxBytes, unlock: unlock, byKey: map[string]*list.Element{}, order: list.New()}
	if err := c.load(); err != nil {
		unlock()
		return nil, fsError("open cache of blobs", err)
	}
	return c, nil
}

// load takes over the copies that are there, the last used first, and removes what was never finished.
func (c *Cache) load() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	type found struct {
		cached
		used time.Time
	}
	var all []found
	for _, e := range entries {
		key, isCopy := strings.CutSuffix(e.Name(), copySuffix)
		if strings.HasSuffix(e.Name(), fillSuffix) {
			if err := os.Remove(filepath.Join(c.dir, e.Name())); err != nil {
				return err
			}
		}
		if !isCopy {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all = append(all, found{cached{key, info.Size()}, info.ModTime()})
	}
	slices.SortFunc(all, func(a, b found) int { return b.used.Compare(a.used) })
	for _, f := range all {
		c.byKey[f.key] = c.order.PushBack(&f.cached)
		c.used += f.sizeBytes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserve(0)
	return nil
}

// Close gives the directory back. Blobs that are open can be read on.
func (c *Cache) Close() error { return c.unlock() }

// Put implements concord.Blobs. It keeps no copy: who puts a blob has it.
func (c *Cache) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	return c.inner.Put(ctx, name, r, size)
}

// List implements concord.Blobs.
func (c *Cache) List(ctx context.Context, prefix string, yield func(concord.BlobInfo) bool) error {
	return c.inner.List(ctx, prefix, yield)
}

// Delete implements concord.Blobs.
func (c *Cache) Delete(ctx context.Context, name string) error {
	if err := c.inner.Delete(ctx, name); err != nil {
		return err
	}
	c.drop(copyKey(name))
	return nil
}

// Get implements concord.Blobs. A blob that is not here is copied while it is read; the copy counts when all of it was read.
func (c *Cache) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := concord.CheckBlobName(name); err != nil {
		return nil, err
	}
	key := copyKey(name)
	if r := c.open(ctx, name, key); r != nil {
		return r, nil
	}
	rc, err := c.inner.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return &filling{c: c, name: name, key: key, inner: rc, w: c.create(name)}, nil
}

// open returns the copy of a blob, nil when there is none that is fit to be read.
func (c *Cache) open(ctx context.Context, name, key string) io.ReadCloser {
	c.mu.Lock()
	e := c.byKey[key]
	if e != nil {
		c.order.MoveToFront(e)
	}
	c.mu.Unlock()
	if e == nil {
		return nil
	}
	path := filepath.Join(c.dir, key+copySuffix)
	f, err := os.Open(path)
	if err != nil {
		c.drop(key)
		return nil
	}
	now := time.Now()
	os.Chtimes(path, now, now) // the order of use outlives the process; not worth an error
	blocks, err := newBlockReader(f, name)
	if err != nil {
		f.Close()
		c.drop(key)
		return nil
	}
	return &fromCopy{c: c, ctx: ctx, name: name, key: key, file: f, r: blocks}
}

// drop forgets a copy and removes its file. Who reads it can go on, where the system allows to remove open files.
func (c *Cache) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.evict(e)
	}
}

// evict removes one copy. The caller holds the lock.
func (c *Cache) evict(e *list.Element) bool {
	copied := e.Value.(*cached)
	if err := os.Remove(filepath.Join(c.dir, copied.key+copySuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	c.order.Remove(e)
	delete(c.byKey, copied.key)
	c.used -= copied.sizeBytes
	return true
}

// reserve makes room for n more bytes by evicting what was used longest ago, and reports whether there is. The caller holds the lock.
func (c *Cache) reserve(n int64) bool {
	if n > c.max {
		return false
	}
	for e := c.order.Back(); e != nil && c.used+n > c.max; {
		before := e.Prev()
		c.evict(e)
		e = before
	}
	if c.used+n > c.max {
		return false
	}
	c.used += n
	return true
}

func (c *Cache) release(n int64) { c.mu.Lock(); defer c.mu.Unlock(); c.used -= n }
