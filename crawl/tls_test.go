package crawl

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concord"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Proto != "HTTP/1.1" || r.TLS == nil {
			t.Errorf("%s, TLS %v", r.Proto, r.TLS != nil)
		}
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, htmlPage("Secured", "A page that came over TLS"))
	}))
	defer srv.Close()
	addr, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	r := newRig(t, func(c *Config) {
		c.Roots = x509.NewCertPool()
		c.Roots.AddCert(srv.Certificate())
		c.Resolve = names(map[string]string{"example.com": addr, "wrong.example": addr})
		c.Politeness.Retries = []time.Duration{}
		c.Politeness.MaxBackoff = 10 * time.Minute
	})
	good, bad := "https://example.com:"+port+"/", "https://wrong.example:"+port+"/"
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{good, bad}})
	if crawl.Indexed != 1 || crawl.Failed != 1 {
		t.Errorf("crawl: %+v", crawl)
	}
	c := r.captured(good)
	if len(c) != 1 {
		t.Fatalf("captures: %+v", c)
	}
	rec, err := r.arc.Read(c[0].Location)
	if err != nil || strings.Join(rec.Header.Values("WARC-Protocol"), " ") != "http/1.1 tls/1.3" || rec.Header.Get("WARC-Cipher-Suite") == "" {
		t.Errorf("record: %v, %v", rec.Header, err)
	}
	hosts, err := r.c.Hosts(t.Context(), 10)
	if err != nil || len(hosts) != 2 {
		t.Fatalf("hosts: %+v, %v", hosts, err)
	}
	for _, h := range hosts {
		if strings.Contains(h.Host, "wrong") && !strings.Contains(h.LastError, "certificate") {
			t.Errorf("host: %+v", h)
		}
	}
}

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	s := mesh(t, 30, func(srv *http.Server) {
		srv.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
	})
	r := newRig(t, nil)
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}})
	if crawl.Fetched != 30 || conns.Load() > 2 {
		t.Errorf("%d connections for %+v", conns.Load(), crawl)
	}
}

// TestServerClosesIdleConnections: a connection that went away between two requests is no failure of the second.
func TestServerClosesIdleConnections(t *testing.T) {
	t.Parallel()
	s := mesh(t, 12, func(srv *http.Server) { srv.IdleTimeout = time.Millisecond })
	r := newRig(t, func(c *Config) {
		c.Politeness.MinDelay, c.Politeness.MaxDelay = 5*time.Millisecond, 20*time.Millisecond
	})
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}})
	if crawl.Fetched != 12 || r.c.Stats().Failures["connection closed"] != 0 {
		t.Errorf("crawl %+v, stats %+v", crawl, r.c.Stats())
	}
	for _, h := range s.requests() {
		if s.count(h.path) != 1 {
			t.Errorf("%s was asked for %d times", h.path, s.count(h.path))
		}
	}
}

// TestHostThatIsNotThere rests as a whole, and its pages count as failed until they are tried again.
func TestHostThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.srv.Close()
	r := newRig(t, func(c *Config) {
		c.Politeness.Retries = []time.Duration{time.Hour}
		c.Politeness.Patience = 50 * time.Millisecond
	})
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/a", s.host + "/b", s.host + "/c"}})
	if crawl.Failed != 3 || crawl.Queued != 0 {
		t.Errorf("crawl: %+v", crawl)
	}
	if why := r.why(s.host + "/b"); !strings.Contains(why.Reason, "robots.txt unreachable") {
		t.Errorf("why: %+v", why)
	}
	hosts, err := r.c.Hosts(t.Context(), 10)
	if err != nil || len(hosts) != 1 || !strings.Contains(hosts[0].LastError, "refused") || hosts[0].Queued != 3 || hosts[0].Next.Before(time.Now()) {
		t.Errorf("hosts: %+v, %v", hosts, err)
	}
	r.restart()
	if again, _ := r.c.Crawl(t.Context(), crawl.ID); again.Failed != 3 || !again.Done() {
		t.Errorf("after a restart: %+v", again)
	}
}
