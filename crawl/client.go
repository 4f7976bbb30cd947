package crawl

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"concord"
	"concord/weburl"
)

const (
	maxIdle      = 512              // connections kept open between requests
	idleTime     = 30 * time.Second // how long: the longest delay between requests that an answer alone causes
	dnsTTL       = 5 * time.Minute  // the resolver does not tell the record's own
	maxNames     = 1 << 14          // names whose addresses are remembered
	maxAddrsUsed = 4                // addresses of a name that are tried
	maxResolves  = 32               // look-ups at a time
)

// client makes requests over HTTP/1.1 and keeps the bytes that went over the wire. It is our own because those bytes are
// the evidence: net/http takes chunks and interim answers out before anyone sees them.
type client struct {
	cfg      *Config
	held     *atomic.Int64
	tls      *tls.Config
	resolves chan struct{}

	mu    sync.Mutex
	idle  map[string]*conn // by origin: a host has one request at a time
	names map[string]name
}

// name is what a look-up found.
type name struct {
	addrs []netip.Addr
	until time.Time
}

// conn is one connection.
type conn struct {
	net.Conn
	addr     netip.Addr
	protocol []string
	cipher   string
	certs    concord.Digest // of the certificates that the server sent; zero: no TLS
	since    time.Time      // idle since
	used     bool           // for an earlier request
}

func newClient(cfg *Config, held *atomic.Int64) *client {
	return &client{cfg: cfg, held: held, idle: map[string]*conn{}, names: map[string]name{}, resolves: make(chan struct{}, maxResolves),
		tls: &tls.Config{RootCAs: cfg.Roots, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(1024)}}
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, conn := range c.idle {
		_ = conn.Close()
		delete(c.idle, k)
	}
}

// refusal is why a request is not made at all.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

// nameError is a name without an address.
type nameError struct{ err error }

func (e *nameError) Error() string { return "name does not resolve: " + plain(e.err) }
func (e *nameError) Unwrap() error { return e.err }

// resolve returns the addresses of a URL's host that may be dialled. A *refusal says that none may be, a *nameError that
// there are none; other errors that it is not known.
func (c *client) resolve(ctx context.Context, u weburl.URL, private bool) ([]netip.Addr, error) {
	if port := u.Port(); !private && port != "80" && port != "443" {
		return nil, &refusal{"port " + port + " is not allowed: only 80 and 443 are"}
	}
	addrs, err := c.lookUp(ctx, u)
	if err != nil {
		return nil, err
	}
	if private {
		return addrs, nil
	}
	public := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		if weburl.Public(a) {
			public = append(public, a)
		}
	}
	if len(public) == 0 {
		return nil, &refusal{fmt.Sprintf("%s is a private address: the crawl does not allow them", addrs[0])}
	}
	return public, nil
}

func (c *client) lookUp(ctx context.Context, u weburl.URL) ([]netip.Addr, error) {
	if a, ok := u.Addr(); ok {
		return []netip.Addr{a}, nil
	}
	host := u.Host()
	c.mu.Lock()
	known, ok := c.names[host]
	c.mu.Unlock()
	if ok && time.Now().Before(known.until) {
		return known.addrs, nil
	}
	select {
	case c.resolves <- struct{}{}:
		defer func() { <-c.resolves }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, c.cfg.Bounds.DialTime)
	defer cancel()
	addrs, err := c.cfg.Resolve(limited, host)
	if err != nil || len(addrs) == 0 {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, lookUpError(err)
	}
	addrs = slices.Clone(addrs[:min(len(addrs), maxAddrsUsed)])
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.names) >= maxNames {
		clear(c.names)
	}
	c.names[host] = name{addrs, time.Now().Add(dnsTTL)}
	return addrs, nil
}

// lookUpError is a *nameError when the answer was that the name has no address. A name server that cannot be reached, or fails, says something
// about the network between: while a node is cut off it must not take every host it meets for gone.
func lookUpError(err error) error {
	var dns *net.DNSError
	switch {
	case err == nil:
		return &nameError{errors.New("no address")}
	case errors.As(err, &dns) && dns.IsNotFound:
		return &nameError{err}
	}
	return fmt.Errorf("look up the name: %w", err)
}

