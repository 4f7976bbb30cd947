package blob

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"concord"
	"concord/durable"
)

const (
	// tempDir holds what is being written. No blob has a '+' in its name, so neither this nor sumSuffix can meet one.
	tempDir = "+tmp"
	// putLocks is how many Puts and Deletes may change names at the same time, of different blobs.
	putLocks = 64
	// copyBuffer is what a Put reads at once.
	copyBuffer = 256 << 10
)

// Directory keeps blobs as files under their names. Beside each file NAME lies NAME+sha256, one line in the form of sha256sum(1): other
// tools read the files as they are and check them with `sha256sum -c`. A trailer would have made every file unreadable to others, a name
// that is the digest would have hidden what it is.
//
// What is put goes into +tmp, is synced, and renamed: first the checksum, then, with that permanent, the file. So a file without its
// checksum is never half a Put but damage. Several processes, on several machines even, may use one directory if its file system has
// locks (flock) and atomic renames.
type Directory struct {
	path   string
	fsys   durable.FS
	temp   string // this process's part of tempDir
	unlock func() error
	serial atomic.Uint64

	seed  maphash.Seed
	locks [putLocks]sync.Mutex // by name: checksum and file change together

	mu   sync.Mutex
	made map[string]bool // directories whose own entries are permanent
}

// Dir opens the directory at path and makes it where there is none. What Puts of processes left that have died is removed.
func Dir(path string) (*Directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "open blobs: %w", err)
	}
	d := &Directory{path: path, fsys: durable.OS, seed: maphash.MakeSeed(), made: map[string]bool{}}
	for above := filepath.Dir(path); !exists(above); above = filepath.Dir(above) {
		defer durable.SyncDir(filepath.Dir(above)) // those made here are made permanent as far as this user may
	}
	if err := d.makeDirs(filepath.Join(path, tempDir)); err != nil {
		return nil, fsError("open blobs", err)
	}
	if d.temp, d.unlock, err = claimTemp(filepath.Join(path, tempDir)); err != nil {
		return nil, fsError("open blobs", err)
	}
	if err := sweep(filepath.Join(path, tempDir)); err != nil {
		d.Close()
		return nil, fsError("open blobs", err)
	}
	return d, nil
}

// Close gives up the place for unfinished files. Puts that are running fail.
func (d *Directory) Close() error {
	os.RemoveAll(d.temp)
	os.Remove(d.temp + lockSuffix)
	return d.unlock()
}

// Put implements concord.Blobs. Errors beside those: Conflict when the name has other bytes, or is the directory of other blobs.
func (d *Directory) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if err := checkPut(name, size); err != nil {
		return err
	}
	action := "put blob " + name
	temp := filepath.Join(d.temp, strconv.FormatUint(d.serial.Add(1), 10))
	defer d.fsys.Remove(temp) // gone already when all went well
	in := newExact(ctx, r, size)
	if err := d.writeTemp(temp, in); err != nil {
		return fsError(action, err)
	}
	line := sumLine(in.digest(), filepath.Base(filepath.FromSlash(name)))
	sumTemp := temp + sumSuffix
	defer d.fsys.Remove(sumTemp)
	if err := d.writeTemp(sumTemp, strings.NewReader(line)); err != nil {
		return fsError(action, err)
	}
	lock := d.lock(name)
	lock.Lock()
	defer lock.Unlock()
	if err := d.allowReplace(ctx, name, in.digest()); err != nil {
		return err
	}
	return fsError(action, d.commit(temp, sumTemp, d.file(name)))
}

