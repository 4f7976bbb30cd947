package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"concord"
	"concord/durable"
)

// This file is how a Writer ends: one segment of what its builders hold and of the parts they have written.

// maxMergeInputs bounds the segments merged at a time: each keeps buffers and an open file.
const maxMergeInputs = 32

// publish lets write make the segment among the parts, where a crash leaves nothing that is not known as rubbish, and moves it to
// its place.
func (w *Writer) publish(write func(path string) error) error {
	path, err := w.nextPart()
	if err != nil {
		return err
	}
	if err := write(path); err != nil {
		return err
	}
	if _, err := os.Lstat(w.cfg.Path); err == nil {
		return concord.Errorf(concord.Conflict, "write segment: %s exists, segments are immutable", w.cfg.Path)
	}
	if err := os.Rename(path, w.cfg.Path); err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(w.cfg.Path)); err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	return nil
}

// whole returns one builder with all documents, nil when some were written already or it would be too large.
func (w *Writer) whole() *Builder {
	var docs, tokens int64
	for _, x := range w.workers {
		if len(x.parts) > 0 {
			return nil
		}
		docs += int64(x.builder.docs.n)
		tokens += x.builder.docs.logs.total
	}
	if docs > MaxDocs || tokens > maxTokens {
		return nil
	}
	for _, x := range w.workers {
		x.builder.seal()
	}
	b := w.workers[0].builder
	for _, x := range w.workers[1:] {
		b.absorb(x.builder)
		x.builder = nil
	}
	b.spare = w.cfg.MemoryBytes - b.Bytes()
	return b
}

// mergeParts writes what the builders still hold and merges all parts into the segment.
func (w *Writer) mergeParts(ctx context.Context) (info WriterInfo, err error) {
	g := errgroup.Group{}
	for _, x := range w.workers {
		g.Go(x.flush)
	}
	if err := g.Wait(); err != nil {
		return info, err
	}
	var parts []string
	for _, x := range w.workers {
		parts = append(parts, x.parts...)
		info.WrittenBytes += x.written
		x.builder = nil
	}
	for len(parts) > maxMergeInputs {
		var written int64
		if parts, written, err = w.mergeRound(ctx, parts); err != nil {
			return info, err
		}
		info.WrittenBytes += written
	}
	info.Parts = w.parts
	err = w.publish(func(path string) (err error) {
		info.SegmentInfo, err = mergeFiles(ctx, path, parts, w.cfg.Config)
		return err
	})
	return info, err
}

// mergeRound merges neighbours, so that of two documents with one URL the later stays the later. When one merge is enough to
// come down to maxMergeInputs parts, it takes no more than it must.
func (w *Writer) mergeRound(ctx context.Context, parts []string) (next []string, written int64, err error) {
	size := min(len(parts)-maxMergeInputs+1, maxMergeInputs)
	groups := [][]string{parts[:size]}
	next = parts[size:]
	if len(parts) >= 2*maxMergeInputs {
		groups, next = nil, nil
		for len(parts) > 0 {
			n := min(len(parts), maxMergeInputs)
			groups, parts = append(groups, parts[:n]), parts[n:]
		}
	}
	merged := make([]string, len(groups))
	infos := make([]SegmentInfo, len(groups))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(len(w.workers))
	for i, group := range groups {
		g.Go(func() (err error) {
			if merged[i], err = w.nextPart(); err != nil {
				return err
			}
			if infos[i], err = mergeFiles(ctx, merged[i], group, w.cfg.Config); err != nil {
				return err
			}
			for _, path := range group {
				err = errors.Join(err, os.Remove(path))
			}
			return err
		})
	}
	err = g.Wait()
	for _, i := range infos {
		written += i.Bytes
	}
	return append(merged, next...), written, err
}

// mergeFiles merges the segments at paths, in order of their age.
func mergeFiles(ctx context.Context, to string, paths []string, cfg Config) (SegmentInfo, error) {
	segs := make([]*Segment, 0, len(paths))
	defer func() {
		for _, s := range segs {
			s.Close()
		}
	}()
	for _, p := range paths {
		s, err := Open(p)
		if err != nil {
			return SegmentInfo{}, fmt.Errorf("merge parts: %w", err)
		}
		segs = append(segs, s)
	}
	return Merge(ctx, to, segs, cfg)
}
