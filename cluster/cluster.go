// Package cluster answers "which node owns what?": who is here (Members), which node should own which partition (Assign),
// and running each partition on the node that holds its lease (Keeper).
//
// It knows no engine: leases come from whoever implements Leases, and what nodes tell each other lies in a
// concord.Manifests; package bus provides both.
//
// Invariants:
//   - A partition runs only under its lease, and is told to stop by the node's own monotonic clock before anybody else can have it.
//   - A lease is not a lock: a process may stand still between a check and a write. What a partition commits carries its
//     fence, and the store refuses a smaller one than it has seen.
//   - Who should own a partition is advice: nodes that see different members for a while may disagree, and the lease decides.
//   - A running partition moves only between two nodes that both want it to: one that asks for it, and its owner, who
//     finds it assigned to the one that asks. So a disagreement moves nothing.
package cluster

import (
	"context"
	"time"
)

// Partition is a state folded from a log, owned by one node at a time.
type Partition interface {
	// Name names the partition in its cluster: "frontier.3", "shard.0", "attestor".
	Name() string
	// Run loads the last committed state, applies the log from the position stored with it, and goes on until ctx ends;
	// it then commits and returns nil or ctx's error. It may run again later, when another node had it meanwhile. fence
	// grows with every change of owner: the partition stores it with its state and refuses to run under a smaller one.
	// An error of kind Conflict while the lease is another node's only says that this node was fenced off; any other error
	// ends the keeper.
	Run(ctx context.Context, fence uint64) error
}

// Leases is the right to own, decided by compare-and-set on revisions.
type Leases interface {
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (revision uint64, err error)
	Renew(ctx context.Context, name, holder string, ttl time.Duration, revision uint64) (uint64, error)
	Release(ctx context.Context, name string, revision uint64) error
}

const (
	// DefaultTTL is how long a lease outlives its last renewal: the time a dead node's partitions stand still.
	DefaultTTL = 8 * time.Second
	// DefaultSettle is how long a node waits before it asks for a partition that another node runs well: a node that comes and
	// goes moves nothing.
	DefaultSettle = 10 * time.Second
	// retryPause is the longest wait between two tries for a lease that another node holds.
	retryPause = time.Second
	// releaseTimeout bounds the goodbye at shutdown; a lease not released just runs out.
	releaseTimeout = time.Second
	// stopPatience is how long a lease is prolonged for a partition that was told to stop and commits.
	stopPatience = time.Minute
)

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
