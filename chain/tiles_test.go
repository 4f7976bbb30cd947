package chain

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"concord"
)

// fill puts n short entries and their hashes into a store: enough for tiles at three levels.
func fill(t testing.TB, s *store, n int) (entries [][]byte) {
	t.Helper()
	w := s.db.NewBatch()
	defer w.Close()
	r := &overlay{store: s, fresh: map[int64]tlog.Hash{}}
	for i := range n {
		e := fmt.Appendf(nil, "entry %d", i)
		leaf := tlog.RecordHash(e)
		if err := r.add(w, uint64(i), leaf); err != nil {
			t.Fatal(err)
		}
		if err := setEntry(w, uint64(i), rawEntry{data: e}, leaf); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	if err := w.Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	return entries
}

// tileReader reads tiles of a store as the log of a checkpoint.
type tileReader struct {
	s     *store
	size  uint64
	reads int
}

func (r *tileReader) Height() int                     { return tileHeight }
func (r *tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
func (r *tileReader) ReadTiles(l []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range l {
		b, err := r.s.tile(r.size, t.L, uint64(t.N), t.W)
		if err != nil {
			return nil, err
		}
		r.reads++
		out = append(out, b)
	}
	return out, nil
}

// Tiles as golang.org/x/mod reads them lead every entry to the root, and one root to another.
func TestTiles(t *testing.T) {
	const size = TileWidth*TileWidth + 3*TileWidth + 7
	s, err := openStore(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	entries := fill(t, s, size)
	root, err := s.root(size)
	if err != nil {
		t.Fatal(err)
	}
	r := &tileReader{s: s, size: size}
	hashes := tlog.TileHashReader(tlog.Tree{N: size, Hash: tlog.Hash(root)}, r)
	for _, i := range []int64{0, 1, 255, 256, 4711, 65535, 65536, size - 8, size - 1} {
		p, err := tlog.ProveRecord(size, i, hashes)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(p, size, tlog.Hash(root), i, tlog.RecordHash(entries[i])); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	for _, old := range []int64{1, 255, 256, 300, 65536, 65537, size} {
		was, err := s.root(uint64(old))
		if err != nil {
			t.Fatal(err)
		}
		p, err := tlog.ProveTree(size, old, hashes)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckTree(p, size, tlog.Hash(root), old, tlog.Hash(was)); err != nil {
			t.Errorf("from %d entries: %v", old, err)
		}
	}
	for n := uint64(0); n*TileWidth < size; n++ {
		width := int(min(TileWidth, size-n*TileWidth))
		b, err := s.bundle(size, n, width)
		if err != nil {
			t.Fatal(err)
		}
		list, err := SplitBundle(b, width)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range list {
			if !bytes.Equal(e, entries[n*TileWidth+uint64(i)]) {
				t.Fatalf("entry %d of bundle %d is %q", i, n, e)
			}
		}
	}
	t.Logf("%d entries: %d tiles read", size, r.reads)
}

// BenchmarkTile reads tiles of hashes all over a log on disk.
func BenchmarkTile(b *testing.B) {
	const size = 200 * TileWidth
	s, err := openStore(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	fill(b, s, size)
	if err := s.db.Flush(); err != nil {
		b.Fatal(err)
	}
	for _, level := range []int{0, 1} {
		b.Run(fmt.Sprintf("level=%d", level), func(b *testing.B) {
			width := min(TileWidth, size>>(tileHeight*level))
			for i := 0; b.Loop(); i++ {
				if _, err := s.tile(size, level, uint64(i*37%200)*uint64(1-level), width); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Nothing beyond the checkpoint is served, however the tile is named.
func TestTileBounds(t *testing.T) {
	s, err := openStore(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	fill(t, s, 600)
	for _, c := range []struct {
		level int
		n     uint64
		width int
		ok    bool
	}{{0, 0, 256, true}, {0, 1, 256, true}, {0, 1, 3, true}, {0, 2, 44, true}, {0, 2, 45, false}, {0, 2, 256, false}, {0, 3, 1, false}, {1, 0, 2, true},
		{1, 0, 1, true}, {1, 0, 3, false}, {2, 0, 1, false}, {63, 0, 1, false}, {0, 1 << 62, 1, false}, {0, 1<<64 - 1, 256, false}, {-1, 0, 1, false}, {0, 0, 0, false}, {0, 0, 257, false}} {
		b, err := s.tile(556, c.level, c.n, c.width)
		if c.ok && (err != nil || len(b) != 32*c.width) || !c.ok && concord.KindOf(err) != concord.NotFound {
			t.Errorf("%+v: %d bytes, %v", c, len(b), err)
		}
		if c.level != 0 {
			continue
		}
		if b, err = s.bundle(556, c.n, c.width); c.ok != (err == nil) || !c.ok && concord.KindOf(err) != concord.NotFound {
			t.Errorf("entries of %+v: %d bytes, %v", c, len(b), err)
		}
	}
}

// A stopped node's log is read without a change to it; a running one's is not touched.
func TestOpenLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := testConfig(t, dir)
	if _, err := OpenLog(cfg.Dir); concord.KindOf(err) != concord.NotFound {
		t.Errorf("no chain: %v", err)
	}
	c := start(t, cfg)
	submitNext(t, c.Chain, cfg.Keys)
	if _, err := OpenLog(cfg.Dir); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("a running node's log: %v", err)
	}
	size, head := c.Status().Size, c.Checkpoint()
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLog(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cp, err := l.Checkpoint()
	roots, err2 := l.Roots()
	if err != nil || err2 != nil || l.Machine().Size() < size || l.Chain() != c.ID() || cp.Size < head.Size || roots[cp.Size] != cp.Root {
		t.Errorf("%d entries of %s, head %+v of %d, %v, %v", l.Machine().Size(), l.Chain(), cp, len(roots), err, err2)
	}
	if k, n, err := Signed(l.Machine().State(), []byte(cp.Note)); k != 1 || n != 1 || err != nil {
		t.Errorf("%d of %d signed: %v", k, n, err)
	}
	if _, _, err := Signed(l.Machine().State(), bytes.Replace([]byte(cp.Note), []byte("\n"), []byte("x\n"), 1)); err == nil {
		t.Error("a changed checkpoint passes")
	}
	b, err := l.EntryBundle(0, int(min(TileWidth, l.Machine().Size())))
	if err != nil || len(b) == 0 {
		t.Error(err)
	}
}

func FuzzSplitBundle(f *testing.F) {
	f.Add([]byte("\x00\x01a\x00\x00"), 2)
	f.Add([]byte("\x00\x02a"), 1)
	f.Fuzz(func(t *testing.T, b []byte, width int) {
		list, err := SplitBundle(b, width)
		if err == nil && len(list) != width {
			t.Errorf("%d entries, want %d", len(list), width)
		}
	})
}
