package node

import (
	"context"
	"errors"
	"sync"

	"concord"
)

// How a node that joined waits for its cluster: at the doors until the first node grows, then inside, with its engine open, until all is moved
// and saved. It goes on asking at the doors, so that it comes back out when the cluster does not come about.

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
			err = n.registry.Register(ctx, n.identity) // it is on record already, unless the cluster was made again
		}
		if err == nil {
			n.door.open()
			return n.place.Load().set(settled, n.place.Load().others())
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
			a, err := n.askReady(inside, n.place.Load().others())
			switch {
			case concord.KindOf(err) == concord.Unauthorized:
				leave(err)
			case err == nil && !a.Go && !a.Waits && n.place.Load().is(joining):
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
		a, err := n.askReady(ctx, n.place.Load().others())
		why := a.Why
		if err != nil {
			why = err.Error()
		}
		if err == nil && len(a.Peers) > 0 {
			if err := n.place.Load().set(joining, without(a.Peers, n.cfg.Cluster.advertised())); err != nil {
				return err
			}
		}
		if err == nil && a.Go {
			n.early.waits("the first node moves what it has into the cluster")
			return n.place.Load().enter(a.Epoch)
		}
		if concord.KindOf(err) == concord.Unauthorized {
			return err
		}
		n.early.waits(why)
		if why != said {
			n.cfg.Logger.Info("waiting for the cluster: "+why, "asking", n.place.Load().others())
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
		if a, err := n.askReady(ctx, n.place.Load().others()); err == nil && a.Moved {
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
