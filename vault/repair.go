package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"concord"
	"concord/durable"
	"concord/warc"
)

// compose writes a range of a file to w, from its blobs where they have it. hole writes what they lack; nil makes that an error of kind
// NotFound. Memory: one piece.
func compose(ctx context.Context, blobs concord.Blobs, file string, ps pieces, s span, hole func(s span, w io.Writer) error, w io.Writer) error {
	relisted := int64(-1)
	for off := s.from; off < s.to; {
		p, next, ok := ps.at(off)
		if !ok {
			gap := span{off, s.to}
			if next >= 0 {
				gap.to = min(next, s.to)
			}
			if hole == nil {
				return concord.Errorf(concord.NotFound, "the blobs do not have bytes %d to %d of archive file %s", gap.from, gap.to, file)
			}
			if err := hole(gap, w); err != nil {
				return err
			}
			off = gap.to
			continue
		}
		data, err := readPiece(ctx, blobs, file, p)
		if concord.KindOf(err) == concord.NotFound && relisted != off { // made part of a whole one meanwhile
			relisted = off
			if ps, err = listFile(ctx, blobs, file); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		end := min(p.end(), s.to)
		if _, err := w.Write(data[off-p.off : end-p.off]); err != nil {
			return err
		}
		off = end
	}
	return nil
}

// Repair puts a local file right from the blobs: what they have is taken from them, what they do not have yet from the file itself. The
// result is read through and takes the file's place only when it is whole. Errors: NotFound for a file that is not here, Corrupt when
// the copy does not make it whole, those of the blobs.
func (v *Vault) Repair(ctx context.Context, file string) error {
	v.repairing.Lock()
	defer v.repairing.Unlock()
	before, ok := v.local.File(file)
	if !ok {
		return concord.Errorf(concord.NotFound, "archive has no file %q", concord.Clip(file, 80))
	}
	ps, err := listFile(ctx, v.cfg.Blobs, file)
	if err != nil {
		return fmt.Errorf("repair %s: %w", file, err)
	}
	if !before.Sealed { // nothing is appended while it is put together
		if err := v.local.Seal(); err != nil {
			return fmt.Errorf("repair %s: %w", file, err)
		}
		before, _ = v.local.File(file)
	}
	all := span{0, max(ps.end(), before.Bytes)}
	err = v.local.Replace(file, func(w io.Writer) error {
		return compose(ctx, v.cfg.Blobs, file, ps, all, func(s span, w io.Writer) error { return v.copyLocal(file, s, w) }, w)
	})
	if err != nil {
		return fmt.Errorf("repair %s: %w", file, err)
	}
	v.log.Info("an archive file was put right from the blobs", "file", file, "bytes", all.to)
	v.change(func() {
		u := v.files[file]
		if u == nil {
			u = new(upload)
			v.files[file] = u
		}
		u.damaged = false
		if all.to > before.Bytes { // its end came from the blobs
			u.base, u.live = all.to, all.to
		}
	})
	return nil
}

// copyBytes is what is copied at a time.
const copyBytes = 1 << 20

func (v *Vault) copyLocal(file string, s span, w io.Writer) error {
	buf := make([]byte, min(copyBytes, s.to-s.from))
	for s.from < s.to {
		b := buf[:min(int64(len(buf)), s.to-s.from)]
		if err := v.local.ReadAt(file, b, s.from); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		s.from += int64(len(b))
	}
	return nil
}

// Restored says what Restore did.
type Restored struct {
	Files   int      // written
	Bytes   int64    // of these
	Kept    int      // files that were there already
	Missing int64    // bytes that the blobs lack: they are zero in the files, and the records there are lost
	Damages []string // places of the files that are no records, holes included, in plain words
}

// Restore writes all archive files that the blobs have into a directory, each durable, sealed and with its index. A file that is there and at
// least as long stays as it is, of a shorter one what the blobs lack is kept. No Archive may have the directory open. Files are written one
// after another; after an error or a kill those that are there are whole, and a second Restore goes on. done, which may be nil, is told of
// each file. Errors: those of the blobs and of the disk; what is missing or damaged is none, and listed.
func Restore(ctx context.Context, blobs concord.Blobs, dir string, done func(Restored)) (sum Restored, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return sum, err
	}
	unlock, err := durable.Lock(filepath.Join(dir, warc.LockName))
	if err != nil {
		return sum, fmt.Errorf("restore into %s: %w", dir, err)
	}
	defer unlock()
	err = eachFile(ctx, blobs, func(file string, ps pieces) error {
		size := ps.end()
		old, had, err := openOld(filepath.Join(dir, file))
		if err != nil {
			return err
		}
		defer old.Close()
		if had >= size {
			sum.Kept++
			return nil
		}
		gaps := bytesOf(ps.gaps(had, size))
		damages, err := warc.Place(dir, file, func(w io.Writer) error {
			return compose(ctx, blobs, file, ps, span{0, size}, func(s span, w io.Writer) error { return fillHole(s, old, had, w) }, w)
		})
		if err != nil {
			return fmt.Errorf("restore %s: %w", file, err)
		}
		sum.Files++
		sum.Bytes += size
		sum.Missing += gaps
		for _, d := range damages {
			sum.Damages = append(sum.Damages, file+": "+d)
		}
		if done != nil {
			done(sum)
		}
		return nil
	})
	return sum, err
}

// openOld opens what is there of a file; where there is nothing, size is 0 and f is nil, which may be closed.
func openOld(path string) (f *os.File, size int64, err error) {
	f, err = os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// fillHole writes what no blob has: bytes of the old file, as far as it goes.
func fillHole(s span, old io.ReaderAt, had int64, w io.Writer) error {
	if end := min(s.to, had); s.from < end {
		if _, err := io.Copy(w, io.NewSectionReader(old, s.from, end-s.from)); err != nil {
			return err
		}
		s.from = end
	}
	if s.from == s.to {
		return nil
	}
	return writeHole(s, w)
}

// writeHole writes zeros, which no reader takes for a record. A file that begins with them is still to look like gzip.
func writeHole(s span, w io.Writer) error {
	zeros := make([]byte, min(copyBytes, s.to-s.from))
	if s.from == 0 && len(zeros) > 1 {
		zeros[0], zeros[1] = 0x1f, 0x8b
	}
	for left := s.to - s.from; left > 0; left -= int64(len(zeros)) {
		zeros = zeros[:min(left, int64(len(zeros)))]
		if _, err := io.Copy(w, bytes.NewReader(zeros)); err != nil {
			return err
		}
		clear(zeros[:min(2, len(zeros))])
	}
	return nil
}
