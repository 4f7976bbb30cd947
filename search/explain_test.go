package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/index"
	"concord/query"
)

// addsUp fails if a part of an explanation is not the exact sum of its parts.
func addsUp(t *testing.T, ex *concord.Explanation) {
	t.Helper()
	var sum float64
	for i := range ex.Parts {
		addsUp(t, &ex.Parts[i])
		sum += ex.Parts[i].Score
	}
	if len(ex.Parts) > 0 && sum != ex.Score {
		t.Fatalf("%s: parts add up to %v, not %v", ex.Text, sum, ex.Score)
	}
	if ex.Text == "" || !ex.Matches && ex.Score != 0 {
		t.Fatalf("%+v", ex)
	}
}

// TestExplanationsAddUp holds explanations equal to the scores of the search, and their verdicts to those of the naive evaluator,
// over random queries: of results, and of documents asked for by URL, on one searcher and over shards.
func TestExplanationsAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 7))
	var docs []*index.Document
	for i := range 250 {
		docs = append(docs, randomDoc(r, i))
	}
	segs := arrange(t, r, docs, 3)
	one, both := searchers(t, segs)
	all, live := naively(t, segs)
	explained, refused := 0, 0
	for range 150 {
		q := randomQuery(r, 3)
		root, err := query.Parse(q)
		if err != nil {
			continue
		}
		n := all.of(one, root, q)
		pick := make([]*naiveDoc, 5)
		var urls []string
		for i := range pick {
			pick[i] = live[r.IntN(len(live))]
			urls = append(urls, pick[i].doc.URL)
		}
		for name, s := range both {
			a, err := s.Search(t.Context(), concord.Request{Query: q, Limit: 8, Explain: true})
			if err != nil {
				t.Fatalf("%s: %s: %v", name, q, err)
			}
			for _, h := range a.Hits {
				addsUp(t, h.Explanation)
				if !h.Explanation.Matches || h.Explanation.Score != h.Score || h.Explanation.Text != root.String() {
					t.Fatalf("%s: %s: %s has %v, explained:\n%s", name, root, h.URL, h.Score, outline(h.Explanation, 0))
				}
				explained++
			}
			if a, err = s.Search(t.Context(), concord.Request{Query: q, Only: urls, Explain: true}); err != nil {
				t.Fatalf("%s: %s: %v", name, q, err)
			}
			if len(a.Hits) != len(urls) {
				t.Fatalf("%s: %d of %d URLs", name, len(a.Hits), len(urls))
			}
			for i, h := range a.Hits {
				addsUp(t, h.Explanation)
				ok, score := n.eval(pick[i], root)
				if h.URL != urls[i] || h.Explanation.Matches != ok || ok && h.Score != float64(score)/n.p.scale || !ok && h.Score != 0 {
					t.Fatalf("%s: %s: %s matches: %v, scores %v; explained:\n%s", name, root, urls[i], ok, float64(score)/n.p.scale, outline(h.Explanation, 0))
				}
				if !ok {
					refused++
				}
			}
		}
	}
	if explained < 300 || refused < 300 {
		t.Errorf("only %d results and %d documents that do not match", explained, refused)
	}
}

// outline writes an explanation as an indented list.
func outline(ex *concord.Explanation, depth int) string {
	mark := "+"
	if !ex.Matches {
		mark = "-"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s %.4f %s\n", strings.Repeat("  ", depth), mark, ex.Score, ex.Text)
	for _, d := range ex.Details {
		fmt.Fprintf(&b, "%s    %s\n", strings.Repeat("  ", depth), d)
	}
	for i := range ex.Parts {
		b.WriteString(outline(&ex.Parts[i], depth+1))
	}
	return b.String()
}

func TestExplanationSays(t *testing.T) {
	doc := page("https://a.example/harbour", "Harbour walls", "The harbour has a wall. Walls are old; the wall of the harbour was rebuilt.")
	doc.Headings = []string{"A wall"}
	doc.Published = time.Date(2024, 5, 17, 0, 0, 0, 0, time.UTC)
	other := page("https://b.example/sea", "The sea", "Waves, and a boat near the harbour.")
	s := New(write(t, index.Config{}, doc, other))
	defer s.Close()
	a, err := s.Search(t.Context(), concord.Request{Query: `walls "harbour wall" ?rebuild hab* harbuor~ -lake lang:en -filetype:pdf`, Only: []string{doc.URL, "https://nobody.example/"}, Explain: true})
	if err != nil || len(a.Hits) != 1 {
		t.Fatal(a, err)
	}
	got := outline(a.Hits[0].Explanation, 0)
	for _, want := range []string{"because of: hab*\n", "+ 0.0000 walls\n", "kept in the index as wall",
		"1 in the title (2 words, on average 2.0), 1 in the headings (2 words, on average 1.0), 3 in the body (15 words, on average 11.0)", "BM25F impact 0.",
		"of 2 pages", "the sum of its words' (harbour ", "no such word is on the page", "as harbour", "need not match", "must not match, and does not", "the language is en"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	for q, want := range map[string]string{`"harbour boat"`: "but not side by side", `"boat waves"~1`: "not within 1 moves", `"boat zebra"`: "not all of its words",
		"-harbour sea": "must not match, but does", "zebra OR site:a.example": "none of these matches", "published:2020..": "not said when published", "intitle:boat": "not in the title in any of its forms",
		"inurl:sea*": "1 in the address"} {
		a, err := s.Search(t.Context(), concord.Request{Query: q, Only: []string{other.URL}, Explain: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := outline(a.Hits[0].Explanation, 0); !strings.Contains(got, want) {
			t.Errorf("%s: %q is not in\n%s", q, want, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Search(ctx, concord.Request{Query: "harbour", Only: []string{doc.URL}, Explain: true}); err == nil {
		t.Error("a cancelled search explains")
	}
}
