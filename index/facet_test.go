package index

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"concord/pack"
)

// TestFacets counts values and dates of every third document, and holds them equal to those of the documents themselves.
func TestFacets(t *testing.T) {
	docs := topicDocs(900)
	for i, d := range docs {
		if i%4 == 0 {
			d.Published = time.Unix(1_600_000_000+int64(i)*86_400, 0).UTC()
		}
		if i%50 == 0 {
			d.Fetched = time.Time{}
		}
	}
	dir := t.TempDir()
	s := merge(t, filepath.Join(dir, "m"), Config{Reorder: true}, build(t, filepath.Join(dir, "a"), docs...))
	const base = 64
	var b pack.Bitmap
	want := map[FacetColumn]map[string]uint32{FacetHost: {}, FacetSite: {}, FacetLanguage: {}, FacetFileType: {}}
	bounds := []int64{math.MinInt64 + 1, 1_610_000_000, 1_630_000_000, 1_704_000_000, math.MaxInt64}
	dates := map[DateColumn][]uint32{}
	for doc := DocID(base); int(doc) < s.Docs(); doc += 3 {
		b.Set(uint32(doc - base))
		d, err := s.Document(doc)
		if err != nil {
			t.Fatal(err)
		}
		want[FacetHost][d.Host]++
		want[FacetSite][d.Site]++
		want[FacetLanguage][d.Language]++
		want[FacetFileType][d.FileType]++
		known := d.Published
		if known.IsZero() {
			known = d.Fetched
		}
		for c, at := range map[DateColumn]time.Time{DateFetched: d.Fetched, DatePublished: d.Published, DateKnown: known} {
			if dates[c] == nil {
				dates[c] = make([]uint32, len(bounds)-1)
			}
			for i := range len(bounds) - 1 {
				if !at.IsZero() && at.Unix() >= bounds[i] && at.Unix() < bounds[i+1] {
					dates[c][i]++
				}
			}
		}
	}
	for c, want := range want {
		f := s.Facet(c)
		counts := make([]uint32, f.Len())
		f.Count(counts, &b, base)
		for code, n := range counts {
			if v := f.Value(uint32(code)); n != want[v] {
				t.Errorf("column %d: %d of %q, want %d", c, n, v, want[v])
			}
			delete(want, f.Value(uint32(code)))
		}
		if len(want) > 0 || f.Value(f.Code(5)) == "" && c != FacetLanguage {
			t.Errorf("column %d: values are missing: %v", c, want)
		}
	}
	for c, want := range dates {
		counts := make([]uint32, len(want))
		s.CountDates(counts, c, bounds, &b, base)
		for i := range want {
			if counts[i] != want[i] {
				t.Errorf("dates of kind %d: %v, want %v", c, counts, want)
				break
			}
		}
	}
}

// TestColumns holds columns of all widths equal to the values they were made of.
func TestColumns(t *testing.T) {
	for _, times := range [][]int64{{}, {noTime}, {noTime, noTime}, {5}, {5, 5}, {noTime, 5}, {0, noTime, 0}, {-7, 200}, {1, 70_000}, {noTime + 1, math.MaxInt64},
		{noTime + 1, math.MaxInt64, noTime}, {math.MaxInt64, noTime}, {1 << 40, 1<<40 + 255, noTime}} {
		b := appendColumn(make([]byte, columnHead), 0, times)
		c, end, err := parseColumn(b, 0, columnHead, len(times))
		if err != nil || end != len(b) {
			t.Fatal(times, err, end, len(b))
		}
		for i, v := range times {
			if c.time(i) != v {
				t.Errorf("%v: time %d is %d at %d bytes a document", times, i, c.time(i), c.width)
			}
		}
	}
	for _, codes := range [][]uint32{{}, {0}, {3, 3}, {0, 255}, {256, 1}, {70_000, 1<<32 - 1}} {
		b := appendColumn(make([]byte, columnHead), 0, codes)
		c, _, err := parseColumn(b, 0, columnHead, len(codes))
		if err != nil {
			t.Fatal(codes, err)
		}
		most := uint64(0)
		for i, v := range codes {
			if most = max(most, uint64(v)); c.at(i) != uint64(v) {
				t.Errorf("%v: value %d is %d", codes, i, c.at(i))
			}
		}
		if !c.below(most+1, len(codes)) || len(codes) > 0 && c.below(most, len(codes)) {
			t.Errorf("%v: below is wrong", codes)
		}
	}
	for _, head := range [][]byte{{8: 3}, {8: 16}, {9: 2}, {10: 1}, {15: 1}, {8: 8}} {
		if _, _, err := parseColumn(append(head, make([]byte, columnHead)...)[:columnHead], 0, columnHead, 1); err == nil {
			t.Errorf("% x was accepted", head)
		}
	}
}
