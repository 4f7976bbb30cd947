package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"concord"
	"concord/durable"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// MovedFile is written into a directory whose streams are, verified, in a cluster: the directory may be removed.
	MovedFile = "moved.json"
	// movingKey marks a stream that Grow has made and not yet verified.
	movingKey, movingValue = "concord.moving", "unfinished"
	// nodesTimeout is how long a node that serves may take to be counted by the others.
	nodesTimeout = 20 * time.Second
)

// GrowProgress tells how far Grow is.
type GrowProgress struct {
	Stage       string // "copy" (in bytes), "raise" (no numbers), "verify" (in sequence numbers), "done"
	Stream      string
	Done, Total uint64
}

// moved is the content of MovedFile.
type moved struct {
	At      time.Time
	Cluster string
	Streams []movedStream
}

type movedStream struct {
	Name     string
	Messages uint64
	Last     uint64
}

// Grow moves the streams of a node that was alone into a cluster, or to an operator's own servers. from is the node's directory, which
// no engine may have open; to is the bus of the cluster, in a directory of its own, with as many nodes as streams have copies. Every
// message keeps its sequence number, time and headers, so that positions and fences stay valid.
//
// The streams are copied with one copy each (an engine that is started on the old directory with routes would delete them as
// orphans), given their copies, and read back beside the old ones, message by message. Only then MovedFile is written to from. Until
// that is there the old directory is as it was, and a Grow that was killed is done again: what is there and right is not copied
// twice. Nobody else should write to the cluster meanwhile; messages that were appended to a moved log are kept.
//
// progress may be nil. Errors: Invalid when from is no such directory or the cluster is too small; Conflict when the cluster has
// a stream of the same name that Grow did not make; Corrupt when a message cannot be read or came out different; Unavailable.
func Grow(ctx context.Context, from string, to *Bus, progress func(GrowProgress)) error {
	if progress == nil {
		progress = func(GrowProgress) {}
	}
	done, err := Moved(from)
	if err != nil {
		return err
	}
	if done {
		return to.unmark(ctx)
	}
	if _, err := os.Stat(filepath.Join(from, server.JetStreamStoreDir)); err != nil {
		return concord.Errorf(concord.Invalid, "grow: %s has no streams: %w", from, err)
	}
	if err := to.waitForNodes(ctx); err != nil {
		return err
	}
	old, err := Open(ctx, Config{Dir: from, NodeName: "grow", MaxLogBytes: to.cfg.MaxLogBytes, Logger: to.cfg.Logger})
	if err != nil {
		return fmt.Errorf("grow: %w", err)
	}
	defer old.Close()
	g := &growth{from: old, to: to, progress: progress}
	report, err := g.run(ctx)
	if err != nil {
		return wrap("grow", err)
	}
	if err := writeMoved(from, report); err != nil {
		return fmt.Errorf("grow: %w", err)
	}
	progress(GrowProgress{Stage: "done"})
	return to.unmark(ctx)
}

// waitForNodes gives nodes that have just started a while to be counted.
func (b *Bus) waitForNodes(ctx context.Context) error {
	if b.cfg.Cluster == nil {
		return nil
	}
	for deadline := time.Now().Add(nodesTimeout); b.clusterSize() < b.cfg.Replicas; {
		if time.Now().After(deadline) {
			return concord.Errorf(concord.Invalid, "grow: the cluster has %d nodes and streams shall have %d copies: add nodes first", b.clusterSize(), b.cfg.Replicas)
		}
		if err := pause(ctx, settlePoll); err != nil {
			return err
		}
	}
	return nil
}

