package node

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/bus"
	"concord/cluster"
	"concord/state"
	"concord/web"
)

// steering implements web.Cluster.
type steering struct{ n *Node }

// Token implements web.Cluster.
func (s steering) Token(ctx context.Context, life time.Duration, uses int) (web.ClusterToken, error) {
	t, addr, err := s.n.newToken(ctx, life, uses)
	if err != nil {
		return web.ClusterToken{}, err
	}
	return web.ClusterToken{Token: t.String(), Join: addr, Expires: t.Expires}, nil
}

// errAlone is the answer of a node that has nobody to hand over to.
func errAlone() error {
	return concord.Errorf(concord.Conflict, "this node is alone: let others join first (concord cluster token)")
}

// Drain implements web.Cluster.
func (s steering) Drain(ctx context.Context, node string, undo bool) error {
	switch {
	case s.n.members == nil:
		return errAlone()
	case undo:
		return s.n.members.Undrain(ctx, node)
	}
	return s.n.members.Drain(ctx, node)
}

// Remove implements web.Cluster.
func (s steering) Remove(ctx context.Context, node string, force bool) error {
	if s.n.members == nil {
		return errAlone()
	}
	if err := s.n.members.Remove(ctx, node, force); err != nil {
		return err
	}
	if s.n.cfg.NATS != "" {
		return nil
	}
	err := s.n.bus.Remove(ctx, node)
	if concord.KindOf(err) == concord.NotFound { // it never came
		return nil
	}
	return err
}

// Status implements web.Cluster.
func (s steering) Status(ctx context.Context) (web.ClusterStatus, error) {
	n := s.n
	st := web.ClusterStatus{State: web.ClusterAlone, Self: n.layout.Node, Time: time.Now(), Hears: true}
	if !n.clustered() {
		n.placeMu.Lock()
		door := n.door
		n.placeMu.Unlock()
		if door != nil {
			st.State, st.Needs = web.ClusterWaiting, n.needs()
			st.Nodes = door.nodes()
			if !n.growthFailed.IsZero() {
				st.Warnings = append(st.Warnings, "the cluster did not come about although enough nodes were here; this node's log says why, and it tries again")
			}
		}
		return st, nil
	}
	c := n.members.Status(n.partitionNames())
	st.State, st.Hears, st.LastBeat, st.Moving, st.Unowned = web.ClusterMember, c.Hears, c.LastBeat, c.Moving, c.Unowned
	known := n.known.get()
	for _, x := range c.Nodes {
		m, _ := n.view().Member(x.Name)
		st.Nodes = append(st.Nodes, web.ClusterNode{Name: x.Name, State: x.State, Version: x.Version, Addresses: x.Addrs, Capacity: x.Capacity,
			Started: x.Started, LastSeen: x.LastSeen, DiskFree: x.DiskFree, DiskTotal: x.DiskTotal, Owns: x.Owns, Assigned: x.Assigned, Left: x.Left,
			Ledger: slices.Contains(m.Keeps, ledgerKept)})
	}
	for _, p := range c.Partitions {
		out := web.ClusterPartition{Name: p.Name, State: p.State, Owner: p.Owner, Fence: p.Fence, Since: p.Since, Assigned: p.Assigned, Why: p.Why}
		for _, r := range p.Replicas {
			x := web.ClusterReplica{Node: r.Node, Position: r.Position}
			if i, ok := shardNumber(p.Name); ok && i < len(known.last) && known.last[i] > r.Position {
				x.Lag = known.last[i] - r.Position
			}
			out.Replicas = append(out.Replicas, x)
		}
		st.Partitions = append(st.Partitions, out)
	}
	for _, l := range known.logs {
		out := web.ClusterLog{Name: l.Name, Messages: l.Messages, Bytes: l.Bytes, Replicas: l.Replicas, Leader: l.Leader}
		for _, c := range l.Copies {
			out.Copies = append(out.Copies, web.ClusterLogCopy{Node: c.Node, Online: c.Online, Current: c.Current, Lag: c.Lag})
		}
		st.Logs = append(st.Logs, out)
	}
	st.Blobs = web.ClusterBlobs{Place: "the cluster's nodes", Bytes: int64(known.blobs)}
	if n.cfg.Blobs != "" {
		st.Blobs = web.ClusterBlobs{Place: n.cfg.Blobs}
	}
	st.Transfers = known.moving
	p := n.vault.Progress()
	st.Warnings = append(p.Problems, known.scrub.warnings()...)
	if !known.ready {
		st.State = web.ClusterGrowing
		st.Growing = &web.ClusterGrowth{Stage: "save", PartitionsSaved: known.saved, Partitions: len(n.partitionNames()),
			ArchiveCopied: p.Done, ArchiveTotal: p.Total}
	}
	return st, nil
}