// commit makes the two files visible and permanent, the checksum first.
func (d *Directory) commit(temp, sumTemp, path string) error {
	parent := filepath.Dir(path)
	if err := d.makeDirs(parent); err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return &fs.PathError{Op: "put", Path: path, Err: syscall.EISDIR}
	}
	for _, f := range [][2]string{{sumTemp, path + sumSuffix}, {temp, path}} {
		if err := d.fsys.Rename(f[0], f[1]); err != nil {
			return err
		}
		if err := d.fsys.SyncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

// allowReplace refuses to replace a blob that is whole by other bytes.
func (d *Directory) allowReplace(ctx context.Context, name string, sum concord.Digest) error {
	old, err := readSum(d.file(name))
	if err != nil || old == sum {
		return nil
	}
	rc, err := d.Get(ctx, name)
	if err != nil {
		return nil
	}
	defer rc.Close()
	if _, err := io.Copy(io.Discard, rc); err != nil {
		return ctx.Err()
	}
	return concord.Errorf(concord.Conflict, "put blob %s: the name has other bytes, which never change; use another name, or delete it first", name)
}

func (d *Directory) writeTemp(path string, r io.Reader) (err error) {
	f, err := d.fsys.Create(path, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{r}, make([]byte, copyBuffer)); err != nil {
		return err
	}
	return f.Sync()
}

// Get implements concord.Blobs.
func (d *Directory) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := concord.CheckBlobName(name); err != nil {
		return nil, err
	}
	action := "get blob " + name
	f, err := os.Open(d.file(name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, concord.Errorf(concord.NotFound, "blob %s is not there", name)
	}
	if err != nil {
		return nil, fsError(action, err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = concord.Errorf(concord.NotFound, "blob %s is not there, but others below it", name)
	}
	if err != nil {
		f.Close()
		return nil, fsError(action, err)
	}
	sum, err := readSum(f.Name())
	if err != nil {
		f.Close()
		return nil, fsError(action, err)
	}
	return newVerified(ctx, name, f, info.Size(), sum, concord.Corrupt), nil
}

// Delete implements concord.Blobs. The file goes first: a checksum without file is no blob.
func (d *Directory) Delete(ctx context.Context, name string) error {
	if err := concord.CheckBlobName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	lock := d.lock(name)
	lock.Lock()
	defer lock.Unlock()
	path := d.file(name)
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return nil
	}
	for _, p := range []string{path, path + sumSuffix} {
		err := d.fsys.Remove(p)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err == nil {
			err = d.fsys.SyncDir(filepath.Dir(path))
		}
		if err != nil {
			return fsError("delete blob "+name, err)
		}
	}
	return nil
}

func (d *Directory) file(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

func (d *Directory) lock(name string) *sync.Mutex {
	return &d.locks[maphash.String(d.seed, name)%putLocks]
}

// makeDirs makes a directory and those above it, all permanent.
func (d *Directory) makeDirs(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for {
		d.mu.Lock()
		made := d.made[dir]
		d.mu.Unlock()
		if made {
			return nil
		}
		if err := d.fsys.SyncDir(filepath.Dir(dir)); err != nil {
			return err
		}
		d.mu.Lock()
		d.made[dir] = true
		d.mu.Unlock()
		if dir == d.path {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func checkPut(name string, size int64) error {
	if err := concord.CheckBlobName(name); err != nil {
		return err
	}
	if size < 0 {
		return concord.Errorf(concord.Invalid, "put blob %s: a size of %d bytes", name, size)
	}
	return nil
}

// fsError names the action and says of a file system's errors what can be done.
func fsError(action string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return concord.Errorf(concord.Unavailable, "%s: no space left; free some and try again: %w", action, err)
	case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTDIR):
		return concord.Errorf(concord.Conflict, "%s: a name cannot be both a blob and the beginning of others here: %w", action, err)
	case errors.Is(err, fs.ErrPermission):
		return concord.Errorf(concord.Unauthorized, "%s: give this user the right to the directory: %w", action, err)
	}
	return concord.Errorf(concord.KindOf(err), "%s: %w", action, err)
}

// lockSuffix marks the lock of a process's part of tempDir.
const lockSuffix = ".lock"

// claimTemp makes a directory below root that is this process's as long as it lives.
func claimTemp(root string) (dir string, unlock func() error, err error) {
	for {
		var random [8]byte
		rand.Read(random[:])
		dir = filepath.Join(root, hex.EncodeToString(random[:]))
		unlock, err = durable.Lock(dir + lockSuffix)
		if concord.KindOf(err) == concord.Conflict {
			continue // another process found it before it was locked, and is about to sweep it
		}
		if err != nil {
			return "", nil, err
		}
		if _, err := os.Lstat(dir + lockSuffix); err != nil {
			unlock() // swept between its making and its locking
			continue
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			unlock()
			return "", nil, err
		}
		return dir, unlock, nil
	}
}

// sweep removes the parts of processes that have died: their locks are free.
func sweep(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, isLock := strings.CutSuffix(e.Name(), lockSuffix)
		if !isLock {
			continue
		}
		path := filepath.Join(root, name)
		unlock, err := durable.Lock(path + lockSuffix)
		if concord.KindOf(err) == concord.Conflict {
			continue
		}
		if err != nil {
			return err
		}
		err = os.RemoveAll(path)
		if err == nil {
			err = os.Remove(path + lockSuffix)
		}
		unlock()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
