package search

import (
	"fmt"
	"testing"
	"time"

	"concord"
	"concord/index"
)

// BenchmarkFacets measures whole answers with a page's worth of results, with and without facets, over 15,000 articles on a thousand
// sites in eight shards: what the page of results pays for its links that narrow them.
func BenchmarkFacets(b *testing.B) {
	docs, _ := wikiDocs(b, 0, "en")
	var shards [8][]*index.Document
	for i, d := range docs {
		d.Site = fmt.Sprintf("s%d.example", i%997*i%997)
		d.Host, d.URL = d.Site, fmt.Sprintf("https://%s/%d", d.Site, i)
		d.Language = []string{"en", "en", "en", "de", "fr", ""}[i%6]
		d.FileType = []string{"html", "html", "html", "pdf"}[i%4]
		d.Published = time.Unix(int64(i)*100_000, 0)
		shards[i%8] = append(shards[i%8], d)
	}
	var searchers []concord.Searcher
	for _, s := range shards {
		one := New(write(b, index.Config{}, s...))
		b.Cleanup(func() { one.Close() })
		searchers = append(searchers, one)
	}
	fan, err := NewFanout(FanoutConfig{Shards: searchers})
	if err != nil {
		b.Fatal(err)
	}
	for _, q := range []string{"the", "river", "new york city", "lang:en", "the OR of OR river", `"new york"`} {
		for _, c := range []struct {
			name string
			req  concord.Request
		}{
			{"exact", concord.Request{}}, {"any", concord.Request{AnyTotal: true}}, {"page", concord.Request{Facets: []string{"lang", "type", "site"}}},
			{"year", concord.Request{Facets: []string{"year"}}}, {"explain", concord.Request{Explain: true}},
		} {
			b.Run(q+"/"+c.name, func(b *testing.B) {
				c.req.Query, c.req.Limit = q, 10
				for b.Loop() {
					a, err := fan.Search(b.Context(), c.req)
					if err != nil || len(a.Failures) > 0 {
						b.Fatal(a, err)
					}
					b.ReportMetric(float64(a.Total), "matches")
				}
			})
		}
	}
}
