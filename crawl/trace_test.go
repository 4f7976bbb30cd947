package crawl

import (
	"net/http"
	"testing"
	"time"

	"concord"
	"concord/trace"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Each fetch, the robots.txt and the redirect included, is a life with each stage of this package once, one after the other.
func TestTrace(t *testing.T) {
	s := newSite(t)
	s.html("/", "words of the first page, enough of them to be read", "/b", "/c")
	s.html("/b", "other words of the second page that are not like the first at all")
	s.handle("/c", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/b", http.StatusFound) })
	spans := tracetest.NewInMemoryExporter()
	r := newRig(t, func(c *Config) {
		var err error
		c.Trace, err = trace.New(trace.Config{Provider: sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithIDGenerator(trace.IDs{})), Pages: 1})
		if err != nil {
			t.Fatal(err)
		}
	})
	before := time.Now().Add(-time.Second)
	r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/"}})

	lives := map[string]map[string]tracetest.SpanStub{}
	for _, x := range spans.GetSpans() {
		id := x.SpanContext.TraceID().String()
		if lives[id] == nil {
			lives[id] = map[string]tracetest.SpanStub{}
		}
		if _, twice := lives[id][x.Name]; twice {
			t.Errorf("%s twice", x.Name)
		}
		lives[id][x.Name] = x
	}
	captures := 0
	for _, e := range r.captures.events() {
		if e.Capture == nil {
			continue
		}
		captures++
		id, _ := trace.PageIDs(e.Capture.ID)
		life := lives[id.String()]
		if len(life) != 6 {
			t.Errorf("%s: %d spans", e.Capture.URL, len(life))
			continue
		}
		at := life[trace.Life].StartTime
		if at.Before(before) {
			t.Errorf("%s: begins at %v", e.Capture.URL, at)
		}
		for _, name := range []string{trace.Queued, trace.Fetched, trace.Read, trace.Archived, trace.Announce} {
			x, ok := life[name]
			if !ok || x.Parent.SpanID() != life[trace.Life].SpanContext.SpanID() || x.StartTime.Before(at) && name != trace.Read && name != trace.Archived || x.EndTime.Before(x.StartTime) {
				t.Errorf("%s: %s %v: from %v to %v", e.Capture.URL, name, ok, x.StartTime.Sub(at), x.EndTime.Sub(at))
			}
			at = x.StartTime
		}
	}
	if captures < 4 || len(lives) != captures {
		t.Errorf("%d captures, %d lives", captures, len(lives))
	}
}
