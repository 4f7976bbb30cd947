package crawl

import "sync"

// budget holds each crawl to its page limit: pages that are on record plus fetches that may become one never exceed it.
// It counts over the partitions of this process, and with what other machines said of theirs a moment ago.
type budget struct {
	mu    sync.Mutex
	parts int
	used  map[crawlID][]use
}

// use is what one partition takes of a crawl's budget.
type use struct{ pages, reserved int64 }

func (b *budget) init(parts int) { b.parts, b.used = parts, map[crawlID][]use{} }

func (b *budget) of(id crawlID) []use {
	u := b.used[id]
	if u == nil {
		u = make([]use, b.parts)
		b.used[id] = u
	}
	return u
}

// reserve takes one page of the budget, if there is one left.
func (b *budget) reserve(id crawlID, part int, limit int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	var sum int64
	u := b.of(id)
	for _, v := range u {
		sum += v.pages + v.reserved
	}
	if sum >= limit {
		return false
	}
	u[part].reserved++
	return true
}

// release gives a reservation back.
func (b *budget) release(id crawlID, part int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of(id)[part].reserved--
}

// set tells how many pages a partition has on record, and returns the sum over all.
func (b *budget) set(id crawlID, part int, pages int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.of(id)
	u[part].pages = pages
	var sum int64
	for _, v := range u {
		sum += v.pages
	}
	return sum
}

// pages returns how many pages of a crawl are on record.
func (b *budget) pages(id crawlID) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var sum int64
	for _, v := range b.used[id] {
		sum += v.pages
	}
	return sum
}

// forget drops the reservations of a partition that stops running.
func (b *budget) forget(part int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.used {
		u[part].reserved = 0
	}
}

// other tells what a partition takes of a budget that another machine runs.
func (b *budget) other(id crawlID, part int, pages, reserved int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of(id)[part] = use{pages, reserved}
}

// drop forgets what a partition takes of every budget: it is not run here any more.
func (b *budget) drop(part int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.used {
		u[part] = use{}
	}
}
