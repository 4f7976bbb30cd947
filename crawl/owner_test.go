package crawl

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concord"
	"concord/state"
	"concord/warc"
)

// frontiers is what machines share: the logs.
type frontiers struct {
	t        *testing.T
	mu       sync.Mutex
	frontier *memLog
	captures *memLog
	machines []*machine
}

// machine is one of several that run partitions of one frontier.
type machine struct {
	all    *frontiers
	c      *Crawler
	lost   atomic.Bool // its leases
	silent atomic.Bool // it does not answer others
	parts  map[int]*owned
	ctx    context.Context
}

type owned struct {
	stop context.CancelFunc
	done chan error
}

func newFrontiers(t *testing.T) *frontiers {
	return &frontiers{t: t, frontier: newMemLog(), captures: newMemLog()}
}

func (fs *frontiers) machine(name string, change func(*Config)) *machine {
	t := fs.t
	m := &machine{all: fs, parts: map[int]*owned{}}
	arc, err := warc.Open(warc.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: t.TempDir(), Partitions: 3, Shards: 2, Frontier: fs.frontier, Captures: fs.captures, Archive: arc, Politeness: quick(),
		Recrawl: Recrawl{Off: true}, FreeSpaceFloor: -1, Shared: true, Node: name, Holds: func(string) bool { return !m.lost.Load() }, Others: m.others}
	if change != nil {
		change(&cfg)
	}
	if m.c, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.ctx = ctx
	var run sync.WaitGroup
	run.Go(func() {
		if err := m.c.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	})
	fs.mu.Lock()
	fs.machines = append(fs.machines, m)
	fs.mu.Unlock()
	t.Cleanup(func() {
		for i := range m.parts {
			m.leave(i)
		}
		cancel()
		run.Wait()
		if err := errors.Join(m.c.Close(), arc.Close()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// others is what the other machines say, as it comes over a wire.
func (m *machine) others(context.Context) (list []Share, err error) {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	for _, o := range m.all.machines {
		if o == m || o.silent.Load() {
			continue
		}
		data, err := json.Marshal(o.c.Shares())
		if err != nil {
			return nil, err
		}
		var shares []Share
		if err := json.Unmarshal(data, &shares); err != nil {
			return nil, err
		}
		list = append(list, shares...)
	}
	return list, nil
}

func (m *machine) own(i int, fence uint64) {
	ctx, stop := context.WithCancel(m.ctx)
	o := &owned{stop, make(chan error, 1)}
	m.parts[i] = o
	go func() { o.done <- m.c.Partitions()[i].Run(ctx, fence) }()
}

func (m *machine) leave(i int) {
	o := m.parts[i]
	delete(m.parts, i)
	o.stop()
	if err := <-o.done; err != nil && !errors.Is(err, context.Canceled) {
		m.all.t.Errorf("partition %d: %v", i, err)
	}
}

// save takes a checkpoint of a running partition and puts it where another machine opens it.
func (m *machine) save(i int, to *machine) {
	t := m.all.t
	t.Helper()
	from, dir := m.c.Partitions()[i], to.c.Partitions()[i].Dir()
	position, err := from.Checkpoint(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if local, err := Peek(dir); err != nil || !local.Pure || local.Position < position || local.Fence == 0 {
		t.Fatalf("peek: %+v, %v; the checkpoint is at %d", local, err, position)
	}
}

func (m *machine) start(spec concord.CrawlSpec) string {
	m.all.t.Helper()
	spec.AllowPrivate = true
	crawl, err := m.c.Start(m.all.t.Context(), spec)
	if err != nil {
		m.all.t.Fatal(err)
	}
	return crawl.ID
}

func (m *machine) wait(id string) *concord.Crawl {
	t := m.all.t
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		crawl, err := m.c.Crawl(t.Context(), id)
		if err == nil && crawl.Done() {
			return crawl
		}
		if time.Now().After(deadline) {
			t.Fatalf("crawl does not end: %+v, %v", crawl, err)
		}
	}
}

// once checks that every page of a mesh was fetched, and how many more than once.
func once(t *testing.T, s *site, pages, most int) {
	t.Helper()
	extra := 0
	for i := range pages {
		n := s.count("/p" + itoa(i))
		if n == 0 {
			t.Errorf("%s/p%d was never fetched", s.host, i)
		}
		extra += max(n-1, 0)
	}
	if extra > most {
		t.Errorf("%s: %d pages were fetched again, at most %d were in flight", s.host, extra, most)
	}
}

// TestHandover: partitions go to another machine and back in the middle of a crawl, in order: nothing is lost, fetched twice, or fetched too
// early, and nobody waits for requests that have ended.
func TestHandover(t *testing.T) {
	t.Parallel()
	const pages, delay = 24, 25 * time.Millisecond
	fs := newFrontiers(t)
	slow := func(c *Config) {
		c.Politeness.MinDelay, c.Politeness.MaxDelay, c.Politeness.Handover = delay, delay, time.Hour
	}
	a, b := fs.machine("a", slow), fs.machine("b", slow)
	var seeds []string
	var sites []*site
	for range 5 {
		s := mesh(t, pages)
		sites, seeds = append(sites, s), append(seeds, s.host+"/p0")
	}
	for i := range 3 {
		a.own(i, 1)
	}
	until(t, "the partitions", func() bool { return len(a.c.Shares()) == 3 })
	id := a.start(concord.CrawlSpec{Seeds: seeds})
	until(t, "some pages", func() bool { return len(sites[0].requests()) > 5 })
	for i := range 3 {
		a.save(i, b)
	}
	until(t, "more pages", func() bool { return len(sites[0].requests()) > 8 })
	for i := range 3 {
		a.leave(i)
		if _, err := a.c.Partitions()[i].Checkpoint(t.Context(), filepath.Join(t.TempDir(), "x")); concord.KindOf(err) != concord.Unavailable {
			t.Errorf("checkpoint of a partition that does not run: %v", err)
		}
	}
	if len(a.c.Shares()) != 0 {
		t.Error("partitions that were given up still count here")
	}
	if _, err := a.c.URL(t.Context(), seeds[0]); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("a URL of a partition that is elsewhere: %v", err)
	}
	if err := a.c.Delete(t.Context(), seeds[0], ""); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("delete in a partition that is elsewhere: %v", err)
	}
	for i := range 3 {
		b.own(i, 2)
	}
	until(t, "pages by the second machine", func() bool { return len(sites[0].requests()) > 14 })
	b.leave(1)
	a.own(1, 3)
	for _, m := range []*machine{a, b} {
		if crawl := m.wait(id); crawl.Fetched != 5*pages || crawl.Indexed != 5*pages || crawl.Queued != 0 {
			t.Errorf("crawl: %+v", crawl)
		}
	}
	for _, s := range sites {
		s.gaps(t, delay)
		once(t, s, pages, 0)
	}
}

// TestFailover: a machine is paused with a request under way and loses its leases. The next owner asks nobody before that request has ended,
// and the first one writes nothing and asks nobody any more.
func TestFailover(t *testing.T) {
	t.Parallel()
	const pages, delay, handover = 12, 20 * time.Millisecond, 500 * time.Millisecond
	fs := newFrontiers(t)
	slow := func(c *Config) {
		c.Politeness.MinDelay, c.Politeness.MaxDelay, c.Politeness.Handover = delay, delay, handover
	}
	a, b := fs.machine("a", slow), fs.machine("b", slow)
	s := mesh(t, pages)
	asked := make(chan struct{})
	var first sync.Once
	page := s.pages["/p3"]
	s.handle("/p3", func(w http.ResponseWriter, r *http.Request) {
		first.Do(func() { close(asked); time.Sleep(handover * 3 / 4) })
		page(w, r)
	})
	for i := range 3 {
		a.own(i, 1)
	}
	until(t, "the partitions", func() bool { return len(a.c.Shares()) == 3 })
	id := a.start(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}})
	<-asked
	a.lost.Store(true)
	a.silent.Store(true)
	takeover := time.Now()
	for i := range 3 {
		b.own(i, 2)
	}
	crawl := b.wait(id)
	if crawl.Fetched != pages || crawl.Indexed != pages {
		t.Errorf("crawl: %+v", crawl)
	}
	s.gaps(t, delay)
	once(t, s, pages, 1) // the one that was under way
	if n := s.count("/p3"); n != 2 {
		t.Errorf("the page under way was asked for %d times: what its first owner fetched is on record, want that it is not", n)
	}
	for _, h := range s.requests() {
		if h.start.After(takeover) && h.start.Before(takeover.Add(handover+delay)) {
			t.Errorf("%s was asked for %s after the takeover", h.path, h.start.Sub(takeover))
		}
	}
	seen := map[string]int{}
	for _, e := range fs.captures.events() {
		if e.Capture != nil && e.Capture.Skip == "" {
			seen[e.Capture.URL]++
		}
	}
	if len(seen) != pages || seen[s.host+"/p3"] != 1 {
		t.Errorf("%d pages are announced, want %d; the one under way %d times", len(seen), pages, seen[s.host+"/p3"])
	}
}

