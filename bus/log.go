package bus

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"concord"
	"concord/durable"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxBatch is the engine's bound on an atomic batch.
	maxBatch = 1000
	// dedupWindow is how long a message ID is remembered: long enough for the retry after a timeout, short because each ID
	// takes some 150 bytes of memory, and thousands come in a second. A duplicate that slips through is harmless: all
	// folds take an event they have applied for what it is.
	dedupWindow = 30 * time.Second
	// checksumHeader carries the CRC-32C of the data, eight hex digits.
	checksumHeader = "Concord-Crc32c"

	errCodeDuplicateInBatch = 10201 // "atomic publish batch contains duplicate message id"
)

// log is a JetStream stream as a concord.Log.
type log struct {
	bus    *Bus
	name   string
	stream jetstream.Stream
	lanes  lanes
}

// Log opens the named log, creating it when it is new. Subjects are its subject patterns, for example "frontier.*".
func (b *Bus) Log(ctx context.Context, name string, subjects ...string) (concord.Log, error) {
	s, err := b.ensure(ctx, jetstream.StreamConfig{
		Name:               name,
		Subjects:           subjects,
		Retention:          jetstream.LimitsPolicy,
		Storage:            jetstream.FileStorage,
		Compression:        b.compression(),
		Discard:            jetstream.DiscardNew,
		MaxBytes:           b.cfg.MaxLogBytes,
		MaxMsgSize:         MaxMessageBytes,
		Duplicates:         dedupWindow,
		MaxConsumers:       maxConsumers,
		AllowAtomicPublish: true,
	})
	if err != nil {
		return nil, wrap("open log "+name, err)
	}
	return &log{bus: b, name: name, stream: s}, nil
}

// compression is how the engine keeps older blocks of a log. Where a log has copies they are not compressed: an engine that is started
// cuts its copy back to its last snapshot, and compresses the newest block beside that; when that comes after the cut, all that is then
// appended to the block cannot be read, and a log with two such copies stands still (seen with nats-server 2.15.2, fileStore.Truncate).
// Copies of a log that an older version made are compressed until their node starts again.
func (b *Bus) compression() jetstream.StoreCompression {
	if b.clustered() {
		return jetstream.NoCompression
	}
	return jetstream.S2Compression
}

// Append implements concord.Log.
func (l *log) Append(ctx context.Context, msgs ...concord.Message) (uint64, error) {
	if len(msgs) == 0 {
		return 0, concord.Errorf(concord.Invalid, "append to log %s: no messages", l.name)
	}
	if len(msgs) > maxBatch {
		return 0, concord.Errorf(concord.Invalid, "append to log %s: %d messages, at most %d go into one batch", l.name, len(msgs), maxBatch)
	}
	for _, m := range msgs {
		if len(m.Data) > MaxMessageBytes {
			return 0, concord.Errorf(concord.Invalid, "append to log %s: message of %d bytes, at most %d", l.name, len(m.Data), MaxMessageBytes)
		}
	}
	each := tryTimeout
	if !repeatable(msgs) {
		each = 0
	}
	var seq uint64
	err := l.bus.retry(ctx, each, func(ctx context.Context) (err error) {
		seq, err = l.appendAll(ctx, msgs)
		return err
	})
	if err != nil {
		return 0, wrap("append to log "+l.name, err)
	}
	return seq, nil
}

// repeatable says whether the engine can tell a second try from a new append: by the messages' IDs.
func repeatable(msgs []concord.Message) bool {
	for _, m := range msgs {
		if m.ID == "" {
			return false
		}
	}
	return true
}

// appendAll makes one try. What its lanes count is stored, or they are not used again.
func (l *log) appendAll(ctx context.Context, msgs []concord.Message) (uint64, error) {
	if len(msgs) == 1 {
		return l.appendOne(ctx, msgs[0])
	}
	seq, err := l.appendBatch(ctx, msgs)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == errCodeDuplicateInBatch {
		// Part or all of the batch was stored by an earlier try whose answer was lost. One by one, the engine leaves out
		// what it has.
		for _, m := range msgs {
			if seq, err = l.appendOne(ctx, m); err != nil {
				return 0, err
			}
		}
	}
	return seq, err
}

func (l *log) appendOne(ctx context.Context, m concord.Message) (uint64, error) {
	lane := l.lanes.take()
	ack, err := l.bus.js.PublishMsg(ctx, encode(m, lane))
	if err != nil {
		return 0, err
	}
	if !ack.Duplicate {
		l.lanes.give(lane)
	}
	return ack.Sequence, nil
}

// appendBatch sends an atomic batch (NATS ADR-50): every message but the last without waiting, the last as a request
// whose answer says that all are stored. A batch that has one message of which the engine has the ID is refused as a whole.
func (l *log) appendBatch(ctx context.Context, msgs []concord.Message) (uint64, error) {
	id, lane := uuid.NewString(), l.lanes.take()
	for i, m := range msgs {
		msg := encode(m, lane)
		msg.Header.Set("Nats-Batch-Id", id)
		msg.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if i < len(msgs)-1 {
			if err := l.bus.conn.PublishMsg(msg); err != nil {
				return 0, err
			}
			continue
		}
		msg.Header.Set("Nats-Batch-Commit", "1")
		ack, err := l.bus.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
		if err != nil {
			return 0, err
		}
		if !ack.Duplicate {
			l.lanes.give(lane)
		}
		return ack.Sequence, nil
	}
	return 0, nil
}

// encode makes a message of the engine's, the next of a lane.
func encode(m concord.Message, in *lane) *nats.Msg {
	values := []string{checksum(m.Data), in.next(m.Subject).String(), m.ID} // one piece of memory for all: thousands come in a second
	header := nats.Header{checksumHeader: values[0:1:1], chainHeader: values[1:2:2]}
	if m.ID != "" {
		header[jetstream.MsgIDHeader] = values[2:]
	}
	return &nats.Msg{Subject: m.Subject, Data: m.Data, Header: header}
}

func checksum(data []byte) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, durable.Checksum(data)))
}

// first returns the number of the oldest message of a subject, 0 when there is none.
func (l *log) first(ctx context.Context, subject string) (uint64, error) {
	return l.number(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return l.stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(subject))
	})
}

// Last implements concord.Log.
func (l *log) Last(ctx context.Context, subject string) (uint64, error) {
	last, err := l.number(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return l.stream.GetLastMsgForSubject(ctx, subject)
	})
	return last, wrap("last message of "+subject, err)
}

// number returns the number of the message that get gets, 0 when there is none.
func (l *log) number(ctx context.Context, get func(context.Context) (*jetstream.RawStreamMsg, error)) (seq uint64, err error) {
	err = l.bus.patiently(ctx, func(ctx context.Context) error {
		m, err := get(ctx)
		switch {
		case err == nil:
			seq = m.Sequence
		case errors.Is(err, jetstream.ErrMsgNotFound):
			seq, err = 0, nil
		}
		return err
	})
	return seq, err
}

// Trim implements concord.Log.
func (l *log) Trim(ctx context.Context, subject string, upTo uint64) error {
	if upTo == 0 || strings.ContainsAny(subject, " ") {
		return nil
	}
	return wrap("trim log "+l.name, l.bus.patiently(ctx, func(ctx context.Context) error {
		return l.stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(upTo+1))
	}))
}
