//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"concord/e2e/loopweb"
	"concord/e2e/nemesis"
)

var (
	seedFlag    = flag.Uint64("seed", 0, "seed of the nemesis; 0: a new one for each test, which is printed")
	faultsFlag  = flag.Duration("faults", 40*time.Second, "how long the nemesis goes on")
	longestFlag = flag.Duration("longest", 2500*time.Millisecond, "how long one fault lasts at most")
)

// seed is that of -seed, or a new one; the log says which, and how to have it again.
func seed(t *testing.T) uint64 {
	s := *seedFlag
	if s == 0 {
		s = uint64(time.Now().UnixNano() % 1_000_000)
	}
	others := ""
	flag.Visit(func(f *flag.Flag) {
		if f.Name != "seed" && !strings.HasPrefix(f.Name, "test.") {
			others += fmt.Sprintf(" -%s %q", f.Name, f.Value.String()) // names of faults have spaces
		}
	})
	t.Logf("seed %d; again with: go test -tags e2e -run '^%s$' ./e2e/ -seed %d%s", s, t.Name(), s, others)
	return s
}

const (
	nodePort  = 7667
	fieldDisk = 768 << 20
	diskFloor = 160 << 20 // below it the crawler stops; Pebble and JetStream take space ahead in pieces of some MiB each
	hostDelay = 400 * time.Millisecond

	startLimit = 2 * time.Minute // until a node serves; one of a cluster waits for a majority
)

// fieldConfig is that of nodes on a field: patient with a network that fails, since every page is to be there in the end.
var fieldConfig = fmt.Sprintf(`operator: e2e.example
contact: http://127.0.0.1/bot
crawl:
  min_delay: %v
  max_delay: 3s
  address_delay: 1ms
  retry_after: [1s, 1s, 2s, 2s, 3s, 3s, 4s, 4s, 5s, 5s, 5s, 5s, 5s, 5s, 5s, 5s]
  backoff_unit: 50ms
  patience: 60s
  free_space: %d
`, hostDelay, diskFloor)

// field is a web and nodes that crawl it, each on a host of its own.
type field struct {
	t     *testing.T
	net   *nemesis.Net
	web   *loopweb.Web
	nodes []*fieldNode
	dir   string // configurations and logs
}

// fieldNode is a node on a host.
type fieldNode struct {
	*nemesis.Host
	f    *field
	cfg  string
	log  string
	args []string // of up, beside those that all have
}

// newField makes a web of so many hosts and pages, and hosts for so many nodes, or skips. It starts no node.
func newField(t *testing.T, seed uint64, nodes, hosts, pages int) *field {
	t.Helper()
	return newFieldOf(t, seed, nodes, hosts, pages, fieldDisk, fieldConfig)
}

// newFieldOf is newField with disks and a configuration of its own.
func newFieldOf(t *testing.T, seed uint64, nodes, hosts, pages int, disk int64, config string) *field {
	t.Helper()
	n, err := nemesis.New()
	skipMissing(t, err)
	f := &field{t: t, net: n, dir: t.TempDir()}
	t.Cleanup(f.close)
	for i := range nodes {
		h, err := n.AddHost(fmt.Sprintf("n%d", i+1), disk)
		skipMissing(t, err)
		node := &fieldNode{Host: h, f: f, cfg: filepath.Join(f.dir, h.Name+".yaml"), log: filepath.Join(f.dir, h.Name+".log")}
		if err := os.WriteFile(node.cfg, []byte("node: "+h.Name+"\n"+config), 0o600); err != nil {
			t.Fatal(err)
		}
		f.nodes = append(f.nodes, node)
	}
	h, err := n.AddHost("web", 0)
	skipMissing(t, err)
	population := loopweb.Population(seed, hosts, pages)
	var names []string
	for _, site := range population {
		names = append(names, site.Addr)
	}
	if err := n.ServeNames(h, names...); err != nil {
		t.Fatal(err)
	}
	l, err := h.Listen(80)
	if err != nil {
		t.Fatal(err)
	}
	f.web = loopweb.Serve(l, population...)
	return f
}

