package crawl

import (
	"fmt"
	"strings"

	"concord"
	"concord/weburl"
)

const (
	maxSiteMaps = 1000 // sitemaps of one host that one crawl takes up
	seedRank    = 0    // ranks of queue entries: lower ones first; links stand under their depth
	mapRank     = 1
	maxRank     = 254
	recrawlRank = 255
)

// apply is the fold: it applies messages in order, in writes that carry the log position. An error ends the partition,
// which then starts again from what is durable.
func (f *Frontier) apply(msgs []concord.Message) error {
	for len(msgs) > 0 {
		n, size := 0, 0
		for n < len(msgs) && (n == 0 || size+len(msgs[n].Data) <= applyBytes) {
			size += len(msgs[n].Data)
			n++
		}
		if err := f.applyBatch(msgs[:n]); err != nil {
			return fmt.Errorf("apply %s: %w", f.Name(), err)
		}
		msgs = msgs[n:]
	}
	return nil
}

// applier is one write of the fold.
type applier struct {
	f     *Frontier
	t     *txn
	seq   uint64 // number of the message being applied
	n     uint32 // entries it has queued so far
	dirty map[crawlID]*counters
	after []func() // what memory learns once the write is done

	replay bool // Rebuild's: queue entries can be found by their URL
}

func (f *Frontier) applyBatch(msgs []concord.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := &applier{f: f, t: newTxn(f.db), dirty: map[crawlID]*counters{}}
	for i := range msgs {
		if msgs[i].Seq <= f.position {
			continue
		}
		a.seq, a.n = msgs[i].Seq, 0
		m, err := decodeMessage(msgs[i].Data)
		if err == nil {
			err = a.message(m)
		}
		if err != nil {
			return fmt.Errorf("message %d: %w", a.seq, err)
		}
		f.position = a.seq
	}
	for id, n := range a.dirty {
		a.t.put(crawlKey(keyCounters, id), n.encode())
	}
	f.putPosition(a.t)
	if err := a.t.commit(false); err != nil {
		return err
	}
	for _, fn := range a.after {
		fn()
	}
	f.syncActive(a.t)
	f.caught = f.caught || f.position >= f.born
	close(f.applied)
	f.applied = make(chan struct{})
	f.wake()
	return nil
}

func (a *applier) message(m any) error {
	switch m := m.(type) {
	case *crawlMsg:
		return a.crawl(m)
	case *linksMsg:
		return a.links(m)
	case *fetchedMsg:
		return a.fetched(m)
	case *refusedMsg:
		for i := range m.Items {
			if err := a.refuse(m.Crawl, &m.Items[i]); err != nil {
				return err
			}
		}
		return nil
	case *closeMsg:
		a.close(m)
		return nil
	case *forgetMsg:
		return a.forget(m)
	case *ownerMsg:
		a.owner(m)
		return nil
	}
	return concord.Errorf(concord.Corrupt, "unknown message")
}

// counters returns what is counted of a crawl, to be changed in place.
func (a *applier) counters(id crawlID) *counters {
	n := a.f.counts[id]
	if n == nil {
		n = new(counters)
		a.f.counts[id] = n
	}
	a.dirty[id] = n
	return n
}

func (a *applier) crawl(m *crawlMsg) error {
	data, err := m.encode()
	if err != nil {
		return err
	}
	a.t.put(crawlKey(keyCrawl, m.Crawl), data)
	a.counters(m.Crawl)
	return a.f.c.learn(m)
}

func (a *applier) close(m *closeMsg) {
	n := a.counters(m.Crawl)
	switch m.Why {
	case closeStopped:
		n.Stopped, n.Queued, n.Parked, n.Maps, n.MapsParked = true, 0, 0, 0, 0
		if n.Finished == 0 {
			n.Finished = m.Time
		}
	case closeLimit:
		if !n.Stopped && !n.Limited {
			n.Limited = true
			n.Refused += n.Queued
			n.Queued, n.Parked, n.Maps, n.MapsParked = 0, 0, 0, 0
		}
	case closeFinished:
		if n.Finished == 0 {
			n.Finished = m.Time
		}
	}
}

func (a *applier) forget(m *forgetMsg) error {
	r, err := a.t.url(m.URL)
	if r == nil || err != nil {
		return err
	}
	u, err := weburl.Parse(m.URL)
	if err != nil {
		return err
	}
	a.unindex(u, r)
	a.dropRecrawl(u.Origin(), r)
	r.State, r.Reason, r.Indexed, r.Skip, r.Next = stateDeleted, m.Reason, false, "deleted", 0
	a.t.setURL(m.URL, r)
	return nil
}

