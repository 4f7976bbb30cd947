package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"concord/bench/game"
	"concord/index"
)

// defaultMemoryMB is what all builders together may take: with garbage on top nearly the 512 that every peer's writer gets.
const defaultMemoryMB = 400

// indexReport is what index prints.
type indexReport struct {
	Documents  int          `json:"documents"`
	Seconds    float64      `json:"seconds"`     // of the game's index, from the first byte read to durable
	CPUSeconds float64      `json:"cpu_seconds"` // user and system time of the same
	Bytes      int64        `json:"bytes"`       // of the game's index
	PeakMemory int64        `json:"peak_memory"` // largest resident set meanwhile
	Threads    int          `json:"threads"`
	Parts      int          `json:"parts"`     // segments that were written before they were merged into one
	Written    int64        `json:"written"`   // bytes of the parts and of the segment
	ColdOpen   float64      `json:"cold_open"` // seconds to open the index when no page of it is in memory
	English    *indexReport `json:"english,omitempty"`
}

func runIndex(ctx context.Context, args []string) error {
	fs := flags("index")
	out := fs.String("out", "", "directory to write, which must not hold an index")
	paragraphs := fs.Bool("paragraphs", false, "cut text on newlines into pieces of at least 100 characters")
	threads := fs.Int("threads", 1, "builders that work side by side")
	memory := fs.Int64("memory", 0, fmt.Sprintf("megabytes that the builders together may take; 0: %d, or %d for each thread", defaultMemoryMB, index.MinWriterMemory>>20))
	gameOnly := fs.Bool("game", false, "write the index that serve needs, not the one for search")
	if _, err := parseArgs(fs, args, 0); err != nil {
		return err
	}
	if *out == "" || *threads < 1 || *memory < 0 {
		return errUsage
	}
	if *memory == 0 {
		*memory = max(defaultMemoryMB, int64(*threads)*index.MinWriterMemory>>20)
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	job := indexJob{dir: *out, paragraphs: *paragraphs, threads: *threads, memory: *memory << 20, config: builderConfig()}
	report, err := job.run(ctx, os.Stdin, *gameOnly)
	if err != nil {
		return err
	}
	data, err := json.Marshal(report)
	if err != nil {
		return err
	}
	fmt.Println(string(data))
	return os.WriteFile(filepath.Join(*out, reportFile), append(data, '\n'), 0o644)
}

// indexJob makes an index directory of a corpus.
type indexJob struct {
	dir        string
	paragraphs bool
	threads    int
	memory     int64
	config     index.Config
}

// run makes the game's index and then, from the same input, the stemmed one. Input that cannot be read twice is kept in a file
// meanwhile.
func (j *indexJob) run(ctx context.Context, in *os.File, gameOnly bool) (*indexReport, error) {
	var src io.Reader = in
	again := in
	if _, err := in.Seek(0, io.SeekCurrent); err != nil && !gameOnly {
		spool, err := os.CreateTemp(j.dir, "corpus-*")
		if err != nil {
			return nil, err
		}
		defer os.Remove(spool.Name())
		defer spool.Close()
		src, again = io.TeeReader(in, spool), spool
	}
	var start int64
	if again == in && !gameOnly {
		start, _ = in.Seek(0, io.SeekCurrent)
	}
	ids, err := os.Create(filepath.Join(j.dir, idsFile))
	if err != nil {
		return nil, err
	}
	names := bufio.NewWriter(ids)
	report, err := j.build(ctx, src, gameSegment, func(n int, d *game.Document, buf []byte) (*index.Document, []byte) {
		names.WriteString(d.ID)
		names.WriteByte('\n')
		if d.Words {
			return gameDocument(n, d.Text), buf
		}
		buf = game.AppendWords(buf[:0], d.Text)
		return gameDocument(n, string(buf)), buf
	})
	if err = errors.Join(err, names.Flush(), ids.Close()); err != nil || gameOnly {
		return report, err
	}
	if _, err := again.Seek(start, io.SeekStart); err != nil {
		return nil, err
	}
	report.English, err = j.build(ctx, again, englishSegment, func(n int, d *game.Document, buf []byte) (*index.Document, []byte) {
		return englishDocument(n, d.Title, d.Text), buf
	})
	return report, err
}

// convert makes a document for the index of number n of the corpus; buf is scratch space it may keep.
type convert func(n int, d *game.Document, buf []byte) (*index.Document, []byte)

// build writes one segment of a corpus.
func (j *indexJob) build(ctx context.Context, in io.Reader, name string, conv convert) (r *indexReport, err error) {
	game.ResetPeak()
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(j.memory + j.memory/4)) // garbage may take a quarter of what builders may
	began, cpu := time.Now(), cpuSeconds()
	path := filepath.Join(j.dir, name)
	w, err := newWriter(path, j.config, j.threads, j.memory)
	if err != nil {
		return nil, err
	}
	defer closeInto(w, &err)
	r = &indexReport{Threads: j.threads}
	var buf []byte
	add := func(d game.Document) error {
		var doc *index.Document
		doc, buf = conv(r.Documents, &d, buf)
		r.Documents++
		if err := ctx.Err(); err != nil {
			return err
		}
		return w.Add(doc)
	}
	err = game.ReadCorpus(in, func(d game.Document) error {
		if j.paragraphs {
			return game.Paragraphs(d, add)
		}
		return add(d)
	})
	if err != nil {
		return nil, err
	}
	info, err := w.Finish(ctx)
	if err != nil {
		return nil, err
	}
	r.Seconds, r.CPUSeconds = time.Since(began).Seconds(), cpuSeconds()-cpu
	r.Bytes, r.Parts, r.Written, r.PeakMemory = info.Bytes, info.Parts, info.WrittenBytes, game.Peak(os.Getpid())
	r.ColdOpen, err = coldOpen(path)
	return r, err
}

// runReorder makes a game's index with reordered documents of one without.
func runReorder(ctx context.Context, args []string) error {
	dirs, err := parseArgs(flags("reorder"), args, 2)
	if err != nil {
		return err
	}
	seg, err := index.Open(filepath.Join(dirs[0], gameSegment))
	if err != nil {
		return err
	}
	defer seg.Close()
	if err := os.MkdirAll(dirs[1], 0o755); err != nil {
		return err
	}
	began, cpu := time.Now(), cpuSeconds()
	cfg := builderConfig()
	cfg.Reorder = true
	path := filepath.Join(dirs[1], gameSegment)
	info, err := index.Merge(ctx, path, []*index.Segment{seg}, cfg)
	if err != nil {
		return err
	}
	r := &indexReport{Documents: info.Docs, Seconds: time.Since(began).Seconds(), CPUSeconds: cpuSeconds() - cpu, Bytes: info.Bytes,
		Written: info.Bytes, PeakMemory: game.Peak(os.Getpid()), Threads: 1}
	if r.ColdOpen, err = coldOpen(path); err != nil {
		return err
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	fmt.Println(string(data))
	return os.WriteFile(filepath.Join(dirs[1], reportFile), append(data, '\n'), 0o644)
}

func runWords(_ context.Context, args []string) error {
	fs := flags("words")
	paragraphs := fs.Bool("paragraphs", false, "cut text on newlines into pieces of at least 100 characters")
	if _, err := parseArgs(fs, args, 0); err != nil {
		return err
	}
	_, err := game.WriteWords(os.Stdout, os.Stdin, *paragraphs, 0)
	return err
}
