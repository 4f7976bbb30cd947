package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"concord/bench/game"
)

// clusterResults is everything that `bench -cluster` measures.
type clusterResults struct {
	Machine machine          `json:"machine"`
	Setups  []clusterRun     `json:"setups,omitempty"`
	Engine  *engineResult    `json:"engine,omitempty"`
	Parts   []partsResult    `json:"parts,omitempty"`
	Ran     map[string]stamp `json:"ran"`
}

// clusterRun is one crawl and its questions, on some nodes.
type clusterRun struct {
	Name   string `json:"name"`
	Nodes  int    `json:"nodes"`
	Shards int    `json:"shards"`

	Idle      []float64    `json:"idle"`    // processors each node uses at rest
	Sockets   []int        `json:"sockets"` // open on each node at rest
	Pages     int          `json:"pages"`
	Bytes     int64        `json:"bytes"` // payload
	Seconds   float64      `json:"seconds"`
	PerSecond float64      `json:"pagesPerSecond"`
	CPU       []float64    `json:"cpuMillisecondsPerPage"` // of each node, its rest included
	Work      float64      `json:"workMillisecondsPerPage"`
	Written   []float64    `json:"writtenBytesPerPage"` // of each node, to disk
	RSS       []int64      `json:"residentBytes"`       // of each node in the end
	Disk      []diskUsePer `json:"diskBytesPerPage"`
	Others    float64      `json:"othersProcessors"` // processors that everything else on the machine took, the web included
	Missing   int          `json:"notAsked"`         // pages of the web that were not asked for
	Repeats   int          `json:"repeats"`
	Overlaps  int          `json:"overlaps"`

	Frontier float64 `json:"frontierMessagesPerPage"`
	Capture  float64 `json:"captureBytesPerMessage"`

	Page    quantiles    `json:"pageMilliseconds"` // of one host asked as fast as it may be: from an answer to its next request
	Queries *queryResult `json:"queries,omitempty"`
}

// diskUsePer is the bytes a page of one node's data directory, by its parts.
type diskUsePer map[string]float64

// clusterSetup says what to start.
type clusterSetup struct {
	name   string
	nodes  int
	copies int  // of each shard; 0: the default
	shards int  // 0: the default
	crawl  bool // crawl at full size; else as much as the questions need
	dir    bool // blobs in a directory that all nodes see
	small  bool // part of the quick variant
}

// defaultCopies is how many nodes each shard is searchable on when nothing else is configured.
const defaultCopies = 2

// clusterSetups are measured one after the other. Each differs from another in one thing, so that the difference is what that thing
// costs. Two nodes are missing: with engines of their own they wait for the third.
var clusterSetups = []clusterSetup{
	{name: oneNode, nodes: 1, crawl: true, small: true},
	{name: oneMoreShards, nodes: 1, shards: 16},
	{name: threeNodes, nodes: 3, crawl: true},
	{name: threeDirectory, nodes: 3, crawl: true, dir: true},
	{name: threeAll, nodes: 3, copies: 3, crawl: true, small: true},
	{name: fiveNodes, nodes: 5, crawl: true},
	{name: fiveOne, nodes: 5, copies: 1, crawl: true},
}

// Names of setups.
const (
	oneNode        = "1 node"
	oneMoreShards  = "1 node, 16 shards"
	threeNodes     = "3 nodes"
	threeDirectory = "3 nodes, blobs in a directory"
	threeAll       = "3 nodes, every shard everywhere"
	fiveNodes      = "5 nodes"
	fiveOne        = "5 nodes, one copy of each shard"
)

// env is the setup as settings.
func (s *clusterSetup) env() (env []string) {
	if s.copies > 0 {
		env = append(env, fmt.Sprintf("CONCORD_CLUSTER__REPLICAS=%d", s.copies))
	}
	if s.shards > 0 {
		env = append(env, fmt.Sprintf("CONCORD_SHARDS=%d", s.shards))
	}
	return env
}

// modelOnly is the part that measures nothing: the report is written anew from the numbers of the last run.
const modelOnly = "model"

// clusterParts are what `bench -cluster` measures, in this order.
var clusterParts = []string{"nodes", "engine", "parts"}

