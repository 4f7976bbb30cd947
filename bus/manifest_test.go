package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"concord"
)

func openManifests(t testing.TB, b *Bus) concord.Manifests {
	t.Helper()
	m, err := b.Manifests(t.Context(), "MANIFESTS")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifests(t *testing.T) {
	onBuses(t, func(t *testing.T, open func(*testing.T) []*Bus) {
		buses := open(t)
		m, other := openManifests(t, buses[0]), openManifests(t, buses[len(buses)-1])
		ctx := t.Context()
		var last uint64
		for _, name := range []string{"a", "shard.0", "shard.0/part", "shard/0", "a..b/.c", strings.Repeat("n/", 99) + "n"} {
			if _, err := m.Get(ctx, name); concord.KindOf(err) != concord.NotFound {
				t.Fatalf("%s before it was put: %v", name, err)
			}
			if _, err := m.Put(ctx, name, []byte("x"), 7); concord.KindOf(err) != concord.Conflict {
				t.Fatalf("%s, put over a revision that never was: %v", name, err)
			}
			if err := m.Delete(ctx, name, 7); concord.KindOf(err) != concord.Conflict {
				t.Fatalf("%s, deleted at a revision that never was: %v", name, err)
			}
			first, err := m.Put(ctx, name, []byte("one of "+name), 0)
			if err != nil || first <= last {
				t.Fatalf("%s: revision %d after %d, %v", name, first, last, err)
			}
			if _, err := other.Put(ctx, name, []byte("x"), 0); concord.KindOf(err) != concord.Conflict {
				t.Fatalf("%s, made twice: %v", name, err)
			}
			if got, err := other.Get(ctx, name); err != nil || string(got.Data) != "one of "+name || got.Revision != first {
				t.Fatalf("%s: %q at %d, %v", name, got.Data, got.Revision, err)
			}
			second, err := other.Put(ctx, name, []byte("two"), first)
			if err != nil || second <= first {
				t.Fatalf("%s: revision %d after %d, %v", name, second, first, err)
			}
			if _, err := m.Put(ctx, name, []byte("late"), first); concord.KindOf(err) != concord.Conflict {
				t.Fatalf("%s, put over an old revision: %v", name, err)
			}
			if err := m.Delete(ctx, name, first); concord.KindOf(err) != concord.Conflict {
				t.Fatalf("%s, deleted at an old revision: %v", name, err)
			}
			if err := m.Delete(ctx, name, second); err != nil {
				t.Fatal(err)
			}
			if _, err := other.Get(ctx, name); concord.KindOf(err) != concord.NotFound {
				t.Fatalf("%s after it was deleted: %v", name, err)
			}
			if _, err := m.Put(ctx, name, []byte("late"), second); concord.KindOf(err) != concord.Conflict {
				t.Fatalf("%s, put over a revision that was deleted: %v", name, err)
			}
			if last, err = other.Put(ctx, name, nil, 0); err != nil || last <= second {
				t.Fatalf("%s, made again: revision %d after %d, %v", name, last, second, err)
			}
			if got, err := m.Get(ctx, name); err != nil || len(got.Data) != 0 || got.Revision != last {
				t.Fatalf("%s, made again: %q at %d, %v", name, got.Data, got.Revision, err)
			}
		}
		big := bytes.Repeat([]byte("large "), concord.MaxManifestBytes/6+1)[:concord.MaxManifestBytes]
		rev, err := m.Put(ctx, "big", big, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := other.Get(ctx, "big"); err != nil || !bytes.Equal(got.Data, big) {
			t.Fatalf("the largest manifest: %d bytes, %v", len(got.Data), err)
		}
		if _, err := m.Put(ctx, "big", append(big, 'x'), rev); concord.KindOf(err) != concord.Invalid {
			t.Fatalf("a larger one: %v", err)
		}
		for _, name := range []string{"", "a b", "a*", ">", "a//b", "a=b", strings.Repeat("n", 201)} {
			if _, err := m.Put(ctx, name, nil, 0); concord.KindOf(err) != concord.Invalid {
				t.Errorf("put %q: %v", name, err)
			}
		}
	})
}

func TestManifestBucketNames(t *testing.T) {
	b := open(t, t.TempDir())
	for _, bucket := range []string{"", "a.b", "a/b", "*", "a b"} {
		if _, err := b.Manifests(t.Context(), bucket); concord.KindOf(err) != concord.Invalid {
			t.Errorf("bucket %q: %v", bucket, err)
		}
	}
}

// Of all that try to change a manifest at the same revision one succeeds, and nothing is lost: a counter is as high as its successes.
func TestManifestsDecide(t *testing.T) {
	onBuses(t, func(t *testing.T, open func(*testing.T) []*Bus) {
		buses := open(t)
		const workers, successes = 6, 25
		var g sync.WaitGroup
		for w := range workers {
			m := openManifests(t, buses[w%len(buses)])
			g.Go(func() {
				for done := 0; done < successes; {
					var n int
					got, err := m.Get(t.Context(), "counter")
					if err == nil {
						fmt.Sscan(string(got.Data), &n)
					} else if concord.KindOf(err) != concord.NotFound {
						t.Error(err)
						return
					}
					_, err = m.Put(t.Context(), "counter", fmt.Append(nil, n+1), got.Revision)
					switch {
					case err == nil:
						done++
					case concord.KindOf(err) != concord.Conflict:
						t.Error(err)
						return
					}
				}
			})
		}
		g.Wait()
		got, err := openManifests(t, buses[0]).Get(t.Context(), "counter")
		if err != nil || string(got.Data) != fmt.Sprint(workers*successes) {
			t.Errorf("the counter is at %s, want %d: %v", got.Data, workers*successes, err)
		}
	})
}

// watched keeps what a Watch has told.
type watched struct {
	mu     sync.Mutex
	values map[string]string
	told   int
	err    chan error
}

func watch(ctx context.Context, m concord.Manifests, prefix string) *watched {
	w := &watched{values: map[string]string{}, err: make(chan error, 1)}
	go func() {
		w.err <- m.Watch(ctx, prefix, func(name string, v concord.Manifest) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told++
			if w.values[name] = string(v.Data); v.Revision == 0 {
				delete(w.values, name)
			}
			return nil
		})
	}()
	return w
}

func (w *watched) has(want map[string]string) func() bool {
	return func() bool { w.mu.Lock(); defer w.mu.Unlock(); return maps.Equal(w.values, want) }
}

func TestManifestsWatch(t *testing.T) {
	onBuses(t, func(t *testing.T, open func(*testing.T) []*Bus) {
		buses := open(t)
		m, other := openManifests(t, buses[0]), openManifests(t, buses[len(buses)-1])
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		revs := map[string]uint64{}
		put := func(name, data string) {
			t.Helper()
			rev, err := m.Put(ctx, name, []byte(data), revs[name])
			if err != nil {
				t.Fatal(err)
			}
			revs[name] = rev
		}
		put("shard.1/a", "1")
		put("shard.1/b", "1")
		put("shard.10", "1")
		put("frontier.0", "1")
		put("gone", "1")
		if err := m.Delete(ctx, "gone", revs["gone"]); err != nil {
			t.Fatal(err)
		}
		all, some, dir := watch(ctx, other, ""), watch(ctx, other, "shard.1"), watch(ctx, other, "shard.1/")
		eventually(t, 5*time.Second, "the values that were there", all.has(map[string]string{"shard.1/a": "1", "shard.1/b": "1", "shard.10": "1", "frontier.0": "1"}))
		if all.told != 4 {
			t.Errorf("told %d values, want 4: what was deleted before is no news", all.told)
		}
		eventually(t, 5*time.Second, "those of a prefix", some.has(map[string]string{"shard.1/a": "1", "shard.1/b": "1", "shard.10": "1"}))
		eventually(t, 5*time.Second, "those of a directory", dir.has(map[string]string{"shard.1/a": "1", "shard.1/b": "1"}))
		put("shard.1/a", "2")
		put("shard.1/c", "2")
		put("frontier.0", "2")
		if err := m.Delete(ctx, "shard.1/b", revs["shard.1/b"]); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Second, "changes", all.has(map[string]string{"shard.1/a": "2", "shard.1/c": "2", "shard.10": "1", "frontier.0": "2"}))
		eventually(t, 5*time.Second, "changes of a directory", dir.has(map[string]string{"shard.1/a": "2", "shard.1/c": "2"}))
		late := watch(ctx, m, "")
		eventually(t, 5*time.Second, "what a late watcher finds", late.has(map[string]string{"shard.1/a": "2", "shard.1/c": "2", "shard.10": "1", "frontier.0": "2"}))
		cancel()
		for _, w := range []*watched{all, some, dir, late} {
			if err := <-w.err; !errors.Is(err, context.Canceled) {
				t.Errorf("the end of a watch: %v", err)
			}
		}
		own := errors.New("enough")
		if err := m.Watch(t.Context(), "", func(string, concord.Manifest) error { return own }); err != own {
			t.Errorf("the caller's own error: %v", err)
		}
		if err := m.Watch(t.Context(), "//", func(string, concord.Manifest) error { return nil }); concord.KindOf(err) != concord.Invalid {
			t.Errorf("a prefix that no name has: %v", err)
		}
	})
}

