package warc

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"concord"
	"concord/durable"
)

// placeMark is part of the name of a file that is being put in its place. Open removes what a kill left of it.
const placeMark = ".tmp-place"

// Place writes a sealed archive file into a directory that no Archive has open: the file, durable, its index, and the list of its
// damaged places, which it returns too. fill writes what the file is to hold. It is all there when Place returns nil; after an error or
// a kill the file is not there, or as it was.
func Place(dir, name string, fill func(io.Writer) error) (damages []string, err error) {
	if !IsFileName(name) {
		return nil, concord.Errorf(concord.Invalid, "%q is not the name of an archive file", concord.Clip(name, 80))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	a := &Archive{disk: disk{FS: durable.OS, dir: dir}, cfg: Config{}.withDefaults()}
	s, err := a.fillTemp(name, fill)
	if err != nil {
		return nil, err
	}
	damages = append(s.damages, s.tail...)
	return damages, a.moveIn(name, s.lines, damages)
}

// Replace puts whole bytes in the place of a file that is damaged or has lost its end. fill writes them: they are verified, and nothing
// changes unless they are records from first to last, and no fewer bytes than the file has. The open file is sealed first. Errors:
// NotFound for a file that the archive does not have, Corrupt for bytes that are refused.
func (a *Archive) Replace(name string, fill func(io.Writer) error) error {
	if err := a.sealOpen(name); err != nil {
		return err
	}
	s, err := a.fillTemp(name, fill)
	if err != nil {
		return err
	}
	a.commit.Lock()
	defer a.commit.Unlock()
	info, ok := a.File(name)
	bad := append(s.damages, s.tail...)
	switch {
	case a.failed != nil:
		err = a.failed
	case !ok:
		err = concord.Errorf(concord.NotFound, "archive has no file %q", name)
	case len(bad) > 0:
		err = concord.Errorf(concord.Corrupt, "what is to replace %s is damaged in %d places: %s", name, len(bad), bad[0])
	case s.stored < info.Bytes:
		err = concord.Errorf(concord.Corrupt, "what is to replace %s has %d bytes, fewer than its %d", name, s.stored, info.Bytes)
	default:
		err = a.moveIn(name, s.lines, nil)
	}
	if err != nil {
		a.disk.Remove(a.disk.path(name + placeMark)) // best effort: Open finds what is left
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	*a.files[name] = FileInfo{Name: name, Bytes: s.stored, Sealed: true}
	return nil
}

// Seal seals the open file, when there is one: nothing is appended to any file that is there now, and the next record begins a new one.
func (a *Archive) Seal() error { return a.sealOpen("") }

// sealOpen seals the open file, if it has that name; "" is any.
func (a *Archive) sealOpen(name string) error {
	a.commit.Lock()
	defer a.commit.Unlock()
	if a.failed != nil || a.out == nil || name != "" && a.out.name != name {
		return a.failed
	}
	return a.seal()
}

// fillTemp writes a file under a temporary name, durable, and reads it through on its way.
func (a *Archive) fillTemp(name string, fill func(io.Writer) error) (s *fileScan, err error) {
	temp := a.disk.path(name + placeMark)
	if err := a.disk.Remove(temp); err != nil && !gone(err) {
		return nil, err
	}
	f, err := a.disk.Create(temp, filePerm)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			a.disk.Remove(temp) // best effort: Open finds what is left
		}
	}()
	c := &scannedCopy{w: bufio.NewWriterSize(f, readBuffer)}
	if s, err = c.run(name, fill); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	if err := c.w.Flush(); err != nil {
		return nil, err
	}
	return s, f.Sync()
}

// scannedCopy writes to w and at the same time reads records from what is written.
type scannedCopy struct {
	w    *bufio.Writer
	pipe *io.PipeWriter
	n    int64
}

func (c *scannedCopy) run(name string, fill func(io.Writer) error) (s *fileScan, err error) {
	r, w := io.Pipe()
	c.pipe = w
	done := make(chan error)
	go func() {
		var err error
		s, err = scanMembers(r, name)
		io.Copy(io.Discard, r) // what a scan that gave up did not read
		done <- err
	}()
	err = fill(c)
	w.CloseWithError(err) // nil: io.EOF
	if scanErr := <-done; err == nil {
		err = scanErr
	}
	if err == nil {
		s.stored = c.n
	}
	return s, err
}

func (c *scannedCopy) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	if err == nil {
		_, err = c.pipe.Write(p)
	}
	return n, err
}

// moveIn puts the temporary file in its place. The index goes first: a file without one would be appended to, and be cut at its end when
// it is read through after a kill.
func (a *Archive) moveIn(name string, lines, damages []string) error {
	path := a.disk.path(name)
	if len(damages) > 0 {
		if err := a.reportDamage(name, damages); err != nil {
			return err
		}
	}
	if err := a.writeIndex(name, lines); err != nil {
		return err
	}
	if err := a.disk.Rename(path+placeMark, path); err != nil {
		return err
	}
	if len(damages) == 0 {
		if err := a.disk.Remove(path + damageSuffix); err != nil && !gone(err) {
			return err
		}
	}
	return a.disk.SyncDir(filepath.Dir(path))
}
