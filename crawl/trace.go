package crawl

import (
	"time"

	"concord/trace"
)

// waitingSince returns since when a URL was to be fetched: since it was known, or, for one that was fetched before, since it was due again.
// Zero: nobody knows.
func waitingSince(r *urlRecord) time.Time {
	switch {
	case r == nil:
		return time.Time{}
	case r.Fetched == 0 && r.Known > 0:
		return time.UnixMilli(r.Known)
	case r.Next > 0:
		return time.UnixMilli(r.Next)
	}
	return time.Time{}
}

// trace records the lives of a batch's pages up to now, when they have been announced. What was imported was neither queued nor fetched here.
func (k *committer) trace(batch []*result, begun, archived time.Time) {
	now := time.Now()
	for _, r := range batch {
		for _, c := range r.captures {
			p := k.c.cfg.Trace.Page(c.ID)
			if p == nil {
				continue
			}
			born := begun
			if m := r.fetched; m != nil && m.Capture == c.ID {
				asked := time.UnixMilli(m.Start)
				fetched := asked.Add(time.Duration(m.Took) * time.Millisecond)
				if born = asked; !r.known.IsZero() && r.known.Before(asked) {
					born = r.known
				}
				p.Stage(trace.Queued, "", born, asked)
				p.Stage(trace.Fetched, "", asked, fetched)
				p.Stage(trace.Read, "", fetched, begun)
			}
			p.Stage(trace.Archived, "", begun, archived)
			p.Stage(trace.Announce, "", archived, now)
			p.Life(c.URL, born, now)
		}
	}
}
