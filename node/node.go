package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/attest"
	"concord/bus"
	"concord/chain"
	"concord/cluster"
	"concord/crawl"
	"concord/durable"
	"concord/note"
	"concord/page"
	"concord/search"
	"concord/shard"
	"concord/warc"
	"concord/web"

	"golang.org/x/sync/errgroup"
)

// Node is one open node. Open makes it, Run runs it, Close gives its files up.
type Node struct {
	cfg     Config
	layout  layout
	apiKey  string
	started time.Time

	unlock   func() error
	bus      *bus.Bus
	leases   *bus.Leases
	captures concord.Log
	keys     *note.Keys
	chain    *chain.Chain
	archive  *warc.Archive
	attestor *attest.Attestor
	shards   []*shard.Shard
	trimmed  trimmed // owned by housekeep once the node runs
	searcher *search.Fanout
	crawler  *crawl.Crawler
	web      *web.Server
	pdf      page.PDFReader

	readyMu sync.Mutex
	ready   error // why the node does not serve yet; nil: it does
	addr    string
}

// Open opens everything in the data directory and recovers what a kill left; it starts no work. Errors: Conflict when
// another process has the directory, Corrupt when something in it is damaged beyond repair, Invalid for a configuration
// that contradicts it.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, started: time.Now(), ready: concord.Errorf(concord.Unavailable, "the node is starting")}
	for _, step := range []struct {
		name, dir string
		do        func(context.Context) error
	}{
		{"data directory", "", n.openDir}, {"message bus", "bus", n.openBus}, {"ledger", "chain", n.openLedger}, {"archive", "archive", n.openArchive},
		{"attestor", "attest", n.openAttestor}, {"index", "shard", n.openShards}, {"crawler", "frontier", n.openCrawler},
	} {
		start := time.Now()
		if err := step.do(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("%s in %s: %w", step.name, n.path(step.dir), err), n.Close())
		}
		cfg.Logger.Debug("opened", "part", step.name, "took", time.Since(start))
	}
	return n, nil
}

func (n *Node) path(elem ...string) string {
	return filepath.Join(append([]string{n.cfg.Data}, elem...)...)
}

func (n *Node) log(part string) *slog.Logger { return n.cfg.Logger.With("part", part) }

func (n *Node) openDir(context.Context) error {
	if err := os.MkdirAll(n.cfg.Data, 0o700); err != nil {
		return err
	}
	unlock, err := durable.Lock(n.path("LOCK"))
	if concord.KindOf(err) == concord.Conflict {
		return fmt.Errorf("another node is running on it: %w", err)
	}
	if err != nil {
		return err
	}
	n.unlock = unlock
	swapped, err := finishRebuild(n.cfg.Data)
	if err != nil {
		return err
	}
	if swapped {
		n.cfg.Logger.Info("a rebuild that had been cut short at its end is in place now")
	}
	if n.layout, err = loadLayout(n.path("layout.json"), n.cfg); err != nil {
		return err
	}
	n.apiKey, err = loadOrCreateAPIKey(n.path("api.key"))
	return err
}

func (n *Node) openBus(ctx context.Context) (err error) {
	if err := n.notLost("bus", makeAgain, "archive", "attest", "shard", "frontier"); err != nil {
		return err
	}
	if n.bus, err = bus.Open(ctx, bus.Config{Dir: n.path("bus"), NodeName: n.layout.Node, Logger: n.log("bus")}); err != nil {
		return err
	}
	n.leases, err = n.bus.Leases(ctx)
	return err
}

// notLost refuses to begin anew what was there before: later ones are made after part, so where one exists part did too.
func (n *Node) notLost(part, help string, later ...string) error {
	if exists(n.path(part)) {
		return nil
	}
	for _, l := range later {
		if exists(n.path(l)) {
			return concord.Errorf(concord.Corrupt, "its files are gone, and the rest of the data directory depends on them: put them back, or %s", help)
		}
	}
	return nil
}

// makeAgain is what helps when state is lost that is a fold over the archive.
const makeAgain = "stop the node and run concord rebuild, which makes it again from the archive"

// startOver is what helps when the ledger or the keys are lost, which nothing else has.
const startOver = "import its archive into a new data directory, with another name of the chain (concord archive import)"

func (n *Node) openLedger(context.Context) error {
	// The same keys must never sign a second history under the same name.
	if err := n.notLost("chain", startOver, "archive", "attest", "shard", "frontier"); err != nil {
		return err
	}
	var err error
	if n.keys, err = note.LoadOrCreateKeys(n.path("keys"), n.layout.Operator, n.origin()); err != nil {
		return err
	}
	n.chain, err = chain.Open(chain.Config{Dir: n.path("chain"), Operator: n.layout.Operator, ChainName: n.layout.Chain, Keys: n.keys, Logger: n.log("chain")})
	return err
}

