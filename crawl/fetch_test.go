package crawl

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"concord"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

func TestContentCodings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	encode := map[string]func(w io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"br":   func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
	}
	links := []string{}
	for name, enc := range encode {
		s.handle("/"+name, func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), name) {
				t.Errorf("%s is not accepted: %q", name, r.Header.Get("Accept-Encoding"))
			}
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Encoding", name)
			z := enc(w)
			io.WriteString(z, htmlPage("Coded "+name, "This text was sent coded as "+name))
			z.Close()
		})
		links = append(links, "/"+name)
	}
	s.handle("/latin", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=iso-8859-1")
		io.WriteString(w, "<html><title>Caf\xe9</title><body><p>Un caf\xe9 cr\xe8me, s'il vous pla\xeet.</p></body></html>")
	})
	s.html("/", "Pages in several codings", append(links, "/latin")...)
	r := newRig(t, nil)
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host}})
	got := r.indexed()
	for name := range encode {
		if got[s.host+"/"+name] != "Coded "+name {
			t.Errorf("%s: %q", name, got[s.host+"/"+name])
		}
	}
	if got[s.host+"/latin"] != "Café" {
		t.Errorf("latin: %q", got[s.host+"/latin"])
	}
	if crawl.Indexed != 5 {
		t.Errorf("crawl: %+v", crawl)
	}
}

