package web

import (
	"net/http"

	"concord"
	"concord/trace"
)

// tracedPaths are the requests that put a query to the shards.
var tracedPaths = map[string]bool{"/search": true, "/explain": true, apiPrefix + "/search": true, apiPrefix + "/explain": true}

// traced serves a request, in a trace of its own or of its caller if it is a query that is to be recorded. The answer names the trace in the
// header of W3C Trace Context. Who is on this machine or has signed in may say what is recorded.
func (s *Server) traced(w *statusWriter, r *http.Request, c *caller, next http.Handler) {
	if s.cfg.Trace == nil || !tracedPaths[r.URL.Path] {
		next.ServeHTTP(w, r)
		return
	}
	ctx, span := s.cfg.Trace.Request(r.Context(), r.Method+" "+r.URL.Path, r.Header.Get(trace.HeaderName), c.local() || c.insider())
	if !span.On() {
		next.ServeHTTP(w, r)
		return
	}
	w.Header().Set(trace.HeaderName, trace.Header(ctx))
	r = r.WithContext(ctx)
	c.r = r
	defer func() {
		span.SetInt("http.response.status_code", w.code())
		var err error
		if w.code() >= http.StatusInternalServerError {
			err = concord.Errorf(concord.Internal, "%s", http.StatusText(w.code()))
		}
		span.End(err)
	}()
	next.ServeHTTP(w, r)
}
