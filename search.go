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

	// AnyTotal lets Answer.Total be a lower bound: documents that cannot be among the results need then not be found.
	AnyTotal bool
	// Facets asks how all matching documents are distributed over properties: some of FacetFields, none twice. Total is exact then.
	Facets []string
	// Explain asks for the Explanation of every hit. With Only it is made of documents that do not match as well.
	Explain bool
	// Body asks for the Body of every hit that may be handed out.
	Body bool

	// A fan-out asks in two rounds: first Bare, for URL, Site and Score of the best results alone, which may be as many as
	// MaxOffset+MaxLimit; then, once it knows
	// which make the page, Only for these URLs, whose hits come back whole, in this order, without a score unless Explain asks for
	// it. URLs that no searchable document has are left out.
	Bare bool
	Only []string // at most MaxLimit; Offset, Limit, AnyTotal and Facets then do not count
}

// Bounds of a request: what one query may cost.
const (
	MaxLimit      = 100
	MaxOffset     = 10_000
	MaxQueryBytes = 2_048
)

// What Request.Facets may name.
const (
	FacetSite = "site" // Hit.Site
	FacetHost = "host" // host name, with port where it is not the default
	FacetLang = "lang" // Hit.Language
	FacetType = "type" // Hit.FileType
	FacetYear = "year" // of Hit.Published or, where the page does not say, of Hit.Fetched, in UTC, as "2024"
)

// FacetFields returns all of them.
func FacetFields() []string { return []string{FacetSite, FacetHost, FacetLang, FacetType, FacetYear} }

// Bounds of a facet: what a page can show, and what a shard gives for merging, of sites and hosts (there may be millions) and of
// the others.
const (
	MaxFacetValues     = 20
	MaxBareSites       = 5 * MaxFacetValues
	MaxBareFacetValues = 1_000
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
	Total      uint64        `json:"total"`                // matching documents in the shards that answered, exact unless AtLeast
	AtLeast    bool          `json:"atLeast,omitempty"`    // there may be more than Total, which is at least as far as Offset and Limit reach
	Shards     int           `json:"shards"`               // shards asked
	Answered   int           `json:"answered"`             // shards that answered
	Failures   []string      `json:"failures,omitempty"`   // one line a shard that did not, in plain words
	Suggestion string        `json:"suggestion,omitempty"` // "did you mean", only when nothing was found
	Facets     []Facet       `json:"facets,omitempty"`     // as asked for, in that order
	Took       time.Duration `json:"-"`
	// Operators says what became of asking other operators; empty: none was asked.
	Operators []OperatorAnswer `json:"operators,omitempty"`
}

// OperatorAnswer is what became of asking another operator. Its results are among the hits as far as they were verified here.
type OperatorAnswer struct {
	Name     string         `json:"name"`
	Answered bool           `json:"answered"`
	Failure  string         `json:"failure,omitempty"` // why it did not, in plain words
	Verified int            `json:"verified"`          // results that hold against our copy of the ledger
	Dropped  map[string]int `json:"dropped,omitempty"` // results that do not, by reason
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

	Explanation *Explanation `json:"explanation,omitempty"` // only where it was asked for
	// Body is the main text, only where it was asked for, and never of a page that asks for no copy, no snippet or a short one.
	Body string `json:"body,omitempty"`
	// Seen are the captures of the page that were verified when other operators were asked, this operator's own first. When the first is
	// another's, the result is from there and nothing of it is here: Capture is empty. Empty: nobody else told of the page.
	Seen []Sighting `json:"seen,omitempty"`
}

// Sighting is a capture of a page by an operator.
type Sighting struct {
	Operator string    `json:"operator"`
	Capture  string    `json:"capture"` // as that operator names it
	Fetched  time.Time `json:"fetched"` // as that operator states it
}

// Fragment is a piece of a snippet; Match marks words of the query. Text is plain text, not HTML.
type Fragment struct {
	Text  string `json:"text"`
	Match bool   `json:"match,omitempty"`
}

// Facet says how the matching documents are distributed over one of their properties.
//
// Counts are exact in the answer of one Searcher. A fan-out adds up what each shard gives, which are its most frequent values, MaxBareSites
// of sites and hosts and MaxBareFacetValues of the others. So the counts of languages, types and years are exact in practice; those of a
// site or host may lack the documents of shards in which it is rarer than MaxBareSites others, which hardly happens to one of the MaxFacetValues most
// frequent where documents are spread over shards by their URL.
type Facet struct {
	Field  string       `json:"field"`  // one of FacetFields
	Values []FacetValue `json:"values"` // most frequent first, of equal ones the first in order of Value; at most MaxFacetValues
}

// FacetValue is one value of a property.
type FacetValue struct {
	Value string `json:"value"` // empty: not known
	Count uint64 `json:"count"` // matching documents that have it
}

// Explanation says how one document got its score, and whether it matches: a tree with the shape of the query, the words of which
// have their forms below them.
type Explanation struct {
	Text    string        `json:"text"`              // the part of the query, or a form of a word: "river", "-lake", "the form rivers"
	Matches bool          `json:"matches"`           // the document meets this part. Of one that must not occur: it does not
	Score   float64       `json:"score"`             // what the part adds: exactly the sum of its Parts, where it has any
	Details []string      `json:"details,omitempty"` // sentences: why it matches or does not, and how the score was computed
	Parts   []Explanation `json:"parts,omitempty"`
}

// QueryError says where a query is malformed and how to correct it.
type QueryError struct {
	Query  string // the query as given
	Offset int    // byte offset of the place
	Length int    // bytes concerned, at least 1
	Reason string // "quotation mark is never closed"
}

func (e *QueryError) Error() string { return e.Reason }
