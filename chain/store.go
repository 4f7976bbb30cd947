package chain

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/ledger"
	"concord/note"
)

// The store's keys. Numbers are big-endian.
//
//	e <u64 index>   entry: u64 height, u64 unix seconds of the block, the entry's bytes
//	h <u64 index>   32 bytes: a stored hash of the tree, in the layout of golang.org/x/mod/sumdb/tlog
//	l <leaf hash>   u64 index of the entry with this leaf hash
//	c <u64 size>    checkpoint: u64 height, u64 unix seconds of the block, the signed note
//	n <name>        u64 size of the newest checkpoint that this operator, or witness from outside, cosigned
//	a <u64 size>    empty: a witness from outside cosigned the checkpoint of this size
//	g <text hash>   a gov note that waits for signatures
//	p <text hash>   an action that this operator wants decided (proposal, as JSON)
//	o <u64 index>   u64 index of the record of the block that closed this ask
//	O <u64 index>   the text of the state after that block, by the record's index
//	t …             the index of terms; see terms.go
//	s               the state machine after the last block (ledger.Machine.Marshal)
const (
	keyEntry      = 'e'
	keyHash       = 'h'
	keyLeaf       = 'l'
	keyCheckpoint = 'c'
	keyCosigned   = 'n'
	keyAnchored   = 'a'
	keyBallot     = 'g'
	keyProposal   = 'p'
	keyClosed     = 'o'
	keyOutcome    = 'O'
	keyState      = 's'
)

// storeMemTable is small because the log is: a busy chain writes some 100 kB/s.
const storeMemTable = 4 << 20

// store keeps the log. It is safe for concurrent use; append has one caller at a time.
type store struct{ db *pebble.DB }

// block is what one append writes.
type block struct {
	next    *ledger.Machine
	entries [][]byte
	time    int64    // unix seconds
	closed  []uint64 // asks that it closed
	state   string   // the state's text after it, if it closed any
}

func openStore(dir string) (*store, error) { return openStoreAs(dir, false) }

func openStoreAs(dir string, readOnly bool) (*store, error) {
	o := &pebble.Options{MemTableSize: storeMemTable, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest, ReadOnly: readOnly}
	db, err := pebble.Open(dir, o)
	if err != nil {
		kind := concord.Corrupt
		if errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process") || errors.Is(err, os.ErrPermission) {
			kind = concord.Unavailable
		}
		return nil, concord.Errorf(kind, "open the log's store: %w", err)
	}
	return &store{db}, nil
}

// quiet drops Pebble's notes about its compactions. Errors reach callers.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// Fatalf is called when the store's own durability has failed; Pebble requires that it does not return.
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf("log store: "+format, args...)) }

func (s *store) close() error { return s.db.Close() }

func key(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, n)
}

// get returns a copy of a value, nil when it is not there.
func (s *store) get(k []byte) ([]byte, error) {
	v, closer, err := s.db.Get(k)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "read the log's store: %w", err)
	}
	return slices.Clone(v), closer.Close()
}

// append writes the entries of a block, their hashes and the state in one synced batch. It is durable when it returns.
func (s *store) append(b block, height int64) error {
	w := s.db.NewBatch()
	defer w.Close()
	first := b.next.Size() - uint64(len(b.entries))
	r := &overlay{store: s, fresh: map[int64]tlog.Hash{}}
	for i, e := range b.entries {
		index := first + uint64(i)
		leaf := tlog.RecordHash(e)
		if err := r.add(w, index, leaf); err != nil {
			return fmt.Errorf("hash entry %d: %w", index, err)
		}
		if err := setEntry(w, index, rawEntry{height, time.Unix(b.time, 0), e}, leaf); err != nil {
			return fmt.Errorf("write entry %d: %w", index, err)
		}
	}
	if err := keepOutcomes(w, &b); err != nil {
		return err
	}
	if err := errors.Join(w.Set([]byte{keyState}, b.next.Marshal(), nil), setTermsEnd(w, b.next.Size())); err != nil {
		return err
	}
	if err := w.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("write block %d: %w", height, err)
	}
	return nil
}

// setEntry adds an entry and the indexes that lead to it to a batch.
func setEntry(w *pebble.Batch, index uint64, e rawEntry, leaf tlog.Hash) error {
	at := binary.BigEndian.AppendUint64(nil, index)
	return errors.Join(w.Set(key(keyEntry, index), e.stamped(), nil), w.Set(append([]byte{keyLeaf}, leaf[:]...), at, nil), setTerms(w, index, e.data))
}

// overlay reads hashes of which some are not written yet.
type overlay struct {
	*store
	fresh map[int64]tlog.Hash
}

func (o *overlay) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	return readHashes(indexes, func(i int64) (tlog.Hash, error) {
		if h, ok := o.fresh[i]; ok {
			return h, nil
		}
		return o.hash(i)
	})
}

