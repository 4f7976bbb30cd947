package crawl

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"concord"
	"concord/state"

	"github.com/cockroachdb/pebble/v2"
)

// Where machines share the frontier, each owner of a partition begins with a message in the partition's log and ends with another, once it
// has no request under way. So whoever comes next knows, from the fold alone, whether the one before may still be asking some host: then
// all hosts rest for as long as a request can take, and their own delay from there on.

const (
	// leaveTimeout bounds the goodbye of an owner: well below the time that leases hold, and much above what a commit takes.
	leaveTimeout = time.Second
	// landTimeout is how long requests under way may take when a partition is given up, so that the next owner need not make them again.
	// The lease is prolonged meanwhile.
	landTimeout = 5 * time.Second
	leavePoll   = 2 * time.Millisecond
	// announcePause is the wait before the log is tried again; who takes over has nothing better to do.
	announcePause = 200 * time.Millisecond
)

// ownerRecord says who runs the partition.
type ownerRecord struct {
	Fence uint64 // 0: nobody ever did while it was shared
	Node  string
	Left  bool
	Until int64 // ms: a request of an earlier owner may take until then
}

func (r *ownerRecord) encode() []byte {
	e := &encoder{b: []byte{recordVersion}}
	e.uint(r.Fence)
	e.string(r.Node)
	e.bool(r.Left)
	e.int(r.Until)
	return e.b
}

func decodeOwner(b []byte) (ownerRecord, error) {
	if b == nil {
		return ownerRecord{}, nil
	}
	d := open(b)
	r := ownerRecord{d.uint(), d.string(), d.bool(), d.int()}
	return r, d.end()
}

// owner applies an owner's first or last message. What an owner says after the next one has begun counts no more.
func (a *applier) owner(m *ownerMsg) {
	r := &a.f.owner
	switch {
	case m.Left && m.Fence == r.Fence:
		r.Left = true
	case m.Left || m.Fence <= r.Fence:
		return
	default:
		until := r.Until
		// A process that begins again on its own machine has ended before, and its connections with it.
		if r.Fence != 0 && !r.Left && r.Node != m.Node {
			until = max(until, m.Time+a.f.c.cfg.Politeness.Handover.Milliseconds())
		}
		*r = ownerRecord{Fence: m.Fence, Node: m.Node, Until: until}
	}
	a.t.put([]byte{keyOwner}, r.encode())
}

// announce writes the first message of an owner, where the partition is shared, and returns the number of the last message of the log.
func (f *Frontier) announce(ctx context.Context, fence uint64) (last uint64, err error) {
	for {
		if f.c.cfg.Shared {
			m := &ownerMsg{Fence: fence, Node: f.c.cfg.Node, Time: time.Now().UnixMilli()}
			_, err = f.c.cfg.Frontier.Append(ctx, concord.Message{Subject: f.subject, ID: fmt.Sprintf("%s.owner%d", f.subject, fence), Data: m.encode()})
		}
		if err == nil {
			last, err = f.c.cfg.Frontier.Last(ctx, f.subject)
		}
		if !f.c.cfg.Shared || concord.KindOf(err) != concord.Unavailable || err == nil {
			return last, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(announcePause):
		}
	}
}

// land waits for the requests under way. They are cut short at once where the process ends or something failed, and after a while where the
// partition goes to another machine in order.
func (f *Frontier) land(inOrder bool, cut context.CancelFunc) {
	f.mu.Lock()
	f.stopping = true
	f.mu.Unlock()
	landed := make(chan struct{})
	go func() { f.flights.Wait(); close(landed) }()
	if f.c.cfg.Shared && inOrder {
		tick := time.NewTicker(leavePoll)
		defer tick.Stop()
		for end := time.Now().Add(landTimeout); time.Now().Before(end) && f.holds() && !f.c.committer.ended.Load(); {
			select {
			case <-landed:
				return
			case <-tick.C:
			}
		}
	}
	cut()
	<-landed
}

