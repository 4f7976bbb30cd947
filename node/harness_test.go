package node

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"concord/e2e/ports"
	"concord/receipt"
	"concord/shard"
)

// The tests run nodes in processes of their own, so that they can be killed and a panic anywhere is seen: this test
// program started with childVar is a node on that data directory.
const (
	childVar     = "CONCORD_TEST_NODE"
	freeSpaceVar = "CONCORD_TEST_FREE_SPACE"
)

// children says what this test program is when it is started with a variable, whose value it is given, and returns its exit status.
var children = map[string]func(value string) int{childVar: child, rebuildVar: rebuildChild}

// tagged says that the tests with the tag e2e are here too.
var tagged bool

// thorough says whether to try all cases or the most telling ones.
func thorough() bool { return tagged && !testing.Short() }

func TestMain(m *testing.M) {
	for name, run := range children {
		if value := os.Getenv(name); value != "" {
			os.Exit(run(value))
		}
	}
	os.Exit(m.Run())
}

func child(dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg := testConfig(dir)
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	n, err := Open(ctx, cfg)
	if err == nil {
		err = n.Run(ctx, func(addr string) { fmt.Println("ready http://" + addr) })
		if closeErr := n.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		return 1
	}
	return 0
}

// freePorts returns an address on loopback whose port and those after it, n in all, are free.
func freePorts(t testing.TB, n int) string {
	t.Helper()
	addr, err := ports.Free("127.0.0.1", n)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// testConfig is a node that is as quick as a loopback site allows.
func testConfig(dir string) Config {
	cfg := Defaults()
	cfg.Data, cfg.HTTP, cfg.Operator, cfg.Contact = dir, "127.0.0.1:0", "node.example", "http://127.0.0.1/bot"
	cfg.Shards, cfg.Frontiers = 2, 2
	cfg.Crawl.MinDelay, cfg.Crawl.AddressDelay, cfg.Crawl.BackoffUnit = time.Millisecond, time.Millisecond, 20*time.Millisecond
	cfg.Crawl.RetryAfter, cfg.Crawl.Patience = []time.Duration{50 * time.Millisecond}, 2*time.Second
	cfg.Crawl.FreeSpace = 1 << 20
	if os.Getenv(freeSpaceVar) != "" {
		fmt.Sscan(os.Getenv(freeSpaceVar), &cfg.Crawl.FreeSpace)
	}
	cfg.Traces, cfg.TracesPages = os.Getenv(tracesVar), 1
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

// shortDir is a temporary directory whose name leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// process is a node in a process of its own.
type process struct {
	t    *testing.T
	dir  string
	addr string // empty: it did not become ready
	cmd  *exec.Cmd

	mu     sync.Mutex
	stderr strings.Builder
	ended  chan struct{}
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

// says returns what the process wrote to standard error so far.
func (p *process) says() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// launch starts a node and waits until it is ready or has ended.
func launch(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, ended: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(append(os.Environ(), childVar+"="+dir), env...)
	p.cmd.Stderr = p
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		ready <- strings.TrimSpace(strings.TrimPrefix(line, "ready "))
		_, _ = io.Copy(io.Discard, out)
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	select {
	case p.addr = <-ready:
	case <-time.After(30 * time.Second):
		t.Fatalf("neither ready nor refused after 30 s:\n%s", p.says())
	}
	if p.addr == "" {
		<-p.ended
	}
	return p
}

func start(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	p := launch(t, dir, env...)
	if p.addr == "" {
		t.Fatalf("the node did not start:\n%s", p.says())
	}
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// end ends the process with its test. A data race in it is a failure, as it is in the test itself.
func (p *process) end() {
	p.kill()
	if _, race, found := strings.Cut(p.says(), "WARNING: DATA RACE"); found {
		p.t.Errorf("data race in a node:%.4000s", race)
	}
}

// stop ends the node with SIGTERM, which must take less than 5 s.
func (p *process) stop() {
	p.t.Helper()
	begin := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	<-p.ended
	if took := time.Since(begin); took > 5*time.Second || !p.cmd.ProcessState.Success() {
		p.t.Errorf("SIGTERM: %v after %v:\n%s", p.cmd.ProcessState, took, p.says())
	}
}

// alive reports whether the node answers; when it does not, it waits for the process to end.
func (p *process) alive() bool {
	if _, status := p.get("/healthz", nil); status == http.StatusOK {
		return true
	}
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.t.Error("the node neither answers nor ends")
	}
	return false
}

// get reads an answer of the API.
func (p *process) get(path string, params url.Values) ([]byte, int) {
	resp, err := http.Get(p.addr + path + "?" + params.Encode())
	if err != nil {
		return nil, 0
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, 0
	}
	return b, resp.StatusCode
}

func (p *process) json(path string, params url.Values, v any) {
	p.t.Helper()
	b, status := p.get(path, params)
	if status != http.StatusOK {
		p.t.Fatalf("GET %s?%s: status %d: %s\n%s", path, params.Encode(), status, b, p.says())
	}
	if err := json.Unmarshal(b, v); err != nil {
		p.t.Fatalf("GET %s: %v", path, err)
	}
}

// crawl starts a crawl over the socket and returns its ID.
func (p *process) crawl(seed string) string {
	p.t.Helper()
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(p.dir, SocketName))
	}}}
	defer c.CloseIdleConnections()
	resp, err := c.Post("http://node/api/v1/crawls", "application/json", strings.NewReader(`{"seeds":["`+seed+`"],"allowPrivate":true}`))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var crawl struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&crawl); err != nil || crawl.ID == "" {
		p.t.Fatalf("start a crawl: %s %v", resp.Status, err)
	}
	return crawl.ID
}

