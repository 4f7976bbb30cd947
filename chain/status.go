package chain

import (
	"slices"
	"time"

	"concord"
)

// Status is the chain's condition.
type Status struct {
	Chain      string         `json:"chain"`
	Origin     string         `json:"origin"`
	Operator   string         `json:"operator"`
	Running    bool           `json:"running"`
	Halted     string         `json:"halted,omitempty"` // why the chain stopped
	Epoch      uint64         `json:"epoch"`            // decisions made so far
	Height     int64          `json:"height"`
	Size       uint64         `json:"size"` // entries of the log
	Root       concord.Digest `json:"root"`
	Signed     uint64         `json:"signed"`             // entries under the newest checkpoint
	LastBlock  time.Time      `json:"lastBlock,omitzero"` // block time, which may lag on a quiet chain
	Members    int            `json:"members"`
	Validators int            `json:"validators"`
	Peers      int            `json:"peers"`
	Waiting    int            `json:"waiting"` // callers of Submit that wait
	Held       int64          `json:"held"`    // credit that open asks hold: the balances' sum is minus this
	// Of a chain of several operators:
	Address string   `json:"address,omitempty"` // where this node listens for the others
	Agreed  uint64   `json:"agreed"`            // entries under the newest checkpoint with a quorum of cosignatures
	Up      []string `json:"up,omitempty"`      // other operators whose nodes are connected
	Barred  string   `json:"barred,omitempty"`  // why this node votes no more
	Waits   string   `json:"waits,omitempty"`   // why consensus does not run on this node for now
	Lapsed  []string `json:"lapsed,omitempty"`  // what this operator proposed that came to nothing, with the reason
}

// Status returns the chain's condition now.
func (c *Chain) Status() Status {
	m := c.machine.Load()
	s := Status{Chain: c.id, Origin: m.State().Origin, Operator: c.cfg.Operator, Epoch: m.State().Epoch, Height: m.Height(), Size: m.Size(), Root: m.Root(),
		Signed: c.signed().Size, Members: len(m.State().Members), Waiting: c.waiters.len()}
	s.Validators = c.voters()
	for _, a := range m.State().Asks {
		s.Held += a.Locked
	}
	if t := c.last.Load(); t != 0 {
		s.LastBlock = time.Unix(0, t).UTC()
	}
	if e := c.running.Load(); e != nil {
		s.Running = true
		s.Peers = e.peers()
		if e.networked {
			s.Address = c.advertised()
			for _, p := range e.node.Switch().Peers().Copy() {
				s.Up = append(s.Up, c.operatorOf(string(p.ID())))
			}
			slices.Sort(s.Up)
		}
	}
	if why := c.waits.Load(); why != nil {
		s.Waits = *why
	}
	if a := c.agreed.Load(); a != nil {
		s.Agreed = a.Size
	}
	if v := c.validator.Load(); v != nil && v.why() != nil {
		s.Barred = v.why().Error()
	}
	c.ballots.mu.Lock()
	s.Lapsed = slices.Clone(c.ballots.lapsed)
	c.ballots.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halted != nil {
		s.Halted = c.halted.Error()
	}
	return s
}