// nodes are this node and those that wait at its door.
func (d *door) nodes() []web.ClusterNode {
	list := []web.ClusterNode{{Name: d.n.layout.Node, State: cluster.NodeLive, Version: concord.Version, Capacity: d.n.cfg.Cluster.Capacity,
		Addresses: map[string]string{addrCluster: d.n.cfg.Cluster.advertised()}, Started: d.n.started, LastSeen: time.Now(), Ledger: true}}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, w := range d.waiting {
		state := cluster.NodeLive
		if time.Since(w.seen) > waitingFor {
			state = cluster.NodeDead
		}
		list = append(list, web.ClusterNode{Name: name, State: state, Addresses: map[string]string{addrCluster: w.addr}, LastSeen: w.seen})
	}
	return list
}

// known is what takes long to find out about the cluster, looked up every few seconds.
type known struct {
	logs   []bus.LogStatus
	last   []uint64 // newest message of each shard's log
	blobs  uint64   // bytes of them, once
	moving []web.ClusterTransfer
	scrub  scrubbed // what the last comparison of the logs' copies found
	ready  bool     // the cluster works: see sayReady
	saved  int      // partitions that are saved: all of them, before it does
}

// knownCell keeps it, and remembers when somebody wanted it last.
type knownCell struct {
	mu    sync.Mutex
	k     known
	asked time.Time
}

func (c *knownCell) get() known {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = time.Now()
	return c.k
}

func (c *knownCell) set(k known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.k = k
}

// wanted says that somebody looked a short while ago.
func (c *knownCell) wanted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.asked) < 5*knowEvery
}

const (
	// knowEvery is how old may be what is known while somebody looks, knowIdly how old while nobody does: to find out asks every node.
	knowEvery = 3 * time.Second
	knowIdly  = 15 * time.Second
)

// serviceMoving tells which states a node saves or loads.
const serviceMoving = "state-moving"

// keepKnown refreshes what is known.
func (n *Node) keepKnown(ctx context.Context) error {
	ready := false
	for n.clustered() {
		var k known
		k.logs, _ = n.bus.Logs(ctx) // what cannot be told is left out
		for _, l := range k.logs {
			if l.Name == bus.BlobStream {
				k.blobs = l.Bytes
			}
		}
		for i := range n.layout.Shards {
			last, _ := n.captures.Last(ctx, concord.CaptureSubject(i))
			k.last = append(k.last, last)
		}
		k.scrub, _, _ = n.lastScrub(ctx)
		k.moving = transfers(n.layout.Node, n.states.Moving())
		for _, a := range askOthers[none, []state.Transfer](ctx, n, serviceMoving, none{}) {
			k.moving = append(k.moving, transfers(a.Node, a.Answer)...)
		}
		if !ready {
			_, err := n.directory.Get(ctx, readyName)
			if ready = err == nil; !ready {
				k.saved = len(n.partitionNames()) - n.unsaved(ctx)
			}
		}
		k.ready = ready
		n.known.set(k)
		for began := time.Now(); time.Since(began) < knowIdly; {
			if sleep(ctx, knowEvery) != nil {
				return nil
			}
			if n.known.wanted() {
				break
			}
		}
	}
	return nil
}

func transfers(node string, list []state.Transfer) []web.ClusterTransfer {
	var out []web.ClusterTransfer
	for _, t := range list {
		kind := "save"
		if t.Load {
			kind = "load"
		}
		out = append(out, web.ClusterTransfer{Node: node, Partition: t.Partition, Kind: kind, Started: t.Started, Done: t.BytesDone, Total: t.Bytes})
	}
	return out
}

// logsKept is what a node has to hand over beside its partitions: its copies of the logs.
const logsKept = "copies of logs"

// leave hands over the copies of logs once the node was told to leave and has no partitions any more.
func (n *Node) leave(ctx context.Context) error {
	for left := false; n.clustered() && n.cfg.NATS == "" && sleep(ctx, knowEvery) == nil; {
		self, _ := n.view().Member(n.layout.Node)
		switch {
		case !self.Leaving && left:
			left = false
			n.keepsLogs(logsKept)
		case self.Leaving && !left && len(self.Owns) == 0:
			if err := n.bus.Drain(ctx, n.layout.Node); err != nil {
				n.cfg.Logger.Warn("copies of logs are not handed over yet", "error", err)
				n.keepsLogs(logsKept + " (" + err.Error() + ")") // for whoever waits for it elsewhere
				continue
			}
			left = true
			n.keepsLogs("")
		}
	}
	return nil
}

// keepsLogs says what keeps the node's copies of logs from being handed over; empty: they are.
func (n *Node) keepsLogs(what string) {
	n.members.Update(func(r *cluster.Record) {
		r.Keeps = slices.DeleteFunc(slices.Clone(r.Keeps), func(k string) bool { return strings.HasPrefix(k, logsKept) })
		if what != "" {
			r.Keeps = append(r.Keeps, what)
		}
	})
}
