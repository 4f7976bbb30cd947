// Package cluster answers "which node owns what?": it takes the leases of partitions, runs each partition while its
// lease holds, and lets go in time when it does not.
//
// It knows no engine: leases come from whoever implements Leases (package bus does, with compare-and-set).
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"concord"

	"golang.org/x/sync/errgroup"
)

// Partition is a state folded from a log, owned by one node at a time.
type Partition interface {
	// Name names the partition in its cluster: "frontier.3", "shard.0", "attestor".
	Name() string
	// Run loads the last committed state, applies the log from the position stored with it, and goes on until ctx ends;
	// it then returns nil or ctx's error. fence grows with every change of owner: the partition stores it with its state
	// and refuses to run under a smaller one.
	Run(ctx context.Context, fence uint64) error
}

// Leases is the right to own, decided by compare-and-set on revisions.
type Leases interface {
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (revision uint64, err error)
	Renew(ctx context.Context, name, holder string, ttl time.Duration, revision uint64) (uint64, error)
	Release(ctx context.Context, name string, revision uint64) error
}

const (
	// DefaultTTL is how long a lease outlives its last renewal: the time a dead node's partitions stand still.
	DefaultTTL = 8 * time.Second
	// retryPause is the wait between two tries for a lease that another node holds.
	retryPause = time.Second
	// releaseTimeout bounds the goodbye at shutdown; a lease not released just runs out.
	releaseTimeout = time.Second
)

// Keeper owns partitions on behalf of one node.
type Keeper struct {
	Leases Leases
	Node   string        // the holder's name, unique in the cluster
	TTL    time.Duration // default DefaultTTL
	Logger *slog.Logger
}

// errLost ends a partition whose lease another node may have.
var errLost = errors.New("lease lost")

// Run owns the partitions until ctx ends, each as soon as its lease is free. A partition that fails ends Run with its
// error: durable state is then reloaded through a restart, never patched in place.
func (k *Keeper) Run(ctx context.Context, partitions ...Partition) error {
	g, groupCtx := errgroup.WithContext(ctx)
	for _, p := range partitions {
		g.Go(func() error { return k.keep(groupCtx, p) })
	}
	return g.Wait()
}

// keep acquires one partition's lease and runs it, again and again.
func (k *Keeper) keep(ctx context.Context, p Partition) error {
	for ctx.Err() == nil {
		fence, err := k.Leases.Acquire(ctx, p.Name(), k.Node, k.ttl())
		if err != nil {
			if kind := concord.KindOf(err); kind != concord.Conflict && kind != concord.Unavailable && ctx.Err() == nil {
				return fmt.Errorf("own %s: %w", p.Name(), err)
			}
			k.Logger.Debug("lease not free", "partition", p.Name(), "error", err)
			pause(ctx, retryPause)
			continue
		}
		err = k.own(ctx, p, fence)
		if err != nil && !errors.Is(err, errLost) && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", p.Name(), err)
		}
		if errors.Is(err, errLost) {
			k.Logger.Warn("lease lost, standing back", "partition", p.Name())
		}
	}
	return nil
}

// own runs the partition beside the renewal of its lease; whichever ends first ends the other.
func (k *Keeper) own(ctx context.Context, p Partition, fence uint64) error {
	k.Logger.Debug("partition owned", "partition", p.Name(), "fence", fence)
	runCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	renewed := make(chan error, 1)
	revision := fence
	go func() { renewed <- k.renew(runCtx, p.Name(), &revision); cancel() }()
	err := p.Run(runCtx, fence)
	cancel()
	if lost := <-renewed; lost != nil {
		return lost
	}
	release, done := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer done()
	if e := k.Leases.Release(release, p.Name(), revision); e != nil {
		k.Logger.Debug("lease not released, it will run out", "partition", p.Name(), "error", e)
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// renew prolongs the lease every third of its time until ctx ends (nil) or the lease is lost. Two thirds of the time
// after the last success it counts as lost by this node's own monotonic clock, before anybody else can have it.
func (k *Keeper) renew(ctx context.Context, name string, revision *uint64) error {
	last := time.Now()
	for {
		pause(ctx, k.ttl()/3)
		if ctx.Err() != nil {
			return nil
		}
		try, cancel := context.WithDeadline(ctx, last.Add(k.ttl()*2/3))
		asked := time.Now()
		rev, err := k.Leases.Renew(try, name, k.Node, k.ttl(), *revision)
		cancel()
		switch {
		case err == nil:
			*revision, last = rev, asked
		case ctx.Err() != nil:
			return nil
		case concord.KindOf(err) == concord.Conflict, time.Since(last) > k.ttl()*2/3:
			return fmt.Errorf("%w: %w", errLost, err)
		}
	}
}

func (k *Keeper) ttl() time.Duration {
	if k.TTL > 0 {
		return k.TTL
	}
	return DefaultTTL
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
