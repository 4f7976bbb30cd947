package crawl

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"concord/weburl"
)

const (
	maxActive      = 2048 // hosts of a partition in memory: at a second between requests more than the fetchers can serve
	prefetch       = 8    // URLs of a host read ahead
	maxTaken       = 64   // fetches of a host that are not on record yet, before it waits for the committer
	turnFetches    = 32   // fetches after which a host gives up its place when others wait for one
	refusalBatch   = 64   // URLs refused by robots.txt in one message
	activateBatch  = 512  // hosts made active in one write
	budgetPause    = 50   // ms until a host looks again whether its crawl's page budget has room
	stalledPause   = 250 * time.Millisecond
	idlePause      = time.Minute // the longest sleep: clocks jump
	catchUpPause   = 20 * time.Millisecond
	maxRobotsKept  = 16 << 10 // bytes of a robots.txt that stays parsed; a longer one is parsed for each URL
	scheduleMargin = 2        // ms: timers are not exact, and waking twice costs more
)

// host is a host whose queue is being worked on. Its partition's lock guards it.
type host struct {
	name  string
	rec   hostRecord // ahead of the state on disk by the fetches that are not on record yet
	floor int64      // ms: not before, for a reason that is not the host's own
	why   string     // that reason
	slot  address    // address whose turn has been reserved for the next request

	ready   []queued
	taken   map[string]*flight // by queue key: in flight, or done and not on record yet
	busy    bool               // a request is under way, or its robots.txt not on record yet
	busyURL string
	more    bool   // the queue on disk may hold more than was read
	low     []byte // no entry lies below this key
	nextDue int64  // ms: when the first entry not yet due is; 0: there was none
	turn    int    // fetches since it became active

	robots       *weburl.Robots
	robotsDigest [32]byte
	robotsAt     int64 // rec.Robots when robots was read

	at    int64 // ms: when to look at it again
	index int   // in the heap; -1: not in it
}

type queued struct {
	key []byte
	e   *entry
}

// flight is a URL that was chosen.
type flight struct {
	queued
	reserved bool // of the crawl's page budget
}

// barred is a URL that robots.txt forbids, and by which rule.
type barred struct {
	queued
	reason string
}

// arrived notes that an entry came into the host's queue.
func (h *host) arrived(k []byte) {
	h.more = true
	if h.low != nil && bytes.Compare(k, h.low) < 0 {
		h.low = nil
	}
}

// reason says what a host waits for, in plain words.
func (h *host) reason(now int64) string {
	switch {
	case h.busy:
		return "a request is under way"
	case h.floor > now && h.floor >= h.rec.Next:
		return h.why
	case h.rec.Next > now:
		return h.rec.Reason
	}
	return "ready"
}

type hostHeap []*host

func (q hostHeap) Len() int           { return len(q) }
func (q hostHeap) Less(i, j int) bool { return q[i].at < q[j].at }
func (q hostHeap) Swap(i, j int)      { q[i], q[j] = q[j], q[i]; q[i].index, q[j].index = i, j }
func (q *hostHeap) Push(x any)        { h := x.(*host); h.index = len(*q); *q = append(*q, h) }
func (q *hostHeap) Pop() any {
	h := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = nil
	*q = (*q)[:len(*q)-1]
	h.index = -1
	return h
}

// lookAt sets when to look at a host again.
func (f *Frontier) lookAt(h *host, at int64) {
	h.at = at
	if h.index < 0 {
		heap.Push(&f.due, h)
	} else {
		heap.Fix(&f.due, h.index)
	}
}

// scheduleAt puts a host that is not active into the schedule on disk, if it is not there earlier.
func (f *Frontier) scheduleAt(t *txn, name string, h *hostRecord, wake int64) {
	if h.Wake != 0 && h.Wake <= wake {
		return
	}
	if h.Wake != 0 {
		t.del(wakeKey(h.Wake, name))
	}
	h.Wake = wake
	t.put(wakeKey(wake, name), nil)
	f.nextWake = min(f.nextWake, wake)
}

// restoreActive puts the hosts that were active when the last run ended back into the schedule.
func (f *Frontier) restoreActive(t *txn) {
	now := time.Now().UnixMilli()
	_ = scan(f.db, []byte{keyActive}, nil, func(k, _ []byte) (bool, error) {
		name := string(k[1:])
		t.del(key(keyActive, name))
		h, err := t.host(name, 0)
		if err != nil {
			return false, err
		}
		h.Wake = 0
		f.scheduleAt(t, name, h, now)
		return true, nil
	})
	f.nextWake = 0
}

