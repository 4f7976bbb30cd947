package attest

import (
	"context"
	"sort"
	"strings"
	"sync"
	"time"

	"concord"
)

// memoryLog is a concord.Log in memory. It outlives the attestors that follow it, as a bus does.
type memoryLog struct {
	mu   sync.Mutex
	more *sync.Cond
	msgs []concord.Message
	seq  uint64
	ids  map[string]bool
}

func newMemoryLog() *memoryLog {
	l := &memoryLog{ids: map[string]bool{}}
	l.more = sync.NewCond(&l.mu)
	return l
}

var _ concord.Log = (*memoryLog)(nil)

func (l *memoryLog) Append(_ context.Context, msgs ...concord.Message) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range msgs {
		if m.ID != "" && l.ids[m.ID] {
			continue
		}
		l.ids[m.ID] = true
		l.seq++
		m.Seq, m.Time = l.seq, time.Now()
		l.msgs = append(l.msgs, m)
	}
	l.more.Broadcast()
	return l.seq, nil
}

func match(pattern, subject string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(subject, prefix)
	}
	return pattern == subject
}

func (l *memoryLog) Follow(ctx context.Context, subject string, after uint64, apply func([]concord.Message) error) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.more.Broadcast()
	})
	defer stop()
	for {
		batch, err := l.next(ctx, subject, after)
		if err != nil {
			return err
		}
		if err := apply(batch); err != nil {
			return err
		}
		after = batch[len(batch)-1].Seq
	}
}

func (l *memoryLog) next(ctx context.Context, subject string, after uint64) (batch []concord.Message, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for _, m := range l.msgs[sort.Search(len(l.msgs), func(i int) bool { return l.msgs[i].Seq > after }):] {
			if match(subject, m.Subject) {
				batch = append(batch, m)
			}
			if len(batch) == 500 {
				break
			}
		}
		if len(batch) > 0 {
			return batch, nil
		}
		l.more.Wait()
	}
}

func (l *memoryLog) Last(_ context.Context, subject string) (last uint64, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.msgs {
		if match(subject, m.Subject) {
			last = m.Seq
		}
	}
	return last, nil
}

func (l *memoryLog) Trim(_ context.Context, subject string, upTo uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.msgs[:0]
	for _, m := range l.msgs {
		if m.Seq > upTo || !match(subject, m.Subject) {
			kept = append(kept, m)
		}
	}
	l.msgs = kept
	return nil
}
