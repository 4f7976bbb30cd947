package concord

import (
	"strconv"
	"strings"
	"time"
)

// LedgerEntry is one entry of the ledger's log, as people see it.
type LedgerEntry struct {
	Index  uint64    `json:"index"`
	Type   string    `json:"type"` // that of the transaction ("gov", "attest", "ask", …), or "block"
	From   string    `json:"from,omitempty"`
	Height int64     `json:"height"`
	Time   time.Time `json:"time"` // block time: the lower end of the bracket in which it was ordered
	Leaf   Digest    `json:"leaf"` // RFC 6962 leaf hash
	Text   string    `json:"text"` // the whole signed note or block record
}

// Checkpoint is a signed head of the ledger's log (c2sp.org/tlog-checkpoint).
type Checkpoint struct {
	Origin string    `json:"origin"`
	Size   uint64    `json:"size"`
	Root   Digest    `json:"root"`
	Height int64     `json:"height"`
	Time   time.Time `json:"time"`
	Note   string    `json:"note"` // the signed note with its cosignatures
}

// LedgerTerm is something that entries of the ledger name, and by which they are found.
type LedgerTerm struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// Kinds of terms.
const (
	TermOperator = "operator" // who sent it, or whom it is about
	TermDigest   = "digest"   // in base64: the root of a batch, a document, a seal, what a witness saw, or what a payment refers to
	TermDocument = "document" // in base64: what a doc transaction notarises
	TermURL      = "url"      // that witnesses were asked for, or that one was led to
	TermAsk      = "ask"      // index of the ask that a seal or report belongs to
	TermType     = "type"     // of the transaction; not "attest", which most are
)

// LedgerBlock is where the entries of a block lie in the log, and when it was ordered.
type LedgerBlock struct {
	Height    int64     `json:"height"`
	First     uint64    `json:"first"`             // index of its first entry
	Count     uint64    `json:"count"`             // entries; the last is the block's record, but of the founding block
	NotBefore time.Time `json:"notBefore"`         // block time: the lower end of the bracket in which it was ordered
	NotAfter  time.Time `json:"notAfter,omitzero"` // time of the next block: the upper end; zero: not known yet
}

// Attestation is the body of an attest transaction: an operator's statement that it made these captures. The text is
//
//	concord/tx/v1 attest
//	chain <name>:<first 12 hex digits of SHA-256(genesis file)>
//	from <operator>
//	seq <n>
//	count <captures in the batch>
//	root <RFC 6962 root over their entries, base64>
//	span <unix seconds of the first capture> <of the last>
//	prev <root of the operator's previous batch, 32 zero bytes at first, base64>
//
// each line ended by a line feed. It is signed as a C2SP signed note by the operator's op key.
type Attestation struct {
	Chain       string
	From        string
	Seq         uint64
	Count       uint64
	Root        Digest
	First, Last int64
	Prev        Digest
}

const attestHead = "concord/tx/v1 attest"

// String returns the text that is signed.
func (a Attestation) String() string {
	var b strings.Builder
	for _, l := range [...]string{attestHead, "chain " + a.Chain, "from " + a.From, "seq " + u(a.Seq), "count " + u(a.Count),
		"root " + a.Root.String(), "span " + strconv.FormatInt(a.First, 10) + " " + strconv.FormatInt(a.Last, 10), "prev " + a.Prev.String()} {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.String()
}

func u(n uint64) string { return strconv.FormatUint(n, 10) }

// ParseAttestation reads a text written by String. A text that does not re-encode to itself is refused.
func ParseAttestation(text string) (Attestation, error) {
	var a Attestation
	bad := func(what string) (Attestation, error) {
		return Attestation{}, Errorf(Invalid, "attestation: %s", what)
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 9 || lines[0] != attestHead || lines[8] != "" {
		return bad("want eight lines, the first of them \"" + attestHead + "\"")
	}
	var vals [7]string
	for i, key := range [...]string{"chain", "from", "seq", "count", "root", "span", "prev"} {
		v, ok := strings.CutPrefix(lines[i+1], key+" ")
		if !ok || v == "" {
			return bad("line " + strconv.Itoa(i+2) + " must be \"" + key + " …\"")
		}
		vals[i] = v
	}
	var err error
	a.Chain, a.From = vals[0], vals[1]
	if a.Seq, err = strconv.ParseUint(vals[2], 10, 64); err != nil {
		return bad("seq is not a number")
	}
	if a.Count, err = strconv.ParseUint(vals[3], 10, 64); err != nil || a.Count == 0 {
		return bad("count is not a number above 0")
	}
	if a.Root, err = ParseDigest(vals[4]); err != nil {
		return bad("root is not a digest")
	}
	first, last, ok := strings.Cut(vals[5], " ")
	if a.First, err = strconv.ParseInt(first, 10, 64); err != nil || !ok || a.First < 0 {
		return bad("span is not two times")
	}
	if a.Last, err = strconv.ParseInt(last, 10, 64); err != nil || a.Last < a.First {
		return bad("span is not two times in order")
	}
	if a.Prev, err = ParseDigest(vals[6]); err != nil {
		return bad("prev is not a digest")
	}
	if a.String() != text {
		return bad("not in canonical form")
	}
	return a, nil
}
