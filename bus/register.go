package bus

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"concord"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// casTries bounds how often a compare-and-set is sent that the engine refuses for no reason (see register.put).
	casTries = 8
	// casPause is the wait before the second of them; each further one waits as long again.
	casPause = 10 * time.Millisecond
	// headerRoom is what a message may have in headers beside its data.
	headerRoom = 4 << 10
	// operationHeader and operationDelete mark a deletion, as in NATS's own key-value buckets.
	operationHeader, operationDelete = "KV-Operation", "DEL"
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
}

// openRegister opens the register in the named stream, creating it when it is new.
func (b *Bus) openRegister(ctx context.Context, what, stream, prefix string, maxValueBytes int32, maxBytes int64) (*register, error) {
	s, err := b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: stream, Subjects: []string{prefix + ">"}, MaxMsgsPerSubject: 1, MaxMsgSize: maxValueBytes + headerRoom, MaxBytes: maxBytes,
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true,
		AllowMsgTTL: true, AllowDirect: false, Replicas: b.replicas(),
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
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := r.stream.GetLastMsgForSubject(ctx, r.subject(name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return value{}, nil
	}
	if err != nil {
		return value{}, wrap("get "+r.what+" "+name, err)
	}
	if m.Header.Get(checksumHeader) != checksum(m.Data) {
		return value{}, concord.Errorf(concord.Corrupt, "%s %s does not match its checksum", r.what, name)
	}
	return value{m.Data, m.Sequence, m.Header.Get(operationHeader) == operationDelete, m.Time}, nil
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
// client): so a refusal counts only when the leader has another revision.
func (r *register) swap(ctx context.Context, verb, name string, msg *nats.Msg, revision uint64) (uint64, error) {
	action := verb + " " + r.what + " " + name
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	msg.Subject = r.subject(name)
	msg.Header.Set(checksumHeader, checksum(msg.Data))
	expect := revision
	for try := range casTries {
		msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expect, 10))
		ack, err := r.bus.js.PublishMsg(ctx, msg)
		if err == nil {
			return ack.Sequence, nil
		}
		if !isWrongRevision(err) {
			return 0, wrap(action, err)
		}
		current, err := r.get(ctx, name)
		if err != nil && concord.KindOf(err) != concord.Corrupt {
			return 0, err
		}
		switch {
		case err == nil && revision == 0 && (current.deleted || current.revision == 0):
			expect = current.revision
		case err == nil && current.revision != expect:
			return 0, concord.Errorf(concord.Conflict, "%s: it has revision %d now, not %d", action, current.revision, revision)
		}
		select {
		case <-ctx.Done():
			return 0, wrap(action, ctx.Err())
		case <-time.After(time.Duration(try) * casPause):
		}
	}
	return 0, concord.Errorf(concord.Unavailable, "%s: the message engine refuses a current revision, %d times in a row", action, casTries)
}

func isWrongRevision(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// follow calls f with the last message of every name under filter, then with every later one, until ctx ends or f fails. pending is how
// many of the first ones are still to come.
func (r *register) follow(ctx context.Context, filter string, f func(name string, v value, pending uint64) error) error {
	action := "watch " + r.what + "s"
	cons, err := r.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{filter}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	})
	if err != nil {
		return wrap(action, err)
	}
	in := make(chan jetstream.Msg)
	failed := make(chan error, 1)
	sub, err := cons.Consume(func(m jetstream.Msg) {
		select {
		case in <- m:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxBytes(followBytes), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		if errors.Is(err, jetstream.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionClosed) {
			select {
			case failed <- err:
			default:
			}
		}
	}))
	if err != nil {
		return wrap(action, err)
	}
	defer sub.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return wrap(action, err)
		case m := <-in:
			msg, err := decode(m)
			if err != nil {
				return err
			}
			meta, err := m.Metadata()
			if err != nil {
				return wrap(action, err)
			}
			v := value{msg.Data, msg.Seq, m.Headers().Get(operationHeader) == operationDelete, msg.Time}
			if err := f(r.name(m.Subject()), v, meta.NumPending); err != nil {
				return err
			}
		}
	}
}
