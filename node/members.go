package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"concord"
	"concord/blob"
	"concord/bus"
	"concord/cluster"
	"concord/durable"
	"concord/state"
)

// clustered says that this node works as one of a cluster. It changes only between two runs.
func (n *Node) clustered() bool { return n.place.Load().is(settled) }

// keepsLedger says that the operator's validator runs here.
func (n *Node) keepsLedger() bool { return !n.clustered() || n.place.Load().Ledger }

// Names of partitions.
const (
	attestorName = "attestor"
	shardPrefix  = "shard."
)

// Purposes of a member's addresses, see cluster.Record.
const (
	addrCluster = "cluster"
	addrHTTP    = "http"
)

// ledgerKept is what the node with the validator cannot hand over.
const ledgerKept = "the ledger's validator, which moves only by hand"

// openMembers opens what a node of a cluster has beside a node alone: the others, the shared files, and the states of partitions.
func (n *Node) openMembers(ctx context.Context) error {
	if !n.clustered() {
		n.keeper = &cluster.Keeper{Leases: n.leases, Node: n.layout.Node, Logger: n.log("cluster")}
		return nil
	}
	if err := n.openBlobs(ctx); err != nil {
		return err
	}
	manifests, err := n.bus.Manifests(ctx, stateBucket)
	if err != nil {
		return err
	}
	if n.states, err = state.New(state.Config{Blobs: n.blobs, Manifests: manifests, Node: n.layout.Node, Logger: n.log("state")}); err != nil {
		return err
	}
	c := n.cfg.Cluster
	self := cluster.Record{Name: n.layout.Node, Version: concord.Version, Capacity: n.capacity(), Generation: n.identity.Peer().Generation,
		Addrs: map[string]string{addrCluster: c.advertised()}}
	self.DiskFree, self.DiskTotal, _ = durable.FreeSpace(n.cfg.Data) // told later if it cannot be told now
	if n.keepsLedger() {
		self.Keeps = append(self.Keeps, ledgerKept)
	}
	if n.cfg.NATS == "" {
		self.Keeps = append(self.Keeps, logsKept)
	}
	n.members, err = cluster.NewMembers(cluster.MembersConfig{Store: &n.directory, Self: self, TTL: c.Lease, Revoke: n.registry.Remove, Logger: n.log("cluster")})
	if err != nil {
		return err
	}
	n.keeper = &cluster.Keeper{Leases: n.leases, Node: n.layout.Node, TTL: c.Lease, Members: n.members, Logger: n.log("cluster")}
	return nil
}

func (n *Node) openBlobs(ctx context.Context) (err error) {
	if n.cfg.Blobs == "" {
		n.blobs, err = n.bus.Blobs(ctx, n.blobSpace())
		return err
	}
	place, err := blob.Parse(n.cfg.Blobs)
	if err != nil {
		return err
	}
	n.blobs, err = place.Open(ctx)
	return err
}

// blobSpace returns how many bytes blobs may take, on each node that has a copy. It has to be the same on all nodes, whatever their disks, so
// without a setting it is no bound at all: what is watched is the space that is left.
func (n *Node) blobSpace() int64 {
	if n.cfg.Cluster.BlobSpace > 0 {
		return n.cfg.Cluster.BlobSpace
	}
	return bus.NoBound
}

// view returns the cluster as this node knows it; alone it has no members.
func (n *Node) view() *cluster.View {
	if n.members == nil {
		return &cluster.View{Self: n.layout.Node}
	}
	v, _ := n.members.View()
	return v
}

// ledgerKeeper returns the node that keeps the ledger, as far as it is known. Of several that say so, as when the ledger was moved from a machine that
// did not come back, it is one that is live.
func ledgerKeeper(v *cluster.View) (keeper cluster.Member, known bool) {
	for _, m := range v.Members {
		if slices.Contains(m.Keeps, ledgerKept) && (!known || m.Live && !keeper.Live) {
			keeper, known = m, true
		}
	}
	return keeper, known
}

// others returns the names of the other nodes that are live.
func (n *Node) others() []string {
	var list []string
	for _, m := range n.view().Members {
		if m.Live && m.Name != n.layout.Node {
			list = append(list, m.Name)
		}
	}
	return list
}

