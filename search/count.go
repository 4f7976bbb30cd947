package search

import (
	"math/bits"

	"concord/index"
	"concord/pack"
	"concord/query"
)

// sparse is the density, in matches of the rarest part in stretchLen documents, below which documents are looked at one by one rather
// than window by window.
const (
	sparse     = 16
	stretchLen = 4096
)

// dense is the density, as that of sparse, from which on counting intersections apart from finding the best pays.
const dense = 256

// perStretch estimates how many of n documents lie in a stretch of stretchLen.
func perStretch(n int, seg *index.Segment) int { return n * stretchLen / max(seg.Docs(), 1) }

// countsApart reports whether counting matches with bitmaps first, and then looking for the best with pruning, is quicker
// than finding and scoring all of them: so it is for words that must stand together and are frequent.
func countsApart(seg *index.Segment, c clause) bool {
	switch c := c.(type) {
	case *word:
		return len(c.lists) == 1 && seg.Deletes() == nil
	case *and:
		if len(c.all) == 1 && len(c.none) == 0 {
			return countsApart(seg, c.all[0])
		}
		return perStretch(c.cost(), seg) >= dense && c.simple()
	}
	return false
}

// simple reports whether bitmaps can do all of an intersection.
func (c *and) simple() bool {
	for _, k := range append(c.all[:len(c.all):len(c.all)], c.none...) {
		if _, ok := k.(*phrase); ok {
			return false
		}
	}
	return true
}

// count returns the exact number of live documents of a segment that match the plan.
func count(x *scratch, p *plan, i int, seg *index.Segment) (uint64, error) {
	used := x.lists.used
	x.unscored = true
	c, err := p.compilePart(withoutMaybe(p.root), i, seg, x)
	if x.unscored = false; err != nil {
		return 0, err
	}
	n, err := countClause(x, seg, c)
	if err == nil {
		err = x.damage()
	}
	x.lists.used = used
	return n, err
}

// withoutMaybe returns what decides about matches.
func withoutMaybe(root query.Node) query.Node {
	a, ok := root.(query.And)
	if !ok {
		return root
	}
	var nodes []query.Node
	for _, n := range a.Nodes {
		if _, ok := n.(query.Maybe); !ok {
			nodes = append(nodes, n)
		}
	}
	if len(nodes) == 1 {
		return nodes[0]
	}
	return query.And{Nodes: nodes}
}

func countClause(x *scratch, seg *index.Segment, c clause) (uint64, error) {
	deletes := seg.Deletes()
	switch c := c.(type) {
	case *word:
		if len(c.lists) == 1 && deletes == nil {
			return uint64(c.cost()), nil
		}
	case *or:
		if n, ok := countBeside(c, seg.Docs(), deletes); ok {
			return n, nil
		}
	}
	switch c := c.(type) {
	case *phrase:
		return countStages(x, seg, c)
	case *and:
		if perStretch(c.cost(), seg) < sparse || !c.simple() {
			return countStages(x, seg, c)
		}
	}
	return countWindows(x, seg, c)
}

// countBeside counts the matches of alternatives of which one is far more frequent than the others: they are its documents, and
// those of the others that it does not have.
func countBeside(c *or, docs int, deletes *index.Deletes) (uint64, bool) {
	if deletes != nil {
		return 0, false
	}
	most, sum := 0, 0
	for i, k := range c.any {
		w, ok := k.(*word)
		if !ok || len(w.lists) != 1 {
			return 0, false
		}
		sum += w.cost()
		if w.cost() > c.any[most].cost() {
			most = i
		}
	}
	big := c.any[most]
	list := big.(*word).lists[0]
	marked := 1 // documents of the frequent list that are marked in the time of one of others
	if big.cost()*bitmapGap >= docs {
		marked = markedBits / markedDocs
	}
	if len(c.any) == 2 {
		rare := c.any[1-most].(*word).lists[0]
		if int(rare.DocCount())*meetRatio*marked > big.cost() {
			return 0, false
		}
		return uint64(sum - common(rare, list)), true
	}
	if (sum-big.cost())*2*markedDocs*marked > big.cost() {
		return 0, false
	}
	others := &or{}
	others.any = append(append(others.any, c.any[:most]...), c.any[most+1:]...)
	n := uint64(big.cost())
	for d := others.next(0); d != index.NoDoc; d = others.next(d + 1) {
		if list.At(d) == 0 {
			n++
		}
	}
	return n, true
}

// meetRatio is how many postings can be marked in a bitmap in the time that a document of another list takes to meet them by the block.
const meetRatio = 5

// common counts the documents that both lists have, going by the blocks of the rarer one.
func common(rare, list *index.Postings) (n int) {
	for ok := rare.SeekBlock(0); ok; ok = rare.NextBlock() {
		docs, _ := rare.Block()
		for len(docs) > 0 && list.SeekBlock(index.DocID(docs[0])) {
			to := len(docs)
			if last := uint32(list.BlockLast()); docs[to-1] > last {
				to = lowerBound(docs, last+1)
			}
			lo, hi := list.Common(docs[:to])
			n += bits.OnesCount64(lo) + bits.OnesCount64(hi)
			docs = docs[to:]
		}
	}
	return n
}

// countStages counts what comes to the end of the stages.
func countStages(x *scratch, seg *index.Segment, c clause) (uint64, error) {
	x.none.reset(seg, 0, 0)
	r := x.start(seg, &x.none, true)
	err := r.source(c).each(r)
	return r.total, err
}

func countWindows(x *scratch, seg *index.Segment, c clause) (n uint64, err error) {
	err = eachMatching(x, seg, c, func(_ *window, matching *pack.Bitmap) { n += uint64(matching.Count()) })
	return n, err
}

// eachMatching calls f with every window of a segment in which live documents may match, and a bitmap of those that do.
func eachMatching(x *scratch, seg *index.Segment, c clause, f func(w *window, matching *pack.Bitmap)) error {
	mark := c.mark
	if a, ok := c.(*and); ok {
		mark = a.markAlone
	}
	w, docs := &x.window, index.DocID(seg.Docs())
	w.docs = docs
	for base := c.next(0); base < docs; base = c.next(w.end) {
		if err := x.tick(); err != nil {
			return err
		}
		w.base, w.end = base, min(base+pack.BitmapLen, docs)
		x.matching.Clear()
		mark(w, &x.matching)
		seg.Deletes().Unmark(&x.matching, w.base, w.end)
		f(w, &x.matching)
	}
	return nil
}
