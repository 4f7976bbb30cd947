package crawl

import (
	"context"
	"time"

	"concord"
)

// endsEvery is how often is looked whether crawls have come to their end: what --wait waits for.
const endsEvery = 50 * time.Millisecond

// watchEnds closes crawls that have nothing left to fetch, or reached their page limit.
func (c *Crawler) watchEnds(ctx context.Context) error {
	ended := map[crawlID]bool{}
	limited := map[crawlID]bool{}
	tick := time.NewTicker(endsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		for _, p := range c.unfinished(ended) {
			crawl, _ := c.sum(p)
			if crawl.Done() {
				ended[p.id] = true
				continue
			}
			full := c.budget.pages(p.id) >= int64(p.spec.MaxPages)
			var why closing
			switch {
			case full && !limited[p.id] && crawl.Queued > 0:
				why = closeLimit
			case crawl.Queued == 0 && crawl.InFlight == 0 && c.quiet(ctx, p.id):
				why = closeFinished
			default:
				continue
			}
			if _, err := c.closeCrawl(ctx, p.id, why); err != nil {
				c.log.Warn("end of a crawl not recorded yet", "crawl", p.id.String(), "error", err)
				continue
			}
			limited[p.id] = limited[p.id] || why == closeLimit
		}
	}
}

func (c *Crawler) unfinished(ended map[crawlID]bool) []*plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*plan
	for id, p := range c.plans {
		if !ended[id] {
			list = append(list, p)
		}
	}
	return list
}

// quiet reports whether nothing of a crawl is left anywhere: at one moment every partition runs, has applied its log to
// the end, and waits for nothing on behalf of the crawl. Two looks at the log's ends with the same result, around the
// look at the partitions, make it one moment: whatever a fetch leaves is appended before its own entry is settled.
func (c *Crawler) quiet(ctx context.Context, id crawlID) bool {
	var before []uint64
	for _, f := range c.parts {
		last, err := c.cfg.Frontier.Last(ctx, f.subject)
		if err != nil {
			return false
		}
		before = append(before, last)
	}
	var elsewhere map[int]bool
	if c.cfg.Shared {
		elsewhere = c.quietElsewhere(ctx, id, before)
	}
	for i, f := range c.parts {
		if !f.quiet(id, before[i]) && (f.runs() || !elsewhere[i]) {
			return false
		}
	}
	for i, f := range c.parts {
		last, err := c.cfg.Frontier.Last(ctx, f.subject)
		if err != nil || last != before[i] {
			return false
		}
	}
	return true
}

func (f *Frontier) quiet(id crawlID, last uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.counts[id]
	return f.running && f.position >= last && n != nil && n.waitsForNothing(f.inFlight[id])
}

// CaughtUp reports whether every partition, or where others run partitions too every one of this machine's, runs and has applied what its log held when it began: what the crawler says of
// crawls and URLs is then no older than before a restart.
func (c *Crawler) CaughtUp() bool {
	for _, f := range c.parts {
		f.mu.Lock()
		caught := f.running && f.caught || c.cfg.Shared && !f.running
		f.mu.Unlock()
		if !caught {
			return false
		}
	}
	return true
}

// Totals are the counts of all crawls together.
type Totals struct {
	Running                                                    int // crawls that are not finished
	Queued, InFlight, Fetched, Indexed, Failed, Refused, Bytes int64
	Rate                                                       float64 // fetches a second over the last minute
	Stalled                                                    string  // why nothing is fetched at the moment; empty: it is
}

// Totals adds up all crawls.
func (c *Crawler) Totals(ctx context.Context) (Totals, error) {
	crawls, err := c.Crawls(ctx)
	if err != nil {
		return Totals{}, err
	}
	t := Totals{Rate: c.stats.rate.perSecond(time.Now()), Stalled: c.stalled()}
	for i := range crawls {
		t.add(&crawls[i])
	}
	return t, nil
}

func (t *Totals) add(c *concord.Crawl) {
	if !c.Done() {
		t.Running++
	}
	t.Queued += c.Queued
	t.InFlight += c.InFlight
	t.Fetched += c.Fetched
	t.Indexed += c.Indexed
	t.Failed += c.Failed
	t.Refused += c.Refused
	t.Bytes += c.Bytes
}

// Check says whether the state that is open follows its log: a state that has applied more than the log ever held belongs to
// another. Errors: Corrupt.
func (c *Crawler) Check(ctx context.Context) error {
	for _, f := range c.parts {
		last, err := c.cfg.Frontier.Last(ctx, f.subject)
		if err != nil {
			return err
		}
		if at := f.at(); last < at {
			return concord.Errorf(concord.Corrupt, "%s has applied its log up to %d, but the log ends at %d", f.Name(), at, last)
		}
	}
	return nil
}
