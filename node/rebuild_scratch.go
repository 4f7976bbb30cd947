package node

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"

	"concord"

	"github.com/cockroachdb/pebble/v2"
)

// scratch is what a rebuild looks up: on disk, so that memory does not grow with the archive. It is not durable.
//
//	l <capture ID>   where the capture's record lies
//	c <capture ID>   the capture
//	o <u64>          ID of a capture to be attested, in order
//	b <u64>          a batch on record: the attest transaction, then the IDs of its captures, in order
type scratch struct {
	db   *pebble.DB
	next uint64
}

func openScratch(dir string) (*scratch, error) {
	db, err := pebble.Open(dir, &pebble.Options{DisableWAL: true, MemTableSize: 16 << 20, FormatMajorVersion: pebble.FormatNewest, Logger: silence{}})
	if err != nil {
		return nil, err
	}
	return &scratch{db: db}, nil
}

// silence drops Pebble's notes about its compactions.
type silence struct{}

func (silence) Infof(string, ...any)      {}
func (silence) Errorf(string, ...any)     {}
func (silence) Fatalf(f string, a ...any) { panic("rebuild: " + f) }

func (s *scratch) close() error {
	if s == nil {
		return nil
	}
	return s.db.Close()
}

func (s *scratch) put(kind byte, id string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.db.Set(append([]byte{kind}, id...), data, pebble.NoSync)
}

// get reads a value; ok is false when there is none.
func (s *scratch) get(kind byte, id string, v any) (ok bool, err error) {
	data, closer, err := s.db.Get(append([]byte{kind}, id...))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, errors.Join(json.Unmarshal(data, v), closer.Close())
}

func (s *scratch) location(id string) (loc concord.Location, err error) {
	ok, err := s.get('l', id, &loc)
	if err == nil && !ok {
		err = concord.Errorf(concord.NotFound, "capture %s is not in this archive", concord.Clip(id, 60))
	}
	return loc, err
}

func (s *scratch) capture(id string) (*concord.Capture, error) {
	c := new(concord.Capture)
	if ok, err := s.get('c', id, c); !ok || err != nil {
		return nil, err
	}
	return c, nil
}

// count returns how many values there are of a kind.
func (s *scratch) count(kind byte) (n uint64, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return 0, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n, errors.Join(it.Error(), it.Close())
}

// add appends to one of the lists.
func (s *scratch) add(list byte, lines ...string) error {
	s.next++
	return s.db.Set(binary.BigEndian.AppendUint64([]byte{list}, s.next), []byte(strings.Join(lines, "\x00")), pebble.NoSync)
}

// each calls fn with what was added to a list, in order.
func (s *scratch) each(list byte, fn func(lines []string) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{list}, UpperBound: []byte{list + 1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		err = fn(strings.Split(string(it.Value()), "\x00"))
	}
	return errors.Join(err, it.Error(), it.Close())
}
