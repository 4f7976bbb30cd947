package crawl

import (
	"sync"
	"sync/atomic"
	"time"
)

// clock is the time of a running crawler. What is on disk and on record is in the machine's time, which may be set; how long a host rests, and whose
// turn it is at an address, is counted in the process's own, which only goes on: were it not, all hosts that rest when the clock is set
// back by an hour would rest for that hour.
type clock struct {
	start time.Time
	mu    sync.Mutex
	high  int64 // ms: the latest that the machine's clock has shown
	ahead int64 // ms by which that was ahead of the process's time
	back  atomic.Int64
}

// instant is a moment in the times that there are, in ms since 1970. Unless the clock was set they are the same.
type instant struct {
	now  int64 // of the process: the machine's when it began, and what has gone by since
	wall int64 // of the machine
	due  int64 // by which to look at what was to be looked at by the machine's clock: where it would be if it had not been set back
}

func (k *clock) init() { k.start = time.Now() }

// shown is what the machine's clock shows at a moment. A test sets it back for one crawler.
func (k *clock) shown(t time.Time) time.Time {
	return t.Add(-time.Duration(k.back.Load()) * time.Millisecond)
}

// of returns a moment of this process in its time.
func (k *clock) of(t time.Time) int64 { return k.start.Add(t.Sub(k.start)).UnixMilli() }

func (k *clock) read() instant {
	t := time.Now()
	in := instant{now: k.of(t), wall: k.shown(t).UnixMilli()}
	in.due = in.wall
	k.mu.Lock()
	defer k.mu.Unlock()
	if in.wall >= k.high {
		k.high, k.ahead = in.wall, in.wall-in.now
	} else { // until it shows again what it has shown
		in.due = in.now + k.ahead
	}
	return in
}

// rest returns until when a host rests, in the process's time. What is left by the machine's clock is never more than all that it was to rest.
func (in instant) rest(rec *hostRecord) int64 {
	return in.now + max(0, min(rec.Next-in.wall, rec.Next-rec.Last))
}

// shows returns a time of the process as the machine's clock will show it.
func (in instant) shows(now int64) time.Time { return fromMillis(in.wall + now - in.now) }
