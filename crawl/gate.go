package crawl

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

const (
	maxAddresses = 1 << 16          // addresses whose last turn is remembered; older turns are over
	maxGates     = 1 << 14          // hosts with a request under way; far above any concurrency
	gatePause    = 20               // ms until a closed gate is tried again
	hopWait      = 30 * time.Second // how long a redirect of a robots.txt waits for the host it leads to
)

// gates keep requests apart that different queues make: one request at a time to a host, even when a redirect of another
// host's robots.txt leads there, and a pause between requests to an address that serves many hosts.
type gates struct {
	mu    sync.Mutex
	hosts map[string]bool
	turns map[netip.Addr]int64 // ms: when the next request to an address may begin
}

func (g *gates) init() { g.hosts, g.turns = map[string]bool{}, map[netip.Addr]int64{} }

// enter closes a host's gate behind the caller, or returns in how many ms to try again.
func (g *gates) enter(host string, now int64) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hosts[host] || len(g.hosts) >= maxGates {
		return gatePause
	}
	g.hosts[host] = true
	return 0
}

// leave opens a host's gate again, after a pause of so many ms.
func (g *gates) leave(host string, pause int64) {
	if pause > 0 {
		time.AfterFunc(time.Duration(pause)*time.Millisecond, func() { g.leave(host, 0) })
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.hosts, host)
}

// await enters a gate as soon as it is open.
func (g *gates) await(ctx context.Context, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, hopWait)
	defer cancel()
	for {
		wait := g.enter(host, 0)
		if wait == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Duration(wait) * time.Millisecond):
		}
	}
}

// address is a turn of an address: a request may begin at this time, in ms.
type address struct {
	addr netip.Addr
	at   int64
}

// reserve takes the next turn of an address. floor is the earliest time for an address nobody asked before: after a
// restart, the last request to it may not be on record.
func (g *gates) reserve(addr netip.Addr, now, floor int64, spacing time.Duration) address {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := max(g.turns[addr], now, floor)
	if len(g.turns) >= maxAddresses {
		for a, t := range g.turns {
			if t <= now {
				delete(g.turns, a)
			}
		}
		if len(g.turns) >= maxAddresses {
			return address{addr, max(at, now+spacing.Milliseconds())}
		}
	}
	g.turns[addr] = at + spacing.Milliseconds()
	return address{addr, at}
}
