package ledger

import (
	"encoding/base64"
	"fmt"
	"strings"

	"concord"
	"concord/note"
)

// The state's text has one line for each value, in a fixed order. A line whose value is the default (no balance, no
// place, no open asks, …) is not there, so that ledgers of before such lines existed keep their state hashes.

const stateHead = "concord/state/v1"

// String returns the state's one text form; its SHA-256 is the state hash of block records.
func (s *State) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nchain %s\norigin %s\nepoch %d\n", stateHead, s.Chain, s.Origin, s.Epoch)
	s.formatParams(&b)
	fmt.Fprintf(&b, "after %s\n", s.After)
	for i := range s.Members {
		s.Members[i].format(&b)
	}
	for _, a := range s.Asks {
		a.format(&b)
	}
	return b.String()
}

func (m *Member) format(b *strings.Builder) {
	fmt.Fprintf(b, "member %s\nstatus %s\npower %d\nseq %d\nlast %s\nop %s\ncosign %s\nlog %s\ncons %s\nnode %s\n", m.Operator, m.Status, m.Power,
		m.Seq, m.LastRoot, m.Op, m.Cosign, m.Log, base64.StdEncoding.EncodeToString(m.Cons[:]), m.Node)
	if m.URL != "" {
		fmt.Fprintf(b, "url %s\n", m.URL)
	}
	if m.Line != nil {
		fmt.Fprintf(b, "line %d\n", *m.Line)
	}
	if m.Balance != 0 {
		fmt.Fprintf(b, "balance %d\n", m.Balance)
	}
	if m.ASN != "" {
		fmt.Fprintf(b, "place %s %s\n", m.ASN, m.Region)
	}
	if m.Spent != 0 {
		fmt.Fprintf(b, "spent %d %d\n", m.Spent, m.SpentAt)
	}
	for _, k := range m.Retired {
		fmt.Fprintf(b, "retired %s\n", concord.Digest(k))
	}
}

// ParseState reads a text written by String.
func ParseState(text string) (*State, error) {
	l := splitLines("ledger state", text)
	l.literal(stateHead)
	s := &State{Chain: l.value("chain"), Origin: l.value("origin"), Epoch: l.number("epoch", maxNumber)}
	l.params(s)
	s.After = l.mark("after")
	for l.has("member") {
		s.Members = append(s.Members, l.member())
	}
	for l.has("ask") {
		s.Asks = append(s.Asks, l.openAsk())
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	if s.String() != text {
		return nil, concord.Errorf(concord.Invalid, "ledger state: not in canonical form")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// check reports what no execution can have led to, and execution relies on: names in order, asks in order, and nobody in
// an ask who is not on record.
func (s *State) check() error {
	for i := range s.Members {
		m := &s.Members[i]
		known := m.Status == Candidate || m.Status == Active || m.Status == Faulted || m.Status == Left
		if i > 0 && s.Members[i-1].Operator >= m.Operator || !known || (m.Power > 0) != (m.Status == Active) {
			return concord.Errorf(concord.Invalid, "ledger state: member %q is out of order, or its status is not one", concord.Clip(m.Operator, 80))
		}
	}
	for i, a := range s.Asks {
		bad := i > 0 && s.Asks[i-1].Index >= a.Index || s.Member(a.From) == nil
		for j := range a.Rounds {
			for _, x := range a.Rounds[j].Seats {
				bad = bad || s.Member(x.Operator) == nil
			}
			bad = bad || j+1 < len(a.Rounds) && (a.Rounds[j].Result != Disputed || !a.Rounds[j].drawn())
		}
		if bad || a.last().Result == Disputed {
			return concord.Errorf(concord.Invalid, "ledger state: ask %d is out of order, or its parts do not fit", a.Index)
		}
	}
	return nil
}

func (l *lines) member() Member {
	m := Member{Admission: Admission{Operator: l.value("member")}}
	m.Status = Status(l.value("status"))
	m.Power, m.Seq = l.number("power", MaxPower), l.number("seq", maxNumber)
	m.LastRoot = l.digest(l.value("last"), "last")
	m.Op = l.key("op", m.Operator, note.Ed25519)
	m.Cosign = l.key("cosign", m.Operator, note.Cosignature)
	m.Log = l.key("log", "", note.Ed25519)
	m.Cons = l.digest(l.value("cons"), "cons")
	m.Node = l.value("node")
	if l.has("url") {
		m.URL = l.value("url")
	}
	if l.has("line") {
		n := int64(l.number("line", maxCredit))
		m.Line = &n
	}
	if l.has("balance") {
		m.Balance = l.signed("balance")
	}
	if l.has("place") {
		m.ASN, m.Region = l.place(l.value("place"))
	}
	if l.has("spent") {
		n, t, _ := strings.Cut(l.value("spent"), " ")
		m.Spent, m.SpentAt = l.parse(n, "spent", maxNumber), int64(l.parse(t, "spent", maxNumber))
	}
	for l.has("retired") {
		m.Retired = append(m.Retired, l.digest(l.value("retired"), "retired"))
	}
	return m
}

// signed takes a line whose value may be negative.
func (l *lines) signed(key string) int64 {
	v, neg := strings.CutPrefix(l.value(key), "-")
	n := int64(l.parse(v, key, maxNumber))
	if neg {
		return -n
	}
	return n
}
