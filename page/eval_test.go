package page

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"

	"concord/weburl"
)

// The quality of extraction is measured on two collections that come with Go modules; they are read where the module
// cache has them. Get them with
//
//	go mod download github.com/markusmobius/go-trafilatura@v1.12.2
//	go mod download github.com/go-shiori/go-readability@v0.0.0-20251205110129-5db1dc9836f0
const (
	snippetModule = "github.com/markusmobius/go-trafilatura@v1.12.2"
	articleModule = "github.com/go-shiori/go-readability@v0.0.0-20251205110129-5db1dc9836f0"
)

var evalShow = flag.String("eval.show", "", "print misses of pages whose file name contains this (\"all\": of all)")

// moduleDir returns the directory of a module in the module cache, or skips.
func moduleDir(t testing.TB, module string) string {
	dir := os.Getenv("GOMODCACHE")
	if dir == "" {
		gopath := os.Getenv("GOPATH")
		if gopath == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				t.Skipf("NOT MEASURED: no home directory to look for the module cache in (%v); set GOMODCACHE", err)
			}
			gopath = filepath.Join(home, "go")
		}
		dir = filepath.Join(gopath, "pkg", "mod")
	}
	dir = filepath.Join(dir, filepath.FromSlash(module))
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("NOT MEASURED: %s is not in the module cache; run go mod download %s, then this test again", module, module)
	}
	return dir
}

// sample is one page of the first collection: pieces that its main text has, and pieces of its boilerplate.
type sample struct {
	url, file     string
	with, without []string
}

// readSamples reads the collection's Go source.
func readSamples(t testing.TB, dir string) []sample {
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, "scripts", "comparison", "data.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []sample
	ast.Inspect(f, func(n ast.Node) bool {
		kv, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		key, ok := kv.Key.(*ast.BasicLit)
		lit, ok2 := kv.Value.(*ast.CompositeLit)
		if !ok || !ok2 || key.Kind != token.STRING {
			return true
		}
		s := sample{url: unquote(key)}
		for _, e := range lit.Elts {
			field := e.(*ast.KeyValueExpr)
			switch field.Key.(*ast.Ident).Name {
			case "File":
				s.file = unquote(field.Value)
			case "With":
				s.with = unquoteAll(field.Value)
			case "Without":
				s.without = unquoteAll(field.Value)
			}
		}
		if s.file != "" {
			out = append(out, s)
		}
		return false
	})
	sort.Slice(out, func(i, j int) bool { return out[i].file < out[j].file })
	return out
}

func unquote(e ast.Expr) string {
	s, _ := strconv.Unquote(e.(*ast.BasicLit).Value)
	return s
}

func unquoteAll(e ast.Expr) (out []string) {
	for _, s := range e.(*ast.CompositeLit).Elts {
		out = append(out, unquote(s))
	}
	return out
}

// extractFile extracts a page of a file.
func extractFile(t testing.TB, url, file string) (title, body string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	u, err := weburl.Parse(url)
	if err != nil {
		u, _ = weburl.Parse("http://example.org/")
	}
	p, err := Extract(Input{URL: u, ContentType: "text/html", Body: b, Product: "concord"})
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return "", ""
	}
	return p.Title, p.Body
}

// counts are true and false positives and negatives over pieces of text.
type counts struct{ tp, fp, fn, tn int }

func (c counts) scores() (precision, recall, f1 float64) {
	tp := float64(c.tp)
	return tp / (tp + float64(c.fp)), tp / (tp + float64(c.fn)), 2 * tp / (2*tp + float64(c.fp+c.fn))
}

