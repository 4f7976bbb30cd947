package attest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"concord"
	"concord/note"
	"concord/state"
)

// The store's keys. Numbers are big-endian.
//
//	p                       u64 position in the captures log
//	f                       u64 fence of the last owner
//	b <u64 batch>           Batch as JSON
//	h <u64 batch>           the batch's leaf hashes, 32 bytes each
//	y <u64 batch> <u32 i>   capture line i of the batch, with its salt
//	i <capture ID>          u64 batch, u32 i: the place of a capture
const (
	keyPosition = 'p'
	keyFence    = 'f'
	keyBatch    = 'b'
	keyLeaves   = 'h'
	keyLine     = 'y'
	keyPlace    = 'i'
)

const (
	// maxID bounds capture IDs; ours are UUIDs of 36 characters.
	maxID = 128
	// memTable takes a whole batch with ordinary URLs.
	memTable = 8 << 20
)

// Batch is a signed batch of captures.
type Batch struct {
	Number   uint64    `json:"number"` // counts from 1, without gaps
	Seq      uint64    `json:"seq"`    // of the attestation
	Count    uint64    `json:"count"`
	Total    uint64    `json:"total"`           // captures in this batch and all before
	Position uint64    `json:"position"`        // message of the captures log up to which it reaches
	Time     time.Time `json:"time"`            // when it was closed
	Index    *uint64   `json:"index,omitempty"` // ledger index; nil: on its way
	Note     string    `json:"note"`            // the attest transaction
}

// attestation returns the text that was signed.
func (b *Batch) attestation() (concord.Attestation, error) {
	text, _, _ := strings.Cut(b.Note, "\n\n")
	a, err := concord.ParseAttestation(text + "\n")
	if err != nil {
		return a, concord.Errorf(concord.Corrupt, "batch %d: %w: %w", b.Number, err, errStore)
	}
	return a, nil
}

// Captures returns how many captures the attestation is about, 0 when it cannot be read.
func (b *Batch) Captures() uint64 {
	a, _ := b.attestation()
	return a.Count
}

// signedBy reports whether the note has a line of a key.
func (b *Batch) signedBy(k note.Key) bool {
	n, err := note.Parse([]byte(b.Note))
	return err == nil && slices.ContainsFunc(n.Sigs, k.Made)
}

// chain returns the chain that the attestation names, empty when it cannot be read.
func (b *Batch) chain() string {
	a, _ := b.attestation()
	return a.Chain
}

// place says where a capture lies.
type place struct {
	batch uint64
	i     uint32
}

type store struct{ db *pebble.DB }

func openStore(dir string) (*store, error) {
	if err := state.Recover(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := pebble.Open(dir, &pebble.Options{MemTableSize: memTable, MaxManifestFileSize: state.PebbleManifestBytes, Logger: quiet{},
		FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		return nil, fmt.Errorf("open the attestor's store: %w", err)
	}
	return &store{db}, nil
}

// quiet drops Pebble's notes about its compactions. Errors reach callers.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// Fatalf is called when the store's own durability has failed; Pebble requires that it does not return.
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf("attest store: "+format, args...)) }

func (s *store) close() error { return s.db.Close() }

func key(kind byte, n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{kind}, n) }

func lineKey(batch uint64, i uint32) []byte {
	return binary.BigEndian.AppendUint32(key(keyLine, batch), i)
}

func placeKey(id string) []byte { return append([]byte{keyPlace}, id...) }

// get returns a copy of a value, nil when it is not there.
func (s *store) get(k []byte) ([]byte, error) {
	v, closer, err := s.db.Get(k)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "read the attestor's store: %w", err)
	}
	return slices.Clone(v), closer.Close()
}

func (s *store) position() (uint64, error) { return s.number(keyPosition) }
func (s *store) fence() (uint64, error)    { return s.number(keyFence) }

// number reads a key that holds one number; 0 when it is not there.
func (s *store) number(kind byte) (uint64, error) {
	v, err := s.get([]byte{kind})
	if err != nil || v == nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, concord.Errorf(concord.Corrupt, "%c of %d bytes: %w", kind, len(v), errStore)
	}
	return binary.BigEndian.Uint64(v), nil
}

// takeOver makes the fence of a new owner durable, unless a later one was here.
func (s *store) takeOver(fence uint64) error {
	last, err := s.fence()
	switch {
	case err != nil || fence == last:
		return err
	case fence < last:
		return concord.Errorf(concord.Conflict, "the attestor was owned under fence %d, %d is too old", last, fence)
	}
	return s.db.Set([]byte{keyFence}, binary.BigEndian.AppendUint64(nil, fence), pebble.Sync)
}

