package durable

import (
	"os"
	"sync"

	"concord"
)

// Mapping is a whole file, read-only, in memory: mapped where the system can, else read. Its bytes may be used by any
// number of goroutines until Close. The file must not be changed or cut meanwhile; removing or replacing it is fine.
type Mapping struct {
	data  []byte
	once  sync.Once
	unmap func([]byte) error
	err   error
}

// Map maps the file at path. A file that is not there is a NotFound error.
func Map(path string) (*Mapping, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, concord.Errorf(concord.NotFound, "map: %w", err)
	}
	if err != nil {
		return nil, concord.Errorf(concord.Internal, "map: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, concord.Errorf(concord.Internal, "map: %w", err)
	}
	size := info.Size()
	if size != int64(int(size)) {
		return nil, concord.Errorf(concord.Internal, "map %s: %d bytes do not fit the address space", path, size)
	}
	m := &Mapping{}
	if size > 0 { // an empty map is an error to the system
		if m.data, m.unmap, err = mapFile(f, int(size)); err != nil {
			return nil, concord.Errorf(concord.Internal, "map %s: %w", path, err)
		}
	}
	return m, nil
}

// Bytes returns the content. Neither it nor any slice of it may be written to, ever, or read after Close.
func (m *Mapping) Bytes() []byte { return m.data }

// Scattered says whether what is read next lies here and there: the system then reads from disk what is asked for and nothing ahead of it, which may
// be megabytes otherwise. It is advice, for the whole mapping, until it is given anew.
func (m *Mapping) Scattered(yes bool) {
	if len(m.data) > 0 {
		advise(m.data, yes)
	}
}

// Ahead asks the system to read n bytes at off from disk, as they will be needed soon.
func (m *Mapping) Ahead(off, n int) {
	if off >= 0 && n > 0 && n <= len(m.data)-off {
		from := off / os.Getpagesize() * os.Getpagesize() // advice is about whole pages
		ahead(m.data[from : off+n])
	}
}

// Close gives the memory back. It may be called more than once.
func (m *Mapping) Close() error {
	m.once.Do(func() {
		if data := m.data; m.unmap != nil {
			m.data = nil
			m.err = m.unmap(data)
		}
	})
	return m.err
}
