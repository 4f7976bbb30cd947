package scale

import (
	"math"
	"reflect"
	"testing"
)

// round is a model whose numbers can be reckoned in the head.
func round() *Model {
	return &Model{
		Costs: Costs{PageCPU: 0.01, ShardCPU: 0.002, FrontCPU: 0.0005, AttestCPU: 0.0001, Capture: 10_000, Frontier: 4, Archive: 8000, Index: 3000, States: 1000,
			LogMessages: 20_000, LogBytes: 50e6, BlobBytes: 40e6, Puts: 1000, Renewals: 1000, WatchCPU: 50e-6, Heartbeat: 1000,
			QueryCPU: 0.001, AskShard: 0.0001, AskRemote: 0.0002, Resident: 1e9},
		Machine: Machine{Cores: 10, Memory: 22e9, Disk: 1e12, Network: 100e6, Use: 0.5},
		Web:     Web{Fetch: 0.5, Pause: 1},
		Design: Design{Shards: 64, Fronts: 64, Copies: 2, LogCopies: 3, LogStreams: 1, BlobStreams: 1, Attestors: 1, Fetches: 64, Lease: 16, Beats: 4, Renewals: 3, Watchers: 1000,
			BlobShare: 0.5},
	}
}

func limits(list []Limit) map[string]float64 {
	m := map[string]float64{}
	for _, l := range list {
		m[l.Name] = l.Rate
	}
	return m
}

func near(a, b float64) bool {
	return a == b || math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b))
}

func TestPageLimits(t *testing.T) {
	for _, c := range []struct {
		nodes float64
		want  map[string]float64
	}{
		{10, map[string]float64{Processors: 5000, Partitions: 10 * 5 / 0.006, ShardFolds: 64 * 0.5 / 0.002, Fetches: 1280, Captures: 2500, Frontier: 2500, Blobs: 1000, Attestor: 5000}},
		// From 64 nodes on there are no more parts of the frontier to fetch for.
		{100, map[string]float64{Processors: 50_000, Partitions: 64 * 5 / 0.006, ShardFolds: 16_000, Fetches: 8192, Captures: 2500, Frontier: 2500, Blobs: 1000, Attestor: 5000}},
		{1000, map[string]float64{Processors: 500_000, Partitions: 64 * 5 / 0.006, ShardFolds: 16_000, Fetches: 8192, Captures: 2500, Frontier: 2500, Blobs: 1000, Attestor: 5000}},
	} {
		for name, got := range limits(round().PageLimits(c.nodes)) {
			if !near(got, c.want[name]) {
				t.Errorf("%.0f nodes, %s: %g pages/s, want %g", c.nodes, name, got, c.want[name])
			}
		}
		if least := Least(round().PageLimits(c.nodes)); least.Name != Blobs {
			t.Errorf("%.0f nodes: %s is full first, want %s", c.nodes, least.Name, Blobs)
		}
	}
}

func TestWhatEachChangeFrees(t *testing.T) {
	m := round()
	m.Design.BlobStreams = 0
	if got := limits(m.PageLimits(10))[Blobs]; !math.IsInf(got, 1) {
		t.Errorf("a store of somebody else's limits to %g pages/s", got)
	}
	if least := Least(m.PageLimits(10)); least.Name != Fetches || !near(least.Rate, 1280) {
		t.Errorf("without own blobs the least is %+v, want fetches at a time", least)
	}
	m.Design.Fetches = 4096
	if least := Least(m.PageLimits(10)); least.Name != Captures || !near(least.Rate, 2500) {
		t.Errorf("with many fetches the least is %+v, want the captures log", least)
	}
	m.Design.LogStreams = 64
	if least := Least(m.PageLimits(10)); !near(least.Rate, 5000) {
		t.Errorf("with many streams the least is %+v, want 5000 pages/s", least)
	}
	m.Costs.Capture = 1000 // then the number of messages counts
	if got := limits(m.PageLimits(10))[Captures]; !near(got, 64*0.5*20_000) {
		t.Errorf("small captures: %g pages/s, want %g", got, 64*0.5*20_000.0)
	}
}

func TestRestTakesProcessors(t *testing.T) {
	m := round()
	m.Costs.RestCPU, m.Costs.RestGrowth = 1, 0.01
	if got := limits(m.PageLimits(100))[Processors]; !near(got, 100*(5-1-1)/0.01) {
		t.Errorf("%g pages/s, want 30000", got)
	}
	if got := limits(m.PageLimits(1000))[Processors]; got != 0 {
		t.Errorf("nodes that are busy hearing each other crawl %g pages/s, want none", got)
	}
	m.Design.Group = 100
	if got := limits(m.PageLimits(1000))[Processors]; !near(got, 300_000) {
		t.Errorf("in groups %g pages/s, want 300000", got)
	}
}

