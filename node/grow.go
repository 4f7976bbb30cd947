package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"concord"
	"concord/bus"
)

// How one node becomes many. While fewer nodes are here than a cluster needs, the first works alone and the others wait at its door. Once
// enough wait, the first ends its run and opens again: it moves its streams into the cluster (bus.Grow), and goes on as the only owner of all
// partitions. When each of them has been saved to the cluster's blobs, it says that the cluster is ready; from then on the others take their
// share. A kill at any moment is made good by the next start: membership.Stage says how far it was.

// errReopen ends a run that is to be begun anew with what changed on disk.
var errReopen = errors.New("the node opens again")

const (
	// growPatience bounds how long the first node waits for the others to form the cluster. It then goes on alone and tries again.
	growPatience = 90 * time.Second
	// growAgain is the least time between two tries: the node serves nobody while it tries.
	growAgain = time.Minute
	// growRetry is the wait before the end of growing is tried again, when there is no way back.
	growRetry = time.Second
	growLook  = time.Second
)

// watchGrowth ends the run of a node that is alone when enough others wait at its door.
func (n *Node) watchGrowth(ctx context.Context) error {
	if n.clustered() {
		return nil
	}
	tick := time.NewTicker(growLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		n.placeMu.Lock()
		place, door := n.place.Load(), n.door
		n.placeMu.Unlock()
		if place == nil || door == nil || time.Since(n.growthFailed) < growAgain {
			continue
		}
		here := door.here()
		if 1+len(here) < n.needs() {
			continue
		}
		if err := place.set(growing, here); err != nil {
			return err
		}
		n.cfg.Logger.Info("enough nodes are here: this node moves what it has into the cluster", "nodes", 1+len(here))
		return errReopen
	}
}

// openBus opens the message engine: of this node alone, or as one of the cluster.
func (n *Node) openBus(ctx context.Context) (err error) {
	if n.place.Load() == nil && n.cfg.NATS == "" {
		return n.openAlone(ctx)
	}
	if n.place.Load() == nil { // the operator's own engine: what is here moves to it at once
		if err := n.openAlone(ctx); err != nil {
			return err
		}
		if err := n.found(ctx); err != nil {
			return err
		}
		n.bus.Close()
		if err := n.place.Load().set(growing, nil); err != nil {
			return err
		}
	}
	if n.identity == nil {
		if err := n.openIdentity(); err != nil {
			return err
		}
	}
	if n.place.Load().is(founder) {
		return n.openAlone(ctx)
	}
	if err := n.openEarly(); err != nil {
		return err
	}
	defer n.closeEarly()
	switch {
	case n.place.Load().is(growing):
		return n.grow(ctx)
	case n.place.Load().is(joining):
		return n.awaitCluster(ctx)
	}
	n.removeOld()
	return n.openMember(ctx)
}

func (n *Node) openAlone(ctx context.Context) error {
	if err := n.notLost("bus", makeAgain, "archive", "attest", "shard", "frontier"); err != nil {
		return err
	}
	cfg, err := n.busConfig(true)
	if err != nil {
		return err
	}
	if n.bus, err = bus.Open(ctx, cfg); err != nil {
		return err
	}
	if n.leases, err = n.bus.Leases(ctx); err != nil || n.place.Load() == nil {
		return err
	}
	m, err := n.bus.Manifests(ctx, directoryBucket)
	if err != nil {
		return err
	}
	n.directory.set(m)
	return n.registry.Register(ctx, n.identity)
}

