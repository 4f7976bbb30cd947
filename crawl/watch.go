package crawl

import (
	"context"
	"sync"

	"concord"
)

const (
	recentEvents = 1000 // lines kept for who comes later: a few pages of a terminal
	watchBuffer  = 256  // lines a slow reader may lag behind before it loses some
	maxWatchers  = 256  // open live pages
)

// watch is the live list of what happens: a ring of the last lines and the channels of those who read along.
type watch struct {
	mu      sync.Mutex
	ring    []concord.CrawlEvent
	next    int
	readers map[chan concord.CrawlEvent]struct{}
}

func (w *watch) init() { w.readers = map[chan concord.CrawlEvent]struct{}{} }

func (w *watch) emit(e concord.CrawlEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ring) < recentEvents {
		w.ring = append(w.ring, e)
	} else {
		w.ring[w.next] = e
		w.next = (w.next + 1) % recentEvents
	}
	for ch := range w.readers {
		select {
		case ch <- e:
		default: // a slow reader loses lines, never the crawl its time
		}
	}
}

// Recent returns at most n of the last events, newest first.
func (c *Crawler) Recent(n int) []concord.CrawlEvent {
	w := &c.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	n = min(max(n, 0), len(w.ring))
	out := make([]concord.CrawlEvent, 0, n)
	for i := range n {
		out = append(out, w.ring[(w.next+2*len(w.ring)-1-i)%len(w.ring)])
	}
	return out
}

// Watch returns the events from now on until ctx ends; the channel is then closed. A reader that is too slow loses
// events. When too many watch already, the channel is closed at once.
func (c *Crawler) Watch(ctx context.Context) <-chan concord.CrawlEvent {
	w := &c.watch
	ch := make(chan concord.CrawlEvent, watchBuffer)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.readers) >= maxWatchers {
		close(ch)
		return ch
	}
	w.readers[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.readers, ch)
		close(ch)
	})
	return ch
}
