package warc

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchGroups makes captures of 20 kB pages, as a crawl hands them over.
func benchGroups(b *testing.B, n int) (groups [][]Record, bytes int64) {
	for i := range n {
		x := page(fmt.Sprintf("https://example.org/%d", i), uint64(i), 20<<10)
		recs, _ := mustBuild(b, x)
		groups = append(groups, recs)
		bytes += int64(len(x.Response))
	}
	return groups, bytes
}

func BenchmarkBuild(b *testing.B) {
	x := page("https://example.org/", 1, 20<<10)
	b.SetBytes(int64(len(x.Response)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Build(x); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppend is one commit of 64 captures of 20 kB pages with request and metadata.
func BenchmarkAppend(b *testing.B) {
	a := mustOpen(b, Config{Dir: b.TempDir()})
	groups, bytes := benchGroups(b, 64)
	b.SetBytes(bytes)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Append(groups); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*64), "µs/page")
}

// BenchmarkCompress is the part of Append that costs processor time.
func BenchmarkCompress(b *testing.B) {
	a := mustOpen(b, Config{Dir: b.TempDir()})
	groups, bytes := benchGroups(b, 64)
	b.SetBytes(bytes)
	b.ReportAllocs()
	var stored int
	for b.Loop() {
		batch, err := a.compress(groups)
		if err != nil {
			b.Fatal(err)
		}
		stored = batch.data.Len()
	}
	b.ReportMetric(float64(stored)/float64(bytes), "stored/received")
}

func BenchmarkRead(b *testing.B) {
	a := mustOpen(b, Config{Dir: b.TempDir()})
	groups, bytes := benchGroups(b, 64)
	locs := mustAppend(b, a, groups...)
	b.SetBytes(bytes / 64)
	b.ReportAllocs()
	rnd := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		if _, err := a.Read(locs[rnd.IntN(len(locs))][0]); err != nil {
			b.Fatal(err)
		}
	}
}
