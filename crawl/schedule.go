package crawl

import (
	"container/heap"
	"context"
	"time"
)

const (
	maxActive     = 2048 // hosts of a partition in memory: at a second between requests more than the fetchers can serve
	prefetch      = 8    // URLs of a host read ahead
	maxTaken      = 64   // fetches of a host that are not on record yet, before it waits for the committer
	turnFetches   = 32   // fetches after which a host gives up its place when others wait for one
	refusalBatch  = 64   // URLs refused by robots.txt in one message
	activateBatch = 512  // hosts made active in one write
	budgetPause   = 50   // ms until a host looks again whether its crawl's page budget has room
	stalledPause  = 250 * time.Millisecond
	idlePause     = time.Minute // the longest sleep: clocks jump
	catchUpPause  = 20 * time.Millisecond
	maxRobotsKept = 16 << 10 // bytes of a robots.txt that stays parsed; a longer one is parsed for each URL
)

// lookAt sets when to look at a host again.
func (f *Frontier) lookAt(h *host, at int64) {
	h.at = at
	if h.index < 0 {
		heap.Push(&f.due, h)
	} else {
		heap.Fix(&f.due, h.index)
	}
}

// settled notes that the end of a fetch is on record.
func (f *Frontier) settled(name string, k []byte, url string) {
	f.pending.drop(url)
	h := f.active[name]
	if h == nil {
		return
	}
	if len(k) == 0 {
		if h.busy && h.busyURL == url { // a robots.txt: its rules are on record now
			h.busy, h.busyURL, h.slot = false, "", address{}
		}
		return
	}
	if fl := h.taken[string(k)]; fl != nil {
		delete(h.taken, string(k))
		f.release(fl)
		h.more = h.more || len(h.ready) == 0
	}
}

// release gives back what a flight holds.
func (f *Frontier) release(fl *flight) {
	id := fl.e.Crawl
	if f.inFlight[id]--; f.inFlight[id] <= 0 {
		delete(f.inFlight, id)
	}
	if fl.reserved {
		if n := f.counts[id]; n != nil {
			f.c.budget.set(id, f.id, n.Pages)
		}
		f.c.budget.release(id, f.id)
	}
}

// schedule begins fetches as hosts, fetchers and budgets allow, until ctx ends. Those under way end with requests.
func (f *Frontier) schedule(ctx, requests context.Context) error {
	if err := f.awaitOthers(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		pause, err := f.step(requests, f.c.clock.read())
		if err != nil {
			return err
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.wakes:
		case <-timer.C:
		}
	}
}

// awaitOthers waits until this partition has replayed its log, and for a short while for the others to do so too.
func (f *Frontier) awaitOthers(ctx context.Context) error {
	limit := time.Now().Add(startGrace)
	for {
		ready := f.isCaught()
		if ready && time.Now().Before(limit) {
			for _, o := range f.c.parts {
				ready = ready && (o.isCaught() || f.c.cfg.Shared && !o.runs())
			}
		}
		if ready {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(catchUpPause):
		}
	}
}

func (f *Frontier) isCaught() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.caught
}

func (f *Frontier) runs() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running
}

