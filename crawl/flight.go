package crawl

import (
	"context"
	"net/netip"
)

// finish notes that a request is over, and when its host may be asked again; o is nil when none was made.
func (f *Frontier) finish(h *host, o *observation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.active[h.name] != h {
		return // of an earlier run
	}
	f.openGate(h)
	h.busy, h.busyURL = false, ""
	h.slot = address{}
	if o != nil {
		f.c.cfg.Politeness.observe(&h.rec, o)
		if o.outcome != refused {
			h.rest = max(h.rest, o.ended+h.rec.Next-(o.start+o.took))
		}
	}
	f.lookAt(h, h.earliest())
	f.wake()
}

// openGate lets others ask the host. The caller holds f.mu.
func (f *Frontier) openGate(h *host) {
	if h.gated {
		h.gated = false
		f.c.gates.leave(h.name, 0)
	}
}

// turn returns in how many ms the host's request may go to an address, and reserves that turn; 0: now.
func (f *Frontier) turn(h *host, addr netip.Addr) int64 {
	now := f.c.clock.read().now
	f.mu.Lock()
	defer f.mu.Unlock()
	if h.slot.addr != addr {
		spacing := f.c.cfg.Politeness.PerAddress
		h.slot = f.c.gates.reserve(addr, now, max(f.c.clock.start.UnixMilli(), f.floor)+spacing.Milliseconds(), spacing)
	}
	if wait := h.slot.at - now; wait > 0 {
		h.floor, h.why = h.slot.at, "other hosts on the address "+addr.String()
		return wait
	}
	return 0
}

// postpone puts a URL back whose turn has not come. fl is nil for a robots.txt.
func (f *Frontier) postpone(h *host, fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.openGate(h)
	h.busy, h.busyURL = false, ""
	if fl != nil {
		f.putBack(h, fl)
	}
	if f.active[h.name] == h {
		f.lookAt(h, h.earliest())
	}
	f.wake()
}

// submit hands a result to the committer. It waits while the committer is behind, which holds the fetchers back.
func (f *Frontier) submit(ctx context.Context, res *result) {
	res.awaited = true
	f.submitted.Add(1)
	select {
	case f.c.committer.in <- res:
	case <-ctx.Done(): // the partition ends: the next owner fetches again
		f.submitted.Add(-1)
		f.c.held.Add(-res.held)
	}
}

// submitRefusals records URLs that robots.txt forbids.
func (f *Frontier) submitRefusals(ctx context.Context, list []barred) {
	byCrawl := map[crawlID]*refusedMsg{}
	for _, r := range list {
		id := r.e.Crawl
		if byCrawl[id] == nil {
			byCrawl[id] = &refusedMsg{Crawl: id}
		}
		byCrawl[id].Items = append(byCrawl[id].Items, refusedItem{r.key, r.e.URL, r.reason})
		f.note(&fetchedMsg{Crawl: id, URL: r.e.URL, Outcome: refused, Note: r.reason})
	}
	for _, m := range byCrawl {
		f.submit(ctx, &result{f: f, refused: m})
	}
}