// grow moves this node's streams into the cluster. When the others do not come, or go away, the node goes on alone, unless all is moved
// already: then it waits for them.
func (n *Node) grow(ctx context.Context) error {
	cfg, err := n.busConfig(false)
	if err != nil {
		return err
	}
	n.cfg.Logger.Info("growing: waiting for the other nodes", "at", n.place.Load().others())
	for {
		err = n.growInto(ctx, cfg)
		if err == nil {
			if err = n.place.Load().set(settled, n.place.Load().others()); err == nil {
				n.door.open()
				n.removeOld()
			}
			return err
		}
		moved, movedErr := bus.Moved(n.path("bus"))
		if movedErr != nil || ctx.Err() != nil {
			return errors.Join(err, movedErr)
		}
		if !moved {
			break
		}
		if concord.KindOf(err) != concord.Unavailable {
			return err
		}
		n.cfg.Logger.Warn("all is moved into the cluster, which is away at the moment; trying again", "error", err)
		n.early.waits("all is moved into the cluster, which is away at the moment")
		if err := sleep(ctx, growRetry); err != nil {
			return err
		}
	}
	n.cfg.Logger.Warn("the cluster did not come about; this node goes on alone and tries again", "error", err)
	n.growthFailed = time.Now()
	n.door.shut()
	if err := n.place.Load().set(founder, nil); err != nil {
		return err
	}
	return n.openAlone(ctx)
}

func (n *Node) growInto(ctx context.Context, cfg bus.Config) error {
	moved, err := bus.Moved(n.path("bus"))
	if err != nil {
		return err
	}
	patience, cancel := ctx, context.CancelFunc(func() {})
	if !moved {
		patience, cancel = context.WithTimeout(ctx, growPatience)
	}
	defer cancel()
	b, err := bus.Open(patience, cfg)
	if err != nil {
		return err
	}
	told := time.Now()
	err = bus.Grow(ctx, n.path("bus"), b, func(p bus.GrowProgress) {
		n.early.grows(p)
		if time.Since(told) > time.Second || p.Stage == "done" {
			told = time.Now()
			n.cfg.Logger.Info("growing", "stage", p.Stage, "stream", p.Stream, "done", p.Done, "of", p.Total)
		}
	})
	if err == nil {
		n.bus = b
		err = n.openDirectory(ctx)
	}
	if err != nil {
		n.bus = nil
		b.Close()
	}
	return err
}

// epochPatience bounds the question whether the cluster was made again meanwhile.
const epochPatience = 3 * time.Second

// sameEpoch refuses to go on with what was before the cluster was made again from its archive. Where nobody answers, the message engine finds
// nobody either.
func (n *Node) sameEpoch(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, epochPatience)
	defer cancel()
	a, err := n.askReady(ask, n.place.Load().others())
	if err == nil && a.Epoch > n.place.Load().epoch() {
		return concord.Errorf(concord.Conflict, "the cluster was made again from its archive, and this node has logs and states from before: run concord rebuild --rejoin here, which keeps its archive, and start it again")
	}
	return nil
}

// openMember opens the engine of a node that is one of the cluster's, and the directory in it.
func (n *Node) openMember(ctx context.Context) error {
	if err := n.sameEpoch(ctx); err != nil {
		return err
	}
	return n.whileWelcome(ctx, func(ctx context.Context) error {
		if err := n.openEngine(ctx); err != nil {
			return err
		}
		return n.whileTooFew(ctx, n.openDirectory)
	})
}

// openEngine opens the engine as one of the cluster's. It waits for a majority of the nodes.
func (n *Node) openEngine(ctx context.Context) error {
	cfg, err := n.busConfig(false)
	if err != nil {
		return err
	}
	if n.bus, err = bus.Open(ctx, cfg); err != nil {
		n.bus = nil
	}
	return err
}

func (n *Node) openDirectory(ctx context.Context) error {
	m, err := n.bus.Manifests(ctx, directoryBucket)
	if err != nil {
		return fmt.Errorf("open the directory of the cluster: %w", err)
	}
	n.directory.set(m)
	n.leases, err = n.bus.Leases(ctx)
	return err
}

func without(list []string, s string) []string {
	var out []string
	for _, x := range list {
		if x != s {
			out = append(out, x)
		}
	}
	return out
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
