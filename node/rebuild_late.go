package node

import (
	"context"

	"concord/crawl"
)

// lateApplied are captures that come before the note of their crawl, since the clocks of two machines differ. They wait for it.
type lateApplied struct {
	list      []*crawl.Prepared
	bytes     int64
	undecided map[string]bool // crawls whose note did not come
}

const (
	// lateEntries and lateBytes bound what waits: some seconds of a cluster's crawling.
	lateEntries = 4096
	lateBytes   = 64 << 20
)

// inOrder folds an entry, or puts it off until the crawl that it is of has begun.
func (r *rebuilder) inOrder(ctx context.Context, p *crawl.Prepared) error {
	if !r.members {
		return r.apply(ctx, p)
	}
	if id := r.crawl.Awaits(p); id != "" && !r.late.undecided[id] {
		r.late.list = append(r.late.list, p)
		if r.late.bytes += p.Size(); len(r.late.list) < lateEntries && r.late.bytes < lateBytes {
			return nil
		}
		return r.applyLate(ctx, "")
	}
	if err := r.apply(ctx, p); err != nil {
		return err
	}
	if id := p.Begins(); id != "" && len(r.late.list) > 0 {
		return r.applyLate(ctx, id)
	}
	return nil
}

// applyLate folds what was put off: of one crawl, or all, whose notes are then not waited for any more.
func (r *rebuilder) applyLate(ctx context.Context, id string) error {
	list := r.late.list
	r.late.list, r.late.bytes = nil, 0
	for _, p := range list {
		of := r.crawl.Awaits(p)
		if id != "" && of != "" {
			r.late.list, r.late.bytes = append(r.late.list, p), r.late.bytes+p.Size()
			continue
		}
		if of != "" {
			if r.late.undecided == nil {
				r.late.undecided = map[string]bool{}
			}
			r.late.undecided[of] = true
		}
		if err := r.apply(ctx, p); err != nil {
			return err
		}
	}
	return nil
}
