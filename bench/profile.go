package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"concord/node"
)

// profileResult is where the processor time of a crawl at full speed goes.
type profileResult struct {
	Name      string    `json:"name"`
	Pages     int       `json:"pages"`
	PerSecond float64   `json:"pagesPerSecond"`
	CPU       float64   `json:"cpuSeconds"` // sampled
	Flat      []profile `json:"flat"`       // functions by their own time
	Packages  []profile `json:"packages"`   // packages of ours by what they call, once each
}

// profile is one line: percent of all samples.
type profile struct {
	Name    string  `json:"name"`
	Percent float64 `json:"percent"`
}

// profileCrawls crawls small made-up pages, where the work for each page shows, and real ones, where that for each byte does.
func profileCrawls(ctx context.Context, c config) ([]profileResult, error) {
	var list []profileResult
	for _, s := range settings(c) {
		if s.Delay > 0 {
			continue
		}
		r, err := profileCrawl(ctx, c, s.spec)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		r.Name = s.Name
		list = append(list, r)
	}
	return list, nil
}

// profileCrawl runs a node inside this process, so that it can be profiled without the program having a way to ask for that.
func profileCrawl(ctx context.Context, c config, spec webSpec) (r profileResult, err error) {
	w, err := startWeb(spec)
	if err != nil {
		return r, err
	}
	defer w.close()
	dir, err := os.MkdirTemp(c.work, "node-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	f, err := os.CreateTemp(c.work, "*.pprof")
	if err != nil {
		return r, err
	}
	defer f.Close()
	if err := crawlInProcess(ctx, dir, w, f); err != nil {
		return r, err
	}
	seen, err := w.seen()
	if err != nil {
		return r, err
	}
	r.Pages, r.PerSecond = len(seen.Pages), float64(len(seen.Pages))/seen.Last.Sub(seen.First).Seconds()
	logf("%d pages at %.0f pages/s; the profile is kept: go tool pprof %s", r.Pages, r.PerSecond, f.Name())
	return r, r.read(f.Name())
}

func crawlInProcess(ctx context.Context, dir string, w *web, out *os.File) error {
	cfg := node.Defaults()
	cfg.Data, cfg.HTTP, cfg.Operator = filepath.Join(dir, "d"), "127.0.0.1:0", "bench.example"
	cfg.Crawl.Concurrency, cfg.Crawl.MinDelay, cfg.Crawl.MaxDelay, cfg.Crawl.AddressDelay = concurrency, 1, 1, 1
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	n, err := node.Open(ctx, cfg)
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- n.Run(run, func(addr string) { ready <- addr }) }()
	select {
	case err := <-ended:
		return fmt.Errorf("the node ended: %w", cmp.Or(err, context.Canceled)) // nil is an orderly end
	case <-ready:
	}
	err = crawlProfiled(ctx, cfg.Data, w, out)
	stop()
	if runErr := <-ended; err == nil {
		err = runErr
	}
	if closeErr := n.Close(); err == nil {
		err = closeErr
	}
	return err
}

// crawlProfiled crawls a web with the node of a data directory, which this process runs.
func crawlProfiled(ctx context.Context, dir string, w *web, out io.Writer) error {
	n := &process{dir: dir, sock: socketClient(dir)}
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	id, err := n.start(w.seeds)
	if err != nil {
		return err
	}
	_, _, _, err = n.await(ctx, id, nil)
	return err
}

// owners are whose time a sample is: that of the first of these, from the innermost function outwards, that is on its
// stack. What the standard library does for a package counts for the package.
var owners = regexp.MustCompile(`^(concord(?:/[a-z]+)?|github\.com/(?:nats-io|cometbft|cockroachdb)|compress|crypto|net/http|encoding/json|runtime\.(?:gcBgMarkWorker|bgsweep|bgscavenge|mcall|schedule|sysmon|gcAssistAlloc1))\b`)

// ownerNames says the names that are not a package's own.
var ownerNames = map[string]string{
	"github.com/nats-io": "NATS (bus)", "github.com/cometbft": "CometBFT (chain)", "github.com/cockroachdb": "Pebble (states)",
	"runtime.gcBgMarkWorker": "garbage collection", "runtime.gcAssistAlloc1": "garbage collection", "runtime.bgsweep": "garbage collection",
	"runtime.bgscavenge": "garbage collection", "runtime.mcall": "scheduler", "runtime.schedule": "scheduler", "runtime.sysmon": "scheduler",
}

const (
	maxFlat = 15  // functions told
	minPart = 0.5 // percent below which a package is not told
)

// read sums the samples of a profile up, by function and by owner.
func (r *profileResult) read(cpu string) error {
	flat, owned := map[string]time.Duration{}, map[string]time.Duration{}
	var total time.Duration
	err := eachSample(cpu, func(value time.Duration, stack []string) {
		total += value
		flat[stack[0]] += value
		owned[ownerOf(stack)] += value
	})
	if err != nil {
		return err
	}
	r.CPU = total.Seconds()
	r.Flat, r.Packages = shares(flat, total), shares(owned, total)
	r.Flat = r.Flat[:min(maxFlat, len(r.Flat))]
	return nil
}

// eachSample calls f with the samples of a profile: their time, and their functions, innermost first.
func eachSample(cpu string, f func(value time.Duration, stack []string)) error {
	out, err := exec.Command("go", "tool", "pprof", "-traces", cpu).Output()
	if err != nil {
		return fmt.Errorf("read the profile: %w", err)
	}
	for trace := range strings.SplitSeq(string(out), "-----------+") {
		if value, stack := parseTrace(trace); len(stack) > 0 {
			f(value, stack)
		}
	}
	return nil
}

// parseTrace reads one sample of `pprof -traces`: its time, then its functions, innermost first.
func parseTrace(trace string) (value time.Duration, stack []string) {
	for l := range strings.Lines(trace) {
		f := strings.Fields(l)
		if len(f) >= 2 && len(stack) == 0 {
			d, err := time.ParseDuration(f[0])
			if err != nil {
				continue
			}
			value, f = d, f[1:]
		}
		if value > 0 && len(f) >= 1 {
			stack = append(stack, f[0])
		}
	}
	return value, stack
}

func ownerOf(stack []string) string {
	for _, f := range stack {
		if o := owners.FindString(f); o != "" {
			if name, ok := ownerNames[o]; ok {
				return name
			}
			return o
		}
	}
	return "other"
}

// shares orders by time, largest first.
func shares(m map[string]time.Duration, total time.Duration) []profile {
	var list []profile
	for name, d := range m {
		if p := 100 * d.Seconds() / total.Seconds(); p >= minPart {
			list = append(list, profile{name, p})
		}
	}
	slices.SortFunc(list, func(a, b profile) int { return cmp.Or(cmp.Compare(b.Percent, a.Percent), cmp.Compare(a.Name, b.Name)) })
	return list
}
