//go:build e2e

package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concord"

	"github.com/google/go-cmp/cmp"
)

// shown is what a cluster shows of a site: it must be the same after its logs and states were lost and made again.
type shown struct {
	Hits     map[string]hit    // by query
	Captures map[string]string // of each page: all its captures
	Receipts map[string]bool
	Start    []string // pages that the words of the site's first page find
	Crawl    crawlState
}

func (c *testCluster) shows(p *process, s site, id string, policy []byte) *shown {
	c.t.Helper()
	out := &shown{Hits: map[string]hit{}, Captures: map[string]string{}, Receipts: map[string]bool{}}
	for i := range s.pages {
		q := fmt.Sprintf("token%d", i)
		hits := slices.DeleteFunc(p.search(q), func(h hit) bool { return !strings.HasPrefix(h.URL, s.URL) })
		if len(hits) == 1 {
			out.Hits[q] = hits[0]
		} else {
			c.t.Errorf("%s gives %+v", q, hits)
		}
		b, _ := p.get("/api/v1/captures", url.Values{"url": {s.page(i)}})
		var list struct{ Captures []concord.Capture }
		if err := json.Unmarshal(b, &list); err != nil || len(list.Captures) == 0 {
			c.t.Fatalf("captures of %s: %s", s.page(i), b)
		}
		for _, x := range list.Captures {
			x.Location = concord.Location{}
			out.Captures[s.page(i)] += fmt.Sprintf("%+v\n", x)
		}
		out.Receipts[s.page(i)] = p.verify(s.page(i), policy)
	}
	for _, h := range p.search("leads others little") {
		if strings.HasPrefix(h.URL, s.URL) {
			out.Start = append(out.Start, h.URL)
		}
	}
	p.json("/api/v1/crawls/"+id, nil, &out.Crawl)
	return out
}

// whole waits until a node finds and proves every page: partitions that move cannot be asked for a moment.
func (c *testCluster) whole(p *process, s site, policy []byte) {
	c.t.Helper()
	c.await("all pages are found and proven", func() bool {
		found, proven := s.check(p, policy)
		return found == s.pages && proven == s.pages
	})
}

// attested waits until no capture waits for its receipt, on a node that has the ledger.
func (c *testCluster) attested(p *process) {
	c.t.Helper()
	c.await("all captures have receipts", func() bool {
		var st struct {
			Captures int
			Ledger   struct{ Pending, Size, Checkpoint int }
		}
		b, _ := p.get("/api/v1/status", nil)
		return json.Unmarshal(b, &st) == nil && st.Captures > 0 && st.Ledger.Pending == 0 && st.Ledger.Size > 0 && st.Ledger.Size == st.Ledger.Checkpoint
	})
}

// newSiteAt is newSite on another address of this machine.
func newSiteAt(t *testing.T, ip string, pages int) site {
	t.Helper()
	s := newSite(t, pages, 0)
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	other := httptest.NewUnstartedServer(s.Config.Handler)
	other.Listener.Close()
	other.Listener = l
	other.Start()
	t.Cleanup(other.Close)
	return site{other, pages}
}

