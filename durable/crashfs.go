package durable

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// ErrCrashed is what every use of a CrashFS returns from the point given to CrashAfter until Crash.
var ErrCrashed = errors.New("crashed")

// CrashFS is a file system in memory, for tests, that forgets at a crash what was not synced: file content since the
// file's last Sync, and names created, renamed and removed since the last SyncDir of their directory. It can also run
// out of space and fail to sync. Directories need not be made.
type CrashFS struct {
	mu     sync.Mutex
	live   map[string]*inode // names as processes see them
	synced map[string]*inode // names that survive
	epoch  int               // number of crashes; files opened before the last are dead
	space  int64             // bytes that may still be written; negative: no limit
	sync   error             // what every sync returns
	ops    int               // operations left before the crash; negative: no limit
	down   bool              // that crash has come
}

type inode struct{ live, synced []byte }

// NewCrashFS returns an empty file system without limits.
func NewCrashFS() *CrashFS {
	return &CrashFS{live: map[string]*inode{}, synced: map[string]*inode{}, space: -1, ops: -1}
}

// LimitSpace lets n more bytes be written; a write beyond writes what fits and returns ENOSPC. Negative: no limit.
func (c *CrashFS) LimitSpace(n int64) { c.mu.Lock(); defer c.mu.Unlock(); c.space = n }

// FailSync makes every sync of files and directories return err and keep nothing; nil ends that.
func (c *CrashFS) FailSync(err error) { c.mu.Lock(); defer c.mu.Unlock(); c.sync = err }

// CrashAfter lets n more changing operations happen. The one after them, and all that follow, return ErrCrashed; if that
// one is a write, half of it happens. The caller then calls Crash.
func (c *CrashFS) CrashAfter(n int) { c.mu.Lock(); defer c.mu.Unlock(); c.ops = n }

// Crash stops the machine and starts it again: open files die and limits end. With a nil rnd all that was not synced is
// lost. With rnd, each unsynced name and a random part of each file's unsynced content may have survived, as on real
// machines, which write back in any order.
func (c *CrashFS) Crash(rnd *rand.Rand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.space, c.sync, c.ops, c.down = -1, nil, -1, false
	if rnd != nil {
		for _, path := range slices.Sorted(maps.Keys(c.live)) {
			if rnd.IntN(2) == 0 {
				c.synced[path] = c.live[path]
			}
		}
		for _, path := range slices.Sorted(maps.Keys(c.synced)) {
			if c.live[path] == nil && rnd.IntN(2) == 0 {
				delete(c.synced, path)
			}
		}
	}
	done := map[*inode]bool{}
	for _, path := range slices.Sorted(maps.Keys(c.synced)) {
		node := c.synced[path]
		if rnd != nil && !done[node] {
			node.synced = tear(rnd, node)
		}
		done[node] = true
		node.live = slices.Clone(node.synced)
	}
	c.live = maps.Clone(c.synced)
}

// tear returns content between what was synced and what was written: any length between the two, and any prefix.
func tear(rnd *rand.Rand, n *inode) []byte {
	short, long := n.synced, n.live
	if len(short) > len(long) {
		return slices.Clone(short[:len(long)+rnd.IntN(len(short)-len(long)+1)])
	}
	return slices.Clone(long[:len(short)+rnd.IntN(len(long)-len(short)+1)])
}

// step counts one changing operation. The caller holds the lock.
func (c *CrashFS) step() error {
	if c.ops == 0 {
		c.down = true
		return ErrCrashed
	}
	if c.ops > 0 {
		c.ops--
	}
	return nil
}

func pathError(op, path string, err error) error { return &fs.PathError{Op: op, Path: path, Err: err} }

// Create implements FS.
func (c *CrashFS) Create(path string, _ fs.FileMode) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	path = filepath.Clean(path)
	if c.live[path] != nil {
		return nil, pathError("create", path, fs.ErrExist)
	}
	return c.open(path)
}

// OpenAppend implements FS.
func (c *CrashFS) OpenAppend(path string, _ fs.FileMode) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open(filepath.Clean(path))
}

func (c *CrashFS) open(path string) (File, error) {
	if err := c.step(); err != nil {
		return nil, err
	}
	if c.live[path] == nil {
		c.live[path] = &inode{}
	}
	return &crashFile{fs: c, node: c.live[path], epoch: c.epoch}, nil
}

// ReadFile implements FS.
func (c *CrashFS) ReadFile(path string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	node := c.live[filepath.Clean(path)]
	if node == nil {
		return nil, pathError("read", path, fs.ErrNotExist)
	}
	return slices.Clone(node.live), nil
}

// Rename implements FS.
func (c *CrashFS) Rename(oldPath, newPath string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	oldPath, newPath = filepath.Clean(oldPath), filepath.Clean(newPath)
	node := c.live[oldPath]
	if node == nil {
		return pathError("rename", oldPath, fs.ErrNotExist)
	}
	if err := c.step(); err != nil {
		return err
	}
	delete(c.live, oldPath)
	c.live[newPath] = node
	return nil
}

// Remove implements FS.
func (c *CrashFS) Remove(path string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	path = filepath.Clean(path)
	if c.live[path] == nil {
		return pathError("remove", path, fs.ErrNotExist)
	}
	if err := c.step(); err != nil {
		return err
	}
	delete(c.live, path)
	return nil
}

// ReadDir implements FS. A directory without files reads as empty.
func (c *CrashFS) ReadDir(dir string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for path := range c.live {
		if filepath.Dir(path) == filepath.Clean(dir) {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir implements FS.
func (c *CrashFS) SyncDir(dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step(); err != nil {
		return err
	}
	if c.sync != nil {
		return c.sync
	}
	in := func(path string, _ *inode) bool { return filepath.Dir(path) == filepath.Clean(dir) }
	maps.DeleteFunc(c.synced, in)
	for path, node := range c.live {
		if in(path, node) {
			c.synced[path] = node
		}
	}
	return nil
}

// crashFile is an open file of a CrashFS.
type crashFile struct {
	fs    *CrashFS
	node  *inode
	epoch int
	dead  bool
}

// begin counts an operation on the file. The caller holds the lock.
func (f *crashFile) begin() error {
	if f.dead || f.epoch != f.fs.epoch {
		return fs.ErrClosed
	}
	return f.fs.step()
}

func (f *crashFile) Write(b []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	wasDown := f.fs.down
	err := f.begin()
	n := len(b)
	switch {
	case err == ErrCrashed && !wasDown:
		n /= 2
	case err != nil:
		return 0, err
	case f.fs.space >= 0 && int64(n) > f.fs.space:
		n, err = int(f.fs.space), syscall.ENOSPC
	}
	if f.fs.space >= 0 {
		f.fs.space = max(0, f.fs.space-int64(n))
	}
	f.node.live = append(f.node.live, b[:n]...)
	return n, err
}

func (f *crashFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.begin(); err != nil {
		return err
	}
	if f.fs.sync != nil {
		return f.fs.sync
	}
	f.node.synced = slices.Clone(f.node.live)
	return nil
}

func (f *crashFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.begin(); err != nil {
		return err
	}
	if size > int64(len(f.node.live)) {
		return syscall.EINVAL
	}
	f.node.live = slices.Clone(f.node.live[:size])
	return nil
}

func (f *crashFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.live)), nil
}

func (f *crashFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.dead = true
	return nil
}
