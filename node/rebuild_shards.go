package node

import (
	"context"
	"fmt"
	"runtime"

	"concord"
	"concord/shard"

	"golang.org/x/sync/errgroup"
)

// foldedShards are the new shards and the goroutines that fold into them.
type foldedShards struct {
	list   []*shard.Shard
	in     []chan []concord.Message
	closed bool
}

const (
	// foldQueue bounds what waits for a shard, in messages' groups: pages of one entry each.
	foldQueue = 64
	// foldPages is after how many groups a shard commits: it bounds the memory of all shards together.
	foldPages = 2000
)

func openFoldedShards(ctx context.Context, dir string, n int) (*foldedShards, error) {
	f := &foldedShards{}
	for i := range n {
		s, err := shard.Open(ctx, shard.Config{Dir: fmt.Sprintf("%s/%d", dir, i), Shard: i, Log: concord.NoLog{}, Logger: quiet()})
		if err != nil {
			return f, err
		}
		f.list, f.in = append(f.list, s), append(f.in, make(chan []concord.Message, foldQueue))
	}
	return f, nil
}

func (f *foldedShards) run(g *errgroup.Group) {
	for i, s := range f.list {
		g.Go(func() error {
			n := 0
			for msgs := range f.in[i] {
				if err := s.Fold(msgs); err != nil {
					return err
				}
				if n++; n >= max(foldPages/len(f.list), 1) {
					n = 0
					if err := s.Flush(); err != nil {
						return err
					}
				}
			}
			return s.Flush()
		})
	}
}

// send hands messages to their shards.
func (f *foldedShards) send(ctx context.Context, msgs []concord.Message) error {
	by := map[string][]concord.Message{}
	for _, m := range msgs {
		m.Seq = 1 // none is 0; where the shard stands is set at the end
		by[m.Subject] = append(by[m.Subject], m)
	}
	for i := range f.in {
		list := by[concord.CaptureSubject(i)]
		if len(list) == 0 {
			continue
		}
		select {
		case f.in[i] <- list:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// end says that no more comes.
func (f *foldedShards) end() {
	for _, c := range f.in {
		close(c)
	}
}

// finish merges, puts each shard at its place in the log, closes all and returns how many pages they hold.
func (f *foldedShards) finish(ctx context.Context, positions []uint64) (pages uint64, err error) {
	if f == nil {
		return 0, nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, s := range f.list {
		g.Go(func() error { return s.Settle(ctx, positions[i]) })
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	for _, s := range f.list {
		pages += s.Status().Documents
	}
	return pages, f.close()
}

func (f *foldedShards) close() error {
	if f == nil || f.closed {
		return nil
	}
	f.closed = true
	var err error
	for _, s := range f.list {
		if e := s.Close(); err == nil {
			err = e
		}
	}
	return err
}
