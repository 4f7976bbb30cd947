package node

import (
	"context"
	"time"

	"concord"
)

// sayReady says that the cluster works, on the first node: once every partition is saved, so that another node can take it.
func (n *Node) sayReady(ctx context.Context) error {
	if !n.clustered() {
		return nil
	}
	said := time.Now()
	for {
		if _, err := n.directory.Get(ctx, readyName); err == nil {
			return nil
		}
		missing := n.unsaved(ctx)
		if missing == 0 {
			if _, err := n.directory.Put(ctx, readyName, []byte("{}"), 0); err == nil || concord.KindOf(err) == concord.Conflict {
				n.cfg.Logger.Info("all partitions are saved: the other nodes take their share")
				return nil
			}
		}
		if time.Since(said) > savingNotice {
			n.cfg.Logger.Info("growing: partitions are being saved", "left", missing)
			said = time.Now()
		}
		if sleep(ctx, time.Second) != nil {
			return nil
		}
	}
}

// savingNotice is how often is said that saving goes on.
const savingNotice = 10 * time.Second

// unsaved counts the partitions that no manifest has a state of.
func (n *Node) unsaved(ctx context.Context) int {
	missing := 0
	for _, p := range n.partitionNames() {
		m, err := n.states.Manifest(ctx, p)
		if err != nil || len(m.States) == 0 {
			missing++
		}
	}
	return missing
}