// add puts the hashes that an entry completes into a batch.
func (o *overlay) add(w *pebble.Batch, index uint64, leaf tlog.Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(int64(index), leaf, o)
	if err != nil {
		return err
	}
	first := tlog.StoredHashCount(int64(index))
	for i, h := range hashes {
		o.fresh[first+int64(i)] = h
		if err := w.Set(key(keyHash, uint64(first)+uint64(i)), h[:], nil); err != nil {
			return err
		}
	}
	return nil
}

// ReadHashes implements tlog.HashReader. One iterator finds them all: a tile's 256 lie together, or in order.
func (s *store) ReadHashes(indexes []int64) (list []tlog.Hash, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyHash}, UpperBound: []byte{keyHash + 1}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	return readHashes(indexes, func(i int64) (h tlog.Hash, err error) {
		k := key(keyHash, uint64(i))
		if !it.SeekGE(k) || !bytes.Equal(it.Key(), k) || len(it.Value()) != len(h) {
			return h, errors.Join(it.Error(), noHash(i))
		}
		copy(h[:], it.Value())
		return h, nil
	})
}

func noHash(i int64) error {
	return concord.Errorf(concord.Corrupt, "the log's store has no hash %d", i)
}

func readHashes(indexes []int64, read func(int64) (tlog.Hash, error)) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		var err error
		if list[i], err = read(x); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (s *store) hash(i int64) (h tlog.Hash, err error) {
	v, err := s.get(key(keyHash, uint64(i)))
	if err == nil && len(v) != len(h) {
		err = noHash(i)
	}
	copy(h[:], v)
	return h, err
}

func (s *store) root(size uint64) (concord.Digest, error) {
	if size == 0 {
		return concord.Sum(nil), nil
	}
	h, err := tlog.TreeHash(int64(size), s)
	return concord.Digest(h), err
}

// machine returns the stored state, nil for a new store.
func (s *store) machine() (*ledger.Machine, error) {
	v, err := s.get([]byte{keyState})
	if err != nil || v == nil {
		return nil, err
	}
	return ledger.Unmarshal(v)
}

type rawEntry struct {
	height int64
	time   time.Time
	data   []byte
}

// stamped returns the bytes that are stored: height, seconds, data.
func (e rawEntry) stamped() []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 16+len(e.data)), uint64(e.height))
	return append(binary.BigEndian.AppendUint64(v, uint64(e.time.Unix())), e.data...)
}

func splitStamped(v []byte) (rawEntry, error) {
	if len(v) < 16 {
		return rawEntry{}, concord.Errorf(concord.Corrupt, "the log's store has a value of %d bytes", len(v))
	}
	return rawEntry{int64(binary.BigEndian.Uint64(v)), time.Unix(int64(binary.BigEndian.Uint64(v[8:])), 0).UTC(), v[16:]}, nil
}

func (s *store) entries(from uint64, n int) (list []rawEntry, err error) {
	err = s.scan(keyEntry, from, ^uint64(0), false, func(k uint64, v []byte) (bool, error) {
		if len(list) >= n {
			return false, nil
		}
		if k != from+uint64(len(list)) {
			return false, concord.Errorf(concord.Corrupt, "the log's store has no entry %d", from+uint64(len(list)))
		}
		e, err := splitStamped(v)
		list = append(list, e)
		return true, err
	})
	return list, err
}

// scan calls f with the numbers and copies of the values of a kind, from lo up to but not including hi, until it says no.
func (s *store) scan(kind byte, lo, hi uint64, backwards bool, f func(uint64, []byte) (bool, error)) (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: key(kind, lo), UpperBound: key(kind, hi)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	step, ok := it.Next, false
	if backwards {
		step, ok = it.Prev, it.Last()
	} else {
		ok = it.First()
	}
	for ; ok; ok = step() {
		more, err := f(binary.BigEndian.Uint64(it.Key()[1:]), slices.Clone(it.Value()))
		if err != nil || !more {
			return err
		}
	}
	return it.Error()
}

func (s *store) number(k []byte) (uint64, bool, error) {
	v, err := s.get(k)
	if err != nil || len(v) != 8 {
		return 0, false, err
	}
	return binary.BigEndian.Uint64(v), true, nil
}

func (s *store) lookup(leaf concord.Digest) (uint64, bool, error) {
	return s.number(append([]byte{keyLeaf}, leaf[:]...))
}

// lastTime returns the block time of the newest entry.
func (s *store) lastTime() (t time.Time, err error) {
	err = s.scan(keyEntry, 0, ^uint64(0), true, func(_ uint64, v []byte) (bool, error) {
		e, err := splitStamped(v)
		t = e.time
		return false, err
	})
	return t, err
}

