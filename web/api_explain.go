package web

import (
	"context"

	"concord"
)

// Explained says why a page matches a query or does not.
type Explained struct {
	Query       string              `json:"query" example:"access method"`
	URL         string              `json:"url" format:"uri"`
	Title       string              `json:"title"`
	Matches     bool                `json:"matches"`
	Score       float64             `json:"score"`
	Explanation concord.Explanation `json:"explanation" doc:"The shape of the query; the scores of parts add up exactly to that of what they are parts of."`
}

type explainInput struct {
	Query string `query:"q" required:"true" maxLength:"2048" example:"access method" doc:"As for search."`
	URL   string `query:"url" required:"true" format:"uri" maxLength:"8192" example:"https://example.org/manual/indexes.html" doc:"Address of the page."`
}

type explainOutput struct {
	Body Explained
}

func (s *Server) explainCall(ctx context.Context, in *explainInput) (*explainOutput, error) {
	u, err := normal(in.URL, "query.url")
	if err != nil {
		return nil, err
	}
	h, err := s.explained(ctx, in.Query, u)
	if err != nil {
		return nil, err
	}
	return &explainOutput{Explained{Query: in.Query, URL: h.URL, Title: h.Title, Matches: h.Explanation.Matches, Score: h.Score, Explanation: *h.Explanation}}, nil
}

// explained returns a page, given in normal form, with its explanation. Errors: NotFound when it is not in the index, Unavailable when it
// may be in a part of it that did not answer, Invalid.
func (s *Server) explained(ctx context.Context, query, pageURL string) (*concord.Hit, error) {
	a, err := s.cfg.Searcher.Search(ctx, concord.Request{Query: query, Only: []string{pageURL}, Explain: true})
	switch {
	case err != nil:
		return nil, err
	case len(a.Hits) > 0 && a.Hits[0].Explanation != nil:
		return &a.Hits[0], nil
	case a.Answered < a.Shards:
		return nil, concord.Errorf(concord.Unavailable, "%s is not in the part of the index that answered: %d of %d shards", pageURL, a.Answered, a.Shards)
	}
	return nil, concord.Errorf(concord.NotFound, "%s is not in the index", pageURL)
}

var exampleExplained = Explained{Query: "access method", URL: exampleURL, Title: "Index access methods", Matches: true, Score: 11.25,
	Explanation: concord.Explanation{Text: "access method", Matches: true, Score: 11.25, Parts: []concord.Explanation{
		{Text: "access", Matches: true, Score: 5.1247, Details: []string{"2 in the title (3 words, on average 5.2), 14 in the body (1210 words, on average 804.5)",
			"BM25F impact 0.9012, rounded to (32 + 227) / 287 = 0.9024", "idf 5.6790: on 431 of 126000 pages", "5.6790 × 0.9024 = 5.1247"}},
		{Text: "method", Matches: true, Score: 6.1253, Details: []string{"31 in the body (1210 words, on average 804.5)"}},
	}}}
