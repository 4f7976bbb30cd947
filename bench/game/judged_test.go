package game

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// The numbers were computed by hand from the definitions.
func TestQuality(t *testing.T) {
	var q Quality
	q.Add(map[string]int{"a": 2, "b": 1}, []string{"x", "b", "a"})
	q.Add(map[string]int{"c": 1}, nil)
	got := q.Mean()
	ndcg := (1/math.Log2(3) + 2/math.Log2(4)) / (2 + 1/math.Log2(3)) / 2
	if math.Abs(got.NDCG10-ndcg) > 1e-12 {
		t.Errorf("nDCG@10 is %v, want %v", got.NDCG10, ndcg)
	}
	if want := (1.0/2 + 2.0/3) / 2 / 2; math.Abs(got.MAP-want) > 1e-12 {
		t.Errorf("MAP is %v, want %v", got.MAP, want)
	}
	if got.R100 != 0.5 || got.Queries != 2 {
		t.Errorf("R@100 is %v over %d queries, want 0.5 over 2", got.R100, got.Queries)
	}
}

func TestReadJudgements(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	queries := write("queries", "1\tone word\n2\tnothing relevant\n3\tnot judged\n")
	got, err := ReadJudgements(queries, write("qrels", "1 0 a 2\n1 0 b 0\n2 0 a 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Query != "one word" || len(got[0].Grades) != 1 || got[0].Grades["a"] != 2 {
		t.Errorf("read %v", got)
	}
	for _, bad := range []string{"1 0 a\n", "1 0 a x\n"} {
		if _, err := ReadJudgements(queries, write("bad", bad)); err == nil {
			t.Errorf("judgements %q are accepted", bad)
		}
	}
}
