package crawl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"concord/warc"
)

// framing is how the end of a response's body is found (RFC 9112 section 6.3).
type framing byte

const (
	framedNone framing = iota // no body
	framedLength
	framedChunks
	framedClose
)

const (
	readSize      = 16 << 10
	maxInterims   = 8       // 1xx answers before the final one
	maxChunkLine  = 4 << 10 // chunk size with extensions, or one trailer line
	maxTrailers   = 64      // lines behind the last chunk
	chunkOverhead = 4       // times the body: what tiny chunks may add on the wire
)

// reader reads exactly one HTTP/1 response from a connection and keeps its bytes as they came. It takes no more from
// them than where the response ends; what they mean is read by package warc, from the same bytes as anybody would.
type reader struct {
	src      io.Reader
	start    time.Time
	bounds   *Bounds
	maxBody  int
	deadline func(time.Time)
	held     *atomic.Int64
	counted  int64

	buf       []byte
	pos       int // read up to here
	head      int // where the final answer's head begins
	body      int // where its body begins
	framing   framing
	keep      bool // the server keeps the connection open
	truncated string
	header    http.Header
	extra     bool // more came than the response
	eof       bool
}

// reusable reports whether the connection stands at the end of this response.
func (r *reader) reusable() bool {
	return r.keep && !r.extra && !r.eof && r.truncated == "" && r.framing != framedClose
}

// read reads the whole response. An answer that is cut short after its head is no error: truncated says why.
func (r *reader) read() error {
	head, err := r.readHeads()
	if err != nil {
		return err
	}
	r.body, r.header = r.pos, head.Header
	length := r.decide(head)
	r.deadline(r.start.Add(r.bounds.FetchTime))
	switch r.framing {
	case framedLength:
		err = r.readLength(length)
	case framedChunks:
		err = r.readChunks()
	case framedClose:
		err = r.readLength(math.MaxInt64)
	}
	if err := r.cut(err); err != nil {
		return err
	}
	if r.truncated == "" && r.pos < len(r.buf) && r.framing != framedClose {
		r.extra = true
		r.buf = r.buf[:r.pos]
	}
	return nil
}

var (
	errTooLong = errors.New("body is longer than its bound")
	errTooSlow = errors.New("body comes too slowly")
	errChunks  = errors.New("chunks are malformed")
	// errNoChunks is a chunked body without one chunk.
	errChunkLine = errors.New("chunk size without end")
	errNoChunks  = errors.New("body is announced in chunks and has none")
)

// cut turns the end of a body that came too early into a reason.
func (r *reader) cut(err error) error {
	switch {
	case err == nil:
	case errors.Is(err, errTooLong):
		r.truncated = warc.TruncatedLength
		if r.framing != framedChunks {
			r.buf = r.buf[:min(len(r.buf), r.body+r.maxBody)]
		}
	case errors.Is(err, io.EOF) && r.framing == framedClose:
	case errors.Is(err, errNoChunks):
		return err // what came is nothing a reader could make sense of
	case errors.Is(err, errTooSlow), isTimeout(err):
		r.truncated = warc.TruncatedTime
	default:
		r.truncated = warc.TruncatedDisconnect
	}
	return nil
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// more reads once from the connection.
func (r *reader) more() error {
	if r.eof {
		return io.EOF
	}
	if cap(r.buf)-len(r.buf) < readSize/4 {
		grown := make([]byte, len(r.buf), max(readSize, 2*cap(r.buf)))
		copy(grown, r.buf)
		r.held.Add(int64(cap(grown)) - r.counted)
		r.counted = int64(cap(grown))
		r.buf = grown
	}
	if r.body > 0 {
		if spent := time.Since(r.start); spent > minRateGrace && int64(len(r.buf)) < r.bounds.MinRate*int64((spent-minRateGrace)/time.Second) {
			return errTooSlow
		}
		r.deadline(minTime(r.start.Add(r.bounds.FetchTime), time.Now().Add(2*minRateGrace)))
	}
	n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
	r.buf = r.buf[:len(r.buf)+n]
	if n > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		r.eof = true
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// readHeads reads up to the end of the final answer's head.
func (r *reader) readHeads() (warc.Head, error) {
	for range maxInterims + 1 {
		r.head = r.pos
		for {
			if end := headEnd(r.buf[r.head:]); end >= 0 {
				r.pos = r.head + end
				break
			}
			if len(r.buf) > r.bounds.HeaderBytes {
				return warc.Head{}, fmt.Errorf("header is longer than %d bytes", r.bounds.HeaderBytes)
			}
			if err := r.more(); err != nil {
				return warc.Head{}, r.headError(err)
			}
		}
		if r.pos > r.bounds.HeaderBytes {
			return warc.Head{}, fmt.Errorf("header is longer than %d bytes", r.bounds.HeaderBytes)
		}
		status := statusOf(r.buf[r.head:r.pos])
		switch {
		case status < 100 || status == http.StatusSwitchingProtocols:
			return warc.Head{}, errors.New("answer is not HTTP/1")
		case status >= 200:
			head, _, err := warc.Payload(r.buf[r.head:r.pos])
			if err != nil {
				return warc.Head{}, fmt.Errorf("answer is not HTTP/1: %w", err)
			}
			return head, nil
		}
	}
	return warc.Head{}, errors.New("too many interim answers")
}

func (r *reader) headError(err error) error {
	if len(r.buf) == 0 && !isTimeout(err) {
		return &noAnswer{err}
	}
	return fmt.Errorf("read header: %w", err)
}

// headEnd returns the length of a head with its empty line, -1 while it is not complete. Lines may end in a bare LF.
func headEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		line := bytes.TrimSuffix(b[at:at+i], []byte("\r"))
		at += i + 1
		if len(line) == 0 && at > 2 {
			return at
		}
	}
}

