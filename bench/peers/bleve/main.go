// Command bleve is bleve as a peer of the index benchmark.
//
//	bleve index DIR < CORPUS   lines "number TAB words"; one segment in the end
//	bleve serve DIR            lines "COMMAND TAB QUERY", one answer a line
//
// It is a module of its own, so that the program under test does not depend on it. Counting is part of every search there;
// TOP_k and TOP_k_COUNT are the same.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/custom"
	"github.com/blevesearch/bleve/v2/analysis/tokenizer/whitespace"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search"
	index "github.com/blevesearch/bleve_index_api"
)

const (
	body      = "body"
	batchSize = 4000     // documents of one in-memory segment
	maxLine   = 64 << 20 // of the corpus
)

func main() {
	search.BM25_k1, search.BM25_b = 0.9, 0.4
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "index":
		err = build(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	default:
		err = fmt.Errorf("usage: bleve index DIR | serve DIR")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bleve:", err)
		os.Exit(1)
	}
}

// newMapping indexes one field of words with positions, and stores nothing.
func newMapping() (*mapping.IndexMappingImpl, error) {
	m := bleve.NewIndexMapping()
	if err := m.AddCustomAnalyzer("words", map[string]any{"type": custom.Name, "tokenizer": whitespace.Name}); err != nil {
		return nil, err
	}
	text := bleve.NewTextFieldMapping()
	text.Store, text.DocValues, text.IncludeInAll, text.IncludeTermVectors = false, false, false, true
	text.Analyzer = "words"
	doc := bleve.NewDocumentStaticMapping()
	doc.AddFieldMappingsAt(body, text)
	m.DefaultMapping, m.DefaultField, m.DefaultAnalyzer, m.ScoringModel = doc, body, "words", index.BM25Scoring
	return m, nil
}

func build(dir string) error {
	began := time.Now()
	m, err := newMapping()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "index")
	b, err := bleve.NewBuilder(path, m, map[string]any{"batchSize": batchSize, "buildPathPrefix": dir})
	if err != nil {
		return err
	}
	docs := 0
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 0, 1<<20), maxLine)
	for ; in.Scan(); docs++ {
		number, words, ok := strings.Cut(in.Text(), "\t")
		if !ok {
			return fmt.Errorf("line %d has no tab", docs+1)
		}
		if err := b.Index(number, map[string]any{body: words}); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	if err := b.Close(); err != nil {
		return err
	}
	var bytes int64
	err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err == nil {
			bytes += st.Size()
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf(`{"documents":%d,"seconds":%.3f,"bytes":%d}`+"\n", docs, time.Since(began).Seconds(), bytes)
	return nil
}

func serve(dir string) error {
	idx, err := bleve.OpenUsing(filepath.Join(dir, "index"), map[string]any{"read_only": true})
	if err != nil {
		return err
	}
	defer idx.Close()
	in := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	for in.Scan() {
		text, err := answer(idx, in.Text())
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", in.Text(), err)
			text = "UNSUPPORTED"
		}
		out.WriteString(text + "\n")
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return in.Err()
}

func answer(idx bleve.Index, line string) (string, error) {
	command, text, _ := strings.Cut(line, "\t")
	switch command {
	case "NOOP":
		return "1", nil
	case "COUNT":
		r, err := find(idx, text, 0)
		if err != nil {
			return "", err
		}
		return strconv.FormatUint(r.Total, 10), nil
	}
	kind, number, _ := strings.Cut(command, "_")
	number, counting := strings.CutSuffix(number, "_COUNT")
	k, err := strconv.Atoi(number)
	if err != nil || k < 1 || kind != "TOP" && kind != "DOCS" {
		return "UNSUPPORTED", nil
	}
	r, err := find(idx, text, k)
	if err != nil {
		return "", err
	}
	switch {
	case counting:
		return strconv.FormatUint(r.Total, 10), nil
	case kind == "TOP":
		return "1", nil
	}
	pairs := make([]string, len(r.Hits))
	for i, h := range r.Hits {
		pairs[i] = fmt.Sprintf("%s:%f", h.ID, h.Score)
	}
	return strings.Join(pairs, " "), nil
}

// find searches for the best k documents; with k = 0 nothing is scored.
func find(idx bleve.Index, text string, k int) (*bleve.SearchResult, error) {
	req := bleve.NewSearchRequestOptions(bleve.NewQueryStringQuery(text), k, 0, false)
	if k == 0 {
		req.Score = "none"
	}
	return idx.SearchInContext(context.Background(), req)
}
