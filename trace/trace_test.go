package trace

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"concord"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func recorder(t testing.TB, pages, queries float64) (*Tracer, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	tr, err := New(Config{Provider: sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithIDGenerator(IDs{})), Pages: pages, Queries: queries})
	if err != nil {
		t.Fatal(err)
	}
	return tr, spans
}

const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		header      string
		ok, sampled bool
	}{
		{good, true, true},
		{strings.TrimSuffix(good, "01") + "00", true, false},
		{strings.TrimSuffix(good, "01") + "02", true, false}, // random-trace-id of level 2
		{strings.TrimSuffix(good, "01") + "ff", true, true},
		{"cc" + good[2:], true, true},            // a later version
		{"cc" + good[2:] + "-more", true, true},  // may have more
		{"cc" + good[2:] + "more", false, false}, // after a '-'
		{good + "-more", false, false},
		{"ff" + good[2:], false, false},
		{"", false, false},
		{good[:54], false, false},
		{" " + good, false, false},
		{strings.ToUpper(good), false, false},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01", false, false},
		{"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false, false},
		{"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01", false, false},
		{"00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01", false, false},
		{"cc" + good[2:] + "-" + strings.Repeat("x", 1<<20), false, false},
		{strings.Repeat("\x00", 55), false, false},
	} {
		got, ok := parse(c.header)
		if ok != c.ok || got.IsSampled() != c.sampled {
			t.Errorf("%.80q: %v, sampled %v", c.header, ok, got.IsSampled())
		}
	}
	tr, _ := recorder(t, 1, 1)
	ctx, span := tr.Request(t.Context(), "x", good, true)
	defer span.End(nil)
	back, ok := parse(Header(ctx))
	if !ok || !back.IsSampled() || back.TraceID().String() != good[3:35] || back.SpanID().String() == good[36:52] {
		t.Errorf("goes on as %q", Header(ctx))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("cc" + good[2:] + "-more")
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parse(s)
		if ok && (!c.IsValid() || !strings.Contains(s, c.TraceID().String()) || !strings.Contains(s, c.SpanID().String())) {
			t.Errorf("%q was read as %v", s, c)
		}
	})
}

// Who is trusted decides for its own traces; strangers do not, and what is no header counts as none.
func TestWhoDecides(t *testing.T) {
	off := strings.TrimSuffix(good, "01") + "00"
	for _, c := range []struct {
		header  string
		trusted bool
		share   float64
		want    bool
		goesOn  bool
	}{
		{"", true, 1, true, false}, {"", true, 0, false, false},
		{good, true, 0, true, true}, {off, true, 1, false, false},
		{good, false, 0, false, false}, {good, false, 1, true, true}, {off, false, 1, true, true},
		{"00-" + strings.Repeat("z", 52), true, 0, false, false}, {"00-" + strings.Repeat("z", 52), true, 1, true, false},
	} {
		tr, spans := recorder(t, 0, c.share)
		ctx, span := tr.Request(t.Context(), "query", c.header, c.trusted)
		span.End(nil)
		list := spans.GetSpans()
		if len(list) == 1 != c.want || span.On() != c.want || Header(ctx) != "" && !c.want {
			t.Errorf("%+v: %d spans", c, len(list))
		}
		if c.want && (list[0].SpanContext.TraceID().String() == good[3:35]) != c.goesOn {
			t.Errorf("%+v: trace %s", c, list[0].SpanContext.TraceID())
		}
	}
}

