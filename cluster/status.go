package cluster

import (
	"fmt"
	"slices"
	"time"
)

// States of a node.
const (
	NodeLive     = "live"
	NodeDraining = "draining" // handing over what it has
	NodeDrained  = "drained"  // has nothing any more: may be removed
	NodeStopped  = "stopped"  // said goodbye
	NodeDead     = "dead"     // fell silent
)

// States of a partition.
const (
	PartitionOwned   = "owned"
	PartitionMoving  = "moving"  // its owner is stopping, for another node
	PartitionWaiting = "waiting" // another node asks for it; its owner hands over one partition at a time
	PartitionUnowned = "unowned" // nobody runs it: a node died, or it is between two owners
)

// Status is the cluster as one node sees it: what "concord cluster status" and the cluster page show.
type Status struct {
	Self       string            `json:"self"`
	Hears      bool              `json:"hears"`     // this node hears the others; if not, the rest is as it was before
	LastBeat   time.Time         `json:"last_beat"` // when the cluster last accepted this node's heartbeat; zero: never yet
	Nodes      []NodeStatus      `json:"nodes"`
	Partitions []PartitionStatus `json:"partitions"`
	Moving     int               `json:"moving"`  // partitions that are moving or wait for it
	Unowned    int               `json:"unowned"` // partitions that nobody runs
}

// NodeStatus is one node.
type NodeStatus struct {
	Name      string            `json:"name"`
	State     string            `json:"state"`
	Version   string            `json:"version"`
	Addrs     map[string]string `json:"addrs"`
	Capacity  int               `json:"capacity"`
	Started   time.Time         `json:"started"`   // by its clock
	LastSeen  time.Time         `json:"last_seen"` // by the clock of the node that tells
	DiskFree  uint64            `json:"disk_free"`
	DiskTotal uint64            `json:"disk_total"`
	Owns      int               `json:"owns"`
	Assigned  int               `json:"assigned"` // how many it should own
	Left      []string          `json:"left"`     // of a node that leaves: what it still has to hand over
}

// PartitionStatus is one partition.
type PartitionStatus struct {
	Name     string          `json:"name"`
	State    string          `json:"state"`
	Owner    string          `json:"owner,omitempty"`
	Fence    uint64          `json:"fence,omitempty"`
	Since    time.Time       `json:"since,omitzero"`
	Assigned string          `json:"assigned,omitempty"` // the node that should own it
	Why      string          `json:"why,omitempty"`      // why owner and assigned differ, or nobody runs it
	Replicas []ReplicaStatus `json:"replicas"`
}

// ReplicaStatus is one node that answers queries for a partition.
type ReplicaStatus struct {
	Node     string `json:"node"`
	Position uint64 `json:"position"` // of the partition's log, applied
}

// Status returns the cluster as this node sees it. partitions are all there are.
func (m *Members) Status(partitions []string) Status {
	v, _ := m.View()
	st := Status{Self: v.Self, Hears: v.Loaded, LastBeat: m.LastBeat(), Nodes: []NodeStatus{}, Partitions: []PartitionStatus{}}
	assigned, owners := Assign(partitions, v.Candidates()), v.owners()
	for _, mem := range v.Members {
		st.Nodes = append(st.Nodes, nodeStatus(mem, assigned))
	}
	for _, p := range slices.Sorted(slices.Values(partitions)) {
		ps := partitionStatus(v, p, assigned[p], owners)
		switch ps.State {
		case PartitionMoving, PartitionWaiting:
			st.Moving++
		case PartitionUnowned:
			st.Unowned++
		}
		st.Partitions = append(st.Partitions, ps)
	}
	return st
}

func nodeStatus(mem Member, assigned map[string]string) NodeStatus {
	n := NodeStatus{Name: mem.Name, State: mem.state(), Version: mem.Version, Addrs: mem.Addrs, Capacity: mem.Capacity, Started: mem.Started,
		LastSeen: mem.Seen, DiskFree: mem.DiskFree, DiskTotal: mem.DiskTotal, Left: []string{}}
	if n.Addrs == nil {
		n.Addrs = map[string]string{}
	}
	if mem.Live {
		n.Owns = len(mem.Owns)
	}
	if mem.Leaving {
		n.Left = append(n.Left, mem.left()...)
	}
	for _, node := range assigned {
		if node == mem.Name {
			n.Assigned++
		}
	}
	return n
}

func (m *Member) state() string {
	switch {
	case m.Leaving && len(m.left()) == 0:
		return NodeDrained
	case m.Stopped:
		return NodeStopped
	case !m.Live:
		return NodeDead
	case m.Leaving:
		return NodeDraining
	}
	return NodeLive
}

func partitionStatus(v *View, p, assigned string, owners map[string]claim) PartitionStatus {
	ps := PartitionStatus{Name: p, State: PartitionUnowned, Assigned: assigned, Replicas: []ReplicaStatus{}}
	for _, mem := range v.Members {
		for _, r := range mem.Serves {
			if mem.Live && r.Partition == p && !r.Behind {
				ps.Replicas = append(ps.Replicas, ReplicaStatus{mem.Name, r.Position})
			}
		}
	}
	c, owned := owners[p]
	if !owned {
		ps.Why = whyUnowned(v, p, assigned)
		return ps
	}
	ps.State, ps.Owner, ps.Fence, ps.Since = PartitionOwned, c.owner.Name, c.Fence, c.Since
	to, _ := v.Member(assigned)
	switch {
	case c.To != "":
		ps.State, ps.Why = PartitionMoving, "to "+c.To+": "+c.Why
	case ps.Owner == assigned:
	case assigned == "":
		ps.Why = "no live node takes partitions"
	case slices.Contains(to.Wants, p):
		ps.State, ps.Why = PartitionWaiting, "waits for its turn to move: "+whyBalance(assigned)
		if c.owner.Leaving {
			ps.Why = "waits for its turn to move: " + whyDrained(ps.Owner)
		}
	default:
		ps.Why = fmt.Sprintf("node %s has not asked for it yet", assigned)
	}
	return ps
}

// whyUnowned tells who had the partition last, as far as is known.
func whyUnowned(v *View, p, assigned string) string {
	for _, mem := range v.Members {
		for _, h := range mem.Owns {
			if h.Partition == p {
				return fmt.Sprintf("node %s, which ran it, is %s; its lease has to run out before node %s can take over", mem.Name, mem.state(), assigned)
			}
		}
	}
	if assigned == "" {
		return "no live node takes partitions"
	}
	return fmt.Sprintf("node %s is about to take it", assigned)
}
