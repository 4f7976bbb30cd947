package search

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"concord"
	"concord/query"
)

var (
	_ concord.Searcher = (*Searcher)(nil)
	_ concord.Searcher = (*Fanout)(nil)
	_ concord.Searcher = (*Copies)(nil)
)

// validate refuses requests beyond their bounds.
func validate(req concord.Request) error {
	for i, f := range req.Facets {
		if !slices.Contains(concord.FacetFields(), f) {
			return concord.Errorf(concord.Invalid, "facet %q is not known: choose among %s", concord.Clip(f, 40), strings.Join(concord.FacetFields(), ", "))
		}
		if slices.Contains(req.Facets[:i], f) {
			return concord.Errorf(concord.Invalid, "facet %s is asked for twice", f)
		}
	}
	switch {
	case len(req.Query) > concord.MaxQueryBytes:
		return concord.Errorf(concord.Invalid, "query of %d bytes, at most %d: %w", len(req.Query), concord.MaxQueryBytes,
			&concord.QueryError{Query: req.Query, Offset: concord.MaxQueryBytes, Length: len(req.Query) - concord.MaxQueryBytes, Reason: fmt.Sprintf("query is longer than %d bytes", concord.MaxQueryBytes)})
	case len(req.Only) > concord.MaxLimit:
		return concord.Errorf(concord.Invalid, "%d URLs asked for, at most %d", len(req.Only), concord.MaxLimit)
	case req.Only != nil:
	case req.Bare && req.Limit > concord.MaxOffset+concord.MaxLimit:
		return concord.Errorf(concord.Invalid, "limit %d is above %d", req.Limit, concord.MaxOffset+concord.MaxLimit)
	case req.Limit < 1 || req.Limit > concord.MaxLimit && !req.Bare:
		return concord.Errorf(concord.Invalid, "limit %d is not between 1 and %d", req.Limit, concord.MaxLimit)
	case req.Offset < 0 || req.Offset > concord.MaxOffset:
		return concord.Errorf(concord.Invalid, "offset %d is not between 0 and %d", req.Offset, concord.MaxOffset)
	}
	return nil
}

func (s *Searcher) acquire() (*Snapshot, error) {
	snap := s.Acquire()
	if snap == nil {
		return nil, concord.Errorf(concord.Unavailable, "search: the index is closed")
	}
	return snap, nil
}

// Stats implements concord.Searcher. Keys of Terms are the field's name, a colon and the index term, as in "all:run" or "title:run".
func (s *Searcher) Stats(ctx context.Context, text string) (concord.Stats, error) {
	snap, err := s.acquire()
	if err != nil {
		return concord.Stats{}, err
	}
	defer snap.Release()
	return snap.Stats(ctx, text)
}

// Search implements concord.Searcher.
func (s *Searcher) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	snap, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer snap.Release()
	return snap.Search(ctx, req)
}

func parse(q string) (query.Node, error) {
	if err := validate(concord.Request{Query: q, Limit: 1}); err != nil {
		return nil, err
	}
	return query.Parse(q)
}
