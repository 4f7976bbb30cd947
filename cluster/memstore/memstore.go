// Package memstore answers "how do I test what decides by compare-and-set, without an engine?": a concord.Manifests in
// memory that keeps the whole contract.
//
// It is for tests: what it holds ends with the process.
package memstore

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"concord"
)

// Store is a concord.Manifests in memory. The zero value is not usable; call New.
type Store struct {
	mu      sync.Mutex
	rev     uint64
	values  map[string]concord.Manifest
	watches map[*watch]bool
}

// watch is what one Watch has yet to tell: of each name the newest value only, names in the order in which they changed.
type watch struct {
	prefix string
	names  []string
	values map[string]concord.Manifest
	wake   chan struct{}
}

// New returns an empty store.
func New() *Store {
	return &Store{values: map[string]concord.Manifest{}, watches: map[*watch]bool{}}
}

// Get implements concord.Manifests.
func (s *Store) Get(ctx context.Context, name string) (concord.Manifest, error) {
	if ctx.Err() != nil {
		return concord.Manifest{}, concord.Errorf(concord.Unavailable, "get %s: %w", name, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.values[name]
	if !ok {
		return concord.Manifest{}, concord.Errorf(concord.NotFound, "no value %s", name)
	}
	return m, nil
}

// Put implements concord.Manifests.
func (s *Store) Put(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	if len(data) > concord.MaxManifestBytes {
		return 0, concord.Errorf(concord.Invalid, "value %s has %d bytes, at most %d are allowed", name, len(data), concord.MaxManifestBytes)
	}
	if ctx.Err() != nil {
		return 0, concord.Errorf(concord.Unavailable, "put %s: %w", name, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.values[name].Revision; have != revision {
		return 0, concord.Errorf(concord.Conflict, "put %s: revision is %d, not %d", name, have, revision)
	}
	s.rev++
	m := concord.Manifest{Data: bytes.Clone(data), Revision: s.rev}
	s.values[name] = m
	s.tell(name, m)
	return s.rev, nil
}

// Delete implements concord.Manifests.
func (s *Store) Delete(ctx context.Context, name string, revision uint64) error {
	if ctx.Err() != nil {
		return concord.Errorf(concord.Unavailable, "delete %s: %w", name, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.values[name].Revision; have != revision {
		return concord.Errorf(concord.Conflict, "delete %s: revision is %d, not %d", name, have, revision)
	}
	s.rev++
	delete(s.values, name)
	s.tell(name, concord.Manifest{})
	return nil
}

// Watch implements concord.Manifests.
func (s *Store) Watch(ctx context.Context, prefix string, f func(name string, m concord.Manifest) error) error {
	w := &watch{prefix: prefix, values: map[string]concord.Manifest{}, wake: make(chan struct{}, 1)}
	s.mu.Lock()
	for _, name := range slices.SortedFunc(maps.Keys(s.values), func(a, b string) int { return int(s.values[a].Revision) - int(s.values[b].Revision) }) {
		w.add(name, s.values[name])
	}
	s.watches[w] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watches, w)
		s.mu.Unlock()
	}()
	for {
		s.mu.Lock()
		names, values := w.names, w.values
		w.names, w.values = nil, map[string]concord.Manifest{}
		s.mu.Unlock()
		for _, name := range names {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := f(name, values[name]); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
	}
}

// tell hands a change to every watch. The caller holds mu.
func (s *Store) tell(name string, m concord.Manifest) {
	for w := range s.watches {
		w.add(name, m)
	}
}

func (w *watch) add(name string, m concord.Manifest) {
	if !strings.HasPrefix(name, w.prefix) {
		return
	}
	if _, waits := w.values[name]; !waits {
		w.names = append(w.names, name)
	}
	w.values[name] = m
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
