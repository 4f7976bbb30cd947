package attest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
	"concord/receipt"
)

// Rebuilder makes an attestor's store again from batches that Config.Keep put on record. The ledger decides what counts:
// a batch whose captures do not give the root that was attested is refused.
type Rebuilder struct {
	store *store
	cfg   RebuildConfig
	salts []salter // of the op key, and of those before it, the newest first
	last  Batch
	open  *keptBatch // on its way when the store was lost
}

// RebuildConfig says where the new store is, and whom it belongs to.
type RebuildConfig struct {
	Dir      string // does not exist yet
	Keys     *note.Keys
	Operator string
	Chain    string // the ledger's ID
	// Lookup returns the ledger index of the entry with an RFC 6962 leaf hash.
	Lookup func(leaf concord.Digest) (index uint64, ok bool)
	// Next returns the seq and prev of the operator's next attestation.
	Next func(operator string) (seq uint64, prev concord.Digest, err error)
	// Capture returns a capture of the archive, nil when there is none.
	Capture func(id string) (*concord.Capture, error)
}

type keptBatch struct {
	b      *Batch
	items  []item
	lines  []string
	leaves []concord.Digest
}

// NewRebuilder opens the new store.
func NewRebuilder(cfg RebuildConfig) (*Rebuilder, error) {
	st, err := openStore(cfg.Dir)
	if err != nil {
		return nil, err
	}
	r := &Rebuilder{store: st, cfg: cfg}
	for _, secret := range cfg.Keys.Secrets(saltLabel) {
		r.salts = append(r.salts, salter{secret})
	}
	return r, nil
}

// Add takes a batch into the store, in the order in which they were kept. What the ledger never took, or took on another
// chain, is passed over. It returns how many captures have receipts by it. Corrupt: the archive's captures are not those
// that were attested.
func (r *Rebuilder) Add(attest []byte, captures []string) (int, error) {
	b := &Batch{Note: string(attest), Count: uint64(len(captures))}
	att, err := b.attestation()
	if err != nil {
		return 0, err
	}
	if att.Chain != r.cfg.Chain || att.From != r.cfg.Operator || att.Count != b.Count || b.Count == 0 {
		return 0, nil
	}
	index, logged := r.cfg.Lookup(concord.Digest(tlog.RecordHash(attest)))
	next, prev, err := r.cfg.Next(r.cfg.Operator)
	if err != nil || !logged && (att.Seq != next || att.Prev != prev) {
		return 0, err
	}
	k := &keptBatch{b: b}
	for _, id := range captures {
		c, err := r.cfg.Capture(id)
		if err != nil {
			return 0, err
		}
		if c == nil {
			return 0, concord.Errorf(concord.Corrupt, "attestation %d: capture %s is not in the archive any more", att.Seq, concord.Clip(id, maxID))
		}
		k.items = append(k.items, item{id: id, entry: concord.EntryOf(c, [concord.SaltSize]byte{})})
	}
	if !slices.ContainsFunc(r.salts, func(s salter) bool { return k.salt(s) == att.Root }) {
		return 0, concord.Errorf(concord.Corrupt, "attestation %d: the archive's captures do not give the root that was attested", att.Seq)
	}
	b.Seq, b.Time = att.Seq, time.Unix(att.Last, 0).UTC()
	if !logged {
		r.open = k // only the last can be: it is submitted when the attestor runs
		return 0, nil
	}
	b.Index = &index
	return len(captures), r.put(k)
}

// salt makes the lines with one secret's salts, and returns their root.
func (k *keptBatch) salt(s salter) concord.Digest {
	k.lines, k.leaves = nil, nil
	for i := range k.items {
		e := &k.items[i].entry
		e.Salt = s.of(k.items[i].id)
		line := e.String()
		k.lines, k.leaves = append(k.lines, line), append(k.leaves, concord.Digest(tlog.RecordHash([]byte(line))))
	}
	return receipt.BatchRoot(k.leaves)
}

func (r *Rebuilder) put(k *keptBatch) error {
	k.b.Number, k.b.Total = r.last.Number+1, r.last.Total+k.b.Count
	if err := r.store.putBatch(k.b, k.items, k.lines, k.leaves); err != nil {
		return err
	}
	r.last = *k.b
	return nil
}

// Close makes the store durable with its position in the captures log, and closes it.
func (r *Rebuilder) Close(position uint64) error {
	if r.open != nil {
		if err := r.put(r.open); err != nil {
			return errors.Join(err, r.store.close())
		}
	}
	return errors.Join(r.store.setPosition(position), r.store.close())
}

// Restart sets the position of a store that nobody has open: its log began anew. Captures that it has already are
// passed over when they come again.
func Restart(dir string, position uint64) error {
	st, err := openStore(dir)
	if err != nil {
		return fmt.Errorf("restart attestor: %w", err)
	}
	return errors.Join(st.setPosition(position), st.close())
}

// Known opens a store to ask which captures it has. Call close when done.
func Known(dir string) (has func(id string) (bool, error), close func() error, err error) {
	st, err := openStore(dir)
	if err != nil {
		return nil, nil, err
	}
	return func(id string) (bool, error) { _, ok, err := st.place(id); return ok, err }, st.close, nil
}
