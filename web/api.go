package web

import (
	"context"
	"net/http"
	"reflect"

	"concord"
	"concord/weburl"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	apiPrefix   = "/api/v1"
	eventsPath  = apiPrefix + "/events"
	importPath  = apiPrefix + "/archive/import"
	openapiPath = "/openapi"
)

// Groups of operations in the description.
const (
	tagSearch  = "search"
	tagArchive = "archive"
	tagCrawl   = "crawl"
	tagLedger  = "ledger"
	tagNode    = "node"
	tagCluster = "cluster"
)

// api registers the HTTP API and its description.
func (s *Server) api(mux *http.ServeMux) {
	cfg := huma.DefaultConfig("Concord", concord.Version)
	cfg.CreateHooks = nil // no $schema fields and links in answers
	cfg.DocsPath = ""     // the framework's page loads scripts of strangers; /api is ours
	cfg.SchemasPath = ""
	cfg.OpenAPIPath = openapiPath
	cfg.Info.Description = "Search, archive and receipts of one Concord node. Reading is free; writing needs the API key as a bearer " +
		"token, or the node's Unix socket. Errors are RFC 9457 problems. Times are RFC 3339 in UTC; durations are nanoseconds; " +
		"digests are SHA-256 in base64."
	cfg.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	cfg.Servers = []*huma.Server{{URL: "/", Description: "this node"}}
	cfg.Tags = []*huma.Tag{
		{Name: tagSearch, Description: "Find pages."},
		{Name: tagArchive, Description: "What was captured, and its receipts."},
		{Name: tagCrawl, Description: "What is fetched, and why not."},
		{Name: tagLedger, Description: "The log that receipts are proved against."},
		{Name: tagNode, Description: "The node itself."},
		{Name: tagCluster, Description: "The operator's machines together."},
	}
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "The API key, made on first start and kept in a file only the node's owner can read."},
	}
	api := humago.New(mux, cfg)
	s.openapi = api.OpenAPI()
	s.searchAPI(api)
	s.captureAPI(api)
	s.crawlAPI(api)
	s.ledgerAPI(api)
	s.federationAPI(api)
	s.notaryAPI(api)
	s.witnessAPI(api)
	s.replicaAPI(api)
	s.nodeAPI(api)
	s.clusterAPI(api)
	s.transferAPI(api)
}

// call is one operation: its description, and an example of its answer.
type call struct {
	huma.Operation
	write   bool // needs the key or the socket
	example any
}

// register adds one operation to the API. Errors of the handler become problems.
func register[I, O any](s *Server, api huma.API, c call, handle func(context.Context, *I) (*O, error)) {
	op := c.Operation
	op.Path = apiPrefix + op.Path
	op.MaxBodyBytes = maxBody
	if op.DefaultStatus == 0 {
		op.DefaultStatus = http.StatusOK
	}
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["default"] = &huma.Response{Description: "A problem (RFC 9457).", Content: map[string]*huma.MediaType{
		problemType: {Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")},
	}}
	if c.write {
		op.Security = []map[string][]string{{"key": {}}}
		op.Middlewares = append(op.Middlewares, s.needKey)
	}
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			p := problemOf(err)
			if p.Status >= http.StatusInternalServerError && p.Status != http.StatusServiceUnavailable {
				s.cfg.Log.Error("API call failed", "operation", op.OperationID, "error", err)
			}
			return nil, p
		}
		return out, nil
	})
	for _, r := range op.Responses {
		for _, m := range r.Content {
			if m != nil && m.Example == nil && r != op.Responses["default"] {
				m.Example = c.example
			}
		}
	}
}

// needKey refuses a call that changes something without the key.
func (s *Server) needKey(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if !callerOf(r.Context()).mayWrite() {
		writeProblem(w, r, unauthorized())
		return
	}
	next(ctx)
}

func unauthorized() *Problem {
	p := newProblem(http.StatusUnauthorized, "this call changes something: send the API key as \"Authorization: Bearer <key>\", or use the node's socket")
	p.header = http.Header{"Www-Authenticate": {`Bearer realm="concord"`}}
	return p
}

// searchLimit spends one search of the client's.
func (s *Server) searchLimit(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if s.limitSearch(w, r) {
		next(ctx)
	}
}

// normal brings a URL given by a person or program into the form under which pages are kept.
func normal(raw, location string) (string, error) {
	u, err := weburl.Parse(raw)
	if err != nil {
		p := newProblem(http.StatusUnprocessableEntity, err.Error())
		p.Errors = []ProblemPlace{{Message: err.Error(), Location: location, Value: concord.Clip(raw, maxEcho)}}
		return "", p
	}
	return u.String(), nil
}

// maxEcho bounds how much of a wrong value is sent back.
const maxEcho = 200

// nonNil makes a nil slice an empty one, which JSON writes as [].
func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
