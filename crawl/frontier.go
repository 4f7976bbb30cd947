package crawl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"concord"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"
)

const (
	// applyBytes is how much of the log is applied under one lock and in one write: some thousand links, a few ms.
	applyBytes = 128 << 10
	// trimEvery is how often the state is synced and the applied part of the log dropped: it bounds the log and the replay
	// after a crash, and costs one sync.
	trimEvery = 30 * time.Second
	// startGrace is how long the first partition waits for the others to catch up, so that a crawl's page limit is held
	// over all of them. In a cluster the others may run elsewhere.
	startGrace = 3 * time.Second
)

// Frontier is one partition of the frontier: the sites that concord.PartitionOf maps to it. It is run by the holder of
// its lease.
type Frontier struct {
	c       *Crawler
	id      int
	subject string
	wakes   chan struct{} // of one element: look for something to do

	// db is nil while the partition is shared and does not run here. Who is not part of a run uses it with mu or using held.
	db        *pebble.DB
	using     sync.RWMutex
	submitted atomic.Int64 // results that wait for the committer

	mu       sync.Mutex
	position uint64 // number of the last message applied
	fence    uint64
	owner    ownerRecord
	counts   map[crawlID]*counters
	applied  chan struct{} // closed and renewed with each batch

	// While it runs:
	running  bool
	caught   bool
	born     uint64 // last message at the start: hosts met before rest once
	floor    int64  // ms of the process: the start
	began    int64  // ms of the machine: the same
	active   map[string]*host
	due      hostHeap
	nextWake int64
	crowded  bool // hosts wait for a place among the active ones
	inFlight map[crawlID]int64
	pending  pending
	flights  sync.WaitGroup
	stopping bool // nothing is applied any more
}

func openFrontier(c *Crawler, id int) (*Frontier, error) {
	f := &Frontier{c: c, id: id, subject: concord.FrontierSubject(id), wakes: make(chan struct{}, 1), applied: make(chan struct{})}
	if c.cfg.Shared {
		f.counts = map[crawlID]*counters{}
		f.reset()
		return f, nil
	}
	db, err := openStore(c.cfg.Dir, f.Name(), c.cache)
	if err != nil {
		return nil, err
	}
	f.db = db
	if err := f.load(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// Name returns the partition's name in its cluster, "frontier.3".
func (f *Frontier) Name() string { return f.subject }

func (f *Frontier) close() error {
	f.using.Lock()
	defer f.using.Unlock()
	if f.db == nil {
		return nil
	}
	err := f.db.Close()
	f.db = nil
	if err != nil {
		return fmt.Errorf("close state of %s: %w", f.Name(), err)
	}
	return nil
}

// load reads what is kept in memory from the store: position, crawls, counters.
func (f *Frontier) load() error {
	v, err := load(f.db, []byte{keyPosition})
	if err != nil {
		return err
	}
	if f.position, f.fence, err = decodePosition(v); err != nil {
		return err
	}
	if v, err = load(f.db, []byte{keyOwner}); err != nil {
		return err
	}
	if f.owner, err = decodeOwner(v); err != nil {
		return err
	}
	f.counts = map[crawlID]*counters{}
	err = scan(f.db, []byte{keyCrawl}, nil, func(k, v []byte) (bool, error) {
		m, err := decodeMessage(v)
		if err != nil {
			return false, err
		}
		crawl, ok := m.(*crawlMsg)
		if !ok {
			return false, concord.Errorf(concord.Corrupt, "crawl record holds another message")
		}
		return true, f.c.learn(crawl)
	})
	if err != nil {
		return err
	}
	err = scan(f.db, []byte{keyCounters}, nil, func(k, v []byte) (bool, error) {
		n, err := decodeCounters(v)
		if err != nil || len(k) != 9 {
			return false, errors.Join(err, concord.Errorf(concord.Corrupt, "counters of a crawl"))
		}
		id := crawlID(binary.BigEndian.Uint64(k[1:]))
		f.counts[id] = n
		f.c.budget.set(id, f.id, n.Pages)
		return true, nil
	})
	f.reset()
	return err
}

// reset empties what only a running partition has.
func (f *Frontier) reset() {
	f.running, f.caught, f.stopping = false, false, false
	f.active, f.due, f.nextWake, f.crowded = map[string]*host{}, nil, 0, false
	f.inFlight = map[crawlID]int64{}
	f.pending.init()
	f.c.budget.forget(f.id)
}

// Run applies the log and fetches until ctx ends or something fails. fence grows with every change of owner: it is
// stored with the state, and a smaller one is a Conflict. Everything that runs on behalf of the partition has ended when
// Run returns.
func (f *Frontier) Run(ctx context.Context, fence uint64) error {
	if err := f.begin(ctx, fence); err != nil {
		return err
	}
	defer f.end()
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	outer := ctx
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := f.c.cfg.Frontier.Follow(ctx, f.subject, f.at(), f.apply)
		if err == nil {
			err = ctx.Err()
		}
		return err
	})
	g.Go(func() error { return f.schedule(ctx, requests) })
	g.Go(func() error { return f.trim(ctx) })
	err := g.Wait()
	f.land(outer.Err() != nil, cut)
	f.leave(fence)
	return err
}