// TestSnippets measures as that collection's own evaluation does: each wanted piece found in the text is a true
// positive, each unwanted one a false positive.
func TestSnippets(t *testing.T) {
	dir := moduleDir(t, snippetModule)
	samples := readSamples(t, dir)
	if len(samples) < 900 {
		t.Fatalf("%d samples read, want over 900", len(samples))
	}
	var mu sync.Mutex
	var sum counts
	each(len(samples), func(i int) {
		s := samples[i]
		file := filepath.Join(dir, "test-files", "comparison", s.file)
		if _, err := os.Stat(file); err != nil {
			file = filepath.Join(dir, "test-files", "mock", s.file)
		}
		_, body := extractFile(t, s.url, file)
		var c counts
		var misses []string
		for _, w := range s.with {
			w = collapse(w) // soft hyphens are kept there and dropped here
			if strings.Contains(body, w) {
				c.tp++
			} else {
				c.fn++
				misses = append(misses, "missing:  "+w)
			}
		}
		for _, w := range s.without {
			w = collapse(w)
			if strings.Contains(body, w) {
				c.fp++
				misses = append(misses, "unwanted: "+w)
			} else {
				c.tn++
			}
		}
		mu.Lock()
		defer mu.Unlock()
		sum.tp, sum.fp, sum.fn, sum.tn = sum.tp+c.tp, sum.fp+c.fp, sum.fn+c.fn, sum.tn+c.tn
		if len(misses) > 0 && *evalShow != "" && (*evalShow == "all" || strings.Contains(s.file, *evalShow)) {
			t.Logf("%s (%d bytes of text)\n\t%s", s.file, len(body), strings.Join(misses, "\n\t"))
			if *evalShow != "all" {
				t.Log(body)
			}
		}
	})
	p, r, f := sum.scores()
	t.Logf("%d pages: precision %.4f recall %.4f F1 %.4f %+v", len(samples), p, r, f, sum)
	if f < minSnippetF1 {
		t.Errorf("F1 is %.4f, was at least %.4f", f, minSnippetF1)
	}
}

// What is reached, less a little.
const (
	minSnippetF1 = 0.91
	minTokenF1   = 0.94
)

// each runs f for 0..n-1 on all processors.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// TestArticles compares with the expected text of articles word by word, order apart.
func TestArticles(t *testing.T) {
	dir := filepath.Join(moduleDir(t, articleModule), "test-pages")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var sumP, sumR, sumF float64
	n := 0
	each(len(entries), func(i int) {
		name := entries[i].Name()
		expected, err := os.ReadFile(filepath.Join(dir, name, "expected.html"))
		if err != nil {
			return
		}
		_, body := extractFile(t, "http://fakehost/test/page.html", filepath.Join(dir, name, "source.html"))
		p, r := tokenOverlap(body, allText(string(expected)))
		f := 0.0
		if p+r > 0 {
			f = 2 * p * r / (p + r)
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		sumP, sumR, sumF = sumP+p, sumR+r, sumF+f
		if *evalShow != "" && f < 0.85 && (*evalShow == "all" || strings.Contains(name, *evalShow)) {
			t.Logf("%s: precision %.3f recall %.3f F1 %.3f", name, p, r, f)
			if *evalShow != "all" {
				t.Log(body)
			}
		}
	})
	f := sumF / float64(n)
	t.Logf("%d articles: token precision %.4f recall %.4f mean F1 %.4f", n, sumP/float64(n), sumR/float64(n), f)
	if n < 100 || f < minTokenF1 {
		t.Errorf("mean token F1 of %d articles is %.4f, was at least %.4f", n, f, minTokenF1)
	}
}

// allText is all text of a piece of HTML.
func allText(body string) string {
	s := segment(parse(body, false), true, false)
	for i := range s.blocks {
		s.blocks[i].keep = true
	}
	var cut bool
	return s.render(&cut)
}

// tokenOverlap is precision and recall of the words of got against those of want, with their counts.
func tokenOverlap(got, want string) (precision, recall float64) {
	g, w := strings.Fields(got), strings.Fields(want)
	if len(g) == 0 || len(w) == 0 {
		if len(w) == len(g) {
			return 1, 1
		}
		return 0, 0
	}
	left := make(map[string]int, len(w))
	for _, x := range w {
		left[x]++
	}
	hit := 0
	for _, x := range g {
		if left[x] > 0 {
			left[x]--
			hit++
		}
	}
	return float64(hit) / float64(len(g)), float64(hit) / float64(len(w))
}
