package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"concord"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Drain moves the streams' copies from a node that runs to others that have none of theirs, and returns when that is done: afterwards
// the node may be stopped and removed without the copies being fewer at any time. Errors: NotFound for a node that is not a member;
// Invalid when there are too few others; Unavailable.
func (b *Bus) Drain(ctx context.Context, node string) error {
	if err := b.checkMember(ctx, "drain", node); err != nil {
		return err
	}
	if size := b.clusterSize(); size <= b.cfg.Replicas {
		return concord.Errorf(concord.Invalid, "drain %s: each stream has %d copies and the cluster %d nodes; add a node first, or stop and remove this one and have fewer copies until another comes",
			node, b.cfg.Replicas, size)
	}
	if err := b.administer(ctx, server.JSApiEvacuateServer, map[string]string{"peer": node}); err != nil {
		return fmt.Errorf("drain %s: %w", node, err)
	}
	return b.Settled(ctx, node)
}

// Remove takes a node out of the cluster for good: it no longer counts for majorities, and what it kept is copied to others. It
// returns when that is done, or at once when fewer nodes are left than a stream has copies. The node should be stopped: one that
// runs loses its streams. Errors: as Drain.
func (b *Bus) Remove(ctx context.Context, node string) error {
	if err := b.checkMember(ctx, "remove", node); err != nil {
		return err
	}
	if node == b.cfg.NodeName {
		return concord.Errorf(concord.Invalid, "remove %s: a node cannot remove itself; ask another", node)
	}
	if err := b.administer(ctx, server.JSApiRemoveServer, map[string]string{"peer": node}); err != nil {
		return fmt.Errorf("remove %s: %w", node, err)
	}
	if b.clusterSize() < b.cfg.Replicas {
		return nil
	}
	return b.Settled(ctx, node)
}

func (b *Bus) checkMember(ctx context.Context, action, node string) error {
	if b.cfg.Cluster == nil {
		return concord.Errorf(concord.Invalid, "%s %s: this node has no cluster of its own", action, node)
	}
	var peers []Peer
	err := b.patiently(ctx, func(ctx context.Context) (err error) {
		if peers, err = b.Peers(ctx); concord.KindOf(err) == concord.Unavailable {
			return errNoLeader
		}
		return err
	})
	if err != nil {
		return wrap(action+" "+node, err)
	}
	if !slices.ContainsFunc(peers, func(p Peer) bool { return p.Name == node }) {
		return concord.Errorf(concord.NotFound, "%s %s: no such node in the cluster", action, node)
	}
	return nil
}

// administer makes a request of the engine's administration, which only its leader answers.
func (b *Bus) administer(ctx context.Context, subject string, request map[string]string) error {
	return wrap("ask the cluster's leader", ask(ctx, b, b.system, subject, request))
}

// ask makes a request of the engine's API, an empty one if request is nil.
func ask(ctx context.Context, b *Bus, conn *nats.Conn, subject string, request map[string]string) error {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return err
		}
	}
	return b.patiently(ctx, func(ctx context.Context) error {
		msg, err := conn.RequestWithContext(ctx, subject, body)
		if err != nil {
			return err
		}
		var answer struct{ Error *jetstream.APIError }
		if err := json.Unmarshal(msg.Data, &answer); err != nil {
			return err
		}
		if answer.Error != nil {
			return answer.Error
		}
		return nil
	})
}

// Yield hands what this node leads to others, so that stopping it makes nobody wait for an election (5.5 s). Call it before Close.
// It returns when nothing is led here, or when ctx ends.
func (b *Bus) Yield(ctx context.Context) error {
	if b.cfg.Cluster == nil {
		return nil
	}
	for {
		logs, err := b.Logs(ctx)
		if err != nil {
			return err
		}
		led := 0
		for _, l := range logs {
			if l.Leader != b.cfg.NodeName || l.Replicas == 1 {
				continue
			}
			led++
			if err := ask(ctx, b, b.conn, fmt.Sprintf(server.JSApiStreamLeaderStepDownT, l.Name), nil); err != nil {
				return wrap("hand over "+l.Name, err)
			}
		}
		if b.server.JetStreamIsLeader() {
			led++
			if err := b.administer(ctx, server.JSApiLeaderStepDown, nil); err != nil {
				return err
			}
		}
		if led == 0 {
			return nil
		}
		if err := pause(ctx, settlePoll); err != nil {
			return err
		}
	}
}
