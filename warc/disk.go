package warc

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"concord"
	"concord/durable"
)

// LockName is the file of an archive directory whose lock says that a process has the archive open.
const LockName = "lock"

// disk is the file system an archive lies on. Files are written through durable.FS; that offers no reading at an offset,
// so the machine's files are read directly, and those of another FS, which only tests use, are read whole.
type disk struct {
	durable.FS
	dir string
}

func (d disk) real() bool { return d.FS == durable.OS }

func (d disk) path(name string) string { return filepath.Join(d.dir, name) }

// prepare makes the directory and takes its lock.
func (d disk) prepare() (unlock func() error, err error) {
	if !d.real() {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return nil, err
	}
	unlock, err = durable.Lock(d.path(LockName))
	if err != nil {
		return nil, err
	}
	return sync.OnceValue(unlock), nil
}

// stored is a file open for reading.
type stored interface {
	io.Reader
	io.Seeker
	io.ReaderAt
}

// open opens a file of the directory for reading.
func (d disk) open(name string) (f stored, size int64, closeFile func() error, err error) {
	if !d.real() {
		b, err := d.ReadFile(d.path(name))
		return bytes.NewReader(b), int64(len(b)), func() error { return nil }, err
	}
	file, err := os.Open(d.path(name))
	if err != nil {
		return nil, 0, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = concord.Errorf(concord.Invalid, "%s is not a regular file", name)
	}
	if err != nil {
		file.Close()
		return nil, 0, nil, err
	}
	return file, info.Size(), file.Close, nil
}

// gone reports that a file is not there.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
