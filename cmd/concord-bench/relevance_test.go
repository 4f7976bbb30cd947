package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden file anew")

// TestRelevanceGolden holds the quality of the ranking: who changes it sees by how much, collection by collection, and says so
// by running this test with -update.
func TestRelevanceGolden(t *testing.T) {
	data := filepath.Join("..", "..", "..", "shared", "data")
	if _, err := os.Stat(filepath.Join(data, "relevance")); err != nil {
		t.Skipf("SKIPPED: the relevance collections are not there (%v); relevance was not measured: run this test where ../shared/data has them", err)
	}
	var rows []qualityRow
	for _, c := range collections {
		if c.large {
			continue
		}
		more, err := judge(t.Context(), c, data, "")
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, more...)
	}
	var got bytes.Buffer
	if err := printQuality(&got, rows, false); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "relevance.golden")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the ranking changed (-update accepts it):\n%s", diff)
	}
}
