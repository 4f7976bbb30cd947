package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"concord"
	"concord/join"

	"golang.org/x/net/netutil"
)

// The door is the cluster address of a node: HTTPS, where machines with a token join, and where nodes that joined ask whether the
// cluster works yet, and fetch the operator's keys after they were changed (keys.go). It is open while the node waits or grows too.

const (
	readyPath = "/node/v1/ready"
	// askEvery is how often a node that waits asks.
	askEvery = time.Second
	// askTimeout bounds one question, so that a node behind a door that swallows it does not count as gone at the others.
	askTimeout = 3 * time.Second
	// waitingFor is how long a node that asked counts as waiting.
	waitingFor = askEvery + askTimeout + time.Second

	// tlsAlert is what an error of the network is called that the other side told by TLS: it refuses the certificate.
	tlsAlert = "remote error"

	doorConnections = 64
	doorTimeout     = 30 * time.Second
	doorHeaderBytes = 8 << 10
	doorBodyBytes   = 64 << 10
)

// readyQuestion is asked by a node that waits.
type readyQuestion struct {
	Addr string `json:"addr"` // its cluster address
}

// readyAnswer says whether to go on.
type readyAnswer struct {
	Go    bool     `json:"go"`
	Moved bool     `json:"moved,omitempty"` // what the first node had is the cluster's; before that nobody else may make anything in its engine
	Waits bool     `json:"waits,omitempty"` // the one that answers waits itself, and cannot know
	Why   string   `json:"why,omitempty"`   // not yet, in plain words
	Peers []string `json:"peers,omitempty"` // cluster addresses of all nodes that are known
	Epoch int      `json:"epoch,omitempty"` // see membership.Epoch
}

// door serves the cluster address.
type door struct {
	n    *Node
	join *join.Server
	ln   net.Listener
	srv  *http.Server

	mu      sync.Mutex
	waiting map[string]waiting // by the name of the node
	opened  bool               // nodes that wait may start their engines
	moved   bool               // and use them
	waits   bool               // this node waits itself
}

type waiting struct {
	addr string
	seen time.Time
}

// openDoor listens and serves until close.
func (n *Node) openDoor() (*door, error) {
	d := &door{n: n, waiting: map[string]waiting{}, waits: n.place.Load().is(joining)}
	d.moved = n.place.Load().is(settled)
	d.opened = d.moved || n.place.Load().is(growing)
	var err error
	d.join, err = join.NewServer(join.ServerConfig{Identity: n.identity, Registry: n.registry, Layout: n.layoutForOthers, Peers: d.peers, Logger: n.log("join")})
	if err != nil {
		return nil, err
	}
	if d.ln, err = net.Listen("tcp", n.cfg.Cluster.Addr); err != nil {
		return nil, concord.Errorf(concord.Unavailable, "cannot listen on the cluster address %s: %w; use --cluster-addr for another", n.cfg.Cluster.Addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+join.Path, d.join)
	mux.HandleFunc("POST "+readyPath, d.ready)
	mux.HandleFunc("GET "+keysPath, d.keys)
	d.srv = &http.Server{Handler: mux, ReadHeaderTimeout: doorTimeout, ReadTimeout: doorTimeout, WriteTimeout: 2 * doorTimeout, IdleTimeout: doorTimeout,
		MaxHeaderBytes: doorHeaderBytes, ErrorLog: slog.NewLogLogger(n.log("join").Handler(), slog.LevelDebug)}
	ln := tls.NewListener(netutil.LimitListener(d.ln, doorConnections), n.identity.JoinTLS())
	go func() {
		if err := d.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			n.cfg.Logger.Error("the cluster address is not served any more; start the node again", "error", err)
		}
	}()
	return d, nil
}

func (d *door) Close() error { return d.srv.Close() }

// open lets waiting nodes go on: the cluster is there.
func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened, d.moved, d.waits = true, true, false
}

// shut makes nodes wait again.
func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened = false
}

// ready answers a node that waits. Only who shows a certificate of the cluster is answered.
func (d *door) ready(w http.ResponseWriter, r *http.Request) {
	peer, ok := join.PeerOf(r.TLS)
	var q readyQuestion
	body, err := io.ReadAll(io.LimitReader(r.Body, doorBodyBytes))
	if err == nil {
		err = json.Unmarshal(body, &q)
	}
	if !ok || err != nil {
		http.Error(w, "only nodes of the cluster are answered here", http.StatusForbidden)
		return
	}
	if _, err := engineAddr(q.Addr); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(d.answer(peer.Name, q.Addr)) // who left asks again
}

