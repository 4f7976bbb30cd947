package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"concord"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxFollowBatch is how many messages a consumer gets at once.
	maxFollowBatch = 500
	// stallCheck is how often a quiet reader is asked whether it has delivered all. An engine that cannot read a message from its
	// disk does not say so: it stops delivering.
	stallCheck = 2 * time.Second
	// maxStalls is how many readers in a row may come to a halt at one message. Each is served by any of the copies' machines, so
	// that a copy that can be read is found: all but one in 2^10 times if one of two is damaged.
	maxStalls = 10
	// maxStallsAlone is the same of a node alone: a message that was appended while the engine was asked looks like one that it cannot
	// read, and comes with the next reader.
	maxStallsAlone = 2
	// settle is how long a log in a cluster may seem shorter than it is, while it changes its leader.
	settle = 5 * time.Second
)

// Follow implements concord.Log. It goes on through the loss of the machine that serves it, and waits while the log cannot be read. What
// one copy lacks or has damaged it reads from another. Errors: Corrupt when no copy has it; Conflict when the log was trimmed beyond what
// the reader has, so that it lost messages: its state is behind what others committed.
func (l *log) Follow(ctx context.Context, subject string, after uint64, apply func([]concord.Message) error) error {
	action := "follow log " + l.name
	if err := l.checkPosition(ctx, after); err != nil {
		return wrap(action, err)
	}
	f := &follower{log: l, subject: subject, after: after, apply: apply, chains: newChains()}
	return l.bus.keepReading(ctx, action, f.read)
}

// checkPosition refuses a position beyond the log's end: what it was taken from is gone. A new leader may for a moment not know the
// whole log, so in a cluster it looks more than once.
func (l *log) checkPosition(ctx context.Context, after uint64) error {
	deadline := time.Now().Add(settle)
	for {
		var last uint64
		err := l.bus.patiently(ctx, func(ctx context.Context) error {
			info, err := l.stream.Info(ctx)
			if err == nil {
				last = info.State.LastSeq
			}
			return err
		})
		switch {
		case err == nil && after <= last:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && l.bus.clustered() && (refused(err) || unanswered(err)):
			deadline = time.Now().Add(settle) // no leader yet: wait for one, it decides
		case err != nil:
			return err
		case !l.bus.clustered() || time.Now().After(deadline):
			return concord.Errorf(concord.Corrupt, "position %d is beyond its end %d: the log's files were lost or replaced", after, last)
		}
		if err := pause(ctx, retryPause); err != nil {
			return err
		}
	}
}

// follower reads a log through consumers of the engine's, one after another: without acknowledgements, each from where the last ended.
type follower struct {
	log     *log
	subject string
	after   uint64 // the last message handed to apply
	apply   func([]concord.Message) error
	chains  *chains
	stalls  int    // readers in a row that have come to a halt
	left    uint64 // how many messages the engine said were still to come, with the last one
}

// read makes a consumer and applies what it delivers until it fails.
func (f *follower) read(ctx context.Context) error {
	return f.log.bus.read(ctx, f.log.stream, f.subject, f.after, maxFollowBatch, func(ctx context.Context, r *reading) error {
		f.left = r.cons.CachedInfo().NumPending
		return f.drain(ctx, r)
	})
}

// drain collects what has arrived into batches and applies them.
func (f *follower) drain(ctx context.Context, r *reading) error {
	batch := make([]concord.Message, 0, maxFollowBatch)
	tick := time.NewTicker(stallCheck)
	defer tick.Stop()
	quiet := 0 // ticks since the last message
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if quiet++; quiet > 1 && len(r.in) == 0 {
				if err := f.checkStall(ctx, r); err != nil {
					return err
				}
			}
		case m := <-r.in:
			quiet = 0
			var damage error
			batch, damage = f.collect(r, m, batch[:0])
			if len(batch) > 0 {
				if err := f.apply(batch); err != nil {
					return applyError{err}
				}
				f.after, f.stalls = batch[len(batch)-1].Seq, 0
				clear(batch)
			}
			if damage != nil {
				return f.damaged(ctx, r, damage)
			}
		}
	}
}