func (f *Frontier) begin(ctx context.Context, fence uint64) error {
	last, err := f.announce(ctx, fence)
	if err != nil {
		return fmt.Errorf("start %s: %w", f.Name(), err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running {
		return concord.Errorf(concord.Conflict, "%s runs already", f.Name())
	}
	if err = f.openShared(); err == nil {
		err = f.start(fence, last)
	}
	if err != nil {
		err = errors.Join(err, f.closeShared())
	}
	return err
}

// start loads the state and makes the partition run. last is the number of the last message in its log.
func (f *Frontier) start(fence, last uint64) error {
	if err := f.load(); err != nil {
		return err
	}
	if fence < f.fence {
		return concord.Errorf(concord.Conflict, "%s was owned under fence %d, %d is too old", f.Name(), f.fence, fence)
	}
	if last < f.position {
		return concord.Errorf(concord.Corrupt, "%s has applied its log up to %d, but the log ends at %d", f.Name(), f.position, last)
	}
	f.fence = fence
	in := f.c.clock.read()
	f.born, f.floor, f.began = last, in.now, in.wall
	t := newTxn(f.db)
	f.restoreActive(t)
	f.putPosition(t)
	if err := t.commit(true); err != nil {
		return err
	}
	f.running, f.caught = true, f.position >= last
	return nil
}

// end leaves nothing of a run in memory.
func (f *Frontier) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.active {
		f.openGate(h) // of those whose request was given up
	}
	f.reset()
	if err := f.closeShared(); err != nil {
		f.c.log.Error("state not closed", "partition", f.Name(), "error", err)
	}
}

func (f *Frontier) at() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position
}

func (f *Frontier) putPosition(t *txn) {
	t.put([]byte{keyPosition}, binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, f.position), f.fence))
}

// wake makes the scheduler look again.
func (f *Frontier) wake() {
	select {
	case f.wakes <- struct{}{}:
	default:
	}
}

// awaitApplied waits until the partition has applied the log up to its own last message at or below seq, ctx ends, or
// it is seen not to run.
func (f *Frontier) awaitApplied(ctx context.Context, seq uint64) {
	last, err := f.c.cfg.Frontier.Last(ctx, f.subject)
	if err != nil {
		return
	}
	for {
		f.mu.Lock()
		done, running, next := f.position >= min(seq, last), f.running, f.applied
		f.mu.Unlock()
		if done || !running {
			return
		}
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
	}
}

// trim syncs the state now and then, and drops what is durable here from the log.
func (f *Frontier) trim(ctx context.Context) error {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	trimmed := f.at()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		position := f.at()
		if position == trimmed {
			continue
		}
		if err := f.db.LogData(nil, pebble.Sync); err != nil {
			return fmt.Errorf("sync state of %s: %w", f.Name(), err)
		}
		if !f.c.cfg.KeepLog && !f.c.cfg.Shared {
			// The newest message stays: it shows at the next start that log and state belong together.
			if err := f.c.cfg.Frontier.Trim(ctx, f.subject, position-1); err != nil {
				f.c.log.Warn("frontier log not trimmed", "partition", f.Name(), "error", err)
				continue
			}
		}
		trimmed = position
	}
}

// counted returns what the partition counts of a crawl, and how many fetches of it are under way.
func (f *Frontier) counted(id crawlID) (counters, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.counts[id]; n != nil {
		return *n, f.inFlight[id]
	}
	return counters{}, 0
}

// lookup returns what is on record of a URL, nil when nothing is.
func (f *Frontier) lookup(url string) (*urlRecord, error) {
	v, err := load(f.db, key(keyURL, url))
	if v == nil || err != nil {
		return nil, err
	}
	return decodeURL(v)
}

// record is lookup for who is not part of a run.
func (f *Frontier) record(url string) (*urlRecord, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lookup(url)
}
