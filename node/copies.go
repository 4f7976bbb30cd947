package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"concord"
	"concord/cluster"
	"concord/shard"
	"concord/state"
)

// Every shard is kept on some nodes: on this one when it is alone, else on those that cluster.Replicas names. Each folds the shard's log by
// itself and answers for it; the one with the lease also saves the state for others to begin with.

// copies are the shards that are kept here. It is safe for concurrent use.
type copies struct {
	n *Node

	mu      sync.Mutex
	open    map[int]*shardCopy
	loading map[int]bool
}

// shardCopy is one of them.
type shardCopy struct {
	id    int
	using sync.RWMutex // held while the shard is read; whole while it is closed
	shard *shard.Shard // nil while it is closed

	born uint64 // last message of the log when it was opened: before that is applied it is no use to others
}

const (
	// copiesEvery is how often is looked which shards should be kept here, beside every change of the members.
	copiesEvery = 2 * time.Second
	// copyGrace is how long a copy is kept that is not needed any more: nodes come back.
	copyGrace = time.Minute
	// copyRetry is the wait before a copy is opened again that could not be.
	copyRetry = 2 * time.Second
)

func shardName(i int) string { return shardPrefix + fmt.Sprint(i) }

func newCopies(n *Node) *copies {
	return &copies{n: n, open: map[int]*shardCopy{}, loading: map[int]bool{}}
}

// openShard opens the state of a shard on this machine, or that which others have saved.
func (c *copies) openShard(ctx context.Context, i int) (*shardCopy, error) {
	n := c.n
	dir := n.path("shard", fmt.Sprint(i))
	if n.clustered() {
		if err := c.load(ctx, i, dir); err != nil {
			return nil, err
		}
	}
	s, err := shard.Open(ctx, shard.Config{Dir: dir, Shard: i, Node: n.layout.Node, Log: n.shardLog(i), Reextract: n.reextract, Trace: n.tracer, Logger: n.log("shard")})
	if err != nil {
		return nil, err
	}
	born, err := n.captures.Last(ctx, concord.CaptureSubject(i))
	if err == nil && !n.clustered() {
		err = n.trimmed.covered(i, s.Position())
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &shardCopy{id: i, shard: s, born: born}, nil
}

// load puts the saved state into the directory, unless what is there is as good.
func (c *copies) load(ctx context.Context, i int, dir string) error {
	in, err := c.n.states.Load(ctx, shardName(i), dir, shard.Peek)
	if concord.KindOf(err) == concord.NotFound {
		return nil // nobody has saved it yet: the log has all of it
	}
	if err == nil && in.How != state.Kept {
		c.n.cfg.Logger.Info("copy of a shard loaded", "shard", i, "how", in.How.String(), "position", in.Position, "bytes", in.DownloadedBytes, "took", in.Took.Round(time.Millisecond))
	}
	return err
}

// add makes a shard that was opened one that is kept here.
func (c *copies) add(s *shardCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[s.id] = s
}

// get returns the copy of a shard; release must be called when it is not used any more.
func (c *copies) get(i int) (s *shard.Shard, release func(), ok bool) {
	c.mu.Lock()
	x := c.open[i]
	c.mu.Unlock()
	if x == nil {
		return nil, nil, false
	}
	x.using.RLock()
	if x.shard == nil {
		x.using.RUnlock()
		return nil, nil, false
	}
	return x.shard, x.using.RUnlock, true
}

// ready says that there is a copy of a shard that can answer.
func (c *copies) ready(i int) bool {
	c.mu.Lock()
	x := c.open[i]
	c.mu.Unlock()
	return x != nil && x.caughtUp()
}

// list returns the copies that are here, by number.
func (c *copies) list() []*shardCopy {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*shardCopy
	for _, s := range c.open {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *shardCopy) int { return a.id - b.id })
	return list
}

// caughtUp says that the copy has applied what was in the log when it was opened.
func (s *shardCopy) caughtUp() bool {
	s.using.RLock()
	defer s.using.RUnlock()
	return s.shard != nil && s.shard.Position() >= s.born
}

func (s *shardCopy) position() uint64 {
	s.using.RLock()
	defer s.using.RUnlock()
	if s.shard == nil {
		return 0
	}
	return s.shard.Position()
}

// close closes the shard once nobody reads it.
func (s *shardCopy) close() error {
	s.using.Lock()
	defer s.using.Unlock()
	if s.shard == nil {
		return nil
	}
	err := s.shard.Close()
	s.shard = nil
	return err
}

