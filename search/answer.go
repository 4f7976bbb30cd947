package search

import (
	"context"
	"time"

	"concord"
	"concord/index"
	"concord/query"
	"concord/text"
	"concord/trace"
)

// Search answers a request on the snapshot, as Searcher.Search does.
func (s *Snapshot) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	began := time.Now()
	if err := validate(req); err != nil {
		return nil, err
	}
	root, p, err := s.understand(ctx, req)
	if err != nil {
		return nil, err
	}
	if req.Only != nil {
		hits, err := s.whole(ctx, p, req)
		return &concord.Answer{Hits: hits, Shards: 1, Answered: 1, Took: time.Since(began)}, err
	}
	a := &concord.Answer{Shards: 1, Answered: 1}
	best, err := s.find(ctx, p, req, a)
	if err != nil {
		return nil, err
	}
	best = best[min(req.Offset, len(best)):]
	if req.Bare {
		a.Hits, err = s.bare(p, best)
	} else {
		a.Hits, err = s.hits(ctx, p, best, req)
	}
	if err != nil {
		return nil, err
	}
	if a.Total == 0 {
		if a.Suggestion, err = s.suggest(ctx, root, req.Stats); err != nil {
			return nil, err
		}
	}
	a.Took = time.Since(began)
	return a, nil
}

// understand parses the query and plans how it is scored.
func (s *Snapshot) understand(ctx context.Context, req concord.Request) (root query.Node, p *plan, err error) {
	_, span := trace.Start(ctx, "parse and plan")
	defer func() { span.End(err) }()
	if root, err = parse(req.Query); err != nil {
		return nil, nil, err
	}
	if req.Stats != nil {
		p, err = planFor(root, req.Stats)
	} else {
		p, err = s.plan(root)
	}
	return root, p, err
}

// find returns the first results, as many as the request reaches, and fills in how many there are.
func (s *Snapshot) find(ctx context.Context, p *plan, req concord.Request, a *concord.Answer) (best []ranked, err error) {
	ctx, span := trace.Start(ctx, "score")
	defer func() { span.SetInt("total", int(a.Total)); span.End(err) }()
	k := req.Offset + req.Limit
	counted := len(req.Facets) > 0 // what the facets are counted over need not be counted again
	best, total, err := s.top(ctx, p, k, !req.AnyTotal && !counted)
	if err != nil {
		return nil, err
	}
	a.Total = total
	if counted {
		a.Facets, a.Total, err = s.facets(ctx, p, req)
		return best, err
	}
	a.AtLeast = req.AnyTotal && len(best) == k // nothing is left out before there are k
	return best, nil
}

// bare returns what merging needs of results.
func (s *Snapshot) bare(p *plan, best []ranked) ([]concord.Hit, error) {
	hits := make([]concord.Hit, len(best))
	for i, r := range best {
		seg := s.segments[r.seg]
		url, err := seg.URL(r.doc)
		if err != nil {
			return nil, err
		}
		hits[i] = concord.Hit{URL: url, Site: seg.Site(r.doc), Score: float64(r.score) / p.scale}
	}
	return hits, nil
}

// whole returns the hits of given URLs. One that is here no more, since the first round, is left out.
func (s *Snapshot) whole(ctx context.Context, p *plan, req concord.Request) ([]concord.Hit, error) {
	var found []ranked
	for _, url := range req.Only {
		for i, seg := range s.segments {
			doc, ok, err := seg.Lookup(url)
			if err != nil {
				return nil, err
			}
			if ok && !seg.Deleted(doc) {
				found = append(found, ranked{seg: uint32(i), doc: doc})
				break
			}
		}
	}
	hits, err := s.hits(ctx, p, found, req)
	for i := range hits {
		if ex := hits[i].Explanation; ex != nil {
			hits[i].Score = ex.Score
		}
	}
	return hits, err
}

// hits reads the documents of results, makes their snippets and explains their scores.
func (s *Snapshot) hits(ctx context.Context, p *plan, best []ranked, req concord.Request) (hits []concord.Hit, err error) {
	ctx, span := trace.Start(ctx, "snippets")
	defer func() { span.SetInt("hits", len(hits)); span.End(err) }()
	analyzers, _ := s.analyzers.Get().(map[string]*text.Analyzer)
	if analyzers == nil {
		analyzers = map[string]*text.Analyzer{}
	}
	defer s.analyzers.Put(analyzers)
	sn := newSnippets(p, analyzers)
	hits = make([]concord.Hit, 0, len(best))
	for _, r := range best {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		doc, err := s.segments[r.seg].Document(r.doc)
		if err != nil {
			return nil, err
		}
		h := hit(doc, float64(r.score)/p.scale, sn)
		if req.Body && !doc.NoArchive && !doc.NoSnippet && doc.MaxSnippet == 0 {
			h.Body = doc.Body
		}
		hits = append(hits, h)
	}
	if !req.Explain {
		return hits, nil
	}
	why, err := s.explain(ctx, p, best)
	for i := range why {
		hits[i].Explanation = &why[i]
	}
	return hits, err
}

func hit(d *index.Document, score float64, sn *snippets) concord.Hit {
	return concord.Hit{URL: d.URL, Title: d.Title, Site: d.Site, Language: d.Language, FileType: d.FileType, Fetched: d.Fetched,
		Published: d.Published, Capture: d.Capture, NoArchive: d.NoArchive, Snippet: sn.of(d), Score: score}
}
