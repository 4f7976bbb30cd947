package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"concord"
	"concord/anchor"
	"concord/bus"
	"concord/chain"
	"concord/cluster"
	"concord/crawl"
	"concord/federation"
	"concord/join"
	"concord/note"
	"concord/page"
	"concord/replica"
	"concord/search"
	"concord/state"
	"concord/trace"
	"concord/trace/otlp"
	"concord/vault"
	"concord/web"
	"concord/witness"

	"golang.org/x/sync/errgroup"
)

// Node is one open node. Open makes it, Run runs it, Close gives its files up.
type Node struct {
	cfg     Config
	layout  layout
	apiKey  string
	started time.Time

	unlock       func() error
	bus          *bus.Bus
	leases       *bus.Leases
	captures     concord.Log
	frontier     concord.Log
	keys         *note.Keys
	keyring      keyring       // how far they are those of the ledger, where another node keeps it
	chain        *chain.Chain  // nil where another node keeps the ledger
	remoteLedger *remoteLedger // that node's, then
	archive      archiver
	vault        *vault.Vault // keeps a copy of the archive in the cluster's blobs; nil: nobody does
	attestor     attestorHere
	copies       *copies
	trimmed      trimmed // of a node alone; owned by housekeep once the node runs
	searcher     *search.Fanout
	fan          []*search.Copies // the shards it asks, by number; none while the node is alone
	crawler      *crawl.Crawler
	operators    *federation.Federation // asks the other operators; nil: nobody does
	replicas     *replica.Keeper        // nil where another node keeps the ledger
	askers       *askers                // whom it asks
	batchTexts   batchTexts             // own batches that other nodes are reading
	anchor       *anchor.Anchor         // asks witnesses from outside; nil: there are none
	witness      *witness.Witness       // nil where another node keeps the ledger
	texts        *texts                 // what other operators' witnesses saw
	web          *web.Server
	pdf          page.PDFReader
	spans        *otlp.Provider // nil, as tracer: nothing is recorded
	tracer       *trace.Tracer

	// A node's place in a cluster; nil, and the keeper without members, while it is alone.
	placeMu      sync.Mutex // held while a node alone becomes the first of a cluster
	place        atomic.Pointer[membership]
	identity     *join.Identity
	registry     *join.Registry
	directory    late
	door         *door
	early        *early    // answers while the node waits for others
	growthFailed time.Time // when the others did not come; zero: they did, or were not waited for
	blobs        concord.Blobs
	states       *state.Store
	members      *cluster.Members
	keeper       *cluster.Keeper
	known        knownCell
	mends        mends
	ending       context.Context // ends when the process is to end

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
		{"data directory", "", n.openDir}, {"traces", "", n.openTraces}, {"message bus", "bus", n.openBus}, {"ledger", "chain", n.openLedger}, {"cluster", clusterDir, func(ctx context.Context) error { return n.whileTooFew(ctx, n.openMembers) }},
		{"archive", "archive", n.openArchive}, {"attestor", "attest", n.openAttestor}, {"index", "shard", n.openShards}, {"crawler", "frontier", n.openCrawler},
		{"other operators", "", func(context.Context) error { return n.openOperators() }}, {"witnesses from outside", "", n.openAnchor},
		{"witness", "witness", n.openWitness}, {"replicas", "replicas", n.openReplicas},
	} {
		start := time.Now()
		if err := step.do(ctx); err != nil {
			if n.clustered() && concord.KindOf(err) == concord.Unavailable {
				err = fmt.Errorf("%w: %w", errTooFew, err)
			}
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
	stopMember, memberDone := n.runMember(cancel)
	stopServing, err := n.serveOthers(ctx)
	if err != nil {
		cancel(err)
	}
	g, work := errgroup.WithContext(ctx)
	n.ending = work
	g.Go(func() error { return n.crawler.Run(work) })
	g.Go(func() error { return n.copies.run(work) })
	g.Go(func() error { return n.keep(work) })
	g.Go(func() error { return n.housekeep(work) })
	g.Go(func() error { return n.watchBus(work) })
	g.Go(func() error { return n.watchGrowth(work) })
	g.Go(func() error { return n.sayReady(work) })
	g.Go(func() error { return n.keepKnown(work) })
	g.Go(func() error { return n.watchKeys(work) })
	if n.witness != nil {
		g.Go(func() error { return n.witness.Run(work) })
	}
	if n.replicas != nil {
		g.Go(func() error { return n.replicas.Run(work) })
	}
	if n.anchor != nil {
		g.Go(func() error { return n.anchor.Run(work) })
	}
	if n.vault != nil {
		g.Go(func() error { return n.vault.Run(work) })
	}
	g.Go(func() error { return n.leave(work) })
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
	stopServing()
	stopMember()
	<-memberDone
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

// findPatience is how long "ready" waits for a copy of each shard to be known, here or elsewhere: there may be none.
const findPatience = 10 * time.Second

// awaitStart waits until the ledger runs, the frontier has applied its log, and questions can be answered.
func (n *Node) awaitStart(ctx context.Context) error {
	for start := time.Now(); n.chain != nil && !n.chain.Status().Running || !n.crawler.CaughtUp() && time.Since(start) < startPatience ||
		!n.findsAll() && time.Since(start) < findPatience; {
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
	if n.chain == nil {
		close(ended)
		return cancel, ended
	}
	go func() {
		defer close(ended)
		if err := n.chain.Run(ctx); err != nil && ctx.Err() == nil {
			fail(fmt.Errorf("ledger in %s: %w", n.path("chain"), err))
		}
	}()
	return cancel, ended
}

// runMember keeps the node a member until it is told to stop, after everything that owns something.
func (n *Node) runMember(fail context.CancelCauseFunc) (stop func(), done <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := n.live(ctx); err != nil && ctx.Err() == nil {
			fail(fmt.Errorf("cluster: %w", err))
		}
	}()
	return cancel, ended
}

// trimInterval is how often the captures log gives back what everybody has applied.
const trimInterval = 15 * time.Second

// housekeep trims the captures log of a node alone to what every consumer has committed. In a cluster the owner of the attestor does that.
func (n *Node) housekeep(ctx context.Context) error {
	if n.clustered() {
		return nil
	}
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
	a, release, ok := n.attestor.get()
	if !ok {
		return
	}
	attested := a.Position()
	release()
	next := make(trimmed, n.layout.Shards)
	for i := range next {
		next[i] = n.trimmed.upTo(i)
	}
	for _, s := range n.copies.list() {
		next[s.id] = max(next[s.id], min(attested, s.position()))
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

// yieldTime bounds the handing over of what the message engine leads.
const yieldTime = 1500 * time.Millisecond

// Close gives up what Open opened, in the reverse order. Run must have returned.
func (n *Node) Close() error {
	var errs []error
	try := func(c io.Closer) { errs = append(errs, c.Close()) }
	if n.operators != nil {
		n.operators.Close()
	}
	if n.askers != nil {
		n.askers.client.Close()
	}
	if n.crawler != nil {
		try(n.crawler)
	}
	if n.copies != nil {
		try(n.copies)
	}
	if a, release, ok := n.attestor.get(); ok {
		release()
		n.attestor.set(nil)
		try(a)
	}
	if n.archive != nil {
		try(n.archive)
	}
	if n.chain != nil {
		try(n.chain)
	}
	n.closeEarly()
	if n.door != nil {
		try(n.door)
	}
	if n.bus != nil {
		if n.clustered() {
			yield, cancel := context.WithTimeout(context.Background(), yieldTime)
			_ = n.bus.Yield(yield) // what is still led here when the time is up costs the others an election
			cancel()
		}
		n.bus.Close()
	}
	n.closeTraces()
	if n.unlock != nil {
		errs = append(errs, n.unlock())
	}
	return errors.Join(errs...)
}
