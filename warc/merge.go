package warc

import (
	"bufio"
	"bytes"
	"container/heap"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"concord"
)

// maxMergeRuns bounds the sorted files that are merged, and so are open, at a time.
const maxMergeRuns = 128

// lineSource gives sorted lines one after another.
type lineSource struct {
	s    *bufio.Scanner
	line []byte
}

func newLineSource(r io.Reader) *lineSource {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 16<<10), 2*MaxCDXLine)
	return &lineSource{s: s}
}

func (l *lineSource) next() bool {
	if !l.s.Scan() {
		return false
	}
	l.line = l.s.Bytes()
	return true
}

type lineHeap []*lineSource

func (h lineHeap) Len() int           { return len(h) }
func (h lineHeap) Less(i, j int) bool { return bytes.Compare(h[i].line, h[j].line) < 0 }
func (h lineHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *lineHeap) Push(x any)        { *h = append(*h, x.(*lineSource)) }
func (h *lineHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// mergeLines writes the lines of sorted sources to w in byte order.
func mergeLines(w io.Writer, sources []*lineSource) error {
	h := make(lineHeap, 0, len(sources))
	for _, s := range sources {
		if s.next() {
			h = append(h, s)
		} else if err := s.s.Err(); err != nil {
			return err
		}
	}
	heap.Init(&h)
	out := bufio.NewWriterSize(w, readBuffer)
	for len(h) > 0 {
		out.Write(h[0].line)
		if err := out.WriteByte('\n'); err != nil {
			return err
		}
		if h[0].next() {
			heap.Fix(&h, 0)
			continue
		}
		if err := h[0].s.Err(); err != nil {
			return err
		}
		heap.Pop(&h)
	}
	return out.Flush()
}

// mergeFiles merges sorted files, at most maxMergeRuns at a time; more are first merged into fewer in dir.
func mergeFiles(w io.Writer, paths []string, dir string) error {
	for round := 0; len(paths) > maxMergeRuns; round++ {
		var merged []string
		for i := 0; i < len(paths); i += maxMergeRuns {
			path := filepath.Join(dir, fmt.Sprintf("merge-%d-%d", round, i))
			f, err := os.Create(path)
			if err != nil {
				return err
			}
			err = mergeOnce(f, paths[i:min(i+maxMergeRuns, len(paths))])
			if cerr := f.Close(); err == nil {
				err = cerr
			}
			if err != nil {
				return err
			}
			merged = append(merged, path)
		}
		paths = merged
	}
	return mergeOnce(w, paths)
}

func mergeOnce(w io.Writer, paths []string) error {
	sources := make([]*lineSource, 0, len(paths))
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		sources = append(sources, newLineSource(f))
	}
	return mergeLines(w, sources)
}

// WriteCDXJ writes the index of all durable records to w, in byte order.
func (a *Archive) WriteCDXJ(w io.Writer) error {
	dir, err := os.MkdirTemp("", "concord-cdxj-")
	if err != nil {
		return fmt.Errorf("write CDXJ: %w", err)
	}
	defer os.RemoveAll(dir)
	runs, err := a.indexRuns(dir)
	if err == nil {
		err = mergeFiles(w, runs, dir)
	}
	if err != nil {
		return fmt.Errorf("write CDXJ: %w", err)
	}
	return nil
}

// indexRuns returns sorted index files that together cover the archive: those beside the sealed files, and one made in
// dir of the open file's lines.
func (a *Archive) indexRuns(dir string) ([]string, error) {
	// With commit held no file is sealed meanwhile: each record is in exactly one run.
	a.commit.Lock()
	defer a.commit.Unlock()
	if a.failed != nil && a.isClosed() {
		return nil, a.failed
	}
	var runs []string
	for _, f := range a.Files() {
		if f.Sealed {
			runs = append(runs, a.disk.path(indexName(f.Name)))
		}
	}
	if a.out == nil {
		return runs, nil
	}
	lines := append([]string(nil), a.out.lines...)
	sort.Strings(lines)
	path := filepath.Join(dir, "open"+indexSuffix)
	if len(lines) == 0 {
		return runs, nil
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	return append(runs, path), nil
}

func (a *Archive) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// readIndex calls fn for each line of a file's CDXJ index.
func readIndex(path string, fn func(CDXLine)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := newLineSource(f)
	for lines.next() {
		l, err := ParseCDXLine(string(lines.line))
		if err != nil {
			return concord.Errorf(concord.Corrupt, "index %s: %w", filepath.Base(path), err)
		}
		fn(l)
	}
	return lines.s.Err()
}
