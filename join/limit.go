package join

import (
	"net/netip"
	"sync"
	"time"

	"concord"
)

const (
	// maxFailures is how many requests may fail from one address before it has to wait; one is forgiven every failurePause.
	// Secrets of 256 bits cannot be guessed at any rate: this keeps a machine that tries from costing anything.
	maxFailures  = 10
	failurePause = 6 * time.Second
	// maxAddresses bounds the addresses remembered.
	maxAddresses = 1024
)

// limiter makes addresses wait from which requests failed. Safe for concurrent use.
type limiter struct {
	now func() time.Time

	mu      sync.Mutex
	blocked map[netip.Prefix]time.Time // when all failures of an address are forgiven
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, blocked: map[netip.Prefix]time.Time{}}
}

// allow returns Unavailable for an address with too many failures.
func (l *limiter) allow(from netip.Prefix) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, known := l.blocked[from]
	if wait := until.Sub(l.now()) - (maxFailures-1)*failurePause; known && wait > 0 {
		return concord.Errorf(concord.Unavailable, "too many requests failed from this address; try again in %v", wait.Round(time.Second))
	}
	return nil
}

// failed counts a failure.
func (l *limiter) failed(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if _, known := l.blocked[from]; !known && len(l.blocked) >= maxAddresses {
		l.makeRoom(now)
	}
	until := l.blocked[from]
	if until.Before(now) {
		until = now
	}
	l.blocked[from] = until.Add(failurePause)
}

// makeRoom forgets who is forgiven, and if that is nobody, who would be first.
func (l *limiter) makeRoom(now time.Time) {
	var first netip.Prefix
	for from, until := range l.blocked {
		if until.Before(now) {
			delete(l.blocked, from)
		} else if !first.IsValid() || until.Before(l.blocked[first]) {
			first = from
		}
	}
	if len(l.blocked) >= maxAddresses {
		delete(l.blocked, first)
	}
}

// addressOf is what failures are counted by: an IPv4 address, or the network of an IPv6 one, which one machine has all of.
func addressOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // these lengths are always valid
	return p
}
