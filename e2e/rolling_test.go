//go:build e2e

package e2e

import (
	"testing"
	"time"

	"concord/e2e/nemesis"
)

// Each of three nodes is stopped in order and started again while a crawl runs and questions are asked. The others answer in full all the time.
func TestRollingRestart(t *testing.T) {
	w := smallWeb(t, 91, 4, 30)
	nodes := named(t, 3)
	grown(t, nodes, 2*time.Minute)
	nodes[0].await(nodes[0].crawl(w.Seeds()), 2*time.Minute)
	crawled := smallWeb(t, 92, 20, 150)
	id := nodes[0].crawl(crawled.Seeds())
	began := time.Now()
	for i, m := range nodes {
		var fetched int64
		for k, other := range nodes {
			if k == i {
				continue
			}
			if c, err := other.crawlState(id); err == nil {
				fetched = max(fetched, c.Fetched)
			}
		}
		probes := map[string]*nemesis.Probe{}
		for k, other := range nodes {
			if k != i {
				probes[other.name] = other.probe(w.Hosts[k])
			}
		}
		begin := time.Now()
		m.stopSoon("a member in a crawl")
		time.Sleep(3 * time.Second) // the program is replaced
		m.up()
		m.awaitReady(1, time.Minute)
		awaitCluster(t, 3, time.Minute, nodes...)
		t.Logf("%s is back at work %v after it was stopped", m.name, time.Since(begin).Round(100*time.Millisecond))
		for name, p := range probes {
			complete(t, "to "+name+" while "+m.name+" is restarted", p, begin, time.Second)
		}
		c, err := nodes[(i+1)%3].crawlState(id)
		t.Logf("crawl: %d of %d pages, before it %d; %v", c.Fetched, len(urlsOf(crawled)), fetched, err)
		if err == nil && !c.Done && c.Fetched <= fetched {
			t.Errorf("the crawl stands still at %d pages", c.Fetched)
		}
	}
	c := nodes[1].await(id, 4*time.Minute)
	t.Logf("the crawl: %+v in %v", c, time.Since(began).Round(time.Second))
	for _, m := range nodes {
		report(t, nemesis.Searchable(m.get, crawled))
	}
	report(t, nemesis.Manners(crawled, 0))
	nodes[2].attested(every(10, urlsOf(crawled)), []byte(nodes[2].must("policy")), 2*time.Minute)
}