// A cluster whose logs and states are gone on every node is made again from the archives of its nodes, and is what it was.
func TestRebuildCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	var sites []site // one in each partition of the frontier
	for i := 1; len(sites) < 3; i++ {
		if ip := fmt.Sprintf("127.77.0.%d", i); concord.PartitionOf(ip, 3) == len(sites) {
			sites = append(sites, newSiteAt(t, ip, 200))
		}
	}
	var ids []string
	for i, s := range sites {
		ids = append(ids, c.nodes[i].crawl(s.URL)) // each on another node: its note is in another archive than its pages
	}
	for i, id := range ids {
		c.await("the crawls end", func() bool {
			var st crawlState
			b, status := c.nodes[i].get("/api/v1/crawls/"+id, nil)
			return status == 200 && json.Unmarshal(b, &st) == nil && st.Searchable
		})
	}
	c.attested(c.nodes[0])
	policy, _ := c.nodes[0].get("/api/v1/policy", nil)
	var want []*shown
	for i, s := range sites {
		want = append(want, c.shows(c.nodes[0], s, ids[i], policy))
		if proven := slices.Collect(maps.Values(want[i].Receipts)); len(want[i].Hits) != s.pages || slices.Contains(proven, false) {
			t.Fatalf("before anything is lost: %d pages, %d receipts", len(want[i].Hits), len(proven))
		}
	}
	for i, m := range c.specs {
		if files, err := filepath.Glob(filepath.Join(m.Dir, "archive", "*.warc.gz")); err != nil || len(files) == 0 {
			t.Errorf("node %d has archived nothing: the test tests less", i+1)
		}
	}
	from := RebuildOptions{From: []string{c.specs[1].Dir, filepath.Join(c.specs[2].Dir, "archive")}}
	if _, err := Rebuild(t.Context(), c.specs[0].config(), from); concord.KindOf(err) != concord.Conflict {
		t.Errorf("made again while it runs: %v", err)
	}
	c.stop(0)
	if _, err := Rebuild(t.Context(), c.specs[0].config(), from); concord.KindOf(err) != concord.Conflict || !strings.Contains(err.Error(), "stop all nodes") {
		t.Errorf("made again while others run: %v", err)
	}
	c.stop(1)
	c.stop(2)
	for _, m := range c.specs {
		for _, part := range []string{"cluster/bus", "shard", "frontier", "attest"} {
			if err := os.RemoveAll(filepath.Join(m.Dir, part)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := Rebuild(t.Context(), c.specs[1].config(), RebuildOptions{}); concord.KindOf(err) != concord.Conflict || !strings.Contains(err.Error(), "--rejoin") {
		t.Errorf("on a member: %v", err)
	}
	if _, err := Rebuild(t.Context(), c.specs[1].config(), from); concord.KindOf(err) != concord.Conflict || !strings.Contains(err.Error(), "ledger") {
		t.Errorf("on a node without the ledger: %v", err)
	}
	report, err := Rebuild(t.Context(), c.specs[0].config(), from)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", report)
	if len(report.Made) != len(RebuildParts()) || len(report.Problems) > 0 || report.Found.NoCrawl > 0 || report.Found.Undecided > 0 || report.NoReceipts > 0 {
		t.Errorf("report: %+v", report)
	}
	for i := 1; i < 3; i++ {
		if err := Rejoin(t.Context(), c.specs[i].config()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range c.specs {
		c.specs[i].Join, c.specs[i].Token = "", ""
		c.start(i)
	}
	c.settled()
	c.attested(c.nodes[0])
	for i, s := range sites {
		got := c.shows(c.nodes[(i+1)%3], s, ids[i], policy)
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Errorf("site %d (-was +is):\n%s", i, concord.Clip(diff, 4000))
		}
	}
	c.stopAll(0)
}

// A member that rejoins gets everything from the others; one that was left out when its cluster was made again is refused until it does.
func TestRejoin(t *testing.T) {
	long(t)
	t.Parallel()
	c := newCluster(t, 3)
	s := newSite(t, 30, 0)
	id := c.nodes[0].crawl(s.URL)
	c.nodes[0].await(id)
	c.attested(c.nodes[0])
	policy, _ := c.nodes[0].get("/api/v1/policy", nil)
	c.stop(2)
	if err := Rejoin(t.Context(), c.specs[2].config()); err != nil {
		t.Fatal(err)
	}
	c.start(2)
	c.settled()
	c.whole(c.nodes[2], s, policy)
	c.stopAll(0)
	if _, err := Rebuild(t.Context(), c.specs[0].config(), RebuildOptions{From: []string{c.specs[1].Dir, c.specs[2].Dir}}); err != nil {
		t.Fatal(err)
	}
	if err := Rejoin(t.Context(), c.specs[1].config()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		c.specs[i].Join, c.specs[i].Token = "", ""
	}
	left := c.start(2) // with what it had: it must not begin anew with a node that waits
	c.start(1)
	time.Sleep(3 * time.Second)
	first := c.start(0)
	c.await("the first node serves", func() bool { _, status := first.get("/healthz", nil); return status == 200 })
	time.Sleep(2 * time.Second)
	left.kill()
	left = c.start(2)
	select {
	case <-left.ended:
	case <-time.After(20 * time.Second):
		t.Error("a node from before the cluster was made again goes on")
		left.kill()
	}
	c.nodes[2] = nil
	if !strings.Contains(left.says(), "--rejoin") {
		t.Errorf("it does not say what to do:\n%s", tail(left.says()))
	}
	if err := Rejoin(t.Context(), c.specs[2].config()); err != nil {
		t.Fatal(err)
	}
	c.start(2)
	c.settled()
	c.whole(c.nodes[1], s, policy)
	c.stopAll(0)
}
