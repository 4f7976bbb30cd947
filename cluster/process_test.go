//go:build unix

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"concord"
	"concord/cluster/memstore"
)

// These tests run nodes as processes of their own, which are stopped and killed by real signals. Store and leases are in
// the process of the test, behind a socket.

const (
	childEnv   = "CONCORD_CLUSTER_TEST_CHILD" // name of the node and path of the socket, "a /tmp/…"
	processTTL = time.Second
)

func TestMain(m *testing.M) {
	if child := os.Getenv(childEnv); child != "" {
		if err := runChild(child); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // these tests wait rather than work; the flag exists
	os.Exit(m.Run())
}

// call is a request over the socket, and its answer.
type call struct {
	Op, Name, Holder string
	Data             []byte
	TTL              time.Duration
	Revision         uint64

	Kind concord.Kind
	Err  string
}

// referee is the outside world of the processes: it serves store and leases, and writes down what they do.
type referee struct {
	t      *testing.T
	store  *memstore.Store
	leases *memLeases

	mu      sync.Mutex
	fences  map[string]uint64 // committed last, of each partition
	owner   map[string]string // who committed last
	refused map[string]int    // commits, by node
	late    map[string]int    // effects of a node on a partition whose lease another had
	effects int
}

func (r *referee) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var c call
	if err := json.NewDecoder(req.Body).Decode(&c); err != nil {
		r.t.Error(err)
		return
	}
	var err error
	ctx := req.Context()
	switch c.Op {
	case "get":
		var m concord.Manifest
		m, err = r.store.Get(ctx, c.Name)
		c.Data, c.Revision = m.Data, m.Revision
	case "put":
		c.Revision, err = r.store.Put(ctx, c.Name, c.Data, c.Revision)
	case "watch":
		enc := json.NewEncoder(w)
		_ = r.store.Watch(ctx, c.Name, func(name string, m concord.Manifest) error {
			err := enc.Encode(call{Name: name, Data: m.Data, Revision: m.Revision})
			w.(http.Flusher).Flush()
			return err
		})
		return
	case "acquire":
		c.Revision, err = r.leases.Acquire(ctx, c.Name, c.Holder, c.TTL)
	case "renew":
		c.Revision, err = r.leases.Renew(ctx, c.Name, c.Holder, c.TTL, c.Revision)
	case "release":
		err = r.leases.Release(ctx, c.Name, c.Revision)
	case "commit":
		err = r.commit(c)
	case "effect":
		r.effect(c)
	}
	if err != nil {
		c.Kind, c.Err = concord.KindOf(err), err.Error()
	}
	_ = json.NewEncoder(w).Encode(c) // a process that was killed does not hear it
}

// commit is a manifest's compare-and-set.
func (r *referee) commit(c call) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Revision < r.fences[c.Name] {
		r.refused[c.Holder]++
		return concord.Errorf(concord.Conflict, "fence %d is older than %d", c.Revision, r.fences[c.Name])
	}
	if c.Revision == r.fences[c.Name] && r.owner[c.Name] != c.Holder {
		r.t.Errorf("%s and %s both have fence %d of %s", c.Holder, r.owner[c.Name], c.Revision, c.Name)
	}
	r.fences[c.Name], r.owner[c.Name] = c.Revision, c.Holder
	return nil
}

// effect is something no compare-and-set guards, such as a request to somebody's server.
func (r *referee) effect(c call) {
	r.leases.mu.Lock()
	x, held := r.leases.live(c.Name)
	r.leases.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.effects++
	if held && x.holder != c.Holder {
		r.late[c.Holder+" "+c.Name]++
	}
}

func (r *referee) ownedBy(nodes ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := partitionNames(2, 2)
	for p, node := range Assign(names, candidates(nodes)) {
		if r.owner[p] != node {
			return false
		}
	}
	return true
}

// remote is the other end of a referee: store and leases of a process.
type remote struct{ client *http.Client }

func (r remote) open(ctx context.Context, c call) (io.ReadCloser, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://referee/", bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, concord.Errorf(concord.Unavailable, "%w", err)
	}
	return resp.Body, nil
}

func (r remote) do(ctx context.Context, c call) (call, error) {
	body, err := r.open(ctx, c)
	if err != nil {
		return c, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&c); err != nil {
		return c, concord.Errorf(concord.Unavailable, "%w", err)
	}
	if c.Err != "" {
		return c, concord.Errorf(c.Kind, "%s", c.Err)
	}
	return c, nil
}

func (r remote) Get(ctx context.Context, name string) (concord.Manifest, error) {
	c, err := r.do(ctx, call{Op: "get", Name: name})
	return concord.Manifest{Data: c.Data, Revision: c.Revision}, err
}

func (r remote) Put(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	c, err := r.do(ctx, call{Op: "put", Name: name, Data: data, Revision: revision})
	return c.Revision, err
}

func (r remote) Delete(context.Context, string, uint64) error {
	return concord.Errorf(concord.Internal, "not used by these processes")
}

