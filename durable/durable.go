// Package durable answers "how does a file become permanent?": atomic replacement, append-only files, checksummed
// sections, read-only maps, the lock of a data directory, and a file system for tests that crashes.
//
// It is not a store: it knows nothing of formats beyond a checksum, and of recovery only that it must happen.
//
// Invariants:
//   - WriteFile leaves the old content or the new, never a mix, whenever the machine stops; once it has returned nil, the
//     new.
//   - What AppendFile.Append was given before a Sync that returned nil survives.
//   - After a failed write or sync the state on disk is unknown: an AppendFile refuses all further use, and the owner
//     stops and recovers by reading the file again. A second fsync that succeeds proves nothing about the first.
package durable

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"concord"
)

// FS is what durable needs of a file system; OS is the real one, CrashFS one for tests. Implementations are safe for
// concurrent use. Errors satisfy errors.Is with fs.ErrNotExist and fs.ErrExist where that is the reason.
type FS interface {
	// Create makes a new file for appending; it fails when the path exists.
	Create(path string, perm fs.FileMode) (File, error)
	// OpenAppend opens a file for appending and makes it where there is none.
	OpenAppend(path string, perm fs.FileMode) (File, error)
	ReadFile(path string) ([]byte, error)
	// Rename replaces newPath. It is permanent after SyncDir of the directory.
	Rename(oldPath, newPath string) error
	Remove(path string) error
	// ReadDir returns the names in a directory, sorted.
	ReadDir(dir string) ([]string, error)
	// SyncDir makes the entries of a directory permanent: files created, renamed and removed in it.
	SyncDir(dir string) error
}

// File is an open file of an FS.
type File interface {
	io.Writer
	Sync() error               // makes content and size permanent
	Truncate(size int64) error // later appends go to the new end
	Size() (int64, error)
	Close() error
}

// OS is the file system of the machine.
var OS FS = osFS{}

type osFS struct{}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (osFS) Create(path string, perm fs.FileMode) (File, error) {
	return open(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, perm)
}

func (osFS) OpenAppend(path string, perm fs.FileMode) (File, error) {
	return open(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, perm)
}

func open(path string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }
func (osFS) Rename(oldPath, newPath string) error { return os.Rename(oldPath, newPath) }
func (osFS) Remove(path string) error             { return os.Remove(path) }
func (osFS) SyncDir(dir string) error             { return SyncDir(dir) }

func (osFS) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// tempMark is part of the name of every file that WriteFile has not finished.
const tempMark = ".tmp-"

// writeBuffer collects small writes; large ones pass through.
const writeBuffer = 64 << 10

// WriteFile replaces the file at path by what write writes, atomically, and makes it permanent before it returns nil.
// Writes are buffered. When it fails before the rename, path is untouched and the temporary file is removed; when only
// the final sync of the directory fails, old or new content may be found after a crash.
func WriteFile(path string, perm fs.FileMode, write func(io.Writer) error) error {
	return WriteFileTo(OS, path, perm, write)
}

// WriteFileTo is WriteFile on any FS.
func WriteFileTo(fsys FS, path string, perm fs.FileMode, write func(io.Writer) error) error {
	var random [8]byte
	rand.Read(random[:])
	temp := path + tempMark + hex.EncodeToString(random[:])
	if err := writeTemp(fsys, temp, perm, write); err != nil {
		fsys.Remove(temp) // best effort: RemoveTemps finds what is left
		return concord.Errorf(concord.KindOf(err), "write %s: %w", path, err)
	}
	if err := fsys.Rename(temp, path); err != nil {
		fsys.Remove(temp)
		return concord.Errorf(concord.Internal, "write %s: %w", path, err)
	}
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return concord.Errorf(concord.Internal, "write %s: sync directory: %w", path, err)
	}
	return nil
}

func writeTemp(fsys FS, temp string, perm fs.FileMode, write func(io.Writer) error) (err error) {
	f, err := fsys.Create(temp, perm)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	w := bufio.NewWriterSize(f, writeBuffer)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

// RemoveTemps removes what WriteFile left in dir when the process was killed. Only the owner of the directory calls it,
// before it writes.
func RemoveTemps(fsys FS, dir string) error {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return concord.Errorf(concord.Internal, "remove temporary files: %w", err)
	}
	for _, name := range names {
		if !strings.Contains(name, tempMark) {
			continue
		}
		if err := fsys.Remove(filepath.Join(dir, name)); err != nil {
			return concord.Errorf(concord.Internal, "remove temporary files: %w", err)
		}
	}
	return nil
}
