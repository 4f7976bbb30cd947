package receipt

import (
	"bytes"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
)

// Batch is all entries under one attested root, which is all that receipts of them need beside the ledger. Its text is each entry's line in the
// batch's order, each followed by a line feed: one text for a root, since the root covers every byte of it.
type Batch struct {
	Attest  []byte // the attest transaction, as it is in the log
	About   concord.Attestation
	Entries []concord.Entry
	leaves  []concord.Digest
}

const (
	// MaxBatchBytes bounds the text of a batch: 32,768 entries of 512 bytes.
	MaxBatchBytes = 16 << 20
	// MaxBatchEntries is what an attestor puts into a batch at most.
	MaxBatchEntries = 1 << 15
)

// ParseBatch reads the text of the batch that an attest transaction is about. Errors: Invalid, when it is not that: another number of entries,
// entries that are malformed or outside of the attested span, or another root.
func ParseBatch(attest, text []byte) (*Batch, error) {
	n, err := note.Parse(attest)
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "attestation: %w", err)
	}
	b := &Batch{Attest: attest}
	if b.About, err = concord.ParseAttestation(n.Text); err != nil {
		return nil, err
	}
	lines := bytes.Count(text, []byte{'\n'})
	if len(text) > MaxBatchBytes || lines > MaxBatchEntries || uint64(lines) != b.About.Count || text[len(text)-1] != '\n' {
		return nil, concord.Errorf(concord.Invalid, "batch of %s, seq %d: %d lines in %d bytes are not the %d entries that it has", b.About.From, b.About.Seq, lines, len(text), b.About.Count)
	}
	for line := range bytes.Lines(text) {
		line = line[:len(line)-1]
		if len(line) > MaxBytes { // no receipt could hold it; and taking apart what is not an entry can cost many times its length
			return nil, concord.Errorf(concord.Invalid, "batch of %s, seq %d, entry %d: a line of %d bytes", b.About.From, b.About.Seq, len(b.Entries), len(line))
		}
		b.leaves = append(b.leaves, concord.Digest(tlog.RecordHash(line)))
		e, err := concord.ParseEntry(string(line))
		if err == nil && (e.Time < b.About.First || e.Time > b.About.Last) {
			err = concord.Errorf(concord.Invalid, "its time %d lies outside the attested span", e.Time)
		}
		if err != nil {
			return nil, concord.Errorf(concord.Invalid, "batch of %s, seq %d, entry %d: %w", b.About.From, b.About.Seq, len(b.Entries), err)
		}
		b.Entries = append(b.Entries, e)
	}
	if root := BatchRoot(b.leaves); root != b.About.Root {
		return nil, concord.Errorf(concord.Invalid, "batch of %s, seq %d: the entries give the root %s, attested is %s", b.About.From, b.About.Seq, root, b.About.Root)
	}
	return b, nil
}

// Parts returns what the batch brings to the receipt of its entry i; the ledger has the rest.
func (b *Batch) Parts(i int) Parts {
	return Parts{Entry: b.Entries[i], BatchIndex: uint64(i), BatchCount: b.About.Count, BatchPath: BatchPath(b.leaves, i), Attest: slices.Clone(b.Attest)}
}

// parents returns the next level of an RFC 6962 tree: pairs hashed, an odd last node carried up as it is. That is the
// same tree as splitting at the largest power of two (RFC 6962 section 2.1).
func parents(level []concord.Digest) []concord.Digest {
	up := make([]concord.Digest, 0, (len(level)+1)/2)
	for i := 0; i+1 < len(level); i += 2 {
		up = append(up, concord.Digest(tlog.NodeHash(tlog.Hash(level[i]), tlog.Hash(level[i+1]))))
	}
	if len(level)%2 == 1 {
		up = append(up, level[len(level)-1])
	}
	return up
}

// BatchRoot returns the RFC 6962 root over leaf hashes, of which there is at least one.
func BatchRoot(leaves []concord.Digest) concord.Digest {
	for len(leaves) > 1 {
		leaves = parents(leaves)
	}
	return leaves[0]
}

// BatchPath returns the inclusion path of leaf i, its sibling first.
func BatchPath(leaves []concord.Digest, i int) (list []concord.Digest) {
	for ; len(leaves) > 1; leaves, i = parents(leaves), i/2 {
		if s := i ^ 1; s < len(leaves) {
			list = append(list, leaves[s])
		}
	}
	return list
}
