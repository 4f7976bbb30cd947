package nemesis

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Probe asks the same thing again and again while faults come and go, and tells afterwards what that was like at any time: how available a
// service was, and how slow.
type Probe struct {
	mu      sync.Mutex
	samples []sample // in the order in which they began
	done    sync.WaitGroup
	stop    context.CancelFunc
}

type sample struct {
	at   time.Time
	took time.Duration
	err  error
	over bool
}

// NewProbe asks at a steady pace, whether or not earlier questions have been answered: a service that hangs is then seen to hang, and does not
// delay the questions that would show it. ask has limit for each.
func NewProbe(every, limit time.Duration, ask func(context.Context) error) *Probe {
	ctx, stop := context.WithCancel(context.Background())
	p := &Probe{stop: stop}
	p.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			p.done.Go(func() { p.ask(ctx, limit, ask) })
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return p
}

func (p *Probe) ask(ctx context.Context, limit time.Duration, ask func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	p.mu.Lock()
	at := len(p.samples)
	start := time.Now()
	p.samples = append(p.samples, sample{at: start})
	p.mu.Unlock()
	err := ask(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.samples[at]
	s.took, s.err, s.over = time.Since(start), err, true
}

// Close ends the asking and waits for the questions that are under way, which fail.
func (p *Probe) Close() {
	p.stop()
	p.done.Wait()
}

// Service is what a probe met with in a stretch of time.
type Service struct {
	Asked, Failed int
	Median, P99   time.Duration // of what was answered
	Outage        time.Duration // longest time from the beginning of a question that failed to that of the next one answered
	Last          error         // of the last question that failed
}

func (s Service) String() string {
	text := fmt.Sprintf("%d of %d questions failed, median %v, p99 %v, longest outage %v", s.Failed, s.Asked, s.Median.Round(100*time.Microsecond),
		s.P99.Round(100*time.Microsecond), s.Outage.Round(time.Millisecond))
	if s.Last != nil {
		text += fmt.Sprintf(" (last: %v)", s.Last)
	}
	return text
}

// Between sums up the questions that began in [from, to) and are over.
func (p *Probe) Between(from, to time.Time) Service { return Between(from, to, p) }

// Between sums up what several probes met with. The longest outage is that of one of them.
func Between(from, to time.Time, probes ...*Probe) Service {
	var s Service
	var took []time.Duration
	for _, p := range probes {
		took = append(took, p.add(&s, from, to)...)
	}
	if len(took) > 0 {
		slices.Sort(took)
		s.Median, s.P99 = took[len(took)/2], took[len(took)*99/100]
	}
	return s
}

// add counts the probe's questions and returns how long the answered ones took.
func (p *Probe) add(s *Service, from, to time.Time) (took []time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var down time.Time // when the outage began that lasts; zero: there is none
	end := func(at time.Time) {
		if !down.IsZero() {
			s.Outage = max(s.Outage, at.Sub(down))
		}
		down = time.Time{}
	}
	for _, x := range p.samples {
		if !x.over || x.at.Before(from) || !x.at.Before(to) {
			continue
		}
		s.Asked++
		if x.err == nil {
			took = append(took, x.took)
			end(x.at)
			continue
		}
		s.Failed++
		s.Last = x.err
		if down.IsZero() {
			down = x.at
		}
	}
	end(to)
	return took
}