// setPosition makes a position durable, whatever it was before: the log is given back up to there.
func (s *store) setPosition(pos uint64) error {
	return s.db.Set([]byte{keyPosition}, binary.BigEndian.AppendUint64(nil, pos), pebble.Sync)
}

// putBatch makes a new batch durable, with its lines, places and the position it reaches, all or nothing.
func (s *store) putBatch(b *Batch, items []item, lines []string, leaves []concord.Digest) error {
	w := s.db.NewBatch()
	defer w.Close()
	hashes := make([]byte, 0, 32*len(leaves))
	for i, line := range lines {
		hashes = append(hashes, leaves[i][:]...)
		at := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, b.Number), uint32(i))
		if err := errors.Join(w.Set(lineKey(b.Number, uint32(i)), []byte(line), nil), w.Set(placeKey(items[i].id), at, nil)); err != nil {
			return err
		}
	}
	meta, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if err := errors.Join(w.Set(key(keyLeaves, b.Number), hashes, nil), w.Set(key(keyBatch, b.Number), meta, nil),
		w.Set([]byte{keyPosition}, binary.BigEndian.AppendUint64(nil, b.Position), nil)); err != nil {
		return err
	}
	if err := w.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("write batch %d: %w", b.Number, err)
	}
	return nil
}

// putMeta makes what changed of a batch durable: where it lies in the ledger, or its note.
func (s *store) putMeta(b *Batch) error {
	meta, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return s.db.Set(key(keyBatch, b.Number), meta, pebble.Sync)
}

func (s *store) batch(number uint64) (*Batch, error) {
	v, err := s.get(key(keyBatch, number))
	if err != nil || v == nil {
		return nil, err
	}
	return decodeBatch(v)
}

func decodeBatch(v []byte) (*Batch, error) {
	b := new(Batch)
	if err := json.Unmarshal(v, b); err != nil {
		return nil, concord.Errorf(concord.Corrupt, "batch: %w: %w", err, errStore)
	}
	return b, nil
}

// lastBatch returns the newest batch, nil when there is none.
func (s *store) lastBatch() (b *Batch, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyBatch}, UpperBound: []byte{keyBatch + 1}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if !it.Last() {
		return nil, it.Error()
	}
	return decodeBatch(it.Value())
}

// place returns where a capture lies.
func (s *store) place(id string) (p place, ok bool, err error) {
	v, err := s.get(placeKey(id))
	if err != nil || v == nil {
		return p, false, err
	}
	if len(v) != 12 {
		return p, false, concord.Errorf(concord.Corrupt, "place of %d bytes: %w", len(v), errStore)
	}
	return place{binary.BigEndian.Uint64(v), binary.BigEndian.Uint32(v[8:])}, true, nil
}

// itemsOf returns the IDs of a batch's captures in their order. It reads all places: it is for the rare case that nobody else knows.
func (s *store) itemsOf(b *Batch) (items []item, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyPlace}, UpperBound: []byte{keyPlace + 1}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	items = make([]item, b.Count)
	found := uint64(0)
	for ok := it.First(); ok; ok = it.Next() {
		v := it.Value()
		if len(v) != 12 || binary.BigEndian.Uint64(v) != b.Number {
			continue
		}
		if i := uint64(binary.BigEndian.Uint32(v[8:])); i < b.Count && items[i].id == "" {
			items[i].id = string(it.Key()[1:])
			found++
		}
	}
	if err := it.Error(); err != nil {
		return nil, err
	}
	if found != b.Count {
		return nil, concord.Errorf(concord.Corrupt, "batch %d: %d of %d places: %w", b.Number, found, b.Count, errStore)
	}
	return items, nil
}

func (s *store) line(p place) (concord.Entry, error) {
	v, err := s.get(lineKey(p.batch, p.i))
	if err != nil {
		return concord.Entry{}, err
	}
	e, err := concord.ParseEntry(string(v))
	if err != nil {
		return e, concord.Errorf(concord.Corrupt, "line %d of batch %d: %w: %w", p.i, p.batch, err, errStore)
	}
	return e, nil
}

func (s *store) leaves(number uint64) ([]concord.Digest, error) {
	v, err := s.get(key(keyLeaves, number))
	if err != nil {
		return nil, err
	}
	if len(v) == 0 || len(v)%32 != 0 {
		return nil, concord.Errorf(concord.Corrupt, "leaves of batch %d: %w", number, errStore)
	}
	list := make([]concord.Digest, len(v)/32)
	for i := range list {
		copy(list[i][:], v[32*i:])
	}
	return list, nil
}
