package crawl

import (
	"fmt"
	"hash/maphash"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	goodAnswers   = 10 // answers in a row after which the back-off goes down by one
	maxBackoffExp = 16 // 2^16 times 5 s is far beyond MaxBackoff already
	deadAfter     = 5  // requests in a row without an answer after which a host rests as a whole
	jitterPart    = 10 // up to a tenth of the delay
)

// observation is what a request taught about its host.
type observation struct {
	host       string
	start      int64 // ms
	took       int64 // ms
	ended      int64 // ms of the process that made it; 0: it is read from a log
	outcome    outcome
	status     int
	retryAfter int64 // ms
	note       string
	robots     string // for a robots.txt: what it amounted to (weburl.RobotsState)
}

// observe updates a host's politeness after a request. It is the one place that decides when a host may be asked again,
// used for the state on disk and for its copy in memory; it reads no clock.
func (p *Politeness) observe(h *hostRecord, o *observation) {
	if o.outcome == refused {
		return // no request was made
	}
	end := o.start + o.took
	h.Last = o.start
	p.countAnswer(h, o)
	ms := min(max(o.took*int64(p.Factor), p.MinDelay.Milliseconds()), p.MaxDelay.Milliseconds())
	h.Reason = "delay"
	if c := min(h.CrawlDelay, p.MaxCrawlDelay.Milliseconds()); c > ms {
		ms, h.Reason = c, "crawl-delay"
	}
	rests := false
	if b := p.backoff(h, o); b > ms {
		ms, h.Reason, rests = b, "back-off after "+cause(o), true
	}
	ms += jitter(o, ms)
	h.Delay = ms
	h.Next = end + ms
	rest := func(pause int64, reason string) {
		if pause > 0 && end+pause > h.Next {
			h.Next, h.Reason, rests = end+pause, reason, true
		}
	}
	if o.retryAfter > 0 {
		rest(min(o.retryAfter, p.MaxRetryAfter.Milliseconds()), "retry-after")
	}
	switch {
	case o.outcome == unresolved:
		n := min(h.NetFails-1, 20)
		rest(min(p.DNSRetry.Milliseconds()<<n, p.MaxDNSRetry.Milliseconds()), "name does not resolve")
	case o.robots == robotsUnreachable:
		rest(p.retryPause(h.RobotsFail-1), "robots.txt unreachable")
	case h.NetFails >= deadAfter:
		rest(p.retryPause(h.NetFails-deadAfter), fmt.Sprintf("no answer %d times in a row", h.NetFails))
	}
	h.Parked = rests && h.Next-end > p.Patience.Milliseconds()
}

// countAnswer keeps the counts that back-off depends on.
func (p *Politeness) countAnswer(h *hostRecord, o *observation) {
	bad := o.outcome == failed || o.status == http.StatusTooManyRequests || o.status == http.StatusServiceUnavailable
	switch {
	case bad:
		h.Backoff, h.Good = min(h.Backoff+1, maxBackoffExp), 0
	case h.Backoff > 0 && o.outcome == answered:
		if h.Good++; h.Good >= goodAnswers {
			h.Backoff, h.Good = h.Backoff-1, 0
		}
	}
	if o.outcome == answered {
		h.NetFails = 0
		h.Fetched++
	} else {
		h.NetFails++
		h.Failed++
		h.LastError = o.note
	}
	switch {
	case o.robots == robotsUnreachable:
		h.RobotsFail++
	case o.robots != "":
		h.RobotsFail = 0
	}
}

// backoff is min(2^p × max(time of the answer, unit), bound), in ms; 0 while there is nothing to back off from.
func (p *Politeness) backoff(h *hostRecord, o *observation) int64 {
	if h.Backoff == 0 {
		return 0
	}
	return min(max(o.took, p.BackoffUnit.Milliseconds())<<h.Backoff, p.MaxBackoff.Milliseconds())
}

// retryPause is the pause before try n+1 of something that keeps failing, from the schedule of URL retries.
func (p *Politeness) retryPause(n int) int64 {
	if len(p.Retries) == 0 {
		return p.MaxBackoff.Milliseconds()
	}
	return p.Retries[min(max(n, 0), len(p.Retries)-1)].Milliseconds()
}

func cause(o *observation) string {
	switch {
	case o.outcome == answered && o.status > 0 && o.status >= 400:
		return strconv.Itoa(o.status)
	case o.outcome == answered:
		return "earlier trouble"
	}
	return o.note
}

var jitterSeed = maphash.MakeSeed()

// jitter is up to a tenth of a delay, so that hosts met together do not stay in step.
func jitter(o *observation, ms int64) int64 {
	if ms < jitterPart {
		return 0
	}
	return int64(maphash.Comparable(jitterSeed, [2]any{o.host, o.start}) % uint64(ms/jitterPart+1))
}

// retryAfter reads a Retry-After field, seconds or a date (RFC 9110 section 10.2.3), as milliseconds; 0: none.
func retryAfter(h http.Header, now time.Time) int64 {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return int64(s) * 1000
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(now).Milliseconds(), 0)
	}
	return 0
}
