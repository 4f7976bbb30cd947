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
	lists    []*index.Postings // handed out to clauses, and, behind them, free
	used     int
	met      []met // handed out to phrases, and, behind them, free
	usedMet  int
	window   window
	above    []uint16
	places   [pack.BlockLen]byte
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
func (s *scratch) begin() { s.used, s.usedMet = 0, 0 }

// postings returns an unused cursor.
func (s *scratch) postings() *index.Postings {
	if s.used == len(s.lists) {
		s.lists = append(s.lists, new(index.Postings))
	}
	s.used++
	return s.lists[s.used-1]
}

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
	for _, l := range s.lists[:s.used] {
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
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	x := s.scratch(ctx)
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
	s.scratches.Put(x)
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
	r := &run{seg: seg, docs: index.DocID(seg.Docs()), deletes: seg.Deletes(), top: &x.top, exact: exact, s: x}
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
	all := []clause{c}
	if a, ok := c.(*and); ok {
		all = a.all
		for _, k := range a.none {
			r.stages = append(r.stages, newStage(k, not, docs))
		}
		for _, k := range a.maybe {
			r.stages = append(r.stages, newStage(k, maybe, docs))
		}
	}
	lead := all[0] // the cheapest
	for _, k := range all[1:] {
		r.stages = append(r.stages, newStage(k, must, docs))
	}
	var src source
	switch c := lead.(type) {
	case *word:
		if len(c.lists) == 1 {
			src = &listSource{list: c.lists[0], weight: c.weight}
		} else {
			src = r.union([]clause{c})
		}
	case *or:
		src = r.union(c.any)
	case *phrase:
		if w := c.rarest(); len(w.lists) == 1 {
			s := newStage(c, must, docs)
			r.stages = append(r.stages, s)
			src = &listSource{list: w.lists[0], weight: c.weight, scorer: s}
		}
	}
	if src == nil {
		src = clauseSource{lead}
	}
	sortStages(r.stages)
	return src
}

// union returns a source for documents that one of some words has, nil when there is another clause among them.
func (r *run) union(any []clause) source {
	var words []*word
	for _, k := range any {
		w, ok := k.(*word)
		if !ok {
			return nil
		}
		words = append(words, w)
	}
	return newUnionSource(words, int(r.docs))
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
