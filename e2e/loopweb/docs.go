package loopweb

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// docSets are the documentation packages of Debian that make good webs; split says that every folder is a host of its own.
var docSets = []struct {
	pkg, root, start string
	split            bool
}{
	{"postgresql-doc-15", "usr/share/doc/postgresql-doc-15/html", "/index.html", false},
	{"python3.11-doc", "usr/share/doc/python3.11/html", "/index.html", false},
	{"linux-doc-6.1", "usr/share/doc/linux-doc-6.1/html", "/index.html", false},
	{"apache2-doc", "usr/share/doc/apache2-doc/manual", "/index.html", true},
	{"debian-handbook", "usr/share/doc/debian-handbook/html", "/index.html", true},
}

// Packages are the names of the Debian packages that Docs serves.
func Packages() []string {
	var names []string
	for _, s := range docSets {
		names = append(names, s.pkg)
	}
	return names
}

// Docs returns a host for every documentation site found under dir, where the named packages were unpacked as
// DIR/PACKAGE/usr/share/doc/…; no names means all. Sites that are not there are left out.
func Docs(dir string, names ...string) ([]*Host, error) {
	var hosts []*Host
	for _, s := range docSets {
		if len(names) > 0 && !contains(names, s.pkg) {
			continue
		}
		root := filepath.Join(dir, s.pkg, filepath.FromSlash(s.root))
		if _, err := os.Stat(root); err != nil {
			continue
		}
		if !s.split {
			hosts = append(hosts, docHost(s.pkg, root, s.start, len(hosts)))
			continue
		}
		entries, err := os.ReadDir(root)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			sub := filepath.Join(root, e.Name())
			if _, err := os.Stat(filepath.Join(sub, "index.html")); err == nil && e.IsDir() {
				hosts = append(hosts, docHost(s.pkg+"/"+e.Name(), sub, s.start, len(hosts)))
			}
		}
	}
	return hosts, nil
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// docHost serves a directory. Every third site has a gzipped sitemap index, every third a plain sitemap.
func docHost(name, root, start string, n int) *Host {
	files := http.FileServer(dirWithoutRedirects{http.Dir(root)})
	h := &Host{Name: name, Start: start}
	h.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/robots.txt":
			fmt.Fprint(w, "User-agent: *\nDisallow: /never/\n")
			if n%3 == 0 {
				fmt.Fprintf(w, "Sitemap: %s\n", h.URL("/sitemap-index.xml.gz"))
			}
		case n%3 == 0 && r.URL.Path == "/sitemap-index.xml.gz":
			_, _ = w.Write(zipped(`<?xml version="1.0"?><sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><sitemap><loc>` +
				h.URL("/sitemap.xml") + `</loc></sitemap></sitemapindex>`))
		case n%3 < 2 && r.URL.Path == "/sitemap.xml":
			fmt.Fprint(w, sitemap(h, root))
		case strings.HasSuffix(r.URL.Path, "/index.html"):
			serveFile(w, r, filepath.Join(root, filepath.FromSlash(path.Clean(r.URL.Path))))
		default:
			files.ServeHTTP(w, r)
		}
	})
	return h
}

// serveFile is http.ServeFile without its redirect from index.html to the folder.
func serveFile(w http.ResponseWriter, r *http.Request, name string) {
	f, err := os.Open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || fi.IsDir() {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, fi.Name(), fi.ModTime(), f)
}

// dirWithoutRedirects hides directories that have no index page: no listings.
type dirWithoutRedirects struct{ http.Dir }

func (d dirWithoutRedirects) Open(name string) (http.File, error) {
	f, err := d.Dir.Open(name)
	if err != nil {
		return nil, err
	}
	if fi, err := f.Stat(); err == nil && fi.IsDir() {
		if _, err := fs.Stat(os.DirFS(string(d.Dir)), strings.TrimPrefix(path.Join(name, "index.html"), "/")); err != nil {
			f.Close()
			return nil, fs.ErrNotExist
		}
	}
	return f, nil
}

func zipped(s string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.Bytes()
}

func sitemap(h *Host, root string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">`)
	for _, p := range pages(root) {
		b.WriteString("<url><loc>" + html.EscapeString(h.URL((&url.URL{Path: p}).EscapedPath())) + "</loc></url>\n")
	}
	b.WriteString("</urlset>")
	return b.String()
}

// pages lists the HTML files under root as paths.
func pages(root string) []string {
	var list []string
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(p, ".html") {
			rel, _ := filepath.Rel(root, p)
			list = append(list, "/"+filepath.ToSlash(rel))
		}
		return nil
	})
	sort.Strings(list)
	return list
}

// Reachable returns the paths of a host that a breadth-first walk over <a href> from its start finds and that answer
// 200 with HTML, asked of the handler itself: the truth that a crawl is held against. It shares no code with the crawler.
func Reachable(h *Host, limit int) ([]string, error) {
	base, err := url.Parse(h.URL(h.Start))
	if err != nil {
		return nil, err
	}
	queue, seen := []string{base.RequestURI()}, map[string]bool{base.RequestURI(): true}
	var found []string
	for len(queue) > 0 {
		if len(found) > limit {
			return nil, errors.New("loopback web: more pages than expected on " + h.Name)
		}
		p := queue[0]
		queue = queue[1:]
		status, header, body := h.Answer(p)
		if status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
			continue
		}
		found = append(found, p)
		here, _ := base.Parse(p)
		for _, href := range hrefs(body) {
			u, err := here.Parse(strings.TrimSpace(href))
			if err != nil || u.Host != base.Host || u.Scheme != base.Scheme {
				continue
			}
			if to := u.RequestURI(); !seen[to] {
				seen[to] = true
				queue = append(queue, to)
			}
		}
	}
	return found, nil
}

// Answer is what the host says to a request for a path that no log records; status 0: there is no such URL.
func (h *Host) Answer(path string) (status int, header http.Header, body []byte) {
	req, err := http.NewRequest(http.MethodGet, h.URL(path), nil)
	if err != nil {
		return 0, nil, nil
	}
	w := &memoryWriter{header: http.Header{}, status: http.StatusOK}
	h.Handler.ServeHTTP(w, req)
	return w.status, w.header, w.body.Bytes()
}

func hrefs(page []byte) []string {
	var list []string
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return list
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			if t.Data != "a" {
				continue
			}
			for _, a := range t.Attr {
				if a.Key == "href" {
					list = append(list, a.Val)
				}
			}
		}
	}
}

// memoryWriter is an http.ResponseWriter that keeps the answer.
type memoryWriter struct {
	header http.Header
	body   bytes.Buffer
	status int
}

func (m *memoryWriter) Header() http.Header    { return m.header }
func (m *memoryWriter) WriteHeader(status int) { m.status = status }
func (m *memoryWriter) Write(b []byte) (int, error) {
	if m.header.Get("Content-Type") == "" {
		m.header.Set("Content-Type", http.DetectContentType(b))
	}
	return m.body.Write(b)
}

// Slow delays every answer of a host.
func Slow(h *Host, d time.Duration) *Host {
	inner := h.Handler
	h.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		inner.ServeHTTP(w, r)
	})
	return h
}
