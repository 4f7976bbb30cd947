package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"concord"
	"concord/attest"
	"concord/cluster"
	"concord/crawl"
	"concord/state"
)

// partition is a cluster.Partition made of a function.
type partition struct {
	name string
	run  func(ctx context.Context, fence uint64) error
}

func (p partition) Name() string                                { return p.name }
func (p partition) Run(ctx context.Context, fence uint64) error { return p.run(ctx, fence) }

const (
	// stopSave bounds the last saving of a partition that goes to another node; endSave that of a process that ends, which has promised to
	// end soon. What is not saved is applied again from the log.
	stopSave = 20 * time.Second
	endSave  = time.Second
	// firstSave is how soon a partition is saved that nobody has saved yet.
	firstSave = 200 * time.Millisecond
)

// partitions are all that this node may own. A node alone has its shards open all the time, and they need no lease.
func (n *Node) partitions() []cluster.Partition {
	list := []cluster.Partition{n.partition(attestorName, n.path("attest"), n.runAttestor)}
	if n.clustered() {
		for i := range n.layout.Shards {
			list = append(list, n.partition(shardName(i), "", func(ctx context.Context, fence uint64) error { return n.saveShard(ctx, i, fence) }))
		}
	}
	for i, f := range n.crawler.Partitions() {
		list = append(list, n.partition(f.Name(), f.Dir(), func(ctx context.Context, fence uint64) error { return n.runFrontier(ctx, i, f, fence) }))
	}
	return list
}

// partition gives a partition its way to go on after what a cluster makes good by itself: a store that does not answer for a while, and a state
// on this machine's disk that turns out to be damaged, which the saved one replaces. It then gives its lease back, and whoever takes it next begins
// again. dir has the state that belongs to the owner alone; empty: there is none. A node alone ends with the error.
func (n *Node) partition(name, dir string, run func(context.Context, uint64) error) cluster.Partition {
	if !n.clustered() {
		return partition{name, run}
	}
	return partition{name, func(ctx context.Context, fence uint64) error {
		err := run(ctx, fence)
		switch kind := concord.KindOf(err); {
		case err == nil:
			return nil
		case kind == concord.Corrupt:
			n.cfg.Logger.Error("the state of a partition is damaged, the saved one takes its place", "partition", name, "error", err)
			if dir == "" {
				break
			}
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		case passes(err): // also when it was told to stop meanwhile, for another node say
			n.cfg.Logger.Warn("a partition cannot go on at the moment", "partition", name, "error", err)
		default:
			return err
		}
		_ = sleep(ctx, copyRetry)
		return nil
	}}
}

// keep owns partitions.
func (n *Node) keep(ctx context.Context) error { return n.keeper.Run(ctx, n.partitions()...) }

// take claims a partition's state and puts it into dir.
func (n *Node) take(ctx context.Context, name, dir string, fence uint64, peek state.Peek) (*state.Owner, error) {
	o, err := n.states.Claim(ctx, name, fence)
	if err != nil {
		return nil, err
	}
	in, err := o.Load(ctx, dir, peek)
	if err != nil {
		return nil, err
	}
	n.cfg.Logger.Info("partition taken", "partition", name, "fence", fence, "state", in.How.String(), "position", in.Position, "took", in.Took.Round(time.Millisecond))
	return o, nil
}

func (n *Node) runFrontier(ctx context.Context, i int, f *crawl.Frontier, fence uint64) error {
	if !n.clustered() {
		return f.Run(ctx, fence)
	}
	return n.mended(ctx, f.Name(), f.Dir(), func() error { return n.runSharedFrontier(ctx, i, f, fence) })
}

func (n *Node) runSharedFrontier(ctx context.Context, i int, f *crawl.Frontier, fence uint64) error {
	o, err := n.take(ctx, f.Name(), f.Dir(), fence, crawl.Peek)
	if err != nil {
		return err
	}
	saved := func(s state.Saved) {
		if s.TrimTo <= 1 {
			return
		}
		// The newest message stays: it says how far the log has come.
		if err := n.frontier.Trim(ctx, concord.FrontierSubject(i), s.TrimTo-1); err != nil && ctx.Err() == nil {
			n.cfg.Logger.Debug("log not trimmed, it will be next time", "partition", f.Name(), "error", err)
		}
	}
	return n.runSaved(ctx, o, f, saved, func(ctx context.Context) error { return f.Run(ctx, fence) })
}

// runSaved runs a partition beside the saving of its state. It is saved once more before it is told to stop, so that the next owner has less
// to do; unless its lease is lost: then it stops at once.
func (n *Node) runSaved(ctx context.Context, o *state.Owner, src state.Source, saved func(state.Saved), run func(context.Context) error) error {
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	keepCtx, stopKeeping := context.WithCancel(ctx)
	defer stopKeeping()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := n.keepSaved(keepCtx, o, src, saved); err != nil {
			stop(err)
		}
	})
	wg.Go(func() {
		select {
		case <-work.Done():
			return
		case <-ctx.Done():
		}
		if context.Cause(ctx) == context.Canceled {
			n.saveLast(ctx, o, src)
		}
		stop(context.Cause(ctx))
	})
	err := run(work)
	stop(err)
	stopKeeping()
	wg.Wait()
	if cause := context.Cause(work); cause != nil && !errors.Is(cause, context.Canceled) && ctx.Err() == nil {
		return cause
	}
	return err
}

