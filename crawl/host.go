package crawl

import (
	"bytes"

	"concord/weburl"
)

// host is a host whose queue is being worked on. Its partition's lock guards it.
type host struct {
	name  string
	rec   hostRecord // ahead of the state on disk by the fetches that are not on record yet
	rest  int64      // ms of the process (instant.now): not before, as rec.Next has it by the machine's clock
	floor int64      // ms of the process: not before, for a reason that is not the host's own
	why   string     // that reason
	slot  address    // address whose turn has been reserved for the next request

	ready   []queued
	taken   map[string]*flight // by queue key: in flight, or done and not on record yet
	busy    bool               // a request is under way, or its robots.txt not on record yet
	busyURL string
	gated   bool   // its gate is closed behind the request
	more    bool   // the queue on disk may hold more than was read
	low     []byte // no entry lies below this key
	nextDue int64  // ms: when the first entry not yet due is; 0: there was none
	turn    int    // fetches since it became active

	robots       *weburl.Robots
	robotsDigest [32]byte
	robotsAt     int64 // rec.Robots when robots was read

	at    int64 // ms of the process: when to look at it again
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

// earliest returns when the host may be asked again, in ms of the process.
func (h *host) earliest() int64 { return max(h.rest, h.floor) }

// reason says what a host waits for, in plain words; now is the process's.
func (h *host) reason(now int64) string {
	switch {
	case h.busy:
		return "a request is under way"
	case h.floor > now && h.floor >= h.rest:
		return h.why
	case h.rest > now:
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
