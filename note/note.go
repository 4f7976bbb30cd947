// Package note answers "who signed this text?". It is C2SP signed notes (c2sp.org/signed-note) with one byte form per
// note: verifier keys, Ed25519 signatures, timestamped cosignatures (c2sp.org/tlog-cosignature), checkpoints
// (c2sp.org/tlog-checkpoint) and the file an operator keeps its keys in.
//
// It is for text that must be the same bytes for everybody: ledger transactions, checkpoints, receipts. It does not say
// what a text means or whose key to believe; that is for ledger and receipt.
//
// Invariants:
//   - What Parse or Open accepts re-encodes to the same bytes: base64 is canonical, no signature line appears twice, and
//     Open leaves no line that none of the given keys made.
//   - A key signs one kind of statement: an Ed25519 key texts, a Cosignature key texts under a time. Key names and types
//     are part of the key ID, so a line cannot be read as another key's.
//   - Nothing here reads the clock: times of cosignatures are arguments.
package note

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"

	xnote "golang.org/x/mod/sumdb/note"

	"concord"
)

const (
	// MaxBytes is the most a note may have: an entry of a tile log has a 16-bit length (c2sp.org/tlog-tiles).
	MaxBytes = 65_535
	// MaxSigs is the most signature lines a note may have. The standard asks for at least 16; a note that changes the
	// membership of the largest federation thought of (about 50 operators) stays below.
	MaxSigs = 64
)

// Note is a text with its signature lines, in the order they have in its bytes.
type Note struct {
	Text string // ends in a line feed
	Sigs []Sig
}

// Sig is one signature line. Data is what follows the key ID: 64 bytes of Ed25519, or a time and 64 bytes.
type Sig struct {
	Name string
	ID   uint32
	Data []byte
}

// String returns the signature line without its line feed.
func (s Sig) String() string { return "\u2014 " + s.Name + " " + s.base64() }

func (s Sig) base64() string {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(s.Data)), s.ID)
	return base64.StdEncoding.EncodeToString(append(b, s.Data...))
}

// Parse reads a note without verifying a signature. It refuses what does not re-encode to msg.
func Parse(msg []byte) (*Note, error) { return open(msg, nil, false) }

// Open reads a note and verifies all of its signatures: each line must be by one of the keys, each key at most once, and
// at least one line must be there. It refuses what does not re-encode to msg. Which of the keys signed is in Sigs.
func Open(msg []byte, keys ...Key) (*Note, error) { return open(msg, keys, true) }

func open(msg []byte, keys []Key, verify bool) (*Note, error) {
	if len(msg) > MaxBytes {
		return nil, concord.Errorf(concord.Invalid, "signed note of %d bytes: at most %d are allowed", len(msg), MaxBytes)
	}
	list := make([]xnote.Verifier, len(keys))
	for i, k := range keys {
		list[i] = verifier{k}
	}
	x, err := xnote.Open(msg, xnote.VerifierList(list...))
	var bad *xnote.InvalidSignatureError
	var none *xnote.UnverifiedNoteError
	switch {
	case errors.As(err, &bad):
		return nil, concord.Errorf(concord.Invalid, "signed note: the signature of %q (key %08x) does not match the text", bad.Name, bad.Hash)
	case errors.As(err, &none):
		x = none.Note
	case err != nil:
		return nil, concord.Errorf(concord.Invalid, "signed note: %w", err)
	}
	if verify && len(x.UnverifiedSigs) > 0 {
		s := x.UnverifiedSigs[0]
		return nil, concord.Errorf(concord.Invalid, "signed note: signature by %q with unknown key %08x", concord.Clip(s.Name, 80), s.Hash)
	}
	n := &Note{Text: x.Text}
	for _, s := range append(x.Sigs, x.UnverifiedSigs...) {
		b, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || len(b) < 5 {
			return nil, concord.Errorf(concord.Invalid, "signed note: signature of %q is not base64", concord.Clip(s.Name, 80))
		}
		n.Sigs = append(n.Sigs, Sig{s.Name, s.Hash, b[4:]})
	}
	if len(n.Sigs) > MaxSigs {
		return nil, concord.Errorf(concord.Invalid, "signed note: %d signatures, at most %d are allowed", len(n.Sigs), MaxSigs)
	}
	if !bytes.Equal(n.Bytes(), msg) {
		return nil, concord.Errorf(concord.Invalid, "signed note: not in canonical form (repeated signature, or base64 with loose ends)")
	}
	return n, nil
}

// Bytes returns the note's one byte form.
func (n *Note) Bytes() []byte {
	size := len(n.Text) + 1
	for _, s := range n.Sigs {
		size += len(s.Name) + 2*len(s.Data) + 16
	}
	b := append(make([]byte, 0, size), n.Text...)
	b = append(b, '\n')
	for _, s := range n.Sigs {
		b = append(b, s.String()...)
		b = append(b, '\n')
	}
	return b
}

// Sorted reports whether the signature lines stand in the order of transactions: by name, then key ID, none twice.
func (n *Note) Sorted() bool {
	for i := 1; i < len(n.Sigs); i++ {
		if compareSigs(n.Sigs[i-1], n.Sigs[i]) >= 0 {
			return false
		}
	}
	return true
}

func compareSigs(a, b Sig) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}

// Join returns the note of a text and signatures, in the order of transactions. The text must end in a line feed.
func Join(text string, sigs ...Sig) []byte {
	n := Note{Text: text, Sigs: slices.Clone(sigs)}
	slices.SortFunc(n.Sigs, compareSigs)
	return n.Bytes()
}

// Sign returns the note of a text signed by Ed25519 keys, its lines in the order of transactions.
func Sign(text string, signers ...*Signer) ([]byte, error) {
	sigs := make([]Sig, len(signers))
	for i, s := range signers {
		var err error
		if sigs[i], err = s.Sign(text); err != nil {
			return nil, err
		}
	}
	return Join(text, sigs...), nil
}
