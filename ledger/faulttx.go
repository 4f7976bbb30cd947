package ledger

import (
	"encoding/base64"
	"fmt"
	"strings"

	"concord"
)

// FaultTx is proof, from its own bytes alone, that a member misbehaved. Anybody can check it anywhere. The member is
// faulted until gov acts.
//
//	who <operator>
//	kind <kind>
//	a <base64 of a signed note>
//	b <base64 of another>
//	root <digest>                               only of kind tree, and then
//	proof <base64 of hashes, 32 bytes each>     RFC 9162 consistency proof from root, at a's size, to b
//
// Each of a and b is a note with one signature line, by the same current key of the member:
//
//	fork     two checkpoints of one log and size with different roots (log or cosigning key)
//	tree     two checkpoints of one log, a the smaller: the root at a's size under b's root is another than a's
//	attest   two attestations of one chain and seq with different texts (op key)
//	seal     two seals of one chain, ask and round with different commits (op key)
//	show     two reports of one chain, ask and round that say different things (op key)
//	leaf     a reveal, and the attestation it names, under whose root its entry does not lie (op key)
//
// Of the kinds but tree and leaf, a is the one whose bytes sort first.
type FaultTx struct {
	Head
	Who   string
	Kind  string
	A, B  []byte
	Root  concord.Digest
	Proof []concord.Digest
}

const (
	// maxProof bounds the hashes of a proof: RFC 9162 needs at most one a level and one more.
	maxProof = 65
	// maxEvidenceNote bounds one of the notes: two of them and a proof fit the largest transaction.
	maxEvidenceNote = 16 << 10
)

var faultKinds = [...]string{"attest", "fork", "leaf", "seal", "show", "tree"}

// String returns the text that is signed.
func (f *FaultTx) String() string {
	b64 := base64.StdEncoding.EncodeToString
	s := f.format("fault") + fmt.Sprintf("who %s\nkind %s\na %s\nb %s\n", f.Who, f.Kind, b64(f.A), b64(f.B))
	if f.Kind == "tree" {
		s += fmt.Sprintf("root %s\nproof %s\n", f.Root, b64(join(f.Proof)))
	}
	return s
}

func join(list []concord.Digest) []byte {
	b := make([]byte, 0, len(list)*len(concord.Digest{}))
	for _, d := range list {
		b = append(b, d[:]...)
	}
	return b
}

func (l *lines) fault(h Head) *FaultTx {
	f := &FaultTx{Head: h, Who: l.operator("who"), Kind: l.value("kind")}
	known := false
	for _, k := range faultKinds {
		known = known || f.Kind == k
	}
	if l.err == nil && !known {
		l.fail("kind is not one of " + strings.Join(faultKinds[:], ", "))
	}
	f.A, f.B = l.blob("a", maxEvidenceNote), l.blob("b", maxEvidenceNote)
	if f.Kind == "tree" {
		f.Root = l.digest(l.value("root"), "root")
		f.Proof = l.hashes("proof", maxProof)
	}
	return f
}

// hashes takes a line of base64 of whole digests.
func (l *lines) hashes(key string, most int) (list []concord.Digest) {
	const size = len(concord.Digest{})
	b := l.blob(key, most*size)
	if len(b)%size != 0 {
		l.fail(key + " is not a number of whole digests")
		return nil
	}
	for ; len(b) > 0; b = b[size:] {
		list = append(list, concord.Digest(b[:size]))
	}
	return list
}

// Reveal is an operator's signed statement that an entry lies in one of its batches: what it answers when it is audited.
// It is no transaction, but a false one is proof of misbehaviour (kind leaf).
//
//	concord/reveal/v1
//	chain <chain>
//	from <operator>
//	seq <of the attestation>
//	index <of the entry in the batch>
//	entry <the entry's line>
//	path <base64 of the inclusion proof's hashes; "-" for a batch of one>
type Reveal struct {
	Head
	Index uint64
	Entry string
	Path  []concord.Digest
}

const (
	revealHead = "concord/reveal/v1"
	maxEntry   = 4096 // bytes of an entry in a reveal: salts, digests and the longest URL
)

// String returns the text that is signed.
func (v *Reveal) String() string {
	path := "-"
	if len(v.Path) > 0 {
		path = base64.StdEncoding.EncodeToString(join(v.Path))
	}
	return fmt.Sprintf("%s\nchain %s\nfrom %s\nseq %d\nindex %d\nentry %s\npath %s\n", revealHead, v.Chain, v.From, v.Seq, v.Index, v.Entry, path)
}

// ParseReveal reads a text written by String. Anything that does not re-encode to itself is refused.
func ParseReveal(text string) (*Reveal, error) {
	l := splitLines("reveal", text)
	l.literal(revealHead)
	v := &Reveal{Head: l.head(), Index: l.number("index", maxNumber), Entry: l.value("entry")}
	if len(v.Entry) > maxEntry {
		l.fail(fmt.Sprintf("the entry is longer than %d bytes", maxEntry))
	}
	if l.has("path") && l.rest[0] == "path -" {
		l.literal("path -")
	} else {
		v.Path = l.hashes("path", maxProof)
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	if v.String() != text {
		return nil, concord.Errorf(concord.Invalid, "reveal: not in canonical form")
	}
	return v, nil
}
