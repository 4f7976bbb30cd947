package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord/bench/game"
)

const (
	// termQueries are drawn for each number of words.
	termQueries = 40
	// scalingPasses and scalingWarmup bound what is measured beside the game's own numbers.
	scalingPasses = 5
	scalingWarmup = 15 * time.Second
)

var topCommands = []string{"TOP_10", "TOP_100", "TOP_1000"}

// scaling is how cost grows with the collection, with k and with the number of words.
type scaling struct {
	sizes []corpusResult // all queries of the game
	terms corpusResult   // unions of words on the largest
}

// scale measures all engines on collections of growing size.
func (c *comparison) scale(ctx context.Context, queries []game.Query, field []*contender) (s scaling, err error) {
	short := *c
	short.protocol.Passes, short.protocol.Warmup = min(c.protocol.Passes, scalingPasses), min(c.protocol.Warmup, scalingWarmup)
	short.protocol.Commands = append(slices.Clone(topCommands), "COUNT")
	var words string
	for _, name := range c.sizes {
		spec, err := corpusByName(name)
		if err != nil {
			return s, err
		}
		if words, err = c.work.words(spec, c.corpusFile(), c.sites); err != nil {
			return s, err
		}
		r, err := short.corpus(ctx, name, "sizes", words, queries, field)
		if err != nil {
			return s, err
		}
		s.sizes = append(s.sizes, r)
	}
	short.protocol.Commands = []string{"TOP_10"}
	s.terms, err = short.corpus(ctx, c.sizes[len(c.sizes)-1], "terms", words, game.TermQueries(queries, termQueries), field)
	return s, err
}

func (c *comparison) corpusFile() string { return filepath.Join(c.data, "wiki", "wiki-en.jsonl.zst") }

// plots draws mean times over size, k and words, and memory over size.
func (s *scaling) plots() map[string]game.Plot {
	size := game.Plot{Title: "TOP_10 of the game's queries", X: "documents", Y: "mean µs"}
	memory := game.Plot{Title: "Largest resident set of the server", X: "documents", Y: "MB"}
	k := game.Plot{Title: "Best k of " + s.terms.name + " documents", X: "k", Y: "mean µs"}
	terms := game.Plot{Title: "TOP_10 of unions, " + s.terms.name + " documents", X: "words", Y: "mean µs"}
	for e, run := range s.terms.runs {
		bySize, byMemory, byK, byTerms := game.Series{Name: run.Engine}, game.Series{Name: run.Engine}, game.Series{Name: run.Engine}, game.Series{Name: run.Engine}
		for _, r := range s.sizes {
			docs := float64(r.builds[e].Documents)
			bySize.Points = point(bySize.Points, docs, r.mean("TOP_10", "all", e))
			byMemory.Points = append(byMemory.Points, game.Point{X: docs, Y: float64(r.runs[e].Peak) / 1e6})
		}
		largest := s.sizes[len(s.sizes)-1]
		for _, command := range topCommands {
			n, _ := strconv.Atoi(strings.TrimPrefix(command, "TOP_"))
			byK.Points = point(byK.Points, float64(n), largest.mean(command, "all", e))
		}
		for _, n := range game.TermCounts {
			byTerms.Points = point(byTerms.Points, float64(n), s.terms.mean("TOP_10", fmt.Sprint(n), e))
		}
		size.Series, memory.Series = append(size.Series, bySize), append(memory.Series, byMemory)
		k.Series, terms.Series = append(k.Series, byK), append(terms.Series, byTerms)
	}
	return map[string]game.Plot{"size": size, "memory": memory, "k": k, "terms": terms}
}

// point appends a mean unless nothing was measured.
func point(list []game.Point, x float64, mean time.Duration) []game.Point {
	if mean == 0 {
		return list
	}
	return append(list, game.Point{X: x, Y: float64(mean) / 1e3})
}

// markdown writes what the plots show as tables.
func (s *scaling) markdown(b *strings.Builder) {
	b.WriteString("\n| documents | engine | TOP_10 | TOP_100 | TOP_1000 | COUNT | server, MB | index, MB | build, s |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range s.sizes {
		for e, run := range r.runs {
			fmt.Fprintf(b, "| %d | %s |", r.builds[e].Documents, run.Engine)
			for _, command := range append(slices.Clone(topCommands), "COUNT") {
				fmt.Fprintf(b, " %s |", micros(r.mean(command, "all", e)))
			}
			fmt.Fprintf(b, " %.0f | %.1f | %.1f |\n", float64(run.Peak)/1e6, float64(r.builds[e].Bytes)/1e6, r.builds[e].Seconds)
		}
	}
	b.WriteString("\n| words of a union |")
	for _, run := range s.terms.runs {
		fmt.Fprintf(b, " %s |", run.Engine)
	}
	b.WriteString("\n|--:|" + strings.Repeat("--:|", len(s.terms.runs)) + "\n")
	for _, n := range game.TermCounts {
		fmt.Fprintf(b, "| %d |", n)
		for e := range s.terms.runs {
			fmt.Fprintf(b, " %s |", micros(s.terms.mean("TOP_10", fmt.Sprint(n), e)))
		}
		b.WriteString("\n")
	}
}

func micros(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", float64(d)/1e3)
}
