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
	seg   *index.Segment
	doc   index.DocID

	site, url string // set when compared
}

// top returns the best k documents of the plan and the exact number of matches.
func (s *Snapshot) top(ctx context.Context, p *plan, k int) ([]ranked, uint64, error) {
	var all []ranked
	var total uint64
	w := &window{sums: new(pack.Sums)}
	for _, seg := range s.segments {
		c, err := p.compile(seg)
		if err != nil {
			return nil, 0, err
		}
		h := &heap{k: k, floor: floorOf(all, k)}
		n, err := evaluate(ctx, seg, c, w, h)
		if err != nil {
			return nil, 0, err
		}
		total += n
		for _, e := range h.entries {
			all = append(all, ranked{score: uint32(e >> 32), seg: seg, doc: index.DocID(^uint32(e))})
		}
	}
	all, err := order(all, k)
	return all, total, err
}

// floorOf returns a score that a document must reach to be among the best k, given those found so far.
func floorOf(all []ranked, k int) uint32 {
	if len(all) < k {
		return 0
	}
	scores := make([]uint32, len(all))
	for i := range all {
		scores[i] = all[i].score
	}
	slices.Sort(scores)
	return scores[len(scores)-k]
}

// order sorts by score, site and URL and keeps k.
func order(all []ranked, k int) ([]ranked, error) {
	var fail error
	load := func(r *ranked) {
		if r.url == "" {
			r.site = r.seg.Site(r.doc)
			var err error
			if r.url, err = r.seg.URL(r.doc); err != nil {
				fail = err
			}
		}
	}
	refs := make([]*ranked, len(all))
	for i := range all {
		refs[i] = &all[i]
	}
	slices.SortFunc(refs, func(a, b *ranked) int {
		if c := cmp.Compare(b.score, a.score); c != 0 || a.seg == b.seg {
			return cmp.Or(c, cmp.Compare(a.doc, b.doc))
		}
		load(a)
		load(b)
		return cmp.Or(strings.Compare(a.site, b.site), strings.Compare(a.url, b.url))
	})
	out := make([]ranked, min(k, len(refs)))
	for i := range out {
		out[i] = *refs[i]
	}
	return out, fail
}

// evaluate runs a clause over a segment, offers every match to the heap and returns how many live documents match.
func evaluate(ctx context.Context, seg *index.Segment, c clause, w *window, h *heap) (total uint64, err error) {
	mark := c.mark
	if a, ok := c.(*and); ok {
		mark = a.root
	}
	deletes, docs := seg.Deletes(), index.DocID(seg.Docs())
	var matched pack.Bitmap
	w.err = nil
	for base := c.next(0); base < docs; base = c.next(w.end) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		w.base, w.end = base, min(base+pack.WindowLen, docs)
		// A document must beat the worst result so far: equal scores go to the earlier document.
		score := c.bound(w.base, w.end-1) > h.least()
		mark(w, &matched, score || !h.full())
		deletes.Unmark(&matched, w.base, w.end)
		n := matched.Count()
		total += uint64(n)
		if n > 0 && (score || !h.full()) {
			h.offer(w, &matched)
		}
		if score || !h.full() {
			*w.sums = pack.Sums{}
		}
		matched.Clear()
		if w.err != nil {
			return 0, w.err
		}
	}
	return total, endError(c)
}

// heap keeps the best k entries of a segment; the least is on top. An entry is the score above the complement of the
// document number, so that the greater entry is the better one.
type heap struct {
	k       int
	floor   uint32 // entries of lower score cannot be among the results of the whole snapshot
	entries []uint64
}

func (h *heap) full() bool { return len(h.entries) >= h.k }

// least returns the score a document must exceed to matter. It means nothing while a document of score 0 would matter.
func (h *heap) least() uint64 {
	var least uint64
	if h.floor > 0 {
		least = uint64(h.floor) - 1
	}
	if h.full() && h.k > 0 {
		least = max(least, h.entries[0]>>32)
	}
	return least
}

func (h *heap) offer(w *window, matched *pack.Bitmap) {
	least, all := h.least(), !h.full()
	w.each(matched, func(i uint32) {
		s := w.sums[i]
		if uint64(s) <= least && !(all && s >= h.floor) {
			return
		}
		h.push(uint64(s)<<32 | uint64(^(uint32(w.base) + i)))
		least, all = h.least(), !h.full()
	})
}

func (h *heap) push(e uint64) {
	if h.k == 0 {
		return
	}
	if !h.full() {
		h.entries = append(h.entries, e)
		for i := len(h.entries) - 1; i > 0; {
			up := (i - 1) / 2
			if h.entries[up] <= h.entries[i] {
				break
			}
			h.entries[up], h.entries[i] = h.entries[i], h.entries[up]
			i = up
		}
		return
	}
	if e <= h.entries[0] {
		return
	}
	h.entries[0] = e
	for i := 0; ; {
		least := i
		for _, down := range [2]int{2*i + 1, 2*i + 2} {
			if down < len(h.entries) && h.entries[down] < h.entries[least] {
				least = down
			}
		}
		if least == i {
			return
		}
		h.entries[i], h.entries[least] = h.entries[least], h.entries[i]
		i = least
	}
}

// endError returns the damage that ended a list of the clause early, which next does not report.
func endError(c clause) error {
	var lists func(clause) error
	lists = func(c clause) error {
		var kids []clause
		switch c := c.(type) {
		case *word:
			for _, l := range slices.Concat(c.lists, c.title.lists) {
				if err := l.Err(); err != nil {
					return err
				}
			}
		case *phrase:
			for _, k := range c.words {
				kids = append(kids, k)
			}
		case *or:
			kids = c.any
		case *and:
			kids = append(append(kids, c.all...), c.none...)
		}
		for _, k := range kids {
			if err := lists(k); err != nil {
				return err
			}
		}
		return nil
	}
	return lists(c)
}
