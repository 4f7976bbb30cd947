//go:build e2e

// Package e2e holds tests of whole nodes: the real binary, real pages on loopback addresses, real kills.
package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is the program under test: $CONCORD_BIN, or what `make build` leaves.
func binary(t testing.TB) string {
	t.Helper()
	bin := os.Getenv("CONCORD_BIN")
	if bin == "" {
		bin = "../bin/concord"
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("no program at %s: run make build first", bin)
	}
	return bin
}

// node is one running process on a data directory that outlives it.
type node struct {
	t    testing.TB
	bin  string
	dir  string
	cfg  string
	addr string // "http://127.0.0.1:PORT"
	cmd  *exec.Cmd
	log  *os.File
}

// fastConfig makes the crawler as quick as a loopback web allows; everything else is the default.
const fastConfig = `operator: e2e.example
contact: http://127.0.0.1/bot
crawl:
  min_delay: 2ms
  max_delay: 1s
  address_delay: 1ms
  retry_after: [1s, 2s, 60s]
  backoff_unit: 50ms
  patience: 15s
`

func newNode(t testing.TB) *node {
	t.Helper()
	// Not t.TempDir(): its name would be too long for a socket.
	dir, err := os.MkdirTemp("", "concord-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, bin: binary(t), dir: dir, cfg: filepath.Join(dir, "concord.yaml")}
	if err := os.WriteFile(n.cfg, []byte(fastConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	n.log, err = os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.kill()
		n.log.Close()
		if t.Failed() {
			tail := n.tail(8) // few: the failures above must stay in sight
			t.Logf("last lines of the node's log:\n%s", tail)
		}
		if os.Getenv("CONCORD_KEEP") == "" {
			os.RemoveAll(dir)
		} else {
			t.Logf("kept %s", dir)
		}
	})
	return n
}

func (n *node) data() string { return filepath.Join(n.dir, "d") }

func (n *node) tail(lines int) string {
	b, _ := os.ReadFile(n.log.Name())
	l := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(l[max(0, len(l)-lines):], "\n")
}

// start runs the node and waits for its "ready" line.
func (n *node) start() {
	n.t.Helper()
	n.cmd = exec.Command(n.bin, "up", "--data", n.data(), "--http", "127.0.0.1:0", "--config", n.cfg)
	n.cmd.Stderr = n.log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		ready <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case line := <-ready:
		addr, ok := strings.CutPrefix(line, "ready ")
		if !ok {
			n.t.Fatalf("the node printed %q, want \"ready http://…\"; its log ends:\n%s", line, n.tail(20))
		}
		n.addr = addr
	case <-time.After(time.Minute):
		n.t.Fatalf("the node is not ready after a minute; its log ends:\n%s", n.tail(20))
	}
}

// kill ends the node with SIGKILL, in the middle of whatever it does.
func (n *node) kill() {
	if n.cmd != nil && n.cmd.Process != nil {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
		n.cmd = nil
	}
}

// stop ends the node with SIGTERM and returns how long it took.
func (n *node) stop() time.Duration {
	n.t.Helper()
	start := time.Now()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	if err := n.cmd.Wait(); err != nil {
		n.t.Errorf("SIGTERM: %v", err)
	}
	n.cmd = nil
	return time.Since(start)
}

// run executes one command against the node and returns what it printed, standard error last, and its exit code.
func (n *node) run(args ...string) (string, int) {
	n.t.Helper()
	cmd := exec.Command(n.bin, append(args, "--data", n.data())...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	code := 0
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		n.t.Fatal(err)
	}
	return string(out) + stderr.String(), code
}

// must is for commands that have to succeed; it returns their standard output.
func (n *node) must(args ...string) string {
	n.t.Helper()
	out, err := exec.Command(n.bin, append(args, "--data", n.data())...).Output()
	if exit, ok := err.(*exec.ExitError); ok {
		n.t.Fatalf("concord %s: exit code %d: %s%s", strings.Join(args, " "), exit.ExitCode(), out, exit.Stderr)
	} else if err != nil {
		n.t.Fatal(err)
	}
	return string(out)
}

// get reads an API answer over TCP.
func (n *node) get(path string, params url.Values) ([]byte, int, error) {
	resp, err := http.Get(n.addr + path + "?" + params.Encode())
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return b, resp.StatusCode, err
}

// json reads an API answer into v.
func (n *node) json(path string, params url.Values, v any) {
	n.t.Helper()
	b, code, err := n.get(path, params)
	if err != nil || code != http.StatusOK {
		n.t.Fatalf("GET %s?%s: %d %v: %s", path, params.Encode(), code, err, b)
	}
	if err := json.Unmarshal(b, v); err != nil {
		n.t.Fatalf("GET %s: %v", path, err)
	}
}

// crawl starts a crawl and returns its ID.
func (n *node) crawl(seeds []string, args ...string) string {
	n.t.Helper()
	out := n.must(append(append([]string{"crawl", "--allow-private", "--json"}, args...), seeds...)...)
	var c struct{ ID string }
	if err := json.Unmarshal([]byte(out), &c); err != nil || c.ID == "" {
		n.t.Fatalf("crawl --json printed %q: %v", out, err)
	}
	return c.ID
}

// crawlState is what the API says of a crawl.
type crawlState struct {
	ID                                          string
	Done, Searchable                            bool
	Fetched, Indexed, Failed, Refused, InFlight int64
	Queued, Skipped                             int64
}

func (n *node) crawlState(id string) (c crawlState, err error) {
	b, code, err := n.get("/api/v1/crawls/"+id, nil)
	if err != nil {
		return c, err
	}
	if code != http.StatusOK {
		return c, fmt.Errorf("status %d: %s", code, b)
	}
	return c, json.Unmarshal(b, &c)
}

// await polls until a crawl is done and searchable.
func (n *node) await(id string, limit time.Duration) crawlState {
	n.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		c, err := n.crawlState(id)
		if err != nil {
			n.t.Fatalf("crawl %s: %v", id, err)
		}
		if c.Searchable {
			return c
		}
		if time.Now().After(deadline) {
			hosts, _, _ := n.get("/api/v1/hosts", url.Values{"limit": {"20"}})
			n.t.Fatalf("crawl not done after %v: %+v\nhosts: %s", limit, c, hosts)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// captures returns all captures of a URL.
func (n *node) captures(u string) (list []capture) {
	n.t.Helper()
	var a struct{ Captures []capture }
	n.json("/api/v1/captures", url.Values{"url": {u}, "limit": {"100"}}, &a)
	return a.Captures
}

type capture struct {
	ID, URL, Skip, Duplicate, Revisit string
	Status                            int
}

type result struct{ URL, Title, Snippet, Capture, Receipt string }

func (n *node) search(q string, limit int) (results []result, total int) {
	n.t.Helper()
	var a struct {
		Results []result
		Total   int
		Shards  struct{ Asked, Answered int }
	}
	n.json("/api/v1/search", url.Values{"q": {q}, "limit": {fmt.Sprint(limit)}}, &a)
	if a.Shards.Asked == 0 || a.Shards.Asked != a.Shards.Answered {
		n.t.Errorf("search %q: %d of %d shards answered", q, a.Shards.Answered, a.Shards.Asked)
	}
	return a.Results, a.Total
}
