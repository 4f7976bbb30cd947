package nemesis

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	p := NewProbe(5*time.Millisecond, time.Second, func(ctx context.Context) error {
		if down.Load() {
			return errors.New("down")
		}
		time.Sleep(2 * time.Millisecond)
		return ctx.Err()
	})
	begin := time.Now()
	time.Sleep(100 * time.Millisecond)
	from := time.Now()
	down.Store(true)
	time.Sleep(150 * time.Millisecond)
	down.Store(false)
	to := time.Now()
	time.Sleep(100 * time.Millisecond)
	well, all := p.Between(begin, from), p.Between(begin, time.Now())
	p.Close()
	if well.Failed > 0 || well.Asked < 5 || well.Outage > 0 || well.Median < 2*time.Millisecond || well.P99 < well.Median {
		t.Errorf("while it is up: %v", well)
	}
	if all.Failed < 5 || all.Failed == all.Asked || all.Outage < 100*time.Millisecond || all.Outage > to.Sub(from)+50*time.Millisecond || all.Last == nil {
		t.Errorf("an outage of %v: %v", to.Sub(from), all)
	}
}

// What hangs is asked again all the same, and fails at its limit.
func TestProbeOfWhatHangs(t *testing.T) {
	p := NewProbe(5*time.Millisecond, 20*time.Millisecond, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	begin := time.Now()
	time.Sleep(200 * time.Millisecond)
	s := p.Between(begin, time.Now())
	p.Close()
	if s.Asked < 10 || s.Failed != s.Asked || s.Outage < 100*time.Millisecond {
		t.Errorf("%v", s)
	}
}
