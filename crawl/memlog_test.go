package crawl

import (
	"context"
	"strings"
	"sync"
	"time"

	"concord"
)

// memLog is a concord.Log in memory that outlives the crawlers of a test, as the real one outlives a process.
type memLog struct {
	mu    sync.Mutex
	msgs  []concord.Message
	ids   map[string]uint64
	more  chan struct{}
	fail  func(msgs []concord.Message) error // before an append
	after func(msgs []concord.Message)       // once it is durable
	trims int
}

func newMemLog() *memLog { return &memLog{ids: map[string]uint64{}, more: make(chan struct{})} }

func (l *memLog) Append(ctx context.Context, msgs ...concord.Message) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(msgs) > 1000 {
		return 0, concord.Errorf(concord.Invalid, "too many messages")
	}
	l.mu.Lock()
	fail, after := l.fail, l.after
	l.mu.Unlock()
	if fail != nil {
		if err := fail(msgs); err != nil {
			return 0, err
		}
	}
	l.mu.Lock()
	for _, m := range msgs {
		if m.ID != "" {
			if _, ok := l.ids[m.ID]; ok {
				continue
			}
		}
		m.Seq, m.Time = uint64(len(l.msgs))+1, time.Now()
		l.msgs = append(l.msgs, m)
		if m.ID != "" {
			l.ids[m.ID] = m.Seq
		}
	}
	seq := uint64(len(l.msgs))
	close(l.more)
	l.more = make(chan struct{})
	l.mu.Unlock()
	if after != nil {
		after(msgs)
	}
	return seq, nil
}

func matches(pattern, subject string) bool {
	if p, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(subject, p)
	}
	return pattern == subject
}

func (l *memLog) Follow(ctx context.Context, subject string, after uint64, apply func([]concord.Message) error) error {
	for {
		l.mu.Lock()
		var batch []concord.Message
		for i := after; i < uint64(len(l.msgs)) && len(batch) < 500; i++ {
			if m := l.msgs[i]; matches(subject, m.Subject) && m.Data != nil {
				batch = append(batch, m)
			}
			after = i + 1
		}
		more := l.more
		l.mu.Unlock()
		if len(batch) > 0 {
			if err := apply(batch); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

func (l *memLog) Last(ctx context.Context, subject string) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.msgs) - 1; i >= 0; i-- {
		if m := l.msgs[i]; matches(subject, m.Subject) && m.Data != nil {
			return m.Seq, nil
		}
	}
	return 0, nil
}

func (l *memLog) Trim(ctx context.Context, subject string, upTo uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trims++
	for i := range l.msgs {
		if l.msgs[i].Seq <= upTo && matches(subject, l.msgs[i].Subject) {
			l.msgs[i].Data = nil
		}
	}
	return nil
}

// events returns everything in the captures log.
func (l *memLog) events() []*concord.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*concord.Event
	for _, m := range l.msgs {
		e, err := concord.DecodeEvent(m.Data)
		if err != nil {
			panic(err)
		}
		out = append(out, e)
	}
	return out
}
