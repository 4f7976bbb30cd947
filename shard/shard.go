// Package shard answers "how is one partition of the index kept built, merged and searchable?" It folds its subject of the
// captures log into segments, a catalog of captures by URL, and the link texts that other pages use for its URLs.
//
// Invariants:
//   - One commit: what a batch of messages changes - segments, deletes, catalog, position - becomes visible and durable
//     together, in one synced Pebble batch, after the segment file itself is synced. A crash at any moment leaves the
//     state of some committed position; the rest of the log is applied again.
//   - A URL has at most one live document: its newest indexable capture.
//   - Reads never wait for writes: a search works on views of the segments that were current when it began.
//
// It is not where queries are understood (package query) or scored (package search), and it knows no message engine.
package shard

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"concord"
	"concord/durable"
	"concord/index"
	"concord/search"
	"concord/state"
	"concord/trace"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// flushInterval bounds how long an applied capture waits to become searchable; a page must be found 2 s after its fetch.
	flushInterval = 400 * time.Millisecond
	// maxStagedBytes and maxStagedDocs bound the memory of what is applied but not committed.
	maxStagedBytes = 24 << 20
	maxStagedDocs  = 4000
	// idleAfter is the silence after which housekeeping (late link texts, merging small segments) may use the machine.
	idleAfter = 3 * time.Second
)

// Config of one shard.
type Config struct {
	Dir   string // directory of its own
	Shard int    // its number
	Node  string // name of this machine among those with a copy, for Trace
	Log   concord.Log
	// Reextract makes the page of a capture anew from the archive, to repair a damaged segment; nil: damage is an error.
	Reextract func(ctx context.Context, c *concord.Capture) (*concord.Page, error)
	Trace     *trace.Tracer // of the lives of pages; nil: nothing is recorded
	Logger    *slog.Logger

	idle time.Duration // idleAfter; tests wait less
}

// Shard is one open shard. Reading is safe for concurrent use; Run is called once at a time.
type Shard struct {
	cfg      Config
	db       *pebble.DB
	searcher *search.Searcher

	commitMu sync.Mutex // held while the state changes: one commit after another
	mu       sync.RWMutex
	man      manifest
	segments []*segment // in the manifest's order

	stageMu sync.Mutex
	staged  *staging
	touched time.Time // when something was last staged
	wake    chan struct{}
	anchors anchorCache
	ended   bool
}

// segment is an open segment under its id.
type segment struct {
	id  uint64
	seg *index.Segment
}

// manifest is the state that a commit replaces as a whole.
type manifest struct {
	Next     uint64   `json:"next"`     // id of the next segment
	Segments []uint64 `json:"segments"` // ids, oldest first
	Position uint64   `json:"position"` // of the captures log, applied
	Captures uint64   `json:"captures"` // in the catalog
	// Repairing is set while pages of a damaged segment are made again.
	Repairing bool `json:"repairing,omitempty"`
}

var manifestKey = []byte("m")

// What is in a shard's directory.
const (
	catalogDir  = "catalog"  // the Pebble store
	segmentsDir = "segments" // the files its manifest names
)

// Open loads the last commit: it maps the segments and removes files that no commit names. Errors: Corrupt when a
// segment is damaged and cannot be repaired.
func Open(ctx context.Context, cfg Config) (*Shard, error) {
	if cfg.Log == nil || cfg.Logger == nil || cfg.Dir == "" {
		return nil, concord.Errorf(concord.Invalid, "open shard %d: directory, log and logger must be set", cfg.Shard)
	}
	if cfg.idle == 0 {
		cfg.idle = idleAfter
	}
	if err := state.Recover(cfg.Dir); err != nil {
		return nil, fmt.Errorf("open shard %d: %w", cfg.Shard, err)
	}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, segmentsDir), 0o700); err != nil {
		return nil, fmt.Errorf("open shard %d: %w", cfg.Shard, err)
	}
	db, err := pebble.Open(filepath.Join(cfg.Dir, catalogDir), pebbleOptions(cfg.Logger))
	if err != nil {
		return nil, fmt.Errorf("open shard %d: %w", cfg.Shard, err)
	}
	s := &Shard{cfg: cfg, db: db, wake: make(chan struct{}, 1), staged: newStaging(), searcher: search.New()}
	if err := s.load(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("open shard %d: %w", cfg.Shard, err)
	}
	return s, nil
}

// pebbleOptions keep one shard's share of memory small: there are several in a process.
func pebbleOptions(log *slog.Logger) *pebble.Options {
	return &pebble.Options{
		MemTableSize: 4 << 20, CacheSize: 8 << 20, MaxOpenFiles: 200, MaxManifestFileSize: state.PebbleManifestBytes,
		FormatMajorVersion: pebble.FormatNewest, LoggerAndTracer: pebbleLog{log},
	}
}

func (s *Shard) load(ctx context.Context) error {
	var err error
	if s.man, err = readManifest(s.db); err != nil {
		return err
	}
	if err := durable.RemoveTemps(durable.OS, s.segmentDir()); err != nil {
		return err
	}
	var lost []uint64
	for _, id := range s.man.Segments {
		seg, err := s.openSegment(id)
		if concord.KindOf(err) == concord.Corrupt || errors.Is(err, os.ErrNotExist) {
			s.cfg.Logger.Error("segment is damaged, its pages will be made again from the archive", "shard", s.cfg.Shard, "error", err)
			lost = append(lost, id)
			continue
		}
		if err != nil {
			return err
		}
		s.segments = append(s.segments, &segment{id, seg})
	}
	if len(lost) > 0 || s.man.Repairing {
		if err := s.repair(ctx, lost); err != nil {
			return err
		}
	}
	s.show()
	return s.removeStrays()
}

