package chain

import (
	"time"

	"concord"
	"concord/ledger"
)

// stall is what the watchdog remembers.
type stall struct {
	height int64
	since  time.Time
}

// clockSlack is how far the last block may lie ahead of this machine's clock: more than the rounding of its time.
const clockSlack = 2 * time.Second

// watch notices that transactions wait and no block comes, although nobody else is needed for one. With other voters that is no failure: a
// chain halts while too few are up, and goes on by itself. Nor is it when the clock was set back: CometBFT begins the next height by the
// clock, and waits until it is that late again.
func (c *Chain) watch(s *stall) error {
	if h := c.machine.Load().Height(); h != s.height || c.waiters.len() == 0 || !c.alone() {
		*s = stall{h, time.Now()}
	} else if d := time.Since(s.since); d >= c.cfg.StallAfter {
		if ahead := time.Until(time.Unix(0, c.last.Load())); ahead > clockSlack {
			c.cfg.Logger.Warn("the ledger waits: this machine's clock is behind the last block; if the clock is wrong set it right, if it was wrong before it goes on by itself",
				"behind", ahead.Round(time.Second))
			s.since = time.Now()
			return nil
		}
		if n := c.executable(); n > 0 {
			return concord.Errorf(concord.Unavailable, "%d transactions have waited for %s and no block came after height %d", n, d.Round(time.Second), s.height)
		}
		s.since = time.Now()
	}
	return nil
}

// alone reports whether this node is the only voter, and may vote.
func (c *Chain) alone() bool {
	m := c.machine.Load().State().Member(c.cfg.Operator)
	v := c.validator.Load()
	return m != nil && m.Power > 0 && c.voters() == 1 && (v == nil || v.why() == nil)
}

// executable counts the waiting transactions that a block could take now. Others wait for one that has not come, which is
// no fault of consensus. The next block's time is that of the votes on the last one, so the last one's is the closest known.
func (c *Chain) executable() int {
	b := ledger.Block{Time: c.last.Load() / 1e9, Txs: c.waiters.transactions()}
	return len(c.machine.Load().Prepare(b, maxBlockBytes))
}