// Close closes all copies. Their runs must have ended.
func (c *copies) Close() error {
	var errs []error
	for _, s := range c.list() {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// run keeps the shards that belong here until ctx ends.
func (c *copies) run(ctx context.Context) error {
	if !c.n.clustered() {
		return c.runAll(ctx)
	}
	failed := make(chan error, c.n.layout.Shards)
	keeping := map[int]*keeping{}
	defer func() {
		for _, k := range keeping {
			k.stop()
			<-k.ended
		}
	}()
	for {
		_, changed := c.n.members.View()
		want := c.wanted()
		for i := range c.n.layout.Shards {
			k := keeping[i]
			switch {
			case want[i] && k == nil:
				keeping[i] = c.keep(ctx, i, failed)
			case want[i]:
				k.idle = time.Time{}
			case k != nil && k.idle.IsZero():
				k.idle = time.Now()
			case k != nil && time.Since(k.idle) > copyGrace && c.elsewhere(i):
				k.stop()
				<-k.ended
				delete(keeping, i)
				c.drop(i)
			}
		}
		c.tell()
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-changed:
		case <-time.After(copiesEvery):
		}
	}
}

// runAll runs the copies of a node alone, which are open all the time.
func (c *copies) runAll(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, s := range c.list() {
		wg.Go(func() {
			if err := s.shard.Run(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", shardName(s.id), err))
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// keeping is the work on one copy.
type keeping struct {
	stop  context.CancelFunc
	ended chan struct{}
	idle  time.Time // since when the copy does not belong here any more; zero: it does
}

// keep opens a shard and runs it until it is told to stop, again and again: what is damaged, or has fallen behind its log, is loaded anew.
func (c *copies) keep(ctx context.Context, i int, failed chan<- error) *keeping {
	ctx, cancel := context.WithCancel(ctx)
	k := &keeping{stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(k.ended)
		for ctx.Err() == nil {
			err := c.runOne(ctx, i)
			if ctx.Err() != nil {
				return
			}
			switch kind := concord.KindOf(err); {
			case damagedState(err):
				c.n.cfg.Logger.Error("the copy of a shard is of no use, it is made anew", "shard", i, "error", err)
				c.drop(i)
			case passes(err), kind == concord.Conflict: // it is loaded again where its log has gone on without it
				c.n.cfg.Logger.Warn("the copy of a shard cannot be kept at the moment", "shard", i, "error", err)
			default:
				failed <- fmt.Errorf("%s: %w", shardName(i), err)
				return
			}
			_ = sleep(ctx, copyRetry)
		}
	}()
	return k
}

// passes says that a member need not end for an error, since it passes by itself, or others do the work meanwhile: a store does not answer, or
// this node's disk is full.
func passes(err error) bool {
	return concord.KindOf(err) == concord.Unavailable || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func (c *copies) runOne(ctx context.Context, i int) error {
	c.setLoading(i, true)
	s, err := c.openShard(ctx, i)
	if err == nil {
		c.add(s)
	}
	c.setLoading(i, false)
	if err != nil {
		return err
	}
	err = s.shard.Run(ctx)
	c.mu.Lock()
	delete(c.open, i)
	c.mu.Unlock()
	c.tell()
	return errors.Join(err, s.close())
}

func (c *copies) setLoading(i int, on bool) {
	c.mu.Lock()
	c.loading[i] = on
	c.mu.Unlock()
	c.tell()
}

// drop deletes the files of a copy that is closed.
func (c *copies) drop(i int) {
	if err := os.RemoveAll(c.n.path("shard", fmt.Sprint(i))); err != nil {
		c.n.cfg.Logger.Warn("the files of a copy are left", "shard", i, "error", err)
	}
}

// wanted returns the shards that this node should keep: its share of the copies, and what it owns.
func (c *copies) wanted() map[int]bool {
	v := c.n.view()
	want := map[int]bool{}
	replicas := cluster.Replicas(c.n.partitionNames(), v.Candidates(), c.n.cfg.Cluster.Replicas)
	for i := range c.n.layout.Shards {
		_, owned := c.n.keeper.Owned(shardName(i))
		want[i] = owned || slices.Contains(replicas[shardName(i)], c.n.layout.Node)
	}
	return want
}

// elsewhere says that as many other nodes as should answer for a shard do.
func (c *copies) elsewhere(i int) bool {
	return len(c.n.serving(i)) >= min(c.n.cfg.Cluster.Replicas, len(c.n.view().Candidates()))
}

// serving returns the other live nodes that answer for a shard.
func (n *Node) serving(i int) []string {
	var list []string
	for _, m := range n.view().Members {
		if m.Live && m.Name != n.layout.Node && slices.ContainsFunc(m.Serves, func(r cluster.Replica) bool { return r.Partition == shardName(i) && !r.Behind }) {
			list = append(list, m.Name)
		}
	}
	return list
}

// tell tells the other nodes which shards this one answers for.
func (c *copies) tell() {
	if c.n.members == nil {
		return
	}
	var serves []cluster.Replica
	for i := range c.n.layout.Shards {
		c.mu.Lock()
		s, loading := c.open[i], c.loading[i]
		c.mu.Unlock()
		switch {
		case s != nil:
			serves = append(serves, cluster.Replica{Partition: shardName(i), Position: s.position(), Behind: !s.caughtUp()})
		case loading: // where it will begin is not known yet: the log stays as it is
			serves = append(serves, cluster.Replica{Partition: shardName(i), Behind: true})
		}
	}
	c.n.members.Update(func(r *cluster.Record) { r.Serves = serves })
}

// shardNumber reads the name of a shard's partition.
func shardNumber(name string) (int, bool) {
	rest, ok := strings.CutPrefix(name, shardPrefix)
	var i int
	if _, err := fmt.Sscanf(rest, "%d", &i); !ok || err != nil {
		return 0, false
	}
	return i, true
}
