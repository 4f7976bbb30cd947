package bus

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// retryPause is the wait between two tries: short beside the 5.5 s that the election of a leader takes.
const retryPause = 100 * time.Millisecond

// Codes of the engine's API (nats-server, errors.json) that mean "not now": there is no leader, the one asked has just ceased to be
// it, or a change of the same stream is under way. This try did nothing.
var transientCodes = map[jetstream.ErrorCode]bool{
	10004: true, // incomplete results
	10005: true, // no suitable peers (yet)
	10008: true, // JetStream system temporarily unavailable
	10009: true, // JetStream cluster can not handle request
	10023: true, // insufficient resources: too few nodes are known yet
	10124: true, // stream move in progress
	10158: true, // the same message is being stored, from an earlier try whose answer did not come
	10176: true, // atomic batch is incomplete: its beginning went to another leader
	10202: true, // a membership change is in flight
	10210: true, // too many atomic batches in flight
	10211: true, // too many batches in flight
}

// errNoLeader says that nobody decides at the moment.
var errNoLeader = &jetstream.APIError{ErrorCode: 10008, Description: "the cluster has no leader now"}

// clustered says whether the engine is more than one process: requests may then be lost with the machine that had them.
func (b *Bus) clustered() bool { return b.cfg.Cluster != nil || b.cfg.URL != "" }

// refused says that the engine did not do what it was asked, and that a later try may work.
func refused(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrReconnectBufExceeded) ||
		errors.As(err, &api) && transientCodes[api.ErrorCode]
}

// unanswered says that it is not known whether the engine did what it was asked.
func unanswered(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrDisconnected)
}

// patiently makes a request that may be made twice, again and again within requestTimeout while the answer is "not now" or none: long
// enough for a new leader. A node alone has no such moments and asks once.
func (b *Bus) patiently(ctx context.Context, request func(context.Context) error) error {
	return b.retry(ctx, tryTimeout, request)
}

// retry is patiently with another time for one try. With 0 the request may not be made twice: only one that the engine has refused
// is made again.
func (b *Bus) retry(ctx context.Context, each time.Duration, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if !b.clustered() {
		return request(ctx)
	}
	for {
		try, cancel := context.WithTimeout(ctx, cmp.Or(each, requestTimeout))
		err := request(try)
		cancel()
		if err == nil || ctx.Err() != nil || !refused(err) && !(each > 0 && unanswered(err)) {
			return err
		}
		if pause(ctx, retryPause) != nil {
			return err
		}
	}
}

// pause waits, and returns ctx's error when that ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
