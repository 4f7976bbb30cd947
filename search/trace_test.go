package search

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/index"
	"concord/trace"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func tracer(t testing.TB, to sdk.SpanExporter) *trace.Tracer {
	t.Helper()
	tr, err := trace.New(trace.Config{Provider: sdk.NewTracerProvider(sdk.WithSyncer(to), sdk.WithIDGenerator(trace.IDs{})), Queries: 1})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// paths lists spans as the names from the first of the trace to each, sorted.
func paths(t *testing.T, spans tracetest.SpanStubs) (list []string) {
	t.Helper()
	byID := map[string]tracetest.SpanStub{}
	for _, s := range spans {
		byID[s.SpanContext.SpanID().String()] = s
		if s.SpanContext.TraceID() != spans[0].SpanContext.TraceID() {
			t.Errorf("%s is in a trace of its own", s.Name)
		}
	}
	for _, s := range spans {
		path := label(s)
		for s.Parent.IsValid() {
			up, ok := byID[s.Parent.SpanID().String()]
			if !ok {
				t.Fatalf("%s is under something that is not there", path)
			}
			s, path = up, label(up)+" > "+path
		}
		list = append(list, path)
	}
	slices.Sort(list)
	return list
}

func label(s tracetest.SpanStub) string {
	l := s.Name
	for _, kv := range s.Attributes {
		l += fmt.Sprintf(" %s=%s", kv.Key, kv.Value.String())
	}
	return l
}

func TestTrace(t *testing.T) {
	here := New(write(t, index.Config{}, page("https://a.example/", "Rivers", "river bank")))
	there := New(write(t, index.Config{}, page("https://b.example/", "Rivers", "river")))
	defer here.Close()
	defer there.Close()
	copies, err := NewCopies(CopiesConfig{Name: "shard 1", Copies: func() []Copy {
		return []Copy{{"n2", broken{err: concord.Errorf(concord.Unavailable, "down")}}, {"n3", there}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	fan, err := NewFanout(FanoutConfig{Shards: []concord.Searcher{here, copies}})
	if err != nil {
		t.Fatal(err)
	}
	spans := tracetest.NewInMemoryExporter()
	ctx, query := tracer(t, spans).Request(t.Context(), "query", "", true)
	if a, err := fan.Search(ctx, concord.Request{Query: "river secretword OR river", Limit: 10}); err != nil || len(a.Hits) != 2 {
		t.Fatalf("%+v, %v", a, err)
	}
	query.End(nil)
	var b strings.Builder
	for _, p := range paths(t, spans.GetSpans()) {
		fmt.Fprintln(&b, p)
	}
	want := `query
query > documents
query > documents > shard shard=shard 0
query > documents > shard shard=shard 0 > parse and plan
query > documents > shard shard=shard 0 > snippets hits=1
query > documents > shard shard=shard 1
query > documents > shard shard=shard 1 > copy node=n3 asked=first
query > documents > shard shard=shard 1 > copy node=n3 asked=first > parse and plan
query > documents > shard shard=shard 1 > copy node=n3 asked=first > snippets hits=1
query > places
query > places > shard shard=shard 0
query > places > shard shard=shard 0 > parse and plan
query > places > shard shard=shard 0 > score total=1
query > places > shard shard=shard 1
query > places > shard shard=shard 1 > copy node=n3 asked=first
query > places > shard shard=shard 1 > copy node=n3 asked=first > parse and plan
query > places > shard shard=shard 1 > copy node=n3 asked=first > score total=1
query > statistics
query > statistics > shard shard=shard 0
query > statistics > shard shard=shard 1
query > statistics > shard shard=shard 1 > copy node=n2 asked=first
query > statistics > shard shard=shard 1 > copy node=n3 asked=failover
`
	if b.String() != want {
		t.Errorf("spans:\n%s", b.String())
	}
	if strings.Contains(fmt.Sprint(spans.GetSpans()), "secretword") {
		t.Error("the query is in the spans")
	}
	spans.Reset()
	if _, err := fan.Search(t.Context(), concord.Request{Query: "river", Limit: 10}); err != nil || len(spans.GetSpans()) != 0 {
		t.Errorf("%d spans of a query under no trace, %v", len(spans.GetSpans()), err)
	}
}

// BenchmarkTraced measures a query over four shards: under no trace, which is how it runs when traces are off, and recorded.
func BenchmarkTraced(b *testing.B) {
	var shards []concord.Searcher
	for i := range 4 {
		var docs []*index.Document
		for j := range 500 {
			docs = append(docs, page(fmt.Sprintf("https://s%d.example/%d", i, j), "Rivers", "river bank "+strings.Repeat("water ", j%50)))
		}
		s := New(write(b, index.Config{}, docs...))
		defer s.Close()
		shards = append(shards, s)
	}
	fan, err := NewFanout(FanoutConfig{Shards: shards, Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	run := func(b *testing.B, ctx context.Context) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := fan.Search(ctx, concord.Request{Query: "river water", Limit: 10}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("off", func(b *testing.B) { run(b, b.Context()) })
	b.Run("on", func(b *testing.B) {
		ctx, span := tracer(b, tracetest.NewNoopExporter()).Request(b.Context(), "query", "", true)
		defer span.End(nil)
		run(b, ctx)
	})
}