func (n *Node) keepSaved(ctx context.Context, o *state.Owner, src state.Source, saved func(state.Saved)) error {
	for len(o.Manifest().States) == 0 && ctx.Err() == nil {
		_, err := o.SaveFrom(ctx, src)
		if err == nil || ctx.Err() != nil {
			break
		}
		if concord.KindOf(err) != concord.Unavailable {
			return err
		}
		_ = sleep(ctx, firstSave)
	}
	return o.Keep(ctx, src, n.cfg.Cluster.Save, saved)
}

func (n *Node) saveLast(ctx context.Context, o *state.Owner, src state.Source) {
	patience := stopSave
	if n.ending.Err() != nil {
		patience = endSave
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if _, err := o.SaveFrom(last, src); err != nil {
		n.cfg.Logger.Debug("state not saved at the end, its log has the rest", "error", err)
	}
}

// saveShard saves the copy of a shard that is kept here, as the owner of the shard.
func (n *Node) saveShard(ctx context.Context, i int, fence uint64) error {
	o, err := n.states.Claim(ctx, shardName(i), fence)
	if err != nil {
		return err
	}
	for {
		err := n.saveCopy(ctx, o, i)
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// saveCopy waits until the copy is open, and saves it until ctx ends or the copy was closed.
func (n *Node) saveCopy(ctx context.Context, o *state.Owner, i int) error {
	var src copySource
	for !src.open(n.copies, i) {
		if sleep(ctx, firstSave) != nil {
			return nil
		}
	}
	o.Adopt(n.path("shard", fmt.Sprint(i)))
	work, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for sleep(work, time.Second) == nil {
			if src.closed() {
				stop()
			}
		}
	}()
	err := n.keepSaved(work, o, src, nil)
	if ctx.Err() != nil && context.Cause(ctx) == context.Canceled {
		n.saveLast(ctx, o, src)
	}
	return err
}

// copySource is the copy of a shard as something to save. It may be closed at any time.
type copySource struct{ copy *shardCopy }

func (c *copySource) open(all *copies, i int) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	c.copy = all.open[i]
	return c.copy != nil
}

func (c copySource) closed() bool {
	c.copy.using.RLock()
	defer c.copy.using.RUnlock()
	return c.copy.shard == nil
}

func (c copySource) Position() uint64 { return c.copy.position() }

func (c copySource) Checkpoint(ctx context.Context, dir string) (uint64, error) {
	c.copy.using.RLock()
	defer c.copy.using.RUnlock()
	if c.copy.shard == nil {
		return 0, concord.Errorf(concord.Unavailable, "the copy of the shard is closed")
	}
	return c.copy.shard.Checkpoint(ctx, dir)
}

// attestorHere is the attestor while this node owns it.
type attestorHere struct {
	using sync.RWMutex
	a     *attest.Attestor
}

func (h *attestorHere) set(a *attest.Attestor) {
	h.using.Lock()
	defer h.using.Unlock()
	h.a = a
}

// get returns the attestor; release must be called when it is not used any more.
func (h *attestorHere) get() (a *attest.Attestor, release func(), ok bool) {
	h.using.RLock()
	if h.a == nil {
		h.using.RUnlock()
		return nil, nil, false
	}
	return h.a, h.using.RUnlock, true
}

func (n *Node) attestConfig() attest.Config {
	var l attest.Ledger = n.chain
	if n.chain == nil {
		l = attestedLedger{n.remoteLedger, n.followKeys}
	}
	return attest.Config{Dir: n.path("attest"), Log: n.captures, Ledger: l, Keys: n.keys, Operator: n.layout.Operator, Window: n.cfg.BatchWindow, MaxWindow: n.cfg.BatchWindowMax,
		Keep: n.keepBatch, Trace: n.tracer, Logger: n.log("attest")}
}

func (n *Node) runAttestor(ctx context.Context, fence uint64) error {
	if !n.clustered() {
		a, release, ok := n.attestor.get()
		if !ok {
			return concord.Errorf(concord.Internal, "the attestor is not open")
		}
		defer release()
		return a.Run(ctx)
	}
	return n.mended(ctx, attestorName, n.path("attest"), func() error { return n.runSharedAttestor(ctx, fence) })
}

func (n *Node) runSharedAttestor(ctx context.Context, fence uint64) error {
	o, err := n.take(ctx, attestorName, n.path("attest"), fence, attest.Peek)
	if err != nil {
		return err
	}
	cfg := n.attestConfig()
	var a *attest.Attestor
	cfg.Save = func(ctx context.Context) error {
		_, err := o.SaveFrom(ctx, a)
		return err
	}
	if a, err = attest.Open(cfg); err != nil {
		return err
	}
	n.attestor.set(a)
	err = n.runSaved(ctx, o, a, nil, func(ctx context.Context) error {
		trim, stop := context.WithCancel(ctx)
		defer stop()
		go n.trimLoop(trim, o)
		go n.scrubLoop(trim)
		return a.RunOwned(ctx, fence)
	})
	n.attestor.set(nil)
	return errors.Join(err, a.Close())
}
