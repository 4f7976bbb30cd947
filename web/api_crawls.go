package web

import (
	"context"
	"net/http"
	"time"

	"concord"

	"github.com/danielgtaylor/huma/v2"
)

// CrawlItem is a crawl as the API shows it.
type CrawlItem struct {
	concord.Crawl
	Done       bool `json:"done" doc:"Nothing is left to fetch."`
	Searchable bool `json:"searchable" doc:"Done, and everything it handed to the index can be found."`
}

type crawlInput struct {
	Body concord.CrawlSpec
}

type crawlOutput struct {
	Location string `header:"Location"`
	Body     CrawlItem
}

type crawlIDInput struct {
	ID string `path:"id" maxLength:"64" example:"c-20261122-101500-7f3a" doc:"ID of the crawl."`
}

type crawlsOutput struct {
	Body struct {
		Crawls []CrawlItem `json:"crawls" nullable:"false" doc:"Newest first."`
	}
}

type hostsInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" example:"100"`
}

type hostsOutput struct {
	Body struct {
		Hosts []concord.HostStatus `json:"hosts" nullable:"false"`
	}
}

type urlInput struct {
	URL string `query:"url" required:"true" maxLength:"4096" example:"https://example.org/manual/indexes.html"`
}

type urlOutput struct{ Body concord.URLStatus }

var exampleCrawl = CrawlItem{Crawl: concord.Crawl{ID: "c-20261122-101500-7f3a", Spec: concord.CrawlSpec{Seeds: []string{"https://example.org/manual/"},
	Scope: concord.ScopeHost, Depth: concord.DefaultDepth, MaxPages: concord.DefaultMaxPages}, Created: exampleTime, Queued: 212, InFlight: 1,
	Fetched: 957, Indexed: 901, Skipped: 56, Failed: 2, Refused: 14, Bytes: 31_337_000}}

func (s *Server) crawlAPI(api huma.API) {
	tags := []string{tagCrawl}
	register(s, api, call{write: true, example: exampleCrawl, Operation: huma.Operation{
		OperationID: "start-crawl", Method: http.MethodPost, Path: "/crawls", Tags: tags, Summary: "Start a crawl",
		Description:   "The crawl is durable when this returns. What is left out of the body has its default: scope host, depth 16, 100,000 pages.",
		DefaultStatus: http.StatusCreated,
	}}, func(ctx context.Context, in *crawlInput) (*crawlOutput, error) {
		c, err := s.cfg.Crawls.Start(ctx, in.Body)
		if err != nil {
			return nil, err
		}
		return &crawlOutput{Location: callerOf(ctx).base + apiPrefix + "/crawls/" + c.ID, Body: CrawlItem{Crawl: *c, Done: c.Done()}}, nil
	})

	register(s, api, call{example: map[string]any{"crawls": []CrawlItem{exampleCrawl}}, Operation: huma.Operation{
		OperationID: "list-crawls", Method: http.MethodGet, Path: "/crawls", Tags: tags, Summary: "List crawls",
	}}, func(ctx context.Context, _ *struct{}) (*crawlsOutput, error) {
		list, err := s.cfg.Crawls.Crawls(ctx)
		if err != nil {
			return nil, err
		}
		out := &crawlsOutput{}
		out.Body.Crawls = make([]CrawlItem, 0, len(list))
		for _, c := range list {
			item, err := s.crawlItem(ctx, c)
			if err != nil {
				return nil, err
			}
			out.Body.Crawls = append(out.Body.Crawls, item)
		}
		return out, nil
	})

	register(s, api, call{example: exampleCrawl, Operation: huma.Operation{
		OperationID: "get-crawl", Method: http.MethodGet, Path: "/crawls/{id}", Tags: tags, Summary: "How far a crawl is",
	}}, func(ctx context.Context, in *crawlIDInput) (*crawlOutput, error) {
		c, err := s.cfg.Crawls.Crawl(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		item, err := s.crawlItem(ctx, *c)
		return &crawlOutput{Body: item}, err
	})

	register(s, api, call{write: true, Operation: huma.Operation{
		OperationID: "stop-crawl", Method: http.MethodDelete, Path: "/crawls/{id}", Tags: tags, Summary: "Stop a crawl",
		Description: "What is queued for it is dropped, what was fetched stays. Stopping twice is no error.", DefaultStatus: http.StatusNoContent,
	}}, func(ctx context.Context, in *crawlIDInput) (*emptyOutput, error) {
		return &emptyOutput{}, s.cfg.Crawls.Stop(ctx, in.ID)
	})

	register(s, api, call{example: map[string]any{"hosts": []concord.HostStatus{{Host: "example.org", Queued: 212, Next: exampleTime, Reason: "delay",
		Delay: time.Second, Fetched: 957, Failed: 2, Robots: "rules from 2026-11-22T10:00:00Z"}}}, Operation: huma.Operation{
		OperationID: "list-hosts", Method: http.MethodGet, Path: "/hosts", Tags: tags, Summary: "Politeness state of the hosts being crawled",
	}}, func(ctx context.Context, in *hostsInput) (*hostsOutput, error) {
		list, err := s.cfg.Crawls.Hosts(ctx, in.Limit)
		out := &hostsOutput{}
		out.Body.Hosts = nonNil(list)
		return out, err
	})

	register(s, api, call{example: concord.URLStatus{URL: exampleURL, State: "fetched", Known: exampleTime, Fetched: exampleTime, Status: http.StatusOK,
		Tries: 1, Depth: 2, From: "https://example.org/manual/", Indexed: true}, Operation: huma.Operation{
		OperationID: "get-url", Method: http.MethodGet, Path: "/urls", Tags: tags, Summary: "Is this URL in it, and why not",
		Description: "A URL that nobody met has state \"unknown\"; that is no error.",
	}}, func(ctx context.Context, in *urlInput) (*urlOutput, error) {
		u, err := normal(in.URL, "query.url")
		if err != nil {
			return nil, err
		}
		status, err := s.cfg.Crawls.URL(ctx, u)
		return &urlOutput{Body: status}, err
	})
	s.eventsAPI(api)
}

func (s *Server) crawlItem(ctx context.Context, c concord.Crawl) (CrawlItem, error) {
	item := CrawlItem{Crawl: c, Done: c.Done()}
	if !item.Done {
		return item, nil
	}
	var err error
	item.Searchable, err = s.cfg.Crawls.Searchable(ctx, c.ID)
	return item, err
}
