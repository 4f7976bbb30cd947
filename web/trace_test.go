package web

import (
	"net/http/httptest"
	"strings"
	"testing"

	"concord/trace"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A search goes on with the trace of its caller and names it in its answer. Other requests are in no trace, and strangers do not decide.
func TestTrace(t *testing.T) {
	const given, hostile = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX: y"
	for _, c := range []struct {
		name, path, header, from string
		share                    float64
		spans                    int
		goesOn                   bool
	}{
		{"the API", "/api/v1/search?q=receipt", given, "127.0.0.1:5", 0, 1, true},
		{"a page", "/search?q=receipt", given, "127.0.0.1:5", 0, 1, true},
		{"another page", "/status", given, "127.0.0.1:5", 1, 0, false},
		{"one of its own", "/search?q=receipt", "", "127.0.0.1:5", 1, 1, false},
		{"none", "/search?q=receipt", "", "127.0.0.1:5", 0, 0, false},
		{"a stranger's, not chosen", "/search?q=receipt", given, "203.0.113.9:5", 0, 0, false},
		{"a stranger's, chosen", "/search?q=receipt", given, "203.0.113.9:5", 1, 1, true},
		{"no header", "/search?q=receipt", hostile, "127.0.0.1:5", 0, 0, false},
		{"no header, chosen", "/search?q=receipt", strings.Repeat("0", 1<<14), "127.0.0.1:5", 1, 1, false},
	} {
		spans := tracetest.NewInMemoryExporter()
		cfg := newLibrary().config()
		var err error
		cfg.Trace, err = trace.New(trace.Config{Provider: sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithIDGenerator(trace.IDs{})), Queries: c.share})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		r, w := httptest.NewRequest("GET", c.path, nil), httptest.NewRecorder()
		r.Host, r.RemoteAddr = "127.0.0.1:7667", c.from
		r.Header.Set(trace.HeaderName, c.header)
		s.Handler().ServeHTTP(w, r)
		list, said := spans.GetSpans(), w.Result().Header.Get(trace.HeaderName)
		if w.Code != 200 || len(list) != c.spans || (said != "") != (c.spans > 0) {
			t.Errorf("%s: status %d, %d spans, answer says %q", c.name, w.Code, len(list), said)
			continue
		}
		if c.spans == 0 {
			continue
		}
		got := list[0]
		if goesOn := got.SpanContext.TraceID().String() == given[3:35] && got.Parent.SpanID().String() == given[36:52]; goesOn != c.goesOn {
			t.Errorf("%s: trace %s under %s", c.name, got.SpanContext.TraceID(), got.Parent.SpanID())
		}
		if !strings.Contains(said, got.SpanContext.TraceID().String()) || strings.Contains(got.Name, "receipt") {
			t.Errorf("%s: %q says %q", c.name, got.Name, said)
		}
		if !strings.Contains(metricsOf(t, s), `route="GET `+strings.SplitN(c.path, "?", 2)[0]+`"`) {
			t.Errorf("%s: not counted under its route", c.name)
		}
	}
}

func metricsOf(t *testing.T, s *Server) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.SocketHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}
