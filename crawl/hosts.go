package crawl

import (
	"context"
	"time"

	"concord"
)

// hosts returns the active hosts, then those next in the schedule, then others, at most limit.
func (f *Frontier) hosts(ctx context.Context, limit int) ([]concord.HostStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.c.clock.read()
	var out []concord.HostStatus
	seen := map[string]bool{}
	stalled := f.c.stalled()
	for name, h := range f.active {
		v := view(name, &h.rec, in.shows(h.earliest()), h.reason(in.now))
		if h.busy {
			v.InFlight = h.busyURL
		}
		if stalled != "" && v.Reason == "ready" {
			v.Reason = stalled
		}
		out, seen[name] = append(out, v), true
	}
	add := func(name string) error {
		v, err := load(f.db, key(keyHost, name))
		if v == nil || err != nil || seen[name] {
			return err
		}
		rec, err := decodeHost(v)
		if err != nil {
			return err
		}
		reason := "ready"
		switch {
		case rec.Queued == 0:
			reason = "nothing to fetch"
		case rec.Next > in.wall:
			reason = rec.Reason
		}
		out, seen[name] = append(out, view(name, rec, fromMillis(rec.Next), reason)), true
		return nil
	}
	each := func(skip int) func(k, _ []byte) (bool, error) {
		return func(k, _ []byte) (bool, error) {
			if len(out) >= limit || ctx.Err() != nil {
				return false, ctx.Err()
			}
			return true, add(string(k[skip:]))
		}
	}
	if err := scan(f.db, []byte{keyWake}, nil, each(9)); err != nil {
		return nil, err
	}
	return out, scan(f.db, []byte{keyHost}, nil, each(1))
}

func view(name string, rec *hostRecord, next time.Time, reason string) concord.HostStatus {
	s := concord.HostStatus{Host: name, Queued: rec.Queued, Reason: reason, Delay: time.Duration(rec.Delay) * time.Millisecond,
		Backoff: rec.Backoff, Fetched: rec.Fetched, Failed: rec.Failed, LastError: rec.LastError, Robots: rec.RobotsNote}
	if s.Robots == "" {
		s.Robots = "none"
	}
	if rec.Queued > 0 || next.After(time.Now()) {
		s.Next = next
	}
	if rec.Last != 0 {
		s.Asked = fromMillis(rec.Last)
	}
	return s
}
