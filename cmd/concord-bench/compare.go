package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"concord"
	"concord/bench/game"
)

// contender is an engine that takes part in a comparison.
type contender struct {
	name    string
	peer    string // directory of its sources under bench/peers; empty: this program
	from    string // the contender whose index this one's is made of
	jit     bool   // it compiles itself while it runs
	program string
	version string
}

const ours = "concord"

// contenders in the order of tables.
var contenders = []contender{{name: ours}, {name: "concord-bp", from: ours}, {name: "lucene", peer: "lucene", jit: true},
	{name: "lucene-bp", peer: "lucene", from: "lucene", jit: true}, {name: "tantivy", peer: "tantivy"}, {name: "bleve", peer: "bleve"}, {name: "pisa", peer: "pisa"}}

func (e *contender) indexArgs(dir string) []string {
	if e.peer == "" {
		return []string{e.program, "index", "--game", "--out", dir}
	}
	return []string{e.program, "index", dir}
}

func (e *contender) reorderArgs(from, dir string) []string {
	return []string{e.program, "reorder", from, dir}
}

// comparison is what compare was asked to do.
type comparison struct {
	sites     string // unpacked documentation packages, for the corpus pages
	work      workDir
	sources   string
	data      string
	corpora   []string
	engines   []string
	classes   []string
	rebuild   []string
	sizes     []string // corpora to measure growth on
	reuse     bool
	overlap   bool
	relevance bool
	slow      int
	report    string
	protocol  game.Protocol
	log       *slog.Logger
}

