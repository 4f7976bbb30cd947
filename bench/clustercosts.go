package main

import (
	"cmp"
	"fmt"
	"math"
	"strings"

	"concord/bench/scale"
	"concord/node"
)

// pageKind is pages of one sort. The made-up ones are those of this measurement; the costs of others are theirs times what the comparison
// of crawlers (docs/BENCHMARKS.md) found between the two.
type pageKind struct {
	Name    string
	CPU     float64 // times that of made-up pages
	Payload float64 // bytes
	Archive float64 // bytes of WARC
	Index   float64 // bytes of a segment
	Capture float64 // bytes of a message
}

const (
	madeUp = "made-up pages"
	// warcRatio is how much smaller HTML gets in the archive.
	warcRatio = 4
)

// assumed machine and web of the model.
var (
	modelMachine = scale.Machine{Cores: 8, Memory: 32e9, Disk: 4e12, Network: 125e6, Use: 0.7}
	modelWeb     = scale.Web{Fetch: 0.5, Pause: 1}
)

// designs are the program as it is, what settings can do, and what would have to change.
func designs() []scale.Design {
	std := node.Defaults()
	today := scale.Design{Name: "as it is", Shards: node.MaxPartitions, Fronts: node.MaxPartitions, Copies: float64(std.Cluster.Replicas), LogCopies: logCopies, LogStreams: 1,
		BlobStreams: 1, Attestors: 1, Fetches: float64(std.Crawl.Concurrency), Lease: std.Cluster.Lease.Seconds(), Beats: 4, Renewals: 3, Watchers: 1000, BlobShare: 0.5}
	settings := today
	settings.Name, settings.Fetches, settings.BlobStreams = "by settings", 1024, 0
	changed := settings
	changed.Name, changed.Shards, changed.Fronts, changed.LogStreams, changed.Attestors, changed.Group = "changed", 256, 1024, 64, 64, 32
	return []scale.Design{today, settings, changed}
}

func (r *clusterResults) setup(names ...string) *clusterRun {
	for _, n := range names {
		for i := range r.Setups {
			if r.Setups[i].Name == n {
				return &r.Setups[i]
			}
		}
	}
	return nil
}

// one, three and most are the setups that the model takes its costs from: of the quick variant, what there is.
func (r *clusterResults) one() *clusterRun   { return r.setup(oneNode) }
func (r *clusterResults) three() *clusterRun { return r.setup(threeNodes, threeAll) }
func (r *clusterResults) most() *clusterRun  { return r.setup(fiveNodes, threeNodes, threeAll) }

// complete says whether there is enough for the model.
func (r *clusterResults) complete() bool {
	return r.one() != nil && r.three() != nil && r.Engine != nil && len(r.Parts) > 0
}

// kinds are the pages that the model is asked about; b is the comparison of crawlers.
func (r *clusterResults) kinds(b *results) []pageKind {
	one, three := r.one(), r.three()
	small := pageKind{Name: madeUp, CPU: 1, Payload: float64(one.Bytes) / float64(max(one.Pages, 1)), Archive: one.Disk[0]["archive"], Index: one.Disk[0]["shard"],
		Capture: cmp.Or(three.Capture, captureBytes)}
	list := []pageKind{small}
	var cpuSmall, cpuDocs float64
	docs := small
	for _, s := range b.Crawl {
		switch {
		case s.Delay > 0 || len(s.Runs) == 0:
		case strings.HasPrefix(s.Name, "made-up"):
			cpuSmall = s.Runs[0].CPU
		case strings.HasPrefix(s.Name, "documentation"):
			cpuDocs, docs.Payload = s.Runs[0].CPU, float64(s.Bytes)/float64(max(s.Pages, 1))
		}
	}
	if b.Index == nil || cpuSmall == 0 || cpuDocs == 0 {
		return list
	}
	docs.Name, docs.CPU = "documentation sites", cpuDocs/cpuSmall
	docs.Archive = small.Archive + (docs.Payload-small.Payload)/warcRatio
	docs.Index = float64(b.Index.Segment) / float64(b.Index.Docs)
	docs.Capture = small.Capture + float64(b.Index.Text)/float64(b.Index.Docs)
	return append(list, docs)
}

