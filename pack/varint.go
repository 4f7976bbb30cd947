package pack

import "encoding/binary"

// AppendUvarint appends v in base 128, low group first, as encoding/binary does.
func AppendUvarint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

// Reader reads variable-length integers and byte strings from a slice. After the first malformed or missing value every
// further read gives zero and OK is false: a caller may read a whole record and check once.
type Reader struct {
	buf []byte
	bad bool
}

// NewReader returns a reader of buf, which it does not copy.
func NewReader(buf []byte) Reader { return Reader{buf: buf} }

// OK reports whether everything read so far was there and well-formed.
func (r *Reader) OK() bool { return !r.bad }

// Len returns the number of bytes left.
func (r *Reader) Len() int { return len(r.buf) }

// Uvarint reads one integer.
func (r *Reader) Uvarint() uint64 {
	if len(r.buf) > 0 && r.buf[0] < 0x80 {
		v := r.buf[0]
		r.buf = r.buf[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

// Uint32 reads one integer that must fit 32 bits.
func (r *Reader) Uint32() uint32 {
	v := r.Uvarint()
	if v > 1<<32-1 {
		r.fail()
		return 0
	}
	return uint32(v)
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	b := r.Bytes(1)
	if b == nil {
		return 0
	}
	return b[0]
}

// Bytes returns the next n bytes, a part of the reader's slice, or nil when there are fewer.
func (r *Reader) Bytes(n uint64) []byte {
	if n > uint64(len(r.buf)) {
		r.fail()
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

// String reads a length and as many bytes.
func (r *Reader) String() string { return string(r.Bytes(r.Uvarint())) }

func (r *Reader) fail() { r.bad, r.buf = true, nil }
