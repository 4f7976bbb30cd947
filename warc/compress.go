package warc

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"concord"

	"github.com/klauspost/compress/gzip"
)

// compressor turns records into gzip members. One belongs to one goroutine at a time; they are reused, because a deflate
// state is some hundred kilobytes.
type compressor struct {
	z     *gzip.Writer
	plain bytes.Buffer
}

// gzipLevel trades size for time: on pages of 20 kB, level 1 is the fastest that compresses at all.
const gzipLevel = 1

// maxPooledBuffer is the largest buffer that is kept for reuse.
const maxPooledBuffer = 4 << 20

// pool hands out compressors.
type pool struct{ p sync.Pool }

func (p *pool) get() *compressor {
	if c, ok := p.p.Get().(*compressor); ok {
		return c
	}
	z, _ := gzip.NewWriterLevel(io.Discard, gzipLevel) // the level is valid
	return &compressor{z: z}
}

func (p *pool) put(c *compressor) {
	if c.plain.Cap() <= maxPooledBuffer {
		p.p.Put(c)
	}
}

// appendMember appends the record to dst as one gzip member.
func (c *compressor) appendMember(dst *bytes.Buffer, r *Record) error {
	c.plain.Reset()
	r.appendTo(&c.plain)
	c.z.Reset(dst)
	if _, err := c.z.Write(c.plain.Bytes()); err != nil {
		return fmt.Errorf("compress record: %w", err)
	}
	if err := c.z.Close(); err != nil {
		return fmt.Errorf("compress record: %w", err)
	}
	return nil
}

// Writer writes single records to a stream, each its own gzip member or plain. It is not safe for concurrent use; an
// Archive is.
type Writer struct {
	w      io.Writer
	gzip   bool
	c      *compressor
	buf    bytes.Buffer
	offset int64
}

// NewWriter returns a Writer to w; compress makes every record a gzip member.
func NewWriter(w io.Writer, compress bool) *Writer {
	return &Writer{w: w, gzip: compress, c: new(pool).get()}
}

// Write writes one record and returns where it lies in the stream. A record whose header cannot be written is an Invalid
// error and nothing is written.
func (w *Writer) Write(r *Record) (offset, length int64, err error) {
	if err := r.check(); err != nil {
		return 0, 0, err
	}
	w.buf.Reset()
	if w.gzip {
		if err := w.c.appendMember(&w.buf, r); err != nil {
			return 0, 0, err
		}
	} else {
		r.appendTo(&w.buf)
	}
	offset = w.offset
	n, err := w.w.Write(w.buf.Bytes())
	w.offset += int64(n)
	if err != nil {
		return 0, 0, fmt.Errorf("write WARC record: %w", err)
	}
	return offset, int64(n), nil
}

// expandMember decodes one gzip member that must hold exactly one record of at most limit bytes, checks its checksum, and
// returns the record. The error is of kind Corrupt.
func expandMember(stored []byte, limit int64) (*Record, error) {
	src := bytes.NewReader(stored)
	z, err := gzip.NewReader(src)
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "open gzip member: %w", err)
	}
	z.Multistream(false)
	var buf bytes.Buffer
	buf.Grow(memberHint(stored, limit))
	if _, err := buf.ReadFrom(io.LimitReader(z, limit+1)); err != nil {
		return nil, concord.Errorf(concord.Corrupt, "decode gzip member: %w", eofIsUnexpected(err))
	}
	switch {
	case int64(buf.Len()) > limit:
		return nil, concord.Errorf(concord.Corrupt, "record is longer than %d bytes", limit)
	case src.Len() > 0:
		return nil, concord.Errorf(concord.Corrupt, "%d bytes follow the gzip member", src.Len())
	}
	return parseRecord(buf.Bytes())
}

// memberHint reads the length that a gzip trailer states. It saves growing the buffer, and is not believed beyond what
// deflate can expand to (1032 to 1).
func memberHint(stored []byte, limit int64) int {
	if len(stored) < 18 {
		return 0
	}
	t := stored[len(stored)-4:]
	n := int64(t[0]) | int64(t[1])<<8 | int64(t[2])<<16 | int64(t[3])<<24
	return int(min(n+bytes.MinRead, limit, 1032*int64(len(stored))+bytes.MinRead))
}

// parseRecord reads a record that is wholly in memory, whose block it shares.
func parseRecord(b []byte) (*Record, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 || end > MaxHeader {
		return nil, concord.Errorf(concord.Corrupt, "record has no header of at most %d bytes", MaxHeader)
	}
	rec, length, err := parseHeader(b[:end+2])
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "read record header: %w", err)
	}
	body := b[end+4:]
	if int64(len(body)) != length+4 || !bytes.HasSuffix(body, []byte("\r\n\r\n")) {
		return nil, concord.Errorf(concord.Corrupt, "record has %d bytes behind its header, not %d", len(body), length+4)
	}
	rec.Block = body[:length:length]
	return rec, nil
}
