package shard

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"concord/state"

	"github.com/cockroachdb/pebble/v2"
)

// Checkpoint makes dir, which must not exist, hold the shard as it is committed now, and returns the position of that commit. The shard goes
// on: searches and the applying of the log do not wait, a commit waits some milliseconds. Segments are linked, so dir must be on the file
// system of the shard's own directory. It implements state.Source.
func (s *Shard) Checkpoint(ctx context.Context, dir string) (position uint64, err error) {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Join(dir, segmentsDir), 0o700); err != nil {
		return 0, fmt.Errorf("checkpoint of shard %d: %w", s.cfg.Shard, err)
	}
	for _, id := range s.man.Segments {
		if err := os.Link(s.segmentPath(id), filepath.Join(dir, segmentsDir, segmentName(id))); err != nil {
			return 0, fmt.Errorf("checkpoint of shard %d: %w", s.cfg.Shard, err)
		}
	}
	if err := state.CheckpointPebble(s.db, filepath.Join(dir, catalogDir)); err != nil {
		return 0, fmt.Errorf("checkpoint of shard %d: %w", s.cfg.Shard, err)
	}
	return s.man.Position, nil
}

// Peek says where the shard in a directory stands that nobody has open. It implements state.Peek. A shard is the fold of its log and of
// nothing else, so whoever made it, it may be kept while the log reaches back to it. Errors: NotFound when there is none, Corrupt.
func Peek(dir string) (state.Local, error) {
	return state.PeekPebble(filepath.Join(dir, catalogDir), func(db *pebble.DB) (state.Local, error) {
		man, err := readManifest(db)
		return state.Local{Position: man.Position, Pure: true}, err
	})
}
