package index

import (
	"sync/atomic"

	"concord"
)

// section is one checksummed piece of a mapped file. Safe for concurrent use.
type section struct {
	id      sectionID
	data    []byte
	sums    []uint32
	checked []atomic.Uint32 // one bit a chunk; nil once everything was checked on opening
}

func newSection(file []byte, e tableEntry) *section {
	return &section{id: e.id, data: file[e.offset : e.offset+e.length : e.offset+e.length], sums: e.sums,
		checked: make([]atomic.Uint32, (len(e.sums)+31)/32)}
}

// verify checks the whole section.
func (s *section) verify() error {
	for c := range s.sums {
		if err := s.checkChunk(c); err != nil {
			return err
		}
	}
	return nil
}

func (s *section) checkChunk(c int) error {
	from := c * chunkSize
	if crc(s.data[from:min(from+chunkSize, len(s.data))]) != s.sums[c] {
		return concord.Errorf(concord.Corrupt, "section %q: checksum mismatch in bytes %d to %d", s.id, from, min(from+chunkSize, len(s.data))-1)
	}
	return nil
}

// check makes sure that n bytes at off exist and have been checked.
func (s *section) check(off, n uint64) error {
	if off > uint64(len(s.data)) || n > uint64(len(s.data))-off {
		return concord.Errorf(concord.Corrupt, "section %q: %d bytes at %d lie outside its %d", s.id, n, off, len(s.data))
	}
	if s.checked == nil || n == 0 {
		return nil
	}
	for c := int(off / chunkSize); c <= int((off+n-1)/chunkSize); c++ {
		word, bit := &s.checked[c/32], uint32(1)<<(c%32)
		if word.Load()&bit == 0 {
			if err := s.checkChunk(c); err != nil {
				return err
			}
			word.Or(bit)
		}
	}
	return nil
}

// bytes returns n checked bytes at off.
func (s *section) bytes(off, n uint64) ([]byte, error) {
	if err := s.check(off, n); err != nil {
		return nil, err
	}
	return s.data[off : off+n : off+n], nil
}

// upTo returns the checked bytes from off, at most n of them.
func (s *section) upTo(off, n uint64) ([]byte, error) {
	if off <= uint64(len(s.data)) {
		n = min(n, uint64(len(s.data))-off)
	}
	return s.bytes(off, n)
}
