package web

import (
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Server answers HTTP requests about one node. It is safe for concurrent use and starts nothing by itself.
type Server struct {
	cfg      Config
	pages    map[string]*template.Template
	static   *static
	manual   *manual
	openapi  *huma.OpenAPI
	meters   *meters
	origins  *http.CrossOriginProtection
	handler  http.Handler // all routes, without the checks that depend on how the request came in
	sessions *sessions
	searches *limiter
	tiles    *limiter
	signIns  *limiter
	streams  chan struct{} // one place a stream of events

	closed    chan struct{} // closed by Close: streams end
	closeOnce sync.Once
}

// New checks the configuration and builds the handlers.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, meters: newMeters(), origins: http.NewCrossOriginProtection(), sessions: newSessions(),
		searches: newLimiter(cfg.SearchRate, cfg.SearchBurst), tiles: newLimiter(tileRate, tileBurst), signIns: newLimiter(signInRate, signInBurst),
		streams: make(chan struct{}, maxStreams), closed: make(chan struct{})}
	var err error
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	if s.static, err = newStatic(); err != nil {
		return nil, err
	}
	if s.manual, err = loadManual(cfg.Manual); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	s.routes(mux)
	s.handler = s.route(mux)
	return s, nil
}

// Handler serves TCP: reading is free, writing needs the API key or a session.
func (s *Server) Handler() http.Handler { return s.guard(false, s.handler) }

// SocketHandler serves the Unix socket: whoever can open it may write, so there is no key and no Host check.
func (s *Server) SocketHandler() http.Handler { return s.guard(true, s.handler) }

// Close ends all streams (live events), so that a graceful shutdown does not wait for them. Requests go on being served.
func (s *Server) Close() { s.closeOnce.Do(func() { close(s.closed) }) }

// Bounds of one connection. Handlers that stream (events, import, export, downloads) move their own deadlines.
const (
	headerTimeout  = 10 * time.Second
	readTimeout    = 30 * time.Second // headers and a body of at most maxBody
	writeTimeout   = 60 * time.Second // the slowest page, to a slow client
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

// HTTPServer returns an http.Server for a handler of s, with time bounds. Its Shutdown ends the streams first.
func (s *Server) HTTPServer(h http.Handler) *http.Server {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
	srv.RegisterOnShutdown(s.Close)
	return srv
}
