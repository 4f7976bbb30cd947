package search

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"concord/index"
	"concord/pack"
)

// ranked is one result before it is dressed as a hit.
type ranked struct {
	score uint32
	seg   uint32 // its place among the snapshot's segments
	doc   index.DocID
}

// scratch is the memory that evaluations use again and again.
type scratch struct {
	sums     pack.Sums // all zero between uses; first, so that a register of 64 bytes does not lie across two cache lines
	ctx      context.Context
	ticks    int
	plan     plan
	unscored bool // cursors are for counting
	lists    slab[index.Postings]
	words    slab[word]
	ands     slab[and]
	ors      slab[or]
	phrases  slab[phrase]
	parts    slab[stage]
	runs     slab[run]
	met      []met // handed out to phrases, and, behind them, free
	usedMet  int
	window   window
	above    []uint16
	impacts  pack.Gathered
	merged   []uint64 // see unionSource.merge
	spare    []uint64
	run      []uint64
	batch    batch
	stages   []*stage
	top      collector
	none     collector // keeps nothing
	matching pack.Bitmap
}

// begin takes everything back that was handed out, before the next segment.
func (s *scratch) begin() {
	s.lists.used, s.words.used, s.ands.used, s.ors.used, s.phrases.used, s.parts.used, s.runs.used, s.usedMet = 0, 0, 0, 0, 0, 0, 0, 0
}

// slab hands out values that are used again and again: whoever takes one sets all of it, and may go on with the memory of its slices.
type slab[T any] struct {
	all  []*T
	used int // of all, from the front
}

func (s *slab[T]) take() *T {
	if s.used == len(s.all) {
		s.all = append(s.all, new(T))
	}
	s.used++
	return s.all[s.used-1]
}

// taken returns what has been handed out.
func (s *slab[T]) taken() []*T { return s.all[:s.used] }

// meetings returns room for what documents have of n lists.
func (s *scratch) meetings(n int) []met {
	if s.usedMet+n > len(s.met) {
		s.met, s.usedMet = make([]met, 2*n), 0
	}
	s.usedMet += n
	return s.met[s.usedMet-n : s.usedMet : s.usedMet]
}

// damage returns what ended a list early.
func (s *scratch) damage() error {
	for _, l := range s.lists.taken() {
		if err := l.Err(); err != nil {
			return err
		}
	}
	return nil
}

// tickEvery is the number of blocks or windows between looks at the context: some tens of microseconds.
const tickEvery = 256

func (s *scratch) tick() error {
	if s.ticks++; s.ticks%tickEvery == 0 {
		return s.ctx.Err()
	}
	return nil
}

func (s *Snapshot) scratch(ctx context.Context) *scratch {
	x, _ := s.scratches.Get().(*scratch)
	if x == nil {
		x = new(scratch)
	}
	x.ctx, x.ticks, x.batch.n = ctx, 0, 0
	x.begin()
	return x
}

// top returns the best k documents of the plan. The number of matches is exact if that is asked for, and else a lower bound.
func (s *Snapshot) top(ctx context.Context, p *plan, k int, exact bool) (best []ranked, total uint64, err error) {
	x := s.scratch(ctx)
	if best, total, err = s.topWith(x, p, k, exact); err == nil {
		s.scratches.Put(x)
	}
	return best, total, err
}

// topWith is top with memory of the caller's, and its context.
func (s *Snapshot) topWith(x *scratch, p *plan, k int, exact bool) (best []ranked, total uint64, err error) {
	if err := x.ctx.Err(); err != nil {
		return nil, 0, err
	}
	for i, seg := range s.segments {
		x.begin()
		x.top.reset(seg, k, floorOf(best, k))
		n, err := topOf(x, p, i, seg, exact)
		if err != nil {
			return nil, 0, err
		}
		total += n
		entries := x.top.best()
		best = slices.Grow(best, len(entries))
		for _, e := range entries {
			doc, err := seg.Number(^uint32(e))
			if err != nil {
				return nil, 0, err
			}
			best = append(best, ranked{uint32(e >> 32), uint32(i), doc})
		}
	}
	if len(s.segments) > 1 {
		err = s.order(best)
	}
	return best[:min(k, len(best))], total, err
}

// topOf offers the documents of one segment to the collector of x.
func topOf(x *scratch, p *plan, i int, seg *index.Segment, exact bool) (total uint64, err error) {
	c, err := p.compile(i, seg, x)
	if err != nil {
		return 0, err
	}
	r := x.start(seg, &x.top, exact)
	if exact && countsApart(seg, c) {
		r.exact = false
		if total, err = count(x, p, i, seg); err != nil {
			return 0, err
		}
	}
	if err := r.source(c).each(r); err != nil {
		return 0, err
	}
	if r.exact == exact {
		total = r.total
	}
	return total, x.damage()
}

// source splits a clause into what leads and the stages of r.
func (r *run) source(c clause) source {
	docs := int(r.docs)
	lead := c // the cheapest part
	if a, ok := c.(*and); ok {
		for _, k := range a.none {
			r.stages = append(r.stages, r.s.stage(k, not, docs))
		}
		for _, k := range a.maybe {
			r.stages = append(r.stages, r.s.stage(k, maybe, docs))
		}
		for _, k := range a.all[1:] {
			r.stages = append(r.stages, r.s.stage(k, must, docs))
		}
		lead = a.all[0]
	}
	var src source
	switch c := lead.(type) {
	case *word:
		if len(c.lists) == 1 {
			r.list = listSource{list: c.lists[0], weight: c.weight}
			src = &r.list
		} else {
			src = r.union(c)
		}
	case *or:
		src = r.union(c.any...)
	case *phrase:
		if w := c.rarest(); len(w.lists) == 1 {
			s := r.s.stage(c, must, docs)
			r.stages = append(r.stages, s)
			r.list = listSource{list: w.lists[0], weight: c.weight, scorer: s}
			src = &r.list
		}
	}
	if src == nil {
		src = clauseSource{lead}
	}
	sortStages(r.stages)
	return src
}

// union returns a source for documents that one of some words has, nil when there is another clause among them.
func (r *run) union(any ...clause) source {
	for _, k := range any {
		if _, ok := k.(*word); !ok {
			return nil
		}
	}
	r.alternatives.lists = r.alternatives.lists[:0]
	for _, k := range any {
		r.alternatives.add(r.s, k.(*word), int(r.docs))
	}
	return &r.alternatives
}

// floorOf returns a score that a document must reach to be among the best k, given those found so far.
func floorOf(all []ranked, k int) uint32 {
	if len(all) < k || k == 0 {
		return 0
	}
	scores := make([]uint32, len(all))
	for i := range all {
		scores[i] = all[i].score
	}
	slices.Sort(scores)
	return scores[len(scores)-k]
}

// order sorts by score, site and URL.
func (s *Snapshot) order(all []ranked) error {
	var fail error
	place := func(r ranked) (site, url string) {
		seg := s.segments[r.seg]
		url, err := seg.URL(r.doc)
		if err != nil {
			fail = err
		}
		return seg.Site(r.doc), url
	}
	slices.SortFunc(all, func(a, b ranked) int {
		if a.score != b.score {
			return cmp.Compare(b.score, a.score)
		}
		if a.seg == b.seg {
			return cmp.Compare(s.segments[a.seg].Rank(a.doc), s.segments[b.seg].Rank(b.doc))
		}
		siteA, urlA := place(a)
		siteB, urlB := place(b)
		return cmp.Or(strings.Compare(siteA, siteB), strings.Compare(urlA, urlB))
	})
	return fail
}