type crawlState struct {
	Done, Searchable                 bool
	Fetched, Indexed, Failed, Queued int64
}

// await waits until a crawl is searchable.
func (p *process) await(id string) crawlState {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var c crawlState
		// A node that has just started knows a crawl when it has applied the log.
		if b, status := p.get("/api/v1/crawls/"+id, nil); status == http.StatusOK && json.Unmarshal(b, &c) == nil && c.Searchable {
			return c
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the crawl does not end: %+v\n%s", c, p.says())
		}
	}
}

type hit struct{ URL, Title, Snippet, Capture string }

func (p *process) search(q string) []hit {
	p.t.Helper()
	var a struct{ Results []hit }
	b, status := p.get("/api/v1/search", url.Values{"q": {q}, "limit": {"100"}})
	if status == 0 && !p.alive() {
		return nil // the caller will see that it has ended
	}
	if err := json.Unmarshal(b, &a); status != http.StatusOK || err != nil {
		p.t.Errorf("search %q: status %d: %s", q, status, b)
	}
	return a.Results
}

// attested waits until no capture waits for its receipt.
func (p *process) attested() {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var st struct {
			Captures int
			Ledger   struct{ Pending, Size, Checkpoint int }
		}
		p.json("/api/v1/status", nil, &st)
		if st.Captures > 0 && st.Ledger.Pending == 0 && st.Ledger.Size > 0 && st.Ledger.Size == st.Ledger.Checkpoint {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("captures wait for their receipts: %+v\n%s", st, p.says())
		}
	}
}

// settle waits until the node has caught up with its logs, or has ended.
func (p *process) settle() {
	p.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); p.alive(); time.Sleep(50 * time.Millisecond) {
		var st struct {
			Shards []struct{ Lag int }
			Ledger struct{ Pending int }
		}
		b, status := p.get("/api/v1/status", nil)
		if status == http.StatusOK && json.Unmarshal(b, &st) == nil {
			behind := st.Ledger.Pending
			for _, s := range st.Shards {
				behind += s.Lag
			}
			if behind == 0 {
				return
			}
		}
		if time.Now().After(deadline) {
			p.t.Errorf("the node does not catch up: %s\n%s", b, p.says())
			return
		}
	}
}

// verify asks for the receipt of a page; it must hold. It reports whether there was one.
func (p *process) verify(u string, policy []byte) bool {
	p.t.Helper()
	proof, status := p.get("/api/v1/receipts", url.Values{"url": {u}})
	if status != http.StatusOK {
		return false
	}
	if _, err := receipt.Verify(proof, policy, receipt.Options{URL: u}); err != nil {
		p.t.Errorf("the receipt of %s does not hold: %v", u, err)
	}
	return true
}

// site is a small web site: page i has the words "title i" and "token<i>", and is reached from page 0. Every page is
// served after a pause.
type site struct {
	*httptest.Server
	pages int
}

func newSite(t *testing.T, pages int, pause time.Duration) site {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<title>start</title><p>The first page leads to all the others and says little else of any interest.")
		for i := range pages {
			fmt.Fprintf(w, "<a href=/p/%d>%d</a> ", i, i)
		}
	})
	mux.HandleFunc("GET /p/{i}", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(pause)
		i := r.PathValue("i")
		fmt.Fprintf(w, "<html lang=en><title>Title %s</title><main><p>This page number %s holds the word token%s and some more. %s</main>", i, i, i, filler(r.Host+"-"+i))
	})
	s := site{httptest.NewServer(mux), pages}
	t.Cleanup(s.Close)
	return s
}

// filler makes pages unlike each other, so that none counts as a copy.
func filler(seed string) string {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "w%sx%d ", seed, i*i)
	}
	return b.String()
}

func (s site) page(i int) string { return fmt.Sprintf("%s/p/%d", s.URL, i) }

// check asks for every page: what is found must be right. It returns how many were found and how many have receipts; it
// ends early when the process has.
func (s site) check(p *process, policy []byte) (found, proven int) {
	p.t.Helper()
	for i := range s.pages {
		if !p.alive() {
			return found, proven
		}
		for _, h := range p.search(fmt.Sprintf("token%d", i)) {
			if !strings.HasPrefix(h.URL, s.URL) {
				continue // of another site of the same test
			}
			if h.URL != s.page(i) || h.Title != fmt.Sprintf("Title %d", i) || !strings.Contains(h.Snippet, fmt.Sprintf("token%d", i)) {
				p.t.Errorf("token%d gives %+v", i, h)
			}
			found++
		}
		if p.verify(s.page(i), policy) {
			proven++
		}
	}
	return found, proven
}

// shardsOf returns the shards that a node has open.
func shardsOf(n *Node) []*shard.Shard {
	var list []*shard.Shard
	for _, c := range n.copies.list() {
		list = append(list, c.shard)
	}
	return list
}
