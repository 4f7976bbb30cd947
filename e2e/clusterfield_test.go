//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"concord/e2e/nemesis"
	"concord/web"
)

const (
	clusterPort  = 7668
	clusterDisk  = 2 << 30 // sparse; half of it may be taken by the cluster's blobs
	clusterDelay = time.Second
	clusterLease = 8 * time.Second
	growLimit    = 2 * time.Minute
	// convergeLimit is how long a cluster may take to be whole again after its last fault.
	convergeLimit = 2 * time.Minute
	// checkLimit is how long after a fault what was shown may be out of reach: leases, elections and states loaded anew.
	checkLimit = time.Minute
	pollEvery  = 250 * time.Millisecond
)

// clusterConfig is that of nodes of a cluster on a field. The lease is short, so that faults outlast it; it is longer than an election of the
// message engine. Hosts that come from a node that died rest for twice the longest fault: a kernel that sends a request again waits twice as long
// each time, so that what was under way when a wire was cut is sent no later.
func clusterConfig() string {
	return fmt.Sprintf(`operator: e2e.example
contact: http://127.0.0.1/bot
shards: 4
frontiers: 6
crawl:
  min_delay: %v
  max_delay: 5s
  address_delay: 1ms
  retry_after: [1s, 1s, 2s, 2s, 3s, 3s, 4s, 4s, 5s, 5s, 5s, 5s, 5s, 5s, 5s, 5s]
  backoff_unit: 50ms
  patience: 60s
  handover: %v
  free_space: %d
cluster:
  lease: %v
  save: 5s
`, clusterDelay, 2**clusterLongestFlag, diskFloor, clusterLease)
}

// clusterField is a field whose nodes work as one cluster.
type clusterField struct {
	*field
	probes map[string]*nemesis.Probe // by node
}

