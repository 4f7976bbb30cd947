package concord

import (
	"context"
	"time"
)

// Searcher is the one contract for reading: a shard, a fan-out over shards, a remote operator and a cache are all
// Searchers. Implementations are safe for concurrent use.
type Searcher interface {
	// Stats returns the collection statistics that scores of the query's terms depend on, so that shards can score alike.
	Stats(ctx context.Context, query string) (Stats, error)
	// Search answers a request. A malformed query is an Invalid error that wraps *QueryError. A shard that does not answer is not an error:
	// Answer says how many did.
	Search(ctx context.Context, req Request) (*Answer, error)
}

// Request asks for one page of results.
type Request struct {
	Query  string
	Offset int    // results to leave out, 0 ≤ Offset ≤ MaxOffset
	Limit  int    // results wanted, 1 ≤ Limit ≤ MaxLimit
	Stats  *Stats // statistics of the whole collection; nil: use the Searcher's own

	// A fan-out asks in two rounds: first Bare, for URL, Site and Score of the best results alone, which may be as many as
	// MaxOffset+MaxLimit; then, once it knows
	// which make the page, Only for these URLs, whose hits come back whole, in this order, without a score.
	Bare bool
	Only []string // at most MaxLimit; Offset and Limit then do not count
}

// Bounds of a request: what one query may cost.
const (
	MaxLimit      = 100
	MaxOffset     = 10_000
	MaxQueryBytes = 2_048
)

// Stats are the collection statistics of one query. Those of several shards add up.
type Stats struct {
	Docs  uint64            `json:"docs"`  // live documents
	Terms map[string]uint64 `json:"terms"` // document frequency of each index term the query looks up, by field and term
	Langs map[string]uint64 `json:"langs"` // live documents by language: which stemmers are worth asking
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	s.Docs += o.Docs
	for t, n := range o.Terms {
		if s.Terms == nil {
			s.Terms = map[string]uint64{}
		}
		s.Terms[t] += n
	}
	for l, n := range o.Langs {
		if s.Langs == nil {
			s.Langs = map[string]uint64{}
		}
		s.Langs[l] += n
	}
}

// Answer is one page of results and how complete it is.
type Answer struct {
	Hits       []Hit         `json:"hits"`
	Total      uint64        `json:"total"`                // matching documents in the shards that answered, exact
	Shards     int           `json:"shards"`               // shards asked
	Answered   int           `json:"answered"`             // shards that answered
	Failures   []string      `json:"failures,omitempty"`   // one line a shard that did not, in plain words
	Suggestion string        `json:"suggestion,omitempty"` // "did you mean", only when nothing was found
	Took       time.Duration `json:"-"`
}

// Hit is one result.
type Hit struct {
	URL       string     `json:"url"`
	Title     string     `json:"title"`
	Site      string     `json:"site"`
	Language  string     `json:"language,omitempty"`
	FileType  string     `json:"filetype,omitempty"`
	Fetched   time.Time  `json:"fetched"`
	Published time.Time  `json:"published,omitzero"`
	Capture   string     `json:"capture"` // ID of the capture that was indexed
	NoArchive bool       `json:"noArchive,omitempty"`
	Snippet   []Fragment `json:"snippet,omitempty"` // empty where the page asks for none
	Score     float64    `json:"score"`
}

// Fragment is a piece of a snippet; Match marks words of the query. Text is plain text, not HTML.
type Fragment struct {
	Text  string `json:"text"`
	Match bool   `json:"match,omitempty"`
}

// QueryError says where a query is malformed and how to correct it.
type QueryError struct {
	Query  string // the query as given
	Offset int    // byte offset of the place
	Length int    // bytes concerned, at least 1
	Reason string // "quotation mark is never closed"
}

func (e *QueryError) Error() string { return e.Reason }
