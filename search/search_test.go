package search

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"concord"
	"concord/index"
	"concord/text"
)

func searchOne(t *testing.T, s concord.Searcher, q string) *concord.Answer {
	t.Helper()
	a, err := s.Search(t.Context(), concord.Request{Query: q, Limit: 10})
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return a
}

// show writes a snippet with its matches in brackets.
func show(frags []concord.Fragment) string {
	var b strings.Builder
	for _, f := range frags {
		if f.Match {
			b.WriteString("[" + f.Text + "]")
		} else {
			b.WriteString(f.Text)
		}
	}
	return b.String()
}

func TestSnippets(t *testing.T) {
	filler := strings.Repeat("Nothing of interest is said in this sentence. ", 40)
	doc := page("https://a.example/1", "Rivers", "A first paragraph.\n"+filler+"\nHere the river was flooding the meadows. "+filler+"Engineers built a dam upstream. "+filler)
	doc.Description = "All about rivers, floods and dams."
	short := page("https://a.example/2", "Short", "One line about zebras only.")
	no := page("https://a.example/3", "None", "A secret about unicorns.")
	no.NoSnippet = true
	clipped := page("https://a.example/4", "Clipped", "A dragon is mentioned at the beginning of a long sentence that goes on.")
	clipped.MaxSnippet = 20
	titled := page("https://a.example/5", "Griffins", filler)
	titled.Description = "What the griffin does."
	s := New(write(t, index.Config{}, doc, short, no, clipped, titled))
	defer s.Close()
	for q, want := range map[string]string{
		"floods":       "Here the river was [flooding] the meadows. Nothing of interest",
		"rivers flood": "Here the [river] was [flooding] the meadows.",
		"river dam":    "Engineers built a [dam] upstream.",
		"zebra":        "One line about [zebras] only.",
		"unicorn":      "",
		"dragon":       "A [dragon] is",
		"griffin":      "What the [griffin] does.",
		"intitle:none": "",
		"flo*":         "Here the river was [flooding] the meadows. Nothing of interest",
		"rivre~ flo*":  "Here the [river] was [flooding] the meadows.",
		"zebar~":       "One line about [zebras] only.",
		"rivers -ze*":  "Here the [river] was flooding",
	} {
		a := searchOne(t, s, q)
		if len(a.Hits) == 0 {
			t.Errorf("%s: no hits", q)
			continue
		}
		got := show(a.Hits[0].Snippet)
		plain := strings.NewReplacer("[", "", "]", "").Replace(got)
		if n := len([]rune(plain)); !strings.Contains(got, strings.TrimSpace(want)[:min(len(want), 40)]) || n > snippetLen+2*len(ellipsis) {
			t.Errorf("%s: snippet %q of %d characters, want %q in it", q, got, n, want)
		}
	}
	if got := show(searchOne(t, s, "river dam").Hits[0].Snippet); !strings.Contains(got, "[river]") || !strings.Contains(got, ellipsis) || !strings.Contains(got, "[dam]") {
		t.Errorf("two fragments: %q", got)
	}
	if got := show(searchOne(t, s, "dragon").Hits[0].Snippet); len([]rune(got)) > 20+2 {
		t.Errorf("max-snippet 20: %q", got)
	}
}

func FuzzSnippet(f *testing.F) {
	f.Add("A river. Über dem Fluss… 東京都の川。\n\nnext", "river", uint16(40))
	f.Add(strings.Repeat("river ", 300), "river", uint16(0))
	f.Add("\xff\xfe river \xf0", "river", uint16(5))
	f.Fuzz(func(t *testing.T, body, word string, limit uint16) {
		s := &snippets{terms: map[string]int{word: 0, "river": 1}, analyzers: map[string]*text.Analyzer{}, words: 2}
		d := &index.Document{Body: body, MaxSnippet: int(limit)}
		frags := s.of(d)
		n := 0
		for _, fr := range frags {
			if fr.Text == "" || strings.Contains(fr.Text, "\n") {
				t.Fatalf("fragment %q", fr.Text)
			}
			n += len([]rune(fr.Text))
		}
		if limit > 0 && n > int(limit) || n > snippetLen+ellipses {
			t.Fatalf("%d characters, limit %d", n, limit)
		}
	})
}

func TestSuggestion(t *testing.T) {
	s := New(write(t, index.Config{},
		page("https://a.example/1", "Information retrieval", "Retrieval of documents: indexing, ranking, evaluating."),
		page("https://a.example/2", "Gardening", "Roses and tulips grow in gardens. Evaluation of soil.")))
	defer s.Close()
	for q, want := range map[string]string{
		"retreival":                "retrieval",
		"informtion retreival":     "information retrieval",
		"\"informtion retrieval\"": "\"information retrieval\"",
		"intitle:gardning":         "intitle:gardening",
		"tulips xqzvvwk":           "",
		"retrieval":                "",
		"roses -gradens retreival": "",
	} {
		a := searchOne(t, s, q)
		if a.Suggestion != want {
			t.Errorf("%s: suggestion %q, want %q", q, a.Suggestion, want)
		}
		if want != "" {
			if got := searchOne(t, s, want); got.Total == 0 {
				t.Errorf("suggestion %q has no results", want)
			}
		}
	}
}

