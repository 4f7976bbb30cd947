package index

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"concord/text"
)

// TestInverterWide has distances around those that take more than one unit, between positions and between documents, and more
// words than fit a number of one unit, in batches of one list.
func TestInverterWide(t *testing.T) {
	const words = tokenWide + 100
	type place struct{ doc, position uint32 }
	want := map[uint32][]place{}
	table := newTermTable()
	for i := range words {
		table.number(fmt.Sprintf("w%06d", i))
	}
	docs := newDocStore()
	logs := make([][]uint16, unitWide+20)
	order := make([]uint32, len(logs))
	add := func(doc uint32, numbers map[uint32]uint32) {
		var log tokenLog
		for at := uint32(0); at < 1<<17; at++ {
			if n, ok := numbers[at]; ok {
				log.append(at, []uint32{n})
				want[n] = append(want[n], place{doc, at})
			}
		}
		logs[len(logs)-1-int(doc)] = log.units
	}
	add(0, map[uint32]uint32{0: 1, 1: 1, 32767: 1, 32768: 2, 65535: 1, 65536: words, 98303: words, 98304: tokenWide, 131071: tokenWide - 1})
	add(1, map[uint32]uint32{32766: 3, 32767: 4, 32768: tokenWide + 1, 65534: 3})
	for _, doc := range []uint32{unitWide - 1, unitWide, unitWide + 1, unitWide + 19} {
		add(doc, map[uint32]uint32{0: 1, 5: 4, 6: 4, 7: words})
	}
	for i := range order {
		docs.add(nil, logs[i])
		order[i] = uint32(len(logs) - 1 - i)
	}
	v := &inverter{docs: &docs, order: order, words: table.sorted()}
	if !slices.IsSorted(v.words) || len(v.words) != words {
		t.Fatal("words are not in order")
	}
	v.count(FieldAll)
	got := map[uint32][]place{}
	for rest := v.words; len(rest) > 0; {
		n := rest[0]
		rest = rest[1:]
		if v.lists[n].at == 0 { // no such word in any document
			continue
		}
		batch := v.begin([]uint32{n}, 0)
		v.fill(FieldAll)
		v.open[batch[0]] = false
		v.decode(v.units)
		for i, p := range v.postings {
			to := uint32(len(v.positions))
			if i+1 < len(v.postings) {
				to = v.postings[i+1].from
			}
			for _, at := range v.positions[p.from:to] {
				got[batch[0]] = append(got[batch[0]], place{p.doc, at})
			}
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d lists, want %d", len(got), len(want))
	}
	for n := range want {
		if !slices.Equal(got[n], want[n]) {
			t.Errorf("word %d: %v, want %v", n, got[n], want[n])
		}
	}
}

func TestTermTable(t *testing.T) {
	table := newTermTable()
	var words []string
	for i := range 20000 {
		words = append(words, strings.Repeat("ab", i%30)+fmt.Sprint(i), fmt.Sprint(i))
	}
	numbers := map[string]uint32{}
	for range 2 {
		for _, w := range words {
			n := table.number(w)
			if was, ok := numbers[w]; ok && was != n || n == 0 || string(table.word(n)) != w {
				t.Fatalf("%q has number %d, had %d", w, n, numbers[w])
			}
			numbers[w] = n
		}
	}
	if len(numbers) != len(table.words) {
		t.Errorf("%d words, table has %d", len(numbers), len(table.words))
	}
	if order := table.sorted(); len(order) != len(numbers) ||
		!slices.IsSortedFunc(order, func(a, b uint32) int { return strings.Compare(string(table.word(a)), string(table.word(b))) }) {
		t.Error("words are not in order")
	}
}

// TestBuilderFindsURLs adds, deletes and adds again, past several growths of the table.
func TestBuilderFindsURLs(t *testing.T) {
	b := NewBuilder(Config{})
	live := map[string]bool{}
	for i := range 3000 {
		url := fmt.Sprint("https://example.org/", i*7%2000)
		if err := b.Add(&Document{URL: url, Site: "example.org", Body: fmt.Sprint("number ", i)}); err != nil {
			t.Fatal(err)
		}
		live[url] = true
		if gone := fmt.Sprint("https://example.org/", i*13%2000); b.Delete(gone) != live[gone] {
			t.Fatalf("Delete(%s) is not %v", gone, live[gone])
		} else {
			delete(live, gone)
		}
		if b.Docs() != len(live) || b.Has(url) != live[url] {
			t.Fatalf("%d documents, want %d", b.Docs(), len(live))
		}
	}
	path := filepath.Join(t.TempDir(), "s")
	if info, err := b.Write(path); err != nil || info.Docs != len(live) {
		t.Fatalf("%d documents written, want %d: %v", info.Docs, len(live), err)
	}
}

// TestLimitsOfParts: words beyond a part's limit are not found, and do not make the part longer.
func TestLimitsOfParts(t *testing.T) {
	b := NewBuilder(Config{})
	long := strings.Repeat("x", text.MaxTermBytes+1)
	var length [NumParts]uint32
	b.index(&Document{URL: "https://example.org/", Title: strings.Repeat("a ", MaxPartWords+5), Headings: []string{"one " + long, "", "two"},
		Body: long + " b " + long}, &length)
	if want := [NumParts]uint32{MaxPartWords, 4, 0, 2, 2}; length != want {
		t.Errorf("lengths %v, want %v", length, want)
	}
}
