package durable

import (
	"io/fs"
	"path/filepath"
	"sync"

	"concord"
)

// AppendFile is a file that only grows. It is safe for concurrent use; appends do not interleave.
//
// After a failed Append, Sync or Truncate it is poisoned: every later call returns the same failure, since what is on
// disk is unknown. The owner closes it, opens it anew and recovers from what it then reads.
type AppendFile struct {
	path string

	mu   sync.Mutex
	file File
	size int64
	err  error // why it is poisoned
}

// OpenAppend opens the file at path for appending. Where there was none it makes one whose directory entry is permanent
// when this returns.
func OpenAppend(fsys FS, path string, perm fs.FileMode) (*AppendFile, error) {
	f, err := fsys.OpenAppend(path, perm)
	if err != nil {
		return nil, concord.Errorf(concord.Internal, "open %s: %w", path, err)
	}
	size, err := f.Size()
	if err == nil {
		err = fsys.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		f.Close()
		return nil, concord.Errorf(concord.Internal, "open %s: %w", path, err)
	}
	return &AppendFile{path: path, file: f, size: size}, nil
}

// Append writes b at the end and returns the offset of its first byte. It is permanent after the next Sync.
func (a *AppendFile) Append(b []byte) (offset int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return 0, a.err
	}
	if _, err := a.file.Write(b); err != nil {
		return 0, a.poison("append to", err)
	}
	offset = a.size
	a.size += int64(len(b))
	return offset, nil
}

// Sync makes all appends that have returned permanent.
func (a *AppendFile) Sync() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	if err := a.file.Sync(); err != nil {
		return a.poison("sync", err)
	}
	return nil
}

// Truncate cuts the file to size bytes, for example a torn record found by recovery, and makes that permanent. A size
// beyond the end is an Invalid error and changes nothing.
func (a *AppendFile) Truncate(size int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.err != nil:
		return a.err
	case size < 0 || size > a.size:
		return concord.Errorf(concord.Invalid, "truncate %s: %d is not within its %d bytes", a.path, size, a.size)
	}
	if err := a.file.Truncate(size); err != nil {
		return a.poison("truncate", err)
	}
	if err := a.file.Sync(); err != nil {
		return a.poison("truncate", err)
	}
	a.size = size
	return nil
}

// Size returns the offset at which the next append begins.
func (a *AppendFile) Size() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.size
}

// Close closes the file without making anything permanent. Later calls fail.
func (a *AppendFile) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	if a.err == nil {
		a.err = concord.Errorf(concord.Internal, "%s is closed", a.path)
	}
	if err != nil {
		return concord.Errorf(concord.Internal, "close %s: %w", a.path, err)
	}
	return nil
}

func (a *AppendFile) poison(action string, err error) error {
	a.err = concord.Errorf(concord.Internal, "%s %s, whose content is now unknown: %w", action, a.path, err)
	return a.err
}
