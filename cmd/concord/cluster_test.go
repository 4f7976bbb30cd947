package main

import (
	"context"
	"flag"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"concord"
	"concord/node"
	"concord/web"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestClusterScripts runs testdata/cluster/*.txtar: the real command and the real API over a socket, on a cluster in memory. Beside the
// commands of TestScripts there is
//
//	cluster STATE   serve a node on $D whose cluster is "full", "waiting", "growing" or "alone"
func TestClusterScripts(t *testing.T) {
	t.Setenv("TZ", "UTC")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/cluster", UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			data := t.TempDir()
			env.Setenv("D", data)
			env.Setenv("CONCORD_DATA", data)
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "cluster": serveCluster},
	})
}

var update = flag.Bool("update", false, "write what the commands print now into the scripts")

// noon is when the clusters of the scripts are looked at.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func serveCluster(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cluster full|waiting|growing|alone")
	}
	c := &memoryCluster{status: web.ClusterStatus{State: web.ClusterAlone, Self: "node-1", Hears: true}}
	switch args[0] {
	case "full":
		c = fullCluster()
	case "waiting":
		c.status = web.ClusterStatus{State: web.ClusterWaiting, Self: "node-1", Needs: 3, Hears: true, Nodes: fullCluster().status.Nodes[:2]}
	case "growing":
		c.status = web.ClusterStatus{State: web.ClusterGrowing, Self: "node-1", Hears: true, Nodes: fullCluster().status.Nodes[:3],
			Growing: &web.ClusterGrowth{Stage: web.GrowCopy, Stream: "captures", Done: 12e6, Total: 40e6, PartitionsSaved: 5, Partitions: 9, ArchiveCopied: 60e6, ArchiveTotal: 214e6}}
	}
	s, err := web.New(web.Config{Cluster: c, Searcher: struct{ concord.Searcher }{}, Crawls: noCrawls{}, Pages: struct{ web.Pages }{}, Archive: struct{ web.Archive }{},
		Receipts: struct{ web.Receipts }{}, Ledger: struct{ web.Ledger }{}, Transfer: struct{ web.Transfer }{}, Metrics: prometheus.NewRegistry(),
		Status: func(context.Context) (web.Status, error) {
			return web.Status{Node: "node-1", Operator: "cli.example", Started: noon}, nil
		},
		Ready: func(context.Context) error { return nil }, APIKey: "a-key-for-tests-0123456789", Operator: "cli.example", Addr: "127.0.0.1:7667", Now: func() time.Time { return noon }})
	ts.Check(err)
	l, err := net.Listen("unix", filepath.Join(ts.Getenv("D"), node.SocketName))
	ts.Check(err)
	srv := s.HTTPServer(s.SocketHandler())
	go func() { _ = srv.Serve(l) }() // ends with the script
	ts.Defer(func() { _ = srv.Close() })
}

// noCrawls are the crawls of a node that has none.
type noCrawls struct{ crawls }

type crawls = web.Crawls // under a name that is not its method's

func (noCrawls) Crawls(context.Context) ([]concord.Crawl, error) { return nil, nil }

// memoryCluster hands one part over each time it is looked at.
type memoryCluster struct {
	mu     sync.Mutex
	status web.ClusterStatus
}

func fullCluster() *memoryCluster {
	node := func(name string, owns, assigned int) web.ClusterNode {
		return web.ClusterNode{Name: name, State: web.NodeLive, Version: "0.1.0", Capacity: 100, Started: noon.Add(-time.Hour), LastSeen: noon.Add(-2 * time.Second),
			DiskFree: 78e9, DiskTotal: 250e9, Owns: owns, Assigned: assigned}
	}
	st := web.ClusterStatus{State: web.ClusterMember, Self: "node-1", Hears: true, Moving: 1, Unowned: 1,
		Nodes: []web.ClusterNode{node("node-1", 1, 1), node("node-2", 0, 1), node("node-3", 1, 0), node("node-5", 0, 0)}, Blobs: web.ClusterBlobs{Place: "s3://pages", Bytes: 1_284_000_000}}
	st.Nodes[0].Ledger = true
	st.Nodes[3].State, st.Nodes[3].LastSeen, st.Nodes[3].Left = web.NodeDead, noon.Add(-14*time.Minute), []string{"frontier.0"}
	st.Partitions = []web.ClusterPartition{
		{Name: "attestor", State: web.PartitionOwned, Owner: "node-1", Assigned: "node-1"},
		{Name: "shard.10", State: web.PartitionMoving, Owner: "node-3", Assigned: "node-2", Why: "to node-2: node node-3 is drained",
			Replicas: []web.ClusterReplica{{Node: "node-3", Position: 90}, {Node: "node-1", Position: 78, Lag: 12}}},
		{Name: "frontier.0", State: web.PartitionUnowned, Assigned: "node-1", Why: "node node-5, which ran it, is dead"}}
	up := web.ClusterLogCopy{Online: true, Current: true}
	at := func(name string, c web.ClusterLogCopy) web.ClusterLogCopy { c.Node = name; return c }
	st.Logs = []web.ClusterLog{{Name: "captures", Messages: 48231, Bytes: 812e6, Replicas: 3, Leader: "node-2",
		Copies: []web.ClusterLogCopy{at("node-1", up), at("node-2", up), at("node-5", web.ClusterLogCopy{Lag: 9})}}}
	st.Transfers = []web.ClusterTransfer{{Node: "node-3", Partition: "shard.10", Kind: web.TransferSave, Done: 41e6, Total: 63e6}}
	return &memoryCluster{status: st}
}

func (c *memoryCluster) Status(context.Context) (web.ClusterStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.status
	st.Nodes = slices.Clone(st.Nodes)
	for i := range c.status.Nodes {
		n := &c.status.Nodes[i]
		if n.State != web.NodeDraining {
			continue
		}
		if len(n.Left) == 0 {
			n.State = web.NodeDrained
		} else {
			n.Left = n.Left[1:]
		}
	}
	return st, nil
}

func (c *memoryCluster) Token(_ context.Context, life time.Duration, _ int) (web.ClusterToken, error) {
	if life > 30*24*time.Hour {
		return web.ClusterToken{}, concord.Errorf(concord.Invalid, "a token is valid for 1 s to 720h0m0s and for 1 to 1000 machines")
	}
	at := "127.0.0.1:7668"
	if c.status.State == web.ClusterMember {
		at = "10.0.0.1:7668"
	}
	return web.ClusterToken{Token: "cj1-c2VjcmV0", Join: at, Expires: noon.Add(life)}, nil
}

func (c *memoryCluster) find(name string) (*web.ClusterNode, error) {
	for i := range c.status.Nodes {
		if c.status.Nodes[i].Name == name {
			return &c.status.Nodes[i], nil
		}
	}
	return nil, concord.Errorf(concord.NotFound, "no node %s in this cluster; concord cluster status lists them", name)
}

func (c *memoryCluster) Drain(_ context.Context, name string, undo bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.find(name)
	switch {
	case err != nil:
		return err
	case undo:
		n.State, n.Left = web.NodeLive, nil
	case n.State == web.NodeLive:
		n.State, n.Left = web.NodeDraining, []string{"shard.10", "frontier.1", "frontier.2", "copy of captures"}
	}
	return nil
}

func (c *memoryCluster) Remove(_ context.Context, name string, force bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.find(name)
	switch {
	case err != nil:
		return err
	case n.State == web.NodeLive:
		return concord.Errorf(concord.Conflict, "node %s is at work: drain it first (concord cluster drain %s)", name, name)
	case n.State == web.NodeDead && !force:
		return concord.Errorf(concord.Conflict, "node %s does not answer and was not drained: start it and drain it, or use force to give up what only that machine has", name)
	}
	c.status.Nodes = slices.DeleteFunc(c.status.Nodes, func(n web.ClusterNode) bool { return n.Name == name })
	return nil
}
