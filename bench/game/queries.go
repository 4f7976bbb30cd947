package game

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"concord"
)

// Query is one query of the game with its class.
type Query struct {
	Text  string
	Class string // the first of its tags: intersection, phrase, union, …
}

// ReadQueries reads the game's file of queries: objects with query and tags, one a line. Errors: Invalid.
func ReadQueries(r io.Reader) ([]Query, error) {
	var out []Query
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		var q struct {
			Query string   `json:"query"`
			Tags  []string `json:"tags"`
		}
		if err := json.Unmarshal(sc.Bytes(), &q); err != nil {
			return nil, concord.Errorf(concord.Invalid, "line %d of the queries: %w", n, err)
		}
		if q.Query == "" || len(q.Tags) == 0 {
			return nil, concord.Errorf(concord.Invalid, "line %d of the queries has no query or no tags", n)
		}
		out = append(out, Query{Text: q.Query, Class: q.Tags[0]})
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read queries: %w", err)
	}
	return out, nil
}

// Classes returns the classes of queries, that with most queries first.
func Classes(queries []Query) []string {
	count := map[string]int{}
	var out []string
	for _, q := range queries {
		if count[q.Class]++; count[q.Class] == 1 {
			out = append(out, q.Class)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return count[b] - count[a] })
	return out
}
