package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord"

	"github.com/nats-io/nats-server/v2/server"
)

// gatherTime is how long answers of all nodes are waited for; those that run answer within a round trip.
const gatherTime = 500 * time.Millisecond

// Peer is one node of the cluster.
type Peer struct {
	Name    string
	Address string // host:port for the other nodes; empty when it is not known, as of a node that is down
	Self    bool
	Online  bool          // heard of within the last seconds
	Leader  bool          // decides about streams and members
	Current bool          // knows all that the leader has decided
	Lag     uint64        // decisions it has yet to hear of
	Silent  time.Duration // since it was last heard of
}

// Peers returns the cluster's nodes by name, those that are down included. A node alone has itself. Of an operator's own servers only
// those that keep our streams are known. Errors: Unavailable.
func (b *Bus) Peers(ctx context.Context) ([]Peer, error) {
	switch {
	case b.cfg.URL != "":
		return b.externalPeers(ctx)
	case b.cfg.Cluster == nil:
		return []Peer{{Name: b.cfg.NodeName, Self: true, Online: true, Leader: true, Current: true}}, nil
	}
	var meta *server.MetaClusterInfo
	addresses := map[string]string{}
	err := b.gather(ctx, "JSZ", nil, func(name string, data []byte) {
		var info server.JSInfo
		if json.Unmarshal(data, &info) == nil && info.Meta != nil && info.Meta.Leader == name {
			meta = info.Meta // only the leader knows how far the others are
		}
	})
	if err != nil {
		return nil, err
	}
	if meta == nil {
		return nil, concord.Errorf(concord.Unavailable, "list nodes: the cluster has no leader now")
	}
	if err := b.gather(ctx, "VARZ", nil, func(name string, data []byte) {
		var info server.Varz
		if json.Unmarshal(data, &info) == nil {
			addresses[name] = net.JoinHostPort(info.Cluster.Host, strconv.Itoa(info.Cluster.Port))
		}
	}); err != nil {
		return nil, err
	}
	c := b.cfg.Cluster
	addresses[b.cfg.NodeName] = c.Listen
	if c.Advertise != "" {
		addresses[b.cfg.NodeName] = c.Advertise
	}
	peers := []Peer{{Name: meta.Leader, Online: true, Leader: true, Current: true}}
	for _, p := range meta.Replicas {
		peers = append(peers, Peer{Name: p.Name, Online: !p.Offline, Current: p.Current, Lag: p.Lag, Silent: p.Active})
	}
	for i := range peers {
		peers[i].Address, peers[i].Self = addresses[peers[i].Name], peers[i].Name == b.cfg.NodeName
	}
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
	return peers, nil
}

// gather asks every node for one of the engine's reports and calls f with the answers that come in gatherTime.
func (b *Bus) gather(ctx context.Context, report string, options []byte, f func(node string, data []byte)) error {
	inbox := b.system.NewRespInbox()
	sub, err := b.system.SubscribeSync(inbox)
	if err != nil {
		return wrap("ask the nodes", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := b.system.PublishRequest("$SYS.REQ.SERVER.PING."+report, inbox, options); err != nil {
		return wrap("ask the nodes", err)
	}
	ctx, cancel := context.WithTimeout(ctx, gatherTime)
	defer cancel()
	for n := b.clusterSize(); n > 0; n-- {
		msg, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		if err != nil {
			return wrap("ask the nodes", err)
		}
		var answer struct {
			Server struct{ Name string }
			Data   json.RawMessage
		}
		if err := json.Unmarshal(msg.Data, &answer); err != nil {
			return fmt.Errorf("ask the nodes: %w", err)
		}
		f(answer.Server.Name, answer.Data)
	}
	return nil
}

func (b *Bus) externalPeers(ctx context.Context) ([]Peer, error) {
	logs, err := b.Logs(ctx)
	if err != nil {
		return nil, err
	}
	byName := map[string]Peer{}
	for _, l := range logs {
		for _, c := range l.Copies {
			p, seen := byName[c.Node]
			byName[c.Node] = Peer{Name: c.Node, Online: c.Online, Current: c.Current && (p.Current || !seen), Lag: max(p.Lag, c.Lag)}
		}
	}
	var peers []Peer
	for _, p := range byName {
		peers = append(peers, p)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
	return peers, nil
}
