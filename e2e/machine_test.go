//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concord/durable"
	"concord/e2e/ports"
	"concord/web"
)

// machine is a node that is one of several, on a cluster address of its own. A process prints "ready" again when it has grown.
type machine struct {
	*node
	name    string
	http    string
	cluster string
	env     []string
	readys  atomic.Int64 // how often this process said that it serves
}

// newMachine makes a node with a name and addresses; nothing runs yet.
func newMachine(t testing.TB, name string, env ...string) *machine {
	t.Helper()
	m := &machine{node: newNode(t), name: name, http: freeAddr(t), cluster: freeAddr(t)}
	m.addr = "http://" + m.http
	m.env = append([]string{"CONCORD_NODE=" + name, "CONCORD_CLUSTER__LEASE=5s", "CONCORD_CLUSTER__SAVE=2s", "CONCORD_CRAWL__HANDOVER=1s"}, env...)
	return m
}

// named makes machines node-1, node-2, ….
func named(t testing.TB, count int, env ...string) []*machine {
	var list []*machine
	for i := range count {
		list = append(list, newMachine(t, fmt.Sprintf("node-%d", i+1), env...))
	}
	return list
}

// loopbackHost is an address of this process's own, so that tests that run at the same time do not take each other's ports.
var loopbackHost = fmt.Sprintf("127.%d.%d.1", 100+os.Getpid()/250%100, 1+os.Getpid()%250)

// freeAddr is an address whose port and the one after it are free.
func freeAddr(t testing.TB) string {
	t.Helper()
	addr, err := ports.Free(loopbackHost, 2)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// up starts the process and does not wait.
func (m *machine) up(args ...string) {
	m.t.Helper()
	m.cmd = exec.Command(m.bin, append([]string{"up", "--data", m.data(), "--http", m.http, "--config", m.cfg, "--cluster-addr", m.cluster}, args...)...)
	m.cmd.Env = append(os.Environ(), m.env...)
	m.cmd.Stderr = m.log
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	m.readys.Store(0)
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "ready ") {
				m.readys.Add(1)
			}
		}
	}()
}

// awaitReady waits until this process said so many times that it serves.
func (m *machine) awaitReady(times int64, limit time.Duration) {
	m.t.Helper()
	m.eventually(limit, fmt.Sprintf("ready for the %d. time", times), func() bool { return m.readys.Load() >= times })
}

// eventually waits until ok.
func (m *machine) eventually(limit time.Duration, what string, ok func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("%s after %v: not %s; its log ends:\n%s", m.name, limit, what, m.tail(15))
		}
	}
}

// await waits until a crawl is searchable. A node that asks others may be told to try again.
func (m *machine) await(id string, limit time.Duration) (c crawlState) {
	m.t.Helper()
	m.eventually(limit, "done with the crawl", func() bool {
		var err error
		c, err = m.crawlState(id)
		return err == nil && c.Searchable
	})
	return c
}

// crawl starts a crawl, again while a partition of the frontier is between two nodes.
func (m *machine) crawl(seeds []string) (id string) {
	m.t.Helper()
	var last string
	m.eventually(30*time.Second, "crawling", func() bool {
		out, code := m.run(append([]string{"crawl", "--allow-private", "--json"}, seeds...)...)
		var c struct{ ID string }
		if code != 0 || json.Unmarshal([]byte(out), &c) != nil || c.ID == "" {
			last = out
			return false
		}
		id = c.ID
		return true
	})
	if last != "" {
		m.t.Logf("%s was asked to crawl again after: %s", m.name, last)
	}
	return id
}

// join starts the process with a token of another node, without waiting.
func (m *machine) join(at *machine, token string) {
	m.up("--join", at.cluster, "--token", token)
}

// token makes one for so many machines.
func (m *machine) token(uses int) string {
	m.t.Helper()
	var t web.ClusterToken
	if err := json.Unmarshal([]byte(m.must("cluster", "token", "--uses", fmt.Sprint(uses), "--json")), &t); err != nil || t.Token == "" {
		m.t.Fatalf("cluster token: %+v %v", t, err)
	}
	return t.Token
}

// stopSoon ends the process with SIGTERM, which must take less than 5 s and end well.
func (m *machine) stopSoon(state string) {
	m.t.Helper()
	took := m.stop()
	m.t.Logf("SIGTERM to %s, %s: ended after %v", m.name, state, took.Round(time.Millisecond))
	if took > 5*time.Second {
		m.t.Errorf("SIGTERM to %s, %s, took %v, want under 5 s", m.name, state, took)
	}
}

// stage is how far the node is on its way from one to many, as it remembers for its next start; empty: not yet on it.
func (m *machine) stage() string {
	var s struct{ Stage string }
	if durable.ReadJSON(filepath.Join(m.data(), "cluster", "membership.json"), &s) != nil {
		return ""
	}
	return s.Stage
}

func (m *machine) has(path ...string) bool {
	_, err := os.Stat(filepath.Join(append([]string{m.data()}, path...)...))
	return err == nil
}

// says reports whether the log has a text.
func (m *machine) says(text string) bool {
	b, _ := os.ReadFile(m.log.Name())
	return strings.Contains(string(b), text)
}

// clusterStatus is what the node says of the cluster.
func (m *machine) clusterStatus() (st web.ClusterStatus, err error) {
	b, code, err := m.get("/api/v1/cluster", nil)
	if err == nil && code != 200 {
		err = fmt.Errorf("status %d: %s", code, b)
	}
	if err == nil {
		err = json.Unmarshal(b, &st)
	}
	return st, err
}

// awaitCluster waits until a cluster of so many live nodes works, every partition with its owner, as each of the machines sees it.
func awaitCluster(t testing.TB, live int, limit time.Duration, list ...*machine) {
	t.Helper()
	for _, m := range list {
		var last string
		deadline := time.Now().Add(limit)
		for {
			st, err := m.clusterStatus()
			if err == nil {
				n := 0
				for _, x := range st.Nodes {
					if x.State == web.NodeLive {
						n++
					}
				}
				if st.State == web.ClusterMember && n == live && st.Moving == 0 && st.Unowned == 0 && len(st.Partitions) > 0 && m.shardsServed(&st) {
					break
				}
			}
			last = fmt.Sprintf("%+v %v", st.Summary(), err)
			if time.Now().After(deadline) {
				t.Fatalf("%s does not see %d nodes at work after %v: %s\n%s\nits log ends:\n%s", m.name, live, limit, last, mustJSON(st), m.tail(15))
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// shardsServed says that every shard has copies on two nodes.
func (m *machine) shardsServed(st *web.ClusterStatus) bool {
	for _, p := range st.Partitions {
		if strings.HasPrefix(p.Name, "shard.") && len(p.Replicas) < 2 {
			return false
		}
	}
	return true
}

func mustJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// gather starts machines that are to be one cluster, without waiting for it: the first alone, then the others with a token of its.
func gather(list []*machine) {
	first := list[0]
	first.up()
	first.awaitReady(1, time.Minute)
	token := first.token(len(list) - 1)
	for _, m := range list[1:] {
		m.join(first, token)
	}
}

// awaitMembers waits until each machine is a member that serves.
func awaitMembers(list []*machine, limit time.Duration) {
	for _, m := range list {
		m.t.Helper()
		m.eventually(limit, "a member that serves", func() bool { return m.stage() == "member" && m.readys.Load() > 0 })
	}
}

// grown starts machines as one cluster that works.
func grown(t testing.TB, list []*machine, limit time.Duration) {
	t.Helper()
	gather(list)
	awaitMembers(list, limit)
	awaitCluster(t, len(list), limit, list...)
}