// What was acknowledged is there after a restart, and a flipped bit is noticed.
func TestManifestsRestartAndDamage(t *testing.T) {
	dir := t.TempDir()
	b := reopen(t, dir)
	data := []byte("manifest of a partition, 8f3a91c2")
	rev, err := openManifests(t, b).Put(t.Context(), "shard.0", data, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	b = reopen(t, dir)
	m := openManifests(t, b)
	if got, err := m.Get(t.Context(), "shard.0"); err != nil || !bytes.Equal(got.Data, data) || got.Revision != rev {
		t.Fatalf("after a restart: %q at %d, %v", got.Data, got.Revision, err)
	}
	b.Close()
	flipStored(t, dir, data, 5)
	b = reopen(t, dir)
	defer b.Close()
	if got, err := openManifests(t, b).Get(t.Context(), "shard.0"); err == nil {
		t.Fatalf("damaged, it reads %q", got.Data)
	}
}

// While a machine dies a watch goes on, and compare-and-set decides as ever.
func TestManifestsOutliveAMachine(t *testing.T) {
	long(t)
	c := newCluster(t, 3)
	b := c.mixed()
	m := openManifests(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := watch(ctx, m, "")
	var rev uint64
	for i := range 60 {
		if i == 20 {
			c.kill(1)
		}
		for {
			next, err := m.Put(ctx, "a", fmt.Append(nil, i), rev)
			if err == nil {
				rev = next
				break
			}
			if concord.KindOf(err) != concord.Unavailable {
				t.Fatalf("put %d: %v", i, err)
			}
			if got, err := m.Get(ctx, "a"); err == nil && string(got.Data) == fmt.Sprint(i) { // it was stored after all
				rev = got.Revision
				break
			}
		}
	}
	eventually(t, time.Minute, "the last value", w.has(map[string]string{"a": "59"}))
}
