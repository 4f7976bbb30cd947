package crawl

import (
	"context"
	"fmt"
	"time"
)

// diskEvery is how often free space is looked at: at full speed the archive grows by some 100 MB meanwhile, which is
// what the floor leaves room for.
const diskEvery = time.Second

// watchDisk stops fetching while the disk is nearly full, and lets it go on when there is space again.
func (c *Crawler) watchDisk(ctx context.Context) error {
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	for {
		c.checkDisk()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (c *Crawler) checkDisk() {
	if c.cfg.FreeSpaceFloor < 0 {
		return
	}
	free, _, err := c.cfg.FreeSpace(c.cfg.Dir)
	was := c.low.Load()
	switch {
	case err != nil:
		c.log.Warn("free space is not known", "error", err)
	case free < uint64(c.cfg.FreeSpaceFloor):
		c.lowReason.Store(fmt.Sprintf("the disk has %d MB left, nothing is fetched below %d MB", free>>20, c.cfg.FreeSpaceFloor>>20))
		c.low.Store(true)
		if !was {
			c.log.Warn("fetching stops: the disk is nearly full", "free", free, "floor", c.cfg.FreeSpaceFloor)
		}
	case was:
		c.low.Store(false)
		c.log.Info("fetching goes on: there is space again", "free", free)
		c.wakeAll()
	}
}
