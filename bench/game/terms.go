package game

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// TermCounts are the numbers of words whose cost is measured.
var TermCounts = []int{1, 2, 3, 5, 8, 12, 16, 20}

// TermQueries returns unions of words drawn from queries, as many for each number of words, with the number as the class. The same
// queries give the same unions.
func TermQueries(queries []Query, each int) []Query {
	seen := map[string]bool{}
	for _, q := range queries {
		for _, w := range strings.Fields(string(AppendWords(nil, q.Text))) {
			seen[w] = true
		}
	}
	words := make([]string, 0, len(seen))
	for w := range seen {
		words = append(words, w)
	}
	slices.Sort(words)
	draw := rand.New(rand.NewPCG(1, uint64(len(words))))
	var out []Query
	for _, n := range TermCounts {
		if n > len(words) {
			break
		}
		for range each {
			pick := draw.Perm(len(words))[:n]
			union := make([]string, n)
			for i, at := range pick {
				union[i] = words[at]
			}
			out = append(out, Query{Text: strings.Join(union, " "), Class: fmt.Sprint(n)})
		}
	}
	return out
}
