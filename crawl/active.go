package crawl

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"time"

	"concord/weburl"
)

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
			if rec.Next != h.rec.Next {
				h.rest = max(h.rest, f.c.clock.read().rest(rec))
			}
			h.rec = *rec
		} else {
			h.rec.Robots, h.rec.RobotsNote, h.rec.RobotsDown, h.rec.RobotsFail = rec.Robots, rec.RobotsNote, rec.RobotsDown, rec.RobotsFail
			h.rec.CrawlDelay, h.rec.Queued, h.rec.Fetched, h.rec.Failed = rec.CrawlDelay, rec.Queued, rec.Fetched, rec.Failed
		}
		if !h.busy {
			f.lookAt(h, h.earliest())
		}
	}
}

// activate brings hosts that are due from the schedule on disk into memory, as far as there is room.
func (f *Frontier) activate(in instant) error {
	now := in.due
	if now < f.nextWake || len(f.active) >= maxActive {
		f.crowded = f.crowded || now >= f.nextWake
		return nil
	}
	room := min(maxActive-len(f.active), activateBatch)
	var names []string
	from := wakeKey(f.nextWake, "") // nothing lies below: seeking there passes over what was deleted
	f.nextWake, f.crowded = now+idlePause.Milliseconds(), false
	err := scan(f.db, []byte{keyWake}, from, func(k, _ []byte) (bool, error) {
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
		h := &host{name: name, rec: *rec, taken: map[string]*flight{}, more: true, index: -1, rest: in.rest(rec)}
		if rec.Born <= f.born { // its last fetch may not be on record
			h.floor, h.why = f.floor+max(rec.Delay, f.c.cfg.Politeness.MinDelay.Milliseconds()), "delay after a restart"
			if more := f.owner.Until - f.began; more > 0 {
				h.floor, h.why = h.floor+more, "the machine that ran this partition before may still be asking"
			}
		}
		f.active[name] = h
		f.lookAt(h, h.earliest())
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

// fill reads ahead in a host's queue; now is the machine's. Entries of crawls that have ended are dropped.
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
