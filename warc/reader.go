package warc

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"concord"

	"github.com/klauspost/compress/gzip"
)

const (
	// MaxHeader bounds the header of one record. Real ones are under 2 KiB; long URLs add to that.
	MaxHeader = 64 << 10
	// DefaultMaxBlock bounds the block of one record: archives of other tools hold videos, which are passed over.
	DefaultMaxBlock = 64 << 20
	// maxDamages ends reading a file that is damaged in more places than this: it is not a WARC file any more, and
	// looking for the next whole record after each of them would take for ever.
	maxDamages = 1000
	// rewindBytes is how far back a Reader goes for the next gzip member after a damaged one: a decoder that met a
	// flipped bit may have run over the next beginning before it noticed.
	rewindBytes = 1 << 20
	readBuffer  = 64 << 10
)

// Limits bound what one record may cost.
type Limits struct {
	MaxBlock int64 // bytes of a block; 0: DefaultMaxBlock
}

func (l Limits) withDefaults() Limits {
	if l.MaxBlock <= 0 {
		l.MaxBlock = DefaultMaxBlock
	}
	return l
}

// Damage says that something at Offset could not be read as a record, or not as a whole one. It is of kind Corrupt.
type Damage struct {
	Offset int64 // in the file as stored: where the record (or its gzip member) begins
	Reason string
	Err    error // cause, may be nil
}

func (d *Damage) Error() string { return fmt.Sprintf("at offset %d: %s", d.Offset, d.text()) }

// Unwrap returns an error of kind Corrupt that wraps the cause.
func (d *Damage) Unwrap() error {
	if d.Err == nil {
		return concord.Errorf(concord.Corrupt, "%s", d.Reason)
	}
	return concord.Errorf(concord.Corrupt, "%s: %w", d.Reason, d.Err)
}

// text is the message without the offset.
func (d *Damage) text() string {
	if d.Err == nil {
		return d.Reason
	}
	return d.Reason + ": " + d.Err.Error()
}

// errMemberEnd says that a gzip member ended where more was expected.
var errMemberEnd = errors.New("gzip member ended")

// Reader reads records one after another from a WARC file: plain, gzipped with a member a record, gzipped as a whole, or
// with members that begin and end anywhere. It accepts versions 0.17 to 1.1 and what tools are known to write: bare
// line feeds, folded fields, missing or additional blank lines, angle brackets around URIs.
//
// It is not safe for concurrent use.
type Reader struct {
	src    counter
	seek   io.Seeker     // nil: the source cannot go back
	raw    *bufio.Reader // the file as stored
	gz     *gzip.Reader  // nil: the file is plain, or nothing was read yet
	text   *bufio.Reader // decoded bytes of the current member; raw itself for a plain file
	limits Limits

	begun       bool
	memberStart int64 // offset of the current member
	inMember    bool  // the current member has decoded bytes left, or its end was not met yet
	fresh       bool  // nothing of the current member was consumed yet
	damages     int
	pending     error // to be returned by the next call
}

// NewReader returns a Reader of src. When src is an io.Seeker, records after a damaged gzip member are found more
// reliably.
func NewReader(src io.Reader, limits Limits) *Reader {
	r := &Reader{limits: limits.withDefaults()}
	r.src.r = src
	if s, ok := src.(io.Seeker); ok {
		if _, err := s.Seek(0, io.SeekCurrent); err == nil {
			r.seek = s
		}
	}
	r.raw = bufio.NewReaderSize(&r.src, readBuffer)
	return r
}

// counter counts the bytes read from r, and remembers how reading failed.
type counter struct {
	r   io.Reader
	n   int64
	err error // not io.EOF
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// position returns the offset of the next stored byte that was not consumed.
func (r *Reader) position() int64 { return r.src.n - int64(r.raw.Buffered()) }

// Next returns the next record. At the end it returns io.EOF. A *Damage error tells of a place that could not be read;
// reading goes on behind it with the next call, so every whole record is returned before and after the damage. Any other
// error is final (the source failed). The record and its block belong to the caller.
func (r *Reader) Next() (*Record, error) {
	if err := r.pending; err != nil {
		r.pending = nil
		return nil, err
	}
	if !r.begun {
		if err := r.begin(); err != nil {
			return nil, err
		}
	}
	rec, err := r.next()
	if damage, ok := errors.AsType[*Damage](err); ok {
		if r.damages++; r.damages > maxDamages {
			return nil, concord.Errorf(concord.Corrupt, "more than %d damaged places, the last %w", maxDamages, err)
		}
		return nil, damage
	}
	return rec, err
}

// begin looks at the first bytes to tell plain from gzip.
func (r *Reader) begin() error {
	r.begun = true
	head, err := r.raw.Peek(2)
	if len(head) == 0 {
		return err
	}
	if head[0] == 0x1f && len(head) == 2 && head[1] == 0x8b {
		r.gz = new(gzip.Reader)
		r.text = bufio.NewReaderSize(nil, readBuffer)
		return nil
	}
	r.text, r.inMember, r.fresh = r.raw, true, true
	return nil
}

// next reads one record. Errors of the stored bytes are turned into Damage, and the Reader is placed behind them.
func (r *Reader) next() (*Record, error) {
	start, err := r.findRecord()
	if err != nil {
		return nil, err
	}
	whole := r.gz == nil || r.fresh
	r.fresh = false
	rec, err := r.readRecord(start)
	if err != nil {
		return nil, err
	}
	rec.Offset = start
	ended, err := r.finishRecord(start)
	if err != nil {
		return nil, err
	}
	rec.Length = r.position() - start
	rec.Whole = whole && (r.gz == nil || ended)
	return rec, nil
}

// findRecord skips blank lines up to the beginning of a record, over member borders, and returns its offset.
func (r *Reader) findRecord() (int64, error) {
	for {
		if !r.inMember {
			if err := r.nextMember(); err != nil {
				return 0, err
			}
		}
		b, err := r.text.Peek(1)
		switch {
		case err == io.EOF && r.gz == nil:
			return 0, io.EOF
		case err == io.EOF:
			r.inMember = false
		case err != nil:
			return 0, r.broken(r.memberStart, "cannot decode gzip member", err)
		case b[0] == '\r' || b[0] == '\n':
			r.text.Discard(1)
		default:
			if r.gz == nil {
				return r.position(), nil
			}
			return r.memberStart, nil
		}
	}
}

// nextMember opens the gzip member at the current position; io.EOF means that there is none.
func (r *Reader) nextMember() error {
	if _, err := r.raw.Peek(1); err != nil {
		return err
	}
	r.memberStart = r.position()
	if err := r.gz.Reset(r.raw); err != nil {
		return r.broken(r.memberStart, "no gzip member begins here", err)
	}
	r.gz.Multistream(false)
	r.text.Reset(r.gz)
	r.inMember, r.fresh = true, true
	return nil
}

// finishRecord consumes the blank lines behind a block and reports whether the gzip member ended with them. Other bytes
// in front of the next record are passed over and reported with the next call.
func (r *Reader) finishRecord(start int64) (ended bool, err error) {
	for {
		b, err := r.text.Peek(1)
		switch {
		case err == io.EOF:
			r.inMember = r.gz == nil
			return true, nil
		case err != nil:
			return false, r.broken(start, "cannot decode the end of the gzip member", err)
		case b[0] == '\r' || b[0] == '\n':
			r.text.Discard(1)
		default:
			return false, r.skipStray(start)
		}
	}
}
