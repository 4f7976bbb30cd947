//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"concord/e2e/nemesis"
)

// The defaults are for every day. The whole run takes an hour:
//
//	go test -tags e2e -timeout 3h -run Cluster ./e2e/ -cluster-pages 20000 -cluster-faults 20m -cluster-longest 40s -cluster-each 40s -cluster-cuts 10
//
// With -cluster-nodes 3 all of it is done by three nodes, on a machine that has no room for five.
var (
	clusterNodesFlag   = flag.Int("cluster-nodes", 5, "nodes of the cluster that meets the nemesis")
	clusterPagesFlag   = flag.Int("cluster-pages", 2000, "pages that it crawls")
	clusterFaultsFlag  = flag.Duration("cluster-faults", 100*time.Second, "how long the nemesis goes on")
	clusterLongestFlag = flag.Duration("cluster-longest", 10*time.Second, "how long one fault lasts at most")
	clusterEachFlag    = flag.Duration("cluster-each", 8*time.Second, "how long each fault lasts whose cost is measured")
	clusterKindsFlag   = flag.String("cluster-kinds", "", "those faults, by names with commas between them; empty: the usual ones")
	clusterCutsFlag    = flag.Int("cluster-cuts", 2, "power cuts of all nodes")
)

// fetchLimit is how long nothing may be fetched while a crawl is not done: hosts rest after faults.
const fetchLimit = 3 * time.Minute

// clusterHosts is so many that the crawl is at work for about as long as the faults last.
func clusterHosts(pages int, lasting time.Duration) int {
	return max(20, int(float64(pages)*clusterDelay.Seconds()/(0.7*lasting.Seconds())))
}

// A cluster crawls a web while its nodes are killed, stopped, paused, cut off, split, slowed down, and their disks are filled and their power
// cut. At the end every page is there once on every node, no host was asked by two nodes at once nor too soon, and the archives are whole.
func TestNemesisCluster(t *testing.T) {
	s := seed(t)
	c := newCluster(t, s, *clusterNodesFlag, clusterHosts(*clusterPagesFlag, *clusterFaultsFlag), *clusterPagesFlag)
	var names []string
	for _, n := range c.nodes {
		names = append(names, n.Name)
	}
	plan := nemesis.NewPlan(s, nemesis.PlanConfig{Hosts: names, Length: *clusterFaultsFlag, MinFor: 2 * time.Second, MaxFor: *clusterLongestFlag,
		Gap: 5 * time.Second, Rest: 8 * time.Second, MaxDown: (len(names) - 1) / 2, Weights: map[nemesis.Kind]int{
			nemesis.Kill: 3, nemesis.Stop: 1, nemesis.Pause: 2, nemesis.Power: 2, nemesis.Isolate: 1, nemesis.Deaf: 1, nemesis.Mute: 1, nemesis.Split: 1,
			nemesis.Apart: 1, nemesis.Slow: 1, nemesis.LowDisk: 1, nemesis.FullDisk: 1}})
	t.Log(plan)
	id := c.nodes[0].crawl()
	stop := c.probe()
	run := newClusterRun(c, plan)
	began := time.Now()
	err := plan.Run(t.Context(), run.field())
	t.Logf("queries to all nodes, those with a fault as well: %s", c.service(names, began, time.Now()))
	if err != nil {
		stop()
		t.Fatal(err)
	}
	start := time.Now()
	state := c.await(id, fetchLimit)
	stop()
	t.Logf("%d faults; %v after the last the crawl is done: %+v", len(plan.Faults), time.Since(start).Round(time.Second), state)
	asked, err := run.shown.check(c.nodes[0], len(run.shown.seen))
	if err != nil {
		t.Error(err)
	}
	t.Logf("all %d captures that were shown are there", asked)
	c.verify(clusterDelay)
}

// clusterRun is a plan that a cluster goes through.
type clusterRun struct {
	*clusterField
	plan   nemesis.Plan
	shown  *promises
	lasted map[time.Duration]*span // from when to when a fault of the plan really lasted, by when it should begin
	// single says that one node at most has a fault at a time: all shards can be found, always.
	single bool
}

// span is from when to when a fault lasted; over is zero while it does. One whose nodes have to start is over when they serve.
type span struct{ begun, over time.Time }

func newClusterRun(c *clusterField, plan nemesis.Plan) *clusterRun {
	return &clusterRun{c, plan, &promises{seen: map[string]string{}}, map[time.Duration]*span{}, false}
}

