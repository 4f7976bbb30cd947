//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concord/durable"
	"concord/e2e/loopweb"
	"concord/e2e/nemesis"
	"concord/web"
)

// whole asks a node for everything; an answer of fewer pages or of fewer shards than all is an error.
func (m *machine) whole(q string, want int) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.addr+"/api/v1/search?"+url.Values{"q": {q}}.Encode(), nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var a struct {
			Total  int
			Shards struct{ Asked, Answered int }
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", m.name, resp.Status)
		}
		if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
			return err
		}
		if a.Shards.Asked == 0 || a.Shards.Answered != a.Shards.Asked || a.Total < want {
			return fmt.Errorf("%s: %d pages from %d of %d shards, want %d", m.name, a.Total, a.Shards.Answered, a.Shards.Asked, want)
		}
		return nil
	}
}

// probe asks a node for the pages of a host all the time, all of which must be found.
func (m *machine) probe(h *loopweb.Host) *nemesis.Probe {
	return nemesis.NewProbe(200*time.Millisecond, 5*time.Second, m.whole("site:"+h.Addr, len(h.Index)))
}

// complete ends a probe; so long may be between a question that failed and the next answer.
func complete(t *testing.T, what string, p *nemesis.Probe, from time.Time, outage time.Duration) {
	t.Helper()
	s := p.Between(from, time.Now())
	p.Close()
	t.Logf("questions, %s: %v", what, s)
	if s.Asked == 0 || s.Outage > outage {
		t.Errorf("questions, %s: %v, want no longer outage than %v", what, s, outage)
	}
}

// owns counts the partitions of a node and the shards it answers for.
func owns(st *web.ClusterStatus, name string) (owned, copies int) {
	for _, p := range st.Partitions {
		if p.Owner == name {
			owned++
		}
		if slices.ContainsFunc(p.Replicas, func(r web.ClusterReplica) bool { return r.Node == name }) {
			copies++
		}
	}
	return owned, copies
}

