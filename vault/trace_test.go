package vault

import (
	"testing"

	"concord/trace"
	"concord/warc"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A capture is recorded once its copy is in the blobs; other records are nobody's life.
func TestTrace(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tr, err := trace.New(trace.Config{Provider: sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithIDGenerator(trace.IDs{})), Pages: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, t.TempDir(), newStore(t), options{tracer: tr})
	response := page("https://a.example/")
	response.Header[0].Value = warc.TypeResponse
	if _, err := n.Append([][]warc.Record{{response, record(1, 10)}, {record(2, 10)}}); err != nil {
		t.Fatal(err)
	}
	list := spans.GetSpans()
	want, life := trace.PageIDs(response.ID())
	if len(list) != 1 || list[0].Name != trace.Copied || list[0].SpanContext.TraceID() != want || list[0].Parent.SpanID() != life || !list[0].EndTime.After(list[0].StartTime) {
		t.Errorf("%+v", list)
	}
}
