package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// caller is who asks: what every handler may know about how the request came in.
type caller struct {
	socket  bool       // over the Unix socket: trusted
	key     bool       // sent the API key
	session string     // value of a valid session cookie; empty: none
	addr    netip.Addr // of the TCP peer; zero for the socket
	https   bool
	base    string // where this server is, as the client sees it: "http://127.0.0.1:7667"

	w http.ResponseWriter // for handlers that stream
	r *http.Request
}

// mayWrite reports whether an API call may change something. A session does not count: only the forms of the pages,
// which carry a token, act on it.
func (c *caller) mayWrite() bool { return c.socket || c.key }

// local reports whether the caller is on this machine.
func (c *caller) local() bool { return c.socket || c.addr.IsLoopback() }

// insider reports whether the caller may see facts that are not for strangers, such as paths on this machine.
func (c *caller) insider() bool { return c.socket || c.key || c.session != "" }

type callerKey struct{}

// callerOf returns the caller of a request's context; outside a request, a stranger.
func callerOf(ctx context.Context) *caller {
	if c, ok := ctx.Value(callerKey{}).(*caller); ok {
		return c
	}
	return &caller{}
}

const (
	// maxBody bounds the body of ordinary requests: MaxSeeds seeds of a usual length.
	maxBody = 4 << 20

	// pagePolicy is the Content-Security-Policy of everything but archived copies.
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

// guard does for every request what must not be forgotten in one: checks the Host, sets the security headers, bounds the
// body, finds out who asks, counts, and turns a panic into an answer.
func (s *Server) guard(socket bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.cfg.Now()
		sw := &statusWriter{ResponseWriter: w}
		c := s.identify(sw, r, socket)
		r = r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
		c.r = r
		defer func() {
			if v := recover(); v != nil {
				s.recovered(sw, r, v)
			}
			s.observe(r, sw.code(), s.cfg.Now().Sub(start))
		}()
		setHeaders(sw.Header())
		if !socket && !s.hostAllowed(r.Host) {
			s.fail(sw, r, newProblem(http.StatusMisdirectedRequest,
				"this server does not answer for the host name "+strconv.Quote(r.Host)+"; use its address, or name the host in its configuration"))
			return
		}
		if r.URL.Path != importPath {
			r.Body = http.MaxBytesReader(sw, r.Body, maxBody)
		}
		s.traced(sw, r, c, next)
	})
}

func setHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store") // what does not change says so itself
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}

// identify fills in the caller of a request.
func (s *Server) identify(w http.ResponseWriter, r *http.Request, socket bool) *caller {
	c := &caller{socket: socket, w: w, r: r, https: r.TLS != nil || strings.HasPrefix(s.cfg.Origin, "https:")}
	if !socket {
		if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			c.addr = ap.Addr().Unmap()
		}
		if via := r.Header.Values("X-Forwarded-For"); len(via) > 0 && c.addr.IsLoopback() {
			c.addr = forwarded(via[len(via)-1]) // a proxy on this machine asks for somebody else
		}
	}
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		c.key = keyMatches(strings.TrimSpace(given), s.cfg.APIKey)
	}
	if k, err := r.Cookie(sessionCookie); err == nil && !socket && s.sessions.valid(k.Value, s.cfg.Now()) {
		c.session = k.Value
	}
	switch {
	case s.cfg.Origin != "":
		c.base = strings.TrimSuffix(s.cfg.Origin, "/")
	case socket:
		c.base = "http://" + s.cfg.Addr
	case c.https:
		c.base = "https://" + r.Host
	default:
		c.base = "http://" + r.Host
	}
	return c
}

// forwarded returns the address that the nearest proxy names as its client, the last of the list; zero: none that parses.
func forwarded(list string) netip.Addr {
	last := strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
	addr, err := netip.ParseAddr(strings.Trim(last, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}

// hostAllowed keeps a web page whose name was rebound to a loopback address from reading a node that listens there.
func (s *Server) hostAllowed(hostport string) bool {
	if !s.cfg.loopbackOnly() {
		return true
	}
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(s.cfg.Hosts, host) {
		return true
	}
	if u, err := url.Parse(s.cfg.Origin); err == nil && u.Hostname() != "" && u.Hostname() == host {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// limitSearch spends one of the client's searches, or answers 429. Clients on this machine (its operator, a proxy that
// has limits of its own) and holders of the key are not counted.
func (s *Server) limitSearch(w http.ResponseWriter, r *http.Request) bool {
	return s.limit(s.searches, w, r)
}

func (s *Server) limit(l *limiter, w http.ResponseWriter, r *http.Request) bool {
	p := s.overLimit(r.Context(), l)
	if p != nil {
		s.fail(w, r, p)
	}
	return p == nil
}

// overLimit takes a token for who asks; nil: there was one.
func (s *Server) overLimit(ctx context.Context, l *limiter) *Problem {
	c := callerOf(ctx)
	if c.local() || c.insider() {
		return nil
	}
	if ok, wait := l.allow(c.addr, s.cfg.Now()); !ok {
		return tooMany(wait)
	}
	return nil
}

func tooMany(wait time.Duration) *Problem {
	seconds := int(wait/time.Second) + 1
	p := newProblem(http.StatusTooManyRequests, fmt.Sprintf("too many requests from this address; try again in %d s", seconds))
	p.header = http.Header{"Retry-After": {strconv.Itoa(seconds)}}
	return p
}

// recovered answers a request whose handler panicked, unless it had begun to answer.
func (s *Server) recovered(w *statusWriter, r *http.Request, v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.cfg.Log.Error("panic in a handler", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	if w.status == 0 {
		s.fail(w, r, newProblem(http.StatusInternalServerError, "something went wrong in the node; its log says more."))
	}
}

// wantsAPI reports whether the client of this request reads problems rather than pages.
func wantsAPI(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/openapi.json" ||
		!strings.Contains(r.Header.Get("Accept"), "text/html")
}

// fail answers with an error, as a problem to programs and as a page to people.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError && p.Status != http.StatusServiceUnavailable {
		s.cfg.Log.Error("request failed", "path", r.URL.Path, "error", err)
	}
	if wantsAPI(r) {
		writeProblem(w, r, p)
		return
	}
	s.errorPage(w, r, p)
}

// route serves the mux, with our own answers where it knows no route or not this method.
func (s *Server) route(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		var dry dryWriter
		h.ServeHTTP(&dry, r)
		switch dry.status {
		case http.StatusNotFound:
			s.fail(w, r, newProblem(http.StatusNotFound, "there is nothing at "+r.URL.Path))
		case http.StatusMethodNotAllowed:
			allow := dry.Header().Get("Allow")
			p := newProblem(http.StatusMethodNotAllowed, r.Method+" is not possible here; possible: "+allow)
			p.header = http.Header{"Allow": {allow}}
			s.fail(w, r, p)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// dryWriter learns what a handler would answer.
type dryWriter struct {
	header http.Header
	status int
}

func (d *dryWriter) Header() http.Header {
	if d.header == nil {
		d.header = http.Header{}
	}
	return d.header
}
func (d *dryWriter) WriteHeader(status int) { d.status = status }
func (d *dryWriter) Write(b []byte) (int, error) {
	if d.status == 0 {
		d.status = http.StatusOK
	}
	return len(b), nil
}

// statusWriter remembers the status code that was sent.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader sends the first status. A later one, of an answer that failed midway, comes too late.
func (w *statusWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (w *statusWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController reach deadlines.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
