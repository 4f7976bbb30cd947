package ledger

import (
	"encoding/base64"
	"fmt"
	"strings"

	"concord"
	"concord/note"
)

// Gov is a governance transaction: one action, signed by more than two thirds of the electorate and by every new key.
//
//	concord/tx/v1 gov
//	chain <chain>
//	epoch <current + 1>
//
// and then either one admission or up to MaxPowers changes of power, sorted by name:
//
//	admit <operator>               power <operator> <n>
//	op <vkey, type 0x01>           …
//	cosign <vkey, type 0x04>
//	log <vkey, type 0x01, named for the log's origin>
//	cons <base64 of the consensus key's 32 bytes>
//	node <40 hex digits: the peer-to-peer ID>
//	url <where the operator serves the log>     optional
type Gov struct {
	Chain  string
	Epoch  uint64
	Admit  *Admission
	Powers []Power
}

// Admission makes an operator a candidate under these keys.
type Admission struct {
	Operator        string
	Op, Cosign, Log note.Key
	Cons            [32]byte
	Node            string
	URL             string
}

// Power gives a member voting power; 0 makes it a candidate again.
type Power struct {
	Operator string
	Power    uint64
}

const (
	// MaxPower bounds one member's power: members are equal or nearly so, and CometBFT needs the sum far below 2^60.
	MaxPower = 1000
	// MaxMembers bounds the federation, and so the state: more than the largest thought of, and no more votes than
	// CometBFT carries with ease.
	MaxMembers = 100
	// MaxPowers bounds the changes in one note: every member once.
	MaxPowers = MaxMembers
	maxURL    = 2000
)

// Cons returns the consensus key as the verifier key of its proof of possession.
func (a *Admission) ConsKey() note.Key {
	return note.Key{Name: a.Operator, Type: note.Ed25519, Public: a.Cons}
}

// Keys returns the keys that must sign the admission as proof of possession.
func (a *Admission) Keys() []note.Key { return []note.Key{a.Op, a.Cosign, a.Log, a.ConsKey()} }

// String returns the text that is signed.
func (g *Gov) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sgov\nchain %s\nepoch %d\n", txHead, g.Chain, g.Epoch)
	if a := g.Admit; a != nil {
		fmt.Fprintf(&b, "admit %s\nop %s\ncosign %s\nlog %s\ncons %s\nnode %s\n",
			a.Operator, a.Op, a.Cosign, a.Log, base64.StdEncoding.EncodeToString(a.Cons[:]), a.Node)
		if a.URL != "" {
			fmt.Fprintf(&b, "url %s\n", a.URL)
		}
	}
	for _, p := range g.Powers {
		fmt.Fprintf(&b, "power %s %d\n", p.Operator, p.Power)
	}
	return b.String()
}

// ParseGov reads a text written by String. Anything that does not re-encode to itself is refused.
func ParseGov(text string) (*Gov, error) {
	l := splitLines("gov transaction", text)
	g := new(Gov)
	l.literal(txHead + "gov")
	g.Chain = l.value("chain")
	g.Epoch = l.number("epoch", 1<<63-1)
	switch {
	case l.has("admit"):
		g.Admit = l.admission()
	case l.has("power"):
		g.Powers = l.powers()
	case l.err == nil && len(l.rest) > 0:
		action, _, _ := strings.Cut(l.rest[0], " ")
		l.fail(fmt.Sprintf("action %q is not known to this version, which has admit and power", concord.Clip(action, 40)))
	default:
		l.fail("no action")
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	if g.String() != text {
		return nil, concord.Errorf(concord.Invalid, "gov transaction: not in canonical form")
	}
	return g, nil
}

func (l *lines) admission() *Admission {
	a := &Admission{Operator: l.value("admit")}
	if l.err == nil && !ValidOperator(a.Operator) {
		l.fail("the operator's name must be a lower-case host name")
	}
	a.Op = l.key("op", a.Operator, note.Ed25519)
	a.Cosign = l.key("cosign", a.Operator, note.Cosignature)
	a.Log = l.key("log", "", note.Ed25519)
	a.Cons = l.digest(l.value("cons"), "cons")
	a.Node = l.value("node")
	if l.err == nil && (len(a.Node) != 40 || strings.Trim(a.Node, "0123456789abcdef") != "") {
		l.fail("node is not 40 hex digits")
	}
	if l.has("url") {
		a.URL = l.value("url")
		if len(a.URL) > maxURL || strings.ContainsAny(a.URL, " \t") {
			l.fail("url is too long or has a space")
		}
	}
	return a
}

func (l *lines) key(label, name string, typ note.Type) note.Key {
	v := l.value(label)
	if l.err != nil {
		return note.Key{}
	}
	k, err := note.ParseKey(v)
	switch {
	case err != nil:
		l.fail(err.Error())
	case k.Type != typ:
		l.fail(fmt.Sprintf("the %s key must be of type 0x%02x", label, byte(typ)))
	case name != "" && k.Name != name:
		l.fail(fmt.Sprintf("the %s key must be named %q", label, name))
	}
	return k
}

func (l *lines) powers() (list []Power) {
	for l.has("power") {
		name, n, _ := strings.Cut(l.value("power"), " ")
		p := Power{name, l.parse(n, "power", MaxPower)}
		switch {
		case !ValidOperator(name):
			l.fail("the operator's name must be a lower-case host name")
		case len(list) == MaxPowers:
			l.fail(fmt.Sprintf("more than %d changes of power", MaxPowers))
		case len(list) > 0 && list[len(list)-1].Operator >= name:
			l.fail("power lines are not sorted by name, each name once")
		}
		list = append(list, p)
	}
	return list
}
