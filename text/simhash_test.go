package text

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestSimhashBounds(t *testing.T) {
	words := make([]string, MinSimhashWords)
	for i := range words {
		words[i] = fmt.Sprintf("w%d", i)
	}
	if h := Simhash(strings.Join(words[1:], " ")); h != 0 {
		t.Errorf("too few words hash to %x", h)
	}
	a, b := Simhash(strings.Join(words, " ")), Simhash(strings.ToUpper(strings.Join(words, ",\n ")))
	if a == 0 || a != b {
		t.Errorf("case and white space matter: %x, %x", a, b)
	}
	if Distance(0, ^uint64(0)) != 64 || Distance(5, 5) != 0 || Distance(1, 2) != 2 {
		t.Error("Distance does not count bits")
	}
}

// articles returns n articles of at least size bytes of real text.
func articles(t testing.TB, n, size int) []string {
	f, err := os.Open(sharedData(t, "wiki/wiki-en-15k.jsonl.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var out []string
	r := bufio.NewReaderSize(z, 1<<20)
	for len(out) < n {
		line, err := r.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		var a struct{ Text string }
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatal(err)
		}
		if len(a.Text) >= size {
			out = append(out, a.Text)
		}
	}
	return out
}

// TestSimhashOnArticles: a page of which only a date or a counter changed stays within 3 bits nearly always, one with edits
// in three places does so mostly; different articles are far apart, but for lists made by one template.
func TestSimhashOnArticles(t *testing.T) {
	const n = 300
	pages := articles(t, n, 6000)
	hashes := make([]uint64, n)
	counter, edited := make([]int, 65), make([]int, 65)
	for i, p := range pages {
		hashes[i] = Simhash(p + " This page was viewed 1234 times.")
		counter[Distance(hashes[i], Simhash(p+" This page was viewed 5678 times."))]++
		edited[Distance(hashes[i], Simhash("Last updated on 5 May. "+strings.Replace(p, " of ", " from ", 1)+" This page was viewed 5678 times."))]++
	}
	apart := make([]int, 65)
	for i := range hashes {
		for j := range i {
			apart[Distance(hashes[i], hashes[j])]++
		}
	}
	upTo := func(counts []int, d int) (sum int) {
		for _, c := range counts[:d+1] {
			sum += c
		}
		return sum
	}
	t.Logf("within 3 bits: %d of %d with another counter, %d of %d edited, %d of %d different", upTo(counter, 3), n, upTo(edited, 3), n, upTo(apart, 3), n*(n-1)/2)
	if upTo(counter, 3) < n*97/100 || upTo(edited, 8) < n*98/100 || upTo(apart, 3) > 5 || upTo(apart, 12) > n {
		t.Errorf("simhash does not tell same from different: %v, %v, %v", counter, edited, apart)
	}
}

// TestSimhashIsStable holds the documented function: hashes are stored with pages.
func TestSimhashIsStable(t *testing.T) {
	if got, want := Simhash(sentences["en"]+" "+sentences["de"]), uint64(0x57604594077791a4); got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
}

func BenchmarkSimhash(b *testing.B) {
	s := strings.Repeat(sentences["en"]+" ", 100)
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		Simhash(s)
	}
}

// BenchmarkArticles is the pipeline of an indexing worker on real text.
func BenchmarkArticles(b *testing.B) {
	pages := articles(b, 500, 1000)
	size := 0
	for _, p := range pages {
		size += len(p)
	}
	run := func(name string, f func(string)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for _, p := range pages {
					f(p)
				}
			}
		})
	}
	var tz Tokenizer
	var tokens []Token
	a := NewAnalyzer("en")
	var terms []Term
	run("tokens", func(p string) { tokens = tz.AppendTokens(tokens[:0], p) })
	run("terms", func(p string) { terms = a.Append(terms[:0], p) })
	run("normalise", func(p string) { Normalise(p) })
	run("simhash", func(p string) { Simhash(p) })
}
