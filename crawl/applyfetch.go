package crawl

import (
	"net/http"
	"time"

	"concord"
	"concord/weburl"
)

const (
	robotsUnreachable = string(weburl.RobotsUnreachable)
	maxThrottled      = 10 // times a URL is asked for that answers 429 or 503, before that is its answer
)

// fetched applies the end of one fetch: politeness of its host, its queue entry, and what is known of its URL.
func (a *applier) fetched(m *fetchedMsg) error {
	u, err := weburl.Parse(m.URL)
	if err != nil {
		return concord.Errorf(concord.Corrupt, "fetch of %q", concord.Clip(m.URL, 200))
	}
	host := u.Origin()
	h, err := a.t.host(host, a.seq)
	if err != nil {
		return err
	}
	if m.replayed != nil {
		if err := a.resolve(host, m); err != nil {
			return err
		}
	}
	n := a.counters(m.Crawl)
	n.CapSeq = max(n.CapSeq, m.CapSeq)
	a.after = append(a.after, func() { a.f.settled(host, m.Entry, m.URL) })
	if m.Kind == kindImport {
		return a.imported(u, m)
	}
	if err := a.observed(host, h, m); err != nil {
		return err
	}
	if m.Kind == kindRobots {
		return a.robots(host, h, m)
	}
	if m.Outcome == unresolved {
		return nil // the entry stays, and its host rests
	}
	e, err := a.dequeue(host, h, m.Entry)
	if e == nil || err != nil {
		return err // an entry that is gone was settled before, by another owner or another crawl's end
	}
	if m.Kind == kindPage {
		return a.page(u, host, e, m)
	}
	return nil
}

// observed updates the host's politeness, and what crawls wait for when it begins or ends to rest.
func (a *applier) observed(host string, h *hostRecord, m *fetchedMsg) error {
	parked := h.Parked
	o := m.observation(host)
	a.f.c.cfg.Politeness.observe(h, &o)
	switch {
	case parked && !h.Parked:
		return a.park(host, -1)
	case !parked && h.Parked:
		return a.park(host, 1)
	}
	return nil
}

func (m *fetchedMsg) observation(host string) observation {
	return observation{host: host, start: m.Start, took: m.Took, ended: m.ended, outcome: m.Outcome, status: m.Status, retryAfter: m.RetryAfter,
		note: m.Note, robots: m.RobotsKind}
}

// robots keeps a host's robots.txt.
func (a *applier) robots(host string, h *hostRecord, m *fetchedMsg) error {
	p := &a.f.c.cfg.Politeness
	end := m.Start + m.Took
	h.Robots = end + p.RobotsTTL.Milliseconds()
	switch weburl.RobotsState(m.RobotsKind) {
	case weburl.RobotsUnreachable:
		if h.RobotsDown == 0 {
			h.RobotsDown = m.Start
		}
		h.Robots = h.Next // ask again as soon as the host may be asked
		h.RobotsNote = "unreachable: " + m.Note
		if end-h.RobotsDown < weburl.RobotsUnreachableLimit.Milliseconds() {
			return nil
		}
		h.Robots, h.RobotsNote = end+p.RobotsTTL.Milliseconds(), "allowed: unreachable for 30 days"
		m.RobotsKind, m.Robots = string(weburl.RobotsNone), nil
	case weburl.RobotsNone:
		h.RobotsDown, h.CrawlDelay = 0, 0
		h.RobotsNote = "allowed by default (" + m.Note + ")"
	default:
		h.RobotsDown = 0
		h.CrawlDelay = 0
		if d, ok := weburl.ParseRobots(m.Robots).CrawlDelay(a.f.c.cfg.Product); ok {
			h.CrawlDelay = d.Milliseconds()
		}
		h.RobotsNote = "rules from " + fromMillis(m.Start).Format(time.RFC3339)
	}
	rec := &robotsRecord{Kind: m.RobotsKind, Time: m.Start, Digest: m.Raw, Body: m.Robots}
	a.t.put(key(keyRobots, host), rec.encode())
	return nil
}

