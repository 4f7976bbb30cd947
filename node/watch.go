package node

import (
	"context"
	"fmt"
	"time"

	"concord/durable"
)

const (
	// watchInterval is how often the message engine is asked whether it still takes messages.
	watchInterval = 2 * time.Second
	// startSpace is what a start takes of the disk at least: logs and databases take space ahead, some MiB each.
	startSpace = 32 << 20
)

// watchBus ends the node when its message engine takes no more messages and the disk has space to open it anew, which is all that helps: who
// starts the node again has a whole one. Until there is space a start would fail, and what is indexed can still be searched.
func (n *Node) watchBus(ctx context.Context) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		failed := n.bus.WriteError()
		if failed == nil {
			continue
		}
		if free, _, err := durable.FreeSpace(n.cfg.Data); err == nil && int64(free) >= max(n.cfg.Crawl.FreeSpace, startSpace) {
			dir := n.path("bus")
			if n.clustered() {
				dir = n.path(clusterDir, "bus")
			}
			return fmt.Errorf("message bus in %s: %w: start the node again", dir, failed)
		}
	}
}