func (r *clusterRun) field() nemesis.Field {
	return nemesis.Field{Net: r.net, LowDisk: diskFloor * 3 / 4,
		Start:  func(ctx context.Context, h *nemesis.Host) error { return r.start(ctx, r.node(h.Name)) },
		Settle: func(ctx context.Context, h *nemesis.Host) error { return r.node(h.Name).settle(ctx) },
		Begun:  func(f nemesis.Fault) { r.lasted[f.At] = &span{begun: time.Now()} },
		Check:  r.check,
		Log:    func(line string) { r.t.Log(line) },
	}
}

// start starts a node again. Once it says that it serves, it must answer.
func (r *clusterRun) start(ctx context.Context, n *fieldNode) error {
	err := n.start(ctx)
	if err == nil && r.single {
		if err := n.ask(); err != nil {
			r.t.Errorf("%s says that it is ready: %v", n.Name, err)
		}
	}
	return err
}

// check looks, after a fault, whether what was shown is there on the nodes that had it and on one that had not, and says how the others
// answered meanwhile. While more faults last than a cluster has to bear, what was shown may be out of reach: then it is for the next check, the last one
// being of all.
func (r *clusterRun) check(ctx context.Context, f nemesis.Fault) (string, error) {
	begun, over := r.lasted[f.At].begun, time.Now()
	r.lasted[f.At].over = over
	well, limit := r.well(f), checkLimit
	others := r.lasting()
	if len(others) > 0 {
		limit = checkLimit / 6
	}
	ask := []string{f.Hosts[0]}
	if len(well) > 0 {
		ask = append(ask, well[rand.IntN(len(well))])
	}
	asked := 0
	for _, name := range ask {
		err := within(ctx, limit, func() (err error) {
			n := r.node(name)
			if asked, err = r.shown.check(n, promisesChecked); err == nil {
				err = r.shown.collect(n)
			}
			return err
		})
		if err != nil && len(others) > 0 && ctx.Err() == nil {
			return fmt.Sprintf("PUT OFF, since faults of %s last: on %s: %v", strings.Join(others, " "), name, err), nil
		}
		if err != nil {
			return "", fmt.Errorf("on %s: %w", name, err)
		}
	}
	text := fmt.Sprintf("%d of the captures shown so far on %s, %v after its end; web unasked for %v at most", asked, strings.Join(ask, " and "),
		time.Since(over).Round(time.Millisecond), r.fetchGap(begun, time.Now()).Round(10*time.Millisecond))
	if len(well) > 0 {
		text += fmt.Sprintf("; queries to %s: %s", strings.Join(well, " "), r.service(well, begun, over))
	}
	return text, nil
}

// well returns the nodes that had no fault while this one lasted, nor a moment before.
func (r *clusterRun) well(f nemesis.Fault) []string {
	list, end := slices.Clone(r.plan.Hosts), r.lasted[f.At].over
	if end.IsZero() {
		end = time.Now()
	}
	for _, o := range r.plan.Faults {
		if s := r.lasted[o.At]; s != nil && s.begun.Before(end) && (s.over.IsZero() || s.over.Add(10*time.Second).After(r.lasted[f.At].begun)) {
			list = slices.DeleteFunc(list, func(h string) bool { return slices.Contains(o.Hosts, h) })
		}
	}
	return list
}

