package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"time"

	"concord"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// casTries bounds how often a compare-and-set is sent that the engine refuses for no reason (see register.swap).
	casTries = 8
	// casPause is the wait before the second of them; each further one waits as long again.
	casPause = 10 * time.Millisecond
	// headerRoom is what a message may have in headers beside its data.
	headerRoom = 4 << 10
	// operationDelete in the operationHeader marks a deletion, as in NATS's own key-value buckets.
	operationDelete = "DEL"
)

// register is a stream that keeps the last message of every name, replaced by compare-and-set: what manifests and the names of blobs are
// made of. It is made by hand and not by CreateKeyValue, because AllowDirect must be off: direct reads may be stale.
type register struct {
	bus    *Bus
	stream jetstream.Stream
	what   string // "manifest", for messages
	prefix string // of subjects, ending in '.'
}

// value is what a register has under a name. Revision 0: nothing, not even a mark that it was deleted.
type value struct {
	data     []byte
	revision uint64
	deleted  bool
	stored   time.Time
	try      string // which swap wrote it
}

// openRegister opens the register in the named stream, creating it when it is new.
func (b *Bus) openRegister(ctx context.Context, what, stream, prefix string, maxValueBytes int32, maxBytes int64) (*register, error) {
	s, err := b.ensure(ctx, jetstream.StreamConfig{
		Name: stream, Subjects: []string{prefix + ">"}, MaxMsgsPerSubject: 1, MaxMsgSize: maxValueBytes + headerRoom, MaxBytes: maxBytes,
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true,
		AllowMsgTTL: true, AllowDirect: false, MaxConsumers: maxConsumers,
	})
	if err != nil {
		return nil, wrap("open "+what+"s", err)
	}
	return &register{bus: b, stream: s, what: what, prefix: prefix}, nil
}

var (
	toSubject   = strings.NewReplacer("/", ".", ".", "=")
	fromSubject = strings.NewReplacer(".", "/", "=", ".")
)

// subject of a name that CheckBlobName passes: its parts become tokens, so that the engine can filter by directory, and its dots '=',
// which no name has.
func (r *register) subject(name string) string { return r.prefix + toSubject.Replace(name) }

func (r *register) name(subject string) string {
	return fromSubject.Replace(strings.TrimPrefix(subject, r.prefix))
}

// filter is the narrowest subject filter that has every name beginning with prefix; ok is false when no name can.
func (r *register) filter(prefix string) (filter string, ok bool) {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return r.prefix + ">", true
	}
	if concord.CheckBlobName(prefix[:i]) != nil {
		return "", false
	}
	return r.subject(prefix[:i]) + ".>", true
}

// get returns the value of a name as the leader has it. What is not there is no error.
func (r *register) get(ctx context.Context, name string) (value, error) {
	var v value
	err := r.bus.patiently(ctx, func(ctx context.Context) (err error) {
		v, err = r.ask(ctx, name)
		return err
	})
	return v, wrap("get "+r.what+" "+name, err)
}

// ask is get, once.
func (r *register) ask(ctx context.Context, name string) (value, error) {
	m, err := r.stream.GetLastMsgForSubject(ctx, r.subject(name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return value{}, nil
	}
	if err != nil {
		return value{}, err
	}
	v := value{m.Data, m.Sequence, m.Header.Get(operationHeader) == operationDelete, m.Time, m.Header.Get(tryHeader)}
	if m.Header.Get(checksumHeader) != checksum(m.Data) {
		return v, concord.Errorf(concord.Corrupt, "revision %d does not match its checksum", m.Sequence)
	}
	return v, nil
}

// put replaces the value of a name that has revision, or makes one if revision is 0 and there is none or a deleted one.
func (r *register) put(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	return r.swap(ctx, "put", name, &nats.Msg{Data: data, Header: nats.Header{}}, revision)
}

// del marks a name that has revision as deleted. Marks go after ttl; 0: never.
func (r *register) del(ctx context.Context, name string, revision uint64, ttl time.Duration) error {
	msg := &nats.Msg{Header: nats.Header{}}
	msg.Header.Set(operationHeader, operationDelete)
	if ttl > 0 {
		msg.Header.Set(jetstream.MsgTTLHeader, ttl.String())
	}
	_, err := r.swap(ctx, "delete", name, msg, revision)
	return err
}

// swap publishes with compare-and-set. The engine now and then refuses a current revision (codes 10164 and 10071 are one error to its
// client): so a refusal counts only when the leader has another revision, and not when that is what an earlier try has written, whose
// answer was lost.
func (r *register) swap(ctx context.Context, verb, name string, msg *nats.Msg, revision uint64) (written uint64, err error) {
	msg.Subject = r.subject(name)
	msg.Header.Set(checksumHeader, checksum(msg.Data))
	msg.Header.Set(tryHeader, rand.Text())
	expect := revision
	err = r.bus.patiently(ctx, func(ctx context.Context) (err error) {
		for try := range casTries {
			if written, err = r.send(ctx, msg, expect); !mismatch(err) {
				return err
			}
			current, err := r.ask(ctx, name)
			switch {
			case err != nil && concord.KindOf(err) != concord.Corrupt:
				return err
			case current.try == msg.Header.Get(tryHeader):
				written = current.revision
				return nil
			case revision == 0 && (current.deleted || current.revision == 0):
				expect = current.revision
			case current.revision != expect:
				return concord.Errorf(concord.Conflict, "it has revision %d, not %d", current.revision, revision)
			}
			if err := pause(ctx, time.Duration(try)*casPause); err != nil {
				return err
			}
		}
		return concord.Errorf(concord.Unavailable, "the engine refuses revision %d although it is right", expect)
	})
	return written, wrap(verb+" "+r.what+" "+name, err)
}

// send publishes once.
func (r *register) send(ctx context.Context, msg *nats.Msg, expect uint64) (uint64, error) {
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expect, 10))
	ack, err := r.bus.js.PublishMsg(ctx, msg)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// follow calls f with the last message of every name under filter that came after a sequence number, then with every later one, until ctx
// ends or f fails. pending is how many of those that are there are still to come. It goes on through the loss of the machine that serves
// it; only the last message of a name is kept, so what was missed meanwhile is what follows after the last one seen.
func (r *register) follow(ctx context.Context, filter string, after uint64, f func(name string, v value, pending uint64) error) error {
	tell := func(ctx context.Context, read *reading) error {
		for {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case m := <-read.in:
				if m.Headers().Get(checksumHeader) != checksum(m.Data()) {
					return concord.Errorf(concord.Corrupt, "%s does not match its checksum", r.name(m.Subject()))
				}
				v := value{m.Data(), m.meta.Sequence.Stream, m.Headers().Get(operationHeader) == operationDelete, m.meta.Timestamp, ""}
				if err := f(r.name(m.Subject()), v, m.meta.NumPending); err != nil {
					return applyError{err}
				}
				after = v.revision
			}
		}
	}
	return r.bus.keepReading(ctx, "watch "+r.what+"s", func(ctx context.Context) error {
		return r.bus.read(ctx, r.stream, filter, after, 0, tell)
	})
}

// subjects asks the leader of a stream for the subjects that have messages, and for the number of the last message.
func (b *Bus) subjects(ctx context.Context, stream jetstream.Stream, filter string) (subjects map[string]uint64, last uint64, err error) {
	err = b.patiently(ctx, func(ctx context.Context) error {
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
		if err == nil {
			subjects, last = info.State.Subjects, info.State.LastSeq
		}
		return err
	})
	return subjects, last, err
}
