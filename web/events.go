package web

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"concord"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	// maxStreams bounds the clients that follow the live events: each holds a connection and a channel.
	maxStreams = 64
	// heartbeat keeps proxies from closing a quiet stream, and finds out about clients that went away.
	heartbeat = 15 * time.Second
	// streamWrite is how long one write may take before the client counts as gone.
	streamWrite = 5 * time.Second
	// maxReplay bounds the past events a client can ask to begin with.
	maxReplay = 200
)

var eventType = reflect.TypeFor[concord.CrawlEvent]()

type eventsInput struct {
	Recent int    `query:"recent" minimum:"0" maximum:"200" default:"0" example:"20" doc:"Past events to begin with, oldest first."`
	Crawl  string `query:"crawl" maxLength:"64" example:"c-20261122-101500-7f3a" doc:"Only the events of this crawl."`
}

// eventsAPI registers the live events (Server-Sent Events, WHATWG HTML section 9.2).
func (s *Server) eventsAPI(api huma.API) {
	schema := api.OpenAPI().Components.Schemas.Schema(eventType, true, "CrawlEvent")
	register(s, api, call{example: "event: crawl\ndata: {\"time\":\"2026-11-22T10:15:00Z\",\"url\":\"" + exampleURL + "\",\"status\":200,\"note\":\"indexed\"}\n\n",
		Operation: huma.Operation{
			OperationID: "follow-events", Method: http.MethodGet, Path: "/events", Tags: []string{tagCrawl}, Summary: "Follow what the crawler does, live",
			Description: "Server-Sent Events: each event is named crawl and its data is one JSON object. A reader that is too slow loses events.",
			Responses: map[string]*huma.Response{"200": {Description: "A stream of events.", Content: map[string]*huma.MediaType{
				"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "Lines \"event: crawl\" and \"data: <CrawlEvent>\".",
					Extensions: map[string]any{"x-data": schema}}},
			}}},
		}}, func(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		return s.streaming(func(ctx context.Context, w http.ResponseWriter) { s.follow(ctx, w, in) })
	})
}

// follow sends what the crawler does.
func (s *Server) follow(ctx context.Context, w http.ResponseWriter, in *eventsInput) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := s.cfg.Crawls.Watch(ctx)
	first := ": concord crawl events\nretry: 3000\n\n"
	if in.Recent > 0 {
		past := s.cfg.Crawls.Recent(min(in.Recent, maxReplay))
		for i := len(past) - 1; i >= 0; i-- {
			first += eventText(&past[i], in.Crawl)
		}
	}
	stream(ctx, s, w, first, events, func(e concord.CrawlEvent) string { return eventText(&e, in.Crawl) })
}

// stream sends the texts of events, those that have one, until the client goes away, a write takes too long, the events end, or the
// server closes.
func stream[E any](ctx context.Context, s *Server, w http.ResponseWriter, first string, events <-chan E, text func(E) string) {
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	send := func(text string) bool {
		_ = rc.SetWriteDeadline(time.Now().Add(streamWrite)) // not every transport has deadlines; the write tells
		_, err := w.Write([]byte(text))
		return err == nil && rc.Flush() == nil
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for ok := send(first); ok; {
		select {
		case e, open := <-events:
			if !open {
				return
			}
			if t := text(e); t != "" {
				ok = send(t)
			}
		case <-tick.C:
			ok = send(": still here\n\n")
		case <-s.closed:
			return
		case <-ctx.Done():
			return
		}
	}
}

// streaming answers with a stream, if there is a place for one.
func (s *Server) streaming(run func(ctx context.Context, w http.ResponseWriter)) (*huma.StreamResponse, error) {
	select {
	case s.streams <- struct{}{}:
	default:
		return nil, concord.Errorf(concord.Unavailable, "too many clients follow the events already (%d)", maxStreams)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer func() { <-s.streams }()
		r, w := humago.Unwrap(hc)
		s.meters.streams.Inc()
		defer s.meters.streams.Dec()
		run(r.Context(), w)
	}}, nil
}

// eventText encodes one event; nothing when it is of another crawl than the one asked for.
func eventText(e *concord.CrawlEvent, crawl string) string {
	if crawl != "" && e.Crawl != crawl {
		return ""
	}
	data, err := json.Marshal(e)
	if err != nil {
		return "" // a time beyond year 9999: nothing a reader could use
	}
	return "event: crawl\ndata: " + string(data) + "\n\n"
}
