//go:build e2e

package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/warc"
	"concord/web"
)

// foreignFile makes a WARC file of another tool: pages on some sites, page i with the word "import<i>", one of them larger than a message
// between nodes may be.
func foreignFile(t *testing.T, pages int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := warc.NewWriter(&b, true)
	for i := range pages {
		body := fmt.Sprintf("<html lang=en><title>Import %d</title><main><p>This page with the word import%d came out of a file. %s</main>", i, i, filler(fmt.Sprint("i", i)))
		if i == pages/2 {
			body += "<!-- " + strings.Repeat("large ", 1<<20) + "-->"
		}
		list, _, err := warc.Build(warc.Exchange{URL: importedPage(i), Time: time.Unix(1_700_000_000+int64(i), 0), IP: netip.MustParseAddr("192.0.2.1"),
			Request:  []byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
			Response: fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len(body), body)})
		if err != nil {
			t.Fatal(err)
		}
		for k := range list {
			if _, _, err := w.Write(&list[k]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.Bytes()
}

func importedPage(i int) string { return fmt.Sprintf("http://site%d.example/p/%d", i%7, i) }

// importFile imports over the socket.
func (p *process) importFile(file []byte) (sum web.ImportSummary, err error) {
	b, status, err := p.send("/api/v1/archive/import?name="+url.QueryEscape("foreign.warc.gz"), &trickle{data: file})
	if err == nil && status != 200 {
		err = fmt.Errorf("status %d: %s", status, b)
	}
	if err == nil {
		err = json.Unmarshal(b, &sum)
	}
	return sum, err
}

// trickle is a file that comes in over some seconds.
type trickle struct {
	data  []byte
	pause time.Duration
}

func (r *trickle) Read(p []byte) (int, error) {
	time.Sleep(r.pause)
	n, err := bytes.NewReader(r.data).Read(p[:min(len(p), 4<<10)])
	r.data = r.data[n:]
	return n, err
}

// imported counts the pages of a foreign file that are found, each once and under its address.
func (c *testCluster) imported(p *process, pages int) int {
	found := 0
	for i := range pages {
		hits := p.search(fmt.Sprintf("import%d", i))
		if len(hits) == 1 && hits[0].URL == importedPage(i) {
			found++
		} else if len(hits) > 0 {
			c.t.Errorf("import%d gives %+v", i, hits)
		}
	}
	return found
}

// Any node of a cluster takes an import in: each capture is taken by the node that runs its partition, once.
func TestImportIntoCluster(t *testing.T) {
	t.Parallel()
	const pages = 60
	c := newCluster(t, 3)
	file := foreignFile(t, pages)
	for k, p := range c.nodes {
		sum, err := p.importFile(file)
		if err != nil {
			t.Fatalf("node %d: %v\n%s", k+1, err, tail(p.says()))
		}
		want := web.ImportSummary{Captures: pages, Indexed: pages}
		if k > 0 {
			want = web.ImportSummary{Skipped: pages}
		}
		if sum.Captures != want.Captures || sum.Indexed != want.Indexed || sum.Skipped != want.Skipped || sum.Records != 2*pages || sum.Bytes != int64(len(file)) || len(sum.Problems) > 0 {
			t.Errorf("node %d: %+v", k+1, sum)
		}
		if found := c.imported(p, pages); found != pages {
			t.Errorf("node %d finds %d of %d", k+1, found, pages)
		}
	}
	owners := map[int]bool{}
	for i := range c.specs {
		owners[c.owner(concord.FrontierSubject(i))] = true
	}
	if len(owners) < 2 {
		st, _ := c.nodes[0].cluster()
		t.Errorf("one node runs all partitions: the test tests nothing: %+v", st.Partitions)
	}
	c.stopAll(0)
}

// A node that is killed while others hand captures to it costs an import some seconds and nothing else.
func TestImportWhileNodeDies(t *testing.T) {
	long(t)
	t.Parallel()
	const pages = 150
	c := newCluster(t, 3)
	file := foreignFile(t, pages)
	victim := 1
	for i := range c.specs { // one that does work for the import and is neither asked nor has the ledger
		if o := c.owner(concord.FrontierSubject(i)); o > 0 {
			victim = o
		}
	}
	type outcome struct {
		sum web.ImportSummary
		err error
	}
	ended := make(chan outcome, 1)
	asked := c.nodes[0]
	go func() {
		b, status, err := asked.send("/api/v1/archive/import?name=foreign.warc.gz", &trickle{data: file, pause: 20 * time.Millisecond})
		o := outcome{err: err}
		if err == nil && (status != 200 || json.Unmarshal(b, &o.sum) != nil) {
			o.err = fmt.Errorf("status %d: %s", status, b)
		}
		ended <- o
	}()
	time.Sleep(1500 * time.Millisecond)
	c.nodes[victim].kill()
	c.nodes[victim] = nil
	select {
	case o := <-ended:
		if o.err != nil || o.sum.Captures+o.sum.Skipped != pages || o.sum.Captures < pages-5 {
			t.Errorf("%+v\n%s", o, tail(asked.says()))
		}
	case <-time.After(clusterPatience):
		t.Fatalf("the import does not end:\n%s", tail(asked.says()))
	}
	for _, p := range c.nodes {
		if p == nil {
			continue
		}
		if found := c.imported(p, pages); found != pages {
			t.Errorf("%d of %d found", found, pages)
		}
	}
	c.start(victim)
	c.settled()
	if found := c.imported(c.nodes[victim], pages); found != pages {
		t.Errorf("the node that died finds %d of %d", found, pages)
	}
}
