package crawl

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"concord"
	"concord/weburl"
)

// applyWait is how long a call waits until its own message shows in the state: people ask right after they started.
const applyWait = 2 * time.Second

// Start makes a crawl durable and returns it. A specification that makes no sense, and a seed on a private address
// without AllowPrivate, is Invalid.
func (c *Crawler) Start(ctx context.Context, spec concord.CrawlSpec) (*concord.Crawl, error) {
	now := time.Now()
	p, err := newPlan(newCrawlID(now), spec, now.UnixMilli())
	if err != nil {
		return nil, err
	}
	if err := p.checkPrivate(); err != nil {
		return nil, err
	}
	msgs, err := c.startMessages(p)
	if err != nil {
		return nil, err
	}
	if err := c.note(fieldCrawl, &crawlNote{p.id.String(), p.created, p.spec}); err != nil {
		return nil, fmt.Errorf("start crawl: %w", err)
	}
	seq, err := c.cfg.Frontier.Append(ctx, msgs...)
	if err != nil {
		return nil, fmt.Errorf("start crawl: %w", err)
	}
	c.mu.Lock()
	if c.plans[p.id] == nil {
		c.plans[p.id] = p
	}
	c.mu.Unlock()
	c.awaitApplied(ctx, seq)
	return c.Crawl(ctx, p.id.String())
}

func newCrawlID(now time.Time) crawlID {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	return crawlID(uint64(now.UnixMilli())<<16 | uint64(binary.BigEndian.Uint16(b[:])))
}

// startMessages are the messages that begin a crawl: to every partition that there is one, then its seeds, then the
// question for the sitemaps of their hosts.
func (c *Crawler) startMessages(p *plan) ([]concord.Message, error) {
	data, err := (&crawlMsg{Crawl: p.id, Created: p.created, Spec: p.spec}).encode()
	if err != nil {
		return nil, fmt.Errorf("encode crawl: %w", err)
	}
	var msgs []concord.Message
	add := func(part int, what string, data []byte) {
		msgs = append(msgs, concord.Message{Subject: concord.FrontierSubject(part), ID: fmt.Sprintf("%s.%s.%d", p.id, what, part), Data: data})
	}
	seeds, probes := map[int]*linksMsg{}, map[int]*linksMsg{}
	asked := map[string]bool{}
	for _, u := range p.seeds {
		n := concord.PartitionOf(u.Site(), len(c.parts))
		if seeds[n] == nil {
			seeds[n] = &linksMsg{Crawl: p.id, Via: viaSeed}
			probes[n] = &linksMsg{Crawl: p.id, Via: viaSeed, Kind: kindProbe}
		}
		seeds[n].Links = append(seeds[n].Links, linkItem{URL: u.String()})
		if !asked[u.Origin()] && p.spec.Depth != concord.SeedsOnly {
			asked[u.Origin()] = true
			probes[n].Links = append(probes[n].Links, linkItem{URL: u.Origin() + "/sitemap.xml"})
		}
	}
	for n := range c.parts {
		add(n, "crawl", data)
		if seeds[n] != nil {
			add(n, "seeds", seeds[n].encode())
			if len(probes[n].Links) > 0 {
				add(n, "probes", probes[n].encode())
			}
		}
	}
	return msgs, nil
}

// awaitApplied waits, for a short while, until the running partitions have applied the log up to seq.
func (c *Crawler) awaitApplied(ctx context.Context, seq uint64) {
	ctx, cancel := context.WithTimeout(ctx, applyWait)
	defer cancel()
	for _, f := range c.parts {
		f.awaitApplied(ctx, seq)
	}
}

// Crawls returns all crawls, newest first.
func (c *Crawler) Crawls(ctx context.Context) ([]concord.Crawl, error) {
	c.mu.Lock()
	plans := make([]*plan, 0, len(c.plans))
	for _, p := range c.plans {
		plans = append(plans, p)
	}
	c.mu.Unlock()
	slices.SortFunc(plans, func(a, b *plan) int { return cmp.Compare(b.id, a.id) })
	out := make([]concord.Crawl, 0, len(plans))
	for _, p := range plans {
		crawl, _ := c.sum(p)
		out = append(out, *crawl)
	}
	return out, nil
}

// Crawl returns one crawl; NotFound.
func (c *Crawler) Crawl(ctx context.Context, id string) (*concord.Crawl, error) {
	p, err := c.find(id)
	if err != nil {
		return nil, err
	}
	crawl, _ := c.sum(p)
	return crawl, nil
}

func (c *Crawler) find(id string) (*plan, error) {
	n, err := parseCrawlID(id)
	if err != nil {
		return nil, err
	}
	if p := c.plan(n); p != nil {
		return p, nil
	}
	return nil, concord.Errorf(concord.NotFound, "no crawl %s", n)
}