func TestNothingIsRecordedWhenOff(t *testing.T) {
	var tr *Tracer
	ctx, span := tr.Request(t.Context(), "x", good, true)
	if span.On() || ctx != t.Context() || Header(ctx) != "" {
		t.Error("a nil tracer begins a trace")
	}
	ctx, span = tr.Remote(ctx, "x", good)
	if span.On() || ctx != t.Context() {
		t.Error("a nil tracer goes on with a trace")
	}
	ctx, span = Start(ctx, "x")
	span.Set("a", "b")
	span.SetInt("a", 1)
	span.End(errors.New("x"))
	if span.On() || ctx != t.Context() {
		t.Error("a span under nothing")
	}
	p := tr.Page("capture")
	p.Life("https://a.example/", time.Now(), time.Now())
	p.Stage(Fetched, "", time.Now(), time.Now())
	if p != nil {
		t.Error("a nil tracer has pages")
	}
	if n := testing.AllocsPerRun(100, func() {
		ctx, span := Start(t.Context(), "x")
		span.SetInt("a", 1)
		span.End(nil)
		if tr.Page("capture") != nil || Header(ctx) != "" {
			t.Error("something")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	rec, spans := recorder(t, 1, 1)
	if _, span := rec.Remote(t.Context(), "x", strings.TrimSuffix(good, "01")+"00"); span.On() || len(spans.GetSpans()) != 0 {
		t.Error("what is not recorded there is recorded here")
	}
}

// Two nodes choose the same pages and give the spans of one the same trace, whatever they know of each other.
func TestPagesOfTwoNodes(t *testing.T) {
	a, spansA := recorder(t, 0.25, 1)
	b, spansB := recorder(t, 0.25, 1)
	now, count := time.Unix(1_800_000_000, 0), 0
	for i := range 4000 {
		id := fmt.Sprintf("capture-%d", i)
		pa, pb := a.Page(id), b.Page(id)
		if (pa == nil) != (pb == nil) {
			t.Fatalf("%s is chosen by one", id)
		}
		if pa != nil {
			count++
		}
		pa.Life("https://a.example/", now, now.Add(time.Second))
		pa.Stage(Fetched, "", now, now.Add(time.Second))
		for range 2 { // applied again after a crash
			pb.Stage(Commit, "shard 1 on b", now.Add(time.Second), now) // and its clock set back
		}
	}
	if count < 800 || count > 1200 {
		t.Errorf("a quarter of 4000 is %d", count)
	}
	all := append(spansA.GetSpans(), spansB.GetSpans()...)
	if len(all) != 4*count {
		t.Fatalf("%d spans of %d pages", len(all), count)
	}
	byID := map[string]int{}
	for _, s := range all {
		byID[s.SpanContext.TraceID().String()+s.SpanContext.SpanID().String()]++
		capture := ""
		for _, kv := range s.Attributes {
			if kv.Key == "capture" {
				capture = kv.Value.AsString()
			}
		}
		id, life := PageIDs(capture)
		isLife := s.Name == Life
		if s.SpanContext.TraceID() != id || s.EndTime.Before(s.StartTime) || isLife != (s.SpanContext.SpanID() == life) || !isLife && s.Parent.SpanID() != life || isLife && s.Parent.IsValid() {
			t.Fatalf("%s of %s: trace %s, span %s under %s", s.Name, capture, s.SpanContext.TraceID(), s.SpanContext.SpanID(), s.Parent.SpanID())
		}
	}
	if len(byID) != 3*count {
		t.Errorf("%d different spans of %d pages", len(byID), count)
	}
	for share, want := range map[float64]bool{0: false, 1: true} {
		tr, _ := recorder(t, share, 0)
		if (tr.Page("x") != nil) != want {
			t.Errorf("a share of %v", share)
		}
	}
}

func TestErrors(t *testing.T) {
	tr, spans := recorder(t, 0, 1)
	for _, c := range []struct {
		err  error
		code codes.Code
		says string
	}{
		{nil, codes.Unset, ""},
		{context.Canceled, codes.Unset, ""},
		{concord.Errorf(concord.Invalid, "the query \"secret\" is wrong"), codes.Unset, ""},
		{concord.Errorf(concord.Unavailable, "shard 3 is away"), codes.Error, "shard 3 is away"},
		{errors.New(strings.Repeat("x", 10_000)), codes.Error, strings.Repeat("x", 100)},
	} {
		spans.Reset()
		_, span := tr.Request(t.Context(), "x", "", true)
		span.End(c.err)
		s := spans.GetSpans()[0]
		if s.Status.Code != c.code || !strings.HasPrefix(s.Status.Description, c.says) || len(s.Status.Description) > maxErrorBytes+3 || strings.Contains(fmt.Sprint(s), "secret") {
			t.Errorf("%v: %+v", c.err, s.Status)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	p := sdk.NewTracerProvider()
	for _, c := range []Config{{}, {Provider: p, Pages: -0.1}, {Provider: p, Queries: 1.1}, {Provider: p, Pages: math.NaN()}} {
		if _, err := New(c); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func BenchmarkOff(b *testing.B) {
	ctx := context.WithValue(context.WithValue(b.Context(), spanKey{}, 1), scopeKey{}, 2)
	for b.Loop() {
		_, span := Start(ctx, "x")
		span.End(nil)
	}
}

type scopeKey struct{}

func BenchmarkOn(b *testing.B) {
	tr, err := New(Config{Provider: sdk.NewTracerProvider(sdk.WithIDGenerator(IDs{})), Queries: 1})
	if err != nil {
		b.Fatal(err)
	}
	ctx, root := tr.Request(b.Context(), "x", "", true)
	defer root.End(nil)
	b.ReportAllocs()
	for b.Loop() {
		_, span := Start(ctx, "x")
		span.End(nil)
	}
}
