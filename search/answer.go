package search

import (
	"context"
	"time"

	"concord"
	"concord/index"
	"concord/text"
)

// Search answers a request on the snapshot, as Searcher.Search does.
func (s *Snapshot) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	began := time.Now()
	if err := validate(req); err != nil {
		return nil, err
	}
	root, err := parse(req.Query)
	if err != nil {
		return nil, err
	}
	stats := req.Stats
	if stats == nil {
		own, err := s.stats(ctx, root)
		if err != nil {
			return nil, err
		}
		stats = &own
	}
	p := newPlan(root, stats)
	best, total, err := s.top(ctx, p, req.Offset+req.Limit)
	if err != nil {
		return nil, err
	}
	a := &concord.Answer{Hits: []concord.Hit{}, Total: total, Shards: 1, Answered: 1}
	analyzers, _ := s.analyzers.Get().(map[string]*text.Analyzer)
	if analyzers == nil {
		analyzers = map[string]*text.Analyzer{}
	}
	defer s.analyzers.Put(analyzers)
	sn := newSnippets(p, analyzers)
	for _, r := range best[min(req.Offset, len(best)):] {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		doc, err := r.seg.Document(r.doc)
		if err != nil {
			return nil, err
		}
		a.Hits = append(a.Hits, hit(doc, r.score, sn))
	}
	if total == 0 {
		if a.Suggestion, err = s.suggest(ctx, root, stats); err != nil {
			return nil, err
		}
	}
	a.Took = time.Since(began)
	return a, nil
}

func hit(d *index.Document, score uint32, sn *snippets) concord.Hit {
	return concord.Hit{URL: d.URL, Title: d.Title, Site: d.Site, Language: d.Language, FileType: d.FileType, Fetched: d.Fetched,
		Published: d.Published, Capture: d.Capture, NoArchive: d.NoArchive, Snippet: sn.of(d), Score: float64(score) / scoreScale}
}
