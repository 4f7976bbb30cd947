package crawl

import (
	"context"
	"sync"
	"time"
)

// Where machines share the frontier, each counts what its own partitions did. They tell each other in Shares: a second old for showing and
// for page limits, asked for anew where it is decided that a crawl has come to its end.

// othersEvery is how old the counts of other machines may be: a crawl may go beyond its page limit by what they fetch meanwhile.
const othersEvery = time.Second

// Share is what one partition counts. It is what machines tell each other, as JSON.
type Share struct {
	Partition int                   `json:"partition"`
	Fence     uint64                `json:"fence"`
	Position  uint64                `json:"position"`
	CaughtUp  bool                  `json:"caughtUp"`
	Crawls    map[string]CrawlShare `json:"crawls"` // by the crawl's ID
}

// CrawlShare is what a partition counts of one crawl.
type CrawlShare struct {
	counters
	InFlight int64
}

// Shares returns what the partitions that run on this machine count now.
func (c *Crawler) Shares() []Share {
	var list []Share
	for _, f := range c.parts {
		if s, runs := f.share(); runs {
			list = append(list, s)
		}
	}
	return list
}

func (f *Frontier) share() (Share, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Share{Partition: f.id, Fence: f.fence, Position: f.position, CaughtUp: f.caught, Crawls: make(map[string]CrawlShare, len(f.counts))}
	for id, n := range f.counts {
		s.Crawls[id.String()] = CrawlShare{*n, f.inFlight[id]}
	}
	return s, f.running
}

// others remembers what other machines said of the partitions they run.
type others struct {
	mu     sync.Mutex
	shares map[int]Share
}

// learnShares takes over what other machines say. Of two that speak for one partition the later owner is believed, and of one owner what it
// said last.
func (c *Crawler) learnShares(list []Share) {
	c.others.mu.Lock()
	defer c.others.mu.Unlock()
	if c.others.shares == nil {
		c.others.shares = map[int]Share{}
	}
	for _, s := range list {
		old, known := c.others.shares[s.Partition]
		if s.Partition < 0 || s.Partition >= len(c.parts) || known && (s.Fence < old.Fence || s.Fence == old.Fence && s.Position < old.Position) {
			continue
		}
		c.others.shares[s.Partition] = s
		if c.parts[s.Partition].runs() {
			continue // this machine knows better, or will in a moment
		}
		for id, n := range s.Crawls {
			if id, err := parseCrawlID(id); err == nil {
				c.budget.other(id, s.Partition, n.Pages, n.InFlight)
			}
		}
	}
}

// counted returns what a partition counts of a crawl, wherever it runs.
func (c *Crawler) counted(f *Frontier, id crawlID) (counters, int64) {
	if c.cfg.Shared && !f.runs() {
		c.others.mu.Lock()
		defer c.others.mu.Unlock()
		n := c.others.shares[f.id].Crawls[id.String()]
		return n.counters, n.InFlight
	}
	return f.counted(id)
}

// watchOthers keeps the counts of other machines fresh.
func (c *Crawler) watchOthers(ctx context.Context) error {
	if c.cfg.Others == nil {
		return nil
	}
	tick := time.NewTicker(othersEvery)
	defer tick.Stop()
	for {
		if list, err := c.cfg.Others(ctx); err == nil {
			c.learnShares(list)
		} else if ctx.Err() == nil {
			c.log.Debug("other machines did not say what they count", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// quietElsewhere returns, for the partitions that other machines run, which of them have applied their log up to before and wait for nothing
// on behalf of a crawl. They are asked now, since an older answer says nothing.
func (c *Crawler) quietElsewhere(ctx context.Context, id crawlID, before []uint64) map[int]bool {
	quiet := map[int]bool{}
	if c.cfg.Others == nil {
		return quiet
	}
	list, err := c.cfg.Others(ctx)
	if err != nil {
		return quiet
	}
	c.learnShares(list)
	for _, s := range list {
		n, known := s.Crawls[id.String()]
		if s.Partition >= 0 && s.Partition < len(before) {
			quiet[s.Partition] = known && s.CaughtUp && s.Position >= before[s.Partition] && n.waitsForNothing(n.InFlight)
		}
	}
	return quiet
}

// waitsForNothing reports whether a crawl has nothing queued and nothing in flight.
func (n *counters) waitsForNothing(inFlight int64) bool {
	return n.Queued-n.Parked <= 0 && n.Maps-n.MapsParked <= 0 && inFlight == 0
}
