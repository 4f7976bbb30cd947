package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"concord/bench/game"
)

// parts are what can be measured, in the order of the report.
var parts = []string{"crawl", "index", "freshness", "memory", "profile"}

type config struct {
	bin     string // the program under test
	sites   string // unpacked documentation packages
	work    string // scratch directory
	doc     string // report to update
	raw     string // raw numbers
	only    []string
	small   bool
	cluster bool
	ledger  bool
	repeats int
}

// results is everything one run measured; parts that did not run keep the numbers of an earlier run.
type results struct {
	Machine   machine          `json:"machine"`
	Crawl     []setting        `json:"crawl,omitempty"`
	Index     *indexResult     `json:"index,omitempty"`
	Freshness []freshness      `json:"freshness,omitempty"`
	Memory    *memoryResult    `json:"memory,omitempty"`
	Profile   []profileResult  `json:"profile,omitempty"`
	Ran       map[string]stamp `json:"ran"` // when each part ran, and how busy the machine was with other work
}

// stamp says under which circumstances a part ran.
type stamp struct {
	At         time.Time `json:"at"`
	BusyBefore float64   `json:"busyBefore"` // processors that worked during the two seconds before it began
	Revision   string    `json:"revision"`
	Small      bool      `json:"small,omitempty"` // by the quick variant
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == serveCommand {
		exit(serve(os.Stdin, os.Stdout))
		return
	}
	if len(os.Args) > 1 && os.Args[1] == serveLedger {
		exit(serveOrders(os.Stdin, os.Stdout))
		return
	}
	var c config
	only := flag.String("only", strings.Join(parts, ","), "parts to measure")
	flag.StringVar(&c.bin, "bin", "bin/concord", "program under test")
	flag.StringVar(&c.sites, "sites", defaultSites(), "directory of unpacked documentation packages (dpkg -x)")
	flag.StringVar(&c.work, "work", filepath.Join(os.TempDir(), "concord-bench"), "scratch directory; the peers are kept in it between runs")
	flag.StringVar(&c.doc, "doc", "docs/BENCHMARKS.md", "report whose tables are replaced")
	flag.StringVar(&c.raw, "raw", "docs/benchmarks.json", "raw numbers")
	flag.BoolVar(&c.small, "small", false, "a tenth of everything, to try the benchmark itself; writes to the scratch directory")
	flag.BoolVar(&c.cluster, "cluster", false, "measure many nodes and what they could be, instead: docs/SCALING.md; its parts are "+strings.Join(clusterParts, ", "))
	flag.BoolVar(&c.ledger, "ledger", false, "measure the ledger instead: docs/LEDGER-BENCHMARKS.md; its parts are "+strings.Join(ledgerParts, ", "))
	flag.IntVar(&c.repeats, "repeats", 3, "runs of each crawler without delay, and of each load of the ledger; the median counts")
	flag.Parse()
	if c.only = strings.Split(*only, ","); *only == strings.Join(parts, ",") {
		switch {
		case c.cluster:
			c.only = clusterParts
		case c.ledger:
			c.only = ledgerParts
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, c))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func defaultSites() string {
	if dir := os.Getenv("CONCORD_SITES"); dir != "" {
		return dir
	}
	cache, _ := os.UserCacheDir()
	return filepath.Join(cache, "concord-sites")
}

func run(ctx context.Context, c config) error {
	known := parts
	switch {
	case c.cluster:
		known = append(slices.Clone(clusterParts), modelOnly)
	case c.ledger:
		known = append(slices.Clone(ledgerParts), reportOnly)
	}
	for _, p := range c.only {
		if !slices.Contains(known, p) {
			return fmt.Errorf("no part %q; the parts are %s", p, strings.Join(known, ", "))
		}
	}
	var err error
	if c.bin, err = filepath.Abs(c.bin); err != nil {
		return err
	}
	if err := os.MkdirAll(c.work, 0o700); err != nil {
		return err
	}
	if c.cluster {
		return runCluster(ctx, c)
	}
	if c.ledger {
		return runLedger(ctx, c)
	}
	if c.small {
		c.repeats = 1
		c.raw = filepath.Join(c.work, "small.json")
	}
	res, err := loadResults(c.raw)
	if err != nil {
		return err
	}
	res.Machine = thisMachine(c)
	for _, p := range parts {
		if !slices.Contains(c.only, p) {
			continue
		}
		now := begin(p)
		if err := measure(ctx, c, p, res); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		res.Ran[p] = now
		if err := saveJSON(c.raw, res); err != nil {
			return err
		}
	}
	if c.small {
		fmt.Println(tables(res))
		return nil
	}
	return replaceTables(c.doc, tablesBegin, tables(res))
}

// begin says when and of what a part is measured.
func begin(part string) stamp {
	s := stamp{At: time.Now().UTC().Truncate(time.Second), BusyBefore: game.BusyBefore(), Revision: revision()}
	logf("%s: %.1f processors were busy before it", part, s.BusyBefore)
	return s
}

func measure(ctx context.Context, c config, part string, res *results) (err error) {
	switch part {
	case "crawl":
		res.Crawl, err = compareCrawlers(ctx, c)
	case "index":
		res.Index, err = measureIndexing(c)
	case "freshness":
		res.Freshness, err = measureFreshness(ctx, c)
	case "memory":
		res.Memory, err = measureMemory(ctx, c)
	case "profile":
		res.Profile, err = profileCrawls(ctx, c)
	}
	return err
}

func loadResults(path string) (*results, error) {
	r := &results{Ran: map[string]stamp{}}
	return r, loadJSON(path, r)
}

// loadJSON reads the numbers of an earlier run, if there was one.
func loadJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("raw numbers of an earlier run: %w", err)
	}
	return nil
}

func saveJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

func logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
