//go:build unix

package index

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"

	"concord/text"
)

// benchBytes is how much of the corpus the benchmarks of indexing read: enough for a large vocabulary, little enough for a
// quick run.
const benchBytes = 40 << 20

// wikiDocs returns articles of the English Wikipedia; plain makes of each what the search benchmark game indexes: words of
// a-z and single spaces.
func wikiDocs(b *testing.B, lang string, plain bool) (docs []*Document, size int64) {
	b.Helper()
	f, err := os.Open(filepath.Join("..", "..", "shared", "data", "wiki", "wiki-en-15k.jsonl.zst"))
	if err != nil {
		b.Skipf("SKIPPED: the corpus is not there (%v); run this benchmark where ../shared/data has it", err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	defer z.Close()
	for lines := bufio.NewReaderSize(z, 1<<20); size < benchBytes; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var d struct{ Title, Text string }
		if err := json.Unmarshal(line, &d); err != nil {
			b.Fatal(err)
		}
		if plain {
			d.Title, d.Text = "", plainWords(d.Text)
		}
		docs = append(docs, &Document{URL: fmt.Sprintf("https://example.org/%06d", len(docs)), Site: "example.org", Language: lang, Title: d.Title, Body: d.Text})
		size += int64(len(d.Title) + len(d.Text))
	}
	return docs, size
}

func plainWords(s string) string {
	out := make([]byte, 0, len(s))
	space := false
	for _, c := range bytes.ToLower([]byte(s)) {
		if c < 'a' || c > 'z' {
			space = true
			continue
		}
		if space {
			out, space = append(out, ' '), false
		}
		out = append(out, c)
	}
	return string(out)
}

// cpuRate reports megabytes of text for each second of processor time, garbage collection included: what a busy machine
// distorts less than the time on the clock. It returns the function that ends the measurement.
func cpuRate(b *testing.B, size int64) func() {
	b.SetBytes(size)
	before := cpuTime(b)
	return func() {
		if spent := cpuTime(b) - before; spent > 0 {
			b.ReportMetric(float64(size)*float64(b.N)/1e6/spent, "cpuMB/s")
		}
	}
}

// cpuTime returns the seconds of processor time that the process has used.
func cpuTime(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// BenchmarkBuild measures the steps of indexing on their own: the analysis, the builder with it, and writing.
func BenchmarkBuild(b *testing.B) {
	for _, c := range []struct {
		name, lang string
		plain      bool
	}{{"game", "", true}, {"plain", "", false}, {"english", "en", false}} {
		docs, size := wikiDocs(b, c.lang, c.plain)
		b.Run(c.name+"/analysis", func(b *testing.B) {
			defer cpuRate(b, size)()
			for b.Loop() {
				t := newTermTable()
				a := text.NewNumberer(c.lang, t.number)
				var numbers []uint32
				for _, d := range docs {
					numbers = a.Append(numbers[:0], d.Body)
				}
			}
		})
		var full *Builder
		b.Run(c.name+"/add", func(b *testing.B) {
			defer cpuRate(b, size)()
			for b.Loop() {
				full = NewBuilder(Config{OmitText: c.plain})
				for _, d := range docs {
					if err := full.Add(d); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(full.Bytes())/float64(len(docs)), "B/doc")
		})
		b.Run(c.name+"/write", func(b *testing.B) {
			if full == nil {
				b.Skip("SKIPPED: nothing to write, as no document was added; run it together with the benchmark named /add")
			}
			dir := b.TempDir()
			defer cpuRate(b, size)()
			n := 0
			for b.Loop() {
				path := filepath.Join(dir, fmt.Sprint(n))
				if _, err := full.Write(path); err != nil {
					b.Fatal(err)
				}
				os.Remove(path)
				n++
			}
		})
	}
}
