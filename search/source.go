package search

import (
	"slices"

	"concord/index"
	"concord/pack"
)

// source finds candidates: it sends all documents that may be results through r.flow.
type source interface{ each(r *run) error }

// listSource finds the documents of one posting list. It skips blocks by their largest impact and unpacks documents only where an
// impact is large enough.
type listSource struct {
	list   *index.Postings
	weight uint32 // what an impact step is worth
	scorer *stage // the stage that scores instead, at most as much: a phrase, of which the list is the rarest word; nil: the list scores
}

func (c *listSource) each(r *run) error { return c.between(r, 0, r.docs) }

// between is each for documents from base to end-1.
func (c *listSource) between(r *run, base, end index.DocID) error {
	l := c.list
	all := r.rest()
	if c.scorer != nil {
		all -= int64(c.scorer.limit)
	}
	for ok := l.SeekBlock(base); ok; ok = l.NextBlock() {
		if err := r.s.tick(); err != nil {
			return err
		}
		least := leastImpact(c.weight, r.need(all, must))
		if least > 255 || !l.SkipBelow(byte(least)) || l.BlockFirst() >= end {
			return nil
		}
		if c.block(r, max(base, l.BlockFirst()), end) {
			r.flow()
		}
		if l.BlockLast() >= end {
			return nil
		}
	}
	return nil
}

// block makes a batch of those postings of the current block that may be results, and reports whether there are any.
func (c *listSource) block(r *run, base, end index.DocID) bool {
	l := c.list
	rest, possible := r.look(base, min(l.BlockLast(), end-1))
	if !possible {
		return false
	}
	if c.scorer != nil {
		rest -= int64(c.scorer.here)
	}
	least := leastImpact(c.weight, r.need(rest, must))
	if least > int(l.BlockMax()) {
		return false
	}
	if lo, hi := pack.MaskAtLeast(l.BlockImpacts(), byte(least)); lo|hi == 0 {
		return false
	}
	docs, impacts := l.Block()
	if len(docs) == 0 {
		return false
	}
	b := &r.s.batch
	weight := c.weight
	if c.scorer != nil {
		weight = 0
	}
	b.n = pack.Select((*pack.Block)(b.docs[:]), (*pack.Block)(b.scores[:]), docs, impacts, byte(least), uint32(base), uint32(end), weight, index.ImpactOffset)
	return b.n > 0
}

// unionList is one list of a union.
type unionList struct {
	*index.Postings
	weight uint32 // what an impact step is worth
	limit  uint32 // the most it adds anywhere
	stage  *stage // looks documents of other lists up; its bounds are those of the window
}

// unionSource finds the documents that are in any of several lists, window by window: windows of pack.WindowLen documents, to whose sums
// impacts are added, or where postings are far apart windows as long as blocks, in which they are merged. Lists that together cannot lift a document into the
// results are not read but looked up for the documents of the others (MaxScore: Turtle and Flood 1995, with the bounds of each
// window as Lucene has it).
type unionSource struct{ lists []unionList }

// add adds the lists of a word in a segment of docs documents.
func (c *unionSource) add(x *scratch, w *word, docs int) {
	for _, l := range w.lists {
		s := x.stage(x.word(w.weight, l), maybe, docs)
		c.lists = append(c.lists, unionList{l, w.weight, s.limit, s})
	}
}

// each implements source.
func (c *unionSource) each(r *run) error {
	w := &r.s.window
	stages := r.stages
	for base := c.next(r, 0); base < r.docs; base = c.next(r, w.end) {
		if err := r.s.tick(); err != nil {
			return err
		}
		w.base, w.end = base, min(max(base+pack.WindowLen, c.reach(r, base)), r.docs)
		err := c.window(r, stages)
		if r.stages = stages; err != nil {
			return err
		}
	}
	return nil
}

// next returns the first document from there on that one of the lists whose documents matter may have.
func (c *unionSource) next(r *run, from index.DocID) index.DocID {
	if from >= r.docs {
		return index.NoDoc
	}
	need := r.need(r.rest(), must)
	var sum int64
	next := index.NoDoc
	c.sort(func(l *unionList) uint32 { return l.limit })
	for _, l := range c.lists {
		if sum += int64(l.limit); sum <= need {
			continue
		}
		if l.SeekBlock(from) {
			next = min(next, max(from, l.BlockFirst()))
		}
	}
	return next
}

// mergeMost is the number of lists whose current blocks fit a batch.
const mergeMost = pack.WindowLen / pack.BlockLen

// reach returns where the first of the current blocks ends of those lists whose documents matter: up to there these are short and may be merged. It is 0
// where they are too many. The lists are where, and in the order that, next has left them.
func (c *unionSource) reach(r *run, base index.DocID) index.DocID {
	need := r.need(r.rest(), must)
	var sum int64
	reach, n := index.NoDoc, 0
	for _, l := range c.lists {
		if sum += int64(l.limit); sum <= need {
			continue
		}
		n++
		if l.SeekBlock(base) {
			reach = min(reach, l.BlockLast()+1)
		}
	}
	if n > mergeMost {
		return 0
	}
	return reach
}

// sort orders the lists by a key, the smallest first: an insertion sort, as they are few and nearly in order.
func (c *unionSource) sort(key func(*unionList) uint32) {
	for i := 1; i < len(c.lists); i++ {
		for j := i; j > 0 && key(&c.lists[j]) < key(&c.lists[j-1]); j-- {
			c.lists[j], c.lists[j-1] = c.lists[j-1], c.lists[j]
		}
	}
}

