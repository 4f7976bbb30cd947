//go:build e2e

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"concord/web"
)

// The tests of a cluster run its nodes in processes of their own, on loopback: this test program started with memberVar is one.
const memberVar = "CONCORD_TEST_MEMBER"

func init() {
	children[memberVar] = member
	tagged = true
}

// long skips a test of minutes in the shorter run.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: it takes minutes; run it without -short")
	}
}

// memberSpec says what a node of a cluster is started with.
type memberSpec struct {
	Dir, Name, HTTP, Cluster, Join, Token string
	Scrub                                 time.Duration
}

func member(spec string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var m memberSpec
	if err := json.Unmarshal([]byte(spec), &m); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		return 1
	}
	if err := Serve(ctx, m.config(), func(addr string) { fmt.Println("ready http://" + addr) }); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		return 1
	}
	return 0
}

func (m memberSpec) config() Config {
	cfg := testConfig(m.Dir)
	cfg.Node, cfg.HTTP, cfg.Cluster.Addr, cfg.Join, cfg.Token = m.Name, m.HTTP, m.Cluster, m.Join, m.Token
	cfg.Shards, cfg.Frontiers = 3, 3
	cfg.Cluster.Lease, cfg.Cluster.Save, cfg.Cluster.BlobSpace = 3*time.Second, time.Second, 1<<30
	cfg.Cluster.Scrub = m.Scrub
	cfg.Crawl.Handover = 500 * time.Millisecond
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	return cfg
}

// testCluster is some nodes on this machine. Nodes are called n1, n2, …
type testCluster struct {
	t     *testing.T
	specs []memberSpec
	nodes []*process // nil: it does not run
}

// newCluster starts n nodes that become a cluster, and returns when all are members and every partition runs.
func newCluster(t *testing.T, n int) *testCluster {
	t.Helper()
	return newClusterWith(t, n, func(*memberSpec) {})
}

func newClusterWith(t *testing.T, n int, change func(*memberSpec)) *testCluster {
	t.Helper()
	c := &testCluster{t: t}
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		c.specs = append(c.specs, memberSpec{Dir: shortDir(t), Name: name, HTTP: freePorts(t, 1), Cluster: freePorts(t, 2)})
		change(&c.specs[i])
		c.nodes = append(c.nodes, nil)
	}
	c.start(0)
	c.await("the first node serves", func() bool { _, status := c.nodes[0].get("/healthz", nil); return status == http.StatusOK })
	c.gather()
	return c
}

// gather lets all nodes but the first join it.
func (c *testCluster) gather() {
	c.t.Helper()
	var token struct{ Token string }
	if err := json.Unmarshal(c.nodes[0].post("/api/v1/cluster/tokens", `{"uses":`+strconv.Itoa(len(c.specs))+`}`), &token); err != nil {
		c.t.Fatal(err)
	}
	for i := 1; i < len(c.specs); i++ {
		c.specs[i].Join, c.specs[i].Token = c.specs[0].Cluster, token.Token
		c.start(i)
	}
	c.settled()
}

// start starts a node and does not wait.
func (c *testCluster) start(i int) *process {
	c.t.Helper()
	spec, err := json.Marshal(c.specs[i])
	if err != nil {
		c.t.Fatal(err)
	}
	p := &process{t: c.t, dir: c.specs[i].Dir, addr: "http://" + c.specs[i].HTTP, ended: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), memberVar+"="+string(spec))
	p.cmd.Stderr = p
	if err := p.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(p.end)
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	c.nodes[i] = p
	return p
}

// runs says that the process has not ended.
func (p *process) runs() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

const clusterPatience = 90 * time.Second

// await polls until ok. A node that ended meanwhile ends the test.
func (c *testCluster) await(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(clusterPatience); !ok(); time.Sleep(100 * time.Millisecond) {
		for i, p := range c.nodes {
			if p != nil && !p.runs() {
				c.t.Fatalf("%s: node %d has ended:\n%s", what, i+1, tail(p.says()))
			}
		}
		if time.Now().After(deadline) {
			for i, p := range c.nodes {
				if p != nil {
					b, _ := p.get("/api/v1/cluster", nil)
					c.t.Logf("node %d: %s\n%s", i+1, b, tail(p.says()))
				}
			}
			c.t.Fatalf("not after %v: %s", clusterPatience, what)
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

func (p *process) cluster() (st web.ClusterStatus, ok bool) {
	b, status := p.get("/api/v1/cluster", nil)
	return st, status == http.StatusOK && json.Unmarshal(b, &st) == nil
}

// settled waits until every node that runs is a member, and each partition runs where it should and every shard is answered for.
func (c *testCluster) settled() {
	c.t.Helper()
	c.await("the cluster settles", func() bool {
		for _, p := range c.nodes {
			if p == nil {
				continue
			}
			st, ok := p.cluster()
			if !ok || st.State != web.ClusterMember || st.Moving+st.Unowned > 0 || len(st.Partitions) == 0 {
				return false
			}
			for _, part := range st.Partitions {
				if part.State != "owned" || part.Owner != part.Assigned || strings.HasPrefix(part.Name, shardPrefix) && len(part.Replicas) < 2 {
					return false
				}
			}
		}
		return true
	})
}

// post makes a writing call over the socket of the node.
func (p *process) post(path, body string) []byte {
	p.t.Helper()
	b, status, err := p.send(path, strings.NewReader(body))
	if err != nil || status/100 != 2 {
		p.t.Fatalf("POST %s: %d %v %s", path, status, err, b)
	}
	return b
}

func (p *process) send(path string, body io.Reader) ([]byte, int, error) {
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(p.dir, SocketName))
	}}}
	defer c.CloseIdleConnections()
	resp, err := c.Post("http://node"+path, "application/json", body)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return b, resp.StatusCode, err
}

// owner returns the index of the node that runs a partition, as node 0 (or the first that runs) hears; -1: nobody.
func (c *testCluster) owner(partition string) int {
	for _, p := range c.nodes {
		if p == nil || !p.runs() {
			continue
		}
		st, ok := p.cluster()
		if !ok {
			continue
		}
		k := slices.IndexFunc(st.Partitions, func(x web.ClusterPartition) bool { return x.Name == partition })
		if k < 0 {
			return -1
		}
		return slices.IndexFunc(c.specs, func(m memberSpec) bool { return m.Name == st.Partitions[k].Owner })
	}
	return -1
}

// stopAll stops all nodes in order, the given one last.
func (c *testCluster) stopAll(last int) {
	c.t.Helper()
	for i, p := range c.nodes {
		if p != nil && i != last {
			c.stop(i)
		}
	}
	if c.nodes[last] != nil {
		c.stop(last)
	}
}

// stop ends a node with SIGTERM.
func (c *testCluster) stop(i int) {
	c.t.Helper()
	p := c.nodes[i]
	c.nodes[i] = nil
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		c.t.Fatalf("node %d does not stop:\n%s", i+1, tail(p.says()))
	}
	if !p.cmd.ProcessState.Success() {
		c.t.Errorf("node %d: %v:\n%s", i+1, p.cmd.ProcessState, tail(p.says()))
	}
}
