// Package trace answers "where did the time of this query, or of this page, go, on whichever machine?". It makes spans of OpenTelemetry and
// carries them between machines as W3C Trace Context says. With trace/otlp, which sends them away, it is the fence of OpenTelemetry.
//
// It is not for logs and not for counts, and nothing depends on it: what cannot be sent is dropped.
//
// Invariants:
//   - A nil Tracer records nothing, and so does every span under a context without one: that costs a look into the context, no allocation.
//   - The trace of a page is named by its capture: every node finds trace, chosen pages and the place of its own span by computing, so that
//     no message carries anything for it, and what is applied again after a crash has the same name again.
//   - Words of a query are in no span. Addresses of pages are.
package trace

import (
	"context"
	"errors"

	"concord"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// scope names this program's spans among those of others.
const scope = "concord"

// Config of a Tracer.
type Config struct {
	Provider oteltrace.TracerProvider // takes the spans; it must use IDs
	Pages    float64                  // share of the pages whose life is recorded, 0 to 1; the same on all nodes, or lives have gaps
	Queries  float64                  // share of the queries
}

// Tracer begins traces. A nil one records nothing. It is safe for concurrent use.
type Tracer struct {
	tracer         oteltrace.Tracer
	pages, queries uint64 // what is below is chosen
}

// New returns a Tracer. Errors: Invalid.
func New(cfg Config) (*Tracer, error) {
	if cfg.Provider == nil {
		return nil, concord.Errorf(concord.Invalid, "traces: nobody takes them")
	}
	for _, share := range []float64{cfg.Pages, cfg.Queries} {
		if err := CheckShare(share); err != nil {
			return nil, err
		}
	}
	return &Tracer{cfg.Provider.Tracer(scope), bound(cfg.Pages), bound(cfg.Queries)}, nil
}

// CheckShare refuses what is no share.
func CheckShare(share float64) error {
	if !(share >= 0 && share <= 1) {
		return concord.Errorf(concord.Invalid, "traces: a share of %v: want a number from 0 to 1", share)
	}
	return nil
}

// bound returns the number below which share of all 63-bit numbers lie.
func bound(share float64) uint64 { return uint64(share * (1 << 63)) }

// chosen decides by the second half of a trace's name, as samplers of OpenTelemetry do by a ratio.
func chosen(number, bound uint64) bool { return number>>1 < bound }

// Span is a piece of work that is recorded. The zero Span records nothing.
type Span struct{ span oteltrace.Span }

// On reports whether anything is recorded: what is costly to say need not be said otherwise.
func (s Span) On() bool { return s.span != nil }

// Set notes a property.
func (s Span) Set(key, value string) {
	if s.On() {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// SetInt notes a number.
func (s Span) SetInt(key string, value int) {
	if s.On() {
		s.span.SetAttributes(attribute.Int(key, value))
	}
}

// maxErrorBytes bounds what a span says of an error.
const maxErrorBytes = 300

// End ends the span, with the error that the work ended with. What the asker did wrong is no failure, and its text is not repeated: it may
// quote the query. Neither is that an answer was not wanted any more.
func (s Span) End(err error) {
	if !s.On() {
		return
	}
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled):
		s.span.SetAttributes(attribute.Bool("cancelled", true))
	case concord.KindOf(err) == concord.Invalid:
		s.span.SetAttributes(attribute.String("refused", concord.Invalid.String()))
	default:
		s.span.SetStatus(codes.Error, concord.Clip(err.Error(), maxErrorBytes))
	}
	s.span.End()
}

// Start begins a span under that of ctx. Where ctx has none, nothing is recorded and ctx comes back as it was.
func Start(ctx context.Context, name string) (context.Context, Span) {
	parent := oteltrace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name)
	return ctx, Span{span}
}

// Request begins the trace of a query, or goes on with that of the caller, if its traceparent names one. A trusted caller also decides
// whether it is recorded; for all others the share of the queries does, so that strangers cannot have everything recorded.
func (t *Tracer) Request(ctx context.Context, name, traceparent string, trusted bool) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	from, given := parse(traceparent)
	record := chosen(random(), t.queries)
	if given && trusted {
		record = from.IsSampled()
	}
	if !record {
		return ctx, Span{}
	}
	if given {
		ctx = oteltrace.ContextWithRemoteSpanContext(ctx, from.WithTraceFlags(oteltrace.FlagsSampled))
	}
	ctx, span := t.tracer.Start(ctx, name, oteltrace.WithSpanKind(oteltrace.SpanKindServer))
	return ctx, Span{span}
}

// Remote begins a span under one of another node, as Header wrote it there: it is recorded when that is.
func (t *Tracer) Remote(ctx context.Context, name, traceparent string) (context.Context, Span) {
	if t == nil || traceparent == "" {
		return ctx, Span{}
	}
	from, ok := parse(traceparent)
	if !ok || !from.IsSampled() {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(oteltrace.ContextWithRemoteSpanContext(ctx, from), name, oteltrace.WithSpanKind(oteltrace.SpanKindServer))
	return ctx, Span{span}
}