func (d *door) answer(name, addr string) readyAnswer {
	d.mu.Lock()
	_, known := d.waiting[name]
	d.waiting[name] = waiting{addr, time.Now()}
	goOn, moved, waits := d.opened, d.moved, d.waits
	d.mu.Unlock()
	if !known && !goOn && !waits {
		d.n.cfg.Logger.Info("a node waits for the cluster to work", "node", name, "address", addr)
	}
	a := readyAnswer{Go: goOn, Moved: moved, Waits: waits, Peers: d.peers(), Epoch: d.epoch()}
	switch {
	case waits:
		a.Why = "only nodes that wait themselves answer, the first one does not"
	case !goOn:
		a.Why = d.n.waitsFor(len(d.here()))
	}
	return a
}

// epoch is that of the node's cluster; one that is just founded is the first.
func (d *door) epoch() int {
	if place := d.n.place.Load(); place != nil {
		return place.epoch()
	}
	return 0
}

// here returns the cluster addresses of the nodes that wait now.
func (d *door) here() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	for _, w := range d.waiting {
		if time.Since(w.seen) < waitingFor {
			list = append(list, w.addr)
		}
	}
	slices.Sort(list)
	return list
}

// peers returns the cluster addresses of all nodes that are known, this one first.
func (d *door) peers() []string {
	list := append([]string{d.n.cfg.Cluster.advertised()}, d.here()...)
	for _, p := range d.n.peers() {
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// askReady asks all nodes at the addresses whether the cluster works. Who waits itself cannot know: the answer of one that works counts, and
// going on before waiting. Peers are what all of them know. Errors: Unavailable when nobody answers; Unauthorized when one says that this
// node was removed.
func (n *Node) askReady(ctx context.Context, peers []string) (readyAnswer, error) {
	client := doorClient(n.identity, askTimeout)
	q, err := json.Marshal(readyQuestion{n.cfg.Cluster.advertised()})
	if err != nil {
		return readyAnswer{}, err
	}
	peers = without(peers, n.cfg.Cluster.advertised())
	answers, errs := make([]readyAnswer, len(peers)), make([]error, len(peers))
	var wg sync.WaitGroup
	for i, addr := range peers {
		wg.Go(func() { answers[i], errs[i] = askDoor(ctx, client, addr, q) })
	}
	wg.Wait()
	return bestAnswer(answers, errs)
}

func bestAnswer(answers []readyAnswer, errs []error) (best readyAnswer, err error) {
	err = concord.Errorf(concord.Unavailable, "no other node is known")
	var peers []string
	heard := false
	for i, a := range answers {
		if errs[i] != nil {
			if !heard && concord.KindOf(err) != concord.Unauthorized {
				err = errs[i]
			}
			continue
		}
		peers = append(peers, a.Peers...)
		if heard && a.Epoch < best.Epoch { // of what was before the cluster was made again
			continue
		}
		if !heard || a.Epoch > best.Epoch || a.Go && !best.Go || a.Moved && !best.Moved || best.Waits && !a.Waits {
			best = a
		}
		heard, err = true, nil
	}
	slices.Sort(peers)
	best.Peers = slices.Compact(peers)
	return best, err
}

// doorClient asks at other nodes' doors, as a node of their cluster.
func doorClient(id *join.Identity, within time.Duration) *http.Client {
	return &http.Client{Timeout: within, Transport: &http.Transport{TLSClientConfig: id.ClientTLS(), DisableKeepAlives: true}}
}

func askDoor(ctx context.Context, client *http.Client, addr string, q []byte) (a readyAnswer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+addr+readyPath, readerOf(q))
	if err != nil {
		return a, err
	}
	resp, err := client.Do(req)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == tlsAlert {
		return a, concord.Errorf(concord.Unauthorized, "node at %s refuses this node's certificate (%w): this node was removed from the cluster, or was off for too long. Let it join anew, with an empty data directory and a token (concord cluster token)", addr, err)
	}
	if err != nil {
		return a, concord.Errorf(concord.Unavailable, "node at %s: %w", addr, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, doorBodyBytes))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = concord.Errorf(concord.Unavailable, "node at %s: %s", addr, concord.Clip(string(body), 200))
	}
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	return a, err
}