// readManifest returns the manifest of the last commit, an empty one when there was none.
func readManifest(db *pebble.DB) (man manifest, err error) {
	v, closer, err := db.Get(manifestKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return man, nil
	}
	if err != nil {
		return man, err
	}
	defer closer.Close()
	if err := json.Unmarshal(v, &man); err != nil {
		return man, concord.Errorf(concord.Corrupt, "manifest: %w", err)
	}
	return man, nil
}

// show hands the current segments to searches that begin from now on.
func (s *Shard) show() {
	current := make([]*index.Segment, len(s.segments))
	for i, g := range s.segments {
		current[i] = g.seg
	}
	s.searcher.Replace(current...)
}

// Searcher searches the shard as it is committed at the moment of the search.
func (s *Shard) Searcher() concord.Searcher { return s.searcher }

// Lengths are those of the documents in the shard's segments.
func (s *Shard) Lengths() index.Lengths {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lengths()
}

func (s *Shard) segmentDir() string { return filepath.Join(s.cfg.Dir, segmentsDir) }

func (s *Shard) segmentPath(id uint64) string {
	return filepath.Join(s.segmentDir(), segmentName(id))
}

// checkedSize is the size up to which segments are read and checked whole before they are used: some 10 ms each. What larger ones turn out to
// be damaged in, a search meets.
const checkedSize = 32 << 20

func segmentName(id uint64) string { return fmt.Sprintf("%08d.seg", id) }

// openSegment opens a segment with the deletes of the last commit laid over.
func (s *Shard) openSegment(id uint64) (*index.Segment, error) {
	seg, err := index.Open(s.segmentPath(id))
	if err != nil {
		return nil, err
	}
	if seg.Bytes() <= checkedSize {
		if err := seg.Verify(); err != nil {
			seg.Close()
			return nil, fmt.Errorf("segment %d: %w", id, err)
		}
	}
	v, closer, err := s.db.Get(deletesKey(id))
	if errors.Is(err, pebble.ErrNotFound) {
		return seg, nil
	}
	if err != nil {
		seg.Close()
		return nil, err
	}
	defer closer.Close()
	defer seg.Close()
	d, err := index.DecodeDeletes(v)
	if err != nil {
		return nil, fmt.Errorf("deletes of segment %d: %w", id, err)
	}
	return seg.WithDeletes(d)
}

// removeStrays deletes segment files that were written but never committed, or merged away.
func (s *Shard) removeStrays() error {
	known := map[string]bool{}
	for _, id := range s.man.Segments {
		known[filepath.Base(s.segmentPath(id))] = true
	}
	entries, err := os.ReadDir(s.segmentDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !known[e.Name()] && filepath.Ext(e.Name()) == ".seg" {
			if err := os.Remove(filepath.Join(s.segmentDir(), e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close unmaps the segments. Run must have returned.
func (s *Shard) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = true
	err := s.searcher.Close()
	for _, seg := range s.segments {
		seg.seg.Close()
	}
	s.segments = nil
	return errors.Join(err, s.db.Close())
}

// Name returns the shard's name in its cluster, "shard.0".
func (s *Shard) Name() string { return fmt.Sprintf("shard.%d", s.cfg.Shard) }

// Run applies the log, commits and merges until ctx ends. It returns nil then, and an error when the state on disk can no
// longer be trusted or written: the caller must reopen.
func (s *Shard) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	fail := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			cancel(fmt.Errorf("%s: %w", what, err))
		}
	}
	wg.Go(func() { fail("commit", s.commitLoop(ctx)) })
	wg.Go(func() { fail("merge", s.mergeLoop(ctx)) })
	err := s.cfg.Log.Follow(ctx, concord.CaptureSubject(s.cfg.Shard), s.Position(), s.apply)
	fail("apply", err)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return s.flush()
}

// commit makes a batch and a manifest durable. The caller holds commitMu and publishes man afterwards.
func (s *Shard) commit(b *pebble.Batch, man manifest) error {
	v, err := json.Marshal(man)
	if err != nil {
		return err
	}
	if err := b.Set(manifestKey, v, nil); err != nil {
		return err
	}
	return b.Commit(pebble.Sync)
}

// Position returns how far the captures log is committed: what lies at or before it is searchable.
func (s *Shard) Position() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.man.Position
}

// Status describes the shard.
type Status struct {
	Shard     int
	Documents uint64
	Segments  int
	Bytes     int64
	Captures  uint64
	Position  uint64
}

// Status returns the shard's present size.
func (s *Shard) Status() Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := Status{Shard: s.cfg.Shard, Segments: len(s.segments), Captures: s.man.Captures, Position: s.man.Position}
	for _, g := range s.segments {
		st.Documents += uint64(g.seg.Live())
		st.Bytes += g.seg.Bytes()
	}
	return st
}

// Views returns views of the current segments; the caller closes each.
func (s *Shard) Views() []*index.Segment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	views := make([]*index.Segment, len(s.segments))
	for i, g := range s.segments {
		views[i] = g.seg.View()
	}
	return views
}

func deletesKey(id uint64) []byte { return binary.BigEndian.AppendUint64([]byte("d"), id) }

// pebbleLog hands Pebble's messages to slog.
type pebbleLog struct{ l *slog.Logger }

func (p pebbleLog) Infof(f string, a ...any)               { p.l.Debug(fmt.Sprintf(f, a...)) }
func (p pebbleLog) Errorf(f string, a ...any)              { p.l.Error(fmt.Sprintf(f, a...)) }
func (p pebbleLog) Fatalf(f string, a ...any)              { panic(fmt.Sprintf(f, a...)) }
func (p pebbleLog) Eventf(context.Context, string, ...any) {}
func (p pebbleLog) IsTracingEnabled(context.Context) bool  { return false }
