package shard

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/bus"
	"concord/index"

	"github.com/google/uuid"
)

// fixture is a shard on a real log.
type fixture struct {
	t    *testing.T
	dir  string
	log  concord.Log
	s    *Shard
	stop func()
	cfg  Config
}

func newFixture(t *testing.T) *fixture {
	b, err := bus.Open(t.Context(), bus.Config{Dir: t.TempDir(), NodeName: "n", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	l, err := b.Log(t.Context(), "CAPTURES", "capture.*")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, dir: t.TempDir(), log: l}
	f.cfg = Config{Dir: f.dir, Log: l, Logger: slog.New(slog.DiscardHandler), idle: 200 * time.Millisecond}
	f.open()
	t.Cleanup(func() { f.stop(); f.s.Close() })
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	var err error
	if f.s, err = Open(f.t.Context(), f.cfg); err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.s.Run(ctx) }()
	f.stop = func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("run: %v", err)
		}
		done <- nil
	}
}

func (f *fixture) reopen() {
	f.t.Helper()
	f.stop()
	if err := f.s.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.open()
}

func event(url, title, skip string, status int, at int64) *concord.Event {
	c := &concord.Capture{ID: uuid.NewString(), URL: url, Time: time.Unix(at, 0).UTC(), Status: status, Skip: skip, Raw: concord.Sum([]byte(title)), Record: concord.Sum([]byte(url))}
	e := &concord.Event{Capture: c}
	if skip == "" {
		e.Page = &concord.Page{URL: url, Title: title, Language: "en", Body: "text about " + title, FileType: "html"}
	}
	return e
}

func (f *fixture) send(events ...*concord.Event) uint64 {
	f.t.Helper()
	var last uint64
	for len(events) > 0 {
		n := min(len(events), 500)
		var ms []concord.Message
		for _, e := range events[:n] {
			data, err := e.Encode()
			if err != nil {
				f.t.Fatal(err)
			}
			ms = append(ms, concord.Message{Subject: concord.CaptureSubject(0), Data: data})
		}
		events = events[n:]
		seq, err := f.log.Append(f.t.Context(), ms...)
		if err != nil {
			f.t.Fatal(err)
		}
		last = seq
	}
	return last
}

func (f *fixture) wait(seq uint64) {
	f.t.Helper()
	for start := time.Now(); f.s.Position() < seq; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			f.t.Fatalf("position %d does not reach %d", f.s.Position(), seq)
		}
	}
}

// pages returns "url title" of every live document.
func (f *fixture) pages() []string {
	f.t.Helper()
	var list []string
	for _, v := range f.s.Views() {
		for d := range v.Docs() {
			if v.Deleted(indexDoc(d)) {
				continue
			}
			doc, err := v.Document(indexDoc(d))
			if err != nil {
				f.t.Fatal(err)
			}
			list = append(list, doc.URL+" "+doc.Title)
		}
		v.Close()
	}
	sort.Strings(list)
	return list
}

