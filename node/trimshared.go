package node

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"concord"
	"concord/state"
)

// In a cluster the owner of the attestor trims the captures log: up to what the attestor and the owner of each shard have saved, and what each
// copy of the shard has applied, wherever it is. A copy that was away for longer than copyPatience is not waited for; it finds out by the
// mark, which is put before the log forgets, and loads its state anew.

const (
	trimName = "node/trimmed"
	// copyPatience is how long a silent node's copies hold the log.
	copyPatience = 10 * time.Minute
	// markEvery is how often a copy that follows the log looks at the mark, by the wall clock, which goes on while a process stands still. It is
	// well below copyPatience, so that nobody applies what comes after a gap.
	markEvery = 2 * time.Minute
)

func (n *Node) trimLoop(ctx context.Context, attestor *state.Owner) {
	for sleep(ctx, trimInterval) == nil {
		if err := n.trimShared(ctx, attestor.TrimTo()); err != nil && ctx.Err() == nil {
			n.cfg.Logger.Warn("log not trimmed, it will be next time", "error", err)
		}
	}
}

func (n *Node) trimShared(ctx context.Context, attested uint64) error {
	mark, revision, err := n.trimMark(ctx)
	if err != nil {
		return err
	}
	next, moved := make(trimmed, n.layout.Shards), false
	for i := range next {
		upTo, err := n.savedBy(ctx, i)
		if err != nil {
			return err
		}
		next[i] = max(mark.upTo(i), min(attested, upTo))
		moved = moved || next[i] > mark.upTo(i)
	}
	if !moved {
		return nil
	}
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if _, err := n.directory.Put(ctx, trimName, data, revision); err != nil {
		return err
	}
	for i, upTo := range next {
		if upTo <= mark.upTo(i) {
			continue
		}
		if err := n.captures.Trim(ctx, concord.CaptureSubject(i), upTo); err != nil {
			return err
		}
	}
	return nil
}

// savedBy returns up to where no copy of a shard needs its log any more.
func (n *Node) savedBy(ctx context.Context, i int) (uint64, error) {
	m, err := n.states.Manifest(ctx, shardName(i))
	if concord.KindOf(err) == concord.NotFound {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	upTo := m.TrimTo()
	for _, member := range n.view().Members {
		if member.Removed || !member.Live && time.Since(member.Seen) > copyPatience {
			continue
		}
		for _, r := range member.Serves {
			if r.Partition == shardName(i) {
				upTo = min(upTo, r.Position)
			}
		}
	}
	return upTo, nil
}

// trimMark returns up to where the log of each shard was trimmed, or will be in a moment.
func (n *Node) trimMark(ctx context.Context) (trimmed, uint64, error) {
	m, err := n.directory.Get(ctx, trimName)
	if concord.KindOf(err) == concord.NotFound {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var t trimmed
	if err := json.Unmarshal(m.Data, &t); err != nil {
		return nil, 0, concord.Errorf(concord.Corrupt, "mark of the captures log: %w", err)
	}
	return t, m.Revision, nil
}

// shardLog is the captures log for the copy of a shard.
func (n *Node) shardLog(i int) concord.Log {
	if !n.clustered() {
		return n.captures
	}
	return markedLog{n.captures, n, i}
}

// markedLog refuses to go on behind a gap.
type markedLog struct {
	concord.Log
	n     *Node
	shard int
}

func (l markedLog) check(ctx context.Context, position uint64) error {
	mark, _, err := l.n.trimMark(ctx)
	if err != nil {
		return err
	}
	if position < mark.upTo(l.shard) {
		return concord.Errorf(concord.Conflict, "%w: this copy stands at message %d, the log begins after %d", errBehind, position, mark.upTo(l.shard))
	}
	return nil
}

// errBehind says that a copy has to be loaded anew.
var errBehind = fmt.Errorf("it was away for too long")

// Follow implements concord.Log.
func (l markedLog) Follow(ctx context.Context, subject string, after uint64, apply func([]concord.Message) error) error {
	if err := l.check(ctx, after); err != nil {
		return err
	}
	checked := time.Now().Round(0)
	return l.Log.Follow(ctx, subject, after, func(msgs []concord.Message) error {
		if now := time.Now().Round(0); now.Sub(checked) > markEvery {
			if err := l.check(ctx, after); err != nil {
				return err
			}
			checked = now
		}
		after = msgs[len(msgs)-1].Seq
		return apply(msgs)
	})
}
