package bus

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"concord"

	"github.com/nats-io/nats.go/jetstream"
)

// settlePoll is how often a change of nodes or copies is looked at until it is done.
const settlePoll = 100 * time.Millisecond

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
