package node

import (
	"context"
	"runtime"

	"concord/crawl"
	"concord/warc"

	"golang.org/x/sync/errgroup"
)

// prepareAhead is how many entries a worker is ahead of the fold: enough to hide a slow page, little memory.
const prepareAhead = 8

// task is an entry on its way from the reader through a worker to the fold.
type task struct {
	entry warc.Entry
	done  chan *crawl.Prepared
}

// readArchive reads the archive once, from front to back: one goroutine reads, as many as there are processors take
// pages apart, one folds in the order of the archive.
func (r *rebuilder) readArchive(ctx context.Context) error {
	var err error
	if r.scratch, err = openScratch(r.path(rebuildDir, "scratch")); err != nil {
		return err
	}
	r.pdf = r.pdfReader()
	cfg := r.crawlConfig(nil, nil)
	cfg.Dir, cfg.Logger = r.fresh("frontier"), quiet()
	if r.crawl, err = crawl.NewRebuild(cfg, r.earlier); err != nil {
		return err
	}
	if r.makes(PartIndex) {
		if r.shards, err = openFoldedShards(ctx, r.fresh("shard"), r.layout.Shards); err != nil {
			return err
		}
	}
	workers := runtime.GOMAXPROCS(0)
	work, order := make(chan *task), make(chan *task, prepareAhead*workers)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { defer close(order); defer close(work); return r.walk(ctx, work, order) })
	for range workers {
		g.Go(func() error {
			for t := range work {
				t.done <- r.crawl.Prepare(ctx, t.entry)
			}
			return nil
		})
	}
	g.Go(func() error { return r.fold(ctx, order) })
	if r.shards != nil {
		r.shards.run(g)
	}
	err = g.Wait()
	r.report.Found = r.crawl.Stats()
	for _, p := range r.unreadable {
		r.problem(p)
	}
	return err
}

func (r *rebuilder) walk(ctx context.Context, work, order chan<- *task) error {
	hand := func(e warc.Entry) error {
		t := &task{entry: e, done: make(chan *crawl.Prepared, 1)}
		if e.Item != nil {
			if err := r.scratch.put('l', e.Item.ID, e.Location); err != nil {
				return err
			}
		}
		for _, to := range []chan<- *task{order, work} {
			select {
			case to <- t:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	walk := r.archive.Walk
	if a, ok := r.archive.(*warc.Archive); ok && r.members {
		walk = a.WalkMerged
	}
	return walk(ctx, hand, func(n int64) { r.read.Store(n) }, func(p string) { r.unreadable = append(r.unreadable, p) })
}

func (r *rebuilder) fold(ctx context.Context, order <-chan *task) error {
	if r.shards != nil {
		defer r.shards.end()
	}
	for {
		var t *task
		var ok bool
		select {
		case t, ok = <-order:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !ok {
			return r.applyLate(ctx, "")
		}
		var p *crawl.Prepared
		select {
		case p = <-t.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.inOrder(ctx, p); err != nil {
			return err
		}
		r.show("reading the archive", r.read.Load())
		if err := r.room(); err != nil {
			return err
		}
	}
}

// apply folds one entry.
func (r *rebuilder) apply(ctx context.Context, p *crawl.Prepared) error {
	a, err := r.crawl.Apply(ctx, p)
	if err != nil {
		return err
	}
	if a.Problem != "" {
		r.problem(a.Problem)
	}
	if attest, ids, ok := readBatch(a.Batch); ok {
		if err := r.scratch.add('b', append([]string{string(attest)}, ids...)...); err != nil {
			return err
		}
	}
	if c := a.Capture; c != nil {
		if err := r.scratch.put('c', c.ID, c); err != nil {
			return err
		}
		if a.Own {
			if err := r.scratch.add('o', c.ID); err != nil {
				return err
			}
		}
	}
	if r.shards != nil {
		return r.shards.send(ctx, a.Messages)
	}
	return nil
}
