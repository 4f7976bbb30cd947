package crawl

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concord"
)

// essay is a text long enough for a simhash, the same for each seed.
func essay(seed int) string {
	var b strings.Builder
	for i := range 12 {
		b.WriteString(words(seed*1000+i) + ". ")
	}
	return b.String()
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := func(title, text, head string) string {
		return "<html lang=en><head><title>" + title + "</title>" + head + "</head><body><main><p>" + text + "</p></main></body></html>"
	}
	price := "The price is %d crowns. "
	s.html("/", "Where the copies are", "/exact-one", "/exact-two-longer", "/near-one", "/near-two-longer", "/price-one", "/price-two-longer")
	s.raw("/exact-one", "text/html", page("Same", essay(1), ""))
	s.raw("/exact-two-longer", "text/html", page("Same", essay(1), "<meta name=x content=y>"))
	s.raw("/near-one", "text/html", page("Near", essay(2), ""))
	s.raw("/near-two-longer", "text/html", page("Near", essay(2)+" indeed", ""))
	s.raw("/price-one", "text/html", page("Price", essay(3)+fmt.Sprintf(price, 100), ""))
	s.raw("/price-two-longer", "text/html", page("Price", essay(3)+fmt.Sprintf(price, 900), ""))
	r := newRig(t, nil)
	crawl := r.crawl(concord.CrawlSpec{Seeds: []string{s.host}})
	got := r.indexed()
	if crawl.Fetched != 7 || len(got) != 5 || crawl.Indexed != 5 {
		t.Errorf("crawl %+v, indexed %v", crawl, got)
	}
	for path, want := range map[string]string{"/exact": "exact duplicate", "/near": "near duplicate"} {
		one, two := r.why(s.host+path+"-one"), r.why(s.host+path+"-two-longer")
		if one.Indexed == two.Indexed {
			t.Errorf("%s: both or none indexed", path)
		}
		if two.Indexed {
			one, two = two, one
		}
		if two.Skip != want || two.Duplicate != one.URL {
			t.Errorf("%s: %+v", path, two)
		}
		if c := r.captured(two.URL); len(c) != 1 || c[0].Skip != want && len(r.captured(one.URL)) == 1 {
			t.Errorf("%s: capture %+v", path, c)
		}
	}
	for _, path := range []string{"/price-one", "/price-two-longer"} {
		if got[s.host+path] == "" {
			t.Errorf("%s has other numbers and was taken for a copy", path)
		}
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := func(title, canonical string) string {
		return fmt.Sprintf("<html><head><title>%s</title><link rel=canonical href=%q></head><body><main><p>%s</p></main></body></html>", title, canonical, essay(len(title)))
	}
	s.html("/", "Pages that name others", "/print", "/loop-a", "/away", "/to-missing", "/to-noindex")
	s.raw("/print", "text/html", page("Print view", "/article"))
	s.html("/article", "The article itself, "+essay(77))
	s.raw("/late", "text/html", page("Another view of it all", "/article"))
	s.raw("/loop-a", "text/html", page("Loop a", "/loop-b"))
	s.raw("/loop-b", "text/html", page("Loop b, longer", "/loop-a"))
	s.raw("/away", "text/html", page("Away, far away", "http://elsewhere.example/"))
	s.raw("/to-missing", "text/html", page("To a missing page", "/missing"))
	s.raw("/to-noindex", "text/html", page("To a page without index", "/noindex"))
	s.raw("/noindex", "text/html", "<meta name=robots content=noindex><title>x</title><p>nothing</p>")
	r := newRig(t, nil)
	r.crawl(concord.CrawlSpec{Seeds: []string{s.host}})
	r.crawl(concord.CrawlSpec{Seeds: []string{s.host + "/late"}, Depth: 1})
	got := r.indexed()
	for path, want := range map[string]bool{"/": true, "/article": true, "/print": false, "/late": false, "/away": true, "/to-missing": true, "/to-noindex": true} {
		if (got[s.host+path] != "") != want {
			t.Errorf("%s indexed: %v, want %v: %+v", path, !want, want, r.why(s.host+path))
		}
		if why := r.why(s.host + path); why.Indexed != want {
			t.Errorf("%s: state says %+v", path, why)
		}
	}
	if (got[s.host+"/loop-a"] != "") == (got[s.host+"/loop-b"] != "") {
		t.Errorf("of two pages that name each other one stays: %v", got)
	}
	if why := r.why(s.host + "/print"); why.Skip != "canonical elsewhere" || why.Duplicate != s.host+"/article" {
		t.Errorf("print: %+v", why)
	}
}

// TestRecrawl looks at pages again: unchanged, changed, gone, and moved.
func TestRecrawl(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var round atomic.Int32
	s.html("/", "The front page", "/etag", "/same", "/changes", "/gone", "/moves")
	s.handle("/etag", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `W/"a b\"c"`)
		w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 09:00:00 GMT")
		w.Header().Set("Content-Type", "text/html")
		if m := r.Header.Get("If-None-Match"); m != "" {
			if m != `W/"a b\"c"` || r.Header.Get("If-Modified-Since") != "" {
				t.Errorf("If-None-Match: %s, If-Modified-Since: %s", m, r.Header.Get("If-Modified-Since"))
			}
			w.WriteHeader(304)
			return
		}
		fmt.Fprint(w, htmlPage("Tagged", "A page with an entity tag"))
	})
	s.html("/same", "A page that is always the same")
	s.handle("/changes", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, htmlPage("Changing", fmt.Sprintf("This is what it says at time %d", round.Load()), fmt.Sprintf("/new%d", round.Load())))
	})
	s.html("/new0", "There from the beginning")
	s.html("/new1", "Only linked to later")
	s.handle("/gone", func(w http.ResponseWriter, r *http.Request) {
		if round.Load() > 0 {
			w.WriteHeader(410)
			return
		}
		fmt.Fprint(w, htmlPage("Soon gone", "A page that will not be here for long"))
	})
	s.handle("/moves", func(w http.ResponseWriter, r *http.Request) {
		if round.Load() > 0 {
			http.Redirect(w, r, "/same", http.StatusMovedPermanently)
			return
		}
		fmt.Fprint(w, htmlPage("Will move", "A page that will be elsewhere soon"))
	})
	r := newRig(t, func(c *Config) {
		c.Recrawl = Recrawl{First: 300 * time.Millisecond, Min: 100 * time.Millisecond, Max: 400 * time.Millisecond, Gone: 100 * time.Millisecond}
	})
	id := r.begin(concord.CrawlSpec{Seeds: []string{s.host}})
	first := r.wait(id)
	if first.Fetched != 7 || first.Indexed != 7 {
		t.Errorf("first crawl: %+v", first)
	}
	round.Store(1)
	until(t, "recrawls", func() bool {
		return s.count("/etag") > 2 && s.count("/same") > 2 && r.why(s.host+"/gone").State == "gone" && s.count("/new1") > 0 && len(r.indexed()) == 6
	})
	again, _ := r.c.Crawl(t.Context(), id)
	if !again.Finished.Equal(first.Finished) || again.Fetched != 8 || again.Indexed < 7 {
		t.Errorf("after the recrawls: %+v", again)
	}
	for path, status := range map[string]int{"/etag": 304, "/same": 200} {
		c := r.captured(s.host + path)
		if len(c) < 2 || c[1].Revisit != c[0].ID || c[1].Status != status || c[1].Raw != c[0].Raw || c[1].Skip != "unchanged" || c[1].Location == c[0].Location {
			t.Errorf("%s: %+v", path, c[1])
			continue
		}
		rec, err := r.arc.Read(c[1].Location)
		if err != nil || rec.Type() != "revisit" {
			t.Errorf("%s: record %v, %v", path, rec, err)
		}
	}
	got := r.indexed()
	if got[s.host+"/gone"] != "" || got[s.host+"/moves"] != "" || got[s.host+"/etag"] == "" || got[s.host+"/same"] == "" || got[s.host+"/new1"] == "" {
		t.Errorf("indexed: %v", got)
	}
	if why := r.why(s.host + "/changes"); !why.Indexed {
		t.Errorf("why: %+v", why)
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(8 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 8 s", what)
		}
	}
}

func TestInterval(t *testing.T) {
	t.Parallel()
	c := Config{}.withDefaults().Recrawl
	day := 24 * time.Hour
	next := func(last time.Duration, r urlRecord, changed bool) time.Duration {
		return c.interval(&urlRecord{Fetched: 1, Interval: last.Milliseconds()}, &r, &fetchedMsg{Changed: changed})
	}
	for _, k := range []struct {
		last    time.Duration
		changed bool
		want    time.Duration
	}{{0, false, 7 * day}, {8 * day, false, 12 * day}, {8 * day, true, 4 * day}, {80 * day, false, 90 * day}, {time.Hour, true, time.Hour}} {
		if got := next(k.last, urlRecord{}, k.changed); got != k.want {
			t.Errorf("%+v: %s", k, got)
		}
	}
	if got := next(8*day, urlRecord{Missing: 1}, false); got != day {
		t.Errorf("missing page: %s", got)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	same := numbersOf("costs 10 or 20, or 10")
	if same != numbersOf("20 and 10") || same == numbersOf("10 and 21") || numbersOf("none") != 0 || numbersOf("102") == numbersOf("10 2") {
		t.Error("numbers are a set")
	}
}
