package game

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"concord"
)

// Judgement is a query with its relevant documents.
type Judgement struct {
	ID, Query string
	Grades    map[string]int // document -> grade, above 0 where it is relevant
}

// ReadJudgements reads queries (number, tab, text) and judgements in TREC's form (query, 0, document, grade), and returns the queries
// that have a relevant document, in order of the file. Errors: Invalid.
func ReadJudgements(queries, qrels string) ([]Judgement, error) {
	grades := map[string]map[string]int{}
	err := eachLine(qrels, func(line string) error {
		f := strings.Fields(line)
		if len(f) != 4 {
			return concord.Errorf(concord.Invalid, "judgement %q has %d fields, not 4", line, len(f))
		}
		grade, err := strconv.Atoi(f[3])
		if err != nil {
			return concord.Errorf(concord.Invalid, "judgement %q: %w", line, err)
		}
		if grades[f[0]] == nil {
			grades[f[0]] = map[string]int{}
		}
		if grade > 0 {
			grades[f[0]][f[2]] = grade
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []Judgement
	err = eachLine(queries, func(line string) error {
		id, text, ok := strings.Cut(line, "\t")
		if !ok {
			return concord.Errorf(concord.Invalid, "query %q has no tab", line)
		}
		if len(grades[id]) > 0 {
			out = append(out, Judgement{ID: id, Query: text, Grades: grades[id]})
		}
		return nil
	})
	return out, err
}

func eachLine(path string, yield func(string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return concord.Errorf(concord.NotFound, "%w", err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, MaxLineBytes)
	for sc.Scan() {
		if err := yield(sc.Text()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return sc.Err()
}

// Quality is how good a ranking is: means over queries.
type Quality struct {
	Queries int
	NDCG10  float64 // grades as gains, discounted by log2(rank+1), of the first 10
	MAP     float64 // average precision of all that was returned
	R100    float64 // part of the relevant documents among the first 100
}

// Add adds one query's ranking, the best document first, to the sums; Mean makes means of them.
func (q *Quality) Add(grades map[string]int, ranking []string) {
	const cut, deep = 10, 100
	ideal := make([]int, 0, len(grades))
	for _, g := range grades {
		ideal = append(ideal, g)
	}
	slices.SortFunc(ideal, func(a, b int) int { return b - a })
	var best, got, precision, found float64
	for i, g := range ideal[:min(cut, len(ideal))] {
		best += float64(g) / math.Log2(float64(i+2))
	}
	for i, doc := range ranking {
		g := grades[doc]
		if g == 0 {
			continue
		}
		if found++; i < cut {
			got += float64(g) / math.Log2(float64(i+2))
		}
		if precision += found / float64(i+1); i < deep {
			q.R100 += 1 / float64(len(grades))
		}
	}
	q.Queries++
	q.NDCG10 += got / best
	q.MAP += precision / float64(len(grades))
}

// Mean returns the means of what was added.
func (q Quality) Mean() Quality {
	n := float64(max(q.Queries, 1))
	return Quality{q.Queries, q.NDCG10 / n, q.MAP / n, q.R100 / n}
}

// WriteRun writes one query's ranking in TREC's form: query, Q0, document, rank, score, name of the run.
func WriteRun(w io.Writer, query string, ranking []string, scores []float64) error {
	for i, doc := range ranking {
		if _, err := fmt.Fprintf(w, "%s Q0 %s %d %.6f concord\n", query, doc, i+1, scores[i]); err != nil {
			return err
		}
	}
	return nil
}
