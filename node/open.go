package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"concord"
	"concord/attest"
	"concord/chain"
	"concord/crawl"
	"concord/durable"
	"concord/note"
	"concord/page"
	"concord/search"
	"concord/warc"
)

// What Open opens, part by part.

func (n *Node) openDir(ctx context.Context) error {
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
	if err := n.enter(ctx); err != nil {
		return err
	}
	if n.layout, err = loadLayout(n.path("layout.json"), n.cfg); err != nil {
		return err
	}
	n.apiKey, err = loadOrCreateAPIKey(n.path("api.key"))
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

func (n *Node) openLedger(ctx context.Context) error {
	// The same keys must never sign a second history under the same name.
	if n.keepsLedger() {
		if err := n.notLost("chain", startOver, "archive", "attest", "shard", "frontier"); err != nil {
			return err
		}
	}
	origin, err := originOf(n.cfg.Data, n.layout, !n.keepsLedger())
	if err != nil {
		return err
	}
	if n.keys, err = note.LoadOrCreateKeys(n.path("keys"), n.layout.Operator, origin); err != nil {
		return err
	}
	if !n.keepsLedger() {
		n.remoteLedger, err = openRemoteLedger(ctx, n.bus, n.path(clusterDir, "ledger.json"))
		return err
	}
	n.chain, err = chain.Open(n.chainConfig())
	return err
}

func (n *Node) openArchive(context.Context) error {
	a, err := warc.Open(warc.Config{Dir: n.path("archive"), Operator: n.layout.Operator, Log: n.log("archive")})
	if err != nil {
		return err
	}
	n.archive, n.vault, err = shareArchive(a, n.blobs, n.bus, n.others, n.tracer, n.log("archive"))
	if err != nil {
		err = errors.Join(err, a.Close())
	}
	return err
}

func (n *Node) openAttestor(ctx context.Context) (err error) {
	if n.captures, err = n.bus.Log(ctx, "CAPTURES", "capture.*"); err != nil || n.clustered() {
		return err
	}
	if n.trimmed, err = loadTrimmed(n.path("trimmed.json")); err != nil {
		return err
	}
	a, err := attest.Open(n.attestConfig())
	if err != nil {
		return err
	}
	n.attestor.set(a)
	return n.trimmed.covers(a.Position(), n.layout.Shards)
}

// openShards opens the shards of a node alone; in a cluster they are opened where they belong once the node runs.
func (n *Node) openShards(ctx context.Context) error {
	n.pdf, n.copies = n.pdfReader(), newCopies(n)
	var searchers []concord.Searcher
	for i := range n.layout.Shards {
		if !n.clustered() {
			s, err := n.copies.openShard(ctx, i)
			if err != nil {
				return err
			}
			n.copies.add(s)
		}
		s, err := n.shardSearcher(i)
		if err != nil {
			return err
		}
		if c, ok := s.(*search.Copies); ok {
			n.fan = append(n.fan, c)
		}
		searchers = append(searchers, s)
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

func (n *Node) openCrawler(ctx context.Context) (err error) {
	if n.frontier, err = n.bus.Log(ctx, "FRONTIER", "frontier.*"); err != nil {
		return err
	}
	if !n.clustered() { // in a cluster, what is not here is loaded from what was saved
		if err := n.frontierNotLost(ctx, n.frontier); err != nil {
			return err
		}
	}
	n.crawler, err = crawl.Open(n.crawlConfig(n.frontier, n.captures))
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
	cfg := crawl.Config{
		Dir: n.path("frontier"), Partitions: n.layout.Frontiers, Shards: n.layout.Shards, Frontier: frontier, Captures: captures,
		Archive: n.archive, PDF: n.pdf, Operator: n.layout.Operator, ContactURL: n.contactURL(),
		Politeness: crawl.Politeness{MinDelay: c.MinDelay, MaxDelay: c.MaxDelay, PerAddress: c.AddressDelay, Retries: c.RetryAfter,
			BackoffUnit: c.BackoffUnit, Patience: c.Patience, Handover: c.Handover},
		Recrawl:     crawl.Recrawl{First: c.FirstRecrawl},
		Bounds:      crawl.Bounds{BodyBytes: int(c.MaxBody)},
		Concurrency: c.Concurrency, FreeSpaceFloor: c.FreeSpace, Trace: n.tracer, Logger: n.log("crawl"),
	}
	if n.clustered() {
		cfg.Shared, cfg.KeepLog, cfg.Node, cfg.Others = true, true, n.layout.Node, n.otherShares
		cfg.Holds = func(partition string) bool { _, ok := n.keeper.Owned(partition); return ok }
	}
	return cfg
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
