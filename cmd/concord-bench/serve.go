package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"concord"
	"concord/bench/game"
)

func runServe(_ context.Context, args []string) (err error) {
	dirs, err := parseArgs(flags("serve"), args, 1)
	if err != nil {
		return err
	}
	e, err := openEngine(dirs[0], gameSegment)
	if err != nil {
		return err
	}
	defer closeInto(e, &err)
	return game.Serve(e, os.Stdin, os.Stdout, logger())
}

// runSearch writes a TREC run: query, Q0, document, rank, score, name.
func runSearch(_ context.Context, args []string) (err error) {
	fs := flags("search")
	run := fs.String("run", "", "file to write")
	k := fs.Int("k", 1000, "documents for each query")
	dirs, err := parseArgs(fs, args, 1)
	if err != nil {
		return err
	}
	if *run == "" || *k < 1 {
		return errUsage
	}
	e, err := openEngine(dirs[0], englishSegment)
	if err != nil {
		return err
	}
	defer closeInto(e, &err)
	ids, err := readIDs(dirs[0])
	if err != nil {
		return err
	}
	file, err := os.Create(*run)
	if err != nil {
		return err
	}
	defer closeInto(file, &err)
	out := bufio.NewWriter(file)
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, game.MaxLineBytes)
	for in.Scan() {
		id, text, ok := strings.Cut(in.Text(), "\t")
		if !ok {
			return concord.Errorf(concord.Invalid, "query %q has no tab between its number and its text", concord.Clip(in.Text(), 100))
		}
		best, err := e.ranking(game.AnyWord(text, false), *k, ids)
		if err != nil {
			return fmt.Errorf("query %s: %w", id, err)
		}
		if err := game.WriteRun(out, id, best.names, best.scores); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("read queries: %w", err)
	}
	return out.Flush()
}

// readIDs returns the _id of each document by its number.
func readIDs(dir string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, idsFile))
	if err != nil {
		return nil, fmt.Errorf("read document names: %w", err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n"), nil
}
