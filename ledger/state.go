package ledger

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"concord"
	"concord/note"
)

// Status is what a member may do.
type Status string

const (
	Candidate Status = "candidate" // holds the log, may attest and cosign, has no vote
	Active    Status = "active"    // has a vote
	Faulted   Status = "faulted"   // caught misbehaving; may do nothing until the others act
)

// Member is one operator of the federation.
type Member struct {
	Admission
	Status   Status
	Power    uint64
	Seq      uint64         // of its last executed transaction
	LastRoot concord.Digest // root of its last attested batch; zero: none yet
}

// State is everything that decides whether a transaction is valid. It is a value: Execute works on a copy.
type State struct {
	Chain   string // the chain that transactions name
	Origin  string // of the log; set by the first admission
	Epoch   uint64
	TxBytes uint64   // most bytes of a transaction
	Members []Member // sorted by operator
	After   *Mark    // the first block after the last block record; nil: not seen yet
}

// Mark names a block.
type Mark struct {
	Height int64
	Hash   concord.Digest
	Time   int64 // unix seconds
}

// DefaultTxBytes is the most bytes of a transaction until gov changes it. The longest of ours, an admission with the
// longest names, takes less than half.
const DefaultTxBytes = 8192

// Member returns the member of that name, or nil.
func (s *State) Member(operator string) *Member {
	i, ok := slices.BinarySearchFunc(s.Members, operator, func(m Member, name string) int { return strings.Compare(m.Operator, name) })
	if !ok {
		return nil
	}
	return &s.Members[i]
}

// electorate returns who governs: the active members; while nobody is active, the candidates.
func (s *State) electorate() (list []*Member) {
	for _, want := range []Status{Active, Candidate} {
		for i := range s.Members {
			if s.Members[i].Status == want {
				list = append(list, &s.Members[i])
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// Quorum returns how many of n members must agree: more than two thirds.
func Quorum(n int) int { return 2*n/3 + 1 }

func (s *State) totalPower() (sum uint64) {
	for i := range s.Members {
		sum += s.Members[i].Power
	}
	return sum
}

func (s *State) clone() *State {
	c := *s
	c.Members = slices.Clone(s.Members)
	return &c
}

const stateHead = "concord/state/v1"

// String returns the state's one text form; its SHA-256 is the state hash of block records.
func (s *State) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nchain %s\norigin %s\nepoch %d\nparam txbytes %d\nafter %s\n", stateHead, s.Chain, s.Origin, s.Epoch, s.TxBytes, s.After)
	for i := range s.Members {
		m := &s.Members[i]
		fmt.Fprintf(&b, "member %s\nstatus %s\npower %d\nseq %d\nlast %s\nop %s\ncosign %s\nlog %s\ncons %s\nnode %s\n", m.Operator, m.Status, m.Power,
			m.Seq, m.LastRoot, m.Op, m.Cosign, m.Log, base64.StdEncoding.EncodeToString(m.Cons[:]), m.Node)
		if m.URL != "" {
			fmt.Fprintf(&b, "url %s\n", m.URL)
		}
	}
	return b.String()
}

// Hash returns the state hash.
func (s *State) Hash() concord.Digest { return concord.Sum([]byte(s.String())) }

// String returns "<height> <hash> <time>", or "-" for nil.
func (m *Mark) String() string {
	if m == nil {
		return "-"
	}
	return fmt.Sprintf("%d %s %d", m.Height, m.Hash, m.Time)
}

func (l *lines) mark(key string) *Mark {
	v := l.value(key)
	if l.err != nil || v == "-" {
		return nil
	}
	f := strings.Split(v, " ")
	if len(f) != 3 {
		l.fail(key + " is not a height, a hash and a time")
		return nil
	}
	return &Mark{int64(l.parse(f[0], key, 1<<63-1)), l.digest(f[1], key), int64(l.parse(f[2], key, 1<<63-1))}
}

// ParseState reads a text written by String.
func ParseState(text string) (*State, error) {
	l := splitLines("ledger state", text)
	l.literal(stateHead)
	s := &State{Chain: l.value("chain"), Origin: l.value("origin"), Epoch: l.number("epoch", 1<<63-1),
		TxBytes: l.number("param txbytes", note.MaxBytes), After: l.mark("after")}
	for l.has("member") {
		m := Member{Admission: Admission{Operator: l.value("member")}}
		m.Status = Status(l.value("status"))
		m.Power, m.Seq = l.number("power", MaxPower), l.number("seq", 1<<63-1)
		m.LastRoot = l.digest(l.value("last"), "last")
		m.Op = l.key("op", m.Operator, note.Ed25519)
		m.Cosign = l.key("cosign", m.Operator, note.Cosignature)
		m.Log = l.key("log", "", note.Ed25519)
		m.Cons = l.digest(l.value("cons"), "cons")
		m.Node = l.value("node")
		if l.has("url") {
			m.URL = l.value("url")
		}
		s.Members = append(s.Members, m)
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	if s.String() != text {
		return nil, concord.Errorf(concord.Invalid, "ledger state: not in canonical form")
	}
	return s, nil
}
