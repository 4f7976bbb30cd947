package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"concord/bench/game"
	"concord/query"
)

// overlapDepth is how many results are held against the exact ones.
const overlapDepth = 10

// overlap is how far an engine's best documents agree with BM25 in floating point.
type overlap struct {
	engine  string
	queries int     // that the engine answered and both can evaluate
	exact   float64 // mean part of the exact best documents that it has
	classes map[string]*classOverlap
	lossy   float64 // the same with what Lucene knows of lengths
	worst   string  // the query with the least
	least   float64
}

// overlaps asks the engines for their best documents and compares them with exact evaluation.
func (c *comparison) overlaps(ctx context.Context, words string, queries []game.Query, field []*contender, dirs []string) ([]overlap, error) {
	roots := make([]query.Node, len(queries))
	for i, q := range queries {
		var err error
		if roots[i], err = game.ParseQuery(q.Text); err != nil {
			return nil, err
		}
	}
	x, err := exactOf(words, roots)
	if err != nil {
		return nil, err
	}
	out := make([]overlap, len(field))
	answers := make([]map[string]string, len(field))
	for e := range field {
		out[e] = overlap{engine: field[e].name, least: 2, classes: map[string]*classOverlap{}}
		if answers[e], err = game.Documents(ctx, fmt.Sprintf("DOCS_%d", overlapDepth), queries, field[e].program, "serve", dirs[e]); err != nil {
			return nil, err
		}
	}
	for _, lossy := range []bool{false, true} {
		if lossy {
			x.LikeLucene()
		}
		for i, q := range queries {
			best, err := x.All(roots[i])
			if err != nil {
				return nil, err
			}
			for e := range out {
				if got, ok := game.ParseDocuments(answers[e][q.Text]); ok {
					out[e].add(q, game.Overlap(best, got, overlapDepth), lossy)
				}
			}
		}
	}
	for e := range out {
		n := float64(max(out[e].queries, 1))
		out[e].exact, out[e].lossy = out[e].exact/n, out[e].lossy/n
	}
	return out, nil
}

// classOverlap adds up one class of queries.
type classOverlap struct {
	queries int
	sum     float64
}

func (o *overlap) add(q game.Query, part float64, lossy bool) {
	if lossy {
		o.lossy += part
		return
	}
	o.queries++
	if o.exact += part; part < o.least {
		o.least, o.worst = part, q.Text
	}
	c := o.classes[q.Class]
	if c == nil {
		c = &classOverlap{}
		o.classes[q.Class] = c
	}
	c.queries++
	c.sum += part
}

// exactOf reads a corpus of words into an exact evaluator.
func exactOf(words string, roots []query.Node) (*game.Exact, error) {
	f, err := os.Open(words)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	x := game.NewExact(game.GameBM25, roots)
	err = game.ReadCorpus(f, func(d game.Document) error {
		x.Add(strings.Fields(d.Text))
		return nil
	})
	return x, err
}

func overlapTable(b *strings.Builder, list []overlap, queries []game.Query) {
	classes := game.Classes(queries)
	fmt.Fprintf(b, "\nOf the exact top %d, the part that an engine has:\n\n| engine | queries | all | as Lucene counts | %s | least | query |\n|---|--:|--:|--:|%s--:|---|\n",
		overlapDepth, strings.Join(classes, " | "), strings.Repeat("--:|", len(classes)))
	for _, o := range list {
		if o.queries == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s | %d | %.4f | %.4f |", o.engine, o.queries, o.exact, o.lossy)
		for _, class := range classes {
			if c := o.classes[class]; c != nil {
				fmt.Fprintf(b, " %.4f |", c.sum/float64(c.queries))
			} else {
				b.WriteString(" - |")
			}
		}
		fmt.Fprintf(b, " %.1f | `%s` |\n", o.least, o.worst)
	}
}
