package warc

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"concord/durable"
)

// Elsewhere is an archive file that is to be exported and is not in the archive.
type Elsewhere struct {
	Name string
	// Fetch writes the file into a directory, by Place. It is called once for the file's index, and again when it has something that is kept:
	// so an export needs room for one such file at a time.
	Fetch func(ctx context.Context, dir string) error
}

// indexMore adds the indexes of the files that lie elsewhere, which it keeps in scratch.
func (e *exporter) indexMore(scratch string, indexes []string) ([]string, error) {
	for i, m := range e.more {
		err := e.withFile(scratch, m, func(d disk, _ FileInfo) error {
			path := filepath.Join(scratch, fmt.Sprintf("more-%d%s", i, indexSuffix))
			indexes = append(indexes, path)
			return os.Rename(d.path(indexName(m.Name)), path)
		})
		if err != nil {
			return nil, err
		}
	}
	return indexes, nil
}

// copyMore copies the wanted records of the files that lie elsewhere.
func (e *exporter) copyMore(scratch string, wanted map[string]bool) error {
	for _, m := range e.more {
		if !wanted[m.Name] {
			continue
		}
		if err := e.withFile(scratch, m, e.copyFile); err != nil {
			return err
		}
		e.done.Files++
		e.progress(e.done)
	}
	return nil
}

// withFile has a file in a directory of scratch while fn runs.
func (e *exporter) withFile(scratch string, m Elsewhere, fn func(d disk, info FileInfo) error) error {
	if err := e.ctx.Err(); err != nil {
		return err
	}
	d := disk{FS: durable.OS, dir: filepath.Join(scratch, "more")}
	defer os.RemoveAll(d.dir)
	if err := m.Fetch(e.ctx, d.dir); err != nil {
		return fmt.Errorf("fetch %s: %w", m.Name, err)
	}
	_, size, closeFile, err := d.open(m.Name)
	if err != nil {
		return err
	}
	if err := closeFile(); err != nil {
		return err
	}
	return fn(d, FileInfo{Name: m.Name, Bytes: size})
}
