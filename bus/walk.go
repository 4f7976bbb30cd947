package bus

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
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
}

// walker reads a stream from one consumer, in order.
type walker struct {
	cons   jetstream.Consumer
	upTo   uint64
	last   uint64 // the message returned last
	queue  []stored
	ended  bool
	broken bool // could not be read to its end
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

// next returns the next message, and io.EOF after the last.
func (w *walker) next(ctx context.Context) (stored, error) {
	for len(w.queue) == 0 {
		if w.ended {
			return stored{}, io.EOF
		}
		if err := w.fetch(ctx); err != nil {
			return stored{}, err
		}
	}
	m := w.queue[0]
	w.queue = w.queue[1:]
	if m.seq > w.upTo {
		w.ended, w.queue = true, nil
		return stored{}, io.EOF
	}
	w.last = m.seq
	return m, nil
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
	s := stored{seq: meta.Sequence.Stream, subject: m.Subject(), mayEnd: m.Headers().Get(jetstream.MsgTTLHeader) != ""}
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
// subject, time, headers and bytes. It returns how many there were.
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
	p := &pair{ctx: ctx, a: wa, b: wb}
	var n uint64
	for {
		m, both, err := p.next()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		switch {
		case both == onlyA && !m.mayEnd:
			return n, concord.Errorf(concord.Corrupt, "message %d of stream %s is missing", m.seq, a.CachedInfo().Config.Name)
		case both == onlyB && !m.mayEnd:
			return n, concord.Errorf(concord.Corrupt, "stream %s has a message %d that was not there", a.CachedInfo().Config.Name, m.seq)
		case both == differ:
			return n, concord.Errorf(concord.Corrupt, "message %d of stream %s is another", m.seq, a.CachedInfo().Config.Name)
		}
		if n++; n%1000 == 0 && progress != nil {
			progress(m.seq)
		}
	}
}

type match int

const (
	same match = iota
	differ
	onlyA
	onlyB
)

// pair merges two walks by sequence number.
type pair struct {
	ctx    context.Context
	a, b   *walker
	ma, mb *stored // read and not yet returned; nil: read next
	ea, eb bool    // ended
}

func (p *pair) next() (stored, match, error) {
	if err := fill(p.ctx, p.a, &p.ma, &p.ea); err != nil {
		return stored{}, 0, err
	}
	if err := fill(p.ctx, p.b, &p.mb, &p.eb); err != nil {
		return stored{}, 0, err
	}
	switch {
	case p.ma == nil && p.mb == nil:
		return stored{}, 0, io.EOF
	case p.mb == nil || p.ma != nil && p.ma.seq < p.mb.seq:
		m := *p.ma
		p.ma = nil
		return m, onlyA, nil
	case p.ma == nil || p.mb.seq < p.ma.seq:
		m := *p.mb
		p.mb = nil
		return m, onlyB, nil
	}
	m, match := *p.ma, same
	if *p.ma != *p.mb {
		match = differ
	}
	p.ma, p.mb = nil, nil
	return m, match, nil
}

func fill(ctx context.Context, w *walker, m **stored, ended *bool) error {
	if *m != nil || *ended {
		return nil
	}
	s, err := w.next(ctx)
	if err == io.EOF {
		*ended = true
		return nil
	}
	*m = &s
	return err
}
