package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/warc"

	"github.com/google/uuid"
)

// page makes a record that exports take: with a URL.
func page(url string) warc.Record {
	block := []byte("a page of " + url)
	return warc.Record{Block: block, Header: warc.Fields{{Name: "WARC-Type", Value: warc.TypeResource}, {Name: "WARC-Record-ID", Value: "<urn:uuid:" + uuid.NewString() + ">"},
		{Name: "WARC-Date", Value: time.Unix(1e9, 0).UTC().Format(time.RFC3339)}, {Name: "WARC-Target-URI", Value: url},
		{Name: "Content-Type", Value: "text/plain"}, {Name: "WARC-Block-Digest", Value: concord.Sum(block).Labelled()}}}
}

func TestExportHasTheRecordsOfAllNodes(t *testing.T) {
	s := newStore(t)
	a, b := start(t, t.TempDir(), s, options{maxFile: 2000}), start(t, t.TempDir(), s, options{})
	for i := range 20 {
		for _, n := range []*node{a, b} {
			site := "https://one.example/"
			if i%2 == 1 {
				site = "https://two.example/"
			}
			if _, err := n.Append([][]warc.Record{{page(fmt.Sprint(site, n == a, i))}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.stop() // its machine is away
	dir := filepath.Join(t.TempDir(), "out")
	var last warc.Progress
	err := b.Export(t.Context(), dir, func(url string) bool { return strings.HasPrefix(url, "https://one.") }, func(p warc.Progress) { last = p })
	if err != nil || last.Records != 20 || last.Files != last.Of || last.Files < 3 {
		t.Fatalf("%+v %v", last, err)
	}
	index, err := os.ReadFile(filepath.Join(dir, warc.IndexName))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(index), "\n"); n != 20 || strings.Contains(string(index), "two.example") {
		t.Errorf("index of %d lines:\n%s", n, index)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v %v, wanted one file and its index", entries, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Export(ctx, dir+"2", func(string) bool { return true }, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