// syncActive takes over what the fold wrote about active hosts. What memory knows from fetches that are not on record
// yet stays.
func (f *Frontier) syncActive(t *txn) {
	for name, rec := range t.hosts {
		h := f.active[name]
		if h == nil {
			continue
		}
		if rec.Last >= h.rec.Last {
			h.rec = *rec
		} else {
			h.rec.Robots, h.rec.RobotsNote, h.rec.RobotsDown, h.rec.RobotsFail = rec.Robots, rec.RobotsNote, rec.RobotsDown, rec.RobotsFail
			h.rec.CrawlDelay, h.rec.Queued, h.rec.Fetched, h.rec.Failed = rec.CrawlDelay, rec.Queued, rec.Fetched, rec.Failed
		}
		if !h.busy {
			f.lookAt(h, max(h.rec.Next, h.floor))
		}
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

// schedule begins fetches as hosts, fetchers and budgets allow, until ctx ends.
func (f *Frontier) schedule(ctx context.Context) error {
	if err := f.awaitOthers(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		pause, err := f.step(ctx, time.Now().UnixMilli())
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
				ready = ready && o.isCaught()
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

// step looks at all hosts that are due and returns how long there is nothing to do.
func (f *Frontier) step(ctx context.Context, now int64) (time.Duration, error) {
	if f.c.stalled() != "" {
		return stalledPause, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.activate(now); err != nil {
		return 0, err
	}
	for len(f.due) > 0 && f.due[0].at <= now {
		more, err := f.advance(ctx, f.due[0], now)
		if err != nil {
			return 0, err
		}
		if !more {
			return idlePause, nil // a freed slot wakes
		}
	}
	next := now + idlePause.Milliseconds()
	if len(f.active) < maxActive {
		next = min(next, f.nextWake)
	}
	if len(f.due) > 0 {
		next = min(next, f.due[0].at)
	}
	return time.Duration(max(next-now, 1)+scheduleMargin) * time.Millisecond, nil
}

// activate brings hosts that are due from the schedule on disk into memory, as far as there is room.
func (f *Frontier) activate(now int64) error {
	if now < f.nextWake || len(f.active) >= maxActive {
		f.crowded = f.crowded || now >= f.nextWake
		return nil
	}
	room := min(maxActive-len(f.active), activateBatch)
	var names []string
	f.nextWake, f.crowded = now+idlePause.Milliseconds(), false
	err := scan(f.db, []byte{keyWake}, nil, func(k, _ []byte) (bool, error) {
		wake := int64(binary.BigEndian.Uint64(k[1:9]))
		if wake > now || len(names) == room {
			f.nextWake = min(f.nextWake, wake)
			f.crowded = wake <= now
			return false, nil
		}
		names = append(names, string(k[9:]))
		return true, nil
	})
	if err != nil || len(names) == 0 {
		return err
	}
	t := newTxn(f.db)
	for _, name := range names {
		rec, err := t.host(name, f.born+1)
		if err != nil {
			return err
		}
		t.del(wakeKey(rec.Wake, name))
		t.put(key(keyActive, name), nil)
		rec.Wake = 0
		h := &host{name: name, rec: *rec, taken: map[string]*flight{}, more: true, index: -1}
		if rec.Born <= f.born { // its last fetch may not be on record
			h.floor, h.why = f.floor+max(rec.Delay, f.c.cfg.Politeness.MinDelay.Milliseconds()), "delay after a restart"
		}
		f.active[name] = h
		f.lookAt(h, max(rec.Next, h.floor))
	}
	return t.commit(false)
}

// retire takes a host out of memory; wake is when it is to come back, 0: when something arrives for it.
func (f *Frontier) retire(h *host, wake int64) error {
	if h.index >= 0 {
		heap.Remove(&f.due, h.index)
	}
	delete(f.active, h.name)
	t := newTxn(f.db)
	rec, err := t.host(h.name, f.born+1)
	if err != nil {
		return err
	}
	rec.Next, rec.Reason, rec.Delay = max(rec.Next, h.rec.Next), h.rec.Reason, h.rec.Delay
	rec.Wake = 0
	t.del(key(keyActive, h.name))
	if wake != 0 {
		f.scheduleAt(t, h.name, rec, wake)
	}
	return t.commit(false)
}

// fill reads ahead in a host's queue. Entries of crawls that have ended are dropped.
func (f *Frontier) fill(h *host, now int64) error {
	if len(h.ready) > 0 || !h.more {
		return nil
	}
	prefix := key(keyQueue, h.name, "\x00")
	h.more, h.nextDue = false, 0
	var dead []queued
	var first []byte
	err := scan(f.db, prefix, h.low, func(k, v []byte) (bool, error) {
		if first == nil {
			first = bytes.Clone(k)
		}
		if h.taken[string(k)] != nil {
			return true, nil
		}
		if due := queueDue(k); due > now {
			h.nextDue = due
			return false, nil
		}
		if len(h.ready) == prefetch || len(dead) == activateBatch {
			h.more = true
			return false, nil
		}
		e, err := decodeEntry(v)
		if err != nil {
			return false, err
		}
		if f.isDead(e) {
			dead = append(dead, queued{bytes.Clone(k), e})
		} else {
			h.ready = append(h.ready, queued{bytes.Clone(k), e})
		}
		return true, nil
	})
	h.low = first
	return errors.Join(err, f.bury(h, dead))
}

// isDead reports whether an entry's crawl has ended before the entry was fetched.
func (f *Frontier) isDead(e *entry) bool {
	n := f.counts[e.Crawl]
	return n != nil && (n.Stopped || n.Limited && !e.has(entryRecrawl))
}

// bury drops entries of crawls that have ended. They count nowhere any more but in their host's own numbers.
func (f *Frontier) bury(h *host, dead []queued) error {
	if len(dead) == 0 {
		return nil
	}
	t := newTxn(f.db)
	rec, err := t.host(h.name, f.born+1)
	if err != nil {
		return err
	}
	for _, q := range dead {
		t.del(q.key)
		if !q.e.has(entryCounted) {
			continue
		}
		s, err := t.shareOf(h.name, q.e.Crawl)
		if err != nil {
			return err
		}
		if q.e.Kind != kindPage {
			s.Maps--
			continue
		}
		s.Queued--
		rec.Queued--
		h.rec.Queued--
	}
	return t.commit(false)
}

// advance does for a host what is due now: it begins a request, refuses what robots.txt forbids, or sends it away. It
// returns false when there is no fetcher free.
func (f *Frontier) advance(ctx context.Context, h *host, now int64) (bool, error) {
	if ready := max(h.rec.Next, h.floor); ready > now {
		f.lookAt(h, ready)
		return true, nil
	}
	if err := f.fill(h, now); err != nil {
		return false, err
	}
	switch {
	case len(h.taken) >= maxTaken, len(h.ready) == 0 && len(h.taken) > 0:
		heap.Remove(&f.due, h.index) // comes back when one of them is on record
		return true, nil
	case len(h.ready) == 0 && h.more:
		return true, nil // only dead entries were read: read on
	case len(h.ready) == 0:
		wake := int64(0)
		if h.nextDue > 0 {
			wake = max(h.nextDue, h.rec.Next, 1)
		}
		return true, f.retire(h, wake)
	case f.crowded && h.turn >= turnFetches && len(h.taken) == 0:
		return true, f.retire(h, max(now, h.rec.Next))
	}
	if wait := f.c.gates.enter(h.name, now); wait > 0 {
		f.lookAt(h, now+wait)
		return true, nil
	}
	ok, err := f.begins(ctx, h, now)
	if !h.busy {
		f.c.gates.leave(h.name, 0)
	}
	return ok, err
}

// begins starts the request that is next for a host whose gate is open.
func (f *Frontier) begins(ctx context.Context, h *host, now int64) (bool, error) {
	if !f.c.takeSlot() {
		return false, nil
	}
	if h.rec.Robots <= now {
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
			f.lookAt(h, now+budgetPause)
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

// loadRobots reads and parses a host's robots.txt, once while it is active.
func (f *Frontier) loadRobots(h *host) error {
	if h.robots != nil && h.robotsAt == h.rec.Robots {
		return nil
	}
	v, err := load(f.db, key(keyRobots, h.name))
	if err != nil {
		return err
	}
	rec := &robotsRecord{Kind: string(weburl.RobotsNone)}
	if v != nil {
		if rec, err = decodeRobots(v); err != nil {
			return err
		}
	}
	h.robots, h.robotsDigest, h.robotsAt = weburl.ParseRobots(rec.Body), rec.Digest, h.rec.Robots
	if len(rec.Body) > maxRobotsKept {
		h.robotsAt = 0
	}
	return nil
}
