package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"concord"
	"concord/federation"

	"github.com/danielgtaylor/huma/v2"
)

// SearchAnswer is one page of results.
type SearchAnswer struct {
	Query      string         `json:"query" example:"\"block-max\" site:example.org"`
	Results    []SearchResult `json:"results" nullable:"false"`
	Total      uint64         `json:"total" doc:"Matching pages in the shards that answered, exact unless atLeast."`
	AtLeast    bool           `json:"atLeast,omitempty" doc:"There may be more than total; only with total=any."`
	Offset     int            `json:"offset"`
	Limit      int            `json:"limit"`
	Shards     ShardCount     `json:"shards"`
	Failures   []string       `json:"failures,omitempty" nullable:"false" doc:"One line a shard that did not answer."`
	Suggestion string         `json:"suggestion,omitempty" doc:"A better spelling, only when nothing was found."`
	Facets     []SearchFacet  `json:"facets,omitempty" nullable:"false" doc:"As asked for, in that order."`
	Took       float64        `json:"tookMs" doc:"Milliseconds the search took."`

	Operators []concord.OperatorAnswer `json:"operators,omitempty" nullable:"false" doc:"What became of asking the other operators; absent when none was asked."`
}

// ShardCount says how complete an answer is.
type ShardCount struct {
	Asked    int `json:"asked" example:"8"`
	Answered int `json:"answered" example:"8"`
}

// SearchFacet says how all matching pages are distributed over one of their properties.
type SearchFacet struct {
	Field  string               `json:"field" enum:"site,host,lang,type,year"`
	Values []concord.FacetValue `json:"values" nullable:"false" doc:"The most frequent values, at most 20; the empty one stands for pages of which it is not known."`
}

// SearchResult is one result.
type SearchResult struct {
	URL        string             `json:"url" format:"uri"`
	Title      string             `json:"title"`
	Snippet    string             `json:"snippet" doc:"Plain text."`
	Highlights []concord.Fragment `json:"highlights,omitempty" nullable:"false" doc:"The snippet in pieces; those with match are words of the query."`
	Fetched    time.Time          `json:"fetched"`
	Published  time.Time          `json:"published,omitzero" doc:"As the page claims it."`
	Site       string             `json:"site"`
	Language   string             `json:"language,omitempty" example:"en"`
	FileType   string             `json:"filetype,omitempty" example:"html"`
	Score      float64            `json:"score"`
	Capture    string             `json:"capture" doc:"The capture that was indexed; empty for a result of another operator."`
	Receipt    string             `json:"receipt" format:"uri" doc:"Where its receipt is downloaded."`
	Archived   string             `json:"archived,omitempty" format:"uri" doc:"Where its archived copy is seen; absent when the page asks for none."`

	Explanation *concord.Explanation `json:"explanation,omitempty" doc:"Only with explain=true: how the score comes about. The scores of parts add up exactly."`
	Operators   []SearchSighting     `json:"operators,omitempty" nullable:"false" doc:"Who saw the page, where another operator told of it, this one first."`
	Proof       *federation.Proof    `json:"proof,omitempty" doc:"Only with proof=true: what another operator checks the result by."`
}

type searchInput struct {
	Query  string `query:"q" required:"true" maxLength:"2048" example:"\"access method\" site:postgresql.org" doc:"Words, \"phrases\", \"near phrases\"~3, -not, ?optional, prefix*, fuzzy~, OR, parentheses, site: lang: intitle: inurl: before: after: published: fetched: filetype:"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"10" example:"10" doc:"Results wanted."`
	Offset int    `query:"offset" minimum:"0" maximum:"10000" default:"0" example:"0" doc:"Results to leave out."`

	Total   string   `query:"total" enum:"exact,any" default:"exact" example:"exact" doc:"With any, total may be a lower bound, which is quicker to find."`
	Facets  []string `query:"facets" nullable:"false" maxItems:"5" uniqueItems:"true" enum:"site,host,lang,type,year" example:"site,lang" doc:"Properties to count all matching pages by: site, host, lang, type, year (published, else fetched). Makes total exact."`
	Explain bool     `query:"explain" default:"false" example:"false" doc:"Explain the score of each result, term by term."`
	Scope   string   `query:"scope" enum:"all,own" default:"all" example:"own" doc:"With own, other operators are not asked."`
	Proof   bool     `query:"proof" default:"false" example:"false" doc:"For other operators, with scope=own: the receipt and text of each result, at most ten. Results that have none to hand out are left out."`
}

type searchOutput struct {
	Body SearchAnswer
}