func (r remote) Watch(ctx context.Context, prefix string, f func(string, concord.Manifest) error) error {
	body, err := r.open(ctx, call{Op: "watch", Name: prefix})
	if err != nil {
		return err
	}
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var c call
		if err := dec.Decode(&c); err != nil {
			return concord.Errorf(concord.Unavailable, "%w", err)
		}
		if err := f(c.Name, concord.Manifest{Data: c.Data, Revision: c.Revision}); err != nil {
			return err
		}
	}
}

func (r remote) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (uint64, error) {
	c, err := r.do(ctx, call{Op: "acquire", Name: name, Holder: holder, TTL: ttl})
	return c.Revision, err
}

func (r remote) Renew(ctx context.Context, name, holder string, ttl time.Duration, revision uint64) (uint64, error) {
	c, err := r.do(ctx, call{Op: "renew", Name: name, Holder: holder, TTL: ttl, Revision: revision})
	return c.Revision, err
}

func (r remote) Release(ctx context.Context, name string, revision uint64) error {
	_, err := r.do(ctx, call{Op: "release", Name: name, Revision: revision})
	return err
}

// worker is a partition that commits and has effects all the time.
type worker struct {
	remote
	keeper *Keeper
	name   string
}

func (w worker) Name() string { return w.name }

func (w worker) Run(ctx context.Context, fence uint64) error {
	for ctx.Err() == nil {
		if _, err := w.do(ctx, call{Op: "commit", Name: w.name, Holder: w.keeper.Node, Revision: fence}); concord.KindOf(err) == concord.Conflict {
			return err
		}
		if _, ok := w.keeper.Owned(w.name); ok {
			_, _ = w.do(ctx, call{Op: "effect", Name: w.name, Holder: w.keeper.Node}) // the referee counts
		}
		pause(ctx, 3*time.Millisecond)
	}
	return nil
}

// runChild is the process of one node.
func runChild(arg string) error {
	var name, socket string
	if _, err := fmt.Sscan(arg, &name, &socket); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	r := remote{&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}}
	m, err := NewMembers(MembersConfig{Store: r, Self: Record{Name: name}, TTL: processTTL, Logger: testLogger()})
	if err != nil {
		return err
	}
	k := &Keeper{Leases: r, Node: name, TTL: processTTL, Settle: processTTL / 2, Members: m, Logger: testLogger()}
	memberCtx, endMember := context.WithCancel(context.Background())
	memberDone := make(chan error, 1)
	go func() { memberDone <- m.Run(memberCtx) }()
	var parts []Partition
	for _, p := range partitionNames(2, 2) {
		parts = append(parts, worker{r, k, p})
	}
	err = k.Run(ctx, parts...)
	endMember()
	return errors.Join(err, <-memberDone)
}

func (r *referee) start(name, socket string) *exec.Cmd {
	r.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+name+" "+socket)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill() // one that ended already is what we want
		_ = cmd.Wait()
	})
	return cmd
}

func (r *referee) await(what string, ok func() bool) time.Duration {
	r.t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > 20*time.Second {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("never: %s; owners: %v", what, r.owner)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

func TestProcessesThatAreStoppedAndKilled(t *testing.T) {
	t.Parallel()
	r := &referee{t: t, store: memstore.New(), leases: newMemLeases(), fences: map[string]uint64{}, owner: map[string]string{}, refused: map[string]int{}, late: map[string]int{}}
	socket := filepath.Join(t.TempDir(), "socket")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: r}
	go func() { _ = srv.Serve(ln) }() // ends by Close
	t.Cleanup(func() { _ = srv.Close() })
	r.start("a", socket)
	b := r.start("b", socket)
	c := r.start("c", socket)
	r.await("all as assigned", func() bool { return r.ownedBy("a", "b", "c") })

	signalTo(t, b, syscall.SIGSTOP)
	t.Logf("b stands still: taken over after %v", r.await("b's are taken over", func() bool { return r.ownedBy("a", "c") }))
	signalTo(t, b, syscall.SIGCONT)
	t.Logf("b goes on: has its share again after %v", r.await("b has its share again", func() bool { return r.ownedBy("a", "b", "c") }))

	signalTo(t, c, syscall.SIGKILL)
	t.Logf("c was killed: taken over after %v", r.await("c's are taken over", func() bool { return r.ownedBy("a", "b") }))
	signalTo(t, b, syscall.SIGTERM)
	t.Logf("b says goodbye: taken over after %v", r.await("b's are taken over", func() bool { return r.ownedBy("a") }))
	if err := b.Wait(); err != nil {
		t.Errorf("b ended with %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Logf("%d effects; late %v; commits refused %v", r.effects, r.late, r.refused)
	for who, n := range r.late {
		if n > 1 { // one may have been under way, between the check and the socket
			t.Errorf("%s had %d effects while another node had the lease", who, n)
		}
	}
}

func signalTo(t *testing.T, cmd *exec.Cmd, s os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
