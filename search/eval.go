package search

import (
	"context"
	"math"

	"concord"
	"concord/index"
	"concord/pack"
	"concord/query"
	"concord/text"
)

// Scored is one result of Top.
type Scored struct {
	Segment int // its place among Segments
	Doc     index.DocID
	Score   float64
}

// Top evaluates a query tree with the snapshot's own statistics and returns its best k documents, the best first, and the exact number
// of matches. With k = 0 it only counts. Errors: Corrupt; those of ctx.
func (s *Snapshot) Top(ctx context.Context, root query.Node, k int) ([]Scored, uint64, error) {
	st := concord.Stats{Docs: s.Docs(), Terms: map[string]uint64{}, Langs: map[string]uint64{}}
	for _, seg := range s.segments {
		for l, n := range seg.Languages() {
			st.Langs[l] += n
		}
	}
	langs := byCount(st.Langs)
	var fail error
	eachWord(root, func(f query.Field, word string) {
		for _, form := range text.QueryForms(word, langs) {
			key := statsKey(indexField(f), form)
			if _, ok := st.Terms[key]; ok {
				continue
			}
			for _, seg := range s.segments {
				t, ok, err := seg.Term(indexField(f), form)
				if err != nil {
					fail = err
				}
				if ok {
					st.Terms[key] += uint64(t.DocCount)
				}
			}
		}
	})
	if fail != nil {
		return nil, 0, fail
	}
	p := newPlan(root, &st)
	if k == 0 {
		total, err := s.count(ctx, p)
		return nil, total, err
	}
	best, total, err := s.top(ctx, p, k)
	if err != nil {
		return nil, 0, err
	}
	out := make([]Scored, len(best))
	for i, r := range best {
		out[i] = Scored{Segment: s.ordinal(r.seg), Doc: r.doc, Score: float64(r.score) / scoreScale}
	}
	return out, total, nil
}

// count returns the exact number of matches of the plan without adding up scores.
func (s *Snapshot) count(ctx context.Context, p *plan) (total uint64, err error) {
	w := &window{sums: new(pack.Sums)}
	for _, seg := range s.segments {
		c, err := p.compile(seg)
		if err != nil {
			return 0, err
		}
		n, err := evaluate(ctx, seg, c, w, &heap{floor: math.MaxUint32})
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func (s *Snapshot) ordinal(seg *index.Segment) int {
	for i, other := range s.segments {
		if other == seg {
			return i
		}
	}
	return -1
}
