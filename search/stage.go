package search

import (
	"cmp"
	"math"
	"slices"

	"concord/index"
	"concord/pack"
)

// A query runs over a segment as a stream of candidates. A source (source.go) finds documents that one part of the query matches,
// in ascending order and in batches; each further part is a stage that takes out what it does not match and adds what it scores; what
// is left at the end is offered to the collector. Sources and stages know the score a document must exceed to be among the results,
// and what the stages to come can add at most: a candidate that cannot make it is dropped before it costs more.

// batch is a number of candidates and what they have so far.
type batch struct {
	n      int
	docs   [pack.WindowLen]uint32
	scores [pack.WindowLen]uint32
}

func (b *batch) add(doc, score uint32) {
	b.docs[b.n], b.scores[b.n] = doc, score
	b.n++
}

// role is what a stage means for a candidate.
type role uint8

const (
	must  role = iota // must match
	not               // must not match
	maybe             // scores if it matches
)

// stage is one part of a query.
type stage struct {
	clause
	role  role
	limit uint32 // the most it can add anywhere
	here  uint32 // the most it can add where the source is
}

// stage returns a stage for a segment of docs documents.
func (x *scratch) stage(c clause, r role, docs int) *stage {
	s := x.parts.take()
	*s = stage{clause: c, role: r}
	if r != not {
		s.limit = c.bound(0, index.DocID(docs))
	}
	s.here = s.limit
	return s
}

// sortStages puts must first, by cost, then not, then maybe, the one that can add most first.
func sortStages(stages []*stage) {
	slices.SortStableFunc(stages, func(a, b *stage) int {
		if a.role != b.role || a.role == not {
			return cmp.Compare(a.role, b.role)
		}
		if a.role == must {
			return cmp.Compare(a.cost(), b.cost())
		}
		return cmp.Compare(b.limit, a.limit)
	})
}

// run is the evaluation of a query on one segment.
type run struct {
	seg     *index.Segment
	docs    index.DocID // of the segment
	deletes *index.Deletes
	stages  []*stage
	top     *collector
	exact   bool   // every match is counted in total
	total   uint64 // without exact: of those that came to the end
	s       *scratch

	list         listSource
	alternatives unionSource
}

// start returns the evaluation of a query on a segment, before it has a source.
func (x *scratch) start(seg *index.Segment, top *collector, exact bool) *run {
	r := x.runs.take()
	*r = run{seg: seg, docs: index.DocID(seg.Docs()), deletes: seg.Deletes(), stages: r.stages[:0], top: top, exact: exact, s: x,
		alternatives: unionSource{r.alternatives.lists[:0]}}
	return r
}

// rest returns the sum of the limits of all stages.
func (r *run) rest() (sum int64) {
	for _, s := range r.stages {
		sum += int64(s.limit)
	}
	return sum
}

// look sets what stages can add to documents from first to last and returns the sum, or false when none of them can match.
func (r *run) look(first, last index.DocID) (sum int64, possible bool) {
	for _, s := range r.stages {
		if s.role == not {
			continue
		}
		s.here = s.bound(first, last)
		if s.here == 0 && s.limit > 0 && s.role == must {
			return 0, false
		}
		sum += int64(s.here)
	}
	return sum, true
}

// need returns the score that a candidate must exceed where a part of some role has been applied and what follows can add rest at most. What
// decides about matches leaves nothing out that must be counted.
func (r *run) need(rest int64, part role) int64 {
	if r.exact && part != maybe {
		return -1
	}
	return r.top.least - rest
}

// flow sends the batch through the stages to the collector and empties it.
func (r *run) flow() {
	b := &r.s.batch
	var rest int64
	decided := 0 // the stages after which it is known what matches
	for i, s := range r.stages {
		rest += int64(s.here)
		if s.role != maybe {
			decided = i + 1
		}
	}
	for i, s := range r.stages {
		if i == decided {
			r.count(b)
		}
		if b.n == 0 {
			return
		}
		rest -= int64(s.here)
		r.apply(b, s, r.need(rest, s.role))
	}
	if decided == len(r.stages) {
		r.count(b)
	}
	for i := range b.n {
		r.top.offer(b.scores[i], index.DocID(b.docs[i]))
	}
	b.n = 0
}