// leave waits for what was fetched to be on record, as long as it may be, and writes the last message of an owner. No request is under way.
func (f *Frontier) leave(fence uint64) {
	if !f.c.cfg.Shared {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	for f.submitted.Load() > 0 && f.holds() && !f.c.committer.ended.Load() && ctx.Err() == nil {
		time.Sleep(leavePoll)
	}
	m := &ownerMsg{Fence: fence, Node: f.c.cfg.Node, Left: true, Time: time.Now().UnixMilli()}
	_, err := f.c.cfg.Frontier.Append(ctx, concord.Message{Subject: f.subject, ID: fmt.Sprintf("%s.left%d", f.subject, fence), Data: m.encode()})
	if err != nil { // it costs the next owner a wait
		f.c.log.Warn("giving up a partition is not on record", "partition", f.Name(), "error", err)
	}
}

// holds reports whether this machine may act for the partition.
func (f *Frontier) holds() bool { return f.c.cfg.Holds == nil || f.c.cfg.Holds(f.Name()) }

// holdsStill is holds, and that nobody else may have acted since it was run under fence; 0: that is not asked.
func (f *Frontier) holdsStill(fence uint64) bool {
	if !f.holds() || fence == 0 {
		return f.holds()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fence == fence
}

// admit lets something be committed for the partition that no run of it made. Where machines share the frontier it is counted: who gives the
// partition up waits for it, and what comes too late is dropped. Errors: Unavailable when the partition does not run here, or does not know
// yet what its log says.
func (f *Frontier) admit() (fence uint64, err error) {
	if !f.c.cfg.Shared {
		return 0, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running || f.stopping || !f.caught {
		return 0, errElsewhere
	}
	f.submitted.Add(1)
	return f.fence, nil
}

// openShared opens the store of a shared partition. The caller holds f.mu.
func (f *Frontier) openShared() error {
	if !f.c.cfg.Shared {
		return nil
	}
	db, err := openStore(f.c.cfg.Dir, f.Name(), f.c.cache)
	if err != nil {
		return err
	}
	f.using.Lock()
	defer f.using.Unlock()
	f.db = db
	return nil
}

// closeShared closes it, and forgets what another machine will know better. The caller holds f.mu.
func (f *Frontier) closeShared() error {
	if !f.c.cfg.Shared {
		return nil
	}
	f.counts = map[crawlID]*counters{}
	f.c.budget.drop(f.id)
	return f.close()
}

// Dir returns the partition's directory.
func (f *Frontier) Dir() string { return filepath.Join(f.c.cfg.Dir, f.Name()) }

// Position returns the number of the last message of the log that is applied.
func (f *Frontier) Position() uint64 { return f.at() }

// Checkpoint makes dir, which must not exist, hold the state of the running partition as it is now, and returns a position that it reaches
// at least. The partition goes on. It implements state.Source. Errors: Unavailable when the partition does not run here.
func (f *Frontier) Checkpoint(ctx context.Context, dir string) (position uint64, err error) {
	f.mu.Lock()
	position = f.position
	f.mu.Unlock()
	f.using.RLock()
	defer f.using.RUnlock()
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case f.db == nil:
		return 0, errElsewhere
	}
	if err := state.CheckpointPebble(f.db, dir); err != nil {
		return 0, fmt.Errorf("checkpoint of %s: %w", f.Name(), err)
	}
	return position, nil
}

// Peek says where the partition in a directory stands that nobody has open. It implements state.Peek. A partition is the fold of its log
// and of nothing else, so whoever made it, it may be kept while the log reaches back to it. Errors: NotFound when there is none, Corrupt.
func Peek(dir string) (state.Local, error) {
	return state.PeekPebble(dir, func(db *pebble.DB) (state.Local, error) {
		v, err := load(db, []byte{keyPosition})
		if err != nil {
			return state.Local{}, err
		}
		position, fence, err := decodePosition(v)
		return state.Local{Position: position, Fence: fence, Pure: true}, err
	})
}

var _ state.Source = (*Frontier)(nil)