// runCluster measures, and writes the report with the model's tables and plots.
func runCluster(ctx context.Context, c config) error {
	c.doc, c.raw = "docs/SCALING.md", "docs/scaling.json"
	if c.small {
		c.raw = filepath.Join(c.work, "scaling-small.json")
	}
	res := &clusterResults{Ran: map[string]stamp{}}
	if err := loadJSON(c.raw, res); err != nil {
		return err
	}
	res.Machine = thisMachine(c)
	var failed error
	for _, p := range clusterParts {
		if !slices.Contains(c.only, p) {
			continue
		}
		now := begin(p)
		if err := measureCluster(ctx, c, p, res); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p, err))
		}
		res.Ran[p] = now
		if err := saveJSON(c.raw, res); err != nil {
			return err
		}
	}
	if c.small {
		c.doc = filepath.Join(c.work, "SCALING.md")
		if err := os.WriteFile(c.doc, []byte(scalingBegin+"\n"+tablesEnd+"\n"), 0o644); err != nil {
			return err
		}
	}
	return errors.Join(failed, writeScaling(c.doc, res))
}

func measureCluster(ctx context.Context, c config, part string, res *clusterResults) (err error) {
	switch part {
	case "nodes":
		res.Setups = nil
		for _, s := range clusterSetups {
			if c.small && !s.small {
				continue
			}
			if r, setupErr := runSetup(ctx, c, s); setupErr == nil {
				res.Setups = append(res.Setups, *r)
			} else { // the others are worth having all the same
				logf("%s: %v", s.name, setupErr)
				err = errors.Join(err, fmt.Errorf("%s: %w", s.name, setupErr))
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	case "engine":
		res.Engine, err = measureEngine(ctx, c)
	case "parts":
		res.Parts, err = measureParts(ctx, c)
	}
	return err
}

// sizes of a run.
type clusterSizes struct {
	web, fewer, single webSpec
	queries            int
	idle               time.Duration
}

func sizesOf(c config) clusterSizes {
	// The single host lies on addresses of its own: where the first web was, its pages would be known.
	s := clusterSizes{web: webSpec{Hosts: 60, Pages: 100}, fewer: webSpec{Hosts: 60, Pages: 25}, single: webSpec{Hosts: 1, Pages: 300, Subnet: 94}, queries: 2000, idle: 15 * time.Second}
	if c.small {
		s.web, s.fewer, s.single.Pages, s.queries, s.idle = webSpec{Hosts: 30, Pages: 20}, webSpec{Hosts: 20, Pages: 10}, 40, 200, 4*time.Second
	}
	return s
}

// runSetup measures one setup.
func runSetup(ctx context.Context, c config, s clusterSetup) (r *clusterRun, err error) {
	z := sizesOf(c)
	env := s.env()
	if s.dir {
		dir, err := os.MkdirTemp(c.work, "blobs-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		env = append(env, "CONCORD_BLOBS=file://"+dir)
	}
	began := time.Now()
	l, err := startNodes(ctx, c, s.nodes, cmp.Or(s.copies, defaultCopies), env)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.tellWhy()
		}
		l.end()
	}()
	logf("%s: at work after %.1f s", s.name, time.Since(began).Seconds())
	r = &clusterRun{Name: s.name, Nodes: s.nodes}
	if err := r.rest(ctx, l, z.idle); err != nil {
		return nil, err
	}
	spec := z.fewer
	if s.crawl {
		spec = z.web
	}
	if err := r.crawl(ctx, l, spec); err != nil {
		return nil, err
	}
	if s.crawl {
		if err := r.oneHost(ctx, l, z.single); err != nil {
			return nil, err
		}
	}
	if r.Queries, err = measureQueries(ctx, l, z.queries, sum(r.Idle)); err != nil {
		return nil, err
	}
	r.Shards = r.Queries.Shards
	q := r.Queries
	logf("%-33s %5.0f pages/s, work %5.2f ms/page (rest %.3f processors), page %.1f ms; query %.2f ms (p99 %.2f), %.2f ms CPU, %.0f/s; %d of %d shards here, %d partial",
		s.name, r.PerSecond, r.Work, sum(r.Idle), r.Page.Median, q.Latency.Median, q.Latency.P99, q.CPU, q.PerSecond, q.Here, q.Shards, q.Partial)
	return r, nil
}

// rest measures what the nodes use while nobody asks anything of them.
func (r *clusterRun) rest(ctx context.Context, l nodes, d time.Duration) error {
	before, err := l.use()
	if err != nil {
		return err
	}
	if err := pause(ctx, d); err != nil {
		return err
	}
	after, err := l.use()
	if err != nil {
		return err
	}
	for i := range after {
		r.Idle = append(r.Idle, (after[i].CPU-before[i].CPU).Seconds()/d.Seconds())
		r.Sockets = append(r.Sockets, after[i].Sockets)
	}
	return nil
}

// crawl crawls a web from start to the last receipt.
func (r *clusterRun) crawl(ctx context.Context, l nodes, spec webSpec) error {
	w, err := startWeb(spec)
	if err != nil {
		return err
	}
	defer w.close()
	before, err := l.use()
	if err != nil {
		return err
	}
	began, busy := time.Now(), game.BusyTime()
	id, err := l[0].start(w.seeds)
	if err != nil {
		return err
	}
	s, _, _, err := l[0].await(ctx, id, func(s crawlState) error { return r.lookAtLogs(l[0], s) })
	if err != nil {
		return err
	}
	wall := time.Since(began).Seconds()
	after, err := l.use()
	if err != nil {
		return err
	}
	seen, err := w.seen()
	if err != nil {
		return err
	}
	r.Pages, r.Bytes, r.Seconds = len(seen.Pages), s.Bytes, seen.Last.Sub(seen.First).Seconds()
	r.PerSecond = float64(r.Pages) / r.Seconds
	r.Missing, r.Repeats, r.Overlaps = spec.Hosts*(spec.Pages-1)-r.Pages, seen.Repeats, seen.Overlaps
	pages := float64(max(r.Pages, 1))
	used := cpuBetween(before, after)
	r.Work = max(used-sum(r.Idle)*wall, 0) * 1000 / pages
	r.Others = max((game.BusyTime()-busy).Seconds()-used, 0) / wall
	for i, n := range l {
		r.CPU = append(r.CPU, (after[i].CPU-before[i].CPU).Seconds()*1000/pages)
		r.Written = append(r.Written, float64(after[i].Written-before[i].Written)/pages)
		r.RSS = append(r.RSS, after[i].RSS)
		per := diskUsePer{}
		for part, bytes := range diskUse(n.dir) {
			per[part] = float64(bytes) / pages
		}
		r.Disk = append(r.Disk, per)
	}
	return nil
}

// lookAtLogs notes how many messages a page makes, before they are trimmed.
func (r *clusterRun) lookAtLogs(n *process, s crawlState) error {
	const enough = 100 // pages, from where the ratio means something
	if r.Nodes == 1 || s.Fetched < enough {
		return nil
	}
	st, err := n.status()
	if err != nil {
		return err
	}
	for _, log := range st.Logs {
		switch {
		case strings.EqualFold(log.Name, "frontier"):
			r.Frontier = max(r.Frontier, float64(log.Messages)/float64(s.Fetched))
		case strings.EqualFold(log.Name, "captures") && log.Messages > 0:
			r.Capture = float64(log.Bytes) / float64(log.Messages)
		}
	}
	return nil
}

// oneHost crawls a single host: it is asked for its next page when the last one is on record, so each wait is what one page costs
// in time when nothing is shared with others.
func (r *clusterRun) oneHost(ctx context.Context, l nodes, spec webSpec) error {
	w, err := startWeb(spec)
	if err != nil {
		return err
	}
	defer w.close()
	id, err := l[0].start(w.seeds)
	if err != nil {
		return err
	}
	if _, _, _, err := l[0].await(ctx, id, nil); err != nil {
		return err
	}
	seen, err := w.seen()
	r.Page = quantilesOf(seen.Waits)
	return err
}

func sum(list []float64) (s float64) {
	for _, v := range list {
		s += v
	}
	return s
}
