package chain

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"concord"
	"concord/ledger"
)

// The index of terms says which entries name an operator, a digest, a URL, an ask or a type. It is written with the
// entries, in the same batch, and made again from them when it is not there or ends before they do.
//
//	t                                   byte termsVersion, u64 entries that are in the index
//	t <16 bytes of the term> <u64 index>   nothing: the entry names the term
//
// The 16 bytes are the first of SHA-256(kind LF value): long enough that nobody makes two terms alike, and entries are
// held against the term once more when they are read.
const (
	keyTerm      = 't'
	termsVersion = 2 // changes with what ledger.Terms returns
	termSize     = 16
	// termsBatch is how many entries are indexed in one write when the index is made again.
	termsBatch = 2000

	// MaxFound is the most entries one call of Find returns.
	MaxFound = 256
)

// termKey returns the key under which the entries of a term lie, before their indexes.
func termKey(t concord.LedgerTerm) []byte {
	sum := concord.Sum([]byte(t.Kind + "\n" + t.Value))
	return append([]byte{keyTerm}, sum[:termSize]...)
}

// setTerms adds the terms of an entry to a batch.
func setTerms(w *pebble.Batch, index uint64, entry []byte) error {
	for _, t := range ledger.Terms(entry) {
		if err := w.Set(binary.BigEndian.AppendUint64(termKey(t), index), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// setTermsEnd notes that the terms of the first size entries are in the index.
func setTermsEnd(w *pebble.Batch, size uint64) error {
	return w.Set([]byte{keyTerm}, binary.BigEndian.AppendUint64([]byte{termsVersion}, size), nil)
}

// indexTerms brings the index up to the first size entries, if it is behind: written by a version without it, or with another one.
// A crash in between costs only the time.
func (s *store) indexTerms(size uint64) (indexed uint64, err error) {
	v, err := s.get([]byte{keyTerm})
	if err != nil {
		return 0, err
	}
	from := uint64(0)
	if len(v) == 9 && v[0] == termsVersion {
		from = binary.BigEndian.Uint64(v[1:])
	} else if err := s.db.DeleteRange([]byte{keyTerm}, []byte{keyTerm + 1}, pebble.NoSync); err != nil {
		return 0, err
	}
	for from < size {
		list, err := s.entries(from, int(min(termsBatch, size-from)))
		if err == nil && len(list) == 0 {
			err = concord.Errorf(concord.Corrupt, "the log's store has no entry %d", from)
		}
		if err != nil {
			return indexed, fmt.Errorf("index the log: %w", err)
		}
		w := s.db.NewBatch()
		for i, e := range list {
			err = errors.Join(err, setTerms(w, from+uint64(i), e.data))
		}
		from, indexed = from+uint64(len(list)), indexed+uint64(len(list))
		if err = errors.Join(err, setTermsEnd(w, from)); err == nil {
			err = w.Commit(pebble.NoSync)
		}
		if err = errors.Join(err, w.Close()); err != nil {
			return indexed, fmt.Errorf("index the log: %w", err)
		}
	}
	return indexed, nil
}

// naming returns the indexes, below one, of up to n entries that name a term, the newest or the oldest first.
func (s *store) naming(t concord.LedgerTerm, below uint64, n int, newest bool) (list []uint64, err error) {
	prefix := termKey(t)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: binary.BigEndian.AppendUint64(slices.Clone(prefix), 0),
		UpperBound: binary.BigEndian.AppendUint64(slices.Clone(prefix), below)})
	if err != nil {
		return nil, err
	}
	first, next := it.First, it.Next
	if newest {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok && len(list) < n; ok = next() {
		list = append(list, binary.BigEndian.Uint64(it.Key()[len(prefix):]))
	}
	return list, errors.Join(it.Error(), it.Close())
}

// Find returns up to n entries, at most MaxFound, that name a term, or have the digest it names as their leaf hash, and have an index below one, the newest first. None is no
// error. It reads no others: what it costs does not grow with the log.
func (c *Chain) Find(t concord.LedgerTerm, below uint64, n int) ([]concord.LedgerEntry, error) {
	n = min(n, MaxFound)
	places, err := c.store.naming(t, below, n, true)
	if err != nil {
		return nil, fmt.Errorf("find entries: %w", err)
	}
	leaf, err := concord.ParseDigest(t.Value)
	if index, ok := c.Lookup(leaf); err == nil && ok && t.Kind == concord.TermDigest && index < below {
		places = append(places, index) // of whose text it is the leaf hash: no other entry can have it
		slices.SortFunc(places, func(x, y uint64) int { return cmp.Compare(y, x) })
		places = slices.Compact(places)
		places = places[:min(n, len(places))]
	}
	list := make([]concord.LedgerEntry, 0, len(places))
	for _, index := range places {
		e, err := c.Entry(index)
		if err != nil {
			return nil, fmt.Errorf("find entries: %w", err)
		}
		if slices.Contains(ledger.Terms([]byte(e.Text)), t) || t.Kind == concord.TermDigest && e.Leaf == leaf {
			list = append(list, e)
		}
	}
	return list, nil
}
