package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"concord/bench/game"
	"concord/query"
)

// judgePeer judges a peer of the comparison over the very words of the first ranking: what is between the two is how scores are rounded and nothing
// else. Peers know words of the letters a to z, so each term goes by a name made of them.
func judgePeer(ctx context.Context, c collection, data string, judgements []game.Judgement, program string) (row qualityRow, err error) {
	row = qualityRow{collection: c, ranking: "lucene"}
	dir, err := os.MkdirTemp("", "concord-relevance-*")
	if err != nil {
		return row, err
	}
	defer os.RemoveAll(dir)
	names := termNames{}
	words, index := filepath.Join(dir, "words"), filepath.Join(dir, "index")
	ids, err := writeNamed(filepath.Join(data, c.corpus), words, names)
	if err != nil {
		return row, err
	}
	if _, _, _, err := game.Job(ctx, words, program, "index", index); err != nil {
		return row, err
	}
	queries := make([]game.Query, len(judgements))
	for i, j := range judgements {
		queries[i].Text = names.query(stemmed(game.AnyWord(j.Query, false)))
	}
	answers, err := game.Documents(ctx, fmt.Sprintf("DOCS_%d", depth), queries, program, "serve", index)
	if err != nil {
		return row, err
	}
	for i, j := range judgements {
		best, ok := game.ParseDocuments(answers[queries[i].Text])
		if !ok {
			return row, fmt.Errorf("query %s: answered %q", j.ID, answers[queries[i].Text])
		}
		var found []string
		for _, d := range best {
			found = append(found, ids[d.Doc])
		}
		row.Add(j.Grades, found)
	}
	row.Quality, row.documents = row.Mean(), len(ids)
	return row, nil
}

// writeNamed writes the numbered lines of words that peers read and returns the _id of each document.
func writeNamed(corpus, words string, names termNames) (ids []string, err error) {
	in, err := openCorpus(corpus)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	file, err := os.Create(words)
	if err != nil {
		return nil, err
	}
	defer closeInto(file, &err)
	out := bufio.NewWriter(file)
	err = eachStemmed(in, func(id string, words []string) error {
		fmt.Fprintf(out, "%d\t", len(ids))
		for i, w := range words {
			if i > 0 {
				out.WriteByte(' ')
			}
			out.WriteString(names.of(w))
		}
		ids = append(ids, id)
		return out.WriteByte('\n')
	})
	if err != nil {
		return nil, err
	}
	return ids, out.Flush()
}

// termNames gives each term a name of letters.
type termNames map[string]string

func (n termNames) of(term string) string {
	name, ok := n[term]
	if !ok {
		var b strings.Builder
		b.WriteByte('t') // no name is a word of a query language
		for i := len(n); i > 0; i /= 26 {
			b.WriteByte(byte('a' + i%26))
		}
		name = b.String()
		n[term] = name
	}
	return name
}

// query returns a query of any of some words.
func (n termNames) query(root query.Node) string {
	var words []string
	query.Walk(root, func(node query.Node) bool {
		if w, ok := node.(query.Word); ok {
			words = append(words, n.of(w.Text))
		}
		return true
	})
	return strings.Join(words, " ")
}
