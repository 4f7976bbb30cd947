package index

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestSortedDocuments: the order is that of site and URL, byte by byte, also where URLs differ late, end early or have zero bytes, of
// documents from several builders, and where a site is interned twice.
func TestSortedDocuments(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	sites := []string{"", "a.example", "a.example.org", "b.example", "\xff"}
	parts := []string{"", "\x00", "\x00\x00", "a", "b", "/", "//////////", "\xff", "common/path/", "zzzzzzzz"}
	builders := []*Builder{NewBuilder(Config{}), NewBuilder(Config{}), NewBuilder(Config{})}
	type key struct{ site, url string }
	var want []key
	seen := map[string]bool{}
	for i := range 6000 {
		d := Document{Site: pick(sites...), Language: pick("", "en", "a.example"),
			URL: pick("https://", "", "https://www.") + pick(parts...) + pick(parts...) + pick(parts...) + pick(parts...)}
		if d.URL == "" || seen[d.URL] {
			continue
		}
		seen[d.URL] = true
		b := builders[r.IntN(len(builders))]
		if i%500 == 0 {
			clear(b.values.known)
		}
		if err := b.Add(&d); err != nil {
			t.Fatal(err)
		}
		if r.IntN(10) == 0 {
			b.Delete(d.URL)
			continue
		}
		want = append(want, key{d.Site, d.URL})
	}
	for _, b := range builders {
		b.seal()
	}
	builders[0].absorb(builders[1])
	builders[0].absorb(builders[2])
	slices.SortFunc(want, func(a, b key) int { return cmp.Or(strings.Compare(a.site, b.site), strings.Compare(a.url, b.url)) })
	docs := &builders[0].docs
	order := docs.sorted()
	if len(order) != len(want) || len(order) != builders[0].Docs() || len(want) < 1000 {
		t.Fatalf("%d of %d documents, the builder has %d", len(order), len(want), builders[0].Docs())
	}
	var m docMeta
	for i, doc := range order {
		if docs.read(doc, &m); m.site != want[i].site || string(m.url) != want[i].url || !bytes.Equal(docs.url(doc), m.url) {
			t.Fatalf("document %d is %q %q, want %q", i, m.site, m.url, want[i])
		}
	}
}

// TestDocumentTimes: times of any size and none come back from a document's text.
func TestDocumentTimes(t *testing.T) {
	for _, v := range []int64{noTime, noTime + 1, -1, 0, 1, 1_700_000_000, 1<<63 - 1} {
		if got := intOf(ofInt(v)); got != v {
			t.Errorf("%d became %d", v, got)
		}
	}
	if n := ofInt(noTime); n != 0 {
		t.Errorf("no time is %d", n)
	}
}
