package shard

import (
	"testing"

	"concord/trace"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A capture is recorded once when a copy has committed it, and not again when the copy starts anew.
func TestTrace(t *testing.T) {
	f := newFixture(t)
	spans := tracetest.NewInMemoryExporter()
	var err error
	f.cfg.Node = "n2"
	f.cfg.Trace, err = trace.New(trace.Config{Provider: sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithIDGenerator(trace.IDs{})), Pages: 1})
	if err != nil {
		t.Fatal(err)
	}
	f.reopen()
	page, gone := event("https://a.example/", "title", "", 200, 1), event("https://a.example/x", "", "status 404", 404, 2)
	f.wait(f.send(page, gone))
	f.reopen()
	f.wait(f.send(event("https://a.example/y", "more", "", 200, 3)))
	f.stop()
	for _, id := range []string{page.Capture.ID, gone.Capture.ID} {
		want, life := trace.PageIDs(id)
		var names []string
		for _, s := range spans.GetSpans() {
			if s.SpanContext.TraceID() != want {
				continue
			}
			names = append(names, s.Name)
			if s.Parent.SpanID() != life || s.EndTime.Before(s.StartTime) || s.Attributes[0].Value.AsString() != "shard 0 on n2" {
				t.Errorf("%+v", s)
			}
		}
		if len(names) != 2 || names[0] != trace.Applied || names[1] != trace.Commit {
			t.Errorf("%s: %q", id, names)
		}
	}
}
