package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"concord/bench/game"
)

// setting is one web crawled under one politeness by everybody.
type setting struct {
	Name  string        `json:"name"`
	Hosts int           `json:"hosts"`
	Pages int           `json:"pages"` // that Concord fetched
	Bytes int64         `json:"bytes"` // payload, as Concord counted it
	Delay time.Duration `json:"delayNanoseconds"`
	Runs  []crawlRun    `json:"runs"` // medians; Concord's first
}

// crawlRun is one crawler's crawl.
type crawlRun struct {
	Crawler   string    `json:"crawler"`
	What      string    `json:"what"`
	Seconds   float64   `json:"seconds"`
	Pages     int       `json:"pages"`
	PerSecond float64   `json:"pagesPerSecond"`
	CPU       float64   `json:"cpuMillisecondsPerPage"`
	Peak      int64     `json:"peakBytes"`
	Missing   int       `json:"missing"` // pages that Concord fetched and this crawler did not
	Extra     int       `json:"extra"`   // the other way round
	Example   string    `json:"example,omitempty"`
	Overlaps  int       `json:"overlaps"`
	Repeats   int       `json:"repeats"`
	Forbidden int       `json:"forbidden"`
	All       []float64 `json:"all,omitempty"`    // pages per second of every repeat
	Web       float64   `json:"webProcessors"`    // processors that served the web meanwhile
	Others    float64   `json:"othersProcessors"` // processors that other work on the machine took meanwhile
	// Of Concord alone: from the first request to everything searchable, and to everything with its receipt.
	Searchable float64 `json:"searchableSeconds,omitempty"`
	Attested   float64 `json:"attestedSeconds,omitempty"`
	Indexed    int64   `json:"indexed,omitempty"`
}

// settings are the webs of the comparison.
func settings(c config) []struct {
	setting
	spec webSpec
} {
	type entry = struct {
		setting
		spec webSpec
	}
	pages, few := 100, 200
	if c.small {
		pages, few = 10, 20
	}
	list := []entry{
		{setting{Name: "made-up pages, no delay"}, webSpec{Hosts: 60, Pages: pages}},
		{setting{Name: "made-up pages, 50 ms", Delay: 50 * time.Millisecond}, webSpec{Hosts: 8, Pages: few}},
	}
	docs := webSpec{Sites: c.sites, Only: []string{"postgresql-doc-15", "python3.11-doc", "apache2-doc"}}
	if c.small {
		docs.Only = []string{"python3.11-doc"}
	}
	if w, err := startWeb(docs); err == nil {
		w.close()
		list = append(list, entry{setting{Name: "documentation sites, no delay"}, docs})
	} else {
		logf("no documentation sites in %s (run .ci/run): %v", c.sites, err)
	}
	return list
}

func compareCrawlers(ctx context.Context, c config) ([]setting, error) {
	all := findPeers(ctx, c)
	var list []setting
	for _, s := range settings(c) {
		peers := all
		if s.spec.Sites != "" { // long: only what comes closest to Concord's work
			peers = slices.DeleteFunc(slices.Clone(all), func(p peer) bool { return p.what == parses })
		}
		repeats := c.repeats
		if s.Delay > 0 {
			repeats = 1 // the delay decides
		}
		if s.spec.Sites != "" {
			repeats = 1 // long enough
		}
		runs := map[int][]crawlRun{}
		for range repeats {
			run, pages, st, err := crawlConcord(ctx, c, s.spec, s.Delay)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.Name, err)
			}
			s.Hosts, s.Pages, s.Bytes = len(st.seeds), len(pages), st.bytes
			runs[0] = append(runs[0], run)
			for i := range peers {
				run, err := crawlPeer(ctx, c, &peers[i], s.spec, s.Delay, pages)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", s.Name, err)
				}
				runs[i+1] = append(runs[i+1], run)
			}
		}
		for i := range len(peers) + 1 {
			s.Runs = append(s.Runs, median(runs[i]))
		}
		list = append(list, s.setting)
	}
	return list, nil
}

// median returns the run in the middle, by pages per second.
func median(runs []crawlRun) crawlRun {
	m := middle(runs)
	for _, r := range runs {
		m.All = append(m.All, r.PerSecond)
	}
	slices.Sort(m.All)
	return m
}

