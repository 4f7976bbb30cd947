package web

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Server answers HTTP requests about one node. It is safe for concurrent use and starts nothing by itself.
type Server struct {
	cfg     Config
	handler http.Handler // everything but the checks that depend on how the request came in

	closed    chan struct{} // closed by Close: streams end
	closeOnce sync.Once
}

// New checks the configuration and builds the handlers.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg.withDefaults(), closed: make(chan struct{})}
	mux := http.NewServeMux()
	s.handler = mux
	return s, nil
}

// Handler serves TCP: reading is free, writing needs the API key or a session.
func (s *Server) Handler() http.Handler { return s.handler }

// SocketHandler serves the Unix socket: whoever can open it may write, so there is no key and no Host check.
func (s *Server) SocketHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), socketKey{}, true)))
	})
}

type socketKey struct{}

// viaSocket reports whether the request came over the Unix socket.
func viaSocket(ctx context.Context) bool { return ctx.Value(socketKey{}) != nil }

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
