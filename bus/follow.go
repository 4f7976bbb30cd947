package bus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"concord"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxFollowBatch is how many messages a consumer gets at once.
	maxFollowBatch = 500
	// followBytes bounds what a consumer has read ahead.
	followBytes = 8 << 20
	// followPulse is how often the engine says that a quiet reader is still served; two that do not come mean that the
	// machine that served it is gone.
	followPulse = time.Second
	// followExpiry is how long one request for messages lasts.
	followExpiry = 30 * time.Second
	// consumerTimeout bounds one try to be given a reader in a cluster, which takes milliseconds unless the one asked is gone.
	consumerTimeout = 4 * time.Second
	// consumerIdle is how long the engine keeps what it knows of a reader that asks no more.
	consumerIdle = time.Minute
	// stallCheck is how often a quiet reader is asked whether it has delivered all. An engine that cannot read a message from its
	// disk does not say so: it stops delivering.
	stallCheck = 2 * time.Second
	// maxStalls is how many readers in a row may come to a halt at one message. Each is served by any of the copies' machines, so
	// that a copy that can be read is found: all but one in 2^10 times if one of two is damaged.
	maxStalls = 10
	// settle is how long a log in a cluster may seem shorter than it is, while it changes its leader.
	settle = 5 * time.Second
)

// errAgain ends one reading of a log that another takes up: the machine that served it is gone.
var errAgain = errors.New("reader is no longer served")

// applyError carries an error of the caller's past the retries.
type applyError struct{ error }

// Follow implements concord.Log. It goes on through the loss of the machine that serves it, and waits while the log cannot be read.
func (l *log) Follow(ctx context.Context, subject string, after uint64, apply func([]concord.Message) error) error {
	action := "follow log " + l.name
	if err := l.checkPosition(ctx, after); err != nil {
		return wrap(action, err)
	}
	f := &follower{log: l, subject: subject, after: after, apply: apply}
	for {
		err := f.read(ctx)
		var failed applyError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &failed):
			return failed.error
		case !errors.Is(err, errAgain) && !(l.bus.clustered() && (refused(err) || unanswered(err))):
			return wrap(action, err)
		}
		l.bus.cfg.Logger.Debug("following again", "log", l.name, "subject", subject, "after", f.after, "because", err)
		if err := pause(ctx, retryPause); err != nil {
			return err
		}
	}
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
	stalls  int    // readers in a row that have come to a halt
	left    uint64 // how many messages the engine said were still to come, with the last one
}

// reading is one consumer of the engine's and what has come from it.
type reading struct {
	cons     jetstream.Consumer
	in       chan jetstream.Msg
	received atomic.Uint64
}

// read makes a consumer and applies what it delivers until it fails.
func (f *follower) read(ctx context.Context) error {
	limit := requestTimeout
	if f.log.bus.clustered() {
		limit = consumerTimeout
	}
	try, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cons, err := f.log.stream.CreateConsumer(try, jetstream.ConsumerConfig{
		FilterSubject: f.subject, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: f.after + 1,
		AckPolicy: jetstream.AckNonePolicy, Replicas: 1, MemoryStorage: true, InactiveThreshold: consumerIdle,
	})
	if err != nil {
		return err
	}
	f.left = cons.CachedInfo().NumPending
	read, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer f.forget(cons.CachedInfo().Name)
	r := &reading{cons: cons, in: make(chan jetstream.Msg, maxFollowBatch)}
	sub, err := cons.Consume(func(m jetstream.Msg) {
		if meta, err := m.Metadata(); err != nil || meta.Sequence.Consumer != r.received.Add(1) {
			stop(errAgain) // one was lost on its way
			return
		}
		select {
		case r.in <- m:
		case <-read.Done():
		}
	}, jetstream.PullMaxBytes(followBytes), jetstream.PullExpiry(followExpiry), jetstream.PullHeartbeat(followPulse),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { stop(fmt.Errorf("%w: %w", errAgain, err)) }))
	if err != nil {
		return err
	}
	defer sub.Stop()
	return f.drain(read, r)
}

// forget tells the engine that a consumer is done, without waiting for the answer: an idle one goes by itself.
func (f *follower) forget(consumer string) {
	_ = f.log.bus.conn.Publish("$JS.API.CONSUMER.DELETE."+f.log.name+"."+consumer, nil)
}

// drain collects what has arrived into batches and applies them.
func (f *follower) drain(ctx context.Context, r *reading) error {
	var batch []concord.Message
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
			continue
		case m := <-r.in:
			quiet = 0
			msg, err := f.decode(m)
			if err != nil {
				return err
			}
			batch = append(batch[:0], msg)
		}
	more:
		for len(batch) < maxFollowBatch {
			select {
			case m := <-r.in:
				msg, err := f.decode(m)
				if err != nil {
					return err
				}
				batch = append(batch, msg)
			default:
				break more
			}
		}
		if err := f.apply(batch); err != nil {
			return applyError{err}
		}
		f.after, f.stalls = batch[len(batch)-1].Seq, 0
		clear(batch)
	}
}

// decode checks a message against the checksum it was appended with.
func (f *follower) decode(m jetstream.Msg) (concord.Message, error) {
	meta, err := m.Metadata()
	if err != nil {
		return concord.Message{}, fmt.Errorf("read log message: %w", err)
	}
	f.left = meta.NumPending
	if want := m.Headers().Get(checksumHeader); want != checksum(m.Data()) {
		return concord.Message{}, concord.Errorf(concord.Corrupt, "log message %d on %s does not match its checksum", meta.Sequence.Stream, m.Subject())
	}
	return concord.Message{Subject: m.Subject(), ID: m.Headers().Get(jetstream.MsgIDHeader), Data: m.Data(),
		Seq: meta.Sequence.Stream, Time: meta.Timestamp}, nil
}

// checkStall asks whether a quiet reader has delivered all that there is, and that it has all come, and ends it if not.
func (f *follower) checkStall(ctx context.Context, r *reading) error {
	try, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	info, err := r.cons.Info(try)
	if err != nil {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	node := f.log.bus.cfg.NodeName
	if info.Cluster != nil {
		node = info.Cluster.Leader
	}
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
	if f.stalls++; f.stalls >= maxStalls || !f.log.bus.clustered() {
		return concord.Errorf(concord.Corrupt, "the message of %s after %d cannot be read (last tried at %s); see the engine's errors in the log", f.subject, f.after, node)
	}
	return errAgain
}
