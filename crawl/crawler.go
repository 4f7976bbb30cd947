package crawl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"concord"
	"concord/weburl"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"
)

// Crawler is the crawler of one node: the partitions of the frontier, and what they share - the fetchers, the committer,
// the spacing of requests by address, the page budgets. It is safe for concurrent use.
type Crawler struct {
	cfg       Config
	log       *slog.Logger
	parts     []*Frontier
	client    *client
	gates     gates
	clock     clock
	budget    budget
	committer committer
	known     known
	watch     watch
	stats     stats
	cache     *pebble.Cache
	others    others

	extract  chan struct{} // a token each page that is being taken apart
	pdfs     chan struct{} // the same for PDFs, which take seconds each in a process of their own
	sitemaps chan struct{} // a token each sitemap in memory

	mu    sync.Mutex
	plans map[crawlID]*plan // all crawls

	slotMu  sync.Mutex
	slots   int  // fetches that may begin
	starved bool // a partition waits for one

	low       atomic.Bool  // free disk space is below the floor
	lowReason atomic.Value // string
	held      atomic.Int64 // bytes of bodies in memory
}

// Open opens the state of all partitions below cfg.Dir, unless they are shared, and starts nothing. Another process that
// has it open is a Conflict.
func Open(cfg Config) (*Crawler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	c := &Crawler{cfg: cfg, log: cfg.Logger, plans: map[crawlID]*plan{}, slots: cfg.Concurrency,
		extract: make(chan struct{}, extractors()), pdfs: make(chan struct{}, extractors()), sitemaps: make(chan struct{}, maxSitemapsInMemory)}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the frontier's directory: %w", err)
	}
	c.cache = pebble.NewCache(storeCacheBytes)
	c.client = newClient(&c.cfg, &c.held)
	c.budget.init(cfg.Partitions)
	c.committer.init(c)
	c.watch.init()
	c.known.init()
	c.gates.init()
	c.clock.init()
	for i := range cfg.Partitions {
		f, err := openFrontier(c, i)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.parts = append(c.parts, f)
	}
	return c, nil
}

// Close closes the state. Run and the partitions must have returned.
func (c *Crawler) Close() error {
	var errs []error
	for _, f := range c.parts {
		errs = append(errs, f.close())
	}
	c.parts = nil
	c.client.close()
	if c.cache != nil {
		c.cache.Unref()
		c.cache = nil
	}
	return errors.Join(errs...)
}

// Partitions returns the partitions of the frontier. Each is run by whoever holds its lease.
func (c *Crawler) Partitions() []*Frontier { return slices.Clone(c.parts) }

// Run runs what the partitions share until ctx ends: the committer, the watch over free disk space, and the check
// whether crawls are finished. It returns ctx's error, or what made going on impossible.
func (c *Crawler) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.committer.run(ctx) })
	g.Go(func() error { return c.watchDisk(ctx) })
	g.Go(func() error { return c.watchEnds(ctx) })
	g.Go(func() error { return c.watchOthers(ctx) })
	return g.Wait()
}

// partition returns the partition a site belongs to.
func (c *Crawler) partition(site string) *Frontier {
	return c.parts[concord.PartitionOf(site, len(c.parts))]
}

// plan returns a crawl's plan, nil for an unknown crawl.
func (c *Crawler) plan(id crawlID) *plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plans[id]
}

// learn makes a crawl known, which a partition met in its log or found in its state.
func (c *Crawler) learn(m *crawlMsg) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plans[m.Crawl] != nil {
		return nil
	}
	p, err := newPlan(m.Crawl, m.Spec, m.Created)
	if err != nil {
		return fmt.Errorf("crawl %s: %w", m.Crawl, err)
	}
	c.plans[m.Crawl] = p
	return nil
}

// takeSlot reserves one of the concurrent fetches. A partition that got none is woken when one is free.
func (c *Crawler) takeSlot() bool {
	c.slotMu.Lock()
	defer c.slotMu.Unlock()
	if c.slots == 0 {
		c.starved = true
		return false
	}
	c.slots--
	return true
}

func (c *Crawler) freeSlot() {
	c.slotMu.Lock()
	c.slots++
	wake := c.starved
	c.starved = false
	c.slotMu.Unlock()
	if wake {
		c.wakeAll()
	}
}

func (c *Crawler) wakeAll() {
	for _, f := range c.parts {
		f.wake()
	}
}

// reading returns the tokens for taking apart a response of this type and URL.
func (c *Crawler) reading(contentType string, u weburl.URL) chan struct{} {
	if strings.Contains(contentType, "pdf") || weburl.FileType(u) == "pdf" {
		return c.pdfs
	}
	return c.extract
}

// stalled says why no fetch may begin now; empty: it may.
func (c *Crawler) stalled() string {
	if c.low.Load() {
		reason, _ := c.lowReason.Load().(string)
		return reason
	}
	if c.held.Load() > c.cfg.Bounds.Memory {
		return "bodies in memory are at their bound"
	}
	return ""
}
