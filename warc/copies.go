package warc

import (
	"fmt"
	"io"

	"concord"
)

// What follows is for those who keep copies of archive files elsewhere: bytes out of the archive, and bytes back into it.

// IsFileName reports whether an archive names its files like this.
func IsFileName(name string) bool { return namePattern.MatchString(name) }

// File describes one file; ok is false when the archive has none of that name.
func (a *Archive) File(name string) (info FileInfo, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.files[name]
	if !ok {
		return FileInfo{}, false
	}
	return *f, true
}

// ReadAt fills p with the bytes of a file from offset on, as they are stored: no checksum is looked at. Only durable bytes are read; a
// range that reaches beyond them, or a file that the archive does not have, is NotFound.
func (a *Archive) ReadAt(file string, p []byte, offset int64) error {
	info, ok := a.File(file)
	switch {
	case a.isClosed():
		return concord.Errorf(concord.Unavailable, "archive is closed")
	case !ok:
		return concord.Errorf(concord.NotFound, "archive has no file %q", concord.Clip(file, 80))
	case offset < 0 || int64(len(p)) > info.Bytes || offset > info.Bytes-int64(len(p)):
		return concord.Errorf(concord.NotFound, "archive file %s has no bytes %d to %d", file, offset, offset+int64(len(p)))
	}
	a.reads <- struct{}{}
	defer func() { <-a.reads }()
	f, _, closeFile, err := a.disk.open(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	defer closeFile()
	if _, err := f.ReadAt(p, offset); err != nil {
		return fmt.Errorf("read %s at offset %d: %w", file, offset, err)
	}
	return nil
}

// Fits reports whether a record of this archive's bounds may lie at loc, whoever has the file.
func (a *Archive) Fits(loc concord.Location) bool {
	return IsFileName(loc.File) && loc.Offset >= 0 && loc.Length > 0 && loc.Length <= a.maxStored() && loc.Offset+loc.Length > 0
}

// Parse reads the record whose stored bytes another copy of the archive gave for loc. It checks as Read does.
func (a *Archive) Parse(loc concord.Location, stored []byte) (*Record, error) {
	if int64(len(stored)) != loc.Length {
		return nil, concord.Errorf(concord.Corrupt, "%s at offset %d: got %d bytes of %d", loc.File, loc.Offset, len(stored), loc.Length)
	}
	rec, err := a.parseMember(stored)
	if err != nil {
		return nil, fmt.Errorf("%s at offset %d: %w", loc.File, loc.Offset, err)
	}
	rec.Offset, rec.Length, rec.Whole = loc.Offset, loc.Length, true
	return rec, nil
}

// Examine reads an archive file through and returns the places of it that are damaged, in plain words. Errors: those of src.
func Examine(name string, src io.Reader) ([]string, error) {
	s, err := scanMembers(src, name)
	if err != nil {
		return nil, err
	}
	return append(s.damages, s.tail...), nil
}
