package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"concord/bench/game"
	"concord/bench/scale"
)

const scalingBegin = "<!-- tables: written by make bench-cluster -->"

// modelledPages is the size of the index that the model is asked about, modelledNodes the sizes of the cluster.
const modelledPages = 1e9

var modelledNodes = []float64{10, 100, 1000}

// writeScaling replaces the tables of the report, and writes its plots beside it.
func writeScaling(path string, r *clusterResults) error {
	var b strings.Builder
	measuredTables(&b, r)
	var plots map[string]string
	if r.complete() {
		crawlers, err := loadResults("docs/benchmarks.json")
		if err != nil {
			return err
		}
		plots = modelTables(&b, r, r.kinds(crawlers))
	} else {
		b.WriteString("\nFor the model there is not enough measured yet.\n")
	}
	for name, svg := range plots {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return replaceTables(path, scalingBegin, b.String())
}

func measuredTables(b *strings.Builder, r *clusterResults) {
	machineTable(b, r.Machine, clusterParts, r.Ran)
	clusterTrial(b, r)
	crawlsTable(b, r)
	differenceTable(b, r)
	pageTable(b, r)
	queriesTable(b, r)
	overClusterNote(b, r)
	if r.Engine != nil {
		engineTable(b, r.Engine)
	}
	if len(r.Parts) == 2 {
		partsTable(b, "By whose function it is: the innermost package on the stack", r.Parts[0].What, r.Parts[1].What)
		partsTable(b, "By whose goroutine it is: the outermost part on the stack", r.Parts[0].Who, r.Parts[1].Who)
	}
}

// clusterTrial says what keeps the numbers from being what they should be.
func clusterTrial(b *strings.Builder, r *clusterResults) {
	var missing []string
	for _, s := range clusterSetups {
		if r.setup(s.name) == nil {
			missing = append(missing, s.name)
		}
	}
	if len(missing) > 0 {
		fmt.Fprintf(b, "\n**Not measured**: %s. Where the model needs them it takes what comes closest.\n", strings.Join(missing, "; "))
	}
	trialNote(b, r.Machine, clusterParts, r.Ran)
}

func crawlsTable(b *strings.Builder, r *clusterResults) {
	b.WriteString("\n### Measured: a crawl\n\n| setup | pages | pages/s | CPU ms/page, all nodes | each node | of it work | at rest, processors a node | written kB/page, all nodes | memory MB a node | other load |\n|---|--:|--:|--:|---|--:|--:|--:|--:|--:|\n")
	for _, s := range r.Setups {
		if s.Page.Count == 0 {
			continue
		}
		var rss int64
		for _, v := range s.RSS {
			rss += v >> 20
		}
		fmt.Fprintf(b, "| %s | %d | %.0f | %.2f | %s | %.2f | %.3f | %.1f | %d | %.2f |\n", s.Name, s.Pages, s.PerSecond, sum(s.CPU), list(s.CPU, "%.2f", " + "), s.Work,
			sum(s.Idle)/float64(s.Nodes), sum(s.Written)/1e3, rss/int64(s.Nodes), s.Others)
	}
	for _, s := range r.Setups {
		if s.Missing+s.Repeats+s.Overlaps > 0 {
			fmt.Fprintf(b, "\n%s: %d pages not asked for, %d asked for again, %d requests at a busy host.\n", s.Name, s.Missing, s.Repeats, s.Overlaps)
		}
	}
}

func list(v []float64, format, between string) string {
	texts := make([]string, len(v))
	for i := range v {
		texts[i] = fmt.Sprintf(format, v[i])
	}
	return strings.Join(texts, between)
}

// differenceTable says what each thing costs that one setup has and another has not.
func differenceTable(b *strings.Builder, r *clusterResults) {
	one, three, dir, all, five := r.one(), r.setup(threeNodes), r.setup(threeDirectory), r.setup(threeAll), r.setup(fiveNodes)
	if one == nil || three == nil {
		return
	}
	b.WriteString("\nWhat it costs, as the difference of two setups:\n\n| what | CPU ms/page | written kB/page |\n|---|--:|--:|\n")
	row := func(name string, more, less *clusterRun) (cpu, disk float64) {
		if more == nil || less == nil {
			return 0, 0
		}
		cpu, disk = more.Work-less.Work, (sum(more.Written)-sum(less.Written))/1e3
		fmt.Fprintf(b, "| %s | %.2f | %.1f |\n", name, cpu, disk)
		return cpu, disk
	}
	fmt.Fprintf(b, "| one node alone, all of it | %.2f | %.1f |\n", one.Work, sum(one.Written)/1e3)
	cpu, disk := row("from one node to three, all of it", three, one)
	blobCPU, blobDisk := row("- of it blobs in the cluster, instead of a directory", three, dir)
	copyCPU, copyDisk := row("- of it a second copy of each shard (a third one measured)", all, three)
	fmt.Fprintf(b, "| - what is left: logs with three copies, TLS, states saved, coordination | %.2f | %.1f |\n", cpu-blobCPU-copyCPU, disk-blobDisk-copyDisk)
	row("from three nodes to five", five, three)
}

func pageTable(b *strings.Builder, r *clusterResults) {
	b.WriteString("\n### Measured: one page\n\nMilliseconds. One host is asked as fast as it may be: for its next page when the last one is on record.\n\n| what | median | p95 | p99 | samples |\n|---|--:|--:|--:|--:|\n")
	row := func(name string, q quantiles) {
		if q.Count > 0 {
			fmt.Fprintf(b, "| %s | %.1f | %.1f | %.1f | %d |\n", name, q.Median, q.P95, q.P99, q.Count)
		}
	}
	for _, s := range r.Setups {
		row("from an answer to the next request, "+s.Name, s.Page)
	}
	if e := r.Engine; e != nil {
		row("its two appends alone, one copy", e.One.Page)
		row("its two appends alone, three copies", e.Three.Page)
	}
}

func queriesTable(b *strings.Builder, r *clusterResults) {
	b.WriteString("\n### Measured: a question\n\nAsked at the node with the fewest shards of its own, one after the other; then eight at a time at all nodes.\n\n" +
		"| setup | shards | at the asked node | median ms | p99 ms | CPU ms, all nodes | questions/s at once | incomplete answers |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, s := range r.Setups {
		if q := s.Queries; q != nil {
			fmt.Fprintf(b, "| %s | %d | %d | %.2f | %.2f | %.2f | %.0f | %d of %d |\n", s.Name, q.Shards, q.Here, q.Latency.Median, q.Latency.P99, q.CPU, q.PerSecond, q.Partial, q.Asked)
		}
	}
}

// overClusterNote says what a question costs more when its shards are on other nodes.
func overClusterNote(b *strings.Builder, r *clusterResults) {
	one, far := r.one(), r.setup(fiveOne, fiveNodes, threeNodes)
	if one == nil || far == nil || far.Queries.Here == far.Queries.Shards {
		return
	}
	q, o := far.Queries, one.Queries
	fmt.Fprintf(b, "\nWith %d of %d shards on other nodes (%s) instead of all in the process: median %+.2f ms, p99 %+.2f ms, CPU %+.2f ms.\n",
		q.Shards-q.Here, q.Shards, far.Name, q.Latency.Median-o.Latency.Median, q.Latency.P99-o.Latency.P99, q.CPU-o.CPU)
}

func engineTable(b *strings.Builder, e *engineResult) {
	b.WriteString("\n### Measured: the message engine alone\n\nIn one process, every acknowledgement synced to disk. Three copies means three engines that share the machine.\n\n| | one copy | three copies |\n|---|--:|--:|\n")
	row := func(name, format string, one, three float64) {
		fmt.Fprintf(b, "| %s | "+format+" | "+format+" |\n", name, one, three)
	}
	row(fmt.Sprintf("messages of %d kB in batches of %d, a second", captureBytes>>10, batchSize), "%.0f", e.One.Messages, e.Three.Messages)
	row("the same, MB/s", "%.1f", e.One.Megabytes, e.Three.Megabytes)
	row("values changed by compare-and-set, a second", "%.0f", e.One.Puts, e.Three.Puts)
	row("leases renewed, a second", "%.0f", e.One.Renewals, e.Three.Renewals)
	row("blobs of 8 MiB, MB/s", "%.0f", e.One.Blobs, e.Three.Blobs)
	row("blobs of 64 KiB, put and deleted, a second", "%.0f", e.One.Small, e.Three.Small)
	fmt.Fprintf(b, "\nA question to another node and its answer of 3 kB: %.2f ms (p99 %.2f), %.0f µs of CPU on both sides together. Telling one watcher one value of 1 kB: %.0f µs.\n",
		e.AskLatency.Median, e.AskLatency.P99, e.Ask, e.Watch)
}

func partsTable(b *strings.Builder, title string, one, three []partCost) {
	fmt.Fprintf(b, "\n### Measured: where the time goes\n\n%s. CPU ms a page; rest included.\n\n| part | 1 node | 3 nodes together | more |\n|---|--:|--:|--:|\n", title)
	costs := map[string][2]float64{}
	for i, l := range [][]partCost{one, three} {
		for _, p := range l {
			c := costs[p.Name]
			c[i] = p.CPU
			costs[p.Name] = c
		}
	}
	names := slices.SortedFunc(maps.Keys(costs), func(x, y string) int { return cmp.Or(cmp.Compare(costs[y][1], costs[x][1]), cmp.Compare(x, y)) })
	const shown = 0.01 // ms
	for _, n := range names {
		if c := costs[n]; max(c[0], c[1]) >= shown {
			fmt.Fprintf(b, "| %s | %.2f | %.2f | %+.2f |\n", n, c[0], c[1], c[1]-c[0])
		}
	}
	fmt.Fprintf(b, "| all | %.2f | %.2f | %+.2f |\n", total(one), total(three), total(three)-total(one))
}

// modelTables writes what the model says, and returns the plots by their file names.
func modelTables(b *strings.Builder, r *clusterResults, kinds []pageKind) map[string]string {
	inputsTable(b, r, kinds)
	plots := map[string]string{}
	k := kinds[len(kinds)-1]
	c := r.costs(k)
	for i, d := range designs() {
		m := &scale.Model{Costs: c, Machine: modelMachine, Web: modelWeb, Design: d}
		limitsTable(b, m, k)
		name := fmt.Sprintf("scaling-crawl-%d.svg", i+1)
		plots[name] = crawlPlot(m, k)
		fmt.Fprintf(b, "\n![pages a second over nodes, %s](%s)\n", d.Name, name)
	}
	summaryTable(b, r, kinds)
	nodesTable(b, &c)
	fanoutTable(b, &c, plots)
	return plots
}

func inputsTable(b *strings.Builder, r *clusterResults, kinds []pageKind) {
	b.WriteString("\n### Model: what goes in\n\n| cost | ")
	var costs []scale.Costs
	for _, k := range kinds {
		fmt.Fprintf(b, "%s, %.1f kB | ", k.Name, k.Payload/1e3)
		costs = append(costs, r.costs(k))
	}
	b.WriteString("from |\n|---|" + strings.Repeat("--:|", len(kinds)) + "---|\n")
	row := func(name, format, from string, f func(c *scale.Costs) float64) {
		fmt.Fprintf(b, "| %s |", name)
		for i := range costs {
			fmt.Fprintf(b, " "+format+" |", f(&costs[i]))
		}
		fmt.Fprintf(b, " %s |\n", from)
	}
	most := r.most().Name
	row("CPU ms a page, all nodes", "%.2f", most+", work; times the ratio of the two in BENCHMARKS.md", func(c *scale.Costs) float64 { return c.PageCPU * 1000 })
	row("- one copy of its shard", "%.2f", "profile, goroutines of `shard`", func(c *scale.Costs) float64 { return c.ShardCPU * 1000 })
	row("- its part of the frontier", "%.3f", "profile, goroutines of `crawl.Frontier`", func(c *scale.Costs) float64 { return c.FrontCPU * 1000 })
	row("- the attestor", "%.3f", "profile, goroutines of `attest`", func(c *scale.Costs) float64 { return c.AttestCPU * 1000 })
	row("processors at rest, a node", "%.3f", most, func(c *scale.Costs) float64 { return c.RestCPU })
	row("- and for each node there is", "%.6f", "telling one heartbeat, times beats ÷ lease", func(c *scale.Costs) float64 { return c.RestGrowth })
	row("bytes in the captures log", "%.0f", "cluster status in a crawl; text of BENCHMARKS.md", func(c *scale.Costs) float64 { return c.Capture })
	row("messages in the frontier log", "%.1f", "cluster status in a crawl", func(c *scale.Costs) float64 { return c.Frontier })
	row("bytes in the archive", "%.0f", "files; a quarter of the payload more", func(c *scale.Costs) float64 { return c.Archive })
	row("bytes in a shard", "%.0f", "files; BENCHMARKS.md", func(c *scale.Costs) float64 { return c.Index })
	row("bytes in other states", "%.0f", "files", func(c *scale.Costs) float64 { return c.States })
	row("CPU ms a question, once", "%.2f", "questions at 4 and 16 shards", func(c *scale.Costs) float64 { return c.QueryCPU * 1000 })
	row("- and for each shard", "%.3f", "the same", func(c *scale.Costs) float64 { return c.AskShard * 1000 })
	row("- and for one on another node", "%.3f", "questions at a node without shards; else two questions to another node", func(c *scale.Costs) float64 { return c.AskRemote * 1000 })
	row("connections to each other node", "%.1f", "open sockets", func(c *scale.Costs) float64 { return c.Sockets })
	m, w := modelMachine, modelWeb
	fmt.Fprintf(b, "\nAssumed: nodes of %.0f cores as fast as these, %.0f GB of memory, %.0f TB of disk, %.0f MB/s of network, of which %.0f %% may be used; a fetch takes %.1f s, a host is asked once in %.0f s. "+
		"Finding the best ten of a shard takes %.0f µs of CPU at a million documents and grows with their number to the power 0.66 ([INDEX-GROWTH.md](INDEX-GROWTH.md)).\n",
		m.Cores, m.Memory/1e9, m.Disk/1e12, m.Network/1e6, m.Use*100, w.Fetch, w.Pause, scale.ScoreCPU(1e6)*1e6)
}

func limitsTable(b *strings.Builder, m *scale.Model, k pageKind) {
	d := m.Design
	fmt.Fprintf(b, "\n### Model: crawling, %s\n\nPages a second that each part allows; %s. %.0f shards, %.0f parts of the frontier, %.0f stream(s) a log, %s, %.0f fetches at a time a node, %.0f attestor(s).\n\n| limit |",
		d.Name, k.Name, d.Shards, d.Fronts, d.LogStreams, blobsName(d), d.Fetches, d.Attestors)
	var columns [][]scale.Limit
	for _, n := range modelledNodes {
		fmt.Fprintf(b, " %.0f nodes |", n)
		columns = append(columns, m.PageLimits(n))
	}
	limitRows(b, columns)
	b.WriteString("\n" + firstLimits(m) + "\n")
}

// limitRows ends the head of a table and writes a row for each limit; the least of a column is bold.
func limitRows(b *strings.Builder, columns [][]scale.Limit) {
	b.WriteString("\n|---|" + strings.Repeat("--:|", len(columns)) + "\n")
	for i, l := range columns[0] {
		fmt.Fprintf(b, "| %s |", l.Name)
		for _, c := range columns {
			text := count(c[i].Rate)
			if c[i] == scale.Least(c) {
				text = "**" + text + "**"
			}
			fmt.Fprintf(b, " %s |", text)
		}
		b.WriteString("\n")
	}
}

func blobsName(d scale.Design) string {
	if d.BlobStreams == 0 {
		return "blobs in a store of the operator's own"
	}
	return fmt.Sprintf("%.0f stream of blobs", d.BlobStreams)
}

// firstLimits says in words what is full first, from one node to thousands.
func firstLimits(m *scale.Model) string {
	var parts []string
	last := ""
	for n := 3.0; n <= 2000; n++ {
		l := scale.Least(m.PageLimits(n))
		if l.Name != last {
			parts = append(parts, fmt.Sprintf("from %.0f nodes %s (%s pages/s)", n, l.Name, count(l.Rate)))
			last = l.Name
		}
	}
	return "What is full first: " + strings.Join(parts, "; ") + "."
}

func summaryTable(b *strings.Builder, r *clusterResults, kinds []pageKind) {
	b.WriteString("\n### Model: a billion pages\n\n| pages | design | nodes | pages/s | full first | days for 10⁹ | hosts needed | questions/s | CPU ms a question | disk a node, TB | blobs on each node that keeps them, TB | index in memory |\n|---|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, k := range kinds {
		for _, d := range designs() {
			m := &scale.Model{Costs: r.costs(k), Machine: modelMachine, Web: modelWeb, Design: d}
			for _, n := range modelledNodes {
				l, q, c := scale.Least(m.PageLimits(n)), scale.Least(m.QueryLimits(n, modelledPages)), m.Capacity(n, modelledPages)
				blobs := "-"
				if d.BlobStreams > 0 {
					blobs = fmt.Sprintf("%.1f", c.Blobs/1e12)
				}
				fmt.Fprintf(b, "| %s | %s | %.0f | %s | %s | %s | %s | %s | %.1f | %.2f | %s | %.0f %% |\n", k.Name, d.Name, n, count(l.Rate), l.Name,
					count(modelledPages/l.Rate/86400), count(l.Rate*modelWeb.Pause), count(q.Rate), m.QueryCPU(modelledPages)*1000, c.Disk/1e12, blobs, c.Cached*100)
			}
		}
	}
	m := &scale.Model{Costs: r.costs(kinds[len(kinds)-1]), Machine: modelMachine, Web: modelWeb, Design: designs()[0]}
	fmt.Fprintf(b, "\nAs it is, the blobs of %s %s fill the half of the disks of the three nodes that keep them: a cluster with blobs of its own ends there, however many nodes it has.\n",
		count(m.Capacity(1000, modelledPages).BlobsFit), "pages of "+kinds[len(kinds)-1].Name)
}

func nodesTable(b *strings.Builder, c *scale.Costs) {
	b.WriteString("\n### Model: how many nodes\n\nNodes at which what they say of themselves is too much; the design changed has groups of 32 nodes that hear each other.\n\n| limit |")
	var columns [][]scale.Limit
	var loads []float64
	for _, d := range designs() {
		m := &scale.Model{Costs: *c, Machine: modelMachine, Web: modelWeb, Design: d}
		columns, loads = append(columns, m.NodeLimits()), append(loads, m.LeaseLoad())
		fmt.Fprintf(b, " %s |", d.Name)
	}
	limitRows(b, columns)
	b.WriteString("| leases renewed, part of what their store takes |")
	for _, l := range loads {
		fmt.Fprintf(b, " %.1f %% |", l*100)
	}
	fmt.Fprintf(b, "\n\nEvery node is connected with every other: %.0f connections a node at 1,000 nodes, and all of them vote on what streams there are. Neither was tried beyond five nodes.\n", c.Sockets*999)
}

func fanoutTable(b *strings.Builder, c *scale.Costs, plots map[string]string) {
	const hedge = 0.95
	b.WriteString("\n### Simulation: fan-out\n\nA question over 10⁹ documents, seeded; one answer in a hundred is twenty times as late. Hedged: another copy is asked after the shard's own p95. Milliseconds.\n\n" +
		"| shards | median | p99 | median, hedged | p99, hedged | questions to copies for each shard |\n|--:|--:|--:|--:|--:|--:|\n")
	lines := []game.Series{{Name: "p99"}, {Name: "median"}, {Name: "p99, hedged"}, {Name: "median, hedged"}}
	for _, s := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024} {
		plain, hedged := fanout(c, modelledPages/float64(s), 0).Simulate(s), fanout(c, modelledPages/float64(s), hedge).Simulate(s)
		fmt.Fprintf(b, "| %d | %.1f | %.1f | %.1f | %.1f | %.2f |\n", s, plain.Median*1000, plain.P99*1000, hedged.Median*1000, hedged.P99*1000, hedged.Asked)
		for i, v := range []float64{plain.P99, plain.Median, hedged.P99, hedged.Median} {
			lines[i].Points = drawable(lines[i].Points, float64(s), v*1000)
		}
	}
	p := game.Plot{Title: "A question over 10⁹ documents (simulation)", X: "shards", Y: "milliseconds", Series: lines}
	plots["scaling-fanout.svg"] = p.SVG()
	b.WriteString("\n![latency over the number of shards](scaling-fanout.svg)\n")
}

