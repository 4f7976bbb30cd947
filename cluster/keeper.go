package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"concord"

	"golang.org/x/sync/errgroup"
)

// Keeper owns partitions on behalf of one node. With Members it owns those that are assigned to it; without, the node is
// alone and owns all of them. Its fields are set before Run.
type Keeper struct {
	Leases  Leases
	Node    string        // the holder's name, unique in the cluster
	TTL     time.Duration // of a lease; the same on all nodes; default DefaultTTL
	Members *Members      // nil: this node is alone
	Settle  time.Duration // default DefaultSettle
	Logger  *slog.Logger

	once     sync.Once
	handover chan struct{} // one token: partitions are handed over one after the other

	mu      sync.Mutex
	held    map[string]*hold
	plan    map[string]step
	lost    time.Time     // when a lease was lost last
	losses  uint64        // how many were
	changed chan struct{} // closed with the next change of plan
}

// hold is a partition this node has the lease of.
type hold struct {
	Holding
	until time.Time // by the monotonic clock: then the lease counts as lost
}

// errLost ends a partition whose lease another node may have.
var errLost = errors.New("lease lost")

func (k *Keeper) init() {
	k.once.Do(func() {
		k.held, k.changed = map[string]*hold{}, make(chan struct{})
		k.handover = make(chan struct{}, 1)
		k.handover <- struct{}{}
	})
}

// Run owns partitions until ctx ends: each that is this node's as soon as its lease is free. partitions are all there are,
// the same on every node. A partition that fails ends Run with its error: durable state is then reloaded through a restart,
// never patched in place. At the end it waits until all partitions have stopped, and gives their leases back.
func (k *Keeper) Run(ctx context.Context, partitions ...Partition) error {
	k.init()
	g, groupCtx := errgroup.WithContext(ctx)
	if k.Members != nil {
		names := make([]string, len(partitions))
		for i, p := range partitions {
			names[i] = p.Name()
		}
		g.Go(func() error { k.planLoop(groupCtx, names); return nil })
	}
	for _, p := range partitions {
		g.Go(func() error { return k.keep(groupCtx, p) })
	}
	return g.Wait()
}

// Owned returns the fence under which this node runs a partition now, and false as soon as its lease may have run out: by
// this node's monotonic clock, or by its wall clock, which goes on while a machine sleeps. It costs a lock and a look at the clock:
// check it before every effect that no compare-and-set guards, such as a request to somebody's server, so that a process
// that stood still finds out first.
func (k *Keeper) Owned(partition string) (fence uint64, ok bool) {
	k.init()
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.held[partition]
	if h == nil {
		return 0, false
	}
	now := time.Now()
	if !now.Before(h.until) || !now.Round(0).Before(h.until.Round(0)) { // Round takes the monotonic reading off
		return 0, false
	}
	return h.Fence, true
}

// Lost returns how many leases this node lost before it had given the partition up.
func (k *Keeper) Lost() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.losses
}

// keep acquires one partition's lease when it is this node's turn and runs it, again and again.
func (k *Keeper) keep(ctx context.Context, p Partition) error {
	for ctx.Err() == nil {
		s, changed := k.step(p.Name())
		if !s.take {
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		fence, asked, err := k.acquire(ctx, p.Name())
		if err != nil {
			if kind := concord.KindOf(err); kind != concord.Conflict && kind != concord.Unavailable && ctx.Err() == nil {
				return fmt.Errorf("own %s: %w", p.Name(), err)
			}
			k.Logger.Debug("lease not free", "partition", p.Name(), "error", err)
			pause(ctx, min(retryPause, k.ttl()/4))
			continue
		}
		if err = k.own(ctx, p, fence, asked); errors.Is(err, errLost) {
			k.Logger.Warn("lease lost, standing back", "partition", p.Name(), "error", err)
		} else if err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", p.Name(), err)
		}
	}
	return nil
}

// acquire tries for a lease, for a part of its time only: what is left has to be worth something.
func (k *Keeper) acquire(ctx context.Context, name string) (fence uint64, asked time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.ttl()/3)
	defer cancel()
	asked = time.Now()
	fence, err = k.Leases.Acquire(ctx, name, k.Node, k.ttl())
	if errors.Is(err, context.DeadlineExceeded) {
		err = concord.Errorf(concord.Unavailable, "%w", err)
	}
	return fence, asked, err
}

