package chain

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/ledger"
	"concord/note"
	"concord/receipt"
)

// MaxEntries is the most entries one call of Entries returns: a page for people, and below 1 MiB for programs.
const MaxEntries = 1000

// Lookup returns the index of the entry with this RFC 6962 leaf hash.
func (c *Chain) Lookup(leaf concord.Digest) (index uint64, ok bool) {
	index, ok, err := c.store.lookup(leaf)
	return index, ok && err == nil
}

// Checkpoint returns the newest head that more than two thirds of the active members cosigned; while none is, the newest that this
// node signed; the zero value before the first. It is durable.
func (c *Chain) Checkpoint() concord.Checkpoint {
	if cp := c.agreed.Load(); cp != nil {
		return c.presentable(*cp)
	}
	return c.presentable(c.signed())
}

// Covering returns the earliest head with a quorum of cosignatures and one from outside that covers an entry; while there is none, the
// earliest with a quorum: a receipt under it bounds the entry's time closest. While there is none, one with fewer cosignatures, for a receipt of
// a lower level: asked again later, Covering knows a better one. Unavailable when nobody has signed one yet.
func (c *Chain) Covering(index uint64) (concord.Checkpoint, error) {
	if cp, err := c.anchoring(index); err != nil {
		return concord.Checkpoint{}, err
	} else if cp != nil {
		return *cp, nil
	}
	list, err := c.store.covering(index, searched)
	if err != nil {
		return concord.Checkpoint{}, err
	}
	for i := range list {
		if c.hasQuorum(&list[i]) {
			return c.presentable(list[i]), nil
		}
	}
	if a := c.agreed.Load(); a != nil && a.Size > index {
		return c.presentable(*a), nil
	}
	if len(list) == 0 {
		return concord.Checkpoint{}, concord.Errorf(concord.Unavailable, "no checkpoint covers entry %d yet; try again in a few seconds", index)
	}
	return c.presentable(list[0]), nil
}

// Checkpoints returns the signed heads, newest first, at most n, of sizes at most upTo; upTo 0: from the newest.
func (c *Chain) Checkpoints(upTo uint64, n int) ([]concord.Checkpoint, error) {
	list, err := c.store.checkpoints(upTo, min(n, MaxEntries))
	for i := range list {
		list[i] = c.presentable(list[i])
	}
	return list, err
}

// Proof returns the RFC 6962 inclusion path of an entry in the tree of the first size entries, the leaf's sibling first.
func (c *Chain) Proof(index, size uint64) ([]concord.Digest, error) {
	if have := c.machine.Load().Size(); index >= size || size > have {
		return nil, concord.Errorf(concord.NotFound, "proof of entry %d under %d entries: the log has %d", index, size, have)
	}
	p, err := tlog.ProveRecord(int64(size), int64(index), c.store)
	if err != nil {
		return nil, fmt.Errorf("proof of entry %d: %w", index, err)
	}
	return digests(p), nil
}

// Consistency returns the RFC 6962 consistency proof between the trees of the first old and the first size entries.
func (c *Chain) Consistency(old, size uint64) ([]concord.Digest, error) {
	if have := c.machine.Load().Size(); old > size || old == 0 || size > have {
		return nil, concord.Errorf(concord.NotFound, "consistency of %d and %d entries: the log has %d", old, size, have)
	}
	p, err := tlog.ProveTree(int64(size), int64(old), c.store)
	if err != nil {
		return nil, fmt.Errorf("consistency of %d and %d entries: %w", old, size, err)
	}
	return digests(p), nil
}

func digests(p []tlog.Hash) []concord.Digest {
	list := make([]concord.Digest, len(p))
	for i, h := range p {
		list[i] = concord.Digest(h)
	}
	return list
}

// Entry returns one entry of the log.
func (c *Chain) Entry(index uint64) (concord.LedgerEntry, error) {
	list, err := c.Entries(index, 1)
	if err != nil {
		return concord.LedgerEntry{}, err
	}
	if len(list) == 0 {
		return concord.LedgerEntry{}, concord.Errorf(concord.NotFound, "entry %d: the log has %d entries", index, c.machine.Load().Size())
	}
	return list[0], nil
}

