package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"concord"
	"concord/bus"
	"concord/join"

	"golang.org/x/sync/errgroup"
)

// engineResult is what the message engine costs with one copy of everything and with three, in this process: the engine's nodes
// share its processors.
type engineResult struct {
	One        engineCosts `json:"oneCopy"`
	Three      engineCosts `json:"threeCopies"`
	Watch      float64     `json:"watchMicroseconds"` // processor time of telling one watcher one heartbeat, both sides
	Ask        float64     `json:"askMicroseconds"`   // processor time of a question to another node and its answer, both sides
	AskLatency quantiles   `json:"askMilliseconds"`
}

// engineCosts are of one number of copies.
type engineCosts struct {
	Page      quantiles `json:"pageMilliseconds"` // the two appends of one page, one page after the other
	Messages  float64   `json:"messagesPerSecond"`
	Megabytes float64   `json:"logMegabytesPerSecond"`
	Puts      float64   `json:"putsPerSecond"` // values by compare-and-set
	Renewals  float64   `json:"renewalsPerSecond"`
	Blobs     float64   `json:"blobMegabytesPerSecond"`
	Small     float64   `json:"smallBlobsPerSecond"` // of smallBlob bytes
}

const (
	captureBytes  = 3 << 10 // a capture with a page of some text
	frontierBytes = 200     // a fetch, or the links of one page into one partition
	// linkMessages is how many messages the links of a page make: one a partition of the frontier.
	linkMessages = 3
	valueBytes   = 1 << 10 // a heartbeat
	smallBlob    = 64 << 10
	largeBlob    = 8 << 20 // a piece of the archive
	writers      = 8       // goroutines that write at a time where the rate is measured
	blobWriters  = 2       // that put large blobs at a time: each has many chunks on the way
	batchSize    = 200     // messages of an append under load
	watchers     = 30
)

// benchBuses are engines in this process: one alone, or three as one.
type benchBuses struct {
	dir   string
	buses []*bus.Bus
}

func (b *benchBuses) close() {
	for _, x := range b.buses {
		if x != nil { // it did open
			x.Close()
		}
	}
	os.RemoveAll(b.dir)
}

