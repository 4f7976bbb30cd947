package chain

import (
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
	Height     int64          `json:"height"`
	Size       uint64         `json:"size"` // entries of the log
	Root       concord.Digest `json:"root"`
	Signed     uint64         `json:"signed"`             // entries under the newest checkpoint
	LastBlock  time.Time      `json:"lastBlock,omitzero"` // block time, which may lag on a quiet chain
	Members    int            `json:"members"`
	Validators int            `json:"validators"`
	Peers      int            `json:"peers"`
	Waiting    int            `json:"waiting"` // callers of Submit that wait
}

// Status returns the chain's condition now.
func (c *Chain) Status() Status {
	m := c.machine.Load()
	s := Status{Chain: c.id, Origin: m.State().Origin, Operator: c.cfg.Operator, Height: m.Height(), Size: m.Size(), Root: m.Root(),
		Signed: c.Checkpoint().Size, Members: len(m.State().Members), Waiting: c.waiters.len()}
	for _, mem := range m.State().Members {
		if mem.Power > 0 {
			s.Validators++
		}
	}
	if t := c.last.Load(); t != 0 {
		s.LastBlock = time.Unix(0, t).UTC()
	}
	if e := c.running.Load(); e != nil {
		s.Running = true
		s.Peers = e.peers()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halted != nil {
		s.Halted = c.halted.Error()
	}
	return s
}
