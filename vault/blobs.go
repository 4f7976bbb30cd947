package vault

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"concord"
	"concord/warc"
)

const (
	blobPrefix = "archive/"
	wholePart  = "whole/"
	// pieceBytes is the size of a whole piece and the most that any blob has: what JetStream and S3 take without trouble, and little enough to
	// read for one record.
	pieceBytes = 8 << 20
	// offsetDigits makes names sort as their offsets do.
	offsetDigits = 16
)

// piece is one blob of a file.
type piece struct {
	off, size int64
	whole     bool
}

func (p piece) end() int64 { return p.off + p.size }

func (p piece) name(file string) string {
	part := ""
	if p.whole {
		part = wholePart
	}
	return fmt.Sprintf("%s%s/%s%0*d", blobPrefix, file, part, offsetDigits, p.off)
}

// parseName reads what piece.name wrote. ok is false for blobs of other names or of sizes that no piece has.
func parseName(b concord.BlobInfo) (file string, p piece, ok bool) {
	rest, ok := strings.CutPrefix(b.Name, blobPrefix)
	if !ok {
		return "", p, false
	}
	file, rest, ok = strings.Cut(rest, "/")
	if !ok || !warc.IsFileName(file) {
		return "", p, false
	}
	p.size = b.Size
	rest, p.whole = strings.CutPrefix(rest, wholePart)
	off, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || len(rest) != offsetDigits || off < 0 || b.Size <= 0 || b.Size > pieceBytes {
		return "", p, false
	}
	p.off = off
	return file, p, p.name(file) == b.Name && (!p.whole || off%pieceBytes == 0)
}

// pieces are the blobs of one file in the order of their offsets; they may overlap and leave holes.
type pieces []piece

func (ps pieces) sort() {
	slices.SortFunc(ps, func(a, b piece) int { return cmp.Or(cmp.Compare(a.off, b.off), cmp.Compare(a.size, b.size)) })
}

// end is behind the last byte that a blob has.
func (ps pieces) end() (end int64) {
	for _, p := range ps {
		end = max(end, p.end())
	}
	return end
}

// from returns the index of the first piece that may reach beyond off.
func (ps pieces) from(off int64) int {
	i, _ := slices.BinarySearchFunc(ps, off-pieceBytes+1, func(p piece, off int64) int { return cmp.Compare(p.off, off) })
	return i
}

// at returns the piece that has the byte at off and reaches farthest. Where there is none, ok is false and next is where the next one
// begins, -1 for nowhere.
func (ps pieces) at(off int64) (p piece, next int64, ok bool) {
	for _, x := range ps[ps.from(off):] {
		if x.off > off {
			if !ok {
				return p, x.off, false
			}
			break
		}
		if x.end() > max(off, p.end()) {
			p, ok = x, true
		}
	}
	return p, -1, ok
}

// within returns the small pieces that lie inside [from, to).
func (ps pieces) within(from, to int64) pieces {
	var in pieces
	for _, p := range ps[ps.from(from):] {
		if p.off >= to {
			break
		}
		if !p.whole && p.off >= from && p.end() <= to {
			in = append(in, p)
		}
	}
	return in
}

func (ps pieces) hasWhole(from, to int64) bool {
	for _, p := range ps[ps.from(from):] {
		if p.whole && p.off == from && p.end() == to {
			return true
		}
		if p.off > from {
			break
		}
	}
	return false
}

// span is a range of bytes of a file.
type span struct{ from, to int64 }

// gaps returns what of [from, to) no piece has.
func (ps pieces) gaps(from, to int64) []span {
	var out []span
	for from < to {
		p, next, ok := ps.at(from)
		switch {
		case ok:
			from = p.end()
		case next < 0 || next >= to:
			return append(out, span{from, to})
		default:
			out = append(out, span{from, next})
			from = next
		}
	}
	return out
}

// cut divides a range into pieces that do not cross the borders of whole ones.
func (s span) cut() []piece {
	var out []piece
	for s.from < s.to {
		end := min(s.to, (s.from/pieceBytes+1)*pieceBytes)
		out = append(out, piece{off: s.from, size: end - s.from})
		s.from = end
	}
	return out
}

func bytesOf(spans []span) (n int64) {
	for _, s := range spans {
		n += s.to - s.from
	}
	return n
}

// listFile returns the blobs of one file.
func listFile(ctx context.Context, blobs concord.Blobs, file string) (pieces, error) {
	var ps pieces
	err := blobs.List(ctx, blobPrefix+file+"/", func(b concord.BlobInfo) bool {
		if name, p, ok := parseName(b); ok && name == file {
			ps = append(ps, p)
		}
		return true
	})
	ps.sort()
	return ps, err
}

// eachFile calls f with every file that the blobs have, in the order of their names.
func eachFile(ctx context.Context, blobs concord.Blobs, f func(file string, ps pieces) error) error {
	var now string
	var ps pieces
	var failed error
	done := func() {
		if len(ps) > 0 && failed == nil {
			ps.sort()
			failed = f(now, ps)
		}
		ps = nil
	}
	err := blobs.List(ctx, blobPrefix, func(b concord.BlobInfo) bool {
		file, p, ok := parseName(b)
		if !ok {
			return true
		}
		if file != now {
			done()
			now = file
		}
		ps = append(ps, p)
		return failed == nil
	})
	if err == nil {
		done()
		err = failed
	}
	return err
}

// readPiece reads a whole blob, to its end, so that its checksum was compared.
func readPiece(ctx context.Context, blobs concord.Blobs, file string, p piece) ([]byte, error) {
	rc, err := blobs.Get(ctx, p.name(file))
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	b, err := io.ReadAll(io.LimitReader(rc, pieceBytes+1))
	if err == nil && int64(len(b)) != p.size {
		err = concord.Errorf(concord.Corrupt, "blob %s has %d bytes, not %d", p.name(file), len(b), p.size)
	}
	return b, err
}

// StoredFile is what the blobs have of an archive file, of whichever node.
type StoredFile struct {
	Name    string
	Bytes   int64 // behind the last byte they have
	Missing int64 // of these, bytes in holes: not uploaded yet, or never
	Blobs   int
}

// Stored lists the archive files that the blobs have, in the order of their names. Errors: those of Blobs.List.
func Stored(ctx context.Context, blobs concord.Blobs) ([]StoredFile, error) {
	var out []StoredFile
	err := eachFile(ctx, blobs, func(file string, ps pieces) error {
		end := ps.end()
		out = append(out, StoredFile{Name: file, Bytes: end, Missing: bytesOf(ps.gaps(0, end)), Blobs: len(ps)})
		return nil
	})
	return out, err
}