func skipMissing(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, nemesis.ErrMissing) {
		t.Skipf("SKIPPED: %v; no fault was tried: run this test as root on Linux", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (f *field) close() {
	if f.t.Failed() {
		for _, n := range f.nodes {
			f.t.Logf("last lines of the log of %s:\n%s", n.Name, nemesis.Tail(n.log, 12))
		}
		if keep := os.Getenv("CONCORD_KEEP"); keep != "" {
			f.t.Logf("kept %s: %v", keep, os.CopyFS(filepath.Join(keep, f.t.Name()), os.DirFS(f.dir)))
		}
	}
	if f.web != nil {
		f.web.Close()
	}
	if err := f.net.Close(); err != nil {
		f.t.Error(err)
	}
}

// data is the node's data directory as the node sees it.
func (n *fieldNode) data() string { return filepath.Join(n.Disk(), "d") }

// start runs the node and waits until it serves.
func (n *fieldNode) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	args := append([]string{"up", "--data", n.data(), "--config", n.cfg, "--http", fmt.Sprintf("%s:%d", n.Addr, nodePort)}, n.args...)
	line, err := n.Start(ctx, n.log, binary(n.f.t), args...)
	if err == nil && !strings.HasPrefix(line, "ready ") {
		err = fmt.Errorf("the node of %s printed %q, want \"ready http://…\"", n.Name, line)
	}
	return err
}

// settleTime is how long after a full disk a node may still find out that it cannot go on: it looks every two seconds.
const settleTime = 3 * time.Second

// settle waits until it is clear what a node does that met a full disk and has space again: it serves, or ends by itself.
func (n *fieldNode) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for wait := settleTime; ; wait = 200 * time.Millisecond {
		select {
		case <-n.Ended():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("the node of %s has space again, is not ready and does not end: %w", n.Name, ctx.Err())
		case <-time.After(wait):
		}
		if _, status, err := n.get("/readyz", nil); err == nil && status == http.StatusOK {
			return nil
		}
	}
}

// client asks the node over its socket, which no fault of the network reaches.
func (n *fieldNode) client() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", n.Path(filepath.Join(n.data(), "concord.sock")))
	}}}
}

func (n *fieldNode) get(path string, params url.Values) ([]byte, int, error) {
	resp, err := n.client().Get("http://concord" + path + "?" + params.Encode())
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return b, resp.StatusCode, err
}

// json reads an API answer into v.
func (n *fieldNode) json(path string, params url.Values, v any) error {
	b, status, err := n.get(path, params)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, b)
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("GET %s?%s on %s: %w", path, params.Encode(), n.Name, err)
	}
	return nil
}

// crawl starts a crawl of the whole web and returns its ID.
func (n *fieldNode) crawl() string {
	n.f.t.Helper()
	args := append([]string{"crawl", "--allow-private", "--json", "--data", n.data()}, n.f.web.Seeds()...)
	out, err := n.Run(context.Background(), binary(n.f.t), args...)
	var c struct{ ID string }
	if err == nil {
		err = json.Unmarshal(out, &c)
	}
	if err != nil {
		n.f.t.Fatal(err)
	}
	return c.ID
}

// await polls until a crawl is done and searchable, and nothing of it is left to be tried again: hosts that rest for longer than the crawl's
// patience come back after it has counted as done.
func (n *fieldNode) await(id string, limit time.Duration) crawlState {
	n.f.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		var c crawlState
		if err := n.json("/api/v1/crawls/"+id, nil, &c); err != nil {
			n.f.t.Fatal(err)
		}
		if c.Searchable && c.Failed+c.Queued+c.InFlight == 0 {
			return c
		}
		if time.Now().After(deadline) {
			hosts, _, _ := n.get("/api/v1/hosts", url.Values{"limit": {"20"}})
			n.f.t.Fatalf("crawl not done after %v: %+v\nhosts: %s", limit, c, hosts)
		}
	}
}

// promises are captures that a node has shown: whatever happens, they may not be lost.
type promises struct {
	mu   sync.Mutex
	seen map[string]string // capture, by URL
}

const promisesChecked = 25 // at each fault, oldest of all included; all of them at the end

// collect notes what a node shows at this moment.
func (p *promises) collect(n *fieldNode) error {
	var a struct{ Results []result }
	if err := n.json("/api/v1/search", url.Values{"q": {"page"}, "limit": {"100"}}, &a); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range a.Results {
		p.seen[r.URL] = r.Capture
	}
	return nil
}

// check asks a node for up to limit of what was shown, and returns how many it asked for.
func (p *promises) check(n *fieldNode, limit int) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := 0
	for u, id := range p.seen {
		if asked == limit {
			break
		}
		asked++
		var a struct{ Captures []capture }
		if err := n.json("/api/v1/captures", url.Values{"url": {u}, "limit": {"100"}}, &a); err != nil {
			return asked, err
		}
		found := false
		for _, c := range a.Captures {
			found = found || c.ID == id
		}
		if !found {
			return asked, fmt.Errorf("capture %s of %s was shown and is lost", id, u)
		}
	}
	return asked, nil
}
