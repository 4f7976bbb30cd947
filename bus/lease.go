package bus

import (
	"context"
	"errors"
	"strconv"
	"time"

	"concord"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const leaseBucket = "LEASES"

// Leases gives nodes the right to own partitions, one at a time, for a while. A lease is not a lock: its holder stops by
// its own clock before the lease runs out, and fences what it commits with the lease's revision.
type Leases struct {
	bus *Bus
	kv  jetstream.KeyValue
}

// Leases opens the bucket of leases, creating it when it is new.
func (b *Bus) Leases(ctx context.Context) (*Leases, error) {
	// Made as a stream and not by CreateKeyValue: AllowDirect must be off, since direct reads may be stale.
	if _, err := b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "KV_" + leaseBucket, Subjects: []string{"$KV." + leaseBucket + ".>"}, MaxMsgsPerSubject: 1,
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true,
		AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Minute, AllowDirect: false, MaxBytes: 8 << 20, Replicas: 1,
	}); err != nil {
		return nil, wrap("open leases", err)
	}
	kv, err := b.js.KeyValue(ctx, leaseBucket)
	if err != nil {
		return nil, wrap("open leases", err)
	}
	return &Leases{bus: b, kv: kv}, nil
}

// Acquire takes the named lease for ttl (whole seconds) and returns its revision, a number that only grows. When another
// node holds it the error is a Conflict that names it. A holder that asks again, after a restart say, gets it anew:
// who holds the node's data directory is the node.
func (l *Leases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (uint64, error) {
	rev, err := l.kv.Create(ctx, name, []byte(holder), jetstream.KeyTTL(ttl))
	if err == nil {
		return rev, nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return 0, wrap("acquire lease "+name, err)
	}
	e, err := l.kv.Get(ctx, name)
	if err != nil {
		return 0, wrap("acquire lease "+name, err)
	}
	if string(e.Value()) != holder {
		return 0, concord.Errorf(concord.Conflict, "lease %s is held by %s", name, e.Value())
	}
	return l.put(ctx, name, holder, ttl, e.Revision())
}

// Renew prolongs a lease by ttl from now and returns its new revision; the lease's fence stays the one Acquire gave.
// Conflict means that it was lost.
func (l *Leases) Renew(ctx context.Context, name, holder string, ttl time.Duration, revision uint64) (uint64, error) {
	return l.put(ctx, name, holder, ttl, revision)
}

// put writes with compare-and-set and a time to live. kv.Update would drop the time to live and make the key permanent.
func (l *Leases) put(ctx context.Context, name, holder string, ttl time.Duration, revision uint64) (uint64, error) {
	msg := &nats.Msg{Subject: "$KV." + leaseBucket + "." + name, Data: []byte(holder), Header: nats.Header{}}
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	msg.Header.Set(jetstream.MsgTTLHeader, ttl.String())
	ack, err := l.bus.js.PublishMsg(ctx, msg)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return 0, concord.Errorf(concord.Conflict, "lease %s was taken by another node", name)
	}
	if err != nil {
		return 0, wrap("renew lease "+name, err)
	}
	return ack.Sequence, nil
}

// Release gives the lease back, so that the next owner need not wait for it to run out.
func (l *Leases) Release(ctx context.Context, name string, revision uint64) error {
	return wrap("release lease "+name, l.kv.Delete(ctx, name, jetstream.LastRevision(revision)))
}
