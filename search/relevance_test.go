package search

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"concord"
	"concord/index"
	"concord/query"
	"concord/text"
)

// judged is a collection with judgements.
type judged struct {
	seg     *index.Segment
	queries map[string]string
	grades  map[string]map[string]int // query -> URL -> grade
}

func readLines(t testing.TB, path string, f func(fields []string)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sc := bufio.NewScanner(file)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		f(strings.Fields(sc.Text()))
	}
}

func loadJudged(t testing.TB, name string, cfg index.Config) *judged {
	j := &judged{queries: map[string]string{}, grades: map[string]map[string]int{}}
	b := index.NewBuilder(cfg)
	eachDocument(t, dataFile(t, "relevance", name, "corpus.jsonl.zst"), 0, func(id, title, body string) {
		d := page(urlOf(id), title, body)
		if err := b.Add(d); err != nil {
			t.Fatal(err)
		}
	})
	path := t.TempDir() + "/segment"
	if _, err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	j.seg = open(t, path)
	readLines(t, dataFile(t, "relevance", name, "queries.tsv"), func(f []string) { j.queries[f[0]] = strings.Join(f[1:], " ") })
	readLines(t, dataFile(t, "relevance", name, "qrels.txt"), func(f []string) {
		var grade int
		fmt.Sscan(f[3], &grade)
		if j.grades[f[0]] == nil {
			j.grades[f[0]] = map[string]int{}
		}
		j.grades[f[0]][urlOf(f[2])] = grade
	})
	return j
}

// orQuery is the query any of whose words may match, as the published baselines have it. Words beyond the bound of a query are left out.
func orQuery(s string) string {
	var words []string
	for tok := range text.Tokens(s) {
		w := tok.Term
		if _, err := query.Parse(w); err == nil && len(words) < query.MaxTerms {
			words = append(words, w)
		}
	}
	return strings.Join(words, " OR ")
}

// ndcg10 is the mean nDCG@10 with grades as gains over all judged queries.
func ndcg10(t testing.TB, s concord.Searcher, j *judged) float64 {
	var sum float64
	n := 0
	for id, grades := range j.grades {
		q, ok := j.queries[id]
		ideal := make([]int, 0, len(grades))
		for _, g := range grades {
			if g > 0 {
				ideal = append(ideal, g)
			}
		}
		if !ok || len(ideal) == 0 {
			continue
		}
		n++
		slices.SortFunc(ideal, func(a, b int) int { return b - a })
		var best, got float64
		for i, g := range ideal[:min(10, len(ideal))] {
			best += float64(g) / math.Log2(float64(i+2))
		}
		a, err := s.Search(context.Background(), concord.Request{Query: orQuery(q), Limit: 10})
		if err != nil {
			t.Fatalf("query %s: %v", id, err)
		}
		for i, h := range a.Hits {
			got += float64(max(0, grades[h.URL])) / math.Log2(float64(i+2))
		}
		sum += got / best
	}
	return sum / float64(n)
}

// TestKnownItems asks for articles by the words of their titles: that article must come first.
func TestKnownItems(t *testing.T) {
	b := index.NewBuilder(index.Config{})
	var titles []string
	eachDocument(t, dataFile(t, "wiki", "wiki-en-15k.jsonl.zst"), 1500, func(id, title, body string) {
		if err := b.Add(page(urlOf(title), title, body[:min(len(body), 8<<10)])); err != nil {
			t.Fatal(err)
		}
		titles = append(titles, title)
	})
	path := t.TempDir() + "/segment"
	if _, err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	s := New(open(t, path))
	defer s.Close()
	var mrr float64
	n := 0
	for i := 0; i < len(titles); i += 3 {
		var words []string
		for tok := range text.Tokens(titles[i]) {
			words = append(words, tok.Term)
		}
		a, err := s.Search(t.Context(), concord.Request{Query: strings.Join(words, " "), Limit: 10})
		if err != nil {
			continue // a title without words
		}
		n++
		for r, h := range a.Hits {
			if h.Title == titles[i] {
				mrr += 1 / float64(r+1)
				break
			}
		}
	}
	mrr /= float64(n)
	t.Logf("mean reciprocal rank %.4f of %d titles", mrr, n)
	if mrr < 0.99 {
		t.Errorf("mean reciprocal rank %.4f of %d titles, want at least 0.99", mrr, n)
	}
}

// TestRelevance holds the ranking of scientific abstracts; 0.3510 is what a well-known engine reaches with English stemming, the same
// parameters of BM25 and any word allowed to match.
func TestRelevance(t *testing.T) {
	for _, c := range []struct {
		name  string
		floor float64
	}{{"cranfield", 0.3700}} {
		j := loadJudged(t, c.name, index.Config{})
		s := New(j.seg)
		defer s.Close()
		got := ndcg10(t, s, j)
		t.Logf("%s: nDCG@10 %.4f", c.name, got)
		if got < c.floor {
			t.Errorf("%s: nDCG@10 is %.4f, want at least %.4f", c.name, got, c.floor)
		}
	}
}