// open reports whether a crawl still takes up URLs.
func (n *counters) open() bool { return !n.Stopped && !n.Limited }

func (a *applier) links(m *linksMsg) error {
	p := a.f.c.plan(m.Crawl)
	n := a.counters(m.Crawl)
	if p == nil || !n.open() {
		return nil
	}
	for i := range m.Links {
		var err error
		switch m.Kind {
		case kindSitemap, kindProbe:
			err = a.sitemap(m, &m.Links[i])
		default:
			err = a.link(n, m, &m.Links[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// link takes one URL up, unless the crawl has it already.
func (a *applier) link(n *counters, m *linksMsg, l *linkItem) error {
	r, err := a.t.url(l.URL)
	if err != nil {
		return err
	}
	if r != nil && (r.State == stateDeleted || r.seenBy(m.Crawl) || n.Finished != 0) {
		return a.hint(m, l, r)
	}
	u, err := weburl.Parse(l.URL)
	if err != nil {
		return nil // our own normal form always parses; another version of it may not
	}
	host := u.Origin()
	s, err := a.t.shareOf(host, m.Crawl)
	if err != nil {
		return err
	}
	if s.Known >= a.f.c.cfg.Bounds.HostURLs {
		n.Refused++ // nothing more is written about this host: that is what the bound is for
		return nil
	}
	s.Known++
	flags := byte(entryCounted)
	if r == nil {
		r = &urlRecord{Known: int64(m.Crawl >> 16), From: m.From, Depth: m.Depth}
	} else if r.Fetched != 0 {
		flags |= entryAdopted
	}
	a.takeUp(r, m)
	reason := m.Refused
	if reason == "" && m.Via != viaSeed {
		reason = weburl.Trap(u)
	}
	if reason != "" {
		n.Refused++
		if r.State == 0 {
			r.State, r.Reason = stateRefused, reason
		}
		a.t.setURL(l.URL, r)
		return nil
	}
	if r.Fetched == 0 {
		r.State, r.Reason, r.Next = stateQueued, "", 0
	}
	a.t.setURL(l.URL, r)
	e := &entry{Crawl: m.Crawl, Flags: flags, Depth: m.Depth, Redirects: m.Redirects, URL: l.URL}
	_, err = a.enqueue(host, e, 0, byte(min(m.Depth, maxRank)))
	return err
}

// takeUp notes that a crawl has seen a URL; crawls that have ended are dropped from the note.
func (a *applier) takeUp(r *urlRecord, m *linksMsg) {
	keep := r.Crawls[:0]
	for _, id := range r.Crawls {
		if n := a.f.counts[id]; n != nil && n.Finished == 0 {
			keep = append(keep, id)
		}
	}
	r.Crawls = append(keep, m.Crawl)
	r.Crawl = m.Crawl
}

// hint brings the next look at a page forward when a sitemap says that it has changed since the last.
func (a *applier) hint(m *linksMsg, l *linkItem, r *urlRecord) error {
	if m.Via != viaSitemap || l.LastMod <= r.Fetched || r.Fetched == 0 || len(r.Recrawl) == 0 || r.Crawl != m.Crawl {
		return nil
	}
	e, err := a.t.entry(r.Recrawl)
	if e == nil || err != nil {
		return err
	}
	host, _ := queueHost(r.Recrawl)
	a.t.del(r.Recrawl)
	if r.Recrawl, err = a.enqueue(host, e, l.LastMod, recrawlRank); err != nil {
		return err
	}
	r.Next = l.LastMod
	a.t.setURL(l.URL, r)
	return nil
}

// sitemap takes up one sitemap, or the question for those of a host.
func (a *applier) sitemap(m *linksMsg, l *linkItem) error {
	u, err := weburl.Parse(l.URL)
	if err != nil {
		return nil
	}
	known := sitemapKey(m.Crawl, string(rune('0'+m.Kind))+l.URL)
	if v, err := a.t.get(known); v != nil || err != nil {
		return err
	}
	if m.Kind == kindSitemap { // the probe of a host asks for the usual place itself
		if v, err := a.t.get(sitemapKey(m.Crawl, string(rune('0'+kindProbe))+l.URL)); v != nil || err != nil {
			return err
		}
	}
	s, err := a.t.shareOf(u.Origin(), m.Crawl)
	if err != nil || s.Sitemaps >= maxSiteMaps {
		return err
	}
	s.Sitemaps++
	a.t.set(known, []byte{1})
	e := &entry{Crawl: m.Crawl, Kind: m.Kind, Flags: entryCounted, Depth: m.Depth, Redirects: m.Redirects, URL: l.URL}
	_, err = a.enqueue(u.Origin(), e, 0, mapRank)
	return err
}

// enqueue puts an entry into its host's queue and the host into the schedule.
func (a *applier) enqueue(host string, e *entry, due int64, rank byte) ([]byte, error) {
	k := queueKey(host, due, rank, a.seq, a.n)
	a.n++
	h, err := a.t.host(host, a.seq)
	if err != nil {
		return nil, err
	}
	a.t.set(k, e.encode())
	if a.replay && !e.has(entryRecrawl) {
		a.t.set(replayKey(e.Crawl, e.Kind, e.URL), k)
	}
	if e.has(entryCounted) {
		if err := a.count(host, h, e, 1); err != nil {
			return nil, err
		}
	}
	if live := a.f.active[host]; live != nil {
		a.after = append(a.after, func() { live.arrived(k) })
		return k, nil
	}
	a.f.scheduleAt(a.t, host, h, max(due, h.Next, 1))
	return k, nil
}

// count adds to what a crawl waits for.
func (a *applier) count(host string, h *hostRecord, e *entry, by int64) error {
	s, err := a.t.shareOf(host, e.Crawl)
	if err != nil {
		return err
	}
	n := a.counters(e.Crawl)
	queued, waiting, parked := &s.Queued, &n.Queued, &n.Parked
	if e.Kind == kindPage {
		h.Queued += by
	} else {
		queued, waiting, parked = &s.Maps, &n.Maps, &n.MapsParked
	}
	*queued += by
	if n.open() {
		*waiting += by
		if h.Parked {
			*parked += by
		}
	}
	return nil
}

// dequeue removes an entry and returns it, nil when it is not there.
func (a *applier) dequeue(host string, h *hostRecord, k []byte) (*entry, error) {
	if len(k) == 0 {
		return nil, nil
	}
	e, err := a.t.entry(k)
	if e == nil || err != nil {
		return nil, err
	}
	a.t.del(k)
	if e.has(entryCounted) {
		err = a.count(host, h, e, -1)
	}
	return e, err
}

// park moves what crawls have on a host to, or from, what they do not wait for.
func (a *applier) park(host string, sign int64) error {
	prefix := key(keyShare, host, "\x00")
	ids := map[crawlID]bool{}
	err := scan(a.f.db, prefix, nil, func(k, _ []byte) (bool, error) {
		ids[shareCrawl(k)] = true
		return true, nil
	})
	if err != nil {
		return err
	}
	for k := range a.t.share {
		if strings.HasPrefix(k, string(prefix)) {
			ids[shareCrawl([]byte(k))] = true
		}
	}
	for id := range ids {
		s, err := a.t.shareOf(host, id)
		if err != nil {
			return err
		}
		if n := a.counters(id); n.open() {
			n.Parked += sign * s.Queued
			n.MapsParked += sign * s.Maps
		}
	}
	return nil
}

func shareCrawl(k []byte) crawlID {
	d := &decoder{b: k[len(k)-8:]}
	return crawlID(d.fixed())
}

// refuse takes an entry out that will not be fetched.
func (a *applier) refuse(id crawlID, it *refusedItem) error {
	host, ok := queueHost(it.Entry)
	if !ok {
		return concord.Errorf(concord.Corrupt, "refusal of %s names no queue entry", it.URL)
	}
	h, err := a.t.host(host, a.seq)
	if err != nil {
		return err
	}
	e, err := a.dequeue(host, h, it.Entry)
	if err != nil {
		return err
	}
	a.after = append(a.after, func() { a.f.settled(host, it.Entry, it.URL) })
	if e == nil || e.Kind != kindPage {
		return nil
	}
	return a.refused(e, it.URL, it.Reason)
}

// refused records the refusal of a page whose entry was taken out.
func (a *applier) refused(e *entry, url, reason string) error {
	n := a.counters(e.Crawl)
	if e.has(entryFailed) {
		n.Failed--
	}
	if e.has(entryCounted) || e.has(entryFailed) {
		n.Refused++
	}
	r, err := a.t.url(url)
	if r == nil || err != nil {
		return err
	}
	r.State, r.Reason, r.Next, r.Recrawl = stateRefused, reason, 0, nil
	a.t.setURL(url, r)
	return nil
}
