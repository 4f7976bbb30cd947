package vault

import (
	"context"
	"io"

	"concord/warc"
)

// Export copies records of the whole cluster's archive to a new directory, as warc.Archive.Export does: those of this node's files, and those
// of every other file that the blobs have. Each of these is read from the blobs for its index, and once more when it has something that is kept.
// What another node has not copied yet, its backlog, is not exported.
func (v *Vault) Export(ctx context.Context, dir string, keep func(url string) bool, progress func(warc.Progress)) error {
	var more []warc.Elsewhere
	err := eachFile(ctx, v.cfg.Blobs, func(file string, _ pieces) error {
		if _, here := v.local.File(file); !here {
			more = append(more, warc.Elsewhere{Name: file, Fetch: func(ctx context.Context, dir string) error { return v.fetch(ctx, file, dir) }})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return v.local.ExportWith(ctx, dir, more, keep, progress)
}

// fetch writes a file from the blobs into a directory.
func (v *Vault) fetch(ctx context.Context, file, dir string) error {
	ps, err := listFile(ctx, v.cfg.Blobs, file)
	if err != nil {
		return err
	}
	_, err = warc.Place(dir, file, func(w io.Writer) error {
		return compose(ctx, v.cfg.Blobs, file, ps, span{0, ps.end()}, writeHole, w)
	})
	return err
}
