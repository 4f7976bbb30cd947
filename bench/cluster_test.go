package main

import (
	"math"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"concord/bench/scale"
)

func TestQuantiles(t *testing.T) {
	var ms []float64
	for i := range 200 {
		ms = append(ms, float64(200-i))
	}
	if got, want := quantilesOf(ms), (quantiles{Median: 100, P95: 190, P99: 198, Max: 200, Count: 200}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if ms[0] != 200 {
		t.Error("the measurements were reordered")
	}
	if got := quantilesOf(nil); got != (quantiles{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestQuestionsAreTheSameEveryTime(t *testing.T) {
	a, b := questions(100), questions(100)
	if !reflect.DeepEqual(a, b) {
		t.Error("two runs ask different questions")
	}
	for _, q := range a {
		if n := len(strings.Fields(q)); n < 1 || n > 3 {
			t.Errorf("%q has %d words", q, n)
		}
	}
}

func TestWaitsAreSeen(t *testing.T) {
	w, err := startWeb(webSpec{Hosts: 1, Pages: 10, Subnet: 95})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for range 3 {
		resp, err := http.Get(strings.TrimSuffix(w.seeds[0], "/") + "/p/1")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		time.Sleep(20 * time.Millisecond)
	}
	got, err := w.seen()
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Waits) != 2 || got.Waits[0] < 15 || got.Waits[1] > 10_000 {
		t.Errorf("waits %v, want two of some 20 ms", got.Waits)
	}
}

func TestWholePart(t *testing.T) {
	for want, stack := range map[string][]string{
		"shard.Shard": {"runtime.memmove", "concord/index.(*Builder).Add", "concord/shard.(*Shard).apply", "concord/bus.(*log).Follow", "concord/shard.(*Shard).Run.func1", "golang.org/x/sync/errgroup.(*Group).Go.func1"},
		"NATS":        {"syscall.Syscall", "github.com/nats-io/nats-server/v2/server.(*fileStore).flush"},
		"garbage collection": {"runtime.scanobject", "runtime.gcBgMarkWorker.func2", "runtime.systemstack",
			"runtime.gcBgMarkWorker"},
		"crawl.committer": {"concord/warc.(*Archive).Append", "concord/vault.(*Vault).Append", "concord/crawl.(*committer).archive"},
		"other":           {"main.main"},
	} {
		if got := wholePart(stack); got != want {
			t.Errorf("%v is of %q, want %q", stack, got, want)
		}
	}
}

// measured is a small run, as numbers that are easy to reckon with.
func measured() *clusterResults {
	disk := []diskUsePer{{"archive": 2000, "shard": 2500, "frontier": 1000, "attest": 500}}
	run := func(name string, nodes int, work, query float64) clusterRun {
		r := clusterRun{Name: name, Nodes: nodes, Shards: 4, Pages: 1000, Bytes: 1_300_000, PerSecond: 100, Work: work, Disk: disk, Page: quantiles{10, 20, 30, 40, 100},
			Queries: &queryResult{Asked: 100, Here: 4, Shards: 4, Latency: quantiles{2, 3, 4, 5, 100}, CPU: query, PerSecond: 500}}
		for range nodes {
			r.Idle, r.CPU, r.Written = append(r.Idle, 0.01+0.002*float64(nodes)), append(r.CPU, work/float64(nodes)), append(r.Written, 10_000)
			r.RSS, r.Sockets = append(r.RSS, 200<<20), append(r.Sockets, 2+4*(nodes-1))
		}
		return r
	}
	more, spread := run(oneMoreShards, 1, 2, 2.2), run(fiveOne, 5, 8, 1.8)
	more.Queries.Shards, more.Queries.Here, more.Page, spread.Queries.Here = 16, 16, quantiles{}, 0
	three := run(threeNodes, 3, 5, 1.2)
	three.Frontier, three.Capture = 3, 1000
	part := []partCost{{"shard.Shard", 0.4}, {"shard.Builder", 0.1}, {"crawl.Frontier", 0.2}, {"attest.Attestor", 0.1}, {"NATS", 0.5}}
	return &clusterResults{
		Setups: []clusterRun{run(oneNode, 1, 2, 1), more, three, run(threeDirectory, 3, 4.5, 1.2), run(threeAll, 3, 5.8, 1.1), run(fiveNodes, 5, 7, 1.3), spread},
		Engine: &engineResult{Watch: 50, Ask: 60, AskLatency: quantiles{1, 2, 3, 4, 100}, One: engineCosts{Messages: 70_000, Megabytes: 200}, Three: engineCosts{Messages: 40_000, Megabytes: 60, Puts: 1000, Renewals: 1000, Blobs: 60}},
		Parts:  []partsResult{{Nodes: 1, Pages: 1000, What: part, Who: part}, {Nodes: 3, Pages: 1000, What: part, Who: part}},
		Ran:    map[string]stamp{"nodes": {}},
	}
}

func TestCostsOfTheModel(t *testing.T) {
	r := measured()
	kinds := r.kinds(&results{})
	if len(kinds) != 1 || kinds[0].Payload != 1300 {
		t.Fatalf("kinds %+v, want the made-up pages alone", kinds)
	}
	c := r.costs(kinds[0])
	for _, x := range []struct {
		what      string
		got, want float64
	}{
		{"a page", c.PageCPU, 0.007}, {"its shard", c.ShardCPU, 0.0005}, {"its frontier", c.FrontCPU, 0.0002}, {"attesting", c.AttestCPU, 0.0001},
		{"rest", c.RestCPU, 0.02}, {"rest for each node", c.RestGrowth, 50e-6 * 4 / 15}, {"connections", c.Sockets, 4}, {"frontier messages", c.Frontier, 3},
		{"a shard asked", c.AskShard, 0.0001}, {"a question", c.QueryCPU, 0.0006}, {"a shard elsewhere", c.AskRemote, 0.0002}, {"other states", c.States, 1500},
	} {
		if math.Abs(x.got-x.want) > 1e-9 {
			t.Errorf("%s: %g, want %g", x.what, x.got, x.want)
		}
	}
	b := &results{Index: &indexResult{Docs: 10, Segment: 60_000, Text: 90_000}, Crawl: []setting{
		{Name: "made-up pages, no delay", Runs: []crawlRun{{CPU: 2}}}, {Name: "made-up pages, 50 ms", Delay: 1, Runs: []crawlRun{{CPU: 5}}},
		{Name: "documentation sites, no delay", Pages: 10, Bytes: 301_300, Runs: []crawlRun{{CPU: 10}}}}}
	kinds = r.kinds(b)
	if want := (pageKind{"documentation sites", 5, 30_130, 2000 + (30_130-1300)/4.0, 6000, 10_000}); len(kinds) != 2 || kinds[1] != want {
		t.Errorf("kinds %+v, want %+v second", kinds, want)
	}
	if got := r.costs(kinds[1]).PageCPU; math.Abs(got-0.035) > 1e-9 {
		t.Errorf("a page of documentation takes %g s, want 0.035", got)
	}
}

// The report names for every cluster what is full first, and all its plots are drawings.
func TestScalingReport(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "SCALING.md")
	if err := os.WriteFile(path, []byte("before\n"+scalingBegin+"\nold\n"+tablesEnd+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := measured()
	if err := writeScaling(path, r); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if !strings.HasPrefix(text, "before\n") || !strings.HasSuffix(text, "\nafter\n") || strings.Contains(text, "\nold\n") || strings.Contains(text, "NaN") || strings.Contains(text, "%!") {
		t.Errorf("the report is wrong:\n%s", text)
	}
	for _, want := range []string{"| from one node to three, all of it | 3.00 |", "| - of it blobs in the cluster, instead of a directory | 0.50 |",
		"| - of it a second copy of each shard (a third one measured) | 0.80 |", "coordination | 1.70 |", "What is full first: from 3 nodes", "| 1024 |",
		"With 4 of 4 shards on other nodes (5 nodes, one copy of each shard) instead of all in the process: median +0.00 ms, p99 +0.00 ms, CPU +0.80 ms."} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	plots, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil || len(plots) != len(designs())+1 {
		t.Fatalf("plots %v, error %v", plots, err)
	}
	for _, p := range plots {
		if svg, err := os.ReadFile(p); err != nil || !strings.HasPrefix(string(svg), "<svg") || strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "Inf") {
			t.Errorf("%s is no drawing: %v", p, err)
		}
		if !strings.Contains(text, filepath.Base(p)) {
			t.Errorf("the report does not show %s", p)
		}
	}
}

// What nothing is left of is no point of a drawing, and keeps nobody waiting.
func TestPlotWithoutPoints(t *testing.T) {
	m := &scale.Model{Costs: scale.Costs{PageCPU: 1, RestGrowth: 1}, Machine: modelMachine, Web: modelWeb, Design: designs()[0]}
	if svg := crawlPlot(m, pageKind{Name: madeUp}); !strings.HasPrefix(svg, "<svg") || strings.Contains(svg, "NaN") {
		t.Errorf("drawn: %q", svg)
	}
}

func TestFirstLimits(t *testing.T) {
	r := measured()
	m := &scale.Model{Costs: r.costs(r.kinds(&results{})[0]), Machine: modelMachine, Web: modelWeb, Design: designs()[0]}
	text := firstLimits(m)
	for n := 3.0; n <= 2000; n++ {
		if l := scale.Least(m.PageLimits(n)); !strings.Contains(text, l.Name) {
			t.Fatalf("at %.0f nodes %s is full first, of which %q says nothing", n, l.Name, text)
		}
	}
}
