package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// freshness is how long sampled pages took from the end of the server's answer until a search found them, and until
// their receipt could be downloaded.
type freshness struct {
	Name       string  `json:"name"`
	PerSecond  float64 `json:"pagesPerSecond"`
	Samples    int     `json:"samples"`
	Lost       int     `json:"lost"` // not found, or without receipt, within maxWait
	Resolution float64 `json:"resolutionSeconds"`
	Found      spread  `json:"found"`
	Receipt    spread  `json:"receipt"`
}

// spread describes a distribution, in seconds.
type spread struct {
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
	Max    float64 `json:"max"`
}

func spreadOf(v []time.Duration) spread {
	if len(v) == 0 {
		return spread{}
	}
	slices.Sort(v)
	at := func(q float64) float64 { return v[min(int(q*float64(len(v))), len(v)-1)].Seconds() }
	return spread{at(0.5), at(0.95), v[len(v)-1].Seconds()}
}

// maxWait is when a sampled page is given up.
const maxWait = 2 * time.Minute

func measureFreshness(ctx context.Context, c config) ([]freshness, error) {
	div := 1
	if c.small {
		div = 10
	}
	var list []freshness
	for _, f := range []struct {
		name  string
		spec  webSpec
		delay time.Duration
		poll  time.Duration
	}{
		{"steady, 4 hosts, 200 ms between requests", webSpec{Hosts: 4, Pages: 400 / div, Sample: 10}, 200 * time.Millisecond, 25 * time.Millisecond},
		{"full load, 120 hosts, no delay", webSpec{Hosts: 120, Pages: 100 / div, Sample: 100 / div}, 0, 50 * time.Millisecond},
	} {
		r, err := fresh(ctx, c, f.spec, f.delay, f.poll)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		r.Name = f.name
		logf("%s: %+v", f.name, r)
		list = append(list, r)
	}
	return list, nil
}

func fresh(ctx context.Context, c config, spec webSpec, delay, poll time.Duration) (r freshness, err error) {
	w, err := startWeb(spec)
	if err != nil {
		return r, err
	}
	defer w.close()
	n, err := startNode(c, delay)
	if err != nil {
		return r, err
	}
	defer n.remove()
	defer n.stop()
	id, err := n.start(w.seeds)
	if err != nil {
		return r, err
	}
	var mu sync.Mutex
	var found, receipts []time.Duration
	var watching sync.WaitGroup
	over, stop := context.WithCancel(ctx)
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		for {
			select {
			case <-over.Done():
				return
			case s, ok := <-w.served:
				if !ok {
					return
				}
				watching.Go(func() {
					f, p, ok := n.watch(ctx, s, poll)
					mu.Lock()
					defer mu.Unlock()
					if r.Samples++; !ok {
						r.Lost++
						return
					}
					found, receipts = append(found, f), append(receipts, p)
				})
			}
		}
	}()
	_, _, _, err = n.await(ctx, id, nil)
	stop()
	<-collected
	watching.Wait()
	if err != nil {
		return r, err
	}
	seen, err := w.seen()
	if err != nil {
		return r, err
	}
	r.PerSecond = float64(len(seen.Pages)) / seen.Last.Sub(seen.First).Seconds()
	r.Resolution = poll.Seconds()
	r.Found, r.Receipt = spreadOf(found), spreadOf(receipts)
	return r, nil
}

// watch asks for a page until a search finds it, and for its receipt until there is one.
func (n *process) watch(ctx context.Context, s served, poll time.Duration) (found, receipt time.Duration, ok bool) {
	until := func(done func() bool) (time.Duration, bool) {
		for time.Since(s.At) < maxWait {
			if done() {
				return time.Since(s.At), true
			}
			if pause(ctx, poll) != nil {
				break
			}
		}
		return 0, false
	}
	search := url.Values{"q": {`"` + s.Title + `"`}, "limit": {"1"}}
	if found, ok = until(func() bool {
		var a struct{ Results []struct{ URL string } }
		code, err := n.get("/api/v1/search", search, &a)
		return err == nil && code == http.StatusOK && len(a.Results) > 0 && a.Results[0].URL == s.URL
	}); !ok {
		logf("%s was not found within %v", s.URL, maxWait)
		return 0, 0, false
	}
	if receipt, ok = until(func() bool {
		code, err := n.get("/api/v1/receipts", url.Values{"url": {s.URL}}, nil)
		return err == nil && code == http.StatusOK
	}); !ok {
		logf("%s had no receipt within %v", s.URL, maxWait)
	}
	return found, receipt, ok
}