// A fourth and a fifth node join a cluster that works, one is drained and taken out, one dies and is taken out.
func TestDrain(t *testing.T) {
	w := smallWeb(t, 84, 10, 30)
	nodes := named(t, 5)
	grown(t, nodes[:3], 2*time.Minute)
	first := nodes[0]
	first.await(first.crawl(w.Seeds()), 2*time.Minute)
	policy := []byte(first.must("policy"))
	urls := urlsOf(w)
	first.attested(urls, policy, time.Minute)
	want := first.answers(w)
	probe, began := first.probe(w.Hosts[0]), time.Now()

	t.Run("join", func(t *testing.T) {
		begin := time.Now()
		token := nodes[1].token(2)
		nodes[3].join(nodes[1], token)
		nodes[4].join(nodes[2], token)
		awaitMembers(nodes[3:], time.Minute)
		nodes[3].eventually(time.Minute, "at work", func() bool {
			st, err := first.clusterStatus()
			a, _ := owns(&st, "node-4")
			b, _ := owns(&st, "node-5")
			return err == nil && a > 0 && b > 0 && st.Moving == 0 && st.Unowned == 0
		})
		awaitCluster(t, 5, time.Minute, nodes...)
		took := time.Since(begin)
		t.Logf("two more nodes have their share after %v", took.Round(time.Second))
		if took > time.Minute {
			t.Errorf("two more nodes have their share after %v, want a minute", took)
		}
		compareAnswers(t, "node-5", nodes[4].answers(w), want)
	})
	t.Run("drain", func(t *testing.T) {
		leaving := nodes[3]
		begin := time.Now()
		out := first.must("cluster", "drain", leaving.name, "--wait")
		t.Logf("drained after %v: %s", time.Since(begin).Round(time.Second), out)
		st, err := first.clusterStatus()
		if owned, copies := owns(&st, leaving.name); err != nil || owned != 0 {
			t.Errorf("a drained node owns %d partitions and has %d copies, %v", owned, copies, err)
		}
		for _, l := range st.Logs {
			if slices.ContainsFunc(l.Copies, func(c web.ClusterLogCopy) bool { return c.Node == leaving.name }) || len(l.Copies) != 3 {
				t.Errorf("log %s after the drain: %+v", l.Name, l.Copies)
			}
		}
		for _, p := range st.Partitions {
			n := len(slices.DeleteFunc(slices.Clone(p.Replicas), func(r web.ClusterReplica) bool { return r.Node == leaving.name }))
			if strings.HasPrefix(p.Name, "shard.") && n < 2 {
				t.Errorf("%s is on %d nodes other than the drained one, want 2", p.Name, n)
			}
		}
		first.must("cluster", "remove", leaving.name)
		leaving.eventually(30*time.Second, "ended, as it was removed", func() bool { return leaving.says("removed from") || leaving.says("was removed") })
		t.Logf("the removed node: %s", leaving.tail(2))
		leaving.kill()
		awaitCluster(t, 4, time.Minute, first, nodes[4])
		compareAnswers(t, "node-3", nodes[2].answers(w), want)
		if got := nodes[4].receipts(urls, policy); got != len(urls) {
			t.Errorf("%d of %d receipts hold", got, len(urls))
		}
	})
	t.Run("removed", func(t *testing.T) {
		gone := nodes[3]
		gone.up()
		gone.eventually(30*time.Second, "told that it was removed", func() bool { return gone.says("was removed") })
		if gone.readys.Load() > 0 {
			t.Error("a removed node is ready")
		}
		if st, err := first.clusterStatus(); err != nil || len(st.Nodes) != 4 {
			t.Errorf("after the return of a removed node: %s %v", mustJSON(st.Nodes), err)
		}
		gone.kill()
	})
	t.Run("ledger", func(t *testing.T) {
		out, code := nodes[1].run("cluster", "drain", first.name, "--wait")
		complete(t, "while nodes come and go", probe, began, 0)
		if code == 0 || !strings.Contains(out, "ledger") || !strings.Contains(out, "by hand") {
			t.Errorf("drain of the node with the ledger: %d, %s", code, out)
		}
		t.Log(out)
		moveLedger(t, first, nodes[1])
		nodes[2].eventually(time.Minute, "hears that the ledger has moved", func() bool {
			st, err := nodes[2].clusterStatus()
			return err == nil && slices.ContainsFunc(st.Nodes, func(n web.ClusterNode) bool { return n.Name == nodes[1].name && n.State == web.NodeLive && n.Ledger }) &&
				!slices.ContainsFunc(st.Nodes, func(n web.ClusterNode) bool { return n.Name == first.name && n.Ledger })
		})
		t.Log(nodes[2].must("cluster", "drain", first.name, "--wait"))
		nodes[2].must("cluster", "drain", first.name, "--undo")
		awaitCluster(t, 4, time.Minute, nodes[0], nodes[1], nodes[2], nodes[4])
	})
	t.Run("dead", func(t *testing.T) {
		probe, began := first.probe(w.Hosts[1]), time.Now()
		defer func() { complete(t, "while a node dies", probe, began, 5*time.Second) }()
		dead := nodes[4]
		dead.kill()
		first.eventually(time.Minute, "sees the dead node", func() bool {
			st, err := first.clusterStatus()
			return err == nil && slices.ContainsFunc(st.Nodes, func(n web.ClusterNode) bool { return n.Name == dead.name && n.State == web.NodeDead })
		})
		out, code := first.run("cluster", "remove", dead.name)
		if code == 0 || !strings.Contains(out, "--force") {
			t.Errorf("remove of a dead node: %d, %s", code, out)
		}
		first.must("cluster", "remove", dead.name, "--force")
		awaitCluster(t, 3, time.Minute, nodes[:3]...)
		first.eventually(time.Minute, "logs have three copies", func() bool {
			st, err := first.clusterStatus()
			for _, l := range st.Logs {
				good := 0
				for _, c := range l.Copies {
					if c.Online && c.Current {
						good++
					}
				}
				if good < 3 {
					return false
				}
			}
			return err == nil && len(st.Logs) > 0
		})
		compareAll(t, nodes[:3], w, want)
	})
	if got := first.receipts(urls, policy); got != len(urls) {
		t.Errorf("%d of %d receipts hold", got, len(urls))
	}
	more := smallWeb(t, 85, 4, 10)
	nodes[2].await(nodes[2].crawl(more.Seeds()), 2*time.Minute)
	report(t, nemesis.Searchable(nodes[1].get, more))
	nodes[2].attested(urlsOf(more), policy, time.Minute)
	nodes[0].receipts(every(10, urls), policy)
}

// moveLedger does what the manual says a person does.
func moveLedger(t *testing.T, from, to *machine) {
	t.Helper()
	from.stopSoon("a member with the ledger")
	to.stopSoon("a member")
	if err := os.Rename(filepath.Join(from.data(), "chain"), filepath.Join(to.data(), "chain")); err != nil {
		t.Fatal(err)
	}
	for m, keeps := range map[*machine]bool{from: false, to: true} {
		path := filepath.Join(m.data(), "cluster", "membership.json")
		var s map[string]any
		if err := durable.ReadJSON(path, &s); err != nil || (s["ledger"] == true) == keeps {
			t.Fatalf("%s: %v, %v", m.name, s, err)
		}
		if delete(s, "ledger"); keeps {
			s["ledger"] = true
		}
		if err := os.WriteFile(path, []byte(mustJSON(s)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	from.up()
	to.up()
	from.awaitReady(1, time.Minute)
	to.awaitReady(1, time.Minute)
}