// script serves exact bytes on a raw connection, the way hostile and broken servers do.
func script(t *testing.T, serve map[string]func(net.Conn)) *site {
	t.Helper()
	s := newSite(t)
	s.handle("*", func(w http.ResponseWriter, r *http.Request) {
		fn := serve[r.URL.Path]
		if fn == nil {
			http.NotFound(w, r)
			return
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fn(conn)
	})
	return s
}

func TestHostileServers(t *testing.T) {
	t.Parallel()
	page := htmlPage("Title", "Words of a page that came by a strange way")
	bomb := func() []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		for range 64 {
			z.Write(make([]byte, 64<<10))
		}
		z.Close()
		return b.Bytes()
	}()
	endless := func(c net.Conn, head, part string) {
		io.WriteString(c, head)
		for {
			if _, err := io.WriteString(c, part); err != nil {
				return
			}
		}
	}
	drip := func(c net.Conn, head string) {
		io.WriteString(c, head)
		for range 1000 {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	ok := "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
	s := script(t, map[string]func(net.Conn){
		"/bomb": func(c net.Conn) {
			fmt.Fprintf(c, "%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", ok, len(bomb))
			c.Write(bomb)
		},
		"/header":    func(c net.Conn) { endless(c, ok, "X-Filler: "+strings.Repeat("a", 1000)+"\r\n") },
		"/oneheader": func(c net.Conn) { endless(c, ok+"X-Filler: ", strings.Repeat("a", 1000)) },
		"/body":      func(c net.Conn) { endless(c, ok+"\r\n", strings.Repeat("word ", 1000)) },
		"/chunks":    func(c net.Conn) { endless(c, ok+"Transfer-Encoding: chunked\r\n\r\n", "5\r\nword \r\n") },
		"/chunkline": func(c net.Conn) { endless(c, ok+"Transfer-Encoding: chunked\r\n\r\n", "00000000000") },
		"/interims":  func(c net.Conn) { endless(c, "", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n") },
		"/slowhead":  func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\nX-Slow: ") },
		"/slowbody":  func(c net.Conn) { drip(c, ok+"\r\n<html><title>Slow</title><body><p>") },
		"/garbage":   func(c net.Conn) { io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n\r\n") },
		"/nothing":   func(c net.Conn) {},
		"/interim": func(c net.Conn) {
			fmt.Fprintf(c, "HTTP/1.1 100 Continue\r\n\r\n%sContent-Length: %d\r\n\r\n%s", ok, len(page), page)
		},
		"/chunked": func(c net.Conn) {
			fmt.Fprintf(c, "%sTransfer-Encoding: chunked\r\n\r\n%x;x=y\r\n%s\r\n0\r\nTrailer: x\r\n\r\n", ok, len(page), page)
		},
		"/http10": func(c net.Conn) { fmt.Fprintf(c, "HTTP/1.0 200 OK\nContent-Type: text/html\n\n%s", page) },
		"/cut":    func(c net.Conn) { fmt.Fprintf(c, "%sContent-Length: 100000\r\n\r\n%s", ok, page) },
	})
	var seeds []string
	want := map[string]string{ // state, and the beginning of the reason or of what kept it from the index
		"/bomb": "fetched longer than its bound when decoded", "/header": "failed header is longer", "/oneheader": "failed header is longer",
		"/body": "fetched", "/chunks": "fetched", "/chunkline": "failed body is announced in chunks", "/interims": "failed", "/slowhead": "failed timeout",
		"/slowbody": "fetched", "/garbage": "failed answer is not HTTP/1", "/nothing": "failed no answer", "/interim": "fetched",
		"/chunked": "fetched", "/http10": "fetched", "/cut": "fetched",
	}
	for path := range want {
		seeds = append(seeds, s.host+path)
	}
	r := newRig(t, func(c *Config) {
		c.Bounds = Bounds{BodyBytes: 64 << 10, HeaderTime: 300 * time.Millisecond, FetchTime: 600 * time.Millisecond}
		c.Politeness.Retries = []time.Duration{}
		c.Politeness.Patience = time.Minute
	})
	r.crawl(concord.CrawlSpec{Seeds: seeds})
	for path, w := range want {
		state, reason, _ := strings.Cut(w, " ")
		got := r.why(s.host + path)
		if got.State != state || !strings.HasPrefix(got.Reason+got.Skip, reason) {
			t.Errorf("%s: %+v, want %s", path, got, w)
		}
	}
	for _, path := range []string{"/interim", "/chunked", "/http10"} {
		c := r.captured(s.host + path)
		if len(c) != 1 || c[0].Size != int64(len(page)) || c[0].Raw != concord.Sum([]byte(page)) {
			t.Errorf("%s: %+v", path, c)
		}
	}
	truncated := map[string]string{"/body": "length", "/chunks": "length", "/slowbody": "time", "/cut": "disconnect"}
	for path, why := range truncated {
		c := r.captured(s.host + path)
		if len(c) != 1 {
			t.Errorf("%s: %d captures", path, len(c))
			continue
		}
		rec, err := r.arc.Read(c[0].Location)
		if err != nil || rec.Header.Get("WARC-Truncated") != why {
			t.Errorf("%s: truncated %q, want %q (%v)", path, rec.Header.Get("WARC-Truncated"), why, err)
		}
	}
	if held := r.c.held.Load(); held != 0 {
		t.Errorf("%d bytes are still counted as held", held)
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.html("/", "A page on a private address that nobody may reach")
	r := newRig(t, func(c *Config) {
		c.Resolve = names(map[string]string{"inside.example": "127.0.0.1", "v6.example": "::1", "mapped.example": "::ffff:10.0.0.1", "gone.example": "0.0.0.0"})
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			t.Errorf("dialled %s", addr)
			return nil, io.EOF
		}
	})
	for _, seed := range []string{s.host, "http://localhost/", "http://[::1]/", "http://10.1.2.3/", "http://169.254.169.254/latest/", "http://0x7f.1/", "http://93.184.216.34:8080/"} {
		_, err := r.c.Start(context.Background(), concord.CrawlSpec{Seeds: []string{seed}})
		if concord.KindOf(err) != concord.Invalid {
			t.Errorf("seed %s: %v", seed, err)
		}
	}
	seeds := []string{"http://inside.example/", "http://v6.example/", "http://mapped.example/", "http://gone.example/"}
	crawl, err := r.c.Start(context.Background(), concord.CrawlSpec{Seeds: seeds})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.wait(crawl.ID); got.Refused != 4 || got.Fetched != 0 {
		t.Errorf("crawl: %+v", got)
	}
	for _, u := range seeds {
		if got := r.why(u); got.State != "refused" || !strings.Contains(got.Reason, "private address") {
			t.Errorf("why %s: %+v", u, got)
		}
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests reached the private server", n)
	}
}

// TestRedirectIntoPrivateAddress has a public host, as far as the crawler can see, that redirects to a private one.
func TestRedirectIntoPrivateAddress(t *testing.T) {
	t.Parallel()
	outer, inner := newSite(t), newSite(t)
	inner.html("/", "Secrets of the inner network")
	outer.status("/robots.txt", 404)
	outer.status("/", 302, "Location", "http://inside.public.example/")
	outer.status("/direct", 302, "Location", inner.host+"/")
	outer.status("/robotsonly", 200)
	r := newRig(t, func(c *Config) {
		c.Resolve = names(map[string]string{"outside.public.example": "93.184.216.34", "inside.public.example": "127.0.0.1"})
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != "93.184.216.34:80" {
				t.Errorf("dialled %s", addr)
				return nil, io.EOF
			}
			return (&net.Dialer{}).DialContext(ctx, network, outer.addr)
		}
	})
	crawl, err := r.c.Start(context.Background(), concord.CrawlSpec{Scope: concord.ScopeSite,
		Seeds: []string{"http://outside.public.example/", "http://outside.public.example/direct"}})
	if err != nil {
		t.Fatal(err)
	}
	got := r.wait(crawl.ID)
	if got.Fetched != 2 || got.Refused != 2 {
		t.Errorf("crawl: %+v", got)
	}
	if s := r.why("http://inside.public.example/"); s.State != "refused" || !strings.Contains(s.Reason, "private address") {
		t.Errorf("why: %+v", s)
	}
	if s := r.why(inner.host + "/"); s.State != "refused" || !strings.Contains(s.Reason, "scope") {
		t.Errorf("why: %+v", s)
	}
	if n := len(inner.requests()); n != 0 {
		t.Errorf("%d requests reached the private server", n)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 14 {
		s.status(fmt.Sprintf("/hop%d", i), 302, "Location", fmt.Sprintf("/hop%d", i+1))
	}
	s.status("/loop", 301, "Location", "/loop")
	s.status("/ping", 307, "Location", "/pong")
	s.status("/pong", 308, "Location", "/ping")
	s.status("/moved", 301, "Location", "new#part")
	s.status("/empty", 302)
	s.html("/new", "Here it is now, under its new address")
	r := newRig(t, nil)
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/hop0", s.host + "/loop", s.host + "/ping", s.host + "/moved", s.host + "/empty"}})
	if crawl.Fetched != 11+1+2+2+1 || crawl.Refused != 1 || crawl.Indexed != 1 {
		t.Errorf("crawl: %+v", crawl)
	}
	if got := r.why(s.host + "/hop11"); got.State != "refused" || got.Reason != "more than 10 redirects" {
		t.Errorf("why: %+v", got)
	}
	if got := r.why(s.host + "/moved"); got.Redirect != s.host+"/new" || got.Skip != "redirect" {
		t.Errorf("why: %+v", got)
	}
	if c := r.captured(s.host + "/moved"); len(c) != 1 || c[0].Redirect != s.host+"/new" || c[0].Status != 301 {
		t.Errorf("captures: %+v", c)
	}
}
