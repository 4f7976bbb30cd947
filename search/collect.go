package search

import (
	"slices"

	"concord/index"
)

// collector keeps the best k documents of a segment. An entry is the score above the complement of the document's rank, so that the
// greater entry is the better one and equal scores go by site and URL.
//
// Entries are gathered until there are about twice as many as asked for, of which the better half stays: cheaper than a heap from
// k = 100 on, and not dearer below.
type collector struct {
	seg     *index.Segment // nil: documents come in the order of their ranks
	k       int
	floor   uint32 // entries of lower score cannot be among the results of the whole snapshot
	entries []uint64
	least   int64 // a score must exceed it to matter
}

func (h *collector) reset(seg *index.Segment, k int, floor uint32) {
	h.seg, h.k, h.floor, h.entries = nil, k, floor, h.entries[:0]
	if !seg.Ordered() {
		h.seg = seg
	}
	h.least = int64(floor) - 1
	if k == 0 {
		h.least = 1 << 33
	}
}

func (h *collector) offer(score uint32, doc index.DocID) {
	if int64(score) <= h.least {
		return
	}
	rank := uint32(doc)
	if h.seg != nil {
		rank = h.seg.Rank(doc)
	}
	h.entries = append(h.entries, uint64(score)<<32|uint64(^rank))
	if len(h.entries) == 2*h.k+gathered {
		h.cut()
	}
}

// gathered is how many entries are gathered beyond twice k, so that few are not cut all the time.
const gathered = 10

// cut keeps the best k entries. From then on a score must exceed the least of them, or equal it if a later document may come before.
func (h *collector) cut() {
	selectBest(h.entries, h.k)
	h.entries = h.entries[:h.k]
	least := int64(slices.Min(h.entries) >> 32)
	if h.seg != nil {
		least--
	}
	h.least = max(h.least, least)
}

// best returns the best k entries, the best first, valid until reset.
func (h *collector) best() []uint64 {
	if len(h.entries) > h.k {
		h.cut()
	}
	slices.Sort(h.entries)
	slices.Reverse(h.entries)
	return h.entries
}

// selectBest moves the k greatest values to the front, in any order; the values are distinct and below 2^63. It is quickselect with a
// partition that does not branch on the values (Lomuto's; Alexandrescu 2020), as their order cannot be predicted.
func selectBest(v []uint64, k int) {
	for k > 0 && k < len(v) {
		pivot := guess(v, k)
		n := 0 // values above the pivot, in front
		for i, x := range v {
			v[i], v[n] = v[n], x
			n += int((pivot - x) >> 63)
		}
		switch {
		case n == k:
			return
		case n > k:
			v = v[:n]
		default:
			v, k = v[n:], k-n
			// The pivot is the greatest of what is left: it goes first.
			for i, x := range v {
				if x == pivot {
					v[0], v[i] = v[i], v[0]
					break
				}
			}
			v, k = v[1:], k-1
		}
	}
}

// guess returns one of the values, near the one of rank k: that of a sample.
func guess(v []uint64, k int) uint64 {
	const sample = 15
	var s [sample]uint64
	n := min(sample, len(v))
	for i := range n {
		s[i] = v[i*(len(v)-1)/max(1, n-1)]
	}
	slices.Sort(s[:n])
	return s[n-1-min(n-1, k*n/len(v))]
}