func openBuses(ctx context.Context, c config, n int) (*benchBuses, error) {
	dir, err := os.MkdirTemp(c.work, "bus-")
	if err != nil {
		return nil, err
	}
	b := &benchBuses{dir: dir, buses: make([]*bus.Bus, n)}
	if err := b.open(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// open opens one engine alone, or all of them at once as one cluster.
func (b *benchBuses) open(ctx context.Context) error {
	log := slog.New(slog.DiscardHandler)
	configs := make([]bus.Config, len(b.buses))
	for i := range configs {
		configs[i] = bus.Config{Dir: filepath.Join(b.dir, fmt.Sprint(i+1)), NodeName: fmt.Sprintf("n%d", i+1), Logger: log, MaxBlobBytes: 1 << 30}
	}
	if len(configs) > 1 {
		id, err := join.Create(filepath.Join(b.dir, "id"), "n1", log)
		if err != nil {
			return err
		}
		for i := range configs {
			addr, err := freePorts()
			if err != nil {
				return err
			}
			configs[i].Cluster = &bus.Cluster{Name: "bench", Listen: addr, TLS: id.ServerTLS()}
			if i > 0 {
				configs[i].Cluster.Peers = []string{configs[0].Cluster.Listen}
			}
		}
	}
	var g errgroup.Group
	for i, cfg := range configs {
		g.Go(func() (err error) {
			b.buses[i], err = bus.Open(ctx, cfg)
			return err
		})
	}
	return g.Wait()
}

func measureEngine(ctx context.Context, c config) (*engineResult, error) {
	pages, d := 300, 3*time.Second
	if c.small {
		pages, d = 40, time.Second/2
	}
	r := &engineResult{}
	for _, n := range []int{1, 3} {
		b, err := openBuses(ctx, c, n)
		if err != nil {
			return nil, err
		}
		to := &r.One
		if n > 1 {
			to = &r.Three
		}
		err = to.measure(ctx, b.buses, pages, d)
		if err == nil && n > 1 {
			err = r.between(ctx, b.buses, pages)
		}
		b.close()
		if err != nil {
			return nil, err
		}
		logf("engine, %d: a page %.2f ms (p99 %.2f); %.0f messages/s, %.1f MB/s; %.0f puts/s, %.0f renewals/s; blobs %.0f MB/s, %.0f small/s", n,
			to.Page.Median, to.Page.P99, to.Messages, to.Megabytes, to.Puts, to.Renewals, to.Blobs, to.Small)
	}
	logf("telling a watcher %.1f µs, asking another node %.1f µs of processor, %.2f ms", r.Watch, r.Ask, r.AskLatency.Median)
	return r, nil
}

func (e *engineCosts) measure(ctx context.Context, buses []*bus.Bus, pages int, d time.Duration) error {
	b := buses[len(buses)-1] // the last: what it asks for may be led elsewhere, as for most nodes
	captures, err := b.Log(ctx, "captures", "capture.*")
	if err != nil {
		return err
	}
	frontier, err := b.Log(ctx, "frontier", "frontier.*")
	if err != nil {
		return err
	}
	store, err := b.Manifests(ctx, "bench")
	if err != nil {
		return err
	}
	leases, err := b.Leases(ctx)
	if err != nil {
		return err
	}
	blobs, err := b.Blobs(ctx, 1<<30)
	if err != nil {
		return err
	}
	if err := haveCopies(ctx, b, len(buses)); err != nil {
		return err
	}
	if e.Page, err = pageAppends(ctx, captures, frontier, pages); err != nil {
		return err
	}
	batch := make([]concord.Message, batchSize)
	for i := range batch {
		batch[i] = concord.Message{Subject: concord.CaptureSubject(0), Data: noise(captureBytes)}
	}
	rate, err := perSecond(ctx, writers, d, func(ctx context.Context, _, _ int) error {
		_, err := captures.Append(ctx, batch...)
		return err
	})
	if err != nil {
		return err
	}
	e.Messages, e.Megabytes = rate*batchSize, rate*batchSize*captureBytes/1e6
	if err := e.values(ctx, store, leases, d); err != nil {
		return err
	}
	return e.blobs(ctx, blobs, d)
}

// haveCopies waits until all streams have the copies they should have: those made before all nodes had met have one for a moment.
func haveCopies(ctx context.Context, b *bus.Bus, copies int) error {
	if copies == 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		logs, err := b.Logs(ctx)
		if err != nil {
			return err
		}
		missing := ""
		for _, l := range logs {
			current := 0
			for _, c := range l.Copies {
				if c.Current {
					current++
				}
			}
			if current < copies {
				missing = l.Name
			}
		}
		if missing == "" {
			return nil
		}
		if err := pause(ctx, settlePoll); err != nil {
			return fmt.Errorf("stream %s has fewer than %d copies: %w", missing, copies, err)
		}
	}
}

// pageAppends appends what a page makes, one page after the other.
func pageAppends(ctx context.Context, captures, frontier concord.Log, pages int) (quantiles, error) {
	var ms []float64
	for i := range pages {
		began := time.Now()
		if _, err := captures.Append(ctx, concord.Message{Subject: concord.CaptureSubject(i % 4), ID: fmt.Sprintf("p%d", i), Data: noise(captureBytes)}); err != nil {
			return quantiles{}, err
		}
		var msgs []concord.Message
		for k := range linkMessages + 1 {
			msgs = append(msgs, concord.Message{Subject: concord.FrontierSubject(k), ID: fmt.Sprintf("p%d.%d", i, k), Data: noise(frontierBytes)})
		}
		if _, err := frontier.Append(ctx, msgs...); err != nil {
			return quantiles{}, err
		}
		ms = append(ms, time.Since(began).Seconds()*1000)
	}
	return quantilesOf(ms), nil
}

// values measures what decides: values by compare-and-set, and leases.
func (e *engineCosts) values(ctx context.Context, store concord.Manifests, leases *bus.Leases, d time.Duration) (err error) {
	var revisions [writers]uint64
	e.Puts, err = perSecond(ctx, writers, d, func(ctx context.Context, k, _ int) (err error) {
		revisions[k], err = store.Put(ctx, fmt.Sprintf("member/%d", k), noise(valueBytes), revisions[k])
		return err
	})
	if err != nil {
		return err
	}
	const ttl = time.Minute
	var held [writers]uint64
	for k := range held {
		if held[k], err = leases.Acquire(ctx, fmt.Sprintf("part.%d", k), "bench", ttl); err != nil {
			return err
		}
	}
	e.Renewals, err = perSecond(ctx, writers, d, func(ctx context.Context, k, _ int) (err error) {
		held[k], err = leases.Renew(ctx, fmt.Sprintf("part.%d", k), "bench", ttl, held[k])
		return err
	})
	return err
}

func (e *engineCosts) blobs(ctx context.Context, store concord.Blobs, d time.Duration) (err error) {
	put := func(kind string, data []byte) func(context.Context, int, int) error {
		return func(ctx context.Context, k, i int) error {
			name := fmt.Sprintf("%s/%d/%d", kind, k, i)
			if err := store.Put(ctx, name, bytes.NewReader(data), int64(len(data))); err != nil {
				return err
			}
			if i > 0 { // deleted behind, so that any disk is large enough
				return store.Delete(ctx, fmt.Sprintf("%s/%d/%d", kind, k, i-1))
			}
			return nil
		}
	}
	if e.Small, err = perSecond(ctx, writers, d, put("small", noise(smallBlob))); err != nil {
		return err
	}
	rate, err := perSecond(ctx, blobWriters, d, put("large", noise(largeBlob)))
	e.Blobs = rate * largeBlob / 1e6
	return err
}

// between measures what nodes say to each other.
func (r *engineResult) between(ctx context.Context, buses []*bus.Bus, count int) error {
	answer := noise(captureBytes)
	stop, err := buses[0].Serve(ctx, "bench", func(context.Context, []byte) ([]byte, error) { return answer, nil })
	if err != nil {
		return err
	}
	defer stop()
	question := noise(frontierBytes)
	for tries := 0; ; tries++ { // until the asking node has heard who serves
		_, err := buses[1].Ask(ctx, "n1", "bench", question)
		if err == nil {
			break
		}
		const most, wait = 50, 100 * time.Millisecond
		if tries == most || pause(ctx, wait) != nil {
			return err
		}
	}
	var ms []float64
	before := ownCPU()
	for range count * 5 {
		began := time.Now()
		if _, err := buses[1].Ask(ctx, "n1", "bench", question); err != nil {
			return err
		}
		ms = append(ms, time.Since(began).Seconds()*1000)
	}
	r.Ask, r.AskLatency = (ownCPU()-before).Seconds()*1e6/float64(len(ms)), quantilesOf(ms)
	return r.watch(ctx, buses, count)
}

// watch compares writing values that nobody watches with writing values that many do.
func (r *engineResult) watch(ctx context.Context, buses []*bus.Bus, count int) error {
	store, err := buses[0].Manifests(ctx, "watched")
	if err != nil {
		return err
	}
	if err := haveCopies(ctx, buses[0], len(buses)); err != nil {
		return err
	}
	put := func(name string) (cpu time.Duration, err error) {
		before, revision := ownCPU(), uint64(0)
		for range count {
			if revision, err = store.Put(ctx, name, noise(valueBytes), revision); err != nil {
				return 0, err
			}
		}
		return ownCPU() - before, nil
	}
	alone, err := put("member/alone")
	if err != nil {
		return err
	}
	watch, stop := context.WithCancel(ctx)
	var told atomic.Int64
	var wg sync.WaitGroup
	for i := range watchers {
		seen, err := buses[i%len(buses)].Manifests(ctx, "watched")
		if err != nil {
			stop()
			return err
		}
		wg.Go(func() {
			_ = seen.Watch(watch, "member/", func(string, concord.Manifest) error { told.Add(1); return nil })
		})
	}
	const begin = 2 * time.Second // until all watch
	err = pause(ctx, begin)
	told.Store(0)
	var watched time.Duration
	if err == nil {
		watched, err = put("member/watched")
	}
	for patience := 0; err == nil && told.Load() < int64(watchers*count) && patience < 50; patience++ {
		err = pause(ctx, begin/20)
	}
	stop()
	wg.Wait()
	r.Watch = max((watched-alone).Seconds(), 0) * 1e6 / float64(max(told.Load(), 1))
	return err
}

// perSecond calls do again and again in several goroutines, with the goroutine's number and how often it was called there.
func perSecond(ctx context.Context, writers int, d time.Duration, do func(ctx context.Context, k, i int) error) (float64, error) {
	var count atomic.Int64
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for k := range writers {
		g.Go(func() error {
			for i := 0; time.Since(began) < d; i++ {
				if err := do(ctx, k, i); err != nil {
					return err
				}
				count.Add(1)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return float64(count.Load()) / time.Since(began).Seconds(), nil
}

// ownCPU is the user and system time of this process so far.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// noise is data that does not compress, the same for each length.
func noise(n int) []byte {
	data := make([]byte, n)
	x := uint64(n) | 1
	for i := range data {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = byte(x)
	}
	return data
}