// peers returns the cluster addresses of the other nodes that are known, live or not.
func (n *Node) peers() []string {
	var list []string
	for _, m := range n.view().Members {
		if a := m.Addrs[addrCluster]; a != "" && m.Name != n.layout.Node && !m.Removed {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		list = n.place.Load().others()
	}
	return list
}

// ownerOf returns the node that runs a partition. Errors: Unavailable when nobody does at the moment.
func (n *Node) ownerOf(partition string) (string, error) {
	m, ok := n.view().Owner(partition)
	if !ok {
		return "", concord.Errorf(concord.Unavailable, "no node runs %s at the moment; try again in a few seconds", partition)
	}
	return m.Name, nil
}

// partitionNames are all partitions of the cluster.
func (n *Node) partitionNames() []string {
	names := []string{attestorName}
	for i := range n.layout.Shards {
		names = append(names, shardName(i))
	}
	for i := range n.layout.Frontiers {
		names = append(names, concord.FrontierSubject(i))
	}
	return names
}

// answerTime bounds what one node waits for others while somebody waits for it.
const answerTime = 3 * time.Second

// answerOf is a node's answer.
type answerOf[A any] struct {
	Node   string
	Answer A
	Err    error
}

// askOthers puts one question to all other live nodes at a time, and returns their answers in the order of their names.
func askOthers[Q, A any](ctx context.Context, n *Node, service string, q Q) []answerOf[A] {
	return askNodes[Q, A](ctx, n, n.others(), service, q)
}

func askNodes[Q, A any](ctx context.Context, n *Node, nodes []string, service string, q Q) []answerOf[A] {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	out := make([]answerOf[A], len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() {
			out[i].Node = node
			out[i].Answer, out[i].Err = call[Q, A](ctx, n.bus, node, service, q)
		})
	}
	wg.Wait()
	return out
}

// live keeps the membership going: the directory, the heartbeat, the certificate, and what this node remembers for its next start. A node
// alone that lets others join has a certificate and a directory too.
func (n *Node) live(ctx context.Context) error {
	if n.place.Load() == nil { // it may found a cluster from now on, which is lived by the run that is begun when others have come
		return nil
	}
	run := make(chan error, 4)
	tasks := []func(context.Context) error{n.registry.Run, n.identity.Run, n.remember}
	if n.members != nil {
		tasks = append(tasks, n.members.Run)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, t := range tasks {
		go func() { run <- t(ctx) }()
	}
	var first error
	for range tasks {
		if err := <-run; err != nil && first == nil && ctx.Err() == nil {
			first = err
			cancel()
		}
	}
	return first
}

// remember keeps the addresses of the other nodes for the next start, and tells the others of this node's disk.
func (n *Node) remember(ctx context.Context) error {
	for full := false; sleep(ctx, rememberEvery) == nil; {
		if !n.clustered() {
			continue
		}
		if err := n.place.Load().set(settled, n.peers()); err != nil {
			n.cfg.Logger.Warn("the addresses of the other nodes are not noted", "error", err)
		}
		free, total, err := durable.FreeSpace(n.cfg.Data)
		if err != nil {
			continue
		}
		if was := full; full != fillsUp(full, free, uint64(n.cfg.Crawl.FreeSpace), n.view()) {
			full = !was
			n.cfg.Logger.Warn("the space on the disk decides whether this node takes part in the work", "takes part", !full, "free bytes", free)
		}
		n.members.Update(func(r *cluster.Record) {
			r.DiskFree, r.DiskTotal, r.Capacity = free, total, n.capacity()
			if full {
				r.Capacity = noCapacity
			}
		})
	}
	return nil
}

// fillsUp says whether a node should leave the work to others since its disk is nearly full: nothing is fetched below floor, so the sites of its
// partitions would wait for as long. It comes back when a quarter more is free. While no other node has space, leaving would help nobody.
func fillsUp(was bool, free, floor uint64, v *cluster.View) bool {
	if was {
		floor += floor / 4
	}
	return free < floor && slices.ContainsFunc(v.Members, func(m cluster.Member) bool {
		return m.Name != v.Self && m.Live && !m.Leaving && m.Capacity > 0 && m.DiskFree >= floor
	})
}

// noCapacity is that of a node that owns nothing; 0 would be the default.
const noCapacity = -1

func (n *Node) capacity() int {
	if n.cfg.Cluster.Capacity == 0 {
		return noCapacity
	}
	return n.cfg.Cluster.Capacity
}

const rememberEvery = 5 * time.Second
