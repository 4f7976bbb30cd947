package index

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"concord/pack"
)

// manyDocs writes a segment of n small documents of n/1000 hosts, reordered in appearance: each number has another rank.
func manyDocs(t testing.TB, n int) string {
	path := filepath.Join(t.TempDir(), "many")
	_, err := writeSegment(path, DefaultScoring(), func(w *segmentWriter) error {
		place := make([]uint32, n)
		record := appendRecord(nil, &Document{})
		m := docMeta{language: "en", fileType: "html", length: [NumParts]uint32{PartTitle: 5, PartBody: 900}}
		for i := range n {
			place[i] = uint32(i ^ 1)
			m.site = fmt.Sprintf("site%06d.example", i/1000)
			m.host = m.site
			m.url = fmt.Appendf(nil, "https://%s/%03d", m.host, i%1000)
			m.fetched, m.published = int64(1_700_000_000+i*7), int64(i*1009%1_000_000_000)
			m.length[PartBody] = uint32(i * 31 % 3000)
			m.language = []string{"de", "en", "fr"}[i%3]
			if err := w.addDoc(&m, record); err != nil {
				return err
			}
		}
		w.reorder(place)
		if err := w.endDocs(nil); err != nil {
			return err
		}
		for f := range NumFields {
			if err := w.beginField(f); err != nil {
				return err
			}
			for word := range 200_000 {
				if f != FieldAll {
					break
				}
				w.beginTerm()
				if err := w.addPosting(uint32(word%n), []uint32{100}); err != nil {
					return err
				}
				if err := w.endTerm(fmt.Appendf(nil, "w%07d", word)); err != nil {
					return err
				}
			}
			if err := w.endField(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOpenIsQuick opens a segment of a million documents; how long that takes is for the benchmark to say, here is only a limit that
// no slow machine passes but a change of the order does.
func TestOpenIsQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED under -short: opening a segment of a million documents was not timed; run this test without -short")
	}
	path := manyDocs(t, 1<<20)
	best := time.Hour
	for range 5 {
		start := time.Now()
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
		if len(s.Languages()) != 3 || s.Facet(FacetHost).Len() != 1<<20/1000+1 || s.Rank(4) != 5 {
			t.Fatal("another segment")
		}
		s.Close()
	}
	st, _ := os.Stat(path)
	t.Logf("opened %d MB in %v", st.Size()>>20, best)
	if best > 100*time.Millisecond {
		t.Errorf("opening takes %v", best)
	}
}

func BenchmarkOpen(b *testing.B) {
	path := manyDocs(b, 1<<20)
	for b.Loop() {
		s, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func BenchmarkFacet(b *testing.B) {
	s, err := Open(manyDocs(b, 1<<16))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var set pack.Bitmap
	for i := range uint32(pack.WindowLen) {
		if i%3 != 0 {
			set.Set(i)
		}
	}
	f := s.Facet(FacetHost)
	counts := make([]uint32, f.Len())
	for b.Loop() {
		f.Count(counts, &set, 4096)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(set.Count()), "ns/document")
}
