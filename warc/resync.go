package warc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// broken reports stored bytes that do not decode, and places the Reader at the next gzip member that holds a record.
func (r *Reader) broken(start int64, reason string, err error) error {
	if r.gz == nil || r.src.err != nil { // not the bytes, but the source failed
		return err
	}
	if rerr := r.resync(); rerr != nil {
		return rerr
	}
	return &Damage{Offset: start, Reason: reason, Err: err}
}

// lost reports decoded bytes that are no record, and places the Reader at the next line that begins like one, or at the
// next member.
func (r *Reader) lost(start int64, cause error) error {
	for {
		if b, _ := r.text.Peek(5); bytes.Equal(b, []byte("WARC/")) {
			break
		}
		_, err := r.discardLine()
		if err == io.EOF {
			r.inMember = r.gz == nil
			break
		}
		if err != nil {
			return r.broken(start, cause.Error(), err)
		}
	}
	return &Damage{Offset: start, Reason: cause.Error()}
}

// short reports a record that ends before it should: at a member that begins a new record, at the end of the file, or
// where the stored bytes stop decoding.
func (r *Reader) short(start int64, what string, err error) error {
	switch {
	case errors.Is(err, errMemberEnd):
		return &Damage{Offset: start, Reason: what + " ends before its length: the next gzip member begins a new record"}
	case err == io.EOF && r.gz == nil:
		return &Damage{Offset: start, Reason: "file ends inside the " + what, Err: io.ErrUnexpectedEOF}
	case err == io.EOF:
		r.inMember = false
		return &Damage{Offset: start, Reason: "gzip member ends inside the " + what, Err: io.ErrUnexpectedEOF}
	}
	if _, ok := errors.AsType[*Damage](err); ok {
		return err
	}
	return r.broken(start, "cannot decode the "+what, err)
}

// resync places the Reader at the next gzip member behind the beginning of the current one that decodes to the first
// bytes of a record, or at the end of the file.
func (r *Reader) resync() error {
	r.inMember, r.fresh = false, false
	if err := r.goBack(); err != nil {
		return err
	}
	for {
		window, err := r.raw.Peek(readBuffer)
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		i := bytes.Index(window, gzipMagic)
		switch {
		case i < 0 && len(window) < readBuffer:
			r.raw.Discard(len(window))
			return nil
		case i < 0:
			r.raw.Discard(len(window) - len(gzipMagic) + 1)
		case beginsRecord(window[i:]):
			r.raw.Discard(i)
			return nil
		case i+probeBytes > len(window) && i > 0 && len(window) == readBuffer:
			r.raw.Discard(i) // too little of it is in sight: look again with it in front
		default:
			r.raw.Discard(i + 1)
		}
	}
}

// gzipMagic begins a gzip member: two bytes of signature and the only compression method there is (RFC 1952).
var gzipMagic = []byte{0x1f, 0x8b, 0x08}

// probeBytes is enough of a member to see its first five decoded bytes behind an ordinary gzip header.
const probeBytes = 4 << 10

func beginsRecord(b []byte) bool {
	z, err := gzip.NewReader(bytes.NewReader(b[:min(len(b), probeBytes)]))
	if err != nil {
		return false
	}
	var first [5]byte
	_, err = io.ReadFull(z, first[:])
	return err == nil && string(first[:]) == "WARC/"
}

// goBack returns to just behind the beginning of the damaged member, as far as the source can and rewindBytes allow.
func (r *Reader) goBack() error {
	now := r.position()
	to := max(r.memberStart+1, now-rewindBytes)
	if r.seek == nil || to >= now {
		return nil
	}
	if _, err := r.seek.Seek(to-r.src.n, io.SeekCurrent); err != nil {
		return err
	}
	r.src.n = to
	r.raw.Reset(&r.src)
	return nil
}

// skipStray passes over bytes up to a line that begins like a record.
func (r *Reader) skipStray(start int64) error {
	var skipped int64
	for {
		b, err := r.text.Peek(5)
		if bytes.Equal(b, []byte("WARC/")) {
			break
		}
		if len(b) == 0 && err != io.EOF {
			return r.broken(start, "cannot decode the end of the gzip member", err)
		}
		if len(b) == 0 {
			break
		}
		n, err := r.discardLine()
		skipped += n
		if err != nil && err != io.EOF {
			return r.broken(start, "cannot decode the end of the gzip member", err)
		}
	}
	if skipped > 0 {
		r.pending = &Damage{Offset: start, Reason: fmt.Sprintf("%d stray bytes after the record were passed over", skipped)}
		r.damages++
	}
	return nil
}

func (r *Reader) discardLine() (n int64, err error) {
	for {
		line, err := r.text.ReadSlice('\n')
		n += int64(len(line))
		if err != bufio.ErrBufferFull {
			return n, err
		}
	}
}