// apply sends the batch through one stage, the way that is quickest for it.
func (r *run) apply(b *batch, s *stage, need int64) {
	switch c := s.clause.(type) {
	case *word:
		if len(c.lists) == 1 && s.role != not {
			r.pass(b, c.lists[0], c.weight, s.role == must, need)
			return
		}
	case *phrase:
		if len(c.lists) > 0 && s.role == must {
			c.meet(b, need, r.top.k > 0)
			return
		}
	}
	r.ask(b, s, need)
}

// count takes out deleted documents and counts the others.
func (r *run) count(b *batch) {
	if r.deletes != nil {
		n := 0
		for i := range b.n {
			if !r.deletes.Has(index.DocID(b.docs[i])) {
				b.docs[n], b.scores[n] = b.docs[i], b.scores[i]
				n++
			}
		}
		b.n = n
	}
	r.total += uint64(b.n)
}

// ask applies a stage document by document.
func (r *run) ask(b *batch, s *stage, need int64) {
	n := 0
	for i := range b.n {
		doc, score := b.docs[i], b.scores[i]
		if s.role == not {
			if s.has(index.DocID(doc)) {
				continue
			}
		} else {
			if int64(score)+int64(s.here) <= need {
				continue
			}
			more, ok := uint32(0), false
			if r.top.k > 0 {
				more, ok = s.at(index.DocID(doc), uint32(max(0, need-int64(score))))
			} else if s.role == must {
				ok = s.has(index.DocID(doc))
			}
			if !ok && s.role == must || int64(score+more) <= need {
				continue
			}
			score += more
		}
		b.docs[n], b.scores[n] = doc, score
		n++
	}
	b.n = n
}

// pass applies a stage that is one posting list, by the blocks of the list.
func (r *run) pass(b *batch, l *index.Postings, weight uint32, required bool, need int64) {
	kept := 0
	for i := 0; i < b.n; {
		last, here := int64(index.NoDoc), int64(0) // the list has ended
		if l.SeekBlock(index.DocID(b.docs[i])) {
			last, here = int64(l.BlockLast()), int64(worth(weight, l.BlockMax()))
		} else if required {
			break
		}
		from, to := i, min(b.n, i+pack.BlockLen)
		if int64(b.docs[to-1]) > last {
			to = i + lowerBound(b.docs[i:to], uint32(last)+1)
		}
		i = to
		if here <= need { // those that may make it move to the front
			to = from
			for k := from; k < i; k++ {
				if int64(b.scores[k])+here > need {
					b.docs[to], b.scores[to] = b.docs[k], b.scores[k]
					to++
				}
			}
		}
		if here == 0 {
			copy(b.docs[kept:], b.docs[from:to])
			kept += copy(b.scores[kept:], b.scores[from:to])
			continue
		}
		kept = r.passBlock(b, l, weight, required, need, from, to, kept)
	}
	b.n = kept
}

// passBlock moves those of the candidates from to to-1, all within the list's current block, that stay to place kept and on.
func (r *run) passBlock(b *batch, l *index.Postings, weight uint32, required bool, need int64, from, to, kept int) int {
	if to-from < fewAt {
		for i := from; i < to; i++ {
			score, m := b.scores[i], l.At(index.DocID(b.docs[i]))
			if m > 0 {
				score += worth(weight, m)
			} else if required {
				continue
			}
			if int64(score) > need {
				b.docs[kept], b.scores[kept] = b.docs[i], score
				kept++
			}
		}
		return kept
	}
	docs, scores := b.docs[from:to], b.scores[from:to]
	lo, hi := l.MeetImpacts(docs, &r.s.impacts)
	if lo|hi == 0 && required || need >= math.MaxUint32 {
		return kept
	}
	n := pack.AddMet(docs, scores, lo, hi, &r.s.impacts, weight, index.ImpactOffset, uint32(max(0, need+1)), required)
	if kept < from {
		copy(b.docs[kept:], docs[:n])
		copy(b.scores[kept:], scores[:n])
	}
	return kept + n
}

// fewAt is the number of candidates in a block from which on they are not looked up one by one.
const fewAt = 3
