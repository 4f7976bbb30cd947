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
// and then one action. An admission makes a candidate, of a new operator or of one that left; a power note gives voting
// power, to up to MaxPowers members, sorted by name:
//
//	admit <operator>               power <operator> <n>
//	op <vkey, type 0x01>           …
//	cosign <vkey, type 0x04>       voters <2 or 3>     last, only and always when so many would remain
//	log <vkey, type 0x01, named for the log's origin>
//	cons <base64 of the consensus key's 32 bytes>
//	node <40 hex digits: the peer-to-peer ID>
//	url <where the operator serves the log>     optional
//
// The others are one line each; voters may follow drop:
//
//	drop <operator>                        it left, or is made to
//	clear <operator>                       a faulted member becomes a candidate again
//	rotate <operator> <which> <value>      op, cosign, log (vkeys), cons (base64), node, url
//	set <parameter> <value>                see Param
//	line <operator> <credit limit>         its own, in place of the parameter credit
//	place <operator> <AS number> <region>  where it is as the others observed it
type Gov struct {
	Chain  string
	Epoch  uint64
	Admit  *Admission
	Powers []Power
	Drop   string
	Clear  string
	Rotate *Rotation
	Set    *Setting
	Line   *Line
	Place  *Place
	Voters int // 2 or 3: so few are wanted; else 0
}

// Rotation replaces one of a member's keys or addresses.
type Rotation struct {
	Operator string
	Which    string   // "op", "cosign", "log", "cons", "node", "url"
	Key      note.Key // of the first four; that of cons is named for the operator
	Value    string   // of node and url
}

// Setting changes a parameter.
type Setting struct {
	Param Param
	Value uint64
}

// Line is a member's own credit limit.
type Line struct {
	Operator string
	Limit    int64
}

// Place is where a member's requests come from.
type Place struct {
	Operator    string
	ASN, Region string // "-", "-": not known
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
	// MaxNames bounds the names on record, of those who left too: a name that came back anew could repeat old seqs.
	MaxNames = 500
	// MaxRetired bounds the keys a member has changed: one a month for five years.
	MaxRetired = 64
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
	g.formatOther(&b)
	if g.Voters != 0 {
		fmt.Fprintf(&b, "voters %d\n", g.Voters)
	}
	return b.String()
}

// ParseGov reads a text written by String. Anything that does not re-encode to itself is refused.
func ParseGov(text string) (*Gov, error) {
	l := splitLines("gov transaction", text)
	g := new(Gov)
	l.literal(txHead + "gov")
	g.Chain = l.chain()
	g.Epoch = l.number("epoch", 1<<63-1)
	switch {
	case l.has("admit"):
		g.Admit = l.admission()
	case l.has("power"):
		g.Powers = l.powers()
	case l.has("drop"):
		g.Drop = l.operator("drop")
	default:
		l.otherAction(g)
	}
	if (g.Powers != nil || g.Drop != "") && l.has("voters") {
		if g.Voters = int(l.number("voters", 3)); g.Voters < 2 {
			l.fail("voters is 2 or 3; other numbers need no consent")
		}
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	if g.String() != text {
		return nil, concord.Errorf(concord.Invalid, "gov transaction: not in canonical form")
	}
	return g, nil
}
