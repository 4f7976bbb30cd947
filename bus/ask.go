package bus

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/trace"

	"github.com/nats-io/nats.go"
)

const (
	// maxServing is how many requests a service works on at once. More are refused at once (Unavailable), so that who asks can turn to
	// another node while there is time.
	maxServing = 128
	// askTimeout is how long a request may take whose context has no deadline.
	askTimeout = 30 * time.Second
	// maxServiceName bounds the names of services and nodes in subjects.
	maxServiceName = 64
	// maxAskErrorBytes bounds the message of an error that travels.
	maxAskErrorBytes = 2 << 10

	timeoutHeader = "Concord-Timeout" // what is left of the asker's time, in milliseconds: clocks differ, durations do not
	kindHeader    = "Concord-Error"   // kind of the error whose message is the data of the answer
)

// Serve answers the requests for a service that nodes send to this one (Ask) or to any (AskAny), until stop is called. handle runs in
// parallel, at most 128 times; its context ends with the asker's time or with ctx. Its error reaches the asker with kind and message.
// stop takes no more requests, lets those that run come to their end and waits for it. Names: letters, digits, '_' and '-'.
func (b *Bus) Serve(ctx context.Context, service string, handle func(ctx context.Context, data []byte) ([]byte, error)) (stop func(), err error) {
	if err := checkService(service); err != nil {
		return nil, err
	}
	s := &serving{ctx: ctx, name: "serve " + service, bus: b, handle: handle, slots: make(chan struct{}, maxServing)}
	var subs []*nats.Subscription
	stop = func() {
		for _, sub := range subs {
			drainSub(sub)
		}
		s.running.Wait()
	}
	one, err := b.conn.Subscribe(nodeSubject(b.cfg.NodeName, service), s.receive)
	if err == nil {
		subs = append(subs, one)
		var any *nats.Subscription
		if any, err = b.conn.QueueSubscribe(anySubject(service), "any", s.receive); err == nil {
			subs = append(subs, any)
			err = b.conn.FlushTimeout(requestTimeout) // from here on the engine knows
		}
	}
	if err != nil {
		stop()
		return nil, wrap("serve "+service, err)
	}
	return stop, nil
}

// serving is a service of this node.
type serving struct {
	ctx     context.Context
	name    string // of its spans
	bus     *Bus
	handle  func(context.Context, []byte) ([]byte, error)
	slots   chan struct{}
	running sync.WaitGroup
}

func (s *serving) receive(m *nats.Msg) {
	select {
	case s.slots <- struct{}{}:
	default:
		respond(m, nil, concord.Errorf(concord.Unavailable, "busy with %d requests", maxServing))
		return
	}
	s.running.Go(func() {
		defer func() { <-s.slots }()
		ctx, cancel := context.WithTimeout(s.ctx, timeLeft(m.Header))
		defer cancel()
		ctx, span := s.bus.cfg.Trace.Remote(ctx, s.name, m.Header.Get(trace.HeaderName))
		data, err := s.handle(ctx, m.Data)
		span.End(err)
		respond(m, data, err)
	})
}

// timeLeft reads how long the asker waits, never more than askTimeout of a service's patience for what it cannot read.
func timeLeft(h nats.Header) time.Duration {
	ms, err := strconv.ParseInt(h.Get(timeoutHeader), 10, 64)
	if err != nil || ms <= 0 || ms > int64(24*time.Hour/time.Millisecond) {
		return askTimeout
	}
	return time.Duration(ms) * time.Millisecond
}

// respond sends an answer or an error. When that fails, the asker's time runs out: there is nobody else to tell.
func respond(m *nats.Msg, data []byte, err error) {
	if err == nil && len(data) > MaxMessageBytes {
		err = concord.Errorf(concord.Invalid, "the answer has %d bytes, at most %d fit into a message; ask for less at a time", len(data), MaxMessageBytes)
	}
	answer := &nats.Msg{Data: data, Header: nats.Header{}}
	if err != nil {
		kind := concord.KindOf(err)
		if kind == concord.Internal && errors.Is(err, context.DeadlineExceeded) {
			kind = concord.Unavailable
		}
		answer.Header.Set(kindHeader, kind.String())
		answer.Data = []byte(concord.Clip(err.Error(), maxAskErrorBytes))
	}
	_ = m.RespondMsg(answer)
}

