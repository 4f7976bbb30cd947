package search

import (
	"sync"
	"sync/atomic"

	"concord/index"
)

// Snapshot is an immutable set of segments that searches run on. It holds its own views of them; they are closed when
// its last user has released it.
type Snapshot struct {
	segments  []*index.Segment
	docs      uint64 // live ones
	langs     map[string]uint64
	languages []string // those with most documents first
	refs      atomic.Int64
	scratches sync.Pool // *scratch
	analyzers sync.Pool // map[string]*text.Analyzer, by language: their caches are warm
}

// newSnapshot takes a view of each segment. The snapshot has one user.
func newSnapshot(segments []*index.Segment) *Snapshot {
	s := &Snapshot{segments: make([]*index.Segment, len(segments)), langs: map[string]uint64{}}
	for i, seg := range segments {
		s.segments[i] = seg.View()
		s.docs += uint64(seg.Live())
		for l, n := range seg.Languages() {
			s.langs[l] += n
		}
	}
	s.languages = byCount(s.langs)
	s.refs.Store(1)
	return s
}

// Segments returns the segments in the order they were given, valid until Release. The slice must not be changed.
func (s *Snapshot) Segments() []*index.Segment { return s.segments }

// Docs returns the number of live documents.
func (s *Snapshot) Docs() uint64 { return s.docs }

// Release gives the snapshot back. Who acquired it calls it once.
func (s *Snapshot) Release() {
	if s.refs.Add(-1) == 0 {
		for _, seg := range s.segments {
			seg.Close()
		}
	}
}

// Searcher searches the current segments of one shard. It implements concord.Searcher and is safe for concurrent use.
type Searcher struct {
	mu  sync.Mutex
	cur *Snapshot // nil once closed
}

// New returns a Searcher over segments, no two of which have live documents with the same URL. It takes views of its own: the caller may close the segments.
func New(segments ...*index.Segment) *Searcher { return &Searcher{cur: newSnapshot(segments)} }

// Replace makes the segments the current ones for searches that begin from now on. Those under way end on the segments
// they began with, which are then closed.
func (s *Searcher) Replace(segments ...*index.Segment) {
	next := newSnapshot(segments)
	s.mu.Lock()
	old := s.cur
	if old != nil {
		s.cur = next
	}
	s.mu.Unlock()
	if old == nil {
		old = next // closed meanwhile
	}
	old.Release()
}

// Acquire returns the current snapshot, nil after Close. The caller must Release it.
func (s *Searcher) Acquire() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != nil {
		s.cur.refs.Add(1)
	}
	return s.cur
}

// Close lets go of the segments once searches under way have ended. Later searches are Unavailable errors.
func (s *Searcher) Close() error {
	s.mu.Lock()
	old := s.cur
	s.cur = nil
	s.mu.Unlock()
	if old != nil {
		old.Release()
	}
	return nil
}
