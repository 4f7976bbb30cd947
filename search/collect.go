package search

import "concord/index"

// collector keeps the best k documents of a segment in a heap, the least on top. An entry is the score above the complement of
// the document's rank, so that the greater entry is the better one and equal scores go by site and URL.
type collector struct {
	seg     *index.Segment
	k       int
	floor   uint32 // entries of lower score cannot be among the results of the whole snapshot
	ties    int64  // 1 when documents do not come in the order that decides between equal scores
	entries []uint64
	least   int64 // a score must exceed it to matter
}

func (h *collector) reset(seg *index.Segment, k int, floor uint32) {
	h.seg, h.k, h.floor, h.entries = seg, k, floor, h.entries[:0]
	h.ties = 0
	h.update()
}

func (h *collector) full() bool { return len(h.entries) >= h.k }

// update sets least anew.
func (h *collector) update() {
	h.least = int64(h.floor) - 1
	if h.k == 0 {
		h.least = 1 << 33
	} else if h.full() {
		h.least = max(h.least, int64(h.entries[0]>>32)-h.ties)
	}
}

func (h *collector) offer(score uint32, doc index.DocID) {
	if int64(score) <= h.least {
		return
	}
	e := uint64(score)<<32 | uint64(^uint32(doc))
	if !h.full() {
		h.entries = append(h.entries, e)
		if h.full() {
			for i := h.k/2 - 1; i >= 0; i-- {
				h.sink(i)
			}
			h.update()
		}
		return
	}
	if e <= h.entries[0] {
		return
	}
	h.entries[0] = e
	h.sink(0)
	h.update()
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

// appendTo appends what was kept.
func (h *collector) appendTo(best []ranked) []ranked {
	for _, e := range h.entries {
		best = append(best, ranked{score: uint32(e >> 32), seg: h.seg, doc: index.DocID(^uint32(e))})
	}
	return best
}