// step looks at all hosts that are due and returns how long there is nothing to do.
func (f *Frontier) step(ctx context.Context, in instant) (time.Duration, error) {
	if f.c.stalled() != "" || !f.holds() {
		return stalledPause, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.activate(in); err != nil {
		return 0, err
	}
	for len(f.due) > 0 && f.due[0].at <= in.now {
		more, err := f.advance(ctx, f.due[0], in)
		if err != nil {
			return 0, err
		}
		if !more {
			return idlePause, nil // a freed slot wakes
		}
	}
	pause := idlePause.Milliseconds()
	if len(f.active) < maxActive {
		pause = min(pause, f.nextWake-in.due)
	}
	if len(f.due) > 0 {
		pause = min(pause, f.due[0].at-in.now)
	}
	return time.Duration(max(pause, 1)) * time.Millisecond, nil
}

// advance does for a host what is due now: it begins a request, refuses what robots.txt forbids, or sends it away. It
// returns false when there is no fetcher free.
func (f *Frontier) advance(ctx context.Context, h *host, in instant) (bool, error) {
	if at := h.earliest(); at > in.now {
		f.lookAt(h, at)
		return true, nil
	}
	if err := f.fill(h, in.wall); err != nil {
		return false, err
	}
	switch {
	case len(h.taken) >= maxTaken, len(h.ready) == 0 && len(h.taken) > 0:
		heap.Remove(&f.due, h.index) // comes back when one of them is on record
		return true, nil
	case len(h.ready) == 0 && h.more:
		return true, nil // only dead entries were read: read on
	case len(h.ready) == 0 && h.nextDue > in.wall && h.nextDue <= in.due: // the clock was set back: the schedule on disk would bring it back at once
		h.more = true
		f.lookAt(h, in.now+h.nextDue-in.wall)
		return true, nil
	case len(h.ready) == 0:
		wake := int64(0)
		if h.nextDue > 0 {
			wake = max(h.nextDue, h.rec.Next, 1)
		}
		return true, f.retire(h, wake)
	case f.crowded && h.turn >= turnFetches && len(h.taken) == 0:
		return true, f.retire(h, max(in.wall, h.rec.Next))
	}
	if wait := f.c.gates.enter(h.name, in.now); wait > 0 {
		f.lookAt(h, in.now+wait)
		return true, nil
	}
	h.gated = true
	ok, err := f.begins(ctx, h, in)
	if !h.busy {
		f.openGate(h)
	}
	return ok, err
}

// begins starts the request that is next for a host whose gate is open.
func (f *Frontier) begins(ctx context.Context, h *host, in instant) (bool, error) {
	if !f.c.takeSlot() {
		return false, nil
	}
	if h.rec.Robots <= in.wall || h.rec.Robots == h.rec.Next { // over; or it could not be had, and is asked for again as soon as the host is
		heap.Remove(&f.due, h.index)
		h.busy, h.busyURL = true, h.name+robotsPath
		f.fly(func() { f.fetchRobots(ctx, h, h.ready[0].e.Crawl) })
		return true, nil
	}
	if err := f.loadRobots(h); err != nil {
		f.c.freeSlot()
		return false, err
	}
	fl, refusals := f.choose(h)
	if len(refusals) > 0 {
		f.fly(func() { f.submitRefusals(ctx, refusals) })
	}
	if fl == nil {
		if len(refusals) == 0 {
			f.c.freeSlot()
		}
		if len(h.ready) > 0 {
			f.lookAt(h, in.now+budgetPause)
		}
		return true, nil
	}
	if len(refusals) > 0 && !f.c.takeSlot() {
		delete(h.taken, string(fl.key))
		f.release(fl)
		h.ready = append([]queued{fl.queued}, h.ready...)
		return false, nil
	}
	job, err := f.prepare(h, fl)
	if err != nil {
		f.c.freeSlot()
		return false, err
	}
	heap.Remove(&f.due, h.index)
	h.busy, h.busyURL = true, fl.e.URL
	h.turn++
	f.fly(func() { f.fetch(ctx, h, job) })
	return true, nil
}

// fly runs a fetch, which gives its slot back when it is done.
func (f *Frontier) fly(fetch func()) {
	f.flights.Go(func() {
		defer f.c.freeSlot()
		fetch()
	})
}

// choose takes the next URL that may be fetched out of those read ahead, and those that may not be. A probe is always
// taken: it asks for what robots.txt itself names.
func (f *Frontier) choose(h *host) (*flight, []barred) {
	var refusals []barred
	for len(h.ready) > 0 && len(refusals) < refusalBatch {
		fl := &flight{queued: h.ready[0]}
		e := fl.e
		rule := ""
		if e.Kind != kindProbe {
			rule = f.forbidden(h, e)
		}
		switch {
		case f.isDead(e):
			h.ready, h.more = h.ready[1:], true
			continue
		case rule != "":
			f.take(h, fl)
			refusals = append(refusals, barred{fl.queued, rule})
			continue
		case e.Kind == kindPage && (e.has(entryCounted) || e.has(entryFailed)):
			p := f.c.plan(e.Crawl)
			if p != nil && !f.c.budget.reserve(e.Crawl, f.id, int64(p.spec.MaxPages)) {
				return nil, refusals
			}
			fl.reserved = p != nil
		}
		f.take(h, fl)
		return fl, refusals
	}
	return nil, refusals
}

func (f *Frontier) take(h *host, fl *flight) {
	h.ready = h.ready[1:]
	h.taken[string(fl.key)] = fl
	f.inFlight[fl.e.Crawl]++
}

// putBack undoes take for a URL whose request could not begin yet.
func (f *Frontier) putBack(h *host, fl *flight) {
	if h.taken[string(fl.key)] == nil {
		return
	}
	delete(h.taken, string(fl.key))
	f.release(fl)
	h.ready = append([]queued{fl.queued}, h.ready...)
}
