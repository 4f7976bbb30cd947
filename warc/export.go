package warc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"concord"
	"concord/durable"
	"concord/weburl"
)

// IndexName is the file name of the merged index of an export.
const IndexName = "index" + indexSuffix

// Progress says how far an export is.
type Progress struct {
	Files   int   // archive files read
	Of      int   // archive files there are to read
	Records int64 // records copied
	Bytes   int64 // bytes copied
	Damaged int   // places of the archive that could not be read
}

// Export copies the records of all URLs for which keep returns true to a new directory: responses, revisits and
// resources with their request and metadata records, and the robots.txt answers of the same origins. The gzip members are
// copied as they are, into files with a warcinfo record of their own, and index.cdxj indexes them all. The directory
// appears under its name when it is complete and durable, or not at all; one that exists and is not empty is a Conflict.
//
// progress, which may be nil, is called after each file and every few thousand records. Records appended meanwhile may be
// missing. Places of the archive that cannot be read are passed over and logged; the export is completed, and the error
// is then of kind Corrupt and says how many they were. When ctx ends, so does the export, with its error.
func (a *Archive) Export(ctx context.Context, dir string, keep func(url string) bool, progress func(Progress)) error {
	return a.ExportWith(ctx, dir, nil, keep, progress)
}

// ExportWith is Export of this archive and of files that lie elsewhere.
func (a *Archive) ExportWith(ctx context.Context, dir string, more []Elsewhere, keep func(url string) bool, progress func(Progress)) error {
	dir = filepath.Clean(dir)
	if err := checkTarget(dir); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer os.RemoveAll(tmp) // of nothing, once it was renamed
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	e := &exporter{ctx: ctx, a: a, more: more, dir: tmp, keep: keep, progress: progress, origins: map[string]bool{}}
	if err := e.run(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return concord.Errorf(concord.Conflict, "export: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if e.done.Damaged > 0 {
		return concord.Errorf(concord.Corrupt, "export to %s is complete but for %d damaged places of the archive, which are in the log",
			dir, e.done.Damaged)
	}
	return nil
}

func checkTarget(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.MkdirAll(filepath.Dir(dir), 0o755)
	case err != nil:
		return concord.Errorf(concord.Conflict, "export to %s: %w", dir, err)
	case len(entries) > 0:
		return concord.Errorf(concord.Conflict, "export to %s: it exists and is not empty; name a new directory", dir)
	}
	return nil
}

type exporter struct {
	ctx      context.Context
	a        *Archive
	more     []Elsewhere
	dir      string
	keep     func(string) bool
	progress func(Progress)
	origins  map[string]bool // of the URLs that are kept: their robots.txt goes along
	done     Progress

	out    *os.File
	w      *bufio.Writer
	name   string
	size   int64
	serial int
	lines  []string
	runs   []string // sorted index files of the files written
}

func (e *exporter) run() error {
	scratch, err := os.MkdirTemp(e.dir, "scratch-")
	if err != nil {
		return err
	}
	sources, err := e.a.indexRuns(scratch)
	if err != nil {
		return err
	}
	if sources, err = e.indexMore(scratch, sources); err != nil {
		return err
	}
	wanted, err := e.choose(sources)
	if err != nil {
		return err
	}
	for _, f := range e.a.Files() {
		if wanted[f.Name] {
			e.done.Of++
		}
	}
	for _, m := range e.more {
		if wanted[m.Name] {
			e.done.Of++
		}
	}
	for _, f := range e.a.Files() {
		if !wanted[f.Name] {
			continue
		}
		if err := e.copyFile(e.a.disk, f); err != nil {
			return err
		}
		e.done.Files++
		e.progress(e.done)
	}
	if err := e.copyMore(scratch, wanted); err != nil {
		return err
	}
	if err := e.finish(scratch); err != nil {
		return err
	}
	if err := os.RemoveAll(scratch); err != nil {
		return err
	}
	return durable.SyncDir(e.dir)
}

// choose finds the origins that are kept, and the files that hold something of them.
func (e *exporter) choose(indexes []string) (map[string]bool, error) {
	wanted := map[string]bool{}
	for _, path := range indexes {
		if err := readIndex(path, func(l CDXLine) {
			if e.keep(l.URL) {
				wanted[l.Location.File] = true
				e.origins[originOf(l.URL)] = true
			}
		}); err != nil {
			return nil, err
		}
	}
	for _, path := range indexes {
		if err := readIndex(path, func(l CDXLine) {
			if !wanted[l.Location.File] && e.wants(l.URL) {
				wanted[l.Location.File] = true
			}
		}); err != nil {
			return nil, err
		}
	}
	return wanted, nil
}

