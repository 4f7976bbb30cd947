package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// concurrency is how many hosts every crawler may talk to at once.
const concurrency = 64

// nodeConfig is the configuration of the node under test: everything is the default but the pauses. The pause is fixed,
// its upper bound being its lower, because the peers know no other.
const nodeConfig = `operator: bench.example
contact: http://127.0.0.1/bot
crawl:
  concurrency: %d
  min_delay: %s
  max_delay: %s
  address_delay: 1ns
  retry_after: [1s, 2s, 60s]
  patience: 5s
`

// process is a running `concord up` on a new data directory.
type process struct {
	dir   string     // data directory
	ready chan error // gets nil when it serves
	cmd   *exec.Cmd
	meter *meter
	sock  *http.Client // over the node's socket, where no rate limit applies
	log   *os.File
}

// startNode starts the program in a new data directory and waits until it serves.
func startNode(c config, delay time.Duration) (*process, error) {
	n, err := launchNode(c, delay, nil)
	if err != nil {
		return nil, err
	}
	if err := <-n.ready; err != nil {
		n.stop()
		return nil, err
	}
	return n, nil
}

// launchNode starts the program in a new data directory, with further settings from the environment and further arguments.
func launchNode(c config, delay time.Duration, env []string, args ...string) (*process, error) {
	dir, err := os.MkdirTemp(c.work, "node-")
	if err != nil {
		return nil, err
	}
	delay = max(delay, 1) // zero would mean the default
	cfg := filepath.Join(dir, "concord.yaml")
	if err := os.WriteFile(cfg, fmt.Appendf(nil, nodeConfig, concurrency, delay, delay), 0o600); err != nil {
		return nil, err
	}
	n := &process{dir: filepath.Join(dir, "d"), ready: make(chan error, 1)}
	if n.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	n.cmd = exec.Command(c.bin, append([]string{"up", "--data", n.dir, "--http", "127.0.0.1:0", "--config", cfg, "--log", "warn"}, args...)...)
	n.cmd.Stderr, n.cmd.Env = n.log, append(os.Environ(), env...)
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	n.meter = follow(n.cmd)
	n.sock = socketClient(n.dir)
	go n.listen(c, out)
	return n, nil
}

// listen waits for the node to say that it serves. It says so again when it has become one of many.
func (n *process) listen(c config, out io.Reader) {
	r := bufio.NewReader(out)
	first, err := r.ReadString('\n')
	if strings.HasPrefix(first, "ready ") {
		n.ready <- nil
		_, _ = io.Copy(io.Discard, r)
		return
	}
	n.ready <- fmt.Errorf("%s said %q, want its address: %w; see %s", c.bin, first, err, n.log.Name())
}

func socketClient(dir string) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "concord.sock"))
	}}}
}

// stop ends the node and returns what it used: CPU time and peak memory.
func (n *process) stop() usage {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	use, _ := n.meter.wait()
	n.log.Close()
	return use
}

// remove deletes the node's files.
func (n *process) remove() { os.RemoveAll(filepath.Dir(n.dir)) }

func (n *process) get(path string, params url.Values, v any) (int, error) {
	resp, err := n.sock.Get("http://node" + path + "?" + params.Encode())
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if v == nil || resp.StatusCode != http.StatusOK {
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	return resp.StatusCode, json.NewDecoder(resp.Body).Decode(v)
}

// crawlState is what the API says of a crawl.
type crawlState struct {
	ID               string
	Done, Searchable bool
	Fetched, Indexed int64
	Failed, Refused  int64
	Queued, Bytes    int64
}

// start begins a crawl of the seeds.
func (n *process) start(seeds []string) (string, error) {
	body, err := json.Marshal(map[string]any{"seeds": seeds, "allowPrivate": true})
	if err != nil {
		return "", err
	}
	resp, err := n.sock.Post("http://node/api/v1/crawls", "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var s crawlState
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || s.ID == "" {
		return "", fmt.Errorf("start crawl: status %s: %w", resp.Status, err)
	}
	return s.ID, nil
}

func (n *process) crawl(id string) (s crawlState, err error) {
	code, err := n.get("/api/v1/crawls/"+id, nil, &s)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("crawl %s: status %d", id, code)
	}
	return s, err
}

// await waits until every page of a crawl can be found, and then until every capture has its receipt.
func (n *process) await(ctx context.Context, id string, each func(crawlState) error) (s crawlState, searchable, attested time.Time, err error) {
	for searchable.IsZero() {
		if s, err = n.crawl(id); err != nil {
			return
		}
		if each != nil {
			if err = each(s); err != nil {
				return
			}
		}
		if s.Searchable {
			searchable = time.Now()
		} else if err = pause(ctx, 250*time.Millisecond); err != nil {
			return
		}
	}
	for {
		var st struct{ Ledger struct{ Pending uint64 } }
		if _, err = n.get("/api/v1/status", nil, &st); err != nil {
			return
		}
		if st.Ledger.Pending == 0 {
			return s, searchable, time.Now(), nil
		}
		if err = pause(ctx, 100*time.Millisecond); err != nil {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