// Moved says whether the streams of a directory are in a cluster, by Grow: the directory may then be removed.
func Moved(dir string) (bool, error) {
	err := durable.ReadJSON(filepath.Join(dir, MovedFile), &moved{})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func writeMoved(dir string, m moved) error {
	return durable.WriteJSON(filepath.Join(dir, MovedFile), 0o600, m)
}

// growth is one run of Grow.
type growth struct {
	from, to *Bus
	progress func(GrowProgress)
}

func (g *growth) run(ctx context.Context) (moved, error) {
	report := moved{At: time.Now().UTC(), Cluster: g.to.where()}
	logs, err := g.from.Logs(ctx)
	if err != nil {
		return report, err
	}
	for _, l := range logs {
		if err := g.move(ctx, l.Name); err != nil {
			return report, err
		}
	}
	for _, l := range logs {
		g.progress(GrowProgress{Stage: "raise", Stream: l.Name})
		if err := g.raise(ctx, l.Name); err != nil {
			return report, err
		}
	}
	if err := g.to.Settled(ctx, ""); err != nil {
		return report, err
	}
	for _, l := range logs {
		n, err := g.verify(ctx, l.Name)
		if err != nil {
			return report, fmt.Errorf("verify: %w", err)
		}
		report.Streams = append(report.Streams, movedStream{Name: l.Name, Messages: n, Last: l.Last})
	}
	return report, nil
}

func (b *Bus) where() string {
	if b.cfg.Cluster != nil {
		return b.cfg.Cluster.Name
	}
	hosts, _ := hostsOf(b.cfg.URL)
	return hosts
}

// move copies a stream, unless an earlier run has.
func (g *growth) move(ctx context.Context, name string) error {
	var there jetstream.Stream
	err := g.to.patiently(ctx, func(ctx context.Context) (err error) {
		there, err = g.to.js.Stream(ctx, name)
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return g.copy(ctx, name)
	}
	if err != nil {
		return err
	}
	info := there.CachedInfo()
	if info.Config.Metadata[movingKey] != movingValue && info.State.LastSeq > 0 {
		return concord.Errorf(concord.Conflict, "the cluster has a stream %s with %d messages that are not from here; start the cluster in an empty directory", name, info.State.Msgs)
	}
	old, err := g.from.js.Stream(ctx, name)
	if err != nil {
		return err
	}
	last := old.CachedInfo().State.LastSeq
	_, err = contains(ctx, old, there, last, nil)
	switch {
	case err == nil && info.State.LastSeq >= last:
		return nil
	case err != nil && concord.KindOf(err) != concord.Corrupt:
		return err
	case info.State.LastSeq > last:
		return concord.Errorf(concord.Conflict, "stream %s of the cluster has messages that were appended to a copy that is not whole: %w", name, err)
	}
	if err := g.to.patiently(ctx, func(ctx context.Context) error { return g.to.js.DeleteStream(ctx, name) }); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	return g.copy(ctx, name)
}

// raise gives a moved stream its copies.
func (g *growth) raise(ctx context.Context, name string) error {
	return g.to.patiently(ctx, func(ctx context.Context) error {
		s, err := g.to.js.Stream(ctx, name)
		if err != nil {
			return err
		}
		cfg := s.CachedInfo().Config
		if cfg.Replicas >= g.to.cfg.Replicas {
			return nil
		}
		cfg.Replicas = g.to.cfg.Replicas
		_, err = g.to.js.UpdateStream(ctx, cfg)
		return g.to.explain(name, err)
	})
}

// verify compares a moved stream with the old one and returns how many messages they share.
func (g *growth) verify(ctx context.Context, name string) (uint64, error) {
	old, err := g.from.js.Stream(ctx, name)
	if err != nil {
		return 0, err
	}
	there, err := g.to.js.Stream(ctx, name)
	if err != nil {
		return 0, err
	}
	had, has := old.CachedInfo().State, there.CachedInfo().State
	// A log must go on where it ended, empty or not. Where messages end by themselves each engine adds to its own stream when it sees that.
	if has.LastSeq < had.LastSeq && !old.CachedInfo().Config.AllowMsgTTL {
		return 0, concord.Errorf(concord.Corrupt, "stream %s ends at message %d, not %d", name, has.LastSeq, had.LastSeq)
	}
	g.progress(GrowProgress{Stage: "verify", Stream: name, Total: had.LastSeq})
	return contains(ctx, old, there, had.LastSeq, func(seq uint64) {
		g.progress(GrowProgress{Stage: "verify", Stream: name, Done: seq, Total: had.LastSeq})
	})
}

// unmark takes Grow's marks from the streams.
func (b *Bus) unmark(ctx context.Context) error {
	logs, err := b.Logs(ctx)
	if err != nil {
		return err
	}
	for _, l := range logs {
		err := b.patiently(ctx, func(ctx context.Context) error {
			s, err := b.js.Stream(ctx, l.Name)
			if err != nil {
				return err
			}
			cfg := s.CachedInfo().Config
			if cfg.Metadata[movingKey] == "" {
				return nil
			}
			delete(cfg.Metadata, movingKey)
			_, err = b.js.UpdateStream(ctx, cfg)
			return err
		})
		if err != nil {
			return wrap("grow: unmark "+l.Name, err)
		}
	}
	return nil
}