func (s *Server) searchAPI(api huma.API) {
	register(s, api, call{Operation: huma.Operation{
		OperationID: "search", Method: http.MethodGet, Path: "/search", Tags: []string{tagSearch}, Summary: "Search",
		Description: "A malformed query is a 422 problem whose errors[0] says where, with the byte offset and length in the query. A shard " +
			"that does not answer is no error: compare shards.asked with shards.answered. Other operators that share the ledger are asked as well; " +
			"what they send is a result as far as its receipt and text hold here, and operators says what became of each.",
		Middlewares: huma.Middlewares{s.searchLimit},
	}, example: exampleSearch}, s.searchCall)
	register(s, api, call{Operation: huma.Operation{
		OperationID: "explain", Method: http.MethodGet, Path: "/explain", Tags: []string{tagSearch}, Summary: "Explain one page",
		Description: "Why a page of the index gets the score it gets for a query, or which part of the query it does not match.",
		Middlewares: huma.Middlewares{s.searchLimit},
	}, example: exampleExplained}, s.explainCall)
}

func (s *Server) searchCall(ctx context.Context, in *searchInput) (*searchOutput, error) {
	if in.Proof && in.Scope != scopeOwn {
		return nil, errProofScope()
	}
	if in.Proof { // each costs a receipt
		in.Limit = min(in.Limit, federation.MaxResults)
	}
	a, err := s.searcher(in.Scope)(ctx, concord.Request{Query: in.Query, Offset: in.Offset, Limit: in.Limit,
		AnyTotal: in.Total == "any", Facets: in.Facets, Explain: in.Explain, Body: in.Proof})
	if err != nil {
		return nil, err
	}
	base := callerOf(ctx).base
	out := &searchOutput{Body: SearchAnswer{
		Query: in.Query, Results: make([]SearchResult, 0, len(a.Hits)), Total: a.Total, AtLeast: a.AtLeast, Offset: in.Offset, Limit: in.Limit,
		Shards: ShardCount{a.Shards, a.Answered}, Failures: a.Failures, Suggestion: a.Suggestion,
		Took: float64(a.Took.Microseconds()) / 1000, Operators: a.Operators,
	}}
	for i := range a.Hits {
		r := resultOf(&a.Hits[i], base)
		if r.Operators = s.sightings(&a.Hits[i]); len(r.Operators) > 0 {
			for k := range r.Operators {
				r.Operators[k].Receipt = base + r.Operators[k].Receipt
			}
			r.Receipt = r.Operators[0].Receipt
		}
		out.Body.Results = append(out.Body.Results, r)
	}
	if in.Proof {
		out.Body.Results = s.prove(ctx, out.Body.Results, a.Hits)
	}
	for _, f := range a.Facets {
		out.Body.Facets = append(out.Body.Facets, SearchFacet(f))
	}
	return out, nil
}

func resultOf(h *concord.Hit, base string) SearchResult {
	var text strings.Builder
	for _, f := range h.Snippet {
		text.WriteString(f.Text)
	}
	r := SearchResult{URL: h.URL, Title: h.Title, Snippet: text.String(), Highlights: h.Snippet, Fetched: h.Fetched, Published: h.Published,
		Site: h.Site, Language: h.Language, FileType: h.FileType, Score: h.Score, Capture: h.Capture, Explanation: h.Explanation,
		Receipt: base + receiptFileLink(h.Capture, h.URL)}
	if !h.NoArchive {
		r.Archived = base + archiveLink(h.Capture, h.URL)
	}
	return r
}

var exampleTime = time.Date(2026, 11, 22, 10, 15, 0, 0, time.UTC)

const (
	exampleURL     = "https://example.org/manual/indexes.html"
	exampleCapture = "0f6f4c1e-7d0a-4c57-9a3e-2b1f7c5f5e11"
	exampleNode    = "http://127.0.0.1:7667"
)

var exampleSearch = SearchAnswer{Query: "access method", Limit: 10, Total: 1, Shards: ShardCount{8, 8}, Took: 1.9,
	Results: []SearchResult{{URL: exampleURL, Title: "Index access methods", Snippet: "Each index access method is described by …",
		Highlights: []concord.Fragment{{Text: "Each index "}, {Text: "access method", Match: true}, {Text: " is described by …"}},
		Fetched:    exampleTime, Site: "example.org", Language: "en", FileType: "html", Score: 11.25, Capture: exampleCapture,
		Receipt: exampleNode + receiptFileLink(exampleCapture, exampleURL), Archived: exampleNode + archiveLink(exampleCapture, exampleURL)}}}
