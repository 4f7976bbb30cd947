package web

import (
	"errors"
	"strings"
	"testing"
	"time"

	"concord"
)

// newClusterLibrary is the library on a node that has others beside it.
func newClusterLibrary() *memory {
	m := newLibrary()
	m.cluster = newMemoryCluster(testNow)
	return m
}

func TestClusterPage(t *testing.T) {
	m := newClusterLibrary()
	c := newClient(t, m)
	text := c.get("/cluster", 200)
	holds(t, "cluster", text, "5 nodes, 4 at work, 2 partitions move, 1 partition runs nowhere.", "The disk of node-2 fills within 3 days",
		"Node node-5 is dead: it fell silent 14 minutes ago", "concord cluster remove node-5 --force", "Log frontier has 2 of 3 copies",
		`<strong>shard.2</strong> is at node-4 and moves to node-3: node node-4 is drained`, `<strong>frontier.1</strong> is at node-4 and waits for its turn to move`, `<strong>frontier.3</strong> runs nowhere: node node-5, which ran it, is dead`,
		"node-4 saves shard.2: 41.0 MB of 63.0 MB", `value="41000000" max="63000000"`, "3 parts left: shard.2, frontier.1, copy of captures", "should be 0",
		`<span class="tag">ledger</span>`, `<strong>node-2</strong> 12 behind`, `<strong>node-5</strong> away`, `<strong>node-3</strong> 118 behind`, "1.3 GB",
		`<a class="roomy" href="/cluster" aria-current="page">Cluster</a>`, `<meta http-equiv="refresh"`, "data-poll=")
	if strings.Index(text, ">shard.4<") > strings.Index(text, ">shard.10<") {
		t.Error("shard.10 comes before shard.4")
	}
	lacks(t, "a stranger's view", text, "10.0.0.1", "object store", "Everything is in order")
	status := c.get("/status", 200)
	holds(t, "status", status, `<a href="/cluster">`, "5 nodes, 4 at work", "Node node-5 is dead")
	lacks(t, "status", status, "Everything is in order")
	c.key = testKey
	holds(t, "the owner's view", c.get("/cluster", 200), "10.0.0.1:7668", "object store")
}

// TestClusterStates looks at a node that is alone, waits, grows, hears nobody, and at a cluster that cannot be asked.
func TestClusterStates(t *testing.T) {
	m := newLibrary()
	c := newClient(t, m)
	alone := c.get("/cluster", 200)
	holds(t, "alone", alone, "This node is alone and keeps everything itself.", "/manual/more-machines")
	lacks(t, "alone", alone, "concord cluster token", "Nodes at work", `href="/cluster" aria-current`, "Everything is in order")
	holds(t, "alone", c.get("/status", 200), "Everything is in order", `href="/cluster"`)

	m = newClusterLibrary()
	c = newClient(t, m)
	full := m.cluster.status
	m.cluster.status = ClusterStatus{State: ClusterAlone, Self: "node-1", Hears: true}
	alone = c.get("/cluster", 200)
	holds(t, "alone, and may grow", alone, "concord cluster token", "As node-1 saw it")
	lacks(t, "alone, and may grow", alone, "Nodes at work", "Everything is in order")
	holds(t, "alone, and may grow", c.get("/status", 200), "Everything is in order", `href="/cluster"`)
	m.cluster.status = ClusterStatus{State: ClusterWaiting, Self: "node-1", Needs: 3, Hears: true, Nodes: full.Nodes[:2]}
	holds(t, "waiting", c.get("/cluster", 200), "Waits for more nodes: 2 of 3 are there.", "Everything is in order")
	m.cluster.status = ClusterStatus{State: ClusterGrowing, Self: "node-1", Hears: true, Nodes: full.Nodes[:3], Growing: &ClusterGrowth{Stage: GrowCopy, Stream: "captures",
		Done: 12_000_000, Total: 40_000_000, PartitionsSaved: 5, Partitions: 9, ArchiveCopied: 60_000_000, ArchiveTotal: 214_000_000}}
	holds(t, "growing", c.get("/cluster", 200), "Grows into a cluster of 3 nodes, 3 at work.", "Copying log captures: 12.0 MB of 40.0 MB.", `value="5" max="9"`, `value="60000000" max="214000000"`)
	holds(t, "growing", c.get("/status", 200), "Grows into a cluster of 3 nodes", "Copying log captures")
	full.Hears = false
	m.cluster.status = full
	holds(t, "deaf", c.get("/cluster", 200), "This node does not hear the others")
	m.cluster.fails = concord.Errorf(concord.Unavailable, "the cluster has no leader now")
	holds(t, "no answer", c.get("/cluster", 503), "The cluster has no leader now.")
	holds(t, "no answer", c.get("/status", 200), "Nothing is known of the cluster now: the cluster has no leader now")
	m.cluster.fails = errors.New("open /secret: broken")
	lacks(t, "an internal error", c.get("/status", 200), "/secret")
}

