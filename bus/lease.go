package bus

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"concord"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	leaseBucket = "LEASES"
	leaseStream = "KV_" + leaseBucket
	// leaseBytes bounds the bucket: a lease takes some 150 bytes, and one message each is kept.
	leaseBytes = 8 << 20
	// tryHeader names one write of a lease, so that its writer knows it again when the answer was lost.
	tryHeader = "Concord-Try"
	// operationHeader is on what the engine or Release writes to end a lease; what ran out has reasonHeader.
	operationHeader = "KV-Operation"
	reasonHeader    = "Nats-Marker-Reason"

	// maxSpurious is how often the engine may refuse a revision that is right.
	maxSpurious = 5

	codeWrongRevision = 10071 // "wrong last sequence": somebody else has written
	codeMaybeRevision = 10164 // the same, but the engine may say it of a revision that is right while another write is under way
)

// Leases gives nodes the right to own partitions, one at a time, for a while. A lease is not a lock: its holder stops by
// its own clock before the lease runs out, and fences what it commits with the lease's revision.
type Leases struct {
	bus    *Bus
	stream jetstream.Stream

	mu    sync.Mutex
	tries map[string]string // the newest write of each lease that was not answered
}

// Leases opens the bucket of leases, creating it when it is new.
func (b *Bus) Leases(ctx context.Context) (*Leases, error) {
	// Made as a stream and not by CreateKeyValue: AllowDirect must be off, since direct reads may be stale.
	s, err := b.ensure(ctx, jetstream.StreamConfig{
		Name: leaseStream, Subjects: []string{"$KV." + leaseBucket + ".>"}, MaxMsgsPerSubject: 1,
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true,
		AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Minute, AllowDirect: false, MaxBytes: leaseBytes, MaxConsumers: maxConsumers,
	})
	if err != nil {
		return nil, wrap("open leases", err)
	}
	return &Leases{bus: b, stream: s, tries: map[string]string{}}, nil
}

// Acquire takes the named lease for ttl (whole seconds) and returns its revision, a number that only grows. When another
// node holds it the error is a Conflict that names it. A holder that asks again, after a restart say, gets it anew:
// who holds the node's data directory is the node.
func (l *Leases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (uint64, error) {
	e, err := l.read(ctx, name)
	if err != nil {
		return 0, wrap("acquire lease "+name, err)
	}
	if e.holder != "" && e.holder != holder {
		return 0, concord.Errorf(concord.Conflict, "lease %s is held by %s", name, e.holder)
	}
	return l.put(ctx, name, holder, ttl, e.revision)
}

// Renew prolongs a lease by ttl from now and returns its new revision; the lease's fence stays the one Acquire gave.
// Conflict means that it was lost. While the engine has no leader Renew tries again until ctx ends.
func (l *Leases) Renew(ctx context.Context, name, holder string, ttl time.Duration, revision uint64) (uint64, error) {
	return l.put(ctx, name, holder, ttl, revision)
}

// lease is what the bucket says of one: holder is empty when nobody has it, revision 0 when nobody ever had.
type lease struct {
	holder   string
	revision uint64
	try      string
}

// read asks the leader.
func (l *Leases) read(ctx context.Context, name string) (lease, error) {
	var e lease
	err := l.bus.patiently(ctx, func(ctx context.Context) error {
		m, err := l.stream.GetLastMsgForSubject(ctx, leaseSubject(name))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			e = lease{}
			return nil
		}
		if err != nil {
			return err
		}
		e = lease{revision: m.Sequence, try: m.Header.Get(tryHeader)}
		if m.Header.Get(operationHeader) == "" && m.Header.Get(reasonHeader) == "" {
			e.holder = string(m.Data)
		}
		return nil
	})
	return e, err
}

// put writes with compare-and-set and a time to live. The engine's key-value client would drop the time to live of an update and
// make the key permanent.
func (l *Leases) put(ctx context.Context, name, holder string, ttl time.Duration, revision uint64) (uint64, error) {
	w := &leaseWrite{leases: l, name: name, holder: holder, ttl: ttl, revision: revision}
	w.earlier, w.try = l.begin(name)
	var written uint64
	err := l.bus.patiently(ctx, func(ctx context.Context) (err error) {
		for range maxSpurious {
			if written, err = w.publish(ctx); !mismatch(err) {
				return err
			}
			var done bool
			if written, done, err = w.explain(ctx); done || err != nil {
				return err
			}
		}
		return concord.Errorf(concord.Unavailable, "the engine refuses revision %d although it is right", w.revision)
	})
	if err == nil || concord.KindOf(err) == concord.Conflict {
		l.answered(name)
	}
	return written, wrap("write lease "+name, err)
}

// leaseWrite is one compare-and-set of a lease.
type leaseWrite struct {
	leases       *Leases
	name, holder string
	ttl          time.Duration
	revision     uint64 // that the lease must have
	earlier, try string // the names of the holder's last write, if it was not answered, and of this one
}

func (w *leaseWrite) publish(ctx context.Context) (uint64, error) {
	msg := &nats.Msg{Subject: leaseSubject(w.name), Data: []byte(w.holder), Header: nats.Header{}}
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(w.revision, 10))
	msg.Header.Set(jetstream.MsgTTLHeader, w.ttl.String())
	msg.Header.Set(tryHeader, w.try)
	ack, err := w.leases.bus.js.PublishMsg(ctx, msg)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// explain reads why the engine refused the revision: this write is stored already, by a try whose answer was lost (done); nobody has
// written since, or only the holder's own write that was not answered (try again); or it was taken (Conflict).
func (w *leaseWrite) explain(ctx context.Context) (written uint64, done bool, err error) {
	e, err := w.leases.read(ctx, w.name)
	switch {
	case err != nil:
		return 0, false, err
	case e.holder == w.holder && e.try == w.try:
		return e.revision, true, nil
	case e.revision == w.revision, e.holder == w.holder && w.earlier != "" && e.try == w.earlier:
		w.revision = e.revision
		return 0, false, nil
	}
	return 0, false, concord.Errorf(concord.Conflict, "lease %s was taken by another node", w.name)
}

func mismatch(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == codeWrongRevision || api.ErrorCode == codeMaybeRevision)
}

// begin names a write, and returns the name of the one before if that was not answered.
func (l *Leases) begin(name string) (earlier, try string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	earlier, try = l.tries[name], uuid.NewString()
	l.tries[name] = try
	return earlier, try
}

func (l *Leases) answered(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tries, name)
}

func leaseSubject(name string) string { return "$KV." + leaseBucket + "." + name }

// Release gives the lease back, so that the next owner need not wait for it to run out.
func (l *Leases) Release(ctx context.Context, name string, revision uint64) error {
	msg := &nats.Msg{Subject: leaseSubject(name), Header: nats.Header{}}
	msg.Header.Set(operationHeader, "DEL")
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	err := l.bus.patiently(ctx, func(ctx context.Context) error {
		_, err := l.bus.js.PublishMsg(ctx, msg)
		return err
	})
	if mismatch(err) {
		return concord.Errorf(concord.Conflict, "release lease %s: it has another revision than %d", name, revision)
	}
	return wrap("release lease "+name, err)
}