// putCheckpoint keeps a signed checkpoint, and remembers who cosigned it, and whether somebody from outside did. It is durable with the next block only:
// this node's signature is made again from the log at the next start, and the others hold theirs.
func (s *store) putCheckpoint(cp concord.Checkpoint, sigs []note.Sig, anchored bool) error {
	w := s.db.NewBatch()
	defer w.Close()
	err := w.Set(key(keyCheckpoint, cp.Size), rawEntry{cp.Height, cp.Time, []byte(cp.Note)}.stamped(), nil)
	if anchored {
		err = errors.Join(err, w.Set(key(keyAnchored, cp.Size), nil, nil))
	}
	for _, sig := range sigs {
		if _, ok := sig.Time(); !ok {
			continue
		}
		k := append([]byte{keyCosigned}, sig.Name...)
		if size, _, err2 := s.number(k); err2 != nil || size <= cp.Size {
			err = errors.Join(err, err2, w.Set(k, binary.BigEndian.AppendUint64(nil, cp.Size), nil))
		}
	}
	if err != nil {
		return err
	}
	return w.Commit(pebble.NoSync)
}

// checkpointAt returns the checkpoint of a size; nil: there is none.
func (s *store) checkpointAt(size uint64) (*concord.Checkpoint, error) {
	v, err := s.get(key(keyCheckpoint, size))
	if err != nil || v == nil {
		return nil, err
	}
	cp, err := readCheckpoint(v)
	return &cp, err
}

// anchored returns up to n sizes above index of heads that somebody from outside cosigned: the smallest first, or, backwards, the largest.
func (s *store) anchored(index uint64, n int, backwards bool) (sizes []uint64, err error) {
	err = s.scan(keyAnchored, index+1, ^uint64(0), backwards, func(size uint64, _ []byte) (bool, error) {
		sizes = append(sizes, size)
		return len(sizes) < n, nil
	})
	return sizes, err
}

// cosignedBy returns the newest checkpoint that an operator, or a witness from outside, cosigned; nil: there is none.
func (s *store) cosignedBy(operator string) (*concord.Checkpoint, error) {
	size, ok, err := s.number(append([]byte{keyCosigned}, operator...))
	if err != nil || !ok {
		return nil, err
	}
	return s.checkpointAt(size)
}

// putBallot keeps a gov note under the hash of its text, and dropBallot forgets it.
func (s *store) putBallot(id concord.Digest, note []byte) error {
	return s.db.Set(append([]byte{keyBallot}, id[:]...), note, pebble.Sync)
}

func (s *store) dropBallot(id concord.Digest) error {
	return s.db.Delete(append([]byte{keyBallot}, id[:]...), pebble.NoSync)
}

// loadBallots returns the gov notes that wait.
func (s *store) loadBallots() (list [][]byte, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyBallot}, UpperBound: []byte{keyBallot + 1}})
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		list = append(list, slices.Clone(it.Value()))
	}
	return list, errors.Join(it.Error(), it.Close())
}

func (s *store) lastCheckpoint() (*concord.Checkpoint, error) {
	list, err := s.checkpoints(0, 1)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// checkpoints returns up to n signed heads, newest first, of sizes up to upTo; 0: all.
func (s *store) checkpoints(upTo uint64, n int) (list []concord.Checkpoint, err error) {
	hi := upTo + 1
	if upTo == 0 {
		hi = ^uint64(0)
	}
	err = s.scan(keyCheckpoint, 0, hi, true, func(_ uint64, v []byte) (bool, error) {
		if len(list) >= n {
			return false, nil
		}
		cp, err := readCheckpoint(v)
		list = append(list, cp)
		return true, err
	})
	return list, err
}

// covering returns up to n signed heads of more than index entries, the smallest first.
func (s *store) covering(index uint64, n int) (list []concord.Checkpoint, err error) {
	err = s.scan(keyCheckpoint, index+1, ^uint64(0), false, func(_ uint64, v []byte) (bool, error) {
		cp, err := readCheckpoint(v)
		list = append(list, cp)
		return len(list) < n, err
	})
	return list, err
}

func readCheckpoint(v []byte) (concord.Checkpoint, error) {
	r, err := splitStamped(v)
	if err != nil {
		return concord.Checkpoint{}, err
	}
	n, err := note.Parse(r.data)
	if err != nil {
		return concord.Checkpoint{}, concord.Errorf(concord.Corrupt, "stored checkpoint: %w", err)
	}
	c, err := note.ParseCheckpoint(n.Text)
	if err != nil {
		return concord.Checkpoint{}, concord.Errorf(concord.Corrupt, "stored checkpoint: %w", err)
	}
	return concord.Checkpoint{Origin: c.Origin, Size: c.Size, Root: c.Root, Height: r.height, Time: r.time, Note: string(r.data)}, nil
}