// wants reports whether records of a URL are copied.
func (e *exporter) wants(url string) bool {
	if url == "" {
		return false
	}
	return e.keep(url) || strings.HasSuffix(url, "/robots.txt") && isRobots(url) && e.origins[originOf(url)]
}

func isRobots(raw string) bool {
	u, err := weburl.Parse(raw)
	return err == nil && u.RequestURI() == "/robots.txt"
}

func originOf(raw string) string {
	u, err := weburl.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Origin()
}

// copyFile copies the wanted records of one archive file.
func (e *exporter) copyFile(d disk, info FileInfo) error {
	f, _, closeFile, err := d.open(info.Name)
	if err != nil {
		return err
	}
	defer closeFile()
	r := NewReader(io.NewSectionReader(f, 0, info.Bytes), Limits{MaxBlock: e.a.cfg.MaxBlock})
	for {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		rec, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if d, ok := errors.AsType[*Damage](err); ok {
			e.damaged(info.Name, d)
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", info.Name, err)
		}
		if rec.Type() == TypeWarcinfo || !e.wants(rec.TargetURI()) {
			continue
		}
		if compare(rec.Header.Get("WARC-Block-Digest"), rec.Block) == Mismatch || !rec.Whole {
			e.damaged(info.Name, &Damage{Offset: rec.Offset, Reason: "block does not match its digest"})
			continue
		}
		if err := e.copyRecord(f, rec); err != nil {
			return err
		}
	}
}

func (e *exporter) damaged(file string, d *Damage) {
	e.done.Damaged++
	e.a.cfg.Log.Error("export leaves out a damaged place", "file", file, "damage", d.Error())
}

func (e *exporter) copyRecord(f io.ReaderAt, rec *Record) error {
	if e.out != nil && e.size >= e.a.cfg.MaxFile {
		if err := e.closeFile(); err != nil {
			return err
		}
	}
	if e.out == nil {
		if err := e.beginFile(); err != nil {
			return err
		}
	}
	if _, err := io.Copy(e.w, io.NewSectionReader(f, rec.Offset, rec.Length)); err != nil {
		return fmt.Errorf("copy record: %w", err)
	}
	if line, ok := indexLine(rec); ok {
		line.Location = concord.Location{File: e.name, Offset: e.size, Length: rec.Length}
		e.lines = append(e.lines, line.String())
	}
	e.size += rec.Length
	e.done.Records++
	e.done.Bytes += rec.Length
	if e.done.Records%4096 == 0 {
		e.progress(e.done)
	}
	return nil
}

func (e *exporter) beginFile() error {
	e.serial++
	e.name = fileName(e.a.cfg.Now(), e.serial)
	f, err := os.OpenFile(filepath.Join(e.dir, e.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	e.out, e.w = f, bufio.NewWriterSize(f, readBuffer)
	info := warcinfoRecord(e.a.cfg, e.name, []Field{{"description", "part of an archive; records are copied unchanged"}})
	var buf bytes.Buffer
	c := e.a.pool.get()
	defer e.a.pool.put(c)
	if err := c.appendMember(&buf, &info); err != nil {
		return err
	}
	e.size = int64(buf.Len())
	_, err = e.w.Write(buf.Bytes())
	return err
}

// closeFile makes the current file durable and puts its sorted index lines into a run.
func (e *exporter) closeFile() error {
	err := e.w.Flush()
	if err == nil {
		err = e.out.Sync()
	}
	if cerr := e.out.Close(); err == nil {
		err = cerr
	}
	e.out = nil
	if err != nil || len(e.lines) == 0 {
		return err
	}
	sort.Strings(e.lines)
	path := filepath.Join(e.dir, fmt.Sprintf("run-%d", len(e.runs)))
	err = os.WriteFile(path, []byte(strings.Join(e.lines, "\n")+"\n"), 0o600)
	e.runs, e.lines = append(e.runs, path), e.lines[:0]
	return err
}

// finish closes the last file and merges the index.
func (e *exporter) finish(scratch string) error {
	if e.out != nil {
		if err := e.closeFile(); err != nil {
			return err
		}
	}
	index, err := os.OpenFile(filepath.Join(e.dir, IndexName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = mergeFiles(index, e.runs, scratch)
	if err == nil {
		err = index.Sync()
	}
	if cerr := index.Close(); err == nil {
		err = cerr
	}
	for _, run := range e.runs {
		if rerr := os.Remove(run); err == nil {
			err = rerr
		}
	}
	return err
}
