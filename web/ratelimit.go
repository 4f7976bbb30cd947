package web

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxClients bounds the table of a limiter. When it is full, the clients that have been quiet longest go first.
	maxClients = 10_000
	// clientBits6 is what one client of IPv6 commonly has for itself.
	clientBits6 = 64
)

// limiter gives each client address its own token bucket.
type limiter struct {
	rate  rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[netip.Prefix]*bucket
}

type bucket struct {
	*rate.Limiter
	used time.Time
}

func newLimiter(perSecond float64, burst int) *limiter {
	return &limiter{rate: rate.Limit(perSecond), burst: burst, buckets: map[netip.Prefix]*bucket{}}
}

// allow takes a token for addr, or says how long until there is one.
func (l *limiter) allow(addr netip.Addr, now time.Time) (ok bool, wait time.Duration) {
	bits := addr.BitLen()
	if addr.Is6() && !addr.Is4In6() {
		bits = clientBits6
	}
	key, err := addr.Unmap().Prefix(min(bits, addr.Unmap().BitLen()))
	if err != nil {
		return true, 0 // no address: not TCP
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		if len(l.buckets) >= maxClients {
			l.evict(now)
		}
		b = &bucket{Limiter: rate.NewLimiter(l.rate, l.burst)}
		l.buckets[key] = b
	}
	b.used = now
	res := b.ReserveN(now, 1)
	if !res.OK() {
		return false, time.Second
	}
	if wait = res.DelayFrom(now); wait > 0 {
		res.CancelAt(now)
		return false, wait
	}
	return true, 0
}

// evict forgets buckets that are full again, which changes nothing for their clients, and when there are too few of
// those, the older half by last use.
func (l *limiter) evict(now time.Time) {
	oldest, newest := now, time.Time{}
	for k, b := range l.buckets {
		if b.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, k)
			continue
		}
		if b.used.Before(oldest) {
			oldest = b.used
		}
		if b.used.After(newest) {
			newest = b.used
		}
	}
	if len(l.buckets) < maxClients {
		return
	}
	middle := oldest.Add(newest.Sub(oldest) / 2)
	for k, b := range l.buckets {
		if !b.used.After(middle) {
			delete(l.buckets, k)
		}
	}
}