func runCompare(ctx context.Context, args []string) error {
	c := comparison{protocol: game.Game, log: logger()}
	fs := flags("compare")
	work := fs.String("work", defaultWork(), "directory for peers, corpora and indexes")
	fs.StringVar(&c.sources, "peers", filepath.Join("bench", "peers"), "sources of the peers")
	fs.StringVar(&c.data, "data", filepath.Join("..", "shared", "data"), "directory with wiki/wiki-en.jsonl.zst and speed/search-benchmark-game-queries.jsonl")
	corpora := fs.String("corpora", "articles,paragraphs,pages", "corpora to search: articles, paragraphs, pages, 10k, 100k, 1M")
	fs.StringVar(&c.sites, "sites", defaultSites(), "directory of unpacked documentation packages, for the corpus pages")
	engines := fs.String("engines", "concord,concord-bp,lucene,lucene-bp,tantivy,bleve,pisa", "engines to compare; the first beside the others")
	classes := fs.String("classes", "", "classes of queries; empty: all")
	commands := fs.String("commands", strings.Join(game.Game.Commands, ","), "commands to measure")
	rebuild := fs.String("rebuild", "", "engines whose indexes are built again")
	warmup := fs.Float64("warmup", game.Game.Warmup.Seconds(), "seconds of warm-up for each command, at least; Lucene has five times as many")
	fs.IntVar(&c.protocol.Passes, "passes", game.Game.Passes, "passes over all queries")
	fs.IntVar(&c.protocol.CPU, "cpu", game.Game.CPU, "processor that servers are kept on; -1: any")
	fs.BoolVar(&c.reuse, "reuse", false, "measure only the engines that are rebuilt, and take the others' times from their last run")
	sizes := fs.String("scaling", "", "corpora of growing size to measure growth of cost on: 10k,100k,1M")
	fs.BoolVar(&c.overlap, "overlap", false, "hold the best ten documents against BM25 in floating point")
	fs.BoolVar(&c.relevance, "relevance", false, "judge the collections, too")
	fs.StringVar(&c.report, "report", "", "report whose tables are replaced, plots beside it; empty: report.md in the work directory")
	fs.IntVar(&c.slow, "list", 5, "slow queries and disagreements to list")
	if _, err := parseArgs(fs, args, 0); err != nil {
		return err
	}
	c.work = workDir(*work)
	c.corpora, c.engines, c.classes, c.rebuild = list(*corpora), list(*engines), list(*classes), list(*rebuild)
	c.sizes, c.protocol.Commands = list(*sizes), list(*commands)
	if c.report == "" {
		c.report = c.work.path("report.md")
	}
	c.protocol.Warmup = time.Duration(*warmup * float64(time.Second))
	if c.protocol.Passes < 1 || len(c.engines) == 0 || len(c.protocol.Commands) == 0 {
		return errUsage
	}
	return c.run(ctx)
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func (c *comparison) run(ctx context.Context) error {
	queries, err := c.queries()
	if err != nil {
		return err
	}
	field, missing, err := c.prepare(ctx)
	if err != nil {
		return err
	}
	r := report{protocol: c.protocol, queries: queries, field: field, missing: missing, slow: reportSlow}
	for _, name := range c.corpora {
		result, err := c.named(ctx, name, queries, field)
		if concord.KindOf(err) == concord.NotFound {
			c.log.Warn("a corpus is missing", "corpus", name, "error", err)
			continue
		}
		if err != nil {
			return err
		}
		r.corpora = append(r.corpora, result)
	}
	if len(r.corpora) == 0 && len(c.sizes) == 0 {
		return concord.Errorf(concord.NotFound, "there is no corpus to compare on")
	}
	if len(c.sizes) > 0 {
		s, err := c.scale(ctx, queries, field)
		if err != nil {
			return err
		}
		r.scaling = &s
	}
	if c.relevance {
		lucene := ""
		for _, e := range field {
			if e.name == "lucene" {
				lucene = e.program
			}
		}
		for _, l := range collections[:len(collections)-1] {
			rows, err := judge(ctx, l, c.data, lucene)
			if err != nil {
				return err
			}
			r.relevance = append(r.relevance, rows...)
		}
	}
	return r.write(c.report)
}

// named measures all engines on a corpus that is known by name. Errors: NotFound when what it is made of is not there.
func (c *comparison) named(ctx context.Context, name string, queries []game.Query, field []*contender) (r corpusResult, err error) {
	spec, err := corpusByName(name)
	if err != nil {
		return r, err
	}
	words, err := c.work.words(spec, c.corpusFile(), c.sites)
	if err != nil {
		return r, err
	}
	r, err = c.corpus(ctx, name, "", words, queries, field)
	if err == nil && c.overlap {
		r.overlaps, err = c.overlaps(ctx, words, queries, field, r.dirs)
	}
	return r, err
}

// queries reads the game's queries and keeps the classes asked for.
func (c *comparison) queries() ([]game.Query, error) {
	f, err := os.Open(filepath.Join(c.data, "speed", "search-benchmark-game-queries.jsonl"))
	if err != nil {
		return nil, concord.Errorf(concord.NotFound, "the queries are missing: %w", err)
	}
	defer f.Close()
	queries, err := game.ReadQueries(f)
	if err != nil || len(c.classes) == 0 {
		return queries, err
	}
	queries = slices.DeleteFunc(queries, func(q game.Query) bool { return !slices.Contains(c.classes, q.Class) })
	if len(queries) == 0 {
		return nil, concord.Errorf(concord.Invalid, "no query has a class of %v", c.classes)
	}
	return queries, nil
}

// prepare builds the peers that take part. Those that cannot be built here are missing, and said so.
func (c *comparison) prepare(ctx context.Context) (field []*contender, missing []string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	for _, name := range c.engines {
		i := slices.IndexFunc(contenders, func(e contender) bool { return e.name == name })
		if i < 0 {
			return nil, nil, concord.Errorf(concord.Invalid, "no engine is called %q", name)
		}
		e := contenders[i]
		if e.peer == "" {
			e.program, e.version = self, "Concord "+concord.Version
		} else if e.program, e.version, err = c.work.peer(ctx, c.sources, e.peer); err != nil {
			c.log.Warn("a peer does not take part", "engine", name, "error", err)
			missing = append(missing, name)
			continue
		}
		field = append(field, &e)
	}
	if len(field) == 0 {
		return nil, nil, concord.Errorf(concord.Unavailable, "no engine is left to compare")
	}
	return field, missing, nil
}

// corpusResult is what all engines took on one corpus.
type corpusResult struct {
	name     string
	builds   []built
	dirs     []string
	runs     []*game.Run
	compared *game.Comparison
	overlaps []overlap
}

// mean returns the mean time of a class and command for the engine in place e.
func (r *corpusResult) mean(command, class string, e int) time.Duration {
	for _, cell := range r.compared.Cells {
		if cell.Command == command && cell.Class == class {
			return cell.Times[e].Mean
		}
	}
	return 0
}

// corpus measures all engines on one corpus and prints the table. What is measured is kept under the kind, for later runs to reuse.
func (c *comparison) corpus(ctx context.Context, name, kind, words string, queries []game.Query, field []*contender) (r corpusResult, err error) {
	r.name = name
	fmt.Printf("%s %s\n", name, kind)
	for _, e := range field {
		dir, b, err := c.work.index(ctx, e, name, words, slices.Contains(c.rebuild, e.name))
		if err != nil {
			return r, err
		}
		fmt.Printf("  %-10s %8d documents, %6.1f s, %6.1f s of CPU, %7.1f MB, peak %5.0f MB\n", e.name, b.Documents, b.Seconds, b.CPUSeconds, float64(b.Bytes)/1e6, float64(b.Peak)/1e6)
		r.builds, r.dirs = append(r.builds, b), append(r.dirs, dir)
	}
	if r.runs, err = c.measure(ctx, filepath.Join(name, kind), r.dirs, queries, field); err != nil {
		return r, err
	}
	r.compared = game.Compare(queries, c.protocol.Commands, r.runs)
	return r, r.compared.Print(os.Stdout, r.runs, c.slow)
}

// savedRun is a run with the queries it was made of, so that another selection of queries can use it.
type savedRun struct {
	Run     *game.Run    `json:"run"`
	Queries []game.Query `json:"queries"`
}

// measure measures all engines that are not to be reused, in one go; of the others it takes what was measured last time.
func (c *comparison) measure(ctx context.Context, corpus string, dirs []string, queries []game.Query, field []*contender) ([]*game.Run, error) {
	runs := make([]*game.Run, len(field))
	last := make([]*savedRun, len(field))
	var servers []game.Server
	for i, e := range field {
		var saved savedRun
		data, err := os.ReadFile(c.runFile(corpus, e))
		if err == nil {
			err = json.Unmarshal(data, &saved)
		}
		if err == nil {
			last[i] = &saved
		}
		switch {
		case !c.reuse || slices.Contains(c.rebuild, e.name):
			servers = append(servers, game.Server{Engine: e.name, Version: e.version, JIT: e.jit, Argv: []string{e.program, "serve", dirs[i]}})
		case err != nil:
			return nil, fmt.Errorf("reuse the last run of %s: %w", e.name, err)
		default:
			runs[i] = saved.Run.Select(saved.Queries, queries, c.protocol.Commands)
		}
	}
	busy := game.BusyBefore()
	measured, err := game.Measure(ctx, c.protocol, queries, servers, c.log.With("corpus", corpus))
	if err != nil {
		return nil, fmt.Errorf("measure on %s: %w", corpus, err)
	}
	for i, e := range field {
		if runs[i] != nil {
			continue
		}
		runs[i], measured = measured[0], measured[1:]
		runs[i].Busy = busy
		if old := last[i]; old != nil && (len(queries) < len(old.Queries) || len(runs[i].Commands) < len(old.Run.Commands)) {
			continue // the saved run has more to reuse
		}
		if err := writeJSON(c.runFile(corpus, e), savedRun{runs[i], queries}); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// runFile is where an engine's last run is kept.
func (c *comparison) runFile(corpus string, e *contender) string {
	return c.work.path("runs", corpus, e.name+".json")
}
