package attest

import (
	"testing"
	"time"

	"concord/trace"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestTrace(t *testing.T) {
	dir, log := t.TempDir(), newMemoryLog()
	c := startChain(t, dir)
	spans := tracetest.NewInMemoryExporter()
	tr, err := trace.New(trace.Config{Provider: sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithIDGenerator(trace.IDs{})), Pages: 1})
	if err != nil {
		t.Fatal(err)
	}
	a := startAttestor(t, dir, log, c, 10*time.Millisecond, 100, func(cfg *Config) { cfg.Trace = tr })
	appendCaptures(t, log, 0, 5)
	appendCaptures(t, log, 3, 5) // announced again
	for i := range 5 {
		await(t, a.Attestor, capture(i).ID)
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		id, life := trace.PageIDs(capture(i).ID)
		var list []tracetest.SpanStub
		for _, s := range spans.GetSpans() {
			if s.SpanContext.TraceID() == id && s.Parent.SpanID() == life {
				list = append(list, s)
			}
		}
		if len(list) != 2 || list[0].Name != trace.Attested || list[1].Name != trace.Covered || list[1].StartTime.Before(list[0].EndTime) || !list[1].EndTime.After(list[1].StartTime) {
			t.Errorf("capture %d: %+v", i, list)
		}
	}
}
