package crawl

import (
	"strings"
	"testing"

	"concord"
	"concord/warc"
)

func TestVisit(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	s, other := newSite(t), newSite(t)
	s.raw("/robots.txt", "text/plain", "User-agent: *\nDisallow: /private\n")
	s.html("/page", "A page like any other page of the web, with some words")
	s.status("/moved", 302, "Location", other.host+"/there")
	s.status("/hidden", 302, "Location", s.host+"/private")
	s.status("/loop", 302, "Location", s.host+"/loop")
	s.status("/gone", 410)
	s.raw("/data", "application/octet-stream", "\x00\x01")
	other.html("/there", "Another page of another site, with other words")

	v, err := r.c.Visit(t.Context(), s.host+"/page", true)
	if err != nil {
		t.Fatal(err)
	}
	c := v.Capture
	if c == nil || c.Status != 200 || v.URL != s.host+"/page" || !strings.Contains(v.Text, "A page like any other") || c.Text != concord.Sum([]byte(v.Text)) ||
		c.Profile != "text-1" || c.Skip != concord.SkipWitness || c.Crawl != concord.WitnessCrawl || c.Robots.IsZero() || c.Location.File == "" || len(v.Captures) != 2 {
		t.Errorf("%+v %+v", v, c)
	}
	if got := len(r.captures.events()); got != 0 {
		t.Errorf("%d messages before the visit was announced", got)
	}
	rec, err := r.arc.Read(c.Location)
	if err != nil || concord.Sum(rec.Block) != c.Record {
		t.Errorf("the record is not in the archive: %v", err)
	}
	for range 2 {
		if err := r.c.Announce(t.Context(), v.Captures); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(r.captures.events()); got != 2 {
		t.Errorf("%d messages for two captures", got)
	}

	if v, err := r.c.Visit(t.Context(), s.host+"/moved", true); err != nil || v.URL != other.host+"/there" || v.Capture.URL != other.host+"/there" || len(v.Captures) != 4 ||
		v.Captures[1].Redirect != other.host+"/there" {
		t.Errorf("a redirect: %+v %v", v, err)
	}
	if v, err := r.c.Visit(t.Context(), s.host+"/loop", true); err != nil || v.Capture.Status != 302 || len(v.Captures) > 20 {
		t.Errorf("a loop: %+v %v", v, err)
	}
	if v, err := r.c.Visit(t.Context(), s.host+"/gone", true); err != nil || v.Capture.Status != 410 || v.Text != "" || !v.Capture.Text.IsZero() {
		t.Errorf("a page that is gone: %+v %v", v, err)
	}
	if v, err := r.c.Visit(t.Context(), s.host+"/data", true); err != nil || v.Capture.Status != 200 || v.Text != "" {
		t.Errorf("data: %+v %v", v, err)
	}
	for _, c := range []struct {
		url     string
		private bool
		want    concord.Kind
	}{
		{s.host + "/private", true, concord.Unauthorized}, {s.host + "/hidden", true, concord.Unauthorized}, {s.host + "/page", false, concord.Unauthorized},
		{"http://127.0.0.1/", false, concord.Unauthorized}, {"ftp://example.org/", true, concord.Invalid},
	} {
		if v, err := r.c.Visit(t.Context(), c.url, c.private); concord.KindOf(err) != c.want {
			t.Errorf("%s: %+v, %v", c.url, v, err)
		}
	}
	if s.count("/private") != 0 {
		t.Error("a forbidden page was asked for")
	}
	if s.over != 0 {
		t.Error("the host was asked twice at once")
	}
	if v, err := r.c.Visit(t.Context(), "http://127.0.0.9:1/", true); err != nil || v.Capture != nil || v.Failed == "" || v.Text != "" {
		t.Errorf("a host that does not answer: %+v %v", v, err)
	}
}

// A rebuild makes the same captures of visits again, and the frontier hears nothing of them.
func TestVisitIsRebuilt(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	s := newSite(t)
	s.html("/page", "A page like any other page of the web, with some words")
	v, err := r.c.Visit(t.Context(), s.host+"/page", true)
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.cfg
	cfg.Dir = t.TempDir() + "/again"
	b, err := NewRebuild(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var again []*concord.Capture
	err = r.arc.Walk(t.Context(), func(e warc.Entry) error {
		out, err := b.Apply(t.Context(), b.Prepare(t.Context(), e))
		if out.Capture != nil {
			again = append(again, out.Capture)
			if !out.Own {
				t.Errorf("%s is not our own", out.Capture.URL)
			}
		}
		return err
	}, nil, nil)
	if err != nil || len(again) != len(v.Captures) {
		t.Fatalf("%d captures, %v", len(again), err)
	}
	for i, c := range again {
		if *c != *v.Captures[i] {
			t.Errorf("made again as %+v, was %+v", c, v.Captures[i])
		}
	}
	if u, err := b.c.URL(t.Context(), s.host+"/page"); err != nil || u.Known != (concord.URLStatus{}).Known {
		t.Errorf("the frontier knows %+v %v", u, err)
	}
}