// origin names the ledger's log in its checkpoints.
func (n *Node) origin() string { return n.layout.Operator + "/" + n.layout.Chain }

func (n *Node) openArchive(context.Context) (err error) {
	n.archive, err = warc.Open(warc.Config{Dir: n.path("archive"), Operator: n.layout.Operator, Log: n.log("archive")})
	return err
}

func (n *Node) openAttestor(ctx context.Context) (err error) {
	if n.captures, err = n.bus.Log(ctx, "CAPTURES", "capture.*"); err != nil {
		return err
	}
	if n.trimmed, err = loadTrimmed(n.path("trimmed.json")); err != nil {
		return err
	}
	n.attestor, err = attest.Open(attest.Config{Dir: n.path("attest"), Log: n.captures, Ledger: n.chain, Keys: n.keys, Operator: n.layout.Operator, Keep: n.keepBatch, Logger: n.log("attest")})
	if err != nil {
		return err
	}
	return n.trimmed.covers(n.attestor.Position(), n.layout.Shards)
}

func (n *Node) openShards(ctx context.Context) error {
	n.pdf = n.pdfReader()
	var searchers []concord.Searcher
	for i := range n.layout.Shards {
		s, err := shard.Open(ctx, shard.Config{Dir: n.path("shard", fmt.Sprint(i)), Shard: i, Log: n.captures, Reextract: n.reextract, Logger: n.log("shard")})
		if err != nil {
			return err
		}
		n.shards = append(n.shards, s)
		if err := n.trimmed.covered(i, s.Position()); err != nil {
			return err
		}
		searchers = append(searchers, s.Searcher())
	}
	var err error
	n.searcher, err = search.NewFanout(search.FanoutConfig{Shards: searchers})
	return err
}

func (n *Node) pdfReader() page.PDFReader {
	if n.cfg.Executable == "" {
		return nil
	}
	return &page.PDFChild{Exe: n.cfg.Executable, Args: []string{"pdf-text"}}
}

func (n *Node) openCrawler(ctx context.Context) error {
	frontier, err := n.bus.Log(ctx, "FRONTIER", "frontier.*")
	if err != nil {
		return err
	}
	if err := n.frontierNotLost(ctx, frontier); err != nil {
		return err
	}
	n.crawler, err = crawl.Open(n.crawlConfig(frontier, n.captures))
	return err
}

// frontierNotLost refuses to begin a partition of the frontier anew whose log shows that there was one.
func (n *Node) frontierNotLost(ctx context.Context, log concord.Log) error {
	for i := range n.layout.Frontiers {
		last, err := log.Last(ctx, concord.FrontierSubject(i))
		if err != nil {
			return err
		}
		if last > 0 && !exists(n.path("frontier", concord.FrontierSubject(i))) {
			return concord.Errorf(concord.Corrupt, "the files of partition %d are gone, and its log no longer has all of it: put them back, or %s", i, makeAgain)
		}
	}
	return nil
}

func (n *Node) crawlConfig(frontier, captures concord.Log) crawl.Config {
	c := n.cfg.Crawl
	return crawl.Config{
		Dir: n.path("frontier"), Partitions: n.layout.Frontiers, Shards: n.layout.Shards, Frontier: frontier, Captures: captures,
		Archive: n.archive, PDF: n.pdf, Operator: n.layout.Operator, ContactURL: n.contactURL(),
		Politeness: crawl.Politeness{MinDelay: c.MinDelay, MaxDelay: c.MaxDelay, PerAddress: c.AddressDelay, Retries: c.RetryAfter,
			BackoffUnit: c.BackoffUnit, Patience: c.Patience},
		Recrawl:     crawl.Recrawl{First: c.FirstRecrawl},
		Bounds:      crawl.Bounds{BodyBytes: int(c.MaxBody)},
		Concurrency: c.Concurrency, FreeSpaceFloor: c.FreeSpace, Logger: n.log("crawl"),
	}
}

// contactURL is where people whose sites are crawled read who does it and how to reach them; empty: nobody said.
func (n *Node) contactURL() string {
	switch {
	case strings.HasPrefix(n.cfg.Contact, "http://"), strings.HasPrefix(n.cfg.Contact, "https://"):
		return n.cfg.Contact
	case n.cfg.Origin != "":
		return strings.TrimSuffix(n.cfg.Origin, "/") + "/bot"
	case n.cfg.Contact != "":
		return "mailto:" + n.cfg.Contact
	}
	return ""
}

