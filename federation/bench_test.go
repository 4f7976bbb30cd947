package federation

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkVerify checks a page of ten results with texts of 8 KB.
func BenchmarkVerify(b *testing.B) {
	l := newLog("bob.example")
	var docs []doc
	for i := range MaxResults {
		docs = append(docs, doc{fmt.Sprintf("https://a.example/%d", i), "A title", strings.Repeat(fmt.Sprintf("Words of page %d by the harbour. ", i), 250)})
	}
	list := l.honest("bob.example", docs...)
	f := &Federation{cfg: Config{Ledger: l}}
	for b.Loop() {
		entries := map[uint64]string{}
		for i := range list {
			if _, why := f.verify("bob.example", &list[i], entries); why != "" {
				b.Fatal(why)
			}
		}
	}
}