func TestNodeLimits(t *testing.T) {
	m := round() // a heartbeat in four seconds
	want := map[string]float64{Heartbeats: 2000, Telling: math.Sqrt(0.5 * 3 * 100e6 / (0.25 * 1000)), Hearing: math.Sqrt(0.5 * 3 * 10 / (0.25 * 50e-6)), Watchers: 1000}
	if got := limits(m.NodeLimits()); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	m.Design.Group = 100
	if got := limits(m.NodeLimits()); !near(got[Telling], 6000) || !near(got[Hearing], 12_000) || !math.IsInf(got[Watchers], 1) {
		t.Errorf("in groups of 100: %v", got)
	}
	m.Design.Fronts = 128
	if got := m.LeaseLoad(); !near(got, 193*3/16.0/1000) {
		t.Errorf("leases take %g of their store", got)
	}
}

func TestQueries(t *testing.T) {
	m := round()
	if got := ScoreCPU(1e6); !near(got, 83e-6) {
		t.Errorf("a million documents take %g s", got)
	}
	if got, want := ScoreCPU(1e5), 18e-6; math.Abs(got-want) > 1e-6 {
		t.Errorf("100,000 documents take %g s, %g was measured", got, want)
	}
	want := 0.001 + 64*(0.0003+83e-6)
	if got := m.QueryCPU(64e6); !near(got, want) {
		t.Errorf("a question takes %g s, want %g", got, want)
	}
	got := limits(m.QueryLimits(10, 64e6))
	if !near(got[Processors], 50/want) || !near(got["nodes that have a shard"], 50/(64*183e-6)) || !near(got[Replies], 10*50e6/(64*4096)) {
		t.Errorf("%v", got)
	}
	if got := limits(m.QueryLimits(1000, 64e6)); !near(got["nodes that have a shard"], 128*5/(64*183e-6)) {
		t.Errorf("128 copies are on more than 128 nodes: %v", got)
	}
}

func TestCapacity(t *testing.T) {
	m := round()
	c := m.Capacity(10, 1e9)
	for _, x := range []struct {
		what      string
		got, want float64
	}{
		{"disk of a node", c.Disk, 1e9 * (8000 + 2*3000 + 1000) / 10}, {"blobs of a keeper", c.Blobs, 1e9 * 12_000}, {"pages whose blobs fit", c.BlobsFit, 0.5e12 / 12_000},
		{"a shard", c.Shard, 1e9 / 64 * 3000}, {"part in memory", c.Cached, 10e9 / (1e9 * 2 * 3000 / 10)},
	} {
		if !near(x.got, x.want) {
			t.Errorf("%s: %g, want %g", x.what, x.got, x.want)
		}
	}
	m.Design.BlobStreams = 0
	if c := m.Capacity(10, 1e9); c.Blobs != 0 || c.BlobsFit != 0 {
		t.Errorf("blobs elsewhere lie here: %+v", c)
	}
	if c := m.Capacity(1000, 1e6); c.Cached != 1 {
		t.Errorf("a small index is in memory to %g", c.Cached)
	}
}

func TestFanout(t *testing.T) {
	f := Fanout{Base: 0.001, Shard: 0.002, Spread: 0.3, Straggle: 0.01, Late: 20, Pages: 10, Questions: 2000, Seed: 1}
	few, many := f.Simulate(1), f.Simulate(64)
	if again := f.Simulate(64); again != many {
		t.Errorf("the same seed gave %+v and %+v", many, again)
	}
	if few.Median < f.Base+3*f.Shard*0.9 || few.Median > f.Base+3*f.Shard*1.1 {
		t.Errorf("one shard: median %g s", few.Median)
	}
	// With 64 shards nearly half of the rounds meet one that is late.
	if many.Median <= few.Median || many.P99 < f.Shard*f.Late {
		t.Errorf("64 shards %+v are not slower than one %+v", many, few)
	}
	f.Hedge = 0.95
	hedged := f.Simulate(64)
	if hedged.P99 > many.P99/2 || hedged.Asked < 1.03 || hedged.Asked > 1.08 {
		t.Errorf("hedged %+v, plain %+v: want less than half the p99 for one more question in twenty", hedged, many)
	}
	if many.Asked != 1 {
		t.Errorf("without hedging %g questions a shard", many.Asked)
	}
	f.Spread, f.Straggle, f.Hedge = 0, 0, 0
	if got := f.Simulate(8); !near(got.Median, 0.007) || !near(got.P99, 0.007) {
		t.Errorf("without any spread %+v, want 7 ms", got)
	}
}