// own runs the partition under its lease until it is lost (errLost), another node is to have it (nil), or it returns by itself.
func (k *Keeper) own(ctx context.Context, p Partition, fence uint64, asked time.Time) error {
	name := p.Name()
	k.Logger.Debug("partition owned", "partition", name, "fence", fence)
	k.setHeld(&hold{Holding{Partition: name, Fence: fence, Since: time.Now().UTC()}, asked.Add(k.safe())})
	given, err := k.run(ctx, p, fence, asked)
	if errors.Is(err, errLost) {
		k.setUnsteady()
	}
	k.setFree(name)
	if given {
		if err == nil {
			k.awaitOwner(ctx, name)
		}
		k.handover <- struct{}{}
	}
	return err
}

// run runs the partition beside the renewal of its lease, which goes on while the partition stops and commits, and gives the
// lease back. given says that the partition was stopped for another node, with the token of handovers in hand.
func (k *Keeper) run(ctx context.Context, p Partition, fence uint64, asked time.Time) (given bool, err error) {
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	renewCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	var lost error
	revision := fence
	wg.Go(func() {
		if lost = k.renew(renewCtx, runCtx.Done(), p.Name(), &revision, asked); lost != nil {
			cancel(lost)
		}
	})
	wg.Go(func() {
		if given = k.awaitTaker(runCtx, p.Name()); given {
			cancel(nil)
		}
	})
	err = p.Run(runCtx, fence)
	cancel(nil)
	stop()
	wg.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	// A partition whose commit was refused may know of the next owner before the renewal does.
	if lost == nil && concord.KindOf(err) == concord.Conflict && !k.stillOurs(ctx, p.Name(), &revision) {
		lost = errLost
	}
	if lost != nil && err != nil {
		lost = fmt.Errorf("%w; the partition ended with: %w", lost, err)
	}
	if lost != nil {
		return given, lost
	}
	k.release(ctx, p.Name(), revision)
	return given, err
}

// stillOurs asks whether the lease is this node's.
func (k *Keeper) stillOurs(ctx context.Context, name string, revision *uint64) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	rev, err := k.Leases.Renew(ctx, name, k.Node, k.ttl(), *revision)
	if err != nil {
		return false
	}
	*revision = rev
	return true
}

func (k *Keeper) release(ctx context.Context, name string, revision uint64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := k.Leases.Release(ctx, name, revision); err != nil {
		k.Logger.Debug("lease not released, it will run out", "partition", name, "error", err)
	}
}

// renew prolongs the lease every third of its time until ctx ends (nil) or the lease is lost. Two thirds of the time
// after the last success it counts as lost by this node's own monotonic clock, before anybody else can have it.
func (k *Keeper) renew(ctx context.Context, stopping <-chan struct{}, name string, revision *uint64, last time.Time) error {
	var patience <-chan time.Time // with a partition that was told to stop
	next := last.Add(k.ttl() / 3)
	for {
		select {
		case <-stopping:
			stopping, patience = nil, time.After(stopPatience)
			continue
		case <-patience:
			return fmt.Errorf("%w: the partition did not stop within %v", errLost, stopPatience)
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(next)):
		}
		end, asked := last.Add(k.safe()), time.Now()
		rev, err := k.renewOnce(ctx, name, *revision, end)
		switch {
		case err == nil:
			*revision, last, next = rev, asked, asked.Add(k.ttl()/3)
			k.prolong(name, asked.Add(k.safe()))
		case ctx.Err() != nil:
			return nil
		case concord.KindOf(err) == concord.Conflict, !time.Now().Before(end):
			return fmt.Errorf("%w: %w", errLost, err)
		default: // try again soon, and the last time when it must have worked
			next = time.Now().Add(k.ttl() / 12)
			if next.After(end) {
				next = end
			}
		}
	}
}

// renewOnce renews the lease before end. A try that is under way when ctx ends has a moment to be answered: whose
// answer is not heard cannot give the lease back, since its revision is not known.
func (k *Keeper) renewOnce(ctx context.Context, name string, revision uint64, end time.Time) (uint64, error) {
	try, cancel := context.WithDeadline(context.WithoutCancel(ctx), end)
	defer cancel()
	defer context.AfterFunc(ctx, func() { pause(try, releaseTimeout); cancel() })()
	return k.Leases.Renew(try, name, k.Node, k.ttl(), revision)
}

// safe is how long after asking for a lease it is certain.
func (k *Keeper) safe() time.Duration { return k.ttl() * 2 / 3 }

func (k *Keeper) ttl() time.Duration {
	if k.TTL > 0 {
		return k.TTL
	}
	return DefaultTTL
}
