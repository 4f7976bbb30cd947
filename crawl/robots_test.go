package crawl

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"concord"
)

func TestRobots(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		robots  func(s *site)
		allowed bool
		note    string
	}{
		{"absent", func(s *site) {}, true, "allowed by default (404)"},
		{"forbidden", func(s *site) { s.status("/robots.txt", 403) }, true, "allowed by default (403)"},
		{"empty", func(s *site) { s.raw("/robots.txt", "text/plain", "") }, true, ""},
		{"allow", func(s *site) { s.raw("/robots.txt", "text/plain", "User-agent: *\nAllow: /\n") }, true, "rules from"},
		{"all", func(s *site) { s.raw("/robots.txt", "text/plain", "User-agent: *\nDisallow: /\n") }, false, "rules from"},
		{"own group", func(s *site) {
			s.raw("/robots.txt", "text/plain", "User-agent: *\nDisallow: /\n\nUser-agent: ConCord\nDisallow: /private\n")
		}, true, "rules from"},
		{"error", func(s *site) { s.status("/robots.txt", 500) }, false, "unreachable: 500"},
		{"too many requests", func(s *site) { s.status("/robots.txt", 429) }, false, "unreachable: 429"},
		{"redirect", func(s *site) {
			s.status("/robots.txt", 301, "Location", "/r1")
			s.status("/r1", 302, "Location", "/r2")
			s.raw("/r2", "text/plain", "User-agent: *\nDisallow: /\n")
		}, false, "rules from"},
		{"redirect loop", func(s *site) { s.status("/robots.txt", 301, "Location", "/robots.txt") }, true, "allowed by default (301)"},
	}
	r := newRig(t, func(c *Config) {
		c.Politeness.Patience = 50 * time.Millisecond
		c.Politeness.Retries = []time.Duration{time.Hour}
	})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.html("/page", "A page like any other page of the web")
			c.robots(s)
			id := r.begin(concord.CrawlSpec{Seeds: []string{s.host + "/page"}})
			crawl := r.wait(id)
			if got := s.count("/page"); got != map[bool]int{true: 1}[c.allowed] {
				t.Errorf("the page was asked for %d times: %+v, %+v", got, crawl, r.why(s.host+"/page"))
			}
			hosts, err := r.c.Hosts(t.Context(), 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range hosts {
				if h.Host == s.host && !strings.HasPrefix(h.Robots, c.note) {
					t.Errorf("robots of %+v, want %q", h, c.note)
				}
			}
			if strings.HasPrefix(c.note, "unreachable") {
				if crawl.Failed == 0 || crawl.Queued != 0 {
					t.Errorf("what waits for the host counts as failed already: %+v", crawl)
				}
				if why := r.why(s.host + "/page"); why.State != "queued" || !strings.Contains(why.Reason, "robots.txt unreachable") || why.Next.Before(time.Now().Add(50*time.Minute)) {
					t.Errorf("why: %+v", why)
				}
			}
			if cs := r.captured(s.host + "/robots.txt"); len(cs) == 0 || cs[0].Skip != "robots.txt" {
				t.Errorf("robots.txt is not on record: %+v", cs)
			}
		})
	}
}

func TestPageRules(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.html("/", "A page that links to several others", "/noindex", "/nofollow", "/header")
	s.raw("/noindex", "text/html", `<html><head><title>x</title><meta name=robots content=noindex></head><body><p>Not for the index. <a href="/via-noindex">on</a></body>`)
	s.raw("/nofollow", "text/html", `<html><head><title>x</title><meta name=robots content=nofollow></head><body><p>Links that are not to be followed. <a href="/hidden">on</a></body>`)
	s.handle("/header", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Robots-Tag", "concord: noindex")
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<html><title>t</title><body><p>Some text. <a rel="nofollow" href="/hint">hint</a> <a rel="ugc" href="/ugc">ugc</a></body>`)
	})
	s.html("/via-noindex", "Reached through a page that is not in the index")
	for _, p := range []string{"/hidden", "/hint"} {
		s.html(p, "Nobody should come here")
	}
	r := newRig(t, nil)
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host}})
	if s.count("/hidden")+s.count("/hint") > 0 {
		t.Error("a nofollow link was followed")
	}
	got := r.indexed()
	if len(got) != 3 || got[s.host+"/via-noindex"] == "" || got[s.host+"/nofollow"] == "" {
		t.Errorf("indexed: %v, crawl %+v", got, crawl)
	}
	for _, p := range []string{"/noindex", "/header"} {
		if why := r.why(s.host + p); why.Skip != "noindex" {
			t.Errorf("%s: %+v", p, why)
		}
	}
}

func TestSitemaps(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.html("/", "The front page has no links at all, only its sitemap knows more")
	s.raw("/robots.txt", "text/plain", "Sitemap: "+s.host+"/index.xml\nSitemap: http://elsewhere.example/map.xml\nUser-agent: *\nDisallow: /secret\n")
	s.raw("/index.xml", "application/xml", `<?xml version="1.0"?><sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
		<sitemap><loc>`+s.host+`/a.xml.gz</loc></sitemap><sitemap><loc>/nested.xml</loc></sitemap></sitemapindex>`)
	s.handle("/a.xml.gz", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/gzip")
		z := gzip.NewWriter(w)
		fmt.Fprint(z, `<urlset>`)
		for i := range 300 {
			fmt.Fprintf(z, "<url><loc>%s/p%d</loc><lastmod>2026-01-02</lastmod></url>", s.host, i)
		}
		fmt.Fprintf(z, "<url><loc>%s/secret/x</loc></url><url><loc>http://elsewhere.example/</loc></url></urlset>", s.host)
		z.Close()
	})
	s.raw("/nested.xml", "application/xml", `<sitemapindex><sitemap><loc>`+s.host+`/deep.xml</loc></sitemap></sitemapindex>`)
	s.raw("/deep.xml", "application/xml", `<sitemapindex><sitemap><loc>`+s.host+`/toodeep.xml</loc></sitemap></sitemapindex>`)
	s.raw("/sitemap.xml", "text/plain", s.host+"/from-text\n")
	s.html("/from-text", "Found in a list of plain text")
	for i := range 300 {
		s.html(fmt.Sprintf("/p%d", i), fmt.Sprintf("Page %d, which only the sitemap knows: %s", i, words(i)))
	}
	r := newRig(t, nil)
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host}})
	if crawl.Fetched != 302 || crawl.Refused != 1 {
		t.Errorf("crawl: %+v", crawl)
	}
	for path, want := range map[string]int{"/index.xml": 1, "/a.xml.gz": 1, "/nested.xml": 1, "/deep.xml": 1, "/toodeep.xml": 0, "/sitemap.xml": 1} {
		if got := s.count(path); got != want {
			t.Errorf("%s was asked for %d times, want %d", path, got, want)
		}
	}
	if c := r.captured(s.host + "/a.xml.gz"); len(c) != 1 || c[0].Skip != "sitemap" {
		t.Errorf("sitemap is not on record: %+v", c)
	}
	if s.over > 0 {
		t.Errorf("%d requests came while another was being answered", s.over)
	}
}
