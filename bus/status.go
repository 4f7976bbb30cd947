package bus

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"concord"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// settlePoll is how often a change of nodes or copies is looked at until it is done.
	settlePoll = 100 * time.Millisecond
	// listTimeout bounds one try to list the streams. The engine's leader waits up to 4 s for streams that have none.
	listTimeout = 5 * time.Second
)

// Copy is one of the copies of a stream.
type Copy struct {
	Node    string
	Leader  bool
	Online  bool
	Current bool   // takes part in decisions; it may yet have messages to get
	Lag     uint64 // messages it has yet to get, or more: it counts the engine's own entries too
	// Messages and Last are what it really has; 0 when the node is down, and on an operator's own servers, which do not tell.
	Messages uint64
	Last     uint64
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
	var byName map[string]LogStatus
	err := b.retry(ctx, listTimeout, func(ctx context.Context) (err error) {
		byName, err = b.list(ctx)
		return err
	})
	if err == nil && b.system != nil {
		err = b.addContents(ctx, byName)
	}
	if err != nil {
		return nil, wrap("list streams", err)
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b LogStatus) int { return strings.Compare(a.Name, b.Name) }), nil
}

func (b *Bus) list(ctx context.Context) (map[string]LogStatus, error) {
	names := b.js.StreamNames(ctx)
	byName := map[string]LogStatus{}
	for name := range names.Name() {
		byName[name] = LogStatus{Name: name} // stays so when it has no leader to tell more
	}
	if err := names.Err(); err != nil {
		return nil, err
	}
	infos := b.js.ListStreams(ctx)
	for info := range infos.Info() {
		byName[info.Config.Name] = b.status(info)
	}
	return byName, infos.Err()
}

// addContents asks every node what its copies really hold. The engine calls a copy current that has followed all decisions since it
// was made, even if it has yet to get what was there before.
func (b *Bus) addContents(ctx context.Context, logs map[string]LogStatus) error {
	return b.gather(ctx, "JSZ", []byte(`{"accounts":true,"streams":true}`), func(node string, data []byte) {
		var info server.JSInfo
		if json.Unmarshal(data, &info) != nil {
			return
		}
		for _, account := range info.AccountDetails {
			if account.Name != streamAccount {
				continue
			}
			for _, s := range account.Streams {
				for i, c := range logs[s.Name].Copies {
					if c.Node == node {
						logs[s.Name].Copies[i].Messages, logs[s.Name].Copies[i].Last = s.State.Msgs, s.State.LastSeq
					}
				}
			}
		}
	})
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

// whole says whether a stream has all its copies, all with every message, none of them at a node. contents says whether it is known
// what each copy has.
func (l *LogStatus) whole(without string, contents bool) bool {
	current := 0
	for _, c := range l.Copies {
		if c.Node == without || !c.Current || contents && !c.has(l) {
			return false
		}
		current++
	}
	return l.Leader != "" && current >= l.Replicas
}

// has says whether a copy has what the stream's leader said a moment before that there is.
func (c *Copy) has(l *LogStatus) bool { return c.Last >= l.Last && c.Messages >= l.Messages }

// Settled returns when every stream has all its copies and none at node (which may be empty). It waits until ctx ends, whose error it
// returns together with the streams that are not so far.
func (b *Bus) Settled(ctx context.Context, node string) error {
	for {
		var waiting []string
		logs, err := b.Logs(ctx)
		for _, l := range logs {
			if b.system != nil {
				l.Replicas = max(l.Replicas, b.replicas()) // it is about to be raised
			}
			if !l.whole(node, b.system != nil) {
				waiting = append(waiting, l.Name)
			}
		}
		if err == nil && len(waiting) == 0 {
			return nil
		}
		if pause(ctx, settlePoll) != nil {
			return concord.Errorf(concord.Unavailable, "streams without all their copies: %s: %w", strings.Join(waiting, ", "), errors.Join(ctx.Err(), err))
		}
	}
}
