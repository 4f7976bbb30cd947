package crawl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"concord"
	"concord/state"
)

// memStore is concord.Blobs and concord.Manifests in memory.
type memStore struct {
	mu    sync.Mutex
	blobs map[string][]byte
	mans  map[string]concord.Manifest
	rev   uint64
}

type memManifests struct{ *memStore }

func newMemStore() *memStore {
	return &memStore{blobs: map[string][]byte{}, mans: map[string]concord.Manifest{}}
}

func (s *memStore) Put(_ context.Context, name string, r io.Reader, size int64) error {
	data, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.blobs[name] = data
	}
	return err
}

func (s *memStore) Get(_ context.Context, name string) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.blobs[name]
	if !ok {
		return nil, concord.Errorf(concord.NotFound, "no blob %s", name)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (s *memStore) List(_ context.Context, prefix string, yield func(concord.BlobInfo) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.blobs {
		if strings.HasPrefix(name, prefix) && !yield(concord.BlobInfo{Name: name}) {
			break
		}
	}
	return nil
}

func (s *memStore) Delete(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, name)
	return nil
}

func (s memManifests) Get(_ context.Context, name string) (concord.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.mans[name]
	if !ok {
		return m, concord.Errorf(concord.NotFound, "no manifest %s", name)
	}
	return m, nil
}

func (s memManifests) Put(_ context.Context, name string, data []byte, revision uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mans[name].Revision != revision {
		return 0, concord.Errorf(concord.Conflict, "%s has another revision", name)
	}
	s.rev++
	s.mans[name] = concord.Manifest{Data: data, Revision: s.rev}
	return s.rev, nil
}

func (s memManifests) Delete(context.Context, string, uint64) error { return nil }
func (s memManifests) Watch(ctx context.Context, _ string, _ func(string, concord.Manifest) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// keep runs a partition as a node does: claimed, loaded, saved now and then, its log trimmed behind what is saved.
func (m *machine) keep(ctx context.Context, st *state.Store, i int, fence uint64) (state.How, func() error) {
	t := m.all.t
	t.Helper()
	f := m.c.Partitions()[i]
	o, err := st.Claim(ctx, f.Name(), fence)
	if err != nil {
		t.Fatal(err)
	}
	in, err := o.Load(ctx, f.Dir(), Peek)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() { errs[0] = f.Run(ctx, fence) })
	wg.Go(func() {
		errs[1] = o.Keep(ctx, f, 40*time.Millisecond, func(s state.Saved) {
			if s.TrimTo > 0 {
				_ = m.all.frontier.Trim(ctx, f.Name(), s.TrimTo-1)
			}
		})
		cancel()
	})
	return in.How, func() error { cancel(); wg.Wait(); return errs[1] }
}

// TestMovingState: partitions move by their saved states while the log is trimmed behind them: by a machine that hangs, and back to it. In the
// end everything was fetched, and the states are no larger than they must be.
func TestMovingState(t *testing.T) {
	t.Parallel()
	const pages, delay = 40, 15 * time.Millisecond
	fs, shared := newFrontiers(t), newMemStore()
	slow := func(c *Config) {
		c.Politeness.MinDelay, c.Politeness.MaxDelay, c.Politeness.Handover = delay, delay, 50*time.Millisecond
	}
	a, b := fs.machine("a", slow), fs.machine("b", slow)
	stores := map[*machine]*state.Store{}
	for m, name := range map[*machine]string{a: "a", b: "b"} {
		st, err := state.New(state.Config{Blobs: shared, Manifests: memManifests{shared}, Node: name, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		stores[m] = st
	}
	var seeds []string
	var sites []*site
	for range 3 {
		s := mesh(t, pages)
		sites, seeds = append(sites, s), append(seeds, s.host+"/p0")
	}
	var hung []func() error
	for i := range 3 {
		how, stop := a.keep(t.Context(), stores[a], i, 1)
		if hung = append(hung, stop); how != state.Empty {
			t.Errorf("partition %d: loaded %s", i, how)
		}
	}
	until(t, "the partitions", func() bool { return len(a.c.Shares()) == 3 })
	id := a.start(concord.CrawlSpec{Seeds: seeds})
	until(t, "saved states", func() bool {
		trims := false // a partition without a site has one state only
		for i := range 3 {
			m, err := stores[b].Manifest(t.Context(), concord.FrontierSubject(i))
			if err != nil || len(m.States) == 0 {
				return false
			}
			trims = trims || m.TrimTo() > 0
		}
		return trims && len(sites[0].requests()) > 8
	})
	a.lost.Store(true) // and it does not notice that its partitions have gone
	a.silent.Store(true)
	stops := map[int]func() error{}
	for i := range 3 {
		var how state.How
		if how, stops[i] = b.keep(t.Context(), stores[b], i, 2); how != state.Newest {
			t.Errorf("partition %d: loaded %s", i, how)
		}
	}
	at := len(sites[0].requests())
	until(t, "pages by the second machine", func() bool { return len(sites[0].requests()) > at+8 })
	for _, stop := range hung {
		if err := stop(); err != nil && concord.KindOf(err) != concord.Conflict {
			t.Errorf("the machine that hung: %v", err)
		}
	}
	a.lost.Store(false)
	a.silent.Store(false)
	if err := stops[0](); err != nil {
		t.Error(err)
	}
	_, stops[0] = a.keep(t.Context(), stores[a], 0, 3)
	for _, m := range []*machine{a, b} {
		if crawl := m.wait(id); crawl.Fetched != 3*pages || crawl.Indexed != 3*pages || crawl.Queued != 0 {
			t.Errorf("crawl: %+v", crawl)
		}
	}
	for _, s := range sites {
		s.gaps(t, delay)
		once(t, s, pages, 3) // a fetch under way when the machine hung, for each partition
	}
	for _, stop := range stops {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	if fs.frontier.trims == 0 {
		t.Error("the log was never trimmed")
	}
	for i := range 3 {
		if _, err := os.Stat(b.c.Partitions()[i].Dir() + ".loading"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("something is left beside partition %d: %v", i, err)
		}
	}
	t.Logf("saved %+v\nloaded %+v", stores[a].Stats(), stores[b].Stats())
}