func TestClusterCalls(t *testing.T) {
	m := newClusterLibrary()
	c := apiClient(t, m)
	var st ClusterStatus
	c.json("/api/v1/cluster", 200, &st)
	if len(st.Nodes) != 5 || st.Nodes[0].Addresses != nil || st.Nodes[0].Left == nil || st.Partitions[0].Replicas == nil || len(st.Warnings) != 4 || st.Blobs.Place != "" {
		t.Errorf("a stranger's view: %+v", st)
	}
	writes := []struct{ method, target string }{{"POST", "/api/v1/cluster/tokens"}, {"POST", "/api/v1/cluster/nodes/node-2/drain"},
		{"DELETE", "/api/v1/cluster/nodes/node-2/drain"}, {"DELETE", "/api/v1/cluster/nodes/node-5?force=true"}}
	var p Problem
	for _, w := range writes {
		decode(t, c.do(w.method, w.target, "", nil), 401, &p)
	}
	c.key = testKey
	c.json("/api/v1/cluster", 200, &st)
	if st.Nodes[0].Addresses["cluster"] != "10.0.0.1:7668" || st.Blobs.Place == "" {
		t.Errorf("the owner's view: %+v", st)
	}
	var token ClusterToken
	decode(t, c.do("POST", "/api/v1/cluster/tokens", "", nil), 201, &token)
	if token.Token != "cj1-secret" || token.Join != "10.0.0.1:7668" || m.cluster.spec != (TokenSpec{0, 1}) {
		t.Errorf("token %+v of %+v", token, m.cluster.spec)
	}
	decode(t, c.do("POST", "/api/v1/cluster/tokens", "application/json", strings.NewReader(`{"lifeNanoseconds":7200000000000,"uses":2}`)), 201, &token)
	if m.cluster.spec != (TokenSpec{2 * time.Hour, 2}) {
		t.Errorf("asked for %+v", m.cluster.spec)
	}
	decode(t, c.do("POST", "/api/v1/cluster/tokens", "application/json", strings.NewReader(`{"uses":-1}`)), 422, &p)
	c.want(c.do("POST", "/api/v1/cluster/nodes/node-2/drain", "", nil), 204)
	c.json("/api/v1/cluster", 200, &st)
	if st.Nodes[1].State != NodeDraining {
		t.Errorf("node-2 is %s", st.Nodes[1].State)
	}
	decode(t, c.do("DELETE", "/api/v1/cluster/nodes/node-2", "", nil), 409, &p)
	c.want(c.do("DELETE", "/api/v1/cluster/nodes/node-2/drain", "", nil), 204)
	decode(t, c.do("POST", "/api/v1/cluster/nodes/nobody/drain", "", nil), 404, &p)
	c.want(c.do("DELETE", "/api/v1/cluster/nodes/node-5?force=true", "", nil), 204)
	c.json("/api/v1/cluster", 200, &st)
	if len(st.Nodes) != 4 || !m.cluster.forced {
		t.Errorf("after the removal: %+v", st.Nodes)
	}

	c = apiClient(t, newLibrary()) // a node that cannot be more than one
	c.key = testKey
	c.json("/api/v1/cluster", 200, &st)
	if st.State != ClusterAlone || len(st.Nodes) != 0 || !st.Time.Equal(testNow) {
		t.Errorf("alone: %+v", st)
	}
	for _, w := range writes {
		decode(t, c.do(w.method, w.target, "", nil), 409, &p)
		holds(t, w.target, p.Detail, "this node is alone")
	}
}