// statusOf reads the code of a status line, 0 when it is none.
func statusOf(b []byte) int {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	proto, rest, _ := strings.Cut(strings.TrimRight(string(line[:min(len(line), 64)]), "\r"), " ")
	if !strings.HasPrefix(proto, "HTTP/1.") {
		return 0
	}
	rest = strings.TrimLeft(rest, " ")
	code, err := strconv.Atoi(rest[:min(3, len(rest))])
	if err != nil || code < 100 || code > 999 {
		return 0
	}
	return code
}

// decide finds out how the body ends and whether the connection stays open; it returns the length, where it is told.
func (r *reader) decide(h warc.Head) int64 {
	connection := strings.ToLower(strings.Join(h.Header.Values("Connection"), ","))
	r.keep = h.Proto == "HTTP/1.1" && !strings.Contains(connection, "close") || strings.Contains(connection, "keep-alive")
	if h.Status == http.StatusNoContent || h.Status == http.StatusNotModified {
		r.framing = framedNone
		return 0
	}
	if te := h.Header.Values("Transfer-Encoding"); len(te) > 0 {
		r.framing = framedClose
		if strings.HasSuffix(strings.ToLower(strings.TrimSpace(te[len(te)-1])), "chunked") {
			r.framing = framedChunks
		}
		return 0
	}
	if cl := h.Header.Values("Content-Length"); len(cl) > 0 {
		n, err := strconv.ParseInt(strings.TrimSpace(cl[0]), 10, 64)
		if err == nil && n >= 0 && (len(cl) == 1 || cl[1] == cl[0]) {
			r.framing = framedLength
			return n
		}
	}
	r.framing, r.keep = framedClose, false
	return 0
}

func (r *reader) readLength(n int64) error {
	for int64(len(r.buf)-r.body) < n {
		if len(r.buf)-r.body > r.maxBody {
			return errTooLong
		}
		if err := r.more(); err != nil {
			if errors.Is(err, io.EOF) && r.framing == framedLength {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	if n > int64(r.maxBody) {
		return errTooLong
	}
	r.pos = r.body + int(n)
	return nil
}

func (r *reader) readChunks() error {
	for data := int64(0); ; {
		line, err := r.line()
		if errors.Is(err, errChunkLine) && data == 0 {
			return errNoChunks
		}
		if err != nil {
			return err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		size, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 62)
		switch {
		case err != nil && data == 0:
			return errNoChunks
		case err != nil:
			return errChunks
		}
		if size == 0 {
			return r.trailers()
		}
		if data += int64(size); data > int64(r.maxBody) || int64(r.pos-r.body) > chunkOverhead*int64(r.maxBody) {
			return errTooLong
		}
		for int64(len(r.buf)-r.pos) < int64(size)+2 {
			if err := r.more(); err != nil {
				return err
			}
		}
		r.pos += int(size)
		switch {
		case r.buf[r.pos] == '\n':
			r.pos++
		case bytes.HasPrefix(r.buf[r.pos:], []byte("\r\n")):
			r.pos += 2
		default:
			return errChunks
		}
	}
}

func (r *reader) trailers() error {
	for range maxTrailers {
		line, err := r.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
	}
	return errChunks
}

// line returns the next line without its end.
func (r *reader) line() ([]byte, error) {
	for from := r.pos; ; {
		if i := bytes.IndexByte(r.buf[from:], '\n'); i >= 0 {
			line := bytes.TrimSuffix(r.buf[r.pos:from+i], []byte("\r"))
			r.pos = from + i + 1
			return line, nil
		}
		from = len(r.buf)
		if from-r.pos > maxChunkLine {
			return nil, errChunkLine
		}
		if err := r.more(); err != nil {
			return nil, err
		}
	}
}
