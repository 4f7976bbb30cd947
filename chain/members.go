package chain

import (
	"time"

	"concord"
	"concord/ledger"
)

// Member is one operator of the ledger, as people see it.
type Member struct {
	Name   string
	Status string // "active", "candidate", "faulted", "left"
	Power  uint64
	URL    string // where it serves the log; empty: not known
	// Cosigned is the size of the newest checkpoint that it cosigned, as far as this node knows.
	Cosigned uint64
	Keys     map[string]string // verifier keys by purpose: "op", "cosign", "log"
	Seq      uint64            // transactions it has sent
	LastRoot concord.Digest    // of its last attested batch; zero: none yet
	Balance  int64             // credit; it may fall to minus Limit
	Limit    int64
	ASN      string // where it is, as others observed it; empty: not known
	Region   string
}

// Members returns the operators of the ledger, sorted by name.
func (c *Chain) Members() []Member {
	var list []Member
	st := c.machine.Load().State()
	for i := range st.Members {
		m := &st.Members[i]
		cosigned, _, _ := c.store.number(append([]byte{keyCosigned}, m.Operator...)) // what cannot be read is not known
		list = append(list, Member{Name: m.Operator, Status: string(m.Status), Power: m.Power, URL: m.URL, Cosigned: cosigned,
			Keys: map[string]string{"op": m.Op.String(), "cosign": m.Cosign.String(), "log": m.Log.String()},
			Seq:  m.Seq, LastRoot: m.LastRoot, Balance: m.Balance, Limit: st.Limit(m), ASN: m.ASN, Region: m.Region})
	}
	return list
}

// Founded returns when the chain began, by its founder's clock.
func (c *Chain) Founded() time.Time { return c.genesis.doc.GenesisTime.UTC() }

// Active is the status of a member that has a vote.
const Active = string(ledger.Active)

// Candidate is the status of a member that follows and cosigns, and has no vote.
const Candidate = string(ledger.Candidate)

// Quorum returns how many of n members, or voters of equal power, must agree: more than two thirds.
func Quorum(n int) int { return ledger.Quorum(n) }