func (r crawlRun) rate() float64 { return r.PerSecond }

type concordStats struct {
	seeds []string
	bytes int64
}

func crawlConcord(ctx context.Context, c config, spec webSpec, delay time.Duration) (run crawlRun, pages []string, st concordStats, err error) {
	w, err := startWeb(spec)
	if err != nil {
		return run, nil, st, err
	}
	defer w.close()
	acc := newAccount(w)
	n, err := startNode(c, delay)
	if err != nil {
		return run, nil, st, err
	}
	defer n.remove()
	id, err := n.start(w.seeds)
	if err != nil {
		n.stop()
		return run, nil, st, err
	}
	s, searchable, attested, err := n.await(ctx, id, nil)
	use := n.stop()
	if err != nil {
		return run, nil, st, err
	}
	acc.end(use)
	seen, err := w.seen()
	if err != nil {
		return run, nil, st, err
	}
	run = runOf("concord", "archives (WARC), extracts, indexes, attests", seen, use, seen.Pages, acc)
	run.Searchable, run.Attested, run.Indexed = searchable.Sub(seen.First).Seconds(), attested.Sub(seen.First).Seconds(), s.Indexed
	return run, seen.Pages, concordStats{w.seeds, s.Bytes}, nil
}

func crawlPeer(ctx context.Context, c config, p *peer, spec webSpec, delay time.Duration, want []string) (crawlRun, error) {
	w, err := startWeb(spec)
	if err != nil {
		return crawlRun{}, err
	}
	defer w.close()
	acc := newAccount(w)
	use, err := p.crawl(ctx, c, w, delay)
	if err != nil {
		return crawlRun{}, err
	}
	acc.end(use)
	seen, err := w.seen()
	if err != nil {
		return crawlRun{}, err
	}
	return runOf(p.name+" "+p.version, p.what, seen, use, want, acc), nil
}

// account tells the processor time of a crawler, of the web, and of everything else on the machine apart.
type account struct {
	web       *web
	began     time.Time
	busy, own time.Duration
	Web       float64
	Others    float64
}

func newAccount(w *web) *account {
	own, _ := cpuOf(w.cmd.Process.Pid)
	return &account{web: w, began: time.Now(), busy: game.BusyTime(), own: own}
}

func (a *account) end(use usage) {
	wall := time.Since(a.began).Seconds()
	own, _ := cpuOf(a.web.cmd.Process.Pid)
	a.Web = (own - a.own).Seconds() / wall
	a.Others = max((game.BusyTime()-a.busy-(own-a.own)-use.CPU).Seconds()/wall, 0)
}

func runOf(name, what string, seen *webStats, use usage, want []string, acc *account) crawlRun {
	r := crawlRun{Web: acc.Web, Others: acc.Others, Crawler: name, What: what, Pages: len(seen.Pages), Peak: use.Peak, Overlaps: seen.Overlaps, Repeats: seen.Repeats, Forbidden: seen.Forbidden}
	r.Seconds = seen.Last.Sub(seen.First).Seconds()
	r.PerSecond = float64(r.Pages) / r.Seconds
	r.CPU = use.CPU.Seconds() * 1000 / float64(r.Pages)
	r.Missing, r.Example = without(want, seen.Pages)
	var extra string
	if r.Extra, extra = without(seen.Pages, want); r.Example == "" {
		r.Example = extra
	}
	logf("%-12.12s %-45.45s %6d pages, %7.1f/s, %6.2f ms CPU/page, %4d MB; %d missing, %d extra %s, %d overlaps, %d forbidden; web %.2f, others %.2f", name, what,
		r.Pages, r.PerSecond, r.CPU, r.Peak>>20, r.Missing, r.Extra, r.Example, r.Overlaps, r.Forbidden, r.Web, r.Others)
	return r
}

// without counts the elements of sorted a that sorted b lacks, and names one.
func without(a, b []string) (n int, example string) {
	for _, x := range a {
		if _, found := slices.BinarySearch(b, x); !found {
			if n++; n == 1 {
				example = x
			}
		}
	}
	return n, example
}
