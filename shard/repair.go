package shard

import (
	"context"
	"fmt"
	"os"
	"slices"

	"concord"
)

// repair takes lost segments out of the manifest and makes their documents again from the archive: every URL whose newest
// usable capture is to be indexed and that no other segment has. A crash on the way begins it again.
func (s *Shard) repair(ctx context.Context, lost []uint64) error {
	if s.cfg.Reextract == nil {
		return concord.Errorf(concord.Corrupt, "%d damaged segments and no archive to repair them from", len(lost))
	}
	for _, id := range lost {
		if err := os.Rename(s.segmentPath(id), s.segmentPath(id)+".damaged"); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("repair: %w", err)
		}
	}
	s.man.Segments = slices.DeleteFunc(s.man.Segments, func(id uint64) bool { return slices.Contains(lost, id) })
	s.man.Repairing = true
	if err := s.commitManifest(lost); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if err := s.restage(ctx); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if err := s.flush(); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	s.man.Repairing = false
	return s.commitManifest(nil)
}

// commitManifest commits the manifest alone, without the deletes of segments that are gone.
func (s *Shard) commitManifest(gone []uint64) error {
	b := s.db.NewBatch()
	defer b.Close()
	for _, id := range gone {
		if err := b.Delete(deletesKey(id), nil); err != nil {
			return err
		}
	}
	return s.commit(b, s.man)
}

// restage stages the page of every URL that should have a document and has none.
func (s *Shard) restage(ctx context.Context) error {
	var done string
	repaired := 0
	err := s.EachCapture(func(c *concord.Capture) error {
		if c.URL == done || (c.Skip != "" && !replaces(c)) {
			return ctx.Err()
		}
		done = c.URL // the newest capture that decides comes first
		if c.Skip != "" || c.Revisit != "" {
			return nil
		}
		views := s.Views()
		d, err := find(views, c.URL)
		for _, v := range views {
			v.Close()
		}
		if err != nil || d != nil {
			return err
		}
		p, err := s.cfg.Reextract(ctx, c)
		if err != nil {
			s.cfg.Logger.Warn("page cannot be made again", "url", c.URL, "error", err)
			return nil
		}
		doc, err := document(c, p)
		if err != nil {
			return err
		}
		s.staged.docs[c.URL] = doc
		if repaired++; len(s.staged.docs) > maxStagedDocs {
			return s.flush()
		}
		return nil
	})
	s.cfg.Logger.Info("pages made again from the archive", "shard", s.cfg.Shard, "pages", repaired)
	return err
}
