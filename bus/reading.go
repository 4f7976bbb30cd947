package bus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// followBytes bounds what the engine sends ahead to a reader.
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
)

// errAgain ends one reading of a stream that another takes up: the machine that served it is gone.
var errAgain = errors.New("reader is no longer served")

// applyError carries an error of the caller's past the retries.
type applyError struct{ error }

// consumerFrom configures a reader of what is on filter ("": all) from a message on. It acknowledges nothing: who reads knows how far
// it is, and takes up another from there.
func consumerFrom(filter string, first uint64) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{FilterSubject: filter, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: first,
		AckPolicy: jetstream.AckNonePolicy, Replicas: 1, MemoryStorage: true, InactiveThreshold: consumerIdle}
}

// keepReading calls read again and again, each from where the last ended, through the loss of the machine that serves it, until ctx
// ends or read fails in another way.
func (b *Bus) keepReading(ctx context.Context, action string, read func(context.Context) error) error {
	for {
		err := read(ctx)
		var failed applyError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &failed):
			return failed.error
		case !errors.Is(err, errAgain) && !(b.clustered() && (refused(err) || unanswered(err))):
			return wrap(action, err)
		}
		b.cfg.Logger.Debug("reading again", "action", action, "because", err)
		if err := pause(ctx, retryPause); err != nil {
			return err
		}
	}
}

// reading is one consumer of the engine's and what comes from it, in order.
type reading struct {
	cons     jetstream.Consumer
	in       chan delivered
	received atomic.Uint64
}

// delivered is a message with its place in the stream.
type delivered struct {
	jetstream.Msg
	meta *jetstream.MsgMetadata
}

// read makes a consumer of what is on filter after a message and has use take what it delivers, of which up to ahead messages wait,
// until use returns. The context of use ends, with the cause, when no more will come.
func (b *Bus) read(ctx context.Context, stream jetstream.Stream, filter string, after uint64, ahead int, use func(context.Context, *reading) error) error {
	limit := requestTimeout
	if b.clustered() {
		limit = consumerTimeout
	}
	try, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cons, err := stream.CreateConsumer(try, consumerFrom(filter, after+1))
	if err != nil {
		return err
	}
	info := cons.CachedInfo()
	// Nobody waits for the answer: a consumer that is idle goes by itself.
	defer func() { _ = b.conn.Publish("$JS.API.CONSUMER.DELETE."+info.Stream+"."+info.Name, nil) }()
	run, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &reading{cons: cons, in: make(chan delivered, ahead)}
	sub, err := cons.Consume(func(m jetstream.Msg) {
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Consumer != r.received.Add(1) {
			stop(errAgain) // one was lost on its way
			return
		}
		select {
		case r.in <- delivered{m, meta}:
		case <-run.Done():
		}
	}, jetstream.PullMaxBytes(followBytes), jetstream.PullExpiry(followExpiry), jetstream.PullHeartbeat(followPulse),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { stop(fmt.Errorf("%w: %w", errAgain, err)) }))
	if err != nil {
		return err
	}
	defer sub.Stop()
	return use(run, r)
}