// drawable adds a point, unless axes with logarithms have no place for it.
func drawable(points []game.Point, x, y float64) []game.Point {
	if y <= 0 || math.IsInf(y, 1) || math.IsNaN(y) {
		return points
	}
	return append(points, game.Point{X: x, Y: y})
}

// legends are names of limits that a drawing has room for.
var legends = map[string]string{scale.Partitions: "frontier parts", scale.ShardFolds: "shards", scale.Fetches: "fetches", scale.Captures: "captures log",
	scale.Frontier: "frontier log", scale.Blobs: "blobs"}

// crawlPlot draws each limit, and what is left under all of them.
func crawlPlot(m *scale.Model, k pageKind) string {
	least := game.Series{Name: "the cluster"}
	var limits []game.Series
	for n := 1.0; n <= 2000; n *= math.Sqrt2 {
		all := m.PageLimits(n)
		least.Points = drawable(least.Points, n, scale.Least(all).Rate)
		for i, l := range all {
			if len(limits) <= i {
				limits = append(limits, game.Series{Name: cmp.Or(legends[l.Name], l.Name)})
			}
			limits[i].Points = drawable(limits[i].Points, n, l.Rate)
		}
	}
	limits = slices.DeleteFunc(limits, func(s game.Series) bool { return len(s.Points) == 0 })
	// Those that are high at every size are of no use to anybody, and the drawing has few colours.
	lowest := func(s game.Series) float64 {
		return slices.MinFunc(s.Points, func(a, b game.Point) int { return cmp.Compare(a.Y, b.Y) }).Y
	}
	slices.SortStableFunc(limits, func(x, y game.Series) int { return cmp.Compare(lowest(x), lowest(y)) })
	const shown = 5
	p := game.Plot{Title: fmt.Sprintf("Crawling, %s: %s (model)", m.Design.Name, k.Name), X: "nodes", Y: "pages a second",
		Series: append([]game.Series{least}, limits[:min(shown, len(limits))]...)}
	return p.SVG()
}
