package bus

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"slices"
	"time"

	"concord"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// walkWait is how long a batch may take that is not full.
	walkWait = 300 * time.Millisecond
	// walkTries is how often an engine that says it has more is asked for it.
	walkTries = 10
)

// stored is one message of a stream as an engine has it.
type stored struct {
	seq     uint64
	subject string
	sum     [sha256.Size]byte // of all there is of it
	mayEnd  bool              // it has a time to live, and may be gone from one copy sooner than from another
	marker  bool              // the engine says by it that another's time was over, and when it saw that
}

// walker reads a stream from one consumer, in order.
type walker struct {
	cons   jetstream.Consumer
	upTo   uint64
	last   uint64   // the message passed last
	queue  []stored // fetched and not yet passed
	ended  bool     // nothing comes behind the queue
	broken bool     // could not be read to its end
	sum    hash.Hash
}

// walk reads messages from to upTo, as far as they are there.
func walk(ctx context.Context, stream jetstream.Stream, from, upTo uint64) (*walker, error) {
	cons, err := stream.CreateConsumer(ctx, consumerFrom("", from))
	if err != nil {
		return nil, err
	}
	return &walker{cons: cons, upTo: upTo, sum: sha256.New()}, nil
}

// node returns the machine whose copy is read, empty on one that is alone.
func (w *walker) node() string {
	if c := w.cons.CachedInfo().Cluster; c != nil {
		return c.Leader
	}
	return ""
}

// forget tells the engine that the walk is over.
func (w *walker) forget(ctx context.Context, stream jetstream.Stream) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
	defer cancel()
	_ = stream.DeleteConsumer(ctx, w.cons.CachedInfo().Name) // an idle one goes by itself
}

// head returns the next message, nil after the last.
func (w *walker) head(ctx context.Context) (*stored, error) {
	for len(w.queue) == 0 && !w.ended {
		if err := w.fetch(ctx); err != nil {
			return nil, err
		}
	}
	if len(w.queue) == 0 || w.queue[0].seq > w.upTo {
		return nil, nil
	}
	return &w.queue[0], nil
}

// pass goes behind the head.
func (w *walker) pass() {
	w.last = w.queue[0].seq
	w.queue = w.queue[1:]
}

// fetch gets what comes next, or finds that nothing does.
func (w *walker) fetch(ctx context.Context) error {
	// An answer that does not come is told from the end of the stream by asking how much the consumer still has.
	for tries := 0; tries < walkTries; tries++ {
		batch, err := w.cons.Fetch(maxFollowBatch, jetstream.FetchMaxWait(walkWait))
		if err != nil {
			return err
		}
		for m := range batch.Messages() {
			s, err := w.take(m)
			if err != nil {
				return err
			}
			w.queue = append(w.queue, s)
		}
		if len(w.queue) > 0 {
			w.ended = w.queue[len(w.queue)-1].seq >= w.upTo
			return nil
		}
		info, err := w.cons.Info(ctx)
		if err != nil {
			return err
		}
		if info.NumPending == 0 {
			w.ended = true
			return nil
		}
	}
	return concord.Errorf(concord.Corrupt, "a copy of stream %s does not deliver all it should have; see the engine's log", w.cons.CachedInfo().Stream)
}

func (w *walker) take(m jetstream.Msg) (stored, error) {
	meta, err := m.Metadata()
	if err != nil {
		return stored{}, fmt.Errorf("read message: %w", err)
	}
	s := stored{seq: meta.Sequence.Stream, subject: m.Subject(), mayEnd: m.Headers().Get(jetstream.MsgTTLHeader) != "",
		marker: m.Headers().Get(jetstream.MarkerReasonHeader) != ""}
	if want := m.Headers().Get(checksumHeader); want != "" && want != checksum(m.Data()) {
		return stored{}, concord.Errorf(concord.Corrupt, "message %d of stream %s does not match its checksum", s.seq, meta.Stream)
	}
	w.sum.Reset()
	fmt.Fprintf(w.sum, "%d %q %d %d\n", s.seq, s.subject, meta.Timestamp.UnixNano(), len(m.Data()))
	for _, k := range slices.Sorted(maps.Keys(m.Headers())) {
		fmt.Fprintf(w.sum, "%q %q\n", k, m.Headers()[k])
	}
	w.sum.Write(m.Data())
	w.sum.Sum(s.sum[:0])
	return s, nil
}

// contains reads two streams side by side and says whether every message of a, up to upTo, is in b, and no other: the same number,
// subject, time, headers and bytes. What the engine of each adds by itself when a message's time is over may differ. It returns how many there
// were.
func contains(ctx context.Context, a, b jetstream.Stream, upTo uint64, progress func(seq uint64)) (uint64, error) {
	if upTo == 0 {
		return 0, nil
	}
	wa, err := walk(ctx, a, 1, upTo)
	if err != nil {
		return 0, err
	}
	defer wa.forget(ctx, a)
	wb, err := walk(ctx, b, 1, upTo)
	if err != nil {
		return 0, err
	}
	defer wb.forget(ctx, b)
	name := a.CachedInfo().Config.Name
	for n := uint64(0); ; {
		ma, err := wa.head(ctx)
		if err != nil {
			return n, err
		}
		mb, err := wb.head(ctx)
		if err != nil {
			return n, err
		}
		if ma == nil && mb == nil {
			return n, nil
		}
		m := ma // the one that comes first
		if ma == nil || mb != nil && mb.seq < ma.seq {
			m = mb
		}
		inA, inB := ma != nil && ma.seq == m.seq, mb != nil && mb.seq == m.seq
		switch {
		case !inB && !m.mayEnd:
			return n, concord.Errorf(concord.Corrupt, "message %d of stream %s is missing", m.seq, name)
		case !inA && !m.mayEnd:
			return n, concord.Errorf(concord.Corrupt, "stream %s has a message %d that was not there", name, m.seq)
		case inA && inB && *ma != *mb && !(ma.marker && mb.marker):
			return n, concord.Errorf(concord.Corrupt, "message %d of stream %s is another", m.seq, name)
		}
		if inA {
			wa.pass()
		}
		if inB {
			wb.pass()
		}
		if n++; n%1000 == 0 && progress != nil {
			progress(m.seq)
		}
	}
}
