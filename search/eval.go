package search

import (
	"context"

	"concord"
	"concord/index"
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
	best, total, err := s.top(ctx, newPlan(root, &st), k)
	if err != nil {
		return nil, 0, err
	}
	out := make([]Scored, len(best))
	for i, r := range best {
		out[i] = Scored{Segment: s.ordinal(r.seg), Doc: r.doc, Score: float64(r.score) / scoreScale}
	}
	return out, total, nil
}

func (s *Snapshot) ordinal(seg *index.Segment) int {
	for i, other := range s.segments {
		if other == seg {
			return i
		}
	}
	return -1
}
