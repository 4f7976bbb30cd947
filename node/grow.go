package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
		place, door := n.place, n.door
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
	if n.place == nil && n.cfg.NATS == "" {
		return n.openAlone(ctx)
	}
	if n.place == nil { // the operator's own engine: what is here moves to it at once
		if err := n.openAlone(ctx); err != nil {
			return err
		}
		if err := n.found(ctx); err != nil {
			return err
		}
		n.bus.Close()
		if err := n.place.set(growing, nil); err != nil {
			return err
		}
	}
	if n.identity == nil {
		if err := n.openIdentity(); err != nil {
			return err
		}
	}
	if n.place.is(founder) {
		return n.openAlone(ctx)
	}
	if err := n.openEarly(); err != nil {
		return err
	}
	defer n.closeEarly()
	switch {
	case n.place.is(growing):
		return n.grow(ctx)
	case n.place.is(joining):
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
	if n.leases, err = n.bus.Leases(ctx); err != nil || n.place == nil {
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
	n.cfg.Logger.Info("growing: waiting for the other nodes", "at", n.place.others())
	for {
		err = n.growInto(ctx, cfg)
		if err == nil {
			if err = n.place.set(settled, n.place.others()); err == nil {
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
	if err := n.place.set(founder, nil); err != nil {
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

// errTurnedAway says that the first node works alone again, so that there is no cluster to wait in.
var errTurnedAway = errors.New("the first node went back to working alone")

// awaitCluster waits at the doors of others until the cluster works, and becomes one of it. When it does not come about the node waits at
// the doors again.
func (n *Node) awaitCluster(ctx context.Context) error {
	for {
		if err := n.awaitGo(ctx); err != nil {
			return err
		}
		err := n.comeIn(ctx)
		if err == nil {
			n.door.open()
			return n.place.set(settled, n.place.others())
		}
		if !errors.Is(err, errTurnedAway) {
			return err
		}
		n.cfg.Logger.Warn("the cluster did not come about; this node waits at its door again", "because", err)
	}
}

// comeIn opens the engine as one of the nodes that form the cluster, and waits until the first node says that it works. Errors:
// errTurnedAway, with nothing open.
func (n *Node) comeIn(ctx context.Context) error {
	return n.whileWelcome(ctx, func(ctx context.Context) error {
		for _, step := range []func(context.Context) error{n.openEngine, n.awaitMoved, n.openDirectory, n.awaitReady} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// whileWelcome opens what do opens, unless a node that knows says at its door that there is no cluster, or that this node is none of it any
// more: an engine that waits for the others does not hear of that. When it fails nothing is open.
func (n *Node) whileWelcome(ctx context.Context, do func(context.Context) error) error {
	inside, leave := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		for sleep(inside, askEvery) == nil {
			a, err := n.askReady(inside, n.place.others())
			switch {
			case concord.KindOf(err) == concord.Unauthorized:
				leave(err)
			case err == nil && !a.Go && !a.Waits && n.place.is(joining):
				leave(errTurnedAway)
			}
		}
	})
	err := do(inside)
	sentAway := context.Cause(inside)
	leave(nil)
	watch.Wait()
	if err == nil {
		return nil
	}
	if n.bus != nil {
		n.bus.Close()
		n.bus = nil
		n.directory.set(nil)
	}
	if ctx.Err() == nil && sentAway != nil {
		return sentAway
	}
	return err
}

// awaitGo asks until somebody says that the nodes now form the cluster.
func (n *Node) awaitGo(ctx context.Context) error {
	said := ""
	for {
		a, err := n.askReady(ctx, n.place.others())
		why := a.Why
		if err != nil {
			why = err.Error()
		}
		if err == nil && len(a.Peers) > 0 {
			if err := n.place.set(joining, without(a.Peers, n.cfg.Cluster.advertised())); err != nil {
				return err
			}
		}
		if err == nil && a.Go {
			n.early.waits("the first node moves what it has into the cluster")
			return nil
		}
		if concord.KindOf(err) == concord.Unauthorized {
			return err
		}
		n.early.waits(why)
		if why != said {
			n.cfg.Logger.Info("waiting for the cluster: "+why, "asking", n.place.others())
			said = why
		}
		if err := sleep(ctx, askEvery); err != nil {
			return err
		}
	}
}

// awaitMoved waits until what the first node had is in the engine: until then only that node may make anything there.
func (n *Node) awaitMoved(ctx context.Context) error {
	for {
		if a, err := n.askReady(ctx, n.place.others()); err == nil && a.Moved {
			return nil
		}
		if err := sleep(ctx, askEvery); err != nil {
			return err
		}
	}
}

// awaitReady waits until the first node has saved all partitions: before that, nobody else may take one.
func (n *Node) awaitReady(ctx context.Context) error {
	for said := false; ; said = true {
		_, err := n.directory.Get(ctx, readyName)
		if err == nil {
			return nil
		}
		if kind := concord.KindOf(err); kind != concord.NotFound && kind != concord.Unavailable {
			return err
		}
		if !said {
			n.cfg.Logger.Info("waiting until the first node has saved its partitions")
		}
		if err := sleep(ctx, askEvery); err != nil {
			return err
		}
	}
}

// openMember opens the engine of a node that is one of the cluster's, and the directory in it.
func (n *Node) openMember(ctx context.Context) error {
	return n.whileWelcome(ctx, func(ctx context.Context) error {
		if err := n.openEngine(ctx); err != nil {
			return err
		}
		return n.openDirectory(ctx)
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
