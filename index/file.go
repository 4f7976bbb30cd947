package index

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// writeBuffer sizes the buffers between encoders and files.
const writeBuffer = 256 << 10

// fileWriter writes a segment file front to back, with the checksums of its sections.
type fileWriter struct {
	w       io.Writer
	off     uint64
	crc     uint32 // of everything written
	entries []tableEntry
	sum     uint32 // of the current chunk
	filled  int    // bytes in the current chunk
}

func newFileWriter(w io.Writer) (*fileWriter, error) {
	f := &fileWriter{w: w}
	return f, f.raw(appendHeader(nil))
}

func (w *fileWriter) raw(b []byte) error {
	w.crc = crc32.Update(w.crc, crcTable, b)
	w.off += uint64(len(b))
	if _, err := w.w.Write(b); err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	return nil
}

// begin opens the next section; sections come in the order of their ids.
func (w *fileWriter) begin(id sectionID) {
	w.entries = append(w.entries, tableEntry{id: id, offset: w.off})
	w.sum, w.filled = 0, 0
}

// Write appends to the open section.
func (w *fileWriter) Write(b []byte) (int, error) {
	n := len(b)
	e := &w.entries[len(w.entries)-1]
	for len(b) > 0 {
		part := b[:min(len(b), chunkSize-w.filled)]
		w.sum = crc32.Update(w.sum, crcTable, part)
		w.filled += len(part)
		e.length += uint64(len(part))
		if err := w.raw(part); err != nil {
			return n - len(b), err
		}
		if w.filled == chunkSize {
			e.sums = append(e.sums, w.sum)
			w.sum, w.filled = 0, 0
		}
		b = b[len(part):]
	}
	return n, nil
}

// end closes the open section and pads to the alignment.
func (w *fileWriter) end() error {
	if w.filled > 0 {
		e := &w.entries[len(w.entries)-1]
		e.sums = append(e.sums, w.sum)
	}
	if pad := (alignment - w.off%alignment) % alignment; pad > 0 {
		return w.raw(make([]byte, pad))
	}
	return nil
}

// section writes a whole section.
func (w *fileWriter) section(id sectionID, b []byte) error {
	w.begin(id)
	if _, err := w.Write(b); err != nil {
		return err
	}
	return w.end()
}

// offset is the length of the open section so far.
func (w *fileWriter) offset() uint64 { return w.entries[len(w.entries)-1].length }

// finish writes table and footer.
func (w *fileWriter) finish() error {
	table := appendTable(nil, w.entries)
	return w.raw(appendFooter(table, w.off, table))
}

// spoolMemory is what a spool keeps in memory before it turns to a file: small segments touch no second file.
const spoolMemory = 4 << 20

// spool holds a section that is written while another one is: in memory while small, then in an unnamed file.
type spool struct {
	dir string
	mem []byte
	f   *os.File
	w   *bufio.Writer
	off uint64
}

func (s *spool) Write(b []byte) (int, error) {
	if s.f == nil && len(s.mem)+len(b) <= spoolMemory {
		s.mem = append(s.mem, b...)
		s.off += uint64(len(b))
		return len(b), nil
	}
	if s.f == nil {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	n, err := s.w.Write(b)
	s.off += uint64(n)
	if err != nil {
		return n, fmt.Errorf("spool section: %w", err)
	}
	return n, nil
}

func (s *spool) spill() error {
	f, err := os.CreateTemp(s.dir, ".segment-*.spool")
	if err != nil {
		return fmt.Errorf("spool section: %w", err)
	}
	os.Remove(f.Name()) // the open file stays usable, and nothing is left behind by a crash
	s.f, s.w = f, bufio.NewWriterSize(f, writeBuffer)
	_, err = s.w.Write(s.mem)
	s.mem = nil
	return err
}

// copyTo writes everything spooled so far to w.
func (s *spool) copyTo(w io.Writer) error {
	if s.f == nil {
		_, err := w.Write(s.mem)
		return err
	}
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("spool section: %w", err)
	}
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("spool section: %w", err)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{s.f}, make([]byte, writeBuffer)); err != nil {
		return fmt.Errorf("copy spooled section: %w", err)
	}
	return nil
}

func (s *spool) close() {
	if s.f != nil {
		s.f.Close()
	}
	s.mem = nil
}
