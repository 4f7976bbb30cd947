package chain

import (
	"time"
)

// Member is one operator of the ledger, as people see it.
type Member struct {
	Name   string
	Status string // "active", "candidate", "faulted"
	Power  uint64
	Keys   map[string]string // verifier keys by purpose: "op", "cosign", "log"
}

// Members returns the operators of the ledger, sorted by name.
func (c *Chain) Members() []Member {
	var list []Member
	for _, m := range c.machine.Load().State().Members {
		list = append(list, Member{Name: m.Operator, Status: string(m.Status), Power: m.Power,
			Keys: map[string]string{"op": m.Op.String(), "cosign": m.Cosign.String(), "log": m.Log.String()}})
	}
	return list
}

// Founded returns when the chain began, by its founder's clock.
func (c *Chain) Founded() time.Time { return c.genesis.doc.GenesisTime.UTC() }
