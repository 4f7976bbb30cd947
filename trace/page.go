package trace

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// Stages of a page's life, in the order in which they usually end. Each is a span under one of the whole fetch, Life.
const (
	Life     = "page"               // from discovery until it is announced; the others go on under it
	Queued   = "queued"             // from discovery, or from when it was due again, to the request
	Fetched  = "fetched"            // the request
	Read     = "read"               // text and links are taken out; it waits for others to share its syncs
	Archived = "archived"           // its records are made durable, with Copied where there are blobs
	Copied   = "copied to blobs"    // they are no longer on one machine alone
	Announce = "announced"          // it is in the captures log, and its links in the frontier log
	Applied  = "applied to shard"   // it waits for its commit in a copy of its shard
	Commit   = "searchable"         // the commit after which that copy has it
	Attested = "attested"           // from its arrival at the attestor to the signed batch on its disk
	Covered  = "under a checkpoint" // the batch is submitted, until a signed checkpoint covers it
)

// Page is the trace of one capture. Nil records nothing.
type Page struct {
	t       *Tracer
	capture string
	id      oteltrace.TraceID
	life    oteltrace.SpanID
}

// Page returns the trace of a capture; nil when its life is not recorded. All nodes with the same share choose the same captures.
func (t *Tracer) Page(capture string) *Page {
	if t == nil || t.pages == 0 || capture == "" {
		return nil
	}
	id, life := PageIDs(capture)
	if !chosen(binary.BigEndian.Uint64(id[8:]), t.pages) {
		return nil
	}
	return &Page{t, capture, id, life}
}

// PageIDs returns the names of a capture's trace and of its span Life: the first 16 and the next 8 bytes of the SHA-256 of the capture's ID.
func PageIDs(capture string) (id oteltrace.TraceID, life oteltrace.SpanID) {
	sum := sha256.Sum256([]byte(capture))
	copy(id[:], sum[:16])
	copy(life[:], sum[16:24])
	return id, life
}

// Life records the span that the stages are under. It is recorded where the page was fetched.
func (p *Page) Life(url string, from, to time.Time) {
	if p != nil {
		p.record(context.Background(), span{p.id, p.life}, Life, from, to, attribute.String("url", url))
	}
}

// Stage records a stage that is over. where tells stages of the same name apart, as those of a shard's copies; it may be empty.
func (p *Page) Stage(name, where string, from, to time.Time) {
	if p == nil {
		return
	}
	life := oteltrace.NewSpanContext(oteltrace.SpanContextConfig{TraceID: p.id, SpanID: p.life, TraceFlags: oteltrace.FlagsSampled, Remote: true})
	s := span{id: p.id}
	sum := sha256.Sum256([]byte(p.capture + "\x00" + name + "\x00" + where))
	copy(s.span[:], sum[:8])
	var more []attribute.KeyValue
	if where != "" {
		more = append(more, attribute.String("where", where))
	}
	p.record(oteltrace.ContextWithRemoteSpanContext(context.Background(), life), s, name, from, to, more...)
}

func (p *Page) record(ctx context.Context, s span, name string, from, to time.Time, more ...attribute.KeyValue) {
	if to.Before(from) {
		to = from // a clock was set back
	}
	_, rec := p.t.tracer.Start(context.WithValue(ctx, spanKey{}, s), name, oteltrace.WithTimestamp(from),
		oteltrace.WithAttributes(append(more, attribute.String("capture", p.capture))...))
	rec.End(oteltrace.WithTimestamp(to))
}

// span names a span whose name is computed.
type span struct {
	id   oteltrace.TraceID
	span oteltrace.SpanID
}

type spanKey struct{}

// IDs names spans: those of pages as computed, all others by chance. A provider for New must use it as its ID generator.
type IDs struct{}

// NewIDs names a span that begins a trace.
func (IDs) NewIDs(ctx context.Context) (id oteltrace.TraceID, _ oteltrace.SpanID) {
	if s, ok := ctx.Value(spanKey{}).(span); ok {
		return s.id, s.span
	}
	binary.BigEndian.PutUint64(id[:8], random())
	binary.BigEndian.PutUint64(id[8:], random())
	return id, randomSpan()
}

// NewSpanID names a span of a trace.
func (IDs) NewSpanID(ctx context.Context, _ oteltrace.TraceID) oteltrace.SpanID {
	if s, ok := ctx.Value(spanKey{}).(span); ok {
		return s.span
	}
	return randomSpan()
}

func randomSpan() (s oteltrace.SpanID) {
	binary.BigEndian.PutUint64(s[:], random())
	return s
}

// random is any number but 0, which is no name. Names of traces are no secrets.
func random() uint64 { return max(1, rand.Uint64()) }