// costs are what the model reckons with for one kind of pages.
func (r *clusterResults) costs(k pageKind) scale.Costs {
	one, most, e := r.one(), r.most(), r.Engine
	c := scale.Costs{
		PageCPU: most.Work / 1000 * k.CPU, ShardCPU: r.who("shard") * k.CPU, FrontCPU: r.who("crawl.Frontier"), AttestCPU: r.who("attest"),
		Capture: k.Capture, Frontier: cmp.Or(r.three().Frontier, linkMessages+1), Archive: k.Archive, Index: k.Index,
		States: one.Disk[0]["frontier"] + one.Disk[0]["attest"], LogMessages: e.Three.Messages, LogBytes: e.Three.Megabytes * 1e6, BlobBytes: e.Three.Blobs * 1e6,
		Puts: e.Three.Puts, Renewals: e.Three.Renewals, WatchCPU: e.Watch / 1e6, Heartbeat: valueBytes, Resident: float64(most.RSS[0]),
	}
	// What each further node adds is reckoned from telling one heartbeat: between three nodes and five it is too little to be seen.
	today := designs()[0]
	c.RestCPU, c.RestGrowth = sum(most.Idle)/float64(most.Nodes), c.WatchCPU*today.Beats/today.Lease
	c.Sockets = float64(most.Sockets[0]-one.Sockets[0]) / float64(most.Nodes-1)
	r.queryCosts(&c)
	return c
}

// who is the processor time that a part's own goroutines take a page on one node, in seconds.
func (r *clusterResults) who(part string) (seconds float64) {
	for _, p := range r.Parts[0].Who {
		if p.Name == part || strings.HasPrefix(p.Name, part+".") {
			seconds += p.CPU / 1000
		}
	}
	return seconds
}

// queryCosts splits a question into what it costs once, for each shard, and for each shard elsewhere.
func (r *clusterResults) queryCosts(c *scale.Costs) {
	one, more, spread := r.one().Queries, r.setup(oneMoreShards), r.setup(fiveOne)
	c.QueryCPU, c.QueryTime = one.CPU/1000, one.Latency.Median/1000
	if more != nil && more.Queries.Shards > one.Shards {
		c.AskShard = max(more.Queries.CPU-one.CPU, 0) / 1000 / float64(more.Queries.Shards-one.Shards)
		c.QueryCPU = max(c.QueryCPU-float64(one.Shards)*c.AskShard, 0)
	}
	const rounds = 2 // that every shard is asked: statistics, places
	c.AskRemote = rounds * r.Engine.Ask / 1e6
	if spread != nil && spread.Queries.Partial == 0 && spread.Queries.Here < spread.Queries.Shards {
		if m := (spread.Queries.CPU - one.CPU) / 1000 / float64(spread.Queries.Shards-spread.Queries.Here); m > 0 {
			c.AskRemote = m
		}
	}
	c.ShardTime = r.Engine.AskLatency.Median / 1000
	const (
		tail               = 2.326 // standard deviations from the median to the 99th percentile
		narrowest, broaden = 0.1, 1.0
	)
	if r.Engine.AskLatency.Median > 0 {
		c.ShardSpread = min(max(math.Log(r.Engine.AskLatency.P99/r.Engine.AskLatency.Median)/tail, narrowest), broaden)
	}
}

// fanout is the simulation with these costs, over an index of so many documents a shard.
func fanout(c *scale.Costs, documents, hedge float64) scale.Fanout {
	return scale.Fanout{Base: c.QueryTime, Shard: c.ShardTime + scale.ScoreCPU(documents), Spread: c.ShardSpread, Straggle: 0.01, Late: 20, Hedge: hedge,
		Pages: 10, Questions: 4000, Seed: querySeed}
}

func count(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "-"
	case v >= 1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 10_000:
		return fmt.Sprintf("%.0f k", v/1e3)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
