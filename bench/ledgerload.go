package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// target is where transactions go: a node of Concord's ledger, or of the peer.
type target struct {
	// submit returns when the transaction is final on the node it was given to.
	submit func(ctx context.Context, tx []byte) (index uint64, err error)
	// agreed returns when a quorum of operators has signed for the entry; nil: there is no such thing.
	agreed func(ctx context.Context, index uint64) error
}

// loadSpec is how one node is loaded.
type loadSpec struct {
	Count   int           `json:"count"`   // transactions at most
	AtOnce  int           `json:"atOnce"`  // on their way at a time
	For     time.Duration `json:"for"`     // no new ones after that; 0: all of them
	Pause   time.Duration `json:"pause"`   // between two, of each of those at once
	Agreed  bool          `json:"agreed"`  // measure also until a quorum has signed
	Attest  bool          `json:"attest"`  // attestations of full batches; else documents
	TxBytes int           `json:"txBytes"` // of the peer's transactions
}

// loadResult is what one node saw. Times are of the machine's clock, which all nodes share.
type loadResult struct {
	Done   int       `json:"done"`
	Bytes  int       `json:"bytes"` // of all transactions
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended"`
	Final  []float64 `json:"final"`            // milliseconds, in the order they ended
	Agreed []float64 `json:"agreed,omitempty"` // milliseconds
}

// loadAtMost is how long a load may take beyond its own time: a ledger that stands still is an error, and not waited for.
const loadAtMost = 10 * time.Minute

// load submits transactions and waits for each. next makes them: it has one caller at a time.
func load(ctx context.Context, to target, s loadSpec, next func() ([]byte, error)) (*loadResult, error) {
	ctx, cancel := context.WithTimeout(ctx, s.For+loadAtMost)
	defer cancel()
	r := &loadResult{Began: time.Now()}
	var mu sync.Mutex // over r and next
	var failed error
	taken := 0
	take := func() ([]byte, bool) {
		mu.Lock()
		defer mu.Unlock()
		if failed != nil || taken == s.Count || s.For > 0 && time.Since(r.Began) >= s.For {
			return nil, false
		}
		tx, err := next()
		if err != nil {
			failed = err
			return nil, false
		}
		taken++
		return tx, true
	}
	one := func() bool {
		tx, ok := take()
		if !ok {
			return false
		}
		began := time.Now()
		index, err := to.submit(ctx, tx)
		final := time.Since(began)
		if err == nil && s.Agreed && to.agreed != nil {
			err = to.agreed(ctx, index)
		}
		agreed := time.Since(began)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed = errors.Join(failed, err)
			return false
		}
		r.Done++
		r.Bytes += len(tx)
		r.Final = append(r.Final, final.Seconds()*1000)
		if s.Agreed && to.agreed != nil {
			r.Agreed = append(r.Agreed, agreed.Seconds()*1000)
		}
		return true
	}
	var wg sync.WaitGroup
	for range s.AtOnce {
		wg.Go(func() {
			for one() && pause(ctx, s.Pause) == nil {
			}
		})
	}
	wg.Wait()
	r.Ended = time.Now()
	return r, failed
}

// loadSum is what several nodes did at the same time.
type loadSum struct {
	Done      int       `json:"transactions"`
	TxBytes   int       `json:"bytesEach"`
	PerSecond float64   `json:"perSecond"`
	CPU       float64   `json:"cpuMillisecondsEach"` // of all nodes together
	Final     quantiles `json:"finalMilliseconds"`
	Agreed    quantiles `json:"agreedMilliseconds"`
}

func sumLoads(list []*loadResult, cpu time.Duration) loadSum {
	var s loadSum
	var final, agreed []float64
	var began, ended time.Time
	bytes := 0
	for _, r := range list {
		s.Done += r.Done
		bytes += r.Bytes
		final, agreed = append(final, r.Final...), append(agreed, r.Agreed...)
		if began.IsZero() || r.Began.Before(began) {
			began = r.Began
		}
		if r.Ended.After(ended) {
			ended = r.Ended
		}
	}
	if s.Done > 0 {
		s.TxBytes = bytes / s.Done
		s.PerSecond = float64(s.Done) / ended.Sub(began).Seconds()
		s.CPU = cpu.Seconds() * 1000 / float64(s.Done)
	}
	s.Final, s.Agreed = quantilesOf(final), quantilesOf(agreed)
	return s
}

// rate is what middle goes by.
func (s loadSum) rate() float64 { return s.PerSecond }

// middle returns the run in the middle by its rate; the zero value when there is none.
func middle[T interface{ rate() float64 }](runs []T) (m T) {
	if len(runs) == 0 {
		return m
	}
	return slices.SortedFunc(slices.Values(runs), func(a, b T) int { return cmp.Compare(a.rate(), b.rate()) })[(len(runs)-1)/2]
}
