package node

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"concord/trace"

	otlppb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const tracesVar = "CONCORD_TEST_TRACES"

// traceCollector is an OTLP collector that remembers everything.
type traceCollector struct {
	*httptest.Server
	mu    sync.Mutex
	spans map[string][]*tracepb.Span // by trace
	from  map[string]bool            // names of nodes
}

func newTraceCollector(t *testing.T) *traceCollector {
	c := &traceCollector{spans: map[string][]*tracepb.Span{}, from: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req otlppb.ExportTraceServiceRequest
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(body, &req)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rs := range req.ResourceSpans {
			for _, kv := range rs.Resource.Attributes {
				if kv.Key == "concord.node" {
					c.from[kv.Value.GetStringValue()] = true
				}
			}
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					c.spans[string(s.TraceId)] = append(c.spans[string(s.TraceId)], s)
				}
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

// names returns how often each span is in a trace.
func (c *traceCollector) names(id string) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]int{}
	for _, s := range c.spans[id] {
		names[s.Name]++
	}
	return names
}

// A node sends what it did: the whole life of each page, and the queries, those that it is asked at its end included.
func TestTraces(t *testing.T) {
	t.Parallel()
	c, s := newTraceCollector(t), newSite(t, 4, 0)
	p := start(t, shortDir(t), tracesVar+"="+c.URL)
	p.await(p.crawl(s.URL + "/"))
	p.attested()
	p.search("token1")
	req, err := http.NewRequestWithContext(t.Context(), "GET", p.addr+"/api/v1/search?"+url.Values{"q": {"token2"}}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const given = "0af7651916cd43dd8448eb211c80319c"
	req.Header.Set(trace.HeaderName, "00-"+given+"-b7ad6b7169203331-01")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if back := resp.Header.Get(trace.HeaderName); !strings.HasPrefix(back, "00-"+given+"-") {
		t.Errorf("the answer says %q", back)
	}
	hits := p.search("token3")
	p.stop()

	if len(hits) != 1 || len(c.from) != 1 {
		t.Fatalf("%d hits, spans of %d nodes", len(hits), len(c.from))
	}
	id, _ := trace.PageIDs(hits[0].Capture)
	life := c.names(string(id[:]))
	for _, stage := range []string{trace.Life, trace.Queued, trace.Fetched, trace.Read, trace.Archived, trace.Announce, trace.Applied, trace.Commit, trace.Attested, trace.Covered} {
		if life[stage] != 1 {
			t.Errorf("%s: %d times", stage, life[stage])
		}
	}
	if len(life) != 10 {
		t.Errorf("the life of a page: %v", life)
	}
	var query []byte
	for i := range 16 {
		query = append(query, unhex(given[2*i])<<4|unhex(given[2*i+1]))
	}
	names := c.names(string(query))
	for name, want := range map[string]int{"GET /api/v1/search": 1, "statistics": 1, "places": 1, "documents": 1, "shard": 5, "score": 2, "snippets": 1} {
		if names[name] != want {
			t.Errorf("%d times %q in the trace of a query, want %d: %v", names[name], name, want, names)
		}
	}
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// A collector that is not there, or that says no, costs neither answers nor a slow end, and is told once.
func TestTracesGoNowhere(t *testing.T) {
	t.Parallel()
	no := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	t.Cleanup(no.Close)
	for _, endpoint := range []string{"http://127.0.0.1:9", no.URL} {
		p := start(t, shortDir(t), tracesVar+"="+endpoint)
		p.search("anything")
		if endpoint == no.URL {
			for deadline := time.Now().Add(10 * time.Second); !strings.Contains(p.says(), "traces are dropped"); time.Sleep(50 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("it is not told:\n%s", p.says())
				}
			}
		}
		p.search("anything")
		if words := p.traces(); !strings.HasPrefix(words, "100 % of pages and 100 % of queries to "+endpoint) || strings.HasSuffix(words, "dropped") != (endpoint == no.URL) {
			t.Errorf("status: %q", words)
		}
		p.stop()
		if n := strings.Count(p.says(), "traces are dropped"); n > 1 {
			t.Errorf("told %d times", n)
		}
	}
}

// traces is what the node's status says of them to its owner.
func (p *process) traces() string {
	p.t.Helper()
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(p.dir, SocketName))
	}}}
	defer c.CloseIdleConnections()
	resp, err := c.Get("http://node/api/v1/status")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var st struct{ Traces string }
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		p.t.Fatal(err)
	}
	return st.Traces
}

func TestTracesConfig(t *testing.T) {
	for _, bad := range []Config{{Traces: "127.0.0.1:4318"}, {Traces: "grpc://a:4317"}, {Traces: "http://"}, {Traces: "http://a?b=c"}, {Traces: "http://me:secret@a"}, {TracesPages: 2}, {TracesQueries: -1}} {
		if err := bad.validateTraces(); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
