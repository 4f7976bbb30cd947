package search

import (
	"strings"
	"testing"

	"concord"
	"concord/index"
	"concord/text"
)

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
