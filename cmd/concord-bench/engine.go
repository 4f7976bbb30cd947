package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"concord/bench/game"
	"concord/index"
	"concord/query"
	"concord/search"
)

// Files of an index directory.
const (
	gameSegment    = "game.seg"    // words as they are, of the text alone
	englishSegment = "english.seg" // stemmed words of title and text
	idsFile        = "ids"         // the _id of each document, one a line
	reportFile     = "index.json"  // what index printed
)

// gameScoring is the BM25 that all engines of the benchmark use where they let one choose; only the body counts.
func gameScoring() *index.Scoring {
	s := &index.Scoring{K1: 0.9}
	s.Weight[index.PartBody], s.B[index.PartBody] = 1, 0.4
	return s
}

// builderConfig is how the benchmark's segments are written: like those of the peers they store no text.
func builderConfig() index.Config { return index.Config{Scoring: gameScoring(), OmitText: true} }

// Numbers are written with sixteen signs that are neither letters nor digits, in the order of their bytes: as a URL they keep the order of
// documents, and have no words that a query could match or a dictionary must hold.
const (
	numberSigns  = "!#$&()*+,-;<=>@_"
	numberLength = 8 // 16^8 documents
)

func numberURL(n int) string {
	var b [numberLength]byte
	for i := numberLength - 1; i >= 0; i-- {
		b[i] = numberSigns[n&15]
		n >>= 4
	}
	return string(b[:])
}

// gameDocument is a document of the game: numbered words and nothing else.
func gameDocument(n int, words string) *index.Document {
	return &index.Document{URL: numberURL(n), Body: words}
}

// englishDocument is a document as published baselines have it: title and text as one, stemmed, without stop words.
func englishDocument(n int, title, text string) *index.Document {
	return &index.Document{URL: numberURL(n), Language: "en", Body: game.WithoutStops(title + "\n" + text)}
}

// engine answers queries from one segment. The order of URLs is that of the corpus, so the rank of a document is its number there.
type engine struct {
	searcher *search.Searcher
	snapshot *search.Snapshot
}

// openEngine opens a segment of an index directory. Errors: as index.Open.
func openEngine(dir, name string) (*engine, error) {
	seg, err := index.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer seg.Close() // the searcher has a view of its own
	s := search.New(seg)
	return &engine{s, s.Acquire()}, nil
}

// coldOpen returns the seconds it takes to open a segment whose pages the system was asked to forget.
func coldOpen(path string) (float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	err = forget(f)
	closeInto(f, &err)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	seg, err := index.Open(path)
	if err != nil {
		return 0, err
	}
	took := time.Since(began).Seconds()
	return took, seg.Close()
}

func (e *engine) Close() error {
	e.snapshot.Release()
	return e.searcher.Close()
}

// Count implements game.Engine.
func (e *engine) Count(q query.Node) (uint64, error) {
	return e.snapshot.Count(context.Background(), q)
}

// Top implements game.Engine.
func (e *engine) Top(q query.Node, k int) ([]game.Scored, error) {
	best, _, err := e.snapshot.Top(context.Background(), q, k, false)
	if err != nil {
		return nil, err
	}
	seg := e.snapshot.Segments()[0]
	out := make([]game.Scored, len(best))
	for i, b := range best {
		out[i] = game.Scored{Doc: int(seg.Rank(b.Doc)), Score: b.Score}
	}
	return out, nil
}

// TopCount implements game.Engine.
func (e *engine) TopCount(q query.Node, k int) (uint64, error) {
	_, n, err := e.snapshot.Top(context.Background(), q, k, true)
	return n, err
}

// newWriter returns what writes one segment. With one thread everything happens where documents are added, as in the peers.
func newWriter(path string, cfg index.Config, threads int, memory int64) (*index.Writer, error) {
	if threads == 1 {
		threads = 0
	}
	return index.NewWriter(index.WriterConfig{Config: cfg, Path: path, Threads: threads, MemoryBytes: memory})
}
