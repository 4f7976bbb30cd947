package ledger

import (
	"strconv"
	"strings"

	"concord"
	"concord/note"
)

// txHead starts every transaction; the type follows.
const txHead = "concord/tx/v1 "

// Tx is a parsed transaction. One of Attest and Gov is set.
type Tx struct {
	Type   string // "attest", "gov"
	Chain  string
	From   string // the operator; empty for gov
	Seq    uint64 // seq of attest, epoch of gov
	Attest *concord.Attestation
	Gov    *Gov
	Note   *note.Note
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
	switch typ {
	case "attest":
		a, err := concord.ParseAttestation(n.Text)
		if err != nil {
			return nil, err
		}
		t.Attest, t.Chain, t.From, t.Seq = &a, a.Chain, a.From, a.Seq
	case "gov":
		g, err := ParseGov(n.Text)
		if err != nil {
			return nil, err
		}
		t.Gov, t.Chain, t.Seq = g, g.Chain, g.Epoch
	default:
		return nil, concord.Errorf(concord.Invalid, "transaction: type %q is not known to this version, which has attest and gov", concord.Clip(typ, 40))
	}
	return t, nil
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

// lines reads "key value" lines in a fixed order. The first error sticks.
type lines struct {
	what string
	rest []string
	err  error
}

func splitLines(what, text string) *lines {
	l := &lines{what: what, rest: strings.Split(text, "\n")}
	if l.rest[len(l.rest)-1] != "" {
		l.fail("the last line does not end in a line feed")
	}
	l.rest = l.rest[:len(l.rest)-1]
	return l
}

func (l *lines) fail(why string) {
	if l.err == nil {
		l.err = concord.Errorf(concord.Invalid, "%s: %s", l.what, why)
	}
}

// has reports whether the next line has this key.
func (l *lines) has(key string) bool {
	return l.err == nil && len(l.rest) > 0 && strings.HasPrefix(l.rest[0], key+" ")
}

// value takes the next line, which must have this key and a value.
func (l *lines) value(key string) string {
	if l.err != nil {
		return ""
	}
	if !l.has(key) || len(l.rest[0]) == len(key)+1 {
		l.fail("want a line \"" + key + " …\"")
		return ""
	}
	v := l.rest[0][len(key)+1:]
	l.rest = l.rest[1:]
	return v
}

// literal takes the next line, which must be exactly this.
func (l *lines) literal(line string) {
	if l.err != nil {
		return
	}
	if len(l.rest) == 0 || l.rest[0] != line {
		l.fail("want the line \"" + line + "\"")
		return
	}
	l.rest = l.rest[1:]
}

func (l *lines) number(key string, max uint64) uint64 { return l.parse(l.value(key), key, max) }

// parse reads a decimal without leading zeros.
func (l *lines) parse(v, key string, max uint64) uint64 {
	n, err := strconv.ParseUint(v, 10, 64)
	if l.err == nil && (err != nil || n > max || strconv.FormatUint(n, 10) != v) {
		l.fail(key + " is not a decimal number up to " + strconv.FormatUint(max, 10))
	}
	return n
}

func (l *lines) digest(v, key string) concord.Digest {
	d, err := concord.ParseDigest(v)
	if l.err == nil && err != nil {
		l.fail(key + " is not the base64 of 32 bytes")
	}
	return d
}

func (l *lines) end() error {
	if l.err == nil && len(l.rest) > 0 {
		l.fail("unexpected line \"" + concord.Clip(l.rest[0], 60) + "\"")
	}
	return l.err
}
