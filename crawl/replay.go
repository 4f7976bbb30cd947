package crawl

import (
	"encoding/binary"
	"fmt"
	"time"

	"concord"
	"concord/weburl"

	"github.com/cockroachdb/pebble/v2"
)

// The fold of a Rebuild is the one that follows the log. What differs is that nobody chose from the queues: which entry a
// fetch settles is found by its URL, and what is left of crawls that are over is put in order at the end.

// keyReplay begins the keys that only a rebuild has, and removes at its end:
//
//	z <crawl> <kind 1> <url>   key of the URL's queue entry
const keyReplay = 'z'

func replayKey(id crawlID, kind urlKind, url string) []byte {
	if kind == kindProbe {
		kind = kindSitemap
	}
	k := binary.BigEndian.AppendUint64([]byte{keyReplay}, uint64(id))
	return append(append(k, byte(kind)), url...)
}

// replay applies messages made from the archive. Nothing is durable before settle.
func (f *Frontier) replay(seq *uint64, msgs []any) error {
	return f.rewrite(func(a *applier) error {
		for _, m := range msgs {
			*seq++
			a.seq, a.n = *seq, 0
			if err := a.message(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// rewrite changes the state of a partition that does not run, in one write.
func (f *Frontier) rewrite(change func(*applier) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := &applier{f: f, t: newTxn(f.db), dirty: map[crawlID]*counters{}, replay: true}
	if err := change(a); err != nil {
		return fmt.Errorf("rebuild %s: %w", f.Name(), err)
	}
	for id, n := range a.dirty {
		a.t.put(crawlKey(keyCounters, id), n.encode())
	}
	if err := a.t.commit(false); err != nil {
		return err
	}
	for _, fn := range a.after {
		fn()
	}
	return nil
}

// resolve fills in what a fetch made from the archive leaves open: what was known of its URL before, and its queue entry.
func (a *applier) resolve(host string, m *fetchedMsg) error {
	r, err := a.t.url(m.URL)
	if err != nil {
		return err
	}
	if r != nil && m.stood {
		m.stands(r)
	}
	m.Changed = !m.stood && r != nil && r.Fetched != 0 && !m.Text.IsZero() && r.Text != m.Text
	if m.Kind != kindPage && m.Kind != kindSitemap {
		return nil
	}
	if m.Entry, err = a.entryOf(r, m); err != nil || m.Entry != nil {
		return err
	}
	// The link that led here is not in the archive, or leads nowhere with the rules of today.
	if r == nil && m.Kind == kindPage {
		a.t.setURL(m.URL, &urlRecord{State: stateQueued, Known: m.Start, Crawl: m.Crawl, Crawls: []crawlID{m.Crawl}, Depth: m.replayed.Depth})
	}
	e := *m.replayed
	if !e.has(entryRecrawl) {
		e.Flags |= entryCounted
	}
	m.Entry, err = a.enqueue(host, &e, 0, recrawlRank)
	return err
}

// entryOf finds the queue entry of a fetch; nil: there is none.
func (a *applier) entryOf(r *urlRecord, m *fetchedMsg) ([]byte, error) {
	var keys [][]byte
	k, err := a.t.get(replayKey(m.Crawl, m.Kind, m.URL))
	if err != nil {
		return nil, err
	}
	keys = append(keys, k)
	if r != nil && m.Kind == kindPage {
		keys = append(keys, r.Recrawl)
		if m.replayed.has(entryRecrawl) {
			keys[0], keys[1] = keys[1], keys[0]
		}
	}
	for _, k := range keys {
		if len(k) == 0 {
			continue
		}
		if e, err := a.t.entry(k); e != nil || err != nil {
			return k, err
		}
	}
	return nil, nil
}

// settleChunk bounds one write of settle.
const settleChunk = 2000

// settle puts in order what is left when the whole archive is applied, and makes the state durable: it stands at position
// of its log.
func (f *Frontier) settle(position uint64) error {
	if err := f.settleQueue(); err != nil {
		return err
	}
	if err := f.settleHosts(); err != nil {
		return err
	}
	if err := f.db.DeleteRange([]byte{keyReplay}, []byte{keyReplay + 1}, pebble.NoSync); err != nil {
		return err
	}
	return f.rewrite(func(a *applier) error {
		f.position, f.fence = position, 0
		f.putPosition(a.t)
		return nil
	})
}

// settleQueue deals with the pages that crawls wait for although they are over: there is no answer of them on record. What
// robots.txt forbids is refused, the rest counts as failed and is tried again.
func (f *Frontier) settleQueue() error {
	now := time.Now().UnixMilli()
	var from []byte
	for more := true; more; {
		more = false
		var left [][]byte
		n := 0
		err := scan(f.db, []byte{keyQueue}, from, func(k, v []byte) (bool, error) {
			if n++; n > settleChunk {
				from, more = append([]byte(nil), k...), true
				return false, nil
			}
			e, err := decodeEntry(v)
			if err != nil {
				return false, err
			}
			if c := f.counts[e.Crawl]; c != nil && c.Finished != 0 && c.open() && e.has(entryCounted) {
				left = append(left, append([]byte(nil), k...))
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		err = f.rewrite(func(a *applier) error {
			for _, k := range left {
				if err := a.abandoned(k, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// abandoned settles an entry that a crawl left when it ended.
func (a *applier) abandoned(k []byte, now int64) error {
	host, ok := queueHost(k)
	if !ok {
		return concord.Errorf(concord.Corrupt, "queue entry names no host")
	}
	h, err := a.t.host(host, 0)
	if err != nil {
		return err
	}
	e, err := a.dequeue(host, h, k)
	if e == nil || err != nil || e.Kind != kindPage {
		return err
	}
	u, err := weburl.Parse(e.URL)
	if err != nil {
		return nil
	}
	r, err := a.t.url(e.URL)
	if r == nil || err != nil {
		return err
	}
	rules, err := a.f.rulesOf(host)
	if err != nil {
		return err
	}
	if v := rules.Check(a.f.c.cfg.Product, u); !v.Allowed {
		return a.refused(e, e.URL, fmt.Sprintf("robots.txt line %d: %s", v.Line, concord.Clip(v.Rule, 120)))
	}
	m := &fetchedMsg{Crawl: e.Crawl, URL: e.URL, Start: now, Note: "why it was not fetched is not on record"}
	if retries := a.f.c.cfg.Politeness.Retries; e.Tries < len(retries) {
		return a.retry(host, e, r, m, now+max(retries[e.Tries], a.f.c.cfg.Politeness.Patience+time.Millisecond).Milliseconds())
	}
	a.gaveUp(e, r, m)
	a.t.setURL(e.URL, r)
	return nil
}

// rulesOf returns the robots.txt on record of a host.
func (f *Frontier) rulesOf(host string) (*weburl.Robots, error) {
	v, err := load(f.db, key(keyRobots, host))
	if err != nil {
		return nil, err
	}
	if v == nil {
		return weburl.ParseRobots(nil), nil
	}
	rec, err := decodeRobots(v)
	if err != nil {
		return nil, err
	}
	return weburl.ParseRobots(rec.Body), nil
}

// settleHosts makes every host rest for its delay once the partition runs: its last fetch may not be on record.
func (f *Frontier) settleHosts() error {
	var from []byte
	for more := true; more; {
		more = false
		err := f.rewrite(func(a *applier) error {
			n := 0
			return scan(f.db, []byte{keyHost}, from, func(k, _ []byte) (bool, error) {
				if n++; n > settleChunk {
					from, more = append([]byte(nil), k...), true
					return false, nil
				}
				h, err := a.t.host(string(k[1:]), 0)
				if err == nil {
					h.Born = 0
				}
				return true, err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