// TestRestartOfAnOwner: a process that begins again on its own machine need not wait for itself.
func TestRestartOfAnOwner(t *testing.T) {
	t.Parallel()
	fs := newFrontiers(t)
	a := fs.machine("a", func(c *Config) { c.Politeness.Handover = time.Hour })
	f := a.c.Partitions()[0]
	for i, step := range []struct {
		m     ownerMsg
		until int64
	}{
		{ownerMsg{Fence: 1, Node: "a", Time: 1000}, 0},
		{ownerMsg{Fence: 2, Node: "a", Time: 2000}, 0}, // again
		{ownerMsg{Fence: 3, Node: "b", Time: 3000}, 3000 + time.Hour.Milliseconds()},
		{ownerMsg{Fence: 2, Node: "a", Left: true, Time: 4000}, 3000 + time.Hour.Milliseconds()}, // too late
		{ownerMsg{Fence: 2, Node: "a", Time: 5000}, 3000 + time.Hour.Milliseconds()},
		{ownerMsg{Fence: 4, Node: "b", Time: 6000}, 3000 + time.Hour.Milliseconds()}, // the wait is not over by that
		{ownerMsg{Fence: 4, Node: "b", Left: true, Time: 7000}, 3000 + time.Hour.Milliseconds()},
		{ownerMsg{Fence: 5, Node: "c", Time: 8000}, 3000 + time.Hour.Milliseconds()}, // in order
		{ownerMsg{Fence: 6, Node: "a", Time: 9000}, 9000 + time.Hour.Milliseconds()},
	} {
		db, err := openStore(t.TempDir(), "x", nil)
		if err != nil {
			t.Fatal(err)
		}
		(&applier{f: f, t: newTxn(db)}).owner(&step.m)
		if f.owner.Until != step.until {
			t.Errorf("step %d: wait until %d, want %d", i, f.owner.Until, step.until)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSharedLimit: a page limit and the end of a crawl hold over machines that run a part of the frontier each.
func TestSharedLimit(t *testing.T) {
	t.Parallel()
	fs := newFrontiers(t)
	a, b := fs.machine("a", nil), fs.machine("b", nil)
	a.own(0, 1)
	b.own(1, 1)
	until(t, "the partitions", func() bool { return len(a.c.Shares()) == 1 && len(b.c.Shares()) == 1 })
	var seeds []string
	for range 6 {
		seeds = append(seeds, mesh(t, 10).host+"/p0")
	}
	id := a.start(concord.CrawlSpec{Seeds: seeds})
	time.Sleep(300 * time.Millisecond)
	if crawl, err := b.c.Crawl(t.Context(), id); err != nil || crawl.Done() {
		t.Errorf("a crawl has ended while nobody runs a part of it: %+v, %v", crawl, err)
	}
	b.own(2, 2)
	if crawl := a.wait(id); crawl.Fetched != 60 {
		t.Errorf("crawl: %+v", crawl)
	}
	b.wait(id)
	for _, share := range b.c.Shares() {
		if share.Partition == 0 {
			t.Error("a partition of the other machine is among the shares")
		}
	}
	dir, err := os.ReadDir(b.c.cfg.Dir)
	if err != nil || len(dir) != 2 {
		t.Errorf("the second machine has opened %d partitions, want 2: %v", len(dir), err)
	}
}

var _ state.Peek = Peek
