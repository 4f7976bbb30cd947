package warc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"concord"
)

// readRecord reads version line, header and block.
func (r *Reader) readRecord(start int64) (*Record, error) {
	head, err := r.readHead(start)
	if err != nil {
		return nil, err
	}
	rec, length, err := parseHeader(head)
	if err != nil {
		return nil, r.lost(start, err)
	}
	if length > r.limits.MaxBlock {
		if _, err := io.CopyN(io.Discard, r.text, length); err != nil {
			return nil, r.short(start, "block of a record that is too long anyway", err)
		}
		return nil, &Damage{Offset: start, Reason: fmt.Sprintf("block of %d bytes exceeds the limit of %d and was passed over",
			length, r.limits.MaxBlock)}
	}
	if rec.Block, err = r.readBlock(length); err != nil {
		return nil, r.short(start, "block", err)
	}
	return rec, nil
}

// readHead returns the lines of version and header, without the empty line.
func (r *Reader) readHead(start int64) ([]byte, error) {
	var head []byte
	for {
		line, err := r.text.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return nil, r.short(start, "header", err)
		}
		if len(head) == 0 && !bytes.HasPrefix(line, []byte("WARC/")) {
			return nil, r.lost(start, errors.New("no WARC record begins here"))
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return head, nil
		}
		if len(head)+len(line) > MaxHeader {
			return nil, r.lost(start, fmt.Errorf("header is longer than %d bytes", MaxHeader))
		}
		head = append(head, line...)
	}
}

// readBlock reads n bytes. A block goes on in the next gzip member when the current one ends too early and the next does
// not begin with a record. Memory grows with what is there, not with what a header claims.
func (r *Reader) readBlock(n int64) ([]byte, error) {
	const sure = 1 << 20
	buf := make([]byte, 0, min(n, sure))
	for int64(len(buf)) < n {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(n, int64(2*cap(buf))))
			copy(grown, buf)
			buf = grown
		}
		m, err := r.text.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+m]
		if err == io.EOF && r.gz != nil {
			err = r.continueMember()
		}
		if err != nil {
			return nil, err
		}
	}
	return buf, nil
}

// continueMember goes on to the next member inside a block.
func (r *Reader) continueMember() error {
	r.inMember = false
	if err := r.nextMember(); err != nil {
		return err
	}
	if b, _ := r.text.Peek(5); bytes.Equal(b, []byte("WARC/")) {
		return errMemberEnd
	}
	r.fresh = false
	return nil
}

// parseHeader reads version line and fields, and the block's length.
func parseHeader(head []byte) (*Record, int64, error) {
	line, rest, _ := cutLine(head)
	version, ok := bytes.CutPrefix(line, []byte("WARC/"))
	if !ok || len(version) == 0 || len(version) > 8 {
		return nil, 0, errors.New("no WARC record begins here")
	}
	rec := &Record{Version: strings.TrimSpace(string(version)), Header: make(Fields, 0, 16)}
	for len(rest) > 0 {
		line, rest, _ = cutLine(rest)
		if len(line) == 0 {
			break
		}
		if (line[0] == ' ' || line[0] == '\t') && len(rec.Header) > 0 {
			last := &rec.Header[len(rec.Header)-1]
			last.Value = strings.TrimSpace(last.Value + " " + string(bytes.TrimSpace(line)))
			continue
		}
		if name, value, ok := bytes.Cut(line, []byte{':'}); ok {
			rec.Header = append(rec.Header, Field{string(bytes.TrimSpace(name)), string(bytes.TrimSpace(value))})
		}
	}
	length, err := strconv.ParseInt(rec.Header.Get("Content-Length"), 10, 64)
	if err != nil || length < 0 {
		return nil, 0, fmt.Errorf("Content-Length %q is not a length", concord.Clip(rec.Header.Get("Content-Length"), 40))
	}
	return rec, length, nil
}
