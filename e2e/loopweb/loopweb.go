// Package loopweb serves a web of many hosts on this machine: one loopback address a host, real documentation sites beside
// hosts that are slow, broken, hostile or full of traps. Tests and benchmarks crawl it.
//
// It keeps a record of every request, so that a test can ask what no crawler can be asked: was any host ever asked twice
// at once, or faster than allowed, or for something it forbids?
package loopweb

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Host is one site of the web: what it serves and what a good crawler makes of it.
type Host struct {
	Name    string // for messages; the address is given by Start
	Handler http.Handler
	Start   string // path to begin at

	// What a correct crawl from Start ends with. Paths begin with a slash; nil means "not asserted".
	Index     []string // pages that must be found by searching
	NoIndex   []string // fetched, but kept out of the index
	Forbidden []string // never to be asked for
	OneOf     []string // say the same: exactly one of them is to be found

	Addr string // "127.1.0.7:40123", set by Start; where Serve is used, the host's name, set before
	log  requestLog
}

// URL returns the absolute URL of a path of this host.
func (h *Host) URL(path string) string { return "http://" + h.Addr + path }

// Request is one request as the server saw it.
type Request struct {
	Path       string
	Begin, End time.Time
	Agent      string
	Status     int
	Condition  bool   // carried If-None-Match or If-Modified-Since
	Source     string // address of who asked, without port
}

type requestLog struct {
	mu       sync.Mutex
	requests []Request
	open     int
	overlap  int
}

// Requests returns what was asked of the host so far, in order of arrival.
func (h *Host) Requests() []Request {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	return append([]Request(nil), h.log.requests...)
}

// Overlaps returns how many requests came while another of the same host was being answered.
func (h *Host) Overlaps() int {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	return h.log.overlap
}

// Counts returns how often each path was asked for.
func (h *Host) Counts() map[string]int {
	counts := map[string]int{}
	for _, r := range h.Requests() {
		counts[r.Path]++
	}
	return counts
}

func (h *Host) serve(w http.ResponseWriter, r *http.Request) {
	h.log.mu.Lock()
	if h.log.open++; h.log.open > 1 {
		h.log.overlap++
	}
	at := len(h.log.requests)
	source, _, _ := net.SplitHostPort(r.RemoteAddr)
	h.log.requests = append(h.log.requests, Request{Path: r.URL.RequestURI(), Begin: time.Now(), Agent: r.UserAgent(), Source: source,
		Condition: r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Modified-Since") != ""})
	h.log.mu.Unlock()
	rec := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		h.log.mu.Lock()
		h.log.open--
		h.log.requests[at].End, h.log.requests[at].Status = time.Now(), rec.status
		h.log.mu.Unlock()
	}()
	h.Handler.ServeHTTP(rec, r)
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Web is a running set of hosts.
type Web struct {
	Hosts   []*Host
	Port    int
	servers []*http.Server
}

// Start gives every host an address 127.SUBNET.x.y and serves it, all on one port. Close stops it.
func Start(subnet byte, hosts ...*Host) (*Web, error) {
	w := &Web{Hosts: hosts}
	for i, h := range hosts {
		addr := fmt.Sprintf("127.%d.%d.%d:%d", subnet, i/200, i%200+1, w.Port)
		l, err := net.Listen("tcp4", addr)
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("loopback web: host %s: %w", h.Name, err)
		}
		w.Port = l.Addr().(*net.TCPAddr).Port
		h.Addr = l.Addr().String()
		srv := &http.Server{Handler: http.HandlerFunc(h.serve), ReadHeaderTimeout: time.Minute}
		w.servers = append(w.servers, srv)
		go func() { _ = srv.Serve(l) }()
	}
	return w, nil
}

// Serve serves all hosts on one listener, told apart by the name in the request, which each has as its Addr. Close stops it.
func Serve(l net.Listener, hosts ...*Host) *Web {
	w := &Web{Hosts: hosts, Port: l.Addr().(*net.TCPAddr).Port}
	byName := make(map[string]*Host, len(hosts))
	for _, h := range hosts {
		byName[h.Addr] = h
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if h := byName[r.Host]; h != nil {
			h.serve(rw, r)
			return
		}
		http.Error(rw, "there is no host "+r.Host, http.StatusMisdirectedRequest)
	})}
	w.servers = []*http.Server{srv}
	go func() { _ = srv.Serve(l) }()
	return w
}

// Seeds returns the start URL of every host.
func (w *Web) Seeds() []string {
	var seeds []string
	for _, h := range w.Hosts {
		seeds = append(seeds, h.URL(h.Start))
	}
	return seeds
}

// Close stops all hosts, requests in progress included.
func (w *Web) Close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, s := range w.servers {
		_ = s.Shutdown(ctx)
		_ = s.Close()
	}
}
