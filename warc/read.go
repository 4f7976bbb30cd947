package warc

import (
	"fmt"

	"concord"
)

// Read returns the record at loc, a location that Append returned. What it returns has passed the gzip checksum and the
// record's block digest; when either fails, or no record lies exactly there, the error is of kind Corrupt and names file
// and offset. A file or range that the archive does not hold is NotFound. The record belongs to the caller.
func (a *Archive) Read(loc concord.Location) (*Record, error) {
	a.mu.Lock()
	info, ok := a.files[loc.File]
	var size int64
	if ok {
		size = info.Bytes
	}
	closed := a.closed
	a.mu.Unlock()
	switch {
	case closed:
		return nil, concord.Errorf(concord.Unavailable, "archive is closed")
	case !ok:
		return nil, concord.Errorf(concord.NotFound, "archive has no file %q", concord.Clip(loc.File, 80))
	case loc.Offset < 0 || loc.Length <= 0 || loc.Length > size || loc.Offset > size-loc.Length:
		return nil, concord.Errorf(concord.NotFound, "archive file %s has no bytes %d to %d", loc.File, loc.Offset, loc.Offset+loc.Length)
	case loc.Length > a.maxStored():
		return nil, concord.Errorf(concord.Corrupt, "%s at offset %d: no record is %d bytes long", loc.File, loc.Offset, loc.Length)
	}
	a.reads <- struct{}{}
	defer func() { <-a.reads }()
	rec, err := a.readMember(loc)
	if err != nil {
		return nil, fmt.Errorf("read %s at offset %d: %w", loc.File, loc.Offset, err)
	}
	rec.Offset, rec.Length, rec.Whole = loc.Offset, loc.Length, true
	return rec, nil
}

// maxStored bounds a member: deflate adds five bytes to every 64 KiB it cannot compress.
func (a *Archive) maxStored() int64 { return a.cfg.MaxBlock + a.cfg.MaxBlock/1000 + 2*MaxHeader }

func (a *Archive) readMember(loc concord.Location) (*Record, error) {
	stored, err := a.readBytes(loc)
	if err != nil {
		return nil, err
	}
	return a.parseMember(stored)
}

// parseMember reads the record that stored is, and checks the digest of its block.
func (a *Archive) parseMember(stored []byte) (*Record, error) {
	rec, err := expandMember(stored, a.cfg.MaxBlock+MaxHeader+8)
	if err != nil {
		return nil, err
	}
	if compare(rec.Header.Get("WARC-Block-Digest"), rec.Block) == Mismatch {
		return nil, concord.Errorf(concord.Corrupt, "block does not match its digest %s", rec.Header.Get("WARC-Block-Digest"))
	}
	return rec, nil
}

func (a *Archive) readBytes(loc concord.Location) ([]byte, error) {
	f, _, closeFile, err := a.disk.open(loc.File)
	if gone(err) {
		return nil, concord.Errorf(concord.Corrupt, "file is gone: %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer closeFile()
	b := make([]byte, loc.Length)
	if _, err := f.ReadAt(b, loc.Offset); err != nil {
		return nil, concord.Errorf(concord.Corrupt, "file is shorter than it was: %w", err)
	}
	return b, nil
}
