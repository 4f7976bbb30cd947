// Command concord-bench answers: how fast, how small and how right is the index, beside the best of the field?
//
//	concord-bench index --out DIR [--paragraphs] [--threads N] < CORPUS.jsonl
//	concord-bench reorder FROM DIR                      the same index, documents numbered by recursive graph bisection
//	concord-bench serve DIR                             commands of the search benchmark game, one a line
//	concord-bench search DIR --run FILE --k 1000 < queries.tsv
//	concord-bench compare                               all peers, the report of docs/INDEX-BENCHMARKS.md
//	concord-bench relevance                             judged collections
//
// It is no part of `make test`: compare builds the peers from their public packages first. docs/INDEX-BENCHMARKS.md says how
// to run it and what came out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// command is one word after the program's name.
type command struct {
	name, usage string
	run         func(ctx context.Context, args []string) error
}

var commands = []command{
	{"index", "--out DIR [--paragraphs] [--threads N] [--memory MB] [--game] < CORPUS.jsonl", runIndex},
	{"reorder", "FROM DIR", runReorder},
	{"serve", "DIR", runServe},
	{"search", "DIR --run FILE [--k 1000] < queries.tsv", runSearch},
	{"compare", "[flags; -h lists them]", runCompare},
	{"relevance", "[--data DIR] [--collections NAMES]", runRelevance},
	{"profile", "DIR [--classes NAMES] [--command TOP_10] [--for 10s] [--out FILE]", runProfile},
	{"words", "[--paragraphs] < CORPUS.jsonl > CORPUS.words", runWords},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 {
		for _, c := range commands {
			if c.name == os.Args[1] {
				os.Exit(exit(c, c.run(ctx, os.Args[2:])))
			}
		}
	}
	fmt.Fprintln(os.Stderr, "usage:")
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "  concord-bench %s %s\n", c.name, c.usage)
	}
	os.Exit(2)
}

// errUsage stands for arguments that were wrong; what was wrong has been said.
var errUsage = errors.New("usage")

func exit(c command, err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "usage: concord-bench %s %s\n", c.name, c.usage)
		return 2
	}
	fmt.Fprintf(os.Stderr, "concord-bench %s: %v\n", c.name, err)
	return 1
}

// parseArgs reads flags before and after the positional arguments, of which there must be as many as want names.
func parseArgs(fs *flag.FlagSet, args []string, want int) ([]string, error) {
	fs.SetOutput(os.Stderr)
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, errUsage
		}
		if fs.NArg() == 0 {
			break
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
	if len(rest) != want {
		return nil, errUsage
	}
	return rest, nil
}

func flags(name string) *flag.FlagSet { return flag.NewFlagSet(name, flag.ContinueOnError) }

func logger() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

// closeInto closes c and keeps its error if there is none yet.
func closeInto(c io.Closer, err *error) {
	if e := c.Close(); *err == nil {
		*err = e
	}
}
