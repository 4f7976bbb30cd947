package ledger

import (
	"fmt"
	"slices"
	"strings"

	"concord"
)

// Status is what a member may do.
type Status string

const (
	Candidate Status = "candidate" // holds the log, may attest and cosign, has no vote
	Active    Status = "active"    // has a vote
	Faulted   Status = "faulted"   // caught misbehaving; may do nothing until the others act
	Left      Status = "left"      // is no member any more; its name, seq and balance stay on record
)

// Member is one operator of the federation.
type Member struct {
	Admission
	Status      Status
	Power       uint64
	Seq         uint64         // of its last executed transaction
	LastRoot    concord.Digest // root of its last attested batch; zero: none yet
	Line        *int64         // its own credit limit; nil: the parameter credit. Never changed in place
	Balance     int64          // credit
	ASN, Region string         // where it is as others observed it; empty: not known
	Spent       uint64         // bytes not yet refilled, at SpentAt
	SpentAt     int64          // unix seconds of block time
	Retired     [][32]byte     // public keys it had before; never used again. Never changed in place
}

// State is everything that decides whether a transaction is valid. It is a value: Execute works on a copy.
type State struct {
	Chain   string // the chain that transactions name
	Origin  string // of the log; set by the first admission
	Epoch   uint64
	Params  Params
	Members []Member // sorted by operator
	After   *Mark    // the first block after the last block record; nil: not seen yet
	Asks    []*Ask   // by index: all that are open, and the last KeepClosed that are not. Never changed in place
}

// Mark names a block.
type Mark struct {
	Height int64
	Hash   concord.Digest
	Time   int64 // unix seconds
}

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
	c.Asks = slices.Clone(s.Asks)
	return &c
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
