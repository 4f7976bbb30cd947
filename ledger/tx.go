package ledger

import (
	"fmt"
	"strings"

	"concord"
	"concord/note"
)

// txHead starts every transaction; the type follows.
const txHead = "concord/tx/v1 "

// Tx is a parsed transaction. Exactly one of the pointers is set.
type Tx struct {
	Type   string // "attest", "gov", "ask", "seal", "show", "doc", "pay", "fault"
	Chain  string
	From   string // the operator; empty for gov
	Seq    uint64 // seq; the epoch of gov
	Attest *concord.Attestation
	Gov    *Gov
	Ask    *AskTx
	Seal   *SealTx
	Show   *ShowTx
	Doc    *DocTx
	Pay    *PayTx
	Fault  *FaultTx
	Note   *note.Note
}

// Body is the text of a transaction before it is signed: one of concord.Attestation, *Gov, *AskTx, *SealTx, *ShowTx,
// *DocTx, *PayTx, *FaultTx.
type Body interface{ String() string }

// Body returns the transaction's body.
func (t *Tx) Body() Body {
	switch {
	case t.Attest != nil:
		return t.Attest
	case t.Gov != nil:
		return t.Gov
	case t.Ask != nil:
		return t.Ask
	case t.Seal != nil:
		return t.Seal
	case t.Show != nil:
		return t.Show
	case t.Doc != nil:
		return t.Doc
	case t.Pay != nil:
		return t.Pay
	}
	return t.Fault
}

// Sign makes a transaction of a body. It refuses a body whose text ParseTx would refuse, so that nothing malformed is
// ever signed. What it returns for gov is one signature of several; note.Join puts them together.
func Sign(b Body, keys ...*note.Signer) ([]byte, error) {
	tx, err := note.Sign(b.String(), keys...)
	if err != nil {
		return nil, err
	}
	if _, err := ParseTx(tx); err != nil {
		return nil, err
	}
	return tx, nil
}

// ParseTx reads a transaction without verifying signatures. It refuses bytes that do not re-encode to themselves.
func ParseTx(b []byte) (*Tx, error) {
	n, err := note.Parse(b)
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "transaction: %w", err)
	}
	if !n.Sorted() {
		return nil, concord.Errorf(concord.Invalid, "transaction: signature lines are not sorted by name and key ID, each once")
	}
	line, _, _ := strings.Cut(n.Text, "\n")
	typ, ok := strings.CutPrefix(line, txHead)
	if !ok {
		return nil, concord.Errorf(concord.Invalid, "transaction: the first line must be %q and the type", strings.TrimSpace(txHead))
	}
	t := &Tx{Type: typ, Note: n}
	if err := t.parseBody(n.Text); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Tx) parseBody(text string) error {
	switch t.Type {
	case "attest":
		a, err := concord.ParseAttestation(text)
		if err != nil {
			return err
		}
		t.Attest, t.Chain, t.From, t.Seq = &a, a.Chain, a.From, a.Seq
		return nil
	case "gov":
		g, err := ParseGov(text)
		if err != nil {
			return err
		}
		t.Gov, t.Chain, t.Seq = g, g.Chain, g.Epoch
		return nil
	}
	l := splitLines(t.Type+" transaction", text)
	l.literal(txHead + t.Type)
	h := l.head()
	switch t.Type {
	case "ask":
		t.Ask = l.ask(h)
	case "seal":
		t.Seal = l.seal(h)
	case "show":
		t.Show = l.show(h)
	case "doc":
		t.Doc = l.doc(h)
	case "pay":
		t.Pay = l.pay(h)
	case "fault":
		t.Fault = l.fault(h)
	default:
		return concord.Errorf(concord.Invalid, "transaction: type %q is not known to this version, which has attest, gov, ask, seal, show, doc, pay and fault", concord.Clip(t.Type, 40))
	}
	if err := l.end(); err != nil {
		return err
	}
	if t.Body().String() != text {
		return concord.Errorf(concord.Invalid, "%s transaction: not in canonical form", t.Type)
	}
	t.Chain, t.From, t.Seq = h.Chain, h.From, h.Seq
	return nil
}

// Head is how every transaction but gov begins, after its type.
//
//	concord/tx/v1 <type>
//	chain <name>:<first 12 hex digits of SHA-256(genesis file)>
//	from <operator>
//	seq <n, exactly one more than the operator's last>
type Head struct {
	Chain, From string
	Seq         uint64
}

// maxNumber bounds numbers in texts to what an int64 holds.
const maxNumber = 1<<63 - 1

func (h Head) format(typ string) string {
	return fmt.Sprintf("%s%s\nchain %s\nfrom %s\nseq %d\n", txHead, typ, h.Chain, h.From, h.Seq)
}

func (l *lines) chain() string {
	v := l.value("chain")
	if l.err == nil && !validChainID(v) {
		l.fail("chain is not <name>:<12 hex digits>")
	}
	return v
}

func (l *lines) head() Head {
	h := Head{Chain: l.chain(), From: l.operator("from")}
	h.Seq = l.number("seq", maxNumber)
	return h
}

// MaxOperator is the most bytes an operator's name may have: what a host name may have.
const MaxOperator = 253

// ValidOperator reports whether s is a lower-case host name, the form of operator names.
func ValidOperator(s string) bool {
	if s == "" || len(s) > MaxOperator {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

// ChainID is the name of a chain bound to its genesis: "<name>:<first 12 hex digits of SHA-256(genesis file)>".
func ChainID(name string, genesis []byte) string {
	d := concord.Sum(genesis)
	const hex = "0123456789abcdef"
	b := []byte(name + ":")
	for _, c := range d[:6] {
		b = append(b, hex[c>>4], hex[c&15])
	}
	return string(b)
}

// FoundingID is the chain that founding notes name: they lie inside the genesis file, so they cannot name its hash.
func FoundingID(name string) string { return name + ":000000000000" }

// MaxChainName is the most bytes a chain's name may have; CometBFT's limit for chain IDs.
const MaxChainName = 50

// ValidChainName reports whether s can name a chain: lower-case letters, digits, dots and hyphens.
func ValidChainName(s string) bool { return len(s) <= MaxChainName && ValidOperator(s) }

func validChainID(s string) bool {
	name, hex, ok := strings.Cut(s, ":")
	if !ok || !ValidChainName(name) || len(hex) != 12 {
		return false
	}
	for _, c := range []byte(hex) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
