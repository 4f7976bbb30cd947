package warc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"concord"
)

// Entry is one thing that Walk finds: a capture, or a note that belongs to none. One of the two is set.
type Entry struct {
	Item     *Item
	Note     *Record
	Location concord.Location // of the capture's first record, or of the note
}

// Walk reads the archive from its first record to its last, in the order in which they were appended, and hands every
// capture and every note to fn. read, which may be nil, is told how many stored bytes have been read. Places that cannot
// be read are passed over: damaged is told of each. Walk reads what was durable when it began; it may run beside Append.
//
// An error of fn ends it and is returned as it is.
func (a *Archive) Walk(ctx context.Context, fn func(Entry) error, read func(bytes int64), damaged func(problem string)) error {
	if read == nil {
		read = func(int64) {}
	}
	before := int64(0)
	for _, info := range a.Files() {
		if err := a.walkFile(ctx, info, fn, func(n int64) { read(before + n) }, damaged); err != nil {
			return err
		}
		before += info.Bytes
		read(before)
	}
	return nil
}

func (a *Archive) walkFile(ctx context.Context, info FileInfo, fn func(Entry) error, read func(int64), damaged func(string)) error {
	f, _, closeFile, err := a.disk.open(info.Name)
	if err != nil {
		return fmt.Errorf("read %s: %w", info.Name, err)
	}
	defer closeFile()
	at := func(r *Record) concord.Location {
		return concord.Location{File: info.Name, Offset: r.Offset, Length: r.Length}
	}
	s := scanner{sum: Summary{Name: info.Name, ByType: map[string]int{}}}
	s.fn = func(it Item) error {
		if !it.Record.Whole {
			damaged(fmt.Sprintf("%s: at offset %d: a record shares its gzip member with others", info.Name, it.Record.Offset))
			return nil
		}
		read(it.Record.Offset)
		return fn(Entry{Item: &it, Location: at(&it.Record)})
	}
	s.note = func(r *Record) error { return fn(Entry{Note: r, Location: at(r)}) }
	src := NewReader(io.NewSectionReader(f, 0, info.Bytes), Limits{MaxBlock: a.cfg.MaxBlock})
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		rec, err := src.Next()
		if err == io.EOF {
			err = s.flush()
			s.tell(damaged)
			return err
		}
		if d, ok := errors.AsType[*Damage](err); ok {
			damaged(fmt.Sprintf("%s: at offset %d: %s", info.Name, d.Offset, d.text()))
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", info.Name, err)
		}
		if rec.Type() != TypeWarcinfo && compare(rec.Header.Get("WARC-Block-Digest"), rec.Block) == Mismatch && !isItem(rec) {
			damaged(fmt.Sprintf("%s: at offset %d: block does not match its digest", info.Name, rec.Offset))
			continue
		}
		if err := s.record(rec); err != nil {
			return err
		}
		s.tell(damaged)
	}
}

// isItem reports whether newItem checks the record itself.
func isItem(r *Record) bool {
	switch r.Type() {
	case TypeResponse, TypeRevisit, TypeResource, TypeConversion:
		return true
	}
	return false
}

// tell hands on the problems that were met since the last call.
func (s *scanner) tell(damaged func(string)) {
	for _, p := range s.sum.Problems {
		damaged(p)
	}
	s.sum.Problems = s.sum.Problems[:0]
}
