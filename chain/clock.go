package chain

import (
	"context"
	"regexp"
	"time"
)

// A node whose clock is far behind meets a block that two thirds of the others agree on and whose time lies ahead of it. CometBFT takes that for a
// block that cannot be. Where it votes it ends consensus: rightly, since it can neither vote for the block nor leave it out. Where it fetches what was decided
// without it, it hangs up on who sent the block, and fetches nothing there for a minute. It is the clock that is wrong, so the node ends neither itself nor
// its friendships: it goes on with all else, and with consensus, begun anew, when its clock has come to the block's time.
//
// What is fetched could be applied all the same, since it is decided. But the node would then sign heads at times before they were there, and CometBFT
// has one tolerance for blocks that are voted on and for those that are fetched.

const (
	// clockTolerance is how far CometBFT lets a block's time lie ahead of the clock.
	clockTolerance = time.Minute
	// clockPause is how much longer a clock is waited for that was waited for within the last minute: it stays behind, and consensus would begin anew
	// for each block. It is less than the tolerance, so that the node still comes nearer.
	clockPause = 30 * time.Second
)

// aheadText is what CometBFT says of such a block (state/validation.go, validateBlock), in words only: a test holds it against theirs.
var aheadText = regexp.MustCompile(`block time (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \+0000 UTC) is too far in the future`)

// aheadOfClock returns the time of the block that was not taken, if that was ahead of the clock.
func aheadOfClock(reason string) (at time.Time, ok bool) {
	m := aheadText.FindStringSubmatch(reason)
	if m == nil {
		return at, false
	}
	at, err := time.Parse("2006-01-02 15:04:05 -0700 MST", m[1])
	return at, err == nil
}

// awaitClock waits until the clock allows the block that consensus ended for, if it did. It returns false when ctx ends before.
func (c *Chain) awaitClock(ctx context.Context) bool {
	if c.notBefore.IsZero() {
		return ctx.Err() == nil
	}
	of := c.notBefore
	at := of.Add(-clockTolerance)
	if !c.awaited.IsZero() && time.Since(c.awaited) < clockTolerance {
		at = at.Add(clockPause)
	}
	c.notBefore = time.Time{}
	defer func() { c.awaited = time.Now() }()
	why := "this machine's clock is behind a block that the other operators agree on, of " + of.UTC().Format(time.RFC3339) + ": set the clock right; the ledger then goes on by itself"
	c.waits.Store(&why)
	defer c.waits.Store(nil)
	look := time.NewTicker(tendEvery)
	defer look.Stop()
	for n := 0; time.Now().Round(0).Before(at); n++ {
		if n%60 == 0 {
			c.cfg.Logger.Warn("the ledger waits: "+why, "behind", time.Until(of).Round(time.Second))
		}
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
	return ctx.Err() == nil
}