// Entries returns up to n entries, at most MaxEntries, from an index on.
func (c *Chain) Entries(from uint64, n int) ([]concord.LedgerEntry, error) {
	raw, err := c.store.entries(from, min(n, MaxEntries))
	if err != nil {
		return nil, fmt.Errorf("read entries from %d: %w", from, err)
	}
	list := make([]concord.LedgerEntry, len(raw))
	for i, r := range raw {
		e := concord.LedgerEntry{Index: from + uint64(i), Type: "block", Height: r.height, Time: r.time, Leaf: ledger.LeafHash(r.data), Text: string(r.data)}
		if !ledger.IsRecord(r.data) {
			t, err := ledger.ParseTx(r.data)
			if err != nil {
				return nil, concord.Errorf(concord.Corrupt, "entry %d: %w", e.Index, err)
			}
			e.Type, e.From = t.Type, t.From
		}
		list[i] = e
	}
	return list, nil
}

// Admission returns what binds an operator's op key to its cosigning key, as receipts carry it (receipt.AdmitNote): for the op key that it
// had when the log had index entries. When either key was changed since, it is the operator's own node that signs it; NotFound elsewhere.
func (c *Chain) Admission(operator string, index uint64) ([]byte, error) {
	b, err := c.admissionNote(operator, index)
	if err != nil {
		return nil, fmt.Errorf("admission of %s: %w", operator, err)
	}
	return b, nil
}

func (c *Chain) admissionNote(operator string, index uint64) ([]byte, error) {
	m := c.machine.Load()
	var found *rawEntry
	err := c.eachGov(min(index, m.Size()), func(_ uint64, e rawEntry, g *ledger.Gov) bool {
		if g.Admit != nil && g.Admit.Operator == operator || g.Rotate != nil && g.Rotate.Which == "op" && g.Rotate.Operator == operator {
			found = &e
		}
		return found != nil
	})
	if err != nil {
		return nil, err
	}
	member := m.State().Member(operator)
	if found == nil || member == nil {
		return nil, concord.Errorf(concord.NotFound, "it was never admitted")
	}
	n, err := note.Parse(found.data)
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "%w", err)
	}
	if b, err := receipt.AdmitNote(found.data); err == nil && slices.ContainsFunc(n.Sigs, member.Cosign.Made) {
		return b, nil
	}
	if operator != c.cfg.Operator || member.Cosign != c.cfg.Keys.Cosign.Key() {
		return nil, concord.Errorf(concord.NotFound, "its keys were changed since, and its own node signs which are its own")
	}
	sig, err := c.cfg.Keys.Cosign.Cosign(n.Text, found.time.Unix()) // the block's time, so that it is always the same
	if err != nil {
		return nil, err
	}
	return note.Join(n.Text, sig), nil
}

// Replay rebuilds the ledger from the entries of the log alone, checks every block record on the way, and compares the
// result with the running state. It reports the entries read.
func (c *Chain) Replay() (entries uint64, err error) {
	m := c.machine.Load()
	p := ledger.NewReplay(c.id)
	for entries < m.Size() {
		raw, err := c.store.entries(entries, int(min(MaxEntries, m.Size()-entries)))
		if err != nil {
			return entries, err
		}
		for _, r := range raw {
			if err := p.Add(r.data); err != nil {
				return entries, err
			}
			entries++
		}
		if len(raw) == 0 {
			return entries, concord.Errorf(concord.Corrupt, "replay: entry %d is missing", entries)
		}
	}
	got, err := p.End()
	if err != nil {
		return entries, err
	}
	if got.Root() != m.Root() || got.Size() != m.Size() {
		return entries, concord.Errorf(concord.Corrupt, "replay: root %s of %d entries, the chain has %s of %d", got.Root(), got.Size(), m.Root(), m.Size())
	}
	return entries, nil
}