// sum adds up what the partitions count of a crawl, and returns with it the highest number of its captures.
func (c *Crawler) sum(p *plan) (*concord.Crawl, uint64) {
	spec := p.spec
	spec.Seeds = slices.Clone(spec.Seeds)
	out := &concord.Crawl{ID: p.id.String(), Spec: spec, Created: fromMillis(p.created)}
	var finished int64
	var capSeq uint64
	ended := 0
	for _, f := range c.parts {
		n, inFlight := c.counted(f, p.id)
		out.Queued += max(n.Queued-n.Parked-inFlight, 0)
		out.InFlight += inFlight
		out.Fetched += n.Fetched
		out.Indexed += n.Indexed
		out.Skipped += n.Skipped
		out.Failed += n.Failed + n.Parked
		out.Refused += n.Refused
		out.Bytes += n.Bytes
		if n.Finished != 0 {
			finished, ended = max(finished, n.Finished), ended+1
		}
		capSeq = max(capSeq, n.CapSeq)
		out.Stopped = out.Stopped || n.Stopped
	}
	if ended == len(c.parts) { // a partition that still replays its log has not counted everything
		out.Finished = fromMillis(finished)
	}
	return out, capSeq
}

// Drained reports whether a crawl is finished, and the number in the captures log at or below which everything lies that
// it captured: when the shards have applied the log up to there, all of it is searchable. NotFound.
func (c *Crawler) Drained(ctx context.Context, id string) (captureSeq uint64, done bool, err error) {
	p, err := c.find(id)
	if err != nil {
		return 0, false, err
	}
	crawl, seq := c.sum(p)
	return seq, crawl.Done(), nil
}

// Stop ends a crawl: what is queued for it is dropped, what was fetched stays. Stopping twice is no error. NotFound.
func (c *Crawler) Stop(ctx context.Context, id string) error {
	p, err := c.find(id)
	if err != nil {
		return err
	}
	seq, err := c.closeCrawl(ctx, p.id, closeStopped)
	if err != nil {
		return fmt.Errorf("stop crawl %s: %w", id, err)
	}
	c.awaitApplied(ctx, seq)
	return nil
}

// closeCrawl tells every partition, in one append, that a crawl ends.
func (c *Crawler) closeCrawl(ctx context.Context, id crawlID, why closing) (uint64, error) {
	m := &closeMsg{Crawl: id, Why: why, Time: time.Now().UnixMilli()}
	if err := c.note(fieldEnd, &endNote{id.String(), why, m.Time}); err != nil {
		return 0, err
	}
	data := m.encode()
	var msgs []concord.Message
	for n := range c.parts {
		msgs = append(msgs, concord.Message{Subject: concord.FrontierSubject(n), ID: fmt.Sprintf("%s.close%d.%d", id, why, n), Data: data})
	}
	return c.cfg.Frontier.Append(ctx, msgs...)
}

// Partition returns the partition that a URL belongs to: questions about the URL, and its deletion, go to the machine that runs it.
func (c *Crawler) Partition(url string) (int, error) {
	u, err := weburl.Parse(url)
	if err != nil {
		return 0, err
	}
	return concord.PartitionOf(u.Site(), len(c.parts)), nil
}

// Delete takes a page out of the index, durably, and sees to it that it is never fetched again. Its captures stay on
// record. NotFound when nothing is known of it, Unavailable when another machine runs its partition.
func (c *Crawler) Delete(ctx context.Context, url, reason string) error {
	u, err := weburl.Parse(url)
	if err != nil {
		return err
	}
	f := c.partition(u.Site())
	rec, err := f.record(u.String())
	if err != nil {
		return err
	}
	if rec == nil {
		return concord.Errorf(concord.NotFound, "nothing is known of %s", u)
	}
	if reason == "" {
		reason = "deleted by operator"
	}
	event, err := (&concord.Event{Remove: &concord.Removal{URL: u.String(), Reason: reason}}).Encode()
	if err != nil {
		return fmt.Errorf("encode removal: %w", err)
	}
	if err := c.note(fieldRemoval, &removalNote{u.String(), reason}); err != nil {
		return fmt.Errorf("delete %s: %w", u, err)
	}
	if _, err := c.cfg.Captures.Append(ctx, concord.Message{Subject: c.captureSubject(u.String()), Data: event}); err != nil {
		return fmt.Errorf("delete %s: %w", u, err)
	}
	seq, err := c.cfg.Frontier.Append(ctx, concord.Message{Subject: f.subject, Data: (&forgetMsg{URL: u.String(), Reason: reason}).encode()})
	if err != nil {
		return fmt.Errorf("delete %s: %w", u, err)
	}
	wait, cancel := context.WithTimeout(ctx, applyWait)
	defer cancel()
	f.awaitApplied(wait, seq)
	return nil
}

func (c *Crawler) captureSubject(url string) string {
	return concord.CaptureSubject(concord.PartitionOf(url, c.cfg.Shards))
}

// maxHosts bounds what Hosts reads from disk, whatever limit is asked for.
const maxHosts = 10_000

// Hosts returns at most limit hosts: those that fetch or wait first, then those that were fetched from last.
func (c *Crawler) Hosts(ctx context.Context, limit int) ([]concord.HostStatus, error) {
	limit = min(max(limit, 0), maxHosts)
	var all []concord.HostStatus
	for _, f := range c.parts {
		list, err := f.hosts(ctx, limit)
		if c.cfg.Shared && errors.Is(err, errElsewhere) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	slices.SortStableFunc(all, concord.HostStatus.Compare)
	return all[:min(limit, len(all))], nil
}

// URL says what is known about a URL. One that nobody met has State "unknown" and is no error.
func (c *Crawler) URL(ctx context.Context, url string) (concord.URLStatus, error) {
	u, err := weburl.Parse(url)
	if err != nil {
		return concord.URLStatus{}, err
	}
	return c.partition(u.Site()).why(u)
}
