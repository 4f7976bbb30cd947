package durable

import (
	"hash/crc32"
	"io"

	"concord"
)

// castagnoli is the polynomial of CRC-32C, which processors compute by an instruction of their own.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC-32C of the parts one after the other.
func Checksum(parts ...[]byte) uint32 {
	var sum uint32
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, p)
	}
	return sum
}

// Section is a stretch of a file with its checksum. Formats keep them in a table of contents.
type Section struct {
	Offset, Length uint64
	Sum            uint32 // CRC-32C
}

// In returns the section's bytes in a file, without copying, after checking them. A section that lies outside or does
// not match is a Corrupt error.
func (s Section) In(file []byte) ([]byte, error) {
	n := uint64(len(file))
	if s.Offset > n || s.Length > n-s.Offset {
		return nil, concord.Errorf(concord.Corrupt, "section at %d of %d bytes lies outside a file of %d", s.Offset, s.Length, n)
	}
	b := file[s.Offset : s.Offset+s.Length : s.Offset+s.Length]
	if sum := Checksum(b); sum != s.Sum {
		return nil, concord.Errorf(concord.Corrupt, "section at %d of %d bytes: checksum %08x, want %08x", s.Offset, s.Length, sum, s.Sum)
	}
	return b, nil
}

// SectionWriter writes a file of sections. It is not safe for concurrent use.
type SectionWriter struct {
	w       io.Writer
	offset  uint64
	current Section
}

// NewSectionWriter returns a writer whose first byte has offset 0. Its first section has begun.
func NewSectionWriter(w io.Writer) *SectionWriter { return &SectionWriter{w: w} }

// Write adds b to the section that is being written.
func (s *SectionWriter) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.current.Sum = crc32.Update(s.current.Sum, castagnoli, b[:n])
	s.current.Length += uint64(n)
	s.offset += uint64(n)
	return n, err
}

// Offset returns how many bytes have been written in all.
func (s *SectionWriter) Offset() uint64 { return s.offset }

// End ends the section that is being written, returns it, and begins the next.
func (s *SectionWriter) End() Section {
	done := s.current
	s.current = Section{Offset: s.offset}
	return done
}
