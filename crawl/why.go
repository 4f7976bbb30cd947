package crawl

import (
	"time"

	"concord"
	"concord/weburl"
)

// why says what is known about a URL of this partition.
func (f *Frontier) why(u weburl.URL) (concord.URLStatus, error) {
	s := concord.URLStatus{URL: u.String(), State: "unknown"}
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.lookup(s.URL)
	if err != nil {
		return s, err
	}
	if r == nil {
		s.Reason = f.c.whyUnknown(u)
		return s, nil
	}
	s.State = map[urlState]string{stateQueued: "queued", stateFetched: "fetched", stateFailed: "failed", stateRefused: "refused",
		stateGone: "gone", stateDeleted: "refused"}[r.State]
	s.Reason, s.Depth, s.From, s.Known, s.Fetched, s.Next = r.Reason, r.Depth, r.From, fromMillis(r.Known), fromMillis(r.Fetched), fromMillis(r.Next)
	if r.Crawl != 0 {
		s.Crawl = r.Crawl.String()
	}
	s.Status, s.Tries, s.Redirect, s.Duplicate, s.Indexed, s.Skip = r.Status, r.Tries, r.Redirect, r.Duplicate, r.Indexed, r.Skip
	return s, f.whyWaiting(u, r, &s)
}

// whyWaiting adds what holds a queued URL back.
func (f *Frontier) whyWaiting(u weburl.URL, r *urlRecord, s *concord.URLStatus) error {
	if r.State != stateQueued {
		return nil
	}
	if n := f.counts[r.Crawl]; n != nil && (n.Stopped || n.Limited) {
		s.State, s.Reason = "refused", "the crawl was stopped"
		if !n.Stopped {
			s.Reason = "the crawl's page limit was reached"
		}
		return nil
	}
	if h := f.active[u.Origin()]; h != nil {
		if h.busyURL == s.URL {
			s.State = "fetching"
			return nil
		}
		in := f.c.clock.read()
		s.Next, s.Reason = later(s.Next, in.shows(h.earliest())), join(s.Reason, h.reason(in.now))
		return nil
	}
	v, err := load(f.db, key(keyHost, u.Origin()))
	if v == nil || err != nil {
		return err
	}
	rec, err := decodeHost(v)
	if err != nil {
		return err
	}
	s.Next = later(s.Next, fromMillis(rec.Next))
	if rec.Next > time.Now().UnixMilli() {
		s.Reason = join(s.Reason, "the host rests: "+rec.Reason)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// whyUnknown says whether any crawl would take a URL up that none has met.
func (c *Crawler) whyUnknown(u weburl.URL) string {
	if trap := weburl.Trap(u); trap != "" {
		return "would not be taken up: " + trap
	}
	if weburl.FileType(u) == "other" {
		return "files of this kind hold no text and are not fetched"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	reason := "no crawl was ever started"
	for _, p := range c.plans {
		if reason = p.refuse(u); reason == "" {
			return "within the scope of crawl " + p.id.String() + ", but no page was found that links to it"
		}
	}
	return reason
}