// drainSub ends a subscription and waits until what it had received was handed out.
func drainSub(sub *nats.Subscription) {
	done := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(done) })
	if sub.Drain() != nil {
		return // the connection is closed: nothing more comes
	}
	select {
	case <-done:
	case <-time.After(requestTimeout):
	}
}

// Ask sends data to a service of one node and returns its answer. The time that ctx leaves travels along, 30 s if it has no end. Errors:
// those of the service, with kind and message; Unavailable when the node does not answer, at once if it is not there or does not serve;
// Invalid when data or the answer is above MaxMessageBytes.
func (b *Bus) Ask(ctx context.Context, node, service string, data []byte) ([]byte, error) {
	if err := checkService(service); err != nil {
		return nil, err
	}
	if concord.CheckBlobName(node) != nil || strings.Contains(node, "/") || len(node) > maxServiceName {
		return nil, concord.Errorf(concord.Invalid, "ask: %q is no name of a node", concord.Clip(node, 40))
	}
	return b.ask(ctx, "ask "+node+" for "+service, nodeSubject(node, service), data)
}

// AskAny is Ask of some node that has the service, by chance.
func (b *Bus) AskAny(ctx context.Context, service string, data []byte) ([]byte, error) {
	if err := checkService(service); err != nil {
		return nil, err
	}
	return b.ask(ctx, "ask any node for "+service, anySubject(service), data)
}

func (b *Bus) ask(ctx context.Context, action, subject string, data []byte) (answer []byte, err error) {
	ctx, span := trace.Start(ctx, action)
	defer func() { span.End(err) }()
	if len(data) > MaxMessageBytes {
		return nil, concord.Errorf(concord.Invalid, "%s: request of %d bytes, at most %d", action, len(data), MaxMessageBytes)
	}
	ctx, cancel := context.WithTimeout(ctx, requestPatience(ctx))
	defer cancel()
	deadline, _ := ctx.Deadline()
	ms := time.Until(deadline).Milliseconds()
	if ms <= 0 {
		return nil, wrap(action, context.DeadlineExceeded)
	}
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	msg.Header.Set(timeoutHeader, strconv.FormatInt(ms, 10))
	if header := trace.Header(ctx); header != "" {
		msg.Header.Set(trace.HeaderName, header)
	}
	reply, err := b.conn.RequestMsgWithContext(ctx, msg)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, concord.Errorf(concord.Unavailable, "%s: nobody there has it", action)
	}
	if err != nil {
		return nil, wrap(action, err)
	}
	if kind := reply.Header.Get(kindHeader); kind != "" {
		return nil, concord.Errorf(parseKind(kind), "%s: %s", action, reply.Data)
	}
	return reply.Data, nil
}

func requestPatience(ctx context.Context) time.Duration {
	if _, ok := ctx.Deadline(); ok {
		return 24 * time.Hour
	}
	return askTimeout
}

// parseKind reads the text of a kind; one that is not known, from a newer node say, is Internal.
func parseKind(text string) concord.Kind {
	for k := concord.Internal; k <= concord.Corrupt; k++ {
		if k.String() == text {
			return k
		}
	}
	return concord.Internal
}

func nodeSubject(node, service string) string {
	return "ask." + toSubject.Replace(node) + "." + service
}
func anySubject(service string) string { return "askany." + service }

func checkService(service string) error {
	if concord.CheckBlobName(service) != nil || strings.ContainsAny(service, "./") || len(service) > maxServiceName {
		return concord.Errorf(concord.Invalid, "service %q: use letters, digits, '_' and '-'", concord.Clip(service, 40))
	}
	return nil
}