// page applies the end of a page's fetch; its entry is out of the queue already.
func (a *applier) page(u weburl.URL, host string, e *entry, m *fetchedMsg) error {
	r, err := a.t.url(m.URL)
	if err != nil {
		return err
	}
	if r == nil {
		r = &urlRecord{Known: m.Start, Crawl: m.Crawl, Depth: e.Depth}
	}
	if r.State == stateDeleted {
		return nil
	}
	r.Tries = e.Tries + 1
	again := a.retryDue(e, m)
	switch {
	case m.Outcome == refused:
		return a.refused(e, m.URL, m.Note)
	case again > 0:
		return a.retry(host, e, r, m, again)
	case m.Outcome == failed:
		a.gaveUp(e, r, m)
		if e.has(entryRecrawl) || e.has(entryAdopted) && r.Fetched != 0 {
			r.State = stateFetched // what was fetched before stands
			err = a.reschedule(host, e, r, m)
		}
	default:
		err = a.answered(u, host, e, r, m)
	}
	if err != nil {
		return err
	}
	a.t.setURL(m.URL, r)
	return nil
}

// retryDue returns when a fetch is to be tried again, in ms; 0: it is not.
func (a *applier) retryDue(e *entry, m *fetchedMsg) int64 {
	p := &a.f.c.cfg.Politeness
	end := m.Start + m.Took
	switch {
	case m.Outcome == answered && (m.Status == http.StatusTooManyRequests || m.Status == http.StatusServiceUnavailable):
		if e.Tries+1 < maxThrottled && len(p.Retries) > 0 {
			return end // the host's own back-off decides when
		}
	case m.Outcome == failed || m.Outcome == answered && m.Status >= 500:
		if e.Tries < len(p.Retries) {
			return end + p.Retries[e.Tries].Milliseconds()
		}
	}
	return 0
}

// retry puts an entry back for later. One that comes later than a crawl waits counts as failed until then.
func (a *applier) retry(host string, e *entry, r *urlRecord, m *fetchedMsg, due int64) error {
	again := *e
	again.Tries++
	n := a.counters(e.Crawl)
	first := e.has(entryCounted) || e.has(entryFailed)
	long := due-(m.Start+m.Took) > a.f.c.cfg.Politeness.Patience.Milliseconds()
	again.Flags &^= entryCounted | entryFailed
	switch {
	case first && long:
		again.Flags |= entryFailed
	case first:
		again.Flags |= entryCounted
	}
	if e.has(entryFailed) != again.has(entryFailed) {
		n.Failed += map[bool]int64{true: 1, false: -1}[again.has(entryFailed)]
	}
	k, err := a.enqueue(host, &again, due, byte(min(e.Depth, maxRank)))
	if err != nil {
		return err
	}
	r.Reason, r.Next, r.Status = join(m.Note, "tried again later"), due, m.Status
	if m.Note == "" {
		r.Reason = "status " + itoa(m.Status) + "; tried again later"
	}
	if e.has(entryRecrawl) {
		r.Recrawl = k
	} else if r.Fetched == 0 {
		r.State = stateQueued
		if long {
			r.State = stateFailed
		}
	}
	a.t.setURL(m.URL, r)
	return nil
}

// gaveUp records a URL of which there is no answer after all tries.
func (a *applier) gaveUp(e *entry, r *urlRecord, m *fetchedMsg) {
	if e.has(entryCounted) {
		a.counters(e.Crawl).Failed++
	}
	r.State, r.Reason, r.Next, r.Status = stateFailed, m.Note, 0, 0
}

// answered records an answer: the counts of the crawl, the new state of the URL, and when to look again.
func (a *applier) answered(u weburl.URL, host string, e *entry, r *urlRecord, m *fetchedMsg) error {
	n := a.counters(e.Crawl)
	if e.has(entryFailed) {
		n.Failed--
	}
	if e.has(entryCounted) || e.has(entryFailed) {
		n.Fetched++
		n.Bytes += m.Bytes
		if m.Indexed {
			n.Indexed++
		} else {
			n.Skipped++
		}
		if m.isPage() {
			n.Pages++
		}
	}
	before := *r
	if err := a.replace(u, r, m); err != nil {
		return err
	}
	r.State, r.Reason, r.Fetched, r.Tries = stateFetched, "", m.Start, 0
	if !m.NotMod {
		r.Status = m.Status
	}
	r.Redirect, r.Next = m.Redirect, 0
	switch {
	case m.Status == http.StatusNotFound || m.Status == http.StatusGone:
		if r.Missing++; r.Missing >= 2 {
			r.State, r.Reason = stateGone, "answered "+itoa(m.Status)+" twice"
		}
	default:
		r.Missing = 0
	}
	r.Interval = a.f.c.cfg.Recrawl.interval(&before, r, m).Milliseconds()
	return a.reschedule(host, e, r, m)
}

