package shard

import (
	"context"

	"concord"

	"github.com/cockroachdb/pebble/v2"
)

// Settle does at once what a running shard does when it is idle: late link texts go into their documents and small
// segments become one. What is left does not depend on how it came to be, as long as it is one segment. Then it puts the
// shard at position of its log, whatever was applied before, for a log that begins anew. Run must have returned, or not
// have been called.
func (s *Shard) Settle(ctx context.Context, position uint64) error {
	if err := s.flush(); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		left, err := s.hasLateAnchors()
		if err != nil {
			return err
		}
		if !left {
			break
		}
		if err := s.refreshAnchors(); err != nil { // some of them
			return err
		}
	}
	for picked := s.pick(true); picked != nil; picked = s.pick(true) {
		if err := s.merge(ctx, picked); err != nil {
			return err
		}
	}
	if len(s.segments) == 1 && s.segments[0].seg.Docs() > s.segments[0].seg.Live() {
		if err := s.merge(ctx, []*segment{s.segments[0]}); err != nil {
			return err
		}
	}
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	s.mu.Lock()
	s.man.Position = position
	s.mu.Unlock()
	return s.commitManifest(nil)
}

func (s *Shard) hasLateAnchors() (bool, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte("r"), UpperBound: []byte("s")})
	if err != nil {
		return false, err
	}
	left := it.First()
	return left, it.Close()
}

// Fold applies messages without a log, for a shard that is made again from the archive: it commits when much is staged.
// Their numbers must not be 0. It must not be called beside Run.
func (s *Shard) Fold(msgs []concord.Message) error { return s.apply(msgs) }

// Flush commits what Fold has staged.
func (s *Shard) Flush() error { return s.flush() }