// connect returns a connection to a URL's host, an idle one when there is one to an address that may be dialled.
func (c *client) connect(ctx context.Context, u weburl.URL, addrs []netip.Addr, fresh bool) (*conn, error) {
	if !fresh {
		if conn := c.takeIdle(u.Origin(), addrs); conn != nil {
			return conn, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Bounds.DialTime)
	defer cancel()
	var last error
	for _, a := range addrs {
		raw, err := c.cfg.Dial(ctx, "tcp", netip.AddrPortFrom(a, portOf(u)).String())
		if err != nil {
			last = err
			continue
		}
		conn := &conn{Conn: raw, addr: a, protocol: []string{"http/1.1"}}
		if u.Scheme() == "https" {
			err = c.handshake(ctx, u, conn)
		}
		if err == nil {
			return conn, nil
		}
		_ = raw.Close()
		return nil, err
	}
	return nil, fmt.Errorf("connect: %w", last)
}

func portOf(u weburl.URL) uint16 {
	var p uint16
	for _, d := range u.Port() {
		p = p*10 + uint16(d-'0')
	}
	return p
}

func (c *client) handshake(ctx context.Context, u weburl.URL, conn *conn) error {
	cfg := c.tls.Clone()
	cfg.ServerName = u.Host()
	t := tls.Client(conn.Conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	state := t.ConnectionState()
	conn.Conn = t
	conn.protocol = append(conn.protocol, map[uint16]string{tls.VersionTLS12: "tls/1.2", tls.VersionTLS13: "tls/1.3"}[state.Version])
	conn.cipher = tls.CipherSuiteName(state.CipherSuite)
	var certs []byte
	for _, x := range state.PeerCertificates {
		certs = append(certs, x.Raw...)
	}
	conn.certs = concord.Sum(certs)
	return nil
}

// takeIdle returns the idle connection to an origin. One to an address that this request may not reach is not used: the
// crawl that opened it may allow more.
func (c *client) takeIdle(origin string, addrs []netip.Addr) *conn {
	c.mu.Lock()
	conn := c.idle[origin]
	delete(c.idle, origin)
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	if time.Since(conn.since) > idleTime || !slices.Contains(addrs, conn.addr) {
		_ = conn.Close()
		return nil
	}
	conn.used = true
	return conn
}

func (c *client) putIdle(origin string, conn *conn) {
	conn.since = time.Now()
	_ = conn.SetDeadline(time.Time{})
	c.mu.Lock()
	old := c.idle[origin]
	var drop []net.Conn
	if old != nil {
		drop = append(drop, old)
	}
	c.idle[origin] = conn
	if len(c.idle) > maxIdle {
		for k, other := range c.idle { // the stale ones; when there are none, any
			if time.Since(other.since) > idleTime || len(c.idle) > maxIdle {
				drop = append(drop, other)
				delete(c.idle, k)
			}
		}
	}
	c.mu.Unlock()
	for _, d := range drop {
		_ = d.Close()
	}
}

// request is one GET.
type request struct {
	url       weburl.URL
	addrs     []netip.Addr
	maxBody   int
	etag      string // for If-None-Match, as the server sent it
	lastMod   string // for If-Modified-Since, when there is no etag
	userAgent string
}

// exchange is a request that got an answer, or the beginning of one.
type exchange struct {
	request   []byte
	response  []byte // from the first byte of the status line, interim answers included
	start     time.Time
	took      time.Duration // until the last byte
	conn      *conn
	truncated string // warc.Truncated…, empty: the answer is whole
	status    int
	header    http.Header
	held      int64 // bytes counted as held, until the result is on record
}

// do makes a request. A connection that turns out to have been closed by the server before the first byte of the
// answer is replaced once.
func (c *client) do(ctx context.Context, r *request) (*exchange, error) {
	for fresh := false; ; fresh = true {
		conn, err := c.connect(ctx, r.url, r.addrs, fresh)
		if err != nil {
			return nil, err
		}
		x, err := c.roundTrip(ctx, r, conn)
		if err == nil {
			return x, nil
		}
		_ = conn.Close()
		var none *noAnswer
		if !conn.used || fresh || !errors.As(err, &none) || ctx.Err() != nil {
			return nil, err
		}
	}
}

// noAnswer is a connection that ended before the first byte of an answer.
type noAnswer struct{ err error }

func (e *noAnswer) Error() string { return "no answer: " + plain(e.err) }
func (e *noAnswer) Unwrap() error { return e.err }

func (c *client) roundTrip(ctx context.Context, r *request, conn *conn) (*exchange, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	x := &exchange{request: r.bytes(), start: time.Now(), conn: conn}
	b := &c.cfg.Bounds
	_ = conn.SetDeadline(x.start.Add(b.HeaderTime))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if _, err := conn.Write(x.request); err != nil {
		return nil, &noAnswer{err}
	}
	rd := &reader{src: conn, start: x.start, bounds: b, maxBody: r.maxBody, held: c.held}
	rd.deadline = func(t time.Time) {
		if ctx.Err() == nil {
			_ = conn.SetDeadline(t)
		}
	}
	err := rd.read()
	x.response, x.truncated, x.took, x.status = rd.buf, rd.truncated, time.Since(x.start), statusOf(rd.buf[rd.head:])
	x.header = rd.header
	x.held = rd.counted
	if err != nil {
		c.held.Add(-rd.counted)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	if rd.reusable() && stop() {
		c.putIdle(r.url.Origin(), conn)
	} else {
		_ = conn.Close()
	}
	return x, nil
}

// bytes is the request as it is sent.
func (r *request) bytes() []byte {
	var b strings.Builder
	b.WriteString("GET " + r.url.RequestURI() + " HTTP/1.1\r\nHost: " + r.url.HostPort() + "\r\nUser-Agent: " + r.userAgent +
		"\r\nAccept: text/html,application/xhtml+xml,text/plain;q=0.9,application/pdf;q=0.8,*/*;q=0.5\r\nAccept-Encoding: gzip, br, zstd\r\n")
	switch {
	case r.etag != "":
		b.WriteString("If-None-Match: " + r.etag + "\r\n")
	case r.lastMod != "":
		b.WriteString("If-Modified-Since: " + r.lastMod + "\r\n")
	}
	b.WriteString("Connection: keep-alive\r\n\r\n")
	return []byte(b.String())
}

// plain is an error in a few words for people: what the operating system says, without addresses and ports of ours.
func plain(err error) string {
	var dns *net.DNSError
	var sys syscall.Errno
	var cert *tls.CertificateVerificationError
	var none *noAnswer
	switch {
	case errors.As(err, &none):
		return "no answer: " + plain(none.err)
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host"
	case errors.As(err, &dns) && dns.IsTimeout:
		return "the name server does not answer"
	case errors.As(err, &dns):
		return "the name server fails"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &cert):
		return "certificate: " + cert.Err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.As(err, &sys):
		return sys.Error()
	}
	return err.Error()
}
