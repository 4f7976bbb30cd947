package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"concord"
	"concord/bench/game"
	"concord/index"
	"concord/query"
	"concord/text"
)

// collection is a set of documents with judged queries.
type collection struct {
	name                   string
	corpus, queries, qrels string  // below the data directory
	ndcg, ap               float64 // of Lucene 8.7 with English analysis, any word may match, k1 = 0.9, b = 0.4
	large                  bool    // not part of the golden file
}

func judgedCollection(name string, ndcg, ap float64) collection {
	dir := filepath.Join("relevance", name)
	return collection{name: name, corpus: filepath.Join(dir, "corpus.jsonl.zst"), queries: filepath.Join(dir, "queries.tsv"), qrels: filepath.Join(dir, "qrels.txt"), ndcg: ndcg, ap: ap}
}

func climate(name, corpus string, ndcg, ap float64) collection {
	return collection{name: name, corpus: filepath.Join("wiki", corpus), queries: filepath.Join("wiki", "queries.climate-fever.tsv"),
		qrels: filepath.Join("wiki", "qrels.climate-fever.txt"), ndcg: ndcg, ap: ap, large: true}
}

// collections in the order of tables. The last takes minutes and runs only when it is named.
var collections = []collection{judgedCollection("scifact", 0.6789, 0.6401), judgedCollection("cranfield", 0.3510, 0.2879),
	judgedCollection("cisi", 0.3644, 0.2045), judgedCollection("medline", 0.6651, 0.5118),
	climate("climate-fever-15k", "wiki-en-15k.jsonl.zst", 0.5369, 0.4690), climate("climate-fever", "wiki-en.jsonl.zst", 0.4909, 0.4292)}

// ranking is a way to index and score a collection.
type ranking struct {
	name     string
	config   index.Config
	document func(n int, title, text string) *index.Document
	stops    bool // stop words of queries count
}

// rankings are the plain BM25 that Lucene's figures are of, and what Concord's own search does: titles count more, and no word
// is left out.
var rankings = []ranking{{"bm25", builderConfig(), englishDocument, false}, {"concord", index.Config{OmitText: true}, titledDocument, true}}

func titledDocument(n int, title, text string) *index.Document {
	return &index.Document{URL: numberURL(n), Language: "en", Title: title, Body: text}
}

// depth is how many documents of each query are judged, as in the published baselines.
const depth = 1000