// newCluster makes a field and a cluster of its nodes: the first is alone, and the others join it.
func newCluster(t *testing.T, seed uint64, nodes, hosts, pages int) *clusterField {
	t.Helper()
	c := &clusterField{field: newFieldOf(t, seed, nodes, hosts, pages, clusterDisk, clusterConfig())}
	begun := time.Now()
	for _, n := range c.nodes {
		n.args = []string{"--cluster-addr", fmt.Sprintf("%s:%d", n.Addr, clusterPort)}
	}
	first := c.nodes[0]
	if err := first.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := first.Run(t.Context(), binary(t), "cluster", "token", "--uses", fmt.Sprint(nodes-1), "--json", "--data", first.data())
	var token struct{ Token, Join string }
	if err == nil {
		err = json.Unmarshal(out, &token)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := each(c.nodes[1:], func(n *fieldNode) error {
		plain := n.args
		n.args = append([]string{"--join", token.Join, "--token", token.Token}, plain...)
		defer func() { n.args = plain }()
		return n.start(t.Context())
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.converge(t.Context(), growLimit, 0); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d nodes are one cluster after %v", nodes, time.Since(begun).Round(100*time.Millisecond))
	return c
}

// each does something with all nodes at once.
func each(nodes []*fieldNode, do func(*fieldNode) error) error {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = do(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *clusterField) node(name string) *fieldNode {
	for _, n := range c.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// cluster is what the node says of the cluster.
func (n *fieldNode) cluster() (s web.ClusterStatus, err error) {
	return s, n.json("/api/v1/cluster", nil, &s)
}

// problems says what of a cluster of so many nodes is not as it is when nothing is wrong. Copies may be so many messages behind.
func problems(s *web.ClusterStatus, nodes int, lag uint64) (list []string) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	add(s.State != web.ClusterMember, "the node is %s", s.State)
	add(!s.Hears, "it does not hear the others")
	add(len(s.Nodes) != nodes, "%d nodes are known", len(s.Nodes))
	for _, n := range s.Nodes {
		add(n.State != web.NodeLive, "%s is %s", n.Name, n.State)
	}
	add(len(s.Partitions) == 0, "no partition is known")
	for _, p := range s.Partitions {
		add(p.State != web.PartitionOwned, "%s is %s (%s)", p.Name, p.State, p.Why)
		if strings.HasPrefix(p.Name, "shard.") {
			add(len(p.Replicas) < 2, "%s is kept by %v", p.Name, p.Replicas)
		}
		for _, r := range p.Replicas {
			add(r.Lag > lag, "%s of %s is %d messages behind", p.Name, r.Node, r.Lag)
		}
	}
	add(len(s.Logs) == 0, "no log is known")
	for _, l := range s.Logs {
		add(l.Leader == "" || len(l.Copies) != l.Replicas || l.Replicas != 3, "log %s has leader %q and %d of %d copies", l.Name, l.Leader, len(l.Copies), l.Replicas)
		for _, x := range l.Copies {
			add(!x.Online || !x.Current, "the copy of log %s on %s: online %v, current %v, lag %d", l.Name, x.Node, x.Online, x.Current, x.Lag)
		}
	}
	for _, w := range s.Warnings {
		add(true, "warning: %s", w)
	}
	return list
}

// atWork is how many messages copies may be behind while a crawl goes on.
const atWork = 1000

// converge waits until every node sees a cluster in which nothing is wrong, and copies are no further behind than lag messages.
func (c *clusterField) converge(ctx context.Context, limit time.Duration, lag uint64) error {
	return within(ctx, limit, func() error {
		return each(c.nodes, func(n *fieldNode) error {
			s, err := n.cluster()
			if err != nil {
				return err
			}
			if p := problems(&s, len(c.nodes), lag); len(p) > 0 {
				return fmt.Errorf("as %s sees it: %s", n.Name, strings.Join(p, "; "))
			}
			return nil
		})
	})
}

// within tries until it succeeds or the time is up.
func within(ctx context.Context, limit time.Duration, try func() error) error {
	for deadline := time.Now().Add(limit); ; {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v: %w", limit, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// await waits until a crawl is done and searchable and nothing of it is left, as the first node sees it; it gives up when nothing has been
// fetched for as long as limit.
func (c *clusterField) await(id string, limit time.Duration) crawlState {
	c.t.Helper()
	n, moved, fetched := c.nodes[0], time.Now(), int64(0)
	for ; ; time.Sleep(pollEvery) {
		var s crawlState
		err := n.json("/api/v1/crawls/"+id, nil, &s)
		if err == nil && s.Searchable && s.Failed+s.Queued+s.InFlight == 0 {
			return s
		}
		if s.Fetched > fetched {
			moved, fetched = time.Now(), s.Fetched
		}
		if time.Since(moved) > limit {
			hosts, _, _ := n.get("/api/v1/hosts", url.Values{"limit": {"20"}})
			status, _, _ := n.get("/api/v1/cluster", nil)
			c.t.Fatalf("nothing was fetched for %v: %+v, %v\nhosts: %s\ncluster: %s", limit, s, err, hosts, status)
		}
	}
}

// errPartial is the error of a question that fewer than all shards answered.
var errPartial = errors.New("a partial answer")

// ask puts a question to a node.
func (n *fieldNode) ask() error {
	var a struct{ Shards struct{ Asked, Answered int } }
	err := n.json("/api/v1/search", url.Values{"q": {"page"}}, &a)
	if err == nil && (a.Shards.Asked == 0 || a.Shards.Answered < a.Shards.Asked) {
		err = fmt.Errorf("%w: %d of %d shards", errPartial, a.Shards.Answered, a.Shards.Asked)
	}
	return err
}

// probe asks every node all the time, until stop is called.
func (c *clusterField) probe() (stop func()) {
	c.probes = map[string]*nemesis.Probe{}
	for _, n := range c.nodes {
		c.probes[n.Name] = nemesis.NewProbe(200*time.Millisecond, 10*time.Second, func(context.Context) error { return n.ask() })
	}
	return func() {
		for _, p := range c.probes {
			p.Close()
		}
	}
}

// service says how nodes answered in a stretch of time.
func (c *clusterField) service(nodes []string, from, to time.Time) string {
	return c.serviceOf(nodes, from, to).String()
}

func (c *clusterField) serviceOf(nodes []string, from, to time.Time) nemesis.Service {
	var list []*nemesis.Probe
	for _, name := range nodes {
		list = append(list, c.probes[name])
	}
	return nemesis.Between(from, to, list...)
}

// fetchGap is the longest time in a stretch in which the web was asked for nothing.
func (c *clusterField) fetchGap(from, to time.Time) time.Duration {
	times := []time.Time{from, to}
	for _, h := range c.web.Hosts {
		for _, r := range h.Requests() {
			if r.Begin.After(from) && r.Begin.Before(to) {
				times = append(times, r.Begin)
			}
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	var gap time.Duration
	for i := range times[1:] {
		gap = max(gap, times[i+1].Sub(times[i]))
	}
	return gap
}
