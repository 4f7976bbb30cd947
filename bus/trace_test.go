package bus

import (
	"context"
	"log/slog"
	"testing"

	"concord/trace"

	"github.com/nats-io/nats.go"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func tracer(t *testing.T) (*trace.Tracer, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	tr, err := trace.New(trace.Config{Provider: sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithIDGenerator(trace.IDs{})), Queries: 1})
	if err != nil {
		t.Fatal(err)
	}
	return tr, spans
}

// A question that is recorded is recorded where it is answered, in the same trace, under the asking.
func TestTraceTravels(t *testing.T) {
	url := operatorServer(t, nil)
	tracers, recorded := map[string]*trace.Tracer{}, map[string]*tracetest.InMemoryExporter{}
	buses := map[string]*Bus{}
	for _, name := range []string{"node-1", "node-2"} {
		tracers[name], recorded[name] = tracer(t)
		b, err := Open(t.Context(), Config{URL: url, NodeName: name, Replicas: 1, Trace: tracers[name], Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		buses[name] = b
	}
	work := func(ctx context.Context, _ []byte) ([]byte, error) {
		_, span := trace.Start(ctx, "work")
		defer span.End(nil)
		return []byte(trace.Header(ctx)), nil
	}
	defer serve(t, buses["node-2"], "work", work)()

	if got, err := buses["node-1"].Ask(t.Context(), "node-2", "work", nil); err != nil || len(got) != 0 {
		t.Fatalf("under no trace: %q, %v", got, err)
	}
	if n := len(recorded["node-1"].GetSpans()) + len(recorded["node-2"].GetSpans()); n != 0 {
		t.Fatalf("%d spans of what is not recorded", n)
	}
	for _, header := range []string{"", "x", "00-00000000000000000000000000000000-0000000000000000-01"} { // of a node that is not well
		msg := &nats.Msg{Subject: nodeSubject("node-2", "work"), Header: nats.Header{trace.HeaderName: {header}}}
		if _, err := buses["node-1"].conn.RequestMsgWithContext(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(recorded["node-2"].GetSpans()); n != 0 {
		t.Fatalf("%d spans under no header", n)
	}

	ctx, query := tracers["node-1"].Request(t.Context(), "query", "", true)
	if _, err := buses["node-1"].Ask(ctx, "node-2", "work", nil); err != nil {
		t.Fatal(err)
	}
	query.End(nil)
	here, there := recorded["node-1"].GetSpans(), recorded["node-2"].GetSpans()
	if len(here) != 2 || len(there) != 2 {
		t.Fatalf("%d spans of who asks, %d of who answers", len(here), len(there))
	}
	chain := []tracetest.SpanStub{here[1], here[0], there[1], there[0]}
	for i, name := range []string{"query", "ask node-2 for work", "serve work", "work"} {
		s := chain[i]
		if s.Name != name || s.SpanContext.TraceID() != here[1].SpanContext.TraceID() || i > 0 && s.Parent.SpanID() != chain[i-1].SpanContext.SpanID() {
			t.Errorf("%d: %q under %s", i, s.Name, s.Parent.SpanID())
		}
	}
}
