package node

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"concord"
	"concord/bus"
	"concord/cluster"
	"concord/web"
)

// A node that waits for others, or grows, is not open yet, which may take minutes. Meanwhile it answers at its addresses what it waits for:
// the command line asks over the socket how far it is, everybody else is told to come again.

// early is what a node says while it opens.
type early struct {
	n    *Node
	stop func()

	mu     sync.Mutex
	growth *web.ClusterGrowth
	why    string // what it waits for, in plain words; empty: for the others
}

// openEarly listens and answers until stop.
func (n *Node) openEarly() error {
	l, err := n.listen()
	if err != nil {
		return err
	}
	e := &early{n: n}
	public, socket := http.NewServeMux(), http.NewServeMux()
	for _, mux := range []*http.ServeMux{public, socket} {
		mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
		mux.HandleFunc("/", e.notYet)
	}
	socket.HandleFunc("GET /api/v1/cluster", e.status)
	servers := []*http.Server{{Handler: public, ReadHeaderTimeout: doorTimeout, WriteTimeout: doorTimeout}, {Handler: socket, ReadHeaderTimeout: doorTimeout, WriteTimeout: doorTimeout}}
	var serving sync.WaitGroup
	serving.Go(func() { _ = servers[0].Serve(l.tcp) })
	serving.Go(func() { _ = servers[1].Serve(l.unix) })
	e.stop = func() {
		for _, s := range servers {
			_ = s.Close()
		}
		serving.Wait()
	}
	n.early = e
	return nil
}

// closeEarly gives the addresses to the node that is open.
func (n *Node) closeEarly() {
	if n.early != nil {
		n.early.stop()
		n.early = nil
	}
}

// waits says what the node waits for.
func (e *early) waits(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.why, e.growth = why, nil
}

// grows says how far growing is.
func (e *early) grows(p bus.GrowProgress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.why, e.growth = "", &web.ClusterGrowth{Stage: p.Stage, Stream: p.Stream, Done: p.Done, Total: max(p.Total, p.Done)}
}

func (e *early) words() (string, *web.ClusterGrowth) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.growth != nil:
		return "this node grows into a cluster: " + e.growth.Words(), e.growth
	case e.why != "":
		return "this node waits for its cluster: " + e.why, nil
	}
	return "this node waits for the other nodes of its cluster", nil
}

// retryEarly is the answer to when to come again, in seconds.
const retryEarly = "5"

func (e *early) notYet(w http.ResponseWriter, _ *http.Request) {
	words, _ := e.words()
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", retryEarly)
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(web.Problem{Title: "Service Unavailable", Status: http.StatusServiceUnavailable, Detail: words})
}

func (e *early) status(w http.ResponseWriter, _ *http.Request) {
	n := e.n
	words, growth := e.words()
	st := web.ClusterStatus{State: web.ClusterWaiting, Self: n.layout.Node, Time: time.Now(), Needs: n.needs(), Growing: growth, Nodes: []web.ClusterNode{}, Partitions: []web.ClusterPartition{},
		Logs: []web.ClusterLog{}, Transfers: []web.ClusterTransfer{}, Warnings: []string{words}}
	if n.place.Load().is(growing) {
		st.State = web.ClusterGrowing
	}
	st.Nodes = append(st.Nodes, web.ClusterNode{Name: n.layout.Node, State: cluster.NodeLive, Version: concord.Version, Capacity: n.cfg.Cluster.Capacity,
		Addresses: map[string]string{addrCluster: n.cfg.Cluster.advertised()}, Started: n.started, LastSeen: st.Time, Left: []string{}})
	for _, addr := range n.place.Load().others() { // their names are told once the cluster works
		st.Nodes = append(st.Nodes, web.ClusterNode{Name: addr, State: cluster.NodeLive, Addresses: map[string]string{addrCluster: addr}, Left: []string{}})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(&st)
}
