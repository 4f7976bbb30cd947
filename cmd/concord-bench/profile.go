package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"concord/bench/game"
)

// runProfile answers queries of some classes again and again inside this process and writes where the time went, for go tool pprof.
func runProfile(ctx context.Context, args []string) (err error) {
	fs := flags("profile")
	data := fs.String("data", filepath.Join("..", "shared", "data"), "directory with speed/search-benchmark-game-queries.jsonl")
	classes := fs.String("classes", "", "classes of queries; empty: all")
	command := fs.String("command", "TOP_10", "command to run")
	length := fs.Duration("for", 10*time.Second, "how long")
	out := fs.String("out", "cpu.pprof", "file to write")
	dirs, err := parseArgs(fs, args, 1)
	if err != nil {
		return err
	}
	c := comparison{data: *data, classes: list(*classes)}
	queries, err := c.queries()
	if err != nil {
		return err
	}
	e, err := openEngine(dirs[0], gameSegment)
	if err != nil {
		return err
	}
	defer closeInto(e, &err)
	pass := func() error {
		for _, q := range queries {
			if _, err := game.Answer(e, *command+"\t"+q.Text); err != nil {
				return fmt.Errorf("%s %s: %w", *command, q.Text, err)
			}
		}
		return ctx.Err()
	}
	if err := pass(); err != nil { // reads the index in
		return err
	}
	f, err := os.Create(*out)
	if err != nil {
		return err
	}
	defer closeInto(f, &err)
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	passes := 0
	began := time.Now()
	for ; time.Since(began) < *length; passes++ {
		if err := pass(); err != nil {
			return err
		}
	}
	fmt.Printf("%d passes over %d queries, %.1f µs a query; go tool pprof -top %s\n", passes, len(queries),
		float64(time.Since(began).Microseconds())/float64(max(passes, 1)*len(queries)), *out)
	return nil
}
