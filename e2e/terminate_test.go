//go:build e2e

package e2e

import (
	"testing"
	"time"
)

// SIGTERM ends a node within 5 s and in order, whatever it waits for.
func TestTerminate(t *testing.T) {
	w := smallWeb(t, 86, 10, 60)
	base, policy, _ := aloneWith(t, w)
	nodes := named(t, 3)
	first := nodes[0]
	copyTree(t, base, first.data())
	first.up()
	first.awaitReady(1, time.Minute)
	token := first.token(2)
	nodes[1].join(first, token)
	nodes[1].eventually(20*time.Second, "waiting", func() bool { return nodes[1].says("waiting for the cluster") })
	nodes[1].stopSoon("waiting at the door")
	first.stopSoon("alone, with a door")
	nodes[1].up()
	time.Sleep(2 * time.Second)
	nodes[1].stopSoon("waiting at the door of a node that is away")
	first.up()
	first.awaitReady(1, time.Minute)
	nodes[1].up()
	nodes[2].join(first, token)
	nodes[2].eventually(time.Minute, "with its engine", func() bool { return nodes[2].has("cluster", "bus") })
	nodes[2].stopSoon("joining, with its engine")
	first.eventually(time.Minute, "growing", func() bool { return first.has("cluster", "bus") })
	first.stopSoon("growing")
	nodes[2].up()
	first.up()
	first.eventually(time.Minute, "growing again", func() bool { return first.says("moving stream") || first.stage() == "member" })
	first.stopSoon("growing, or just grown")
	nodes[1].stopSoon("joining, with its engine and no majority")
	nodes[1].up()
	first.up()
	awaitMembers(nodes, 2*time.Minute)
	awaitCluster(t, 3, time.Minute, nodes...)
	more := smallWeb(t, 87, 10, 200)
	id := nodes[1].crawl(more.Seeds())
	time.Sleep(3 * time.Second)
	nodes[1].kill()
	nodes[2].kill()
	time.Sleep(time.Second)
	first.stopSoon("a member at work, a second after the others died")
	first.up()
	time.Sleep(3 * time.Second)
	first.stopSoon("a member that waits for a majority")
	for _, m := range nodes {
		m.up()
	}
	for _, m := range nodes {
		m.awaitReady(1, time.Minute)
	}
	awaitCluster(t, 3, time.Minute, nodes...)
	nodes[0].kill()
	nodes[2].kill()
	time.Sleep(15 * time.Second)
	nodes[1].stopSoon("a member long after the others died")
	for _, m := range nodes {
		m.up()
	}
	awaitCluster(t, 3, time.Minute, nodes...)
	t.Logf("the crawl: %+v", nodes[1].await(id, 3*time.Minute))
	nodes[2].receipts(urlsOf(w), policy)
	for _, m := range nodes {
		m.stopSoon("a member")
	}
}
