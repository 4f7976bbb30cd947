package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"concord"
	"concord/bench/game"
)

// workDir is where everything lives that is fetched or built for comparisons:
//
//	peers/NAME           a peer, built by bench/peers/NAME/build.sh: run, version
//	corpus/NAME.words    a corpus as all engines read it
//	index/CORPUS/ENGINE  an index, and beside it ENGINE.json, what building it took
//	runs/CORPUS/ENGINE.json  what its queries took
type workDir string

func (w workDir) path(parts ...string) string {
	return filepath.Join(append([]string{string(w)}, parts...)...)
}

// defaultWork is the user's cache directory.
func defaultWork() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "concord-bench")
}

// corpusSpec is a corpus that can be compared on.
type corpusSpec struct {
	name       string
	paragraphs bool
	limit      int  // documents; 0: all
	pages      bool // of HTML files, not of articles
}

// corpora are what compare knows by name; the last three are for how cost grows.
var corpora = []corpusSpec{{name: "articles"}, {name: "paragraphs", paragraphs: true}, {name: "pages", pages: true},
	{name: "10k", paragraphs: true, limit: 10_000}, {name: "100k", paragraphs: true, limit: 100_000}, {name: "1M", paragraphs: true, limit: 1_000_000}}

func corpusByName(name string) (corpusSpec, error) {
	for _, c := range corpora {
		if c.name == name {
			return c, nil
		}
	}
	return corpusSpec{}, concord.Errorf(concord.Invalid, "no corpus is called %q", name)
}

// words returns the file of a corpus as all engines read it, and makes it from articles or pages if it is not there.
func (w workDir) words(c corpusSpec, articles, sites string) (path string, err error) {
	path = w.path("corpus", c.name+".words")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	var in io.ReadCloser
	if c.pages {
		in, err = openPages(sites)
	} else {
		in, err = openCorpus(articles)
	}
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(path), c.name+"-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	_, err = game.WriteWords(out, in, c.paragraphs, c.limit)
	closeInto(out, &err)
	if err != nil {
		return "", fmt.Errorf("make corpus %s: %w", c.name, err)
	}
	return path, os.Rename(out.Name(), path)
}

// openCorpus opens a file of documents, compressed or not.
func openCorpus(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, concord.Errorf(concord.NotFound, "the corpus is missing: %w", err)
	}
	if !strings.HasSuffix(path, ".zst") {
		return f, nil
	}
	z, err := zstd.NewReader(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{z.IOReadCloser(), f}, nil
}

// peer builds a peer if its sources have changed since it was built, and returns its program and version.
func (w workDir) peer(ctx context.Context, sources, name string) (program, version string, err error) {
	src, out := filepath.Join(sources, name), w.path("peers", name)
	sum, err := hashDir(src)
	if err != nil {
		return "", "", fmt.Errorf("read the sources of peer %s: %w", name, err)
	}
	program = filepath.Join(out, "run")
	stamp := filepath.Join(out, "sources.sha256")
	if old, err := os.ReadFile(stamp); err != nil || string(old) != sum {
		cmd := exec.CommandContext(ctx, "sh", filepath.Join(src, "build.sh"), out)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return "", "", fmt.Errorf("build peer %s: %w", name, err)
		}
		if err := os.WriteFile(stamp, []byte(sum), 0o644); err != nil {
			return "", "", err
		}
	}
	data, err := os.ReadFile(filepath.Join(out, "version"))
	return program, strings.TrimSpace(string(data)), err
}

// hashDir returns the SHA-256 of all files under a directory, with their names.
func hashDir(dir string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", d.Name(), len(data), data)
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// built is what building an index took.
type built struct {
	Engine     string  `json:"engine"`
	Version    string  `json:"version"`
	Documents  int     `json:"documents"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	Bytes      int64   `json:"bytes"`
	Peak       int64   `json:"peak_memory"`
	Written    int64   `json:"written,omitempty"`   // ours only
	ColdOpen   float64 `json:"cold_open,omitempty"` // ours only, seconds
	At         time.Time
}

// index builds the index of an engine unless it is there, and returns its directory.
func (w workDir) index(ctx context.Context, e *contender, corpus, words string, again bool) (dir string, b built, err error) {
	dir = w.path("index", corpus, e.name)
	meta := dir + ".json"
	if data, err := os.ReadFile(meta); err == nil && !again {
		if err := json.Unmarshal(data, &b); err != nil {
			return "", b, fmt.Errorf("read %s: %w", meta, err)
		}
		return dir, b, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", b, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", b, err
	}
	input, argv := words, e.indexArgs(dir)
	if e.from != "" {
		input, argv = "", e.reorderArgs(w.path("index", corpus, e.from), dir)
	} else if err := readIn(words); err != nil {
		return "", b, err
	}
	out, cpu, peak, err := game.Job(ctx, input, argv...)
	if err != nil {
		return "", b, fmt.Errorf("index %s with %s: %w", corpus, e.name, err)
	}
	if err := json.Unmarshal(out, &b); err != nil {
		return "", b, fmt.Errorf("index %s with %s: it printed %q: %w", corpus, e.name, out, err)
	}
	b.Engine, b.Version, b.CPUSeconds, b.Peak, b.At = e.name, e.version, cpu.Seconds(), peak, time.Now().UTC()
	return dir, b, writeJSON(meta, b)
}

// readIn reads a file, so that who reads it next has it from memory: the first engine does not pay for the disk.
func readIn(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer closeInto(f, &err)
	_, err = io.Copy(io.Discard, f)
	return err
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