// window sends the candidates of one window.
func (c *unionSource) window(r *run, stages []*stage) error {
	w := &r.s.window
	rest, possible := r.look(w.base, w.end-1)
	if !possible {
		return nil
	}
	need := r.need(rest, must)
	for _, l := range c.lists {
		l.stage.here = boundIn(l.weight, l.Postings, w.base, w.end-1)
		l.stage.limit = l.stage.here
	}
	c.sort(func(l *unionList) uint32 { return l.stage.here })
	// The first lists, up to optional, cannot make a result together. Where all that match are counted, need is so low that none can be left out.
	optional, sum := 0, int64(0)
	for optional < len(c.lists) && sum+int64(c.lists[optional].stage.here) <= need {
		sum += int64(c.lists[optional].stage.here)
		optional++
	}
	if optional == len(c.lists) {
		return nil
	}
	r.stages = r.s.stages[:0]
	for i := optional - 1; i >= 0 && c.lists[i].stage.here > 0; i-- {
		r.stages = append(r.stages, c.lists[i].stage)
	}
	r.stages = append(r.stages, stages...)
	r.s.stages = r.stages
	matter := c.lists[optional:]
	if w.end-w.base > pack.WindowLen && slices.ContainsFunc(matter, func(l unionList) bool { return l.SeekBlock(w.base) && l.BlockLast()+1 < w.end }) {
		w.end = w.base + pack.WindowLen // it is others that matter here than reach has thought
	}
	switch {
	case len(matter) == 1 && !r.exact:
		one := listSource{list: matter[0].Postings, weight: matter[0].weight}
		return one.between(r, w.base, w.end)
	case w.end-w.base > pack.WindowLen:
		c.merge(r, matter, need-sum)
	default:
		c.sum(r, matter, need-sum, len(stages) == 0)
	}
	return nil
}

// merge is sum for windows in which every list has a block at most.
func (c *unionSource) merge(r *run, lists []unionList, need int64) {
	s := r.s
	w := &s.window
	all := s.merged[:0] // document above score
	for _, l := range lists {
		if l.stage.here == 0 || !l.SeekBlock(w.base) {
			continue
		}
		docs, impacts := l.BlockIn(w.base, w.end)
		s.run = s.run[:0]
		for k, d := range docs {
			s.run = append(s.run, uint64(d)<<32|uint64(worth(l.weight, impacts[k])))
		}
		s.merged, s.spare = mergeRuns(s.spare[:0], all, s.run), all
		all = s.merged
	}
	b := &s.batch
	for _, e := range all {
		if score := uint32(e); int64(score) > need {
			b.add(uint32(e>>32), score)
		}
	}
	if b.n > 0 {
		r.flow()
	}
}

// mergeRuns appends the entries of two runs in order of documents, adding the scores of those that both have.
func mergeRuns(dst, a, b []uint64) []uint64 {
	for len(a) > 0 && len(b) > 0 {
		x, y := a[0], b[0]
		switch {
		case x>>32 == y>>32:
			dst = append(dst, x+y&(1<<32-1))
			a, b = a[1:], b[1:]
		case x < y:
			dst = append(dst, x)
			a = a[1:]
		default:
			dst = append(dst, y)
			b = b[1:]
		}
	}
	return append(append(dst, a...), b...)
}

// sum adds up the impacts of some lists and sends the documents whose sum exceeds need.
func (c *unionSource) sum(r *run, lists []unionList, need int64, last bool) {
	s := r.s
	w, b := &s.window, &s.batch
	for _, l := range lists {
		if l.stage.here > 0 {
			addList(w, &s.sums, &l)
		}
	}
	countHere := r.exact && last && r.deletes == nil
	if countHere {
		r.total += uint64(s.sums.CountNonZero())
		need = max(need, r.top.least)
	}
	s.above = s.sums.AppendAbove(s.above[:0], uint32(max(0, need)))
	for _, i := range s.above {
		b.add(uint32(w.base)+uint32(i), s.sums[i])
	}
	s.sums.Clear()
	if countHere {
		for i := range b.n {
			r.top.offer(b.scores[i], index.DocID(b.docs[i]))
		}
		b.n = 0
		return
	}
	if b.n > 0 {
		r.flow()
	}
}

// addList adds a list's impacts in the window to the sums.
func addList(w *window, sums *pack.Sums, l *unionList) {
	for ok := l.SeekBlock(w.base); ok && l.BlockFirst() < w.end; ok = l.NextBlock() {
		if b, impacts, first, span, ok := l.BlockBits(); ok {
			sums.AddBits(b, span, impacts, int(first)-int(w.base), l.weight, index.ImpactOffset)
		} else {
			docs, impacts := l.BlockIn(w.base, w.end)
			sums.AddScaled(docs, impacts, uint32(w.base), l.weight, index.ImpactOffset)
		}
		if l.BlockLast() >= w.end {
			return
		}
	}
}

// clauseSource finds the documents of any clause, one by one.
type clauseSource struct{ clause }

func (c clauseSource) each(r *run) error {
	b := &r.s.batch
	for d := c.next(0); d < r.docs; d = c.next(d + 1) {
		if score, ok := c.at(d, 0); ok {
			b.add(uint32(d), score)
		}
		if b.n == pack.BlockLen {
			if err := r.s.tick(); err != nil {
				return err
			}
			r.flow()
		}
	}
	if b.n > 0 {
		r.flow()
	}
	return nil
}