// lasting returns the nodes that have a fault now.
func (r *clusterRun) lasting() (list []string) {
	for _, o := range r.plan.Faults {
		if s := r.lasted[o.At]; s != nil && s.over.IsZero() {
			list = append(list, o.Hosts...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Questions go on while one node has a fault, whichever; what it costs them, and the crawl, is measured. The node is the one whose loss costs
// most: it leads the captures log.
func TestClusterAvailability(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes five minutes; what a fault costs was not measured: run it without -short")
	}
	each := *clusterEachFlag
	kinds := []nemesis.Kind{nemesis.Kill, nemesis.Stop, nemesis.Pause, nemesis.Isolate, nemesis.Slow, nemesis.LowDisk, nemesis.FullDisk}
	if each > 30*time.Second { // the whole run
		kinds = append(kinds, nemesis.Deaf, nemesis.Mute, nemesis.Power)
	}
	if *clusterKindsFlag != "" {
		kinds = nil
		for _, k := range strings.Split(*clusterKindsFlag, ",") {
			if !slices.Contains(nemesis.Kinds, nemesis.Kind(k)) {
				t.Fatalf("-cluster-kinds: there is no fault %q, only %q", k, nemesis.Kinds)
			}
			kinds = append(kinds, nemesis.Kind(k))
		}
	}
	s := seed(t)
	c := newCluster(t, s, 3, 30, 300*30)
	_ = c.nodes[0].crawl()
	time.Sleep(each) // something to find
	stop := c.probe()
	defer stop()
	for _, kind := range kinds {
		over := time.Now()
		if err := c.converge(t.Context(), convergeLimit, atWork); err != nil {
			t.Fatalf("before %s: %v", kind, err)
		}
		whole := time.Since(over)
		victim, err := c.leader("captures")
		if err != nil {
			t.Fatal(err)
		}
		calm := time.Now()
		time.Sleep(each / 2)
		f := nemesis.Fault{Kind: kind, Hosts: []string{victim}, For: each}
		if kind == nemesis.Slow {
			f.Link = nemesis.Link{Delay: 80 * time.Millisecond, Jitter: 20 * time.Millisecond, Rate: 500_000}
		}
		plan := nemesis.Plan{Seed: s, Faults: []nemesis.Fault{f}}
		for _, n := range c.nodes {
			plan.Hosts = append(plan.Hosts, n.Name)
		}
		run := newClusterRun(c, plan)
		run.single = true
		begun := time.Now()
		if err := plan.Run(t.Context(), run.field()); err != nil {
			t.Fatal(err)
		}
		t.Logf("  before it: %s; it was whole again after %v", c.service(run.well(f), calm, begun), whole.Round(time.Millisecond))
		c.bounds(run, f, begun)
	}
}

const (
	// fewFail and slowest are generous bounds of what one node's fault may cost the questions to others, on a machine with much else to do.
	fewFail, slowest = 0.05, 10 * time.Second
	// standstill is that of fetching when a node is killed that led the logs: an election, a lease and the states of partitions.
	standstill = 30 * time.Second
)

// bounds fails the test if a fault has cost much more than it may.
func (c *clusterField) bounds(run *clusterRun, f nemesis.Fault, begun time.Time) {
	c.t.Helper()
	s := c.serviceOf(run.well(f), begun, time.Now())
	if s.Asked == 0 || float64(s.Failed) > fewFail*float64(s.Asked) || s.P99 > slowest {
		c.t.Errorf("%s: %v", f.Kind, s)
	}
	if gap := c.fetchGap(begun, time.Now()); f.Kind == nemesis.Kill && gap > standstill {
		c.t.Errorf("%s: nothing was fetched for %v", f.Kind, gap)
	}
}

// leader returns the node that leads a log.
func (c *clusterField) leader(log string) (string, error) {
	s, err := c.nodes[0].cluster()
	if err != nil {
		return "", err
	}
	for _, l := range s.Logs {
		if strings.EqualFold(l.Name, log) && l.Leader != "" {
			return l.Leader, nil
		}
	}
	return "", errors.New("nobody leads the log " + log)
}

// The power of all nodes goes at one moment, again and again, while they crawl. What was acknowledged is there afterwards.
func TestPowerCutOfCluster(t *testing.T) {
	s := seed(t)
	rng := rand.New(rand.NewPCG(s, 12))
	c := newCluster(t, s, 3, 20, 800)
	id := c.nodes[0].crawl()
	shown := &promises{seen: map[string]string{}}
	var hosts []*nemesis.Host
	for _, n := range c.nodes {
		hosts = append(hosts, n.Host)
	}
	for cut := range *clusterCutsFlag {
		after := time.Duration(5000+rng.IntN(8000)) * time.Millisecond
		time.Sleep(after)
		if err := within(t.Context(), checkLimit, func() error { return shown.collect(c.nodes[cut%len(c.nodes)]) }); err != nil {
			t.Fatal(err)
		}
		if err := nemesis.PowerCut(hosts...); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := each(c.nodes, func(n *fieldNode) error { return n.start(t.Context()) }); err != nil {
			t.Fatalf("cut %d, %v after the start: %v", cut+1, after, err)
		}
		ready, asked := time.Since(start), 0
		if err := within(t.Context(), checkLimit, func() (err error) {
			asked, err = shown.check(c.nodes[(cut+1)%len(c.nodes)], len(shown.seen))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		t.Logf("cut %d: all nodes ready again after %v, all %d captures that were shown are there after %v", cut+1, ready.Round(time.Millisecond), asked,
			time.Since(start).Round(time.Millisecond))
	}
	state := c.await(id, fetchLimit)
	t.Logf("%+v", state)
	c.verify(clusterDelay)
}