// partition gives a part that needs no fence of its own the shape the keeper runs.
type partition struct {
	name string
	run  func(context.Context) error
}

func (p partition) Name() string                            { return p.name }
func (p partition) Run(ctx context.Context, _ uint64) error { return p.run(ctx) }

// Run serves until ctx ends or a part fails, then stops everything in order. ready is called once, with the address of
// pages and API, when the node serves.
func (n *Node) Run(ctx context.Context, ready func(addr string)) error {
	listeners, err := n.listen()
	if err != nil {
		return err
	}
	if err := n.openWeb(listeners.tcp.Addr().String()); err != nil {
		return errors.Join(err, listeners.tcp.Close(), listeners.unix.Close())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopChain, chainDone := n.runChain(cancel)
	g, work := errgroup.WithContext(ctx)
	g.Go(func() error { return n.crawler.Run(work) })
	g.Go(func() error { return n.keep(work) })
	g.Go(func() error { return n.housekeep(work) })
	g.Go(func() error { return n.watchBus(work) })
	n.serve(work, g, listeners)
	g.Go(func() error {
		if n.awaitStart(work) == nil {
			n.setReady(nil)
			if ready != nil {
				ready(listeners.tcp.Addr().String())
			}
		}
		return nil
	})
	err = g.Wait()
	n.setReady(concord.Errorf(concord.Unavailable, "the node is stopping"))
	stopChain()
	<-chainDone
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// startPatience is how long "ready" waits for the parts to stand where they stood before; a log of millions of messages
// may take longer to apply, and the node serves meanwhile.
const startPatience = time.Minute

// awaitStart waits until the ledger runs and the frontier has applied its log.
func (n *Node) awaitStart(ctx context.Context) error {
	for start := time.Now(); !n.chain.Status().Running || !n.crawler.CaughtUp() && time.Since(start) < startPatience; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// runChain runs the validator until it is told to stop, after everything that submits to it; when it fails by itself,
// the whole node stops with its error.
func (n *Node) runChain(fail context.CancelCauseFunc) (stop func(), done <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := n.chain.Run(ctx); err != nil && ctx.Err() == nil {
			fail(fmt.Errorf("ledger in %s: %w", n.path("chain"), err))
		}
	}()
	return cancel, ended
}

// keep owns all partitions of the node.
func (n *Node) keep(ctx context.Context) error {
	parts := []cluster.Partition{partition{"attestor", n.attestor.Run}}
	for _, s := range n.shards {
		parts = append(parts, s)
	}
	for _, f := range n.crawler.Partitions() {
		parts = append(parts, f)
	}
	k := cluster.Keeper{Leases: n.leases, Node: n.layout.Node, Logger: n.log("cluster")}
	return k.Run(ctx, parts...)
}

// trimInterval is how often the captures log gives back what everybody has applied.
const trimInterval = 15 * time.Second

// housekeep trims the captures log to what every consumer has committed.
func (n *Node) housekeep(ctx context.Context) error {
	trim := time.NewTicker(trimInterval)
	defer trim.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-trim.C:
			n.trim(ctx)
		}
	}
}

func (n *Node) trim(ctx context.Context) {
	attested := n.attestor.Position()
	next := make(trimmed, len(n.shards))
	for i, s := range n.shards {
		next[i] = max(n.trimmed.upTo(i), min(attested, s.Position()))
	}
	if slices.Equal(next, n.trimmed) {
		return
	}
	err := next.save(n.path("trimmed.json")) // before the log forgets
	if err == nil {
		n.trimmed = next
		for i, upTo := range next {
			err = errors.Join(err, n.captures.Trim(ctx, concord.CaptureSubject(i), upTo))
		}
	}
	if err != nil && ctx.Err() == nil {
		n.cfg.Logger.Warn("log not trimmed, it will be next time", "error", err)
	}
}

func (n *Node) setReady(err error) {
	n.readyMu.Lock()
	defer n.readyMu.Unlock()
	n.ready = err
}

// Close gives up what Open opened, in the reverse order. Run must have returned.
func (n *Node) Close() error {
	var errs []error
	try := func(c io.Closer) { errs = append(errs, c.Close()) }
	if n.crawler != nil {
		try(n.crawler)
	}
	for _, s := range n.shards {
		try(s)
	}
	if n.attestor != nil {
		try(n.attestor)
	}
	if n.archive != nil {
		try(n.archive)
	}
	if n.chain != nil {
		try(n.chain)
	}
	if n.bus != nil {
		n.bus.Close()
	}
	if n.unlock != nil {
		errs = append(errs, n.unlock())
	}
	return errors.Join(errs...)
}
