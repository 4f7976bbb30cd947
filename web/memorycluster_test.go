package web

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"concord"
)

// memoryCluster is a cluster in memory.
type memoryCluster struct {
	mu     sync.Mutex
	status ClusterStatus
	fails  error
	spec   TokenSpec
	forced bool
}

// newMemoryCluster has five nodes in every state that people have to look at: one is dead, one drains, partitions move, wait
// and run nowhere, replicas and copies of logs are behind.
func newMemoryCluster(now time.Time) *memoryCluster {
	node := func(i, owns, assigned int) ClusterNode {
		return ClusterNode{Name: fmt.Sprintf("node-%d", i), State: NodeLive, Version: concord.Version, Capacity: 100, Started: now.Add(-26 * time.Hour), LastSeen: now.Add(-time.Second),
			DiskFree: uint64(91-13*i) * 1e9, DiskTotal: 250e9, Owns: owns, Assigned: assigned, Addresses: map[string]string{"cluster": fmt.Sprintf("10.0.0.%d:7668", i), "http": fmt.Sprintf("10.0.0.%d:7667", i)}}
	}
	st := ClusterStatus{State: ClusterMember, Self: "node-1", Time: now, Hears: true, LastBeat: now.Add(-time.Second), Moving: 2, Unowned: 1,
		Nodes:     []ClusterNode{node(1, 3, 3), node(2, 3, 3), node(3, 2, 3), node(4, 2, 0), node(5, 0, 0)},
		Blobs:     ClusterBlobs{Place: "the cluster’s object store", Bytes: 1_284_000_000},
		Transfers: []ClusterTransfer{{Node: "node-4", Partition: "shard.2", Kind: TransferSave, Started: now.Add(-4 * time.Second), Done: 41_000_000, Total: 63_000_000}},
		Warnings:  []string{"the disk of node-2 fills within 3 days at this pace: give it more room"}}
	st.Nodes[0].Ledger = true
	st.Nodes[3].State, st.Nodes[3].Left = NodeDraining, []string{"shard.2", "frontier.1", "copy of captures"}
	st.Nodes[4].State, st.Nodes[4].LastSeen = NodeDead, now.Add(-14*time.Minute)
	part := func(name, owner, assigned, state, why string, replicas ...ClusterReplica) {
		p := ClusterPartition{Name: name, State: state, Owner: owner, Assigned: assigned, Why: why, Replicas: replicas}
		if owner != "" {
			p.Fence, p.Since = 41, now.Add(-3*time.Hour)
		}
		st.Partitions = append(st.Partitions, p)
	}
	on := func(i int, position, lag uint64) ClusterReplica {
		return ClusterReplica{Node: fmt.Sprintf("node-%d", i), Position: position, Lag: lag}
	}
	part("shard.10", "node-3", "node-3", PartitionOwned, "", on(2, 5904, 0), on(3, 5904, 0))
	part("attestor", "node-1", "node-1", PartitionOwned, "")
	part("frontier.0", "node-1", "node-1", PartitionOwned, "")
	part("frontier.1", "node-4", "node-2", PartitionWaiting, "waits for its turn to move: node node-4 is drained")
	part("frontier.2", "node-2", "node-2", PartitionOwned, "")
	part("frontier.3", "", "node-3", PartitionUnowned, "node node-5, which ran it, is dead; its lease has to run out before node node-3 can take over")
	part("shard.0", "node-1", "node-1", PartitionOwned, "", on(1, 5904, 0), on(2, 5892, 12))
	part("shard.1", "node-2", "node-2", PartitionOwned, "", on(2, 6120, 0), on(3, 6120, 0))
	part("shard.2", "node-4", "node-3", PartitionMoving, "to node-3: node node-4 is drained", on(4, 5711, 0), on(1, 4020, 1691))
	part("shard.3", "node-3", "node-3", PartitionOwned, "", on(3, 5840, 0))
	part("shard.4", "node-2", "node-2", PartitionOwned, "", on(2, 5790, 0), on(1, 5790, 0))
	log := func(name string, messages, bytes uint64, leader int, copies ...ClusterLogCopy) {
		l := ClusterLog{Name: name, Messages: messages, Bytes: bytes, Replicas: 3, Copies: copies}
		if leader > 0 {
			l.Leader = fmt.Sprintf("node-%d", leader)
		}
		st.Logs = append(st.Logs, l)
	}
	at := func(i int, lag uint64) ClusterLogCopy {
		return ClusterLogCopy{Node: fmt.Sprintf("node-%d", i), Online: true, Current: true, Lag: lag}
	}
	log("captures", 48_231, 812_000_000, 2, at(1, 0), at(2, 0), at(3, 118))
	log("frontier", 1_204_554, 96_000_000, 4, at(1, 0), at(4, 0), ClusterLogCopy{Node: "node-5", Lag: 5521})
	log("leases", 11, 4_100, 1, at(1, 0), at(2, 0), at(3, 0))
	return &memoryCluster{status: st}
}

func (c *memoryCluster) Status(context.Context) (ClusterStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status, c.fails
}

func (c *memoryCluster) Token(_ context.Context, life time.Duration, uses int) (ClusterToken, error) {
	c.spec = TokenSpec{life, uses}
	if life > 30*24*time.Hour {
		return ClusterToken{}, concord.Errorf(concord.Invalid, "a token is valid for 1 s to 720h0m0s and for 1 to 1000 machines")
	}
	return ClusterToken{Token: "cj1-secret", Join: "10.0.0.1:7668", Expires: c.status.Time.Add(max(life, time.Hour))}, nil
}

func (c *memoryCluster) node(name string) (*ClusterNode, error) {
	for i := range c.status.Nodes {
		if c.status.Nodes[i].Name == name {
			return &c.status.Nodes[i], nil
		}
	}
	return nil, concord.Errorf(concord.NotFound, "no node %s in this cluster; concord cluster status lists them", name)
}

func (c *memoryCluster) Drain(_ context.Context, name string, undo bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.node(name)
	if err != nil {
		return err
	}
	n.State = NodeDraining
	if undo {
		n.State = NodeLive
	}
	return nil
}

func (c *memoryCluster) Remove(_ context.Context, name string, force bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.node(name)
	if err != nil {
		return err
	}
	if n.State != NodeDrained && !force {
		return concord.Errorf(concord.Conflict, "node %s is at work: drain it first (concord cluster drain %s)", name, name)
	}
	c.forced = force
	c.status.Nodes = slices.DeleteFunc(slices.Clone(c.status.Nodes), func(n ClusterNode) bool { return n.Name == name })
	return nil
}
