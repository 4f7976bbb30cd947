package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"concord"
)

// exact reads the size bytes that Put was promised: it fails when r ends early or goes on, or when the context ends. It comes to io.EOF
// only when all is as promised.
type exact struct {
	ctx  context.Context
	r    io.Reader
	left int64
	size int64
	sum  hash.Hash // of what was read
}

func newExact(ctx context.Context, r io.Reader, size int64) *exact {
	return &exact{ctx: ctx, r: r, left: size, size: size, sum: sha256.New()}
}

func (e *exact) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	if e.left == 0 {
		return 0, e.end()
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.r.Read(p)
	e.sum.Write(p[:n])
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		return n, concord.Errorf(concord.Invalid, "the reader ended after %d of the promised %d bytes", e.size-e.left, e.size)
	}
	if err == io.EOF {
		err = nil // end says so at the next call
	}
	return n, err
}

// end looks whether the reader ends where it should.
func (e *exact) end() error {
	var one [1]byte
	_, err := io.ReadFull(e.r, one[:])
	switch {
	case err == io.EOF:
		return io.EOF
	case err == nil:
		return concord.Errorf(concord.Invalid, "the reader goes on after the promised %d bytes", e.size)
	}
	return err
}

// digest is that of the bytes read so far.
func (e *exact) digest() (d concord.Digest) {
	e.sum.Sum(d[:0])
	return d
}

// verified reads a blob of left bytes and compares its digest before the last of them is given away.
type verified struct {
	ctx   context.Context
	name  string
	rc    io.ReadCloser
	left  int64
	want  concord.Digest
	sum   hash.Hash
	short concord.Kind // what it means that rc ends early
	err   error        // what every further Read returns
}

func newVerified(ctx context.Context, name string, rc io.ReadCloser, size int64, want concord.Digest, short concord.Kind) *verified {
	v := &verified{ctx: ctx, name: name, rc: rc, left: size, want: want, sum: sha256.New(), short: short}
	if size == 0 {
		v.err = v.verdict()
	}
	return v
}

func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if err := v.ctx.Err(); err != nil {
		return 0, err
	}
	if int64(len(p)) > v.left {
		p = p[:v.left]
	}
	n, err := v.rc.Read(p)
	v.sum.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left == 0:
		if v.err = v.verdict(); v.err != io.EOF {
			return 0, v.err
		}
		return n, nil
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		v.err = concord.Errorf(v.short, "read blob %s: ends %d bytes early", v.name, v.left)
	case err != nil && v.ctx.Err() != nil:
		v.err = v.ctx.Err()
	case err != nil:
		v.err = concord.Errorf(concord.Unavailable, "read blob %s: %w", v.name, err)
	}
	return n, v.err
}

// verdict is io.EOF when all bytes are the ones that were put.
func (v *verified) verdict() error {
	var got concord.Digest
	v.sum.Sum(got[:0])
	if got != v.want {
		return concord.Errorf(concord.Corrupt, "blob %s is damaged: its SHA-256 is not the one it was put with", v.name)
	}
	return io.EOF
}

func (v *verified) Close() error { return v.rc.Close() }
