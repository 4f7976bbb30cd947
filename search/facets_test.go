package search

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/index"
	"concord/query"
)

// naiveFacet counts a property of documents, from the documents themselves.
func naiveFacet(docs []*index.Document, field string) concord.Facet {
	counts := map[string]uint64{}
	for _, d := range docs {
		at := d.Published
		if at.IsZero() {
			at = d.Fetched
		}
		counts[map[string]string{concord.FacetSite: d.Site, concord.FacetHost: d.Host, concord.FacetLang: d.Language,
			concord.FacetType: d.FileType, concord.FacetYear: strconv.Itoa(at.UTC().Year())}[field]]++
	}
	f := concord.Facet{Field: field, Values: []concord.FacetValue{}}
	for v, c := range counts {
		f.Values = append(f.Values, concord.FacetValue{Value: v, Count: c})
	}
	slices.SortFunc(f.Values, func(a, b concord.FacetValue) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	})
	return f
}

// TestFacetsEqualNaive holds facets and totals, exact and not, equal to counting the documents of all results, over random
// collections and queries, on one searcher and over shards. That all results are those of the naive evaluator is for
// TestAnswersEqualNaive to say.
func TestFacetsEqualNaive(t *testing.T) {
	for seed, size := range []int{40, 700, 4300} {
		r := rand.New(rand.NewPCG(uint64(seed), 21))
		var docs []*index.Document
		for i := range size {
			d := randomDoc(r, i)
			if r.IntN(20) == 0 {
				d.Published = time.Date(1900+r.IntN(300), 12, 31, 23, 59, 59, 0, time.UTC)
			}
			docs = append(docs, d)
		}
		testFacets(t, r, arrange(t, r, docs, 3-seed), []int{150, 100, 40}[seed])
	}
}

func testFacets(t *testing.T, r *rand.Rand, segs []*index.Segment, queries int) {
	one, both := searchers(t, segs)
	docs := map[Scored]*index.Document{}
	for i, seg := range segs {
		for d := range index.DocID(seg.Docs()) {
			doc, err := seg.Document(d)
			if err != nil {
				t.Fatal(err)
			}
			docs[Scored{Segment: i, Doc: d}] = doc
		}
	}
	values, bounds := 0, 0
	for range queries {
		q := randomQuery(r, 3)
		root, err := query.Parse(q)
		if err != nil {
			continue
		}
		fields := slices.Clone(concord.FacetFields())
		r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		fields = fields[:1+r.IntN(len(fields))]
		found, _, err := one.cur.Top(t.Context(), root, len(docs), true)
		if err != nil {
			t.Fatal(err)
		}
		var matching []*index.Document
		for _, r := range found {
			matching = append(matching, docs[Scored{Segment: r.Segment, Doc: r.Doc}])
		}
		var want []concord.Facet
		for _, f := range fields {
			facet := naiveFacet(matching, f)
			values += len(facet.Values)
			facet.Values = facet.Values[:min(concord.MaxFacetValues, len(facet.Values))]
			want = append(want, facet)
		}
		req := concord.Request{Query: q, Limit: 1 + r.IntN(5)}
		plain, err := one.Search(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if plain.Total != uint64(len(matching)) {
			t.Fatalf("%s: total %d, want %d", root, plain.Total, len(matching))
		}
		for name, s := range both {
			req := req
			req.AnyTotal = true
			loose, err := s.Search(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			req.AnyTotal, req.Facets = r.IntN(2) == 0, fields
			a, err := s.Search(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if a.Total != plain.Total || a.AtLeast || !slices.Equal(urls(a), urls(plain)) || !reflect.DeepEqual(a.Facets, want) {
				t.Fatalf("%s, %d documents: %s\ntotal %d, want %d\ngot  %+v\nwant %+v", name, len(docs), root, a.Total, plain.Total, a.Facets, want)
			}
			if !slices.Equal(urls(loose), urls(plain)) || loose.Total > plain.Total || loose.Total < uint64(len(plain.Hits)) || !loose.AtLeast && loose.Total != plain.Total {
				t.Fatalf("%s: %s: total %d (at least: %v), exactly %d", name, root, loose.Total, loose.AtLeast, plain.Total)
			}
			if loose.AtLeast {
				bounds++
			}
		}
	}
	if values < queries || bounds == 0 {
		t.Errorf("%d values, %d bounds: the test tests nothing", values, bounds)
	}
}

// urls returns the addresses and scores of the hits.
func urls(a *concord.Answer) (out []string) {
	for _, h := range a.Hits {
		out = append(out, fmt.Sprint(h.URL, " ", h.Score))
	}
	return out
}

// TestFacetBounds: no answer has more values than MaxFacetValues, and what a shard gives for merging is enough to find the most
// frequent ones.
func TestFacetBounds(t *testing.T) {
	var docs []*index.Document
	for i := range 60 {
		for k := range 1 + i%7 {
			docs = append(docs, page(fmt.Sprintf("https://s%02d.example/%d", i, k), "x", "word"))
		}
	}
	s := New(write(t, index.Config{}, docs[:len(docs)/2]...))
	defer s.Close()
	other := New(write(t, index.Config{}, docs[len(docs)/2:]...))
	defer other.Close()
	fan, err := NewFanout(FanoutConfig{Shards: []concord.Searcher{s, other}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := fan.Search(t.Context(), concord.Request{Query: "word", Limit: 1, Facets: []string{"site", "year"}})
	if err != nil {
		t.Fatal(err)
	}
	site := a.Facets[0].Values
	if len(site) != concord.MaxFacetValues || site[0] != (concord.FacetValue{Value: "s06.example", Count: 7}) || site[19].Count != 5 {
		t.Errorf("sites: %+v", site)
	}
	if want := []concord.FacetValue{{Value: "2026", Count: uint64(len(docs))}}; !slices.Equal(a.Facets[1].Values, want) || a.Total != uint64(len(docs)) {
		t.Errorf("years: %+v of %d", a.Facets[1].Values, a.Total)
	}
	bare, err := s.Search(t.Context(), concord.Request{Query: "word", Limit: 1, Bare: true, Facets: []string{"site"}})
	if err != nil || len(bare.Facets[0].Values) <= concord.MaxFacetValues {
		t.Errorf("a shard gives %d sites, %v", len(bare.Facets[0].Values), err)
	}
	for _, bad := range [][]string{{"colour"}, {"site", "site"}} {
		if _, err := fan.Search(t.Context(), concord.Request{Query: "word", Limit: 1, Facets: bad}); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	none, err := fan.Search(t.Context(), concord.Request{Query: "zebra", Limit: 1, Facets: []string{"lang"}})
	if err != nil || len(none.Facets) != 1 || len(none.Facets[0].Values) != 0 || none.Total != 0 {
		t.Errorf("nothing found: %+v, %v", none, err)
	}
}

// TestFrequent holds the selection of frequent values equal to sorting all of them.
func TestFrequent(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, size := range []int{0, 1, 19, 20, 21, 40, 41, 700} {
		counts := map[string]uint64{}
		for i := range size {
			counts[fmt.Sprintf("v%d", i)] = 1 + uint64(r.IntN(6)*r.IntN(6))
		}
		all := frequent(maps.All(counts), size+1)
		if !slices.IsSortedFunc(all, func(a, b concord.FacetValue) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
		}) || len(all) != size {
			t.Fatalf("%d values: %v", size, all)
		}
		if got := frequent(maps.All(counts), 20); !slices.Equal(got, all[:min(20, size)]) {
			t.Fatalf("%d values: got %v, want %v", size, got, all[:min(20, size)])
		}
	}
}
