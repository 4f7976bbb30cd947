// Package otlp answers "how do spans reach the operator's collector?": by OTLP over HTTP, in batches, in the background. It is the only place
// that knows OpenTelemetry's SDK.
//
// What a collector cannot take is dropped, with one line in the log when it begins and one when it is over: recording never waits for it.
package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"concord"
	"concord/trace"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
)

const (
	// tracesPath is where collectors take traces, after the address that is given for all of OTLP.
	tracesPath = "/v1/traces"
	// batchEvery is how long a span waits for others to be sent with.
	batchEvery = 2 * time.Second
	// maxQueued bounds the spans that wait, some 1 KiB each; more are dropped.
	maxQueued = 4096
	// retryFor is how long a batch is tried while the collector is away. Then it is dropped, and so is what did not fit into the queue.
	retryFor = 20 * time.Second
	// closeTime bounds the sending of what waits at the end.
	closeTime = 500 * time.Millisecond
)

// Config says where spans go, and whose they are.
type Config struct {
	// Endpoint is the collector: "http://127.0.0.1:4318", or with a path exactly where traces go. Headers, time-out, compression and
	// certificates are those of OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_HEADERS and so on).
	Endpoint string
	Node     string // name of this node
	Operator string
	Logger   *slog.Logger
}

// CheckEndpoint refuses what is no address of a collector. Errors: Invalid.
func CheckEndpoint(endpoint string) error {
	_, err := tracesURL(endpoint)
	return err
}

func tracesURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
		return "", concord.Errorf(concord.Invalid, "traces: %q is no address of a collector; write http://HOST:4318 or https://…, without a name and password", concord.Clip(redacted(u), 200))
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = tracesPath
	}
	return u.String(), nil
}

// redacted hides a password, and all of what cannot be read, which may hold one.
func redacted(u *url.URL) string {
	if u == nil {
		return "what is given"
	}
	return u.Redacted()
}

// Provider takes spans and sends them. Close ends it.
type Provider struct {
	*sdk.TracerProvider
	told *told
}

var _ oteltrace.TracerProvider = Provider{}

// Open starts the sending. Nothing is sent before there are spans; a collector that is not there is no error. Errors: Invalid.
func Open(ctx context.Context, cfg Config) (Provider, error) {
	at, err := tracesURL(cfg.Endpoint)
	if err != nil {
		return Provider{}, err
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(at),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: retryFor}))
	if err != nil {
		return Provider{}, concord.Errorf(concord.Invalid, "traces to %s: %w", at, err)
	}
	res, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "concord"), attribute.String("service.version", concord.Version),
		attribute.String("service.instance.id", cfg.Node), attribute.String("concord.node", cfg.Node), attribute.String("concord.operator", cfg.Operator)),
		resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil && res == nil {
		return Provider{}, fmt.Errorf("describe this node for its traces: %w", err)
	}
	out := &told{SpanExporter: exporter, at: at, log: cfg.Logger}
	return Provider{sdk.NewTracerProvider(sdk.WithSampler(sdk.AlwaysSample()), sdk.WithIDGenerator(trace.IDs{}), sdk.WithResource(res),
		sdk.WithBatcher(out, sdk.WithBatchTimeout(batchEvery), sdk.WithMaxQueueSize(maxQueued))), out}, nil
}

// Collector is the address that traces are sent to.
func (p Provider) Collector() string { return p.told.at }

// Failing reports whether the collector did not take what was sent last.
func (p Provider) Failing() bool { return p.told.failing.Load() }

// Close sends what waits, within a moment.
func (p Provider) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_ = p.Shutdown(ctx) // what cannot be sent is dropped
}

// told is an exporter whose failures are told in the log of the node, once each time they begin.
type told struct {
	sdk.SpanExporter
	at      string
	log     *slog.Logger
	failing atomic.Bool
}

// ExportSpans sends spans. Its error is nil: it was told.
func (t *told) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := t.SpanExporter.ExportSpans(ctx, spans)
	if failed := err != nil; t.failing.Swap(failed) != failed {
		if failed {
			t.log.Warn("traces are dropped: the collector does not take them", "collector", t.at, "error", err)
		} else {
			t.log.Info("the collector takes traces again", "collector", t.at)
		}
	}
	return nil
}