// collect appends a message and what has arrived behind it to a batch, up to one that is damaged.
func (f *follower) collect(r *reading, m delivered, batch []concord.Message) ([]concord.Message, error) {
	for {
		msg, err := f.decode(m)
		if err != nil {
			return batch, err
		}
		batch = append(batch, msg)
		if len(batch) == maxFollowBatch {
			return batch, nil
		}
		select {
		case m = <-r.in:
		default:
			return batch, nil
		}
	}
}

// gap is the damage of messages that did not come.
type gap struct {
	subject      string
	after, until uint64 // the messages before and behind it
	missing      uint64 // how many
}

func (g *gap) Error() string {
	return fmt.Sprintf("%d messages of %s between %d and %d are missing", g.missing, g.subject, g.after, g.until)
}

// decode checks a message against the checksum it was appended with, and that none before it in its chain is missing. Older versions
// appended without chains.
func (f *follower) decode(m delivered) (concord.Message, error) {
	f.left = m.meta.NumPending
	seq := m.meta.Sequence.Stream
	if want := m.Headers().Get(checksumHeader); want != checksum(m.Data()) {
		return concord.Message{}, fmt.Errorf("log message %d on %s does not match its checksum", seq, m.Subject())
	}
	if text := m.Headers().Get(chainHeader); text != "" {
		k, ok := parseLink(text)
		if !ok {
			return concord.Message{}, fmt.Errorf("log message %d on %s has an unreadable %s", seq, m.Subject(), chainHeader)
		}
		if before, whole := f.chains.add(m.Subject(), k, seq); !whole {
			return concord.Message{}, &gap{subject: m.Subject(), after: before.seq, until: seq, missing: k.n - before.n - 1}
		}
	}
	return concord.Message{Subject: m.Subject(), ID: m.Headers().Get(jetstream.MsgIDHeader), Data: m.Data(), Seq: seq, Time: m.meta.Timestamp}, nil
}

// damaged turns to another copy, or says what is wrong with this one when there is none that is better.
func (f *follower) damaged(ctx context.Context, r *reading, damage error) error {
	node := f.nodeOf(r.cons.CachedInfo())
	if f.stalls++; f.stalls < maxStalls && f.log.bus.clustered() {
		f.log.bus.cfg.Logger.Warn("a copy of a log does not have all of it; reading from another", "log", f.log.name, "node", node, "because", damage)
		return fmt.Errorf("%w: %w", errAgain, damage)
	}
	var g *gap
	if errors.As(damage, &g) {
		first, err := f.log.first(ctx, g.subject)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && (first == 0 || first >= g.until):
			return concord.Errorf(concord.Conflict, "the log was trimmed beyond what this reader has: %w", damage)
		}
	}
	return concord.Errorf(concord.Corrupt, "%w (last tried at %s): what is made from the log must be made again from the archive", damage, node)
}

// nodeOf returns the machine whose copy a consumer reads.
func (f *follower) nodeOf(info *jetstream.ConsumerInfo) string {
	if info.Cluster != nil {
		return info.Cluster.Leader
	}
	return f.log.bus.cfg.NodeName
}

// checkStall asks whether a quiet reader has delivered all that there is, and that it has all come, and ends it if not.
func (f *follower) checkStall(ctx context.Context, r *reading) error {
	try, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	info, err := r.cons.Info(try)
	if err != nil {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	node := f.nodeOf(info)
	if info.Delivered.Consumer > r.received.Load() {
		return fmt.Errorf("%w: what it sent last did not come", errAgain)
	}
	if info.NumPending == 0 && f.left > 0 {
		// A trim while it read looks the same, so it is no more than a hint.
		f.log.bus.cfg.Logger.Warn("a reader got fewer messages than a copy of the log said it has; if the log was not trimmed just now, scrub it",
			"log", f.log.name, "node", node, "fewer", f.left)
		f.left = 0
	}
	if info.NumPending == 0 {
		return nil
	}
	f.log.bus.cfg.Logger.Warn("a copy of a log cannot be read", "log", f.log.name, "node", node, "after", f.after)
	limit := maxStallsAlone
	if f.log.bus.clustered() {
		limit = maxStalls
	}
	if f.stalls++; f.stalls >= limit {
		return concord.Errorf(concord.Corrupt, "the message of %s after %d cannot be read (last tried at %s); see the engine's errors in the log", f.subject, f.after, node)
	}
	return errAgain
}
