package crawl

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const maxReasons = 32 // kinds of refusal that are counted apart; the rest is "other"

// Stats are counters since the crawler was opened, for metrics.
type Stats struct {
	Status        map[string]int64 // answers by class: "2xx", "3xx", "4xx", "5xx"
	Failures      map[string]int64 // requests without an answer, by cause
	Refusals      map[string]int64 // URLs not fetched, by the first words of the reason
	Bytes         int64            // payload bytes received
	Robots        int64            // fetches of robots.txt
	Sitemaps      int64
	CommitRetries int64 // times the archive or a log was not available
	InFlight      int64 // fetches under way
	ActiveHosts   int64 // hosts in memory
	HeldBytes     int64 // of bodies in memory
	Rate          float64
}

type stats struct {
	classes       [6]atomic.Int64
	bytes         atomic.Int64
	robots        atomic.Int64
	sitemaps      atomic.Int64
	commitRetries atomic.Int64
	rate          rate

	mu       sync.Mutex
	failures map[string]int64
	refusals map[string]int64
}

func (s *stats) fetch(m *fetchedMsg) {
	switch m.Outcome {
	case answered:
		s.classes[min(m.Status/100, 5)].Add(1)
		s.bytes.Add(m.Bytes)
		s.rate.add(time.Now())
	case refused:
		s.count(&s.refusals, firstWords(m.Note))
	default:
		s.count(&s.failures, firstWords(m.Note))
	}
	switch m.Kind {
	case kindRobots:
		s.robots.Add(1)
	case kindSitemap:
		s.sitemaps.Add(1)
	}
}

// firstWords cuts a reason down to what many have in common: up to the first colon or number.
func firstWords(s string) string {
	if i := strings.IndexAny(s, ":0123456789"); i > 0 {
		s = s[:i]
	}
	s = strings.TrimSpace(s)
	if s == "" || s == "robots.txt line" {
		return "robots.txt"
	}
	return s
}

func (s *stats) count(m *map[string]int64, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *m == nil {
		*m = map[string]int64{}
	}
	if _, ok := (*m)[key]; !ok && len(*m) >= maxReasons {
		key = "other"
	}
	(*m)[key]++
}

// Stats returns the counters.
func (c *Crawler) Stats() Stats {
	s := &c.stats
	out := Stats{Status: map[string]int64{}, Failures: map[string]int64{}, Refusals: map[string]int64{}, Bytes: s.bytes.Load(),
		Robots: s.robots.Load(), Sitemaps: s.sitemaps.Load(), CommitRetries: s.commitRetries.Load(), HeldBytes: c.held.Load(),
		Rate: s.rate.perSecond(time.Now())}
	for i := 1; i <= 5; i++ {
		out.Status[itoa(i)+"xx"] = s.classes[i].Load()
	}
	s.mu.Lock()
	for k, n := range s.failures {
		out.Failures[k] = n
	}
	for k, n := range s.refusals {
		out.Refusals[k] = n
	}
	s.mu.Unlock()
	for _, f := range c.parts {
		f.mu.Lock()
		out.ActiveHosts += int64(len(f.active))
		for _, n := range f.inFlight {
			out.InFlight += n
		}
		f.mu.Unlock()
	}
	return out
}

// rate counts events in each of the last 60 seconds.
type rate struct {
	mu      sync.Mutex
	seconds [60]int64
	at      [60]int64 // unix second that each slot counts
	first   int64
}

func (r *rate) add(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := now.Unix()
	if r.first == 0 {
		r.first = s
	}
	if i := s % 60; r.at[i] != s {
		r.at[i], r.seconds[i] = s, 1
	} else {
		r.seconds[i]++
	}
}

func (r *rate) perSecond(now time.Time) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := now.Unix()
	if r.first == 0 {
		return 0
	}
	var sum int64
	for i, at := range r.at {
		if at > s-60 {
			sum += r.seconds[i]
		}
	}
	return float64(sum) / float64(min(max(s-r.first+1, 1), 60))
}
