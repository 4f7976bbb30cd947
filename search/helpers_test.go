package search

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"concord"
	"concord/index"
)

// write makes a segment of documents.
func write(t testing.TB, cfg index.Config, docs ...*index.Document) *index.Segment {
	t.Helper()
	b := index.NewBuilder(cfg)
	for _, d := range docs {
		if err := b.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "segment")
	if _, err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	return open(t, path)
}

func open(t testing.TB, path string) *index.Segment {
	t.Helper()
	s, err := index.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// searchers returns a searcher of all segments, and it by name beside a fan-out over shards of one segment each: these give the same answers.
func searchers(t *testing.T, segs []*index.Segment) (one *Searcher, both map[string]concord.Searcher) {
	t.Helper()
	one = New(segs...)
	t.Cleanup(func() { one.Close() })
	var shards []concord.Searcher
	for _, seg := range segs {
		s := New(seg)
		t.Cleanup(func() { s.Close() })
		shards = append(shards, s)
	}
	fan, err := NewFanout(FanoutConfig{Shards: shards, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return one, map[string]concord.Searcher{"one searcher": one, "fan-out": fan}
}

func page(url, title, body string) *index.Document {
	site := strings.SplitN(strings.TrimPrefix(url, "https://"), "/", 2)[0]
	return &index.Document{URL: url, Site: site, Host: site, Language: "en", FileType: "html", Title: title, Body: body,
		Fetched: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Capture: "01234567-89ab-cdef-0123-456789abcdef"}
}

// dataFile returns the path of a file of the shared real data and skips the test where it is absent.
func dataFile(t testing.TB, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "shared", "data"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: real data is absent (%v); run this test where ../shared/data has it", err)
	}
	return path
}

// eachDocument reads a corpus of objects with _id, title and text.
func eachDocument(t testing.TB, path string, limit int, f func(id, title, body string)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := zstd.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 64<<20)
	for n := 0; sc.Scan() && (limit == 0 || n < limit); n++ {
		var d struct {
			ID    string `json:"_id"`
			Title string `json:"title"`
			Text  string `json:"text"`
		}
		if err := json.Unmarshal(sc.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		f(d.ID, d.Title, d.Text)
	}
	if sc.Err() != nil {
		t.Fatal(sc.Err())
	}
}

func urlOf(id string) string { return "https://corpus.example/" + fmt.Sprintf("%x", id) }
