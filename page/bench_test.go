package page

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concord/weburl"
)

// benchPages are pages of the module cache's collection of articles: real markup of the size of news pages.
func benchPages(b *testing.B) (pages [][]byte, size int64) {
	dir := filepath.Join(moduleDir(b, articleModule), "test-pages")
	if own := os.Getenv("CONCORD_BENCH_PAGES"); own != "" {
		dir = own
	}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(p, ".html") || strings.Contains(p, "expected") {
			return err
		}
		body, err := os.ReadFile(p)
		if len(pages) < 200 && err == nil {
			pages, size = append(pages, body), size+int64(len(body))
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return pages, size
}

// BenchmarkExtract extracts pages one after the other; CONCORD_BENCH_PAGES names a directory of other ones, such as an
// unpacked documentation package.
func BenchmarkExtract(b *testing.B) {
	pages, size := benchPages(b)
	u, err := weburl.Parse("http://www.example.org/a/b/page.html")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(size / int64(len(pages)))
	i := 0
	for b.Loop() {
		if _, err := Extract(Input{URL: u, ContentType: "text/html", Body: pages[i%len(pages)], Product: "concord"}); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pages/s")
}
