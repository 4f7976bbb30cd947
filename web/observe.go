package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// meters are the server's own metrics.
type meters struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	streams  prometheus.Gauge
}

func newMeters() *meters {
	m := &meters{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "concord_http_requests_total",
			Help: "HTTP requests answered, by route and status code."}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "concord_http_request_seconds",
			Help: "Time to answer an HTTP request, by route; streams are not counted.", Buckets: prometheus.ExponentialBuckets(0.001, 3, 9)},
			[]string{"route"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "concord_http_event_streams",
			Help: "Clients that follow the live events."}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.streams)
	return m
}

// observe counts one request. The route is the mux's pattern, so that strangers cannot make up label values.
func (s *Server) observe(r *http.Request, status int, took time.Duration) {
	route := callerOf(r.Context()).r.Pattern
	if route == "" {
		route = "none"
	}
	s.meters.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	if route != "GET "+eventsPath && route != "POST "+importPath {
		s.meters.seconds.WithLabelValues(route).Observe(took.Seconds())
	}
}

// health registers what machines ask.
func (s *Server) health(mux *http.ServeMux) {
	metrics := promhttp.HandlerFor(prometheus.Gatherers{s.cfg.Metrics, s.meters.registry},
		promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := s.cfg.Ready(r.Context()); err != nil {
			w.Header().Set("Retry-After", "1")
			plain(w, http.StatusServiceUnavailable, "not ready: "+err.Error()+"\n")
			return
		}
		plain(w, http.StatusOK, "ready\n")
	})
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client went away: there is nobody to tell
}