func (m *fetchedMsg) isPage() bool {
	return m.Kind == kindPage && m.Outcome == answered && m.Status >= 200 && m.Status < 300
}

// reschedule replaces the next look at a page.
func (a *applier) reschedule(host string, e *entry, r *urlRecord, m *fetchedMsg) error {
	a.dropRecrawl(host, r)
	if a.f.c.cfg.Recrawl.Off || a.counters(e.Crawl).Stopped || r.State == stateGone || r.Interval == 0 {
		return nil
	}
	r.Next = m.Start + r.Interval
	next := &entry{Crawl: e.Crawl, Flags: entryRecrawl, Depth: e.Depth, URL: m.URL}
	k, err := a.enqueue(host, next, r.Next, recrawlRank)
	r.Recrawl = k
	return err
}

func (a *applier) dropRecrawl(host string, r *urlRecord) {
	if len(r.Recrawl) > 0 {
		a.t.del(r.Recrawl)
		r.Recrawl = nil
	}
}

// interval is how long to wait before a page is looked at again.
func (c *Recrawl) interval(before, r *urlRecord, m *fetchedMsg) time.Duration {
	last := time.Duration(before.Interval) * time.Millisecond
	switch {
	case r.Missing > 0:
		return c.Gone
	case before.Fetched == 0 || last == 0 || before.Missing > 0:
		last = c.First
	case m.Changed:
		last /= 2
	default:
		last = last * 3 / 2
	}
	return min(max(last, c.Min), c.Max)
}

// replace updates what the record says of the page's content, and the duplicate index with it.
func (a *applier) replace(u weburl.URL, r *urlRecord, m *fetchedMsg) error {
	if !m.NotMod && m.Status >= 200 && m.Status < 300 {
		r.ETag, r.LastMod, r.Raw = m.ETag, m.LastMod, m.Raw
		r.Capture, r.CapTime = m.Capture, m.Start/1000
	}
	if m.NotMod && m.Indexed == r.Indexed && m.Skip == r.Skip && m.Duplicate == r.Duplicate {
		return nil
	}
	a.unindex(u, r)
	r.Indexed, r.Skip, r.Duplicate, r.WaitsFor = m.Indexed, m.Skip, m.Duplicate, m.WaitsFor
	r.Text, r.Profile, r.Simhash, r.Numbers = m.Text, m.Profile, m.Simhash, m.Numbers
	for _, other := range m.Replaces {
		if err := a.giveWay(other, m.URL); err != nil {
			return err
		}
	}
	a.index(u, r)
	return nil
}

// giveWay takes a page out of the index for which another now stands.
func (a *applier) giveWay(url, to string) error {
	r, err := a.t.url(url)
	if r == nil || err != nil || !r.Indexed {
		return err
	}
	u, err := weburl.Parse(url)
	if err != nil {
		return err
	}
	a.unindex(u, r)
	r.Skip = skipExact
	if r.WaitsFor == to {
		r.Skip = skipCanonical
	}
	r.Indexed, r.Duplicate, r.WaitsFor = false, to, ""
	if n := a.counters(r.Crawl); n.Indexed > 0 {
		n.Indexed--
		n.Skipped++
	}
	a.t.setURL(url, r)
	return nil
}

// imported records a page that came from a WARC file. What was fetched later stands.
func (a *applier) imported(u weburl.URL, m *fetchedMsg) error {
	a.t.put(key(keyImport, string(m.Record[:])), []byte{1})
	r, err := a.t.url(m.URL)
	if err != nil || r != nil && (r.Fetched > m.Start || r.State == stateDeleted) {
		return err
	}
	if r == nil {
		r = &urlRecord{Known: m.Start, Reason: "imported"}
	}
	if err := a.replace(u, r, m); err != nil {
		return err
	}
	r.State, r.Fetched, r.Status, r.Redirect = stateFetched, m.Start, m.Status, m.Redirect
	a.t.setURL(m.URL, r)
	return nil
}
