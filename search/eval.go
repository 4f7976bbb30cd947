package search

import (
	"context"

	"concord/index"
	"concord/query"
)

// Scored is one result of Top.
type Scored struct {
	Segment int // its place among Segments
	Doc     index.DocID
	Score   float64
}

// Top evaluates a query tree with the snapshot's own statistics and returns its best k documents, the best first, and the number of
// matches, which is a lower bound unless an exact one is asked for. Errors: Corrupt; those of ctx.
func (s *Snapshot) Top(ctx context.Context, root query.Node, k int, exact bool) ([]Scored, uint64, error) {
	x := s.scratch(ctx)
	p := &x.plan
	if err := s.planInto(p, root); err != nil {
		return nil, 0, err
	}
	best, total, err := s.topWith(x, p, k, exact)
	if err != nil {
		return nil, 0, err
	}
	out := make([]Scored, len(best))
	for i, r := range best {
		out[i] = Scored{Segment: int(r.seg), Doc: r.doc, Score: float64(r.score) / p.scale}
	}
	s.scratches.Put(x)
	return out, total, nil
}

// Count returns the number of matches of a query tree. Errors: as Top.
func (s *Snapshot) Count(ctx context.Context, root query.Node) (total uint64, err error) {
	x := s.scratch(ctx)
	if err := s.planInto(&x.plan, root); err != nil {
		return 0, err
	}
	for i, seg := range s.segments {
		n, err := count(x, &x.plan, i, seg)
		if err != nil {
			return 0, err
		}
		total += n
	}
	s.scratches.Put(x)
	return total, nil
}
