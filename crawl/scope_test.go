package crawl

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"concord"
	"concord/weburl"
)

func TestScopes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		spec string // scope, seeds, include, exclude
		in   string
		out  string
	}{
		{"host http://a.example/x", "http://a.example/ https://a.example/y http://www.a.example/z", "http://b.a.example/ http://a.example:8080/ http://example/"},
		{"host http://www.a.example:81/x", "http://a.example:81/ http://www.a.example:81/q", "http://a.example/"},
		{"site http://b.a.example/x", "http://a.example/ https://c.d.a.example:8443/", "http://b.example/ http://xa.example/"},
		{"prefix http://a.example/docs/v1/index.html", "http://a.example/docs/v1/ https://a.example/docs/v1/x/y?z=/ http://a.example/docs/v1/index.html",
			"http://a.example/docs/v2/ http://a.example/docs/v1 http://a.example/ http://b.example/docs/v1/"},
		{"prefix http://a.example/", "http://a.example/x/y", "http://b.example/"},
		{"host http://a.example/ +/keep/ +[.]html$", "http://a.example/keep/1 http://a.example/x.html", "http://a.example/x"},
		{"host http://a.example/ -/drop/ -[?]", "http://a.example/keep", "http://a.example/drop/1 http://a.example/keep?x=1"},
		{"host http://a.example/ +e/a -/b", "http://a.example/a", "http://a.example/a/b http://a.example/c"},
	}
	for _, c := range cases {
		f := strings.Fields(c.spec)
		spec := concord.CrawlSpec{Scope: concord.Scope(f[0]), Seeds: f[1:2]}
		for _, x := range f[2:] {
			if x[0] == '+' {
				spec.Include = append(spec.Include, x[1:])
			} else {
				spec.Exclude = append(spec.Exclude, x[1:])
			}
		}
		p, err := newPlan(1, spec, 0)
		if err != nil {
			t.Fatal(err)
		}
		for want, list := range map[bool]string{true: c.in, false: c.out} {
			for _, raw := range strings.Fields(list) {
				u, err := weburl.Parse(raw)
				if err != nil {
					t.Fatal(err)
				}
				if why := p.refuse(u); (why == "") != want {
					t.Errorf("%s: %s is in: %v (%s)", c.spec, raw, !want, why)
				}
			}
		}
	}
}

func TestSpecsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	seed := []string{"http://a.example/"}
	for want, spec := range map[string]concord.CrawlSpec{
		"at least one URL":     {},
		"seed 1, \"ftp://x/\"": {Seeds: []string{"ftp://x/"}},
		"scope \"galaxy\"":     {Seeds: seed, Scope: "galaxy"},
		"depth -2":             {Seeds: seed, Depth: -2},
		"-5 pages":             {Seeds: seed, MaxPages: -5},
		"include pattern":      {Seeds: seed, Include: []string{"("}},
		"exclude pattern":      {Seeds: seed, Exclude: []string{"[z-a]"}},
		"10001 URLs":           {Seeds: make([]string, 10_001)},
		"private address":      {Seeds: []string{"http://192.168.1.1/"}},
	} {
		_, err := r.c.Start(t.Context(), spec)
		if concord.KindOf(err) != concord.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", spec.Seeds[:min(1, len(spec.Seeds))], err, want)
		}
	}
	for _, id := range []string{"", "x", "0123456789abcdef"} {
		if _, err := r.c.Crawl(t.Context(), id); concord.KindOf(err) != concord.NotFound {
			t.Errorf("crawl %q: %v", id, err)
		}
		if err := r.c.Stop(t.Context(), id); concord.KindOf(err) != concord.NotFound {
			t.Errorf("stop %q: %v", id, err)
		}
	}
}

// TestMaxPages holds a crawl of several partitions to its limit exactly, redirects and errors not counted.
func TestMaxPages(t *testing.T) {
	t.Parallel()
	var seeds []string
	var sites []*site
	for range 5 {
		s := mesh(t, 40)
		s.status("/p1", 302, "Location", "/p30")
		s.status("/p2", 404)
		sites, seeds = append(sites, s), append(seeds, s.host+"/p0")
		s.html("/p0", "Where this mesh begins "+s.host, "/p1", "/p2", "/p3", "/p4", "/p5", "/p6", "/p7", "/p8", "/p9", "/p10", "/p11")
	}
	r := newRig(t, nil)
	crawl := r.crawl(concord.CrawlSpec{Seeds: seeds, MaxPages: 33})
	pages := 0
	for _, s := range sites {
		for _, h := range s.requests() {
			if strings.HasPrefix(h.path, "/p") && h.path != "/p1" && h.path != "/p2" {
				pages++
			}
		}
	}
	if pages != 33 || crawl.Indexed != 33 || crawl.Refused == 0 || crawl.Queued != 0 {
		t.Errorf("%d pages: %+v", pages, crawl)
	}
	found := false
	for i := range 40 {
		why := r.why(fmt.Sprintf("%s/p%d", sites[0].host, i))
		found = found || why.State == "refused" && strings.Contains(why.Reason, "page limit")
	}
	if !found {
		t.Error("no URL tells of the page limit")
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 6 {
		s.html(fmt.Sprintf("/d%d", i), "Deeper and deeper "+words(i), fmt.Sprintf("/d%d", i+1))
	}
	r := newRig(t, nil)
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/d0"}, Depth: 3})
	if crawl.Fetched != 4 || s.count("/d4") != 0 {
		t.Errorf("crawl: %+v", crawl)
	}
}

func TestTrapsEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.handle("*", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" || r.URL.Path == "/sitemap.xml" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, htmlPage(r.URL.Path, "You are at "+r.URL.Path+" "+words(len(r.URL.Path)), r.URL.Path+"/again", fmt.Sprintf("%s-%d", r.URL.Path, len(s.requests()))))
	})
	r := newRig(t, func(c *Config) { c.Bounds.HostURLs = 50 })
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/maze"}, Depth: 1000})
	if crawl.Fetched > 50 || crawl.Fetched < 10 || crawl.Refused == 0 {
		t.Errorf("crawl: %+v", crawl)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	s := mesh(t, 2000)
	r := newRig(t, nil)
	id := r.begin(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}})
	until(t, "some pages", func() bool { return len(s.requests()) > 20 })
	for range 2 {
		if err := r.c.Stop(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	crawl := r.wait(id)
	n := len(s.requests())
	if crawl.Queued != 0 || n > 1900 {
		t.Errorf("crawl: %+v, %d requests", crawl, n)
	}
	again := r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/p0"}, Depth: 2})
	if again.Fetched != 7 {
		t.Errorf("a later crawl: %+v", again)
	}
	list, err := r.c.Crawls(t.Context())
	if err != nil || len(list) != 2 || list[0].ID != again.ID || list[1].ID != id {
		t.Errorf("crawls: %+v, %v", list, err)
	}
}

func TestSeedsOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.status("/robots.txt", 404)
	s.html("/a", "the first of the seeds", "/c")
	s.html("/b", "the second of the seeds", "/c")
	s.html("/c", "what nobody asked for")
	s.raw("/sitemap.xml", "application/xml", "<urlset><url><loc>"+s.host+"/c"+"</loc></url></urlset>")
	r := newRig(t, nil)
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/a", s.host + "/b"}, Depth: concord.SeedsOnly})
	if crawl.Fetched != 2 || s.count("/c") != 0 || s.count("/sitemap.xml") != 0 {
		t.Errorf("%+v; /c asked for %d times, the sitemap %d times", crawl, s.count("/c"), s.count("/sitemap.xml"))
	}
}
