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
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// gatherTime is how long answers of all nodes are waited for; those that run answer within a round trip.
	gatherTime = 500 * time.Millisecond
	// settlePoll is how often a change of members is looked at until it is done.
	settlePoll = 100 * time.Millisecond
)

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

// Copy is one of the copies of a stream.
type Copy struct {
	Node    string
	Leader  bool
	Online  bool
	Current bool   // has every message
	Lag     uint64 // messages it has yet to get, or more: it counts the engine's own entries too
}

// LogStatus tells how a stream is kept. The buckets of leases and manifests are streams too.
type LogStatus struct {
	Name        string
	Messages    uint64
	Bytes       uint64
	First, Last uint64
	Replicas    int    // how many copies it shall have
	Leader      string // empty: it has none now, and takes no messages
	Copies      []Copy

	group string // the engine's name for the copies' nodes and their log
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
	err := b.gather(ctx, "JSZ", func(name string, data []byte) {
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
	if err := b.gather(ctx, "VARZ", func(name string, data []byte) {
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
func (b *Bus) gather(ctx context.Context, report string, f func(node string, data []byte)) error {
	inbox := b.system.NewRespInbox()
	sub, err := b.system.SubscribeSync(inbox)
	if err != nil {
		return wrap("ask the nodes", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := b.system.PublishRequest("$SYS.REQ.SERVER.PING."+report, inbox, nil); err != nil {
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

// Logs returns how each stream is kept, by name. Errors: Unavailable.
func (b *Bus) Logs(ctx context.Context) ([]LogStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	names := b.js.StreamNames(ctx)
	byName := map[string]LogStatus{}
	for name := range names.Name() {
		byName[name] = LogStatus{Name: name} // stays so when it has no leader to tell more
	}
	if err := names.Err(); err != nil {
		return nil, wrap("list streams", err)
	}
	infos := b.js.ListStreams(ctx)
	for info := range infos.Info() {
		byName[info.Config.Name] = b.status(info)
	}
	if err := infos.Err(); err != nil {
		return nil, wrap("list streams", err)
	}
	var logs []LogStatus
	for _, l := range byName {
		logs = append(logs, l)
	}
	slices.SortFunc(logs, func(a, b LogStatus) int { return strings.Compare(a.Name, b.Name) })
	return logs, nil
}

func (b *Bus) status(info *jetstream.StreamInfo) LogStatus {
	l := LogStatus{Name: info.Config.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes, First: info.State.FirstSeq, Last: info.State.LastSeq,
		Replicas: max(info.Config.Replicas, 1), Leader: b.cfg.NodeName}
	if info.Cluster != nil {
		l.Leader, l.group = info.Cluster.Leader, info.Cluster.RaftGroup
		for _, p := range info.Cluster.Replicas {
			l.Copies = append(l.Copies, Copy{Node: p.Name, Online: !p.Offline, Current: p.Current, Lag: p.Lag})
		}
	}
	if l.Leader != "" {
		l.Copies = append(l.Copies, Copy{Node: l.Leader, Leader: true, Online: true, Current: true})
	}
	slices.SortFunc(l.Copies, func(a, b Copy) int { return strings.Compare(a.Node, b.Node) })
	return l
}

// whole says whether a stream has all its copies, all with every message, none of them at a node.
func (l *LogStatus) whole(without string) bool {
	current := 0
	for _, c := range l.Copies {
		if c.Node == without || !c.Current {
			return false
		}
		current++
	}
	return l.Leader != "" && current >= l.Replicas
}

// Settled returns when every stream has all its copies and none at node (which may be empty). It waits until ctx ends, whose error it
// returns together with the streams that are not so far.
func (b *Bus) Settled(ctx context.Context, node string) error {
	for {
		var waiting []string
		logs, err := b.Logs(ctx)
		for _, l := range logs {
			if !l.whole(node) {
				waiting = append(waiting, l.Name)
			}
		}
		if err == nil && len(waiting) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return concord.Errorf(concord.Unavailable, "streams without all their copies: %s: %w", strings.Join(waiting, ", "), errors.Join(ctx.Err(), err))
		case <-time.After(settlePoll):
		}
	}
}

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
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settlePoll):
		}
	}
}