func (f *fixture) expect(want ...string) {
	f.t.Helper()
	sort.Strings(want)
	if got := f.pages(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		f.t.Fatalf("pages\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNewestIndexableCaptureIsWhatIsFound(t *testing.T) {
	f := newFixture(t)
	f.wait(f.send(
		event("http://a.example/1", "one", "", 200, 100),
		event("http://a.example/2", "two", "", 200, 100),
		event("http://a.example/3", "three", "", 200, 100),
		event("http://a.example/4", "four", "", 200, 100),
		event("http://a.example/5", "", "noindex", 200, 100)))
	revisit := event("http://a.example/4", "", "unchanged", 200, 200)
	revisit.Capture.Revisit = "earlier"
	f.wait(f.send(
		event("http://a.example/1", "one again", "", 200, 200),
		event("http://a.example/2", "", "redirect", 301, 200),
		event("http://a.example/3", "", "status 503", 503, 200),
		revisit,
		event("http://a.example/4", "", concord.SkipOlder, 200, 50),
		event("http://a.example/4", "", concord.SkipRevisit, 200, 60),
		&concord.Event{Remove: &concord.Removal{URL: "http://a.example/9", Reason: "never was here"}}))
	f.expect("http://a.example/1 one again", "http://a.example/3 three", "http://a.example/4 four")
	f.reopen()
	f.expect("http://a.example/1 one again", "http://a.example/3 three", "http://a.example/4 four")
	f.wait(f.send(&concord.Event{Remove: &concord.Removal{URL: "http://a.example/1", Reason: "gone"}}))
	f.expect("http://a.example/3 three", "http://a.example/4 four")
	if a, err := f.s.Searcher().Search(t.Context(), concord.Request{Query: "text about three", Limit: 10}); err != nil || len(a.Hits) != 1 || a.Hits[0].URL != "http://a.example/3" {
		t.Fatalf("search: %+v, %v", a, err)
	}

	cs, err := f.s.Captures("http://a.example/1", 10)
	if err != nil || len(cs) != 2 || cs[0].Time.Unix() != 200 || cs[1].Time.Unix() != 100 {
		t.Fatalf("captures of /1, newest first: %+v, %v", cs, err)
	}
	c, err := f.s.Capture(cs[1].ID)
	if err != nil || c.URL != "http://a.example/1" || c.Time.Unix() != 100 {
		t.Fatalf("capture by ID: %+v, %v", c, err)
	}
	if _, err := f.s.Capture("nobody"); concord.KindOf(err) != concord.NotFound {
		t.Fatalf("unknown capture: %v", err)
	}
	if n := f.s.Status().Captures; n != 11 {
		t.Errorf("%d captures counted, want 11", n)
	}
}

func TestLateLinkTextsReachTheDocument(t *testing.T) {
	f := newFixture(t)
	url := "http://a.example/target"
	f.wait(f.send(&concord.Event{Anchors: []concord.Anchor{{URL: url, Text: "early"}}}, event(url, "target", "", 200, 1)))
	var many []concord.Anchor
	for i := range 40 {
		many = append(many, concord.Anchor{URL: url, Text: fmt.Sprintf("late %02d", i)})
	}
	f.wait(f.send(&concord.Event{Anchors: many}))
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		views := f.s.Views()
		d, err := find(views, url)
		for _, v := range views {
			v.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Anchors) == maxAnchors && d.Anchors[0] == "early" && d.Title == "target" {
			break
		}
		if time.Since(start) > 9*time.Second {
			t.Fatalf("link texts %q", d.Anchors)
		}
	}
	f.expect(url + " target")
}

// A random history, with merges under way and reopenings, must end with what a map says.
func TestRandomHistoryAgainstAMap(t *testing.T) {
	f := newFixture(t)
	rng := rand.New(rand.NewPCG(7, 7))
	want := map[string]string{}
	for round := range 12 {
		var events []*concord.Event
		for i := range 120 {
			url := fmt.Sprintf("http://s%d.example/%d", rng.IntN(5), rng.IntN(150))
			switch rng.IntN(8) {
			case 0:
				events = append(events, &concord.Event{Remove: &concord.Removal{URL: url, Reason: "test"}})
				delete(want, url)
			case 1:
				events = append(events, event(url, "", "exact duplicate", 200, int64(round*1000+i)))
				delete(want, url)
			default:
				title := fmt.Sprintf("round %d item %d", round, i)
				events = append(events, event(url, title, "", 200, int64(round*1000+i)))
				want[url] = title
			}
		}
		f.wait(f.send(events...))
		if round%5 == 4 {
			f.reopen()
		}
	}
	var list []string
	for u, title := range want {
		list = append(list, u+" "+title)
	}
	f.expect(list...)
	if n := f.s.Status().Segments; n > 3*mergeFactor {
		t.Errorf("%d segments are left: merging does not keep up", n)
	}
}

func TestDamagedSegmentIsRepairedFromTheArchive(t *testing.T) {
	f := newFixture(t)
	var events []*concord.Event
	pages := map[string]*concord.Page{}
	var want []string
	for i := range 300 {
		e := event(fmt.Sprintf("http://a.example/%d", i), fmt.Sprintf("page %d", i), "", 200, 1)
		pages[e.Capture.ID] = e.Page
		events = append(events, e)
		want = append(want, e.Capture.URL+" "+e.Page.Title)
	}
	f.wait(f.send(events...))
	f.wait(f.send(event("http://a.example/7", "", "noindex", 200, 2)))
	want = append(want[:7], want[8:]...)
	f.stop()
	f.s.Close()
	files, _ := filepath.Glob(filepath.Join(f.dir, "segments", "*.seg"))
	if len(files) == 0 {
		t.Fatal("no segment file")
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), f.cfg); concord.KindOf(err) != concord.Corrupt {
		t.Fatalf("damage without an archive must be refused, got %v", err)
	}
	f.cfg.Reextract = func(_ context.Context, c *concord.Capture) (*concord.Page, error) { return pages[c.ID], nil }
	f.open()
	f.expect(want...)
	f.reopen()
	f.expect(want...)
}

func indexDoc(d int) index.DocID { return index.DocID(d) }
