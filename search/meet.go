package search

import (
	"math/bits"
	"slices"

	"concord/index"
	"concord/pack"
)

// met says where the documents of a batch are in one posting list.
type met struct {
	blocks  [pack.BlockLen]uint32
	places  [pack.BlockLen]byte
	impacts [pack.BlockLen]byte
}

// lookAhead makes a phrase without slop, each word of which has one form, ready for meet.
func (c *phrase) lookAhead(x *scratch) {
	if c.slop > 0 || slices.ContainsFunc(c.words, func(w *word) bool { return len(w.lists) != 1 }) {
		return
	}
	for i, w := range c.words {
		if first := slices.Index(c.words, w); first < i {
			c.which = append(c.which, c.which[first])
			continue
		}
		c.which = append(c.which, len(c.lists))
		c.lists = append(c.lists, w.lists[0])
	}
	c.met = x.meetings(len(c.lists))
	for _, i := range append(c.byCost[1:len(c.byCost):len(c.byCost)], c.byCost[0]) {
		if !slices.Contains(c.order, c.which[i]) {
			c.order = append(c.order, c.which[i])
		}
	}
}

// meet keeps the documents of a batch that have the phrase and, with score, adds what they get for it where the sum exceeds need. It goes by
// the blocks of each list, and then by the documents that have all words: only of these positions are read.
func (c *phrase) meet(b *batch, need int64, score bool) {
	kept := 0
	for from := 0; from < b.n; from += pack.BlockLen {
		docs, scores := b.docs[from:min(from+pack.BlockLen, b.n)], b.scores[from:min(from+pack.BlockLen, b.n)]
		for k := range c.meetLists(docs, scores) {
			more, ok := c.atMet(k, index.DocID(docs[k]), need-int64(scores[k]), score)
			if sum := scores[k] + more; ok && int64(sum) > need {
				b.docs[kept], b.scores[kept] = docs[k], sum
				kept++
			}
		}
	}
	b.n = kept
}

// matching returns those of at most 128 documents, which ascend, that have the phrase, in the same memory.
func (c *phrase) matching(docs []uint32) []uint32 {
	var scores pack.Block
	kept := 0
	for k := range c.meetLists(docs, scores[:len(docs)]) {
		if _, ok := c.atMet(k, index.DocID(docs[k]), 0, false); ok {
			docs[kept] = docs[k]
			kept++
		}
	}
	return docs[:kept]
}

// meetLists moves the documents that all lists have to the front, with their scores, and returns how many they are.
func (c *phrase) meetLists(docs, scores []uint32) int {
	n := len(docs)
	for done, list := range c.order {
		n = c.meetList(list, docs[:n], scores[:n], c.order[:done])
	}
	return n
}

// meetList moves the documents that list number which has to the front, with what is known of them from the lists done, and
// returns how many they are.
func (c *phrase) meetList(which int, docs, scores []uint32, done []int) (n int) {
	l, m := c.lists[which], &c.met[which]
	var places pack.Gathered
	for i := 0; i < len(docs); {
		if !l.SeekBlock(index.DocID(docs[i])) {
			break
		}
		to := len(docs)
		if last := uint32(l.BlockLast()); docs[to-1] > last {
			to = i + lowerBound(docs[i:], last+1)
		}
		lo, hi := l.Meet(docs[i:to], &places)
		next, block, impacts := 0, uint32(l.BlockNumber()), l.BlockImpacts()
		for half, mask := range [2]uint64{lo, hi} {
			for ; mask != 0; mask &= mask - 1 {
				k := i + half*64 + bits.TrailingZeros64(mask)
				place := places[next&(pack.BlockLen-1)]
				next++
				for _, other := range done {
					c.met[other].move(n, k)
				}
				docs[n], scores[n] = docs[k], scores[k]
				m.blocks[n], m.places[n], m.impacts[n] = block, place, impacts[place]
				n++
			}
		}
		i = to
	}
	return n
}

func (m *met) move(to, from int) {
	m.blocks[to], m.places[to], m.impacts[to] = m.blocks[from], m.places[from], m.impacts[from]
}

// atMet is at for a document, number k of those met.
func (c *phrase) atMet(k int, doc index.DocID, need int64, score bool) (uint32, bool) {
	least := byte(255)
	for i := range c.met {
		least = min(least, c.met[i].impacts[k])
	}
	if score && int64(worth(c.weight, least)) <= need {
		return 0, false
	}
	found := c.occurrences(doc, k)
	if len(found) == 0 || !score {
		return 0, len(found) > 0
	}
	return worth(c.weight, c.seg.ImpactOf(c.field, doc, found)), true
}
