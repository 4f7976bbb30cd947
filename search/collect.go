package search

import (
	"slices"

	"concord/index"
)

// collector keeps the best k documents of a segment. An entry is the score above the complement of the document's number, so that the
// greater entry is the better one and of equal scores that of the document that comes first.
//
// A few entries are kept as a heap, the least on top. Many are kept as a heap's work would be felt: they are gathered until there are
// twice as many as asked for, of which the better half stays.
type collector struct {
	k       int
	floor   uint32 // entries of lower score cannot be among the results of the whole snapshot
	entries []uint64
	least   int64 // a score must exceed it to matter
}

// heapMost is the largest k that a heap is used for; measured, the two ways meet between 64 and 256.
const heapMost = 100

func (h *collector) reset(k int, floor uint32) {
	h.k, h.floor, h.entries = k, floor, h.entries[:0]
	h.least = int64(floor) - 1
	if k == 0 {
		h.least = 1 << 33
	}
}

func (h *collector) offer(score uint32, doc index.DocID) {
	if int64(score) <= h.least {
		return
	}
	e := uint64(score)<<32 | uint64(^uint32(doc))
	if len(h.entries) < h.k || h.k > heapMost {
		h.entries = append(h.entries, e)
		switch {
		case h.k > heapMost:
			if len(h.entries) == 2*h.k {
				h.cut()
			}
		case len(h.entries) == h.k:
			for i := h.k/2 - 1; i >= 0; i-- {
				h.sink(i)
			}
			h.raise(h.entries[0])
		}
		return
	}
	h.entries[0] = e
	h.sink(0)
	h.raise(h.entries[0])
}

// raise makes e the least entry that matters no more: an equal score goes to the document that came first.
func (h *collector) raise(e uint64) { h.least = max(h.least, int64(e>>32)) }

// cut keeps the best k entries.
func (h *collector) cut() {
	selectBest(h.entries, h.k)
	h.entries = h.entries[:h.k]
	h.raise(slices.Min(h.entries))
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

// sink lets entry i go down to its place.
func (h *collector) sink(i int) {
	e, n := h.entries[i], len(h.entries)
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if right := down + 1; right < n && h.entries[right] < h.entries[down] {
			down = right
		}
		if h.entries[down] >= e {
			break
		}
		h.entries[i] = h.entries[down]
		i = down
	}
	h.entries[i] = e
}

// selectBest moves the k greatest values to the front (Hoare's quickselect; the values are distinct).
func selectBest(v []uint64, k int) {
	for lo, hi := 0, len(v)-1; lo < hi; {
		a, b, c := v[lo], v[(lo+hi)/2], v[hi]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := lo, hi
		for i <= j {
			for v[i] > pivot {
				i++
			}
			for v[j] < pivot {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k > i:
			lo = i
		default:
			return
		}
	}
}
