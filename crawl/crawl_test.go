package crawl

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"concord"
)

func TestCrawlsASite(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.html("/", "The first page of a small site", "/a", "/b", "/missing", "http://elsewhere.example/")
	s.html("/a", "About apples and their many kinds", "/", "/b", "/c")
	s.html("/b", "About bees and the honey that they make", "/a")
	s.html("/c", "About cats, of which there are not many here")
	s.raw("/robots.txt", "text/plain", "User-agent: *\nDisallow: /b\n")
	r := newRig(t, nil)
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/"}})
	if crawl.Fetched != 4 || crawl.Indexed != 3 || crawl.Skipped != 1 || crawl.Refused != 1 || crawl.Failed != 0 || crawl.Queued != 0 {
		t.Errorf("crawl: %+v", crawl)
	}
	for _, path := range []string{"/", "/a", "/c", "/robots.txt", "/missing"} {
		if n := s.count(path); n != 1 {
			t.Errorf("%s was asked for %d times", path, n)
		}
	}
	if got := r.why(s.host + "/b"); got.State != "refused" || !strings.Contains(got.Reason, "robots.txt line 2") {
		t.Errorf("why /b: %+v", got)
	}
	if got := r.why(s.host + "/a"); got.State != "fetched" || !got.Indexed || got.From != s.host+"/" || got.Depth != 1 {
		t.Errorf("why /a: %+v", got)
	}
	if got := r.why(s.host + "/missing"); got.State != "fetched" || got.Status != 404 || got.Skip != "status 404" {
		t.Errorf("why /missing: %+v", got)
	}
	if c := r.captured(s.host + "/a"); len(c) != 1 || c[0].Robots.IsZero() || c[0].Location.Length == 0 {
		t.Errorf("capture of /a: %+v", c)
	}
	if s.over > 0 {
		t.Errorf("%d requests came while another was being answered", s.over)
	}
	for _, h := range s.requests() {
		if h.agent != "Concord/"+concord.Version+" (+https://test.example/bot; operated by test.example)" {
			t.Fatalf("user agent %q", h.agent)
		}
	}
}

// mesh is a site of n pages that link to each other, every page within reach of the first.
func mesh(t testing.TB, n int, change ...func(*http.Server)) *site {
	s := newSite(t, change...)
	for i := range n {
		links := []string{"/p0", fmt.Sprintf("/p%d", i/2)}
		for _, to := range []int{2*i + 1, 2*i + 2} {
			if to < n {
				links = append(links, fmt.Sprintf("/p%d", to))
			}
		}
		s.html(fmt.Sprintf("/p%d", i), fmt.Sprintf("Page %d of this mesh says something that no other page says: %s", i, words(i)), links...)
	}
	return s
}

// words are forty words that differ from page to page.
func words(i int) string {
	list := strings.Fields("amber birch cedar dune ember fjord grove heath islet jetty knoll ledge marsh north ocean pines quarry ridge shore tundra")
	var b strings.Builder
	x := uint32(i)*2654435761 + 12345
	for range 40 {
		x = x*1664525 + 1013904223
		b.WriteString(list[x>>16%uint32(len(list))%20] + " ")
	}
	return b.String()
}

func TestCrawlsMeshes(t *testing.T) {
	t.Parallel()
	var seeds []string
	var sites []*site
	for range 4 {
		s := mesh(t, 60)
		sites, seeds = append(sites, s), append(seeds, s.host+"/p0")
	}
	r := newRig(t, nil)
	crawl := r.crawl(concord.CrawlSpec{Seeds: seeds})
	if crawl.Fetched != 240 || crawl.Indexed != 240 {
		t.Errorf("crawl: %+v", crawl)
	}
	for _, s := range sites {
		if s.over > 0 {
			t.Errorf("%d requests came while another was being answered", s.over)
		}
	}
}
