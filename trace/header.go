package trace

import (
	"context"
	"encoding/hex"

	oteltrace "go.opentelemetry.io/otel/trace"
)

// HeaderName is the field in which a span travels, in requests over HTTP and between nodes.
const HeaderName = "traceparent"

// Header returns the span of ctx as it travels (W3C Trace Context, section 3.2); empty: none is recorded.
//
//	00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
func Header(ctx context.Context) string {
	span := oteltrace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return ""
	}
	c := span.SpanContext()
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-01"
}

const (
	headerBytes = 55 // of version 00; later versions may have more after another '-'
	// maxHeaderBytes bounds what is looked at.
	maxHeaderBytes = 512
)

// parse reads a traceparent. What is not exactly as the standard says counts as absent, as the standard wants it.
func parse(s string) (c oteltrace.SpanContext, ok bool) {
	if len(s) < headerBytes || len(s) > maxHeaderBytes || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return c, false
	}
	var version, flags [1]byte
	var id oteltrace.TraceID
	var span oteltrace.SpanID
	if !lowerHex(version[:], s[:2]) || !lowerHex(id[:], s[3:35]) || !lowerHex(span[:], s[36:52]) || !lowerHex(flags[:], s[53:55]) {
		return c, false
	}
	if version[0] == 0xff || len(s) > headerBytes && (version[0] == 0 || s[headerBytes] != '-') || !id.IsValid() || !span.IsValid() {
		return c, false
	}
	return oteltrace.NewSpanContext(oteltrace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: oteltrace.TraceFlags(flags[0]) & oteltrace.FlagsSampled, Remote: true}), true
}

// lowerHex decodes hexadecimal digits, capitals not allowed.
func lowerHex(to []byte, s string) bool {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(to, []byte(s))
	return err == nil
}
