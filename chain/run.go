package chain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"concord"
)

// Run runs the validator until ctx ends (it then returns nil) or the chain cannot go on. When it returns, consensus has ended: nothing uses
// the directory but what Close closes. That is so at once unless the machine is overloaded; stopAtMost bounds it. It may be called once.
func (c *Chain) Run(ctx context.Context) error {
	if err := c.failure(); err != nil {
		return concord.Errorf(concord.Conflict, "run chain: it has stopped and must be opened again: %w", err)
	}
	for first := true; ; first = false {
		again, err := c.runEngine(ctx, first)
		if err != nil {
			c.fail(err)
			return fmt.Errorf("run chain: %w", err)
		}
		if !again {
			return nil
		}
		if !c.awaitClock(ctx) {
			c.fail(concord.Errorf(concord.Unavailable, "the chain was stopped"))
			return nil
		}
	}
}

// runEngine runs consensus until ctx ends, or until it must start anew: because there are others now to talk to, with another key, or
// when the clock is right again.
func (c *Chain) runEngine(ctx context.Context, first bool) (again bool, err error) {
	select {
	case <-c.late: // said by the engine before, on its way to its end
	default:
	}
	e, err := startEngine(c)
	if err != nil {
		return false, err
	}
	c.running.Store(e)
	if first {
		close(c.started)
	}
	c.wake()
	again, err = c.tend(ctx, e)
	c.running.Store(nil)
	switch {
	case err != nil:
		c.fail(err)
	case !again:
		c.fail(concord.Errorf(concord.Unavailable, "the chain was stopped"))
	}
	c.settle()
	return again, errors.Join(err, e.stop())
}

// settleWithin bounds how long a stop waits for the empty block that follows one with transactions.
const settleWithin = 500 * time.Millisecond

// settle waits until no block is under way: one that is cut short costs the next start a round of timeouts.
func (c *Chain) settle() {
	for end := time.Now().Add(settleWithin); c.busy.Load() && time.Now().Before(end); {
		time.Sleep(settleWithin / 100)
	}
}

// tendEvery is how often connections, ballots and what peers may have missed are looked after.
const tendEvery = time.Second

// tellPeersEvery is after how many of those the others are told where members are reached: some may not have known a member before.
const tellPeersEvery = 10

// tend signs new heads, reads what peers send, keeps connections and watches over consensus, until ctx ends, something fails, or
// the engine must start anew with a port or another key.
func (c *Chain) tend(ctx context.Context, e *engine) (again bool, err error) {
	watch := time.NewTicker(max(c.cfg.StallAfter/8, time.Millisecond))
	defer watch.Stop()
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	if !e.networked {
		tick.Stop() // there is nobody to look after
	}
	d := dialer{c: c, e: e, tries: map[string]*dialTry{}}
	if e.networked {
		d.tick(time.Now())
	}
	ticks, met := 0, time.Now()
	stalled := stall{height: c.machine.Load().Height(), since: time.Now()}
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case <-c.failed:
			return false, c.failure()
		case at := <-c.late:
			c.notBefore = at
			return true, nil
		case <-c.reopen:
			if !e.networked && c.networked() {
				return true, nil
			}
		case <-c.grown:
			if err := c.sign(); err != nil {
				return false, err
			}
			c.cast()
			if err := c.renew(time.Now()); err != nil {
				return false, err
			}
			c.moveAddresses()
			if !e.networked && c.networked() || c.due() {
				return true, nil
			}
		case l := <-c.inbox:
			if err := c.read(l); err != nil {
				return false, err
			}
		case now := <-tick.C:
			d.tick(now)
			if e.peers() > 0 {
				met = now
			} else if now.Sub(met) > shunnedAfter && there(nextFile(filesOf(c.cfg.Dir).nodeKey)) {
				c.shunned = !c.shunned
				return true, nil
			}
			if ticks++; ticks%tellPeersEvery == 0 {
				c.tell(kindPeers, c.addresses()...)
			}
			c.repeat()
			if err := c.renew(now); err != nil {
				return false, err
			}
			c.charge(ctx, e)
		case <-watch.C:
			if err := c.watch(&stalled); err != nil {
				return false, err
			}
		}
	}
}

// repeat tells the peers what they may have missed: signatures that came in since, and, as long as the newest head that this node signed has
// no quorum, its own once more, which a peer with a full queue or a new connection does not have.
func (c *Chain) repeat() {
	c.cast()
	if agreed := c.agreed.Load(); c.stirred || agreed == nil || agreed.Size < c.signed().Size {
		c.stirred = false
		c.tell(kindHeads, c.greeting("")...)
	}
}

// fail stops the chain for good: the first reason counts, Run returns it.
func (c *Chain) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halted == nil {
		c.halted = err
		close(c.failed)
	}
}

func (c *Chain) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.halted
}

// wake asks the signing loop to look at the log.
func (c *Chain) wake() {
	select {
	case c.grown <- struct{}{}:
	default:
	}
}