func TestBadRequests(t *testing.T) {
	s := New(write(t, index.Config{}, page("https://a.example/1", "x", "y")))
	for name, req := range map[string]concord.Request{
		"no limit": {Query: "x"}, "limit": {Query: "x", Limit: 101}, "offset": {Query: "x", Limit: 1, Offset: 10_001}, "negative": {Query: "x", Limit: 1, Offset: -1},
		"empty": {Query: "", Limit: 1}, "quote": {Query: `"never closed`, Limit: 1}, "long": {Query: strings.Repeat("x ", 2000), Limit: 1},
	} {
		_, err := s.Search(t.Context(), req)
		if concord.KindOf(err) != concord.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		var qe *concord.QueryError
		if (name == "quote" || name == "long" || name == "empty") && !errors.As(err, &qe) {
			t.Errorf("%s: %v wraps no QueryError", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Search(ctx, concord.Request{Query: "y", Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	s.Close()
	if _, err := s.Search(t.Context(), concord.Request{Query: "x", Limit: 1}); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("closed: %v", err)
	}
	empty := New()
	defer empty.Close()
	if a := searchOne(t, empty, "anything"); a.Total != 0 || a.Hits == nil || a.Shards != 1 {
		t.Errorf("empty index: %+v", a)
	}
}

// TestReplaceWhileSearching swaps segments under load; each segment is closed by its maker at once, so that a search on an unmapped
// file would crash.
func TestReplaceWhileSearching(t *testing.T) {
	make1 := func(n int) []*index.Document {
		var docs []*index.Document
		for i := range 300 {
			docs = append(docs, page(fmt.Sprintf("https://a.example/%d", i), "generation", fmt.Sprintf("common words of version%d", n)))
		}
		return docs
	}
	s := New(write(t, index.Config{}, make1(0)...))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for ctx.Err() == nil {
				a, err := s.Search(context.Background(), concord.Request{Query: "common words", Limit: 10})
				if err != nil || a.Total != 300 {
					t.Errorf("%v, %v", a, err)
					return
				}
			}
		}()
	}
	for n := range 12 {
		seg := write(t, index.Config{}, make1(n+1)...)
		s.Replace(seg)
		seg.Close()
	}
	cancel()
	wg.Wait()
	if a := searchOne(t, s, "version12"); a.Total != 300 {
		t.Errorf("the last version is not the one found: %d", a.Total)
	}
	s.Close()
}

// broken is a Searcher that fails or hangs.
type broken struct {
	err  error
	hang bool
}

func (b broken) Stats(ctx context.Context, q string) (concord.Stats, error) {
	if b.hang {
		<-ctx.Done()
		return concord.Stats{}, ctx.Err()
	}
	return concord.Stats{}, b.err
}

func (b broken) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	_, err := b.Stats(ctx, req.Query)
	return nil, err
}

func TestFanoutFailures(t *testing.T) {
	good := New(write(t, index.Config{}, page("https://a.example/1", "apple", "pear")))
	defer good.Close()
	f, err := NewFanout(FanoutConfig{Shards: []concord.Searcher{good, broken{err: errors.New("disk on fire")}, broken{hang: true}},
		Names: []string{"here", "there", "elsewhere"}, Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	a := searchOne(t, f, "apple")
	if a.Total != 1 || a.Shards != 3 || a.Answered != 1 || len(a.Failures) != 2 ||
		a.Failures[0] != "there did not answer: disk on fire" || a.Failures[1] != "elsewhere did not answer: it took too long" {
		t.Errorf("%+v", a)
	}
	if _, err := f.Search(t.Context(), concord.Request{Query: "(apple", Limit: 1}); concord.KindOf(err) != concord.Invalid {
		t.Errorf("malformed query: %v", err)
	}
	bad, _ := NewFanout(FanoutConfig{Shards: []concord.Searcher{broken{err: errors.New("down")}}})
	if _, err := bad.Search(t.Context(), concord.Request{Query: "apple", Limit: 1}); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("no shard answers: %v", err)
	}
}

// The body comes only where it is asked for, and never of pages that ask for no copy or no quotation.
func TestBodyOfHits(t *testing.T) {
	plain, noArchive, noSnippet, short := page("https://a.example/1", "apple", "an apple"), page("https://a.example/2", "apple", "an apple"),
		page("https://a.example/3", "apple", "an apple"), page("https://a.example/4", "apple", "an apple")
	noArchive.NoArchive, noSnippet.NoSnippet, short.MaxSnippet = true, true, 50
	_, both := searchers(t, []*index.Segment{write(t, index.Config{}, plain, noArchive), write(t, index.Config{}, noSnippet, short)})
	for name, s := range both {
		for _, body := range []bool{true, false} {
			a, err := s.Search(t.Context(), concord.Request{Query: "apple", Limit: 10, Body: body})
			if err != nil || len(a.Hits) != 4 {
				t.Fatalf("%s: %v, %+v", name, err, a)
			}
			for _, h := range a.Hits {
				if want := body && h.URL == plain.URL; want != (h.Body == plain.Body) || !want && h.Body != "" {
					t.Errorf("%s, asked %v: %s has %q", name, body, h.URL, h.Body)
				}
			}
		}
	}
}
