package chain

import (
	"context"
	"regexp"
	"time"
)

// A validator whose clock is far behind meets a block that two thirds of the others agree on and whose time lies ahead of it. CometBFT takes
// that for a block that cannot be, and ends consensus: rightly, since it can neither vote for it nor leave it out. It is the clock that is wrong, so the node
// does not end: it goes on with all else, and with consensus when its clock has come to the block's time.

// clockTolerance is how far CometBFT lets a block's time lie ahead of the clock.
const clockTolerance = time.Minute

// aheadText is what CometBFT says of such a block (state/validation.go, validateBlock), in words only: a test holds it against theirs.
var aheadText = regexp.MustCompile(`block time (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \+0000 UTC) is too far in the future`)

// aheadOfClock returns the time of the block that consensus ended for, if that was ahead of the clock.
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
	at := c.notBefore.Add(-clockTolerance)
	c.notBefore = time.Time{}
	why := "this machine's clock is behind a block that the other operators agree on, of " + at.Add(clockTolerance).UTC().Format(time.RFC3339) + ": set the clock right; the ledger then goes on by itself"
	c.waits.Store(&why)
	defer c.waits.Store(nil)
	look := time.NewTicker(tendEvery)
	defer look.Stop()
	for n := 0; time.Now().Round(0).Before(at); n++ {
		if n%60 == 0 {
			c.cfg.Logger.Warn("the ledger waits: "+why, "behind", time.Until(at.Add(clockTolerance)).Round(time.Second))
		}
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
	return ctx.Err() == nil
}