func runRelevance(ctx context.Context, args []string) error {
	fs := flags("relevance")
	data := fs.String("data", filepath.Join("..", "shared", "data"), "directory with the judged collections")
	withLucene := fs.Bool("lucene", false, "judge Lucene over the same words, too: its peer must have been built, as compare does")
	work := fs.String("work", defaultWork(), "directory where compare keeps peers")
	sources := fs.String("peers", filepath.Join("bench", "peers"), "sources of the peers")
	names := fs.String("collections", "scifact,cranfield,cisi,medline,climate-fever-15k", "collections to judge; climate-fever is the largest")
	if _, err := parseArgs(fs, args, 0); err != nil {
		return err
	}
	lucene := ""
	if *withLucene {
		var err error
		if lucene, _, err = workDir(*work).peer(ctx, *sources, "lucene"); err != nil {
			return err
		}
	}
	var rows []qualityRow
	for _, name := range list(*names) {
		c, err := collectionByName(name)
		if err != nil {
			return err
		}
		more, err := judge(ctx, c, *data, lucene)
		if err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	return printQuality(os.Stdout, rows, true)
}

func collectionByName(name string) (collection, error) {
	for _, c := range collections {
		if c.name == name {
			return c, nil
		}
	}
	return collection{}, concord.Errorf(concord.Invalid, "no collection is called %q", name)
}

// qualityRow is one line of the table.
type qualityRow struct {
	collection collection
	ranking    string
	documents  int
	game.Quality
}

// judge indexes a collection in a scratch directory, once for each ranking, and judges its queries; with the program of Lucene's peer, unless it is
// empty, over the same words as the first ranking.
func judge(ctx context.Context, c collection, data, lucene string) ([]qualityRow, error) {
	judgements, err := game.ReadJudgements(filepath.Join(data, c.queries), filepath.Join(data, c.qrels))
	if err != nil {
		return nil, err
	}
	var rows []qualityRow
	for _, r := range rankings {
		row, err := judgeRanking(ctx, c, r, data, judgements)
		if err != nil {
			return nil, fmt.Errorf("judge %s: %w", c.name, err)
		}
		rows = append(rows, row)
	}
	row, err := judgeExact(c, data, judgements)
	if err != nil {
		return nil, fmt.Errorf("judge %s: %w", c.name, err)
	}
	if rows = append(rows, row); lucene != "" {
		if row, err = judgePeer(ctx, c, data, judgements, lucene); err != nil {
			return nil, fmt.Errorf("judge Lucene on %s: %w", c.name, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// judgeExact judges BM25 in floating point over the same words as the first ranking: what is between the two is quantisation, what
// is between it and Lucene's figures is how words are found and stemmed.
func judgeExact(c collection, data string, judgements []game.Judgement) (row qualityRow, err error) {
	row = qualityRow{collection: c, ranking: "float"}
	roots := make([]query.Node, len(judgements))
	for i, j := range judgements {
		roots[i] = stemmed(game.AnyWord(j.Query, false))
	}
	in, err := openCorpus(filepath.Join(data, c.corpus))
	if err != nil {
		return row, err
	}
	defer in.Close()
	x := game.NewExact(game.GameBM25, roots)
	var ids []string
	err = eachStemmed(in, func(id string, words []string) error {
		x.Add(words)
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return row, err
	}
	for i, j := range judgements {
		best, err := x.All(roots[i])
		if err != nil {
			return row, err
		}
		var names []string
		for _, b := range best[:min(depth, len(best))] {
			names = append(names, ids[b.Doc])
		}
		row.Add(j.Grades, names)
	}
	row.Quality, row.documents = row.Mean(), len(ids)
	return row, nil
}

// eachStemmed calls f with the _id of each document of a corpus and the terms that the first ranking indexes it as.
func eachStemmed(corpus io.Reader, f func(id string, words []string) error) error {
	analyzer := text.NewAnalyzer("en")
	var words []string
	var terms []text.Term
	return game.ReadCorpus(corpus, func(d game.Document) error {
		terms, words = analyzer.Append(terms[:0], englishDocument(0, d.Title, d.Text).Body), words[:0]
		for _, t := range terms {
			words = append(words, t.Text)
		}
		return f(d.ID, words)
	})
}

// stemmed returns a query of words with the terms that they are indexed as.
func stemmed(root query.Node) query.Node {
	var terms []query.Node
	words := []query.Node{root}
	if or, ok := root.(query.Or); ok {
		words = or.Nodes
	}
	for _, n := range words {
		if w, ok := n.(query.Word); ok {
			for _, form := range text.QueryForms(w.Text, []string{"en"}) {
				terms = append(terms, query.Word{Text: form})
			}
		}
	}
	return query.Or{Nodes: terms}
}

func judgeRanking(ctx context.Context, c collection, r ranking, data string, judgements []game.Judgement) (row qualityRow, err error) {
	row = qualityRow{collection: c, ranking: r.name}
	in, err := openCorpus(filepath.Join(data, c.corpus))
	if err != nil {
		return row, err
	}
	defer in.Close()
	dir, err := os.MkdirTemp("", "concord-relevance-*")
	if err != nil {
		return row, err
	}
	defer os.RemoveAll(dir)
	var ids []string
	job := indexJob{dir: dir, threads: 1, memory: defaultMemoryMB << 20, config: r.config}
	report, err := job.build(ctx, in, englishSegment, func(n int, d *game.Document, buf []byte) (*index.Document, []byte) {
		ids = append(ids, d.ID)
		return r.document(n, d.Title, d.Text), buf
	})
	if err != nil {
		return row, err
	}
	e, err := openEngine(dir, englishSegment)
	if err != nil {
		return row, err
	}
	defer closeInto(e, &err)
	for _, j := range judgements {
		best, err := e.ranking(game.AnyWord(j.Query, r.stops), depth, ids)
		if err != nil {
			return row, fmt.Errorf("query %s: %w", j.ID, err)
		}
		row.Add(j.Grades, best.names)
	}
	row.Quality, row.documents = row.Mean(), report.Documents
	return row, nil
}

// ranked are the best documents of a query by name, and their scores.
type ranked struct {
	names  []string
	scores []float64
}

// ranking answers a query with documents by name; a query of nothing, nil, with none.
func (e *engine) ranking(root query.Node, k int, ids []string) (r ranked, err error) {
	if root == nil {
		return r, nil
	}
	best, err := e.Top(root, k)
	for _, b := range best {
		r.names, r.scores = append(r.names, ids[b.Doc]), append(r.scores, b.Score)
	}
	return r, err
}

// printQuality writes the table, beside Lucene's figures or, for the golden file, without them.
func printQuality(w io.Writer, rows []qualityRow, beside bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := []string{"collection", "ranking", "documents", "queries", "nDCG@10", "MAP", "R@100"}
	if beside {
		head = append(head, "Lucene nDCG@10", "MAP", "nDCG@10 ours less Lucene's")
	}
	fmt.Fprintln(t, strings.Join(head, "\t"))
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.4f\t%.4f\t%.4f", r.collection.name, r.ranking, r.documents, r.Queries, r.NDCG10, r.MAP, r.R100)
		if beside {
			fmt.Fprintf(t, "\t%.4f\t%.4f\t%+.4f", r.collection.ndcg, r.collection.ap, math.Round((r.NDCG10-r.collection.ndcg)*1e4)/1e4)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
