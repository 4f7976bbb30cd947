package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/join"

	"golang.org/x/sync/errgroup"
)

const (
	// beatsPerTTL is how often a node writes its heartbeat within the time to live: three may be lost.
	beatsPerTTL = 4
	// sweepsPerTTL is how often it looks who has fallen silent.
	sweepsPerTTL = 8
	// goodbyeTimeout bounds the last word of a node that stops; one that was not heard counts as dead a little later.
	goodbyeTimeout = time.Second
)

// MembersConfig is what Members is made of.
type MembersConfig struct {
	Store concord.Manifests
	// Self is this node: Name, Version, Addrs, Capacity (0 counts as 1; make it negative to own nothing), Generation.
	Self Record
	// TTL is how long a node counts as live after its heartbeat last changed. The same on all nodes. Default DefaultTTL.
	TTL time.Duration
	// Revoke, when set, is called before a node is removed, so that its certificate is refused from then on.
	Revoke func(ctx context.Context, name string) error
	Logger *slog.Logger
}

// Members answers "who is here?". Each node writes a heartbeat into the shared store and watches those of the others. A
// node is dead for an observer when its heartbeat has not changed for the time to live by the observer's own monotonic
// clock; no clock of another machine is believed. Safe for concurrent use.
type Members struct {
	cfg   MembersConfig
	dirty chan struct{} // this node's record changed: beat now

	mu      sync.Mutex
	self    Record
	peers   map[string]*peer
	leaving map[string]*order
	loaded  bool
	watches int           // times the store was watched, see toldOwn
	told    int           // heartbeats of our own that this watch told
	swept   time.Time     // last sweep
	beaten  time.Time     // last accepted heartbeat of our own
	changed chan struct{} // closed with the next change of the view
}

// peer is what is known of another node.
type peer struct {
	Record
	seen     time.Time // when the heartbeat changed last
	live     bool
	watch    int // the last watch that told it
	revision uint64
}

type order struct {
	leaving
	watch int
}

// NewMembers checks the configuration. Run starts the heartbeat.
func NewMembers(cfg MembersConfig) (*Members, error) {
	if cfg.Store == nil || cfg.Logger == nil {
		return nil, concord.Errorf(concord.Invalid, "members: store and logger must be set")
	}
	if err := join.CheckName(cfg.Self.Name); err != nil {
		return nil, err
	}
	if cfg.TTL == 0 {
		cfg.TTL = DefaultTTL
	}
	if cfg.Self.Capacity == 0 {
		cfg.Self.Capacity = 1
	}
	var life [8]byte
	_, _ = rand.Read(life[:]) // never fails
	cfg.Self.Life, cfg.Self.Started = hex.EncodeToString(life[:]), time.Now().UTC()
	return &Members{cfg: cfg, self: cfg.Self, peers: map[string]*peer{}, leaving: map[string]*order{},
		dirty: make(chan struct{}, 1), changed: make(chan struct{})}, nil
}

// Run is a member until ctx ends, and then says goodbye: end it after whatever owns partitions. It survives a store that is
// away for a while. Errors: Unauthorized when this node was removed from the cluster, Conflict when another process runs
// under its name.
func (m *Members) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.beat(ctx) })
	g.Go(func() error { return m.watch(ctx) })
	g.Go(func() error { m.sweepLoop(ctx); return nil })
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// View returns what is known now, and a channel that is closed when there is something new: a member that came, died or
// changed what it owns, wants or serves. Heartbeats alone are nothing new.
func (m *Members) View() (*View, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := &View{Self: m.self.Name, Loaded: m.loaded}
	v.Members = append(v.Members, m.member(m.self, true, time.Now()))
	for _, p := range m.peers {
		v.Members = append(v.Members, m.member(p.Record, p.live, p.seen))
	}
	slices.SortFunc(v.Members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return v, m.changed
}

func (m *Members) member(r Record, live bool, seen time.Time) Member {
	mem := Member{Record: r, Live: live, Seen: seen}
	if o := m.leaving[r.Name]; o != nil {
		mem.Leaving = true
		mem.Removed = o.Removed && r.Generation <= o.Generation
	}
	return mem
}

// Live returns the members that are live, this node included, by name.
func (m *Members) Live() []Member {
	v, _ := m.View()
	return slices.DeleteFunc(v.Members, func(x Member) bool { return !x.Live || x.Removed })
}

// Update changes what this node tells of itself, and tells it at once. change must not keep the record, and replaces
// slices rather than writing into them.
func (m *Members) Update(change func(*Record)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.self
	change(&m.self)
	m.self.Name, m.self.Life, m.self.Beat, m.self.Stopped = was.Name, was.Life, was.Beat, was.Stopped
	if !sameNews(was, m.self) {
		m.announce()
		wake(m.dirty)
	}
}

// LastBeat returns when the cluster last accepted this node's heartbeat: long ago means that it is cut off.
func (m *Members) LastBeat() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.beaten
}

// announce tells who waits on the view that it changed. The caller holds mu.
func (m *Members) announce() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// sweepLoop notices who has fallen silent.
func (m *Members) sweepLoop(ctx context.Context) {
	every := m.cfg.TTL / sweepsPerTTL
	for ctx.Err() == nil {
		pause(ctx, every)
		m.sweep(time.Now(), every)
	}
}

func (m *Members) sweep(now time.Time, every time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// When this process itself stood still, nobody else was silent for that time: they were not heard.
	var blind time.Duration
	if late := now.Sub(m.swept); !m.swept.IsZero() && late > 2*every {
		blind = late - every
	}
	m.swept = now
	died := false
	for name, p := range m.peers {
		p.seen = p.seen.Add(blind)
		if p.seen.After(now) {
			p.seen = now
		}
		if p.live && now.Sub(p.seen) >= m.cfg.TTL {
			p.live, died = false, true
			m.cfg.Logger.Warn("node is silent, counted as dead", "node", name, "silent", now.Sub(p.seen).Round(time.Millisecond))
		}
	}
	if died {
		m.announce()
	}
}

// beat writes this node's heartbeat until ctx ends, and its goodbye.
func (m *Members) beat(ctx context.Context) error {
	b := beater{m: m}
	for {
		err := b.write(ctx, false)
		switch {
		case ctx.Err() != nil:
			goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
			defer cancel()
			if err := b.write(goodbye, true); err != nil {
				m.cfg.Logger.Debug("goodbye not heard", "error", err)
			}
			return nil
		case err != nil && concord.KindOf(err) != concord.Unavailable:
			return fmt.Errorf("heartbeat of node %s: %w", m.cfg.Self.Name, err)
		case err != nil:
			m.cfg.Logger.Warn("heartbeat not accepted, trying again", "error", err)
		}
		timer := time.NewTimer(m.cfg.TTL / beatsPerTTL)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-m.dirty:
			if err != nil { // the store is away: do not run hot
				pause(ctx, m.cfg.TTL/beatsPerTTL/4)
			}
		}
		timer.Stop()
	}
}

// wake makes who waits on c go on once.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
