package crawl

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"concord"
)

// A node that loses its leases in the middle of requests, and gets them back, fetches the rest of every host, and never two pages of one at a time.
func TestLostLeases(t *testing.T) {
	t.Parallel()
	const sites, pages, losses = 4, 30, 12
	var overlaps atomic.Int32
	var seeds []string
	for range sites {
		var open atomic.Int32
		s := mesh(t, pages, func(srv *http.Server) {
			inner := srv.Handler
			srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if open.Add(1) > 1 {
					overlaps.Add(1)
				}
				defer open.Add(-1)
				time.Sleep(3 * time.Millisecond)
				inner.ServeHTTP(w, r)
			})
		})
		seeds = append(seeds, s.host+"/p0")
	}
	r := newRig(t, nil)
	r.close()
	c, err := Open(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.c, r.stop = c, cancel
	r.done.Go(func() { _ = c.Run(ctx) })
	for i, f := range c.Partitions() {
		r.done.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			for fence := uint64(2); ctx.Err() == nil; fence++ {
				lease, end := context.WithCancel(ctx)
				if fence < 2+losses {
					time.AfterFunc(time.Duration(20+rng.IntN(40))*time.Millisecond, end)
				}
				if err := f.Run(lease, fence); err != nil && lease.Err() == nil {
					t.Error(err)
				}
				end()
			}
		})
	}
	crawl := r.wait(r.begin(concord.CrawlSpec{Seeds: seeds}))
	if crawl.Fetched != sites*pages || crawl.Failed != 0 {
		t.Errorf("crawl: %+v", crawl)
	}
	// A request that the end of a lease broke off may still be answered when the next one comes: once for each loss.
	if n := overlaps.Load(); n > sites*losses/4 {
		t.Errorf("%d requests came while the host answered another", n)
	}
}
