package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/blob/blobtest"
)

func openBlobs(t testing.TB, b *Bus, maxBytes int64) *blobs {
	t.Helper()
	s, err := b.Blobs(t.Context(), maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*blobs)
}

// wantNoOrphans looks for chunks that no name has.
func wantNoOrphans(t *testing.T, s *blobs) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var size uint64
	if err := s.List(ctx, "", func(b concord.BlobInfo) bool { size += uint64(b.Size); return true }); err != nil {
		t.Fatal(err)
	}
	info, err := s.chunks.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if room := info.State.Msgs * 400; info.State.Bytes > size+room {
		t.Errorf("the blobs have %d bytes, their stream %d in %d chunks", size, info.State.Bytes, info.State.Msgs)
	}
	if n, err := s.sweep(ctx, time.Now().Add(time.Hour)); err != nil || n != 0 {
		t.Errorf("chunks without a name: of %d blobs, %v", n, err)
	}
}

func TestBlobs(t *testing.T) {
	onBuses(t, func(t *testing.T, open func(*testing.T) []*Bus) {
		turn := 0
		blobtest.Run(t, func(t *testing.T) concord.Blobs {
			buses := open(t)
			turn++
			s := openBlobs(t, buses[turn%len(buses)], 512<<20)
			t.Cleanup(func() {
				wantNoOrphans(t, s)
				ctx := context.WithoutCancel(t.Context())
				err := s.List(ctx, "", func(b concord.BlobInfo) bool { return s.Delete(ctx, b.Name) == nil })
				if err != nil {
					t.Error(err)
				}
				wantNoOrphans(t, s)
			})
			return s
		}, blobtest.Options{Names: singleGets + 50})
	})
}

// restarted is a store of blobs whose engine is stopped and started to damage its files.
type restarted struct {
	concord.Blobs
	dir string
	bus *Bus
}

func (r *restarted) restart(t *testing.T, damage func()) {
	t.Helper()
	r.bus.Close()
	damage()
	r.bus = reopen(t, r.dir)
	r.Blobs = openBlobs(t, r.bus, 64<<20)
}

// countStored counts the places of the engine's files that have what.
func countStored(t *testing.T, dir string, what []byte) (n int) {
	t.Helper()
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".blk" {
			data, _ := os.ReadFile(path)
			n += bytes.Count(data, what)
		}
		return nil
	})
	return n
}

// flipStored flips a bit wherever the engine's files have what: deleted copies stay in them for a while.
func flipStored(t *testing.T, dir string, what []byte, at int) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".blk" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := 0; ; found++ {
			n := bytes.Index(data[i:], what)
			if n < 0 {
				return os.WriteFile(path, data, 0o600)
			}
			i += n
			data[i+at] ^= 4
		}
	})
	if err != nil || found == 0 {
		t.Fatalf("found what was stored %d times in the engine's files: %v", found, err)
	}
}

func TestBlobsDamage(t *testing.T) {
	dir := t.TempDir()
	r := &restarted{dir: dir, bus: reopen(t, dir)}
	r.Blobs = openBlobs(t, r.bus, 64<<20)
	t.Cleanup(func() { r.bus.Close() })
	for _, size := range []int{1000, 5<<20 + 1} {
		data := blobtest.Bytes(size, 9)
		for at := range 3 { // first, middle, last chunk
			blobtest.Put(t, r, "a/b", data)
			place := at * (size - 40) / 2
			r.restart(t, func() { flipStored(t, dir, data[place:place+32], 16) })
			if got, err := blobtest.Get(t, r, "a/b"); concord.KindOf(err) != concord.Corrupt {
				t.Fatalf("%d bytes, damaged at %d: read %d, %v; want corrupt", size, place, len(got), err)
			}
			blobtest.Put(t, r, "a/b", data)
			blobtest.Want(t, r, "a/b", data)
			if err := r.Delete(t.Context(), "a/b"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestBlobsSurviveRestart(t *testing.T) {
	dir := t.TempDir()
	r := &restarted{dir: dir, bus: reopen(t, dir)}
	r.Blobs = openBlobs(t, r.bus, 64<<20)
	t.Cleanup(func() { r.bus.Close() })
	data := blobtest.Bytes(3<<20+5, 1)
	blobtest.Put(t, r, "a", data)
	blobtest.Put(t, r, "b", nil)
	r.restart(t, func() {})
	blobtest.Want(t, r, "a", data)
	blobtest.Want(t, r, "b", nil)
}

func TestBlobsAreSweptAndFreed(t *testing.T) {
	s := openBlobs(t, open(t, t.TempDir()), 8<<20)
	ctx := t.Context()
	data := blobtest.Bytes(3<<20, 1)
	blobtest.Put(t, s, "kept", data)
	// A Put that died: its chunks are there, its name is not.
	m := &blobMeta{ID: newBlobID(time.Now()), Size: int64(len(data))}
	if err := s.send(ctx, "died", m, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, "full", bytes.NewReader(data), int64(len(data))); concord.KindOf(err) != concord.Unavailable {
		t.Fatalf("a full store: %v; want unavailable", err)
	}
	if n, err := s.sweep(ctx, time.Now().Add(-sweepAfter)); n != 0 || err != nil {
		t.Fatalf("a Put that may still run was swept: %d, %v", n, err)
	}
	if n, err := s.sweep(ctx, time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Fatalf("swept %d, %v; want the one that died", n, err)
	}
	blobtest.Want(t, s, "kept", data)
	for i := range 20 { // deleting frees space
		other := blobtest.Bytes(3<<20, uint64(i))
		blobtest.Put(t, s, "again", other)
		if err := s.Delete(ctx, "again"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(ctx, "kept", strings.NewReader("other"), 5); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("other bytes under a name: %v; want conflict", err)
	}
	wantNoOrphans(t, s)
}

func TestBlobsDeletedWhileRead(t *testing.T) {
	s := openBlobs(t, open(t, t.TempDir()), 64<<20)
	blobtest.Put(t, s, "a", blobtest.Bytes(20<<20, 1))
	r, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); concord.KindOf(err) != concord.Unavailable {
		t.Fatalf("reading what was deleted: %v", err)
	}
}

// A Put that a machine's death meets goes on; what was acknowledged stays.
func TestBlobsOutliveAMachine(t *testing.T) {
	long(t)
	c := newCluster(t, 3)
	s := openBlobs(t, c.mixed(), 256<<20)
	data := blobtest.Bytes(4<<20, 1)
	for i := range 12 {
		if i == 3 {
			go c.kids[1].cmd.Process.Kill()
		}
		blobtest.Put(t, s, fmt.Sprint(i), data)
	}
	for i := range 12 {
		blobtest.Want(t, s, fmt.Sprint(i), data)
	}
}

// Bits that flip in one machine's copy are not served by any.
func TestBlobsReadAroundDamage(t *testing.T) {
	long(t)
	c := newCluster(t, 3)
	c.open(0, 1, 2)
	data := blobtest.Bytes(9<<20, 1)
	blobtest.Put(t, openBlobs(t, c.buses[0], 256<<20), "a", data)
	const node = 2
	eventually(t, 20*time.Second, "the copy is there", func() bool {
		c.stop(node)
		found := countStored(t, c.dirs[node], data[5<<20:5<<20+32])
		if found > 0 {
			flipStored(t, c.dirs[node], data[5<<20:5<<20+32], 7)
		}
		c.open(node)
		return found > 0
	})
	for _, b := range c.buses {
		s := openBlobs(t, b, 256<<20)
		for range 5 {
			blobtest.Want(t, s, "a", data)
		}
	}
}

// A node that was alone takes its blobs and manifests into a cluster.
func TestBlobsAndManifestsGrow(t *testing.T) {
	long(t)
	dir := t.TempDir()
	alone := reopen(t, dir)
	data := blobtest.Bytes(5<<20+1, 1)
	s := openBlobs(t, alone, 64<<20)
	for _, name := range []string{"deleted", "a/b", "c"} {
		blobtest.Put(t, s, name, data)
	}
	if err := s.Delete(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	rev, err := openManifests(t, alone).Put(t.Context(), "shard.0", []byte("state"), 0)
	if err != nil {
		t.Fatal(err)
	}
	alone.Close()
	c := newCluster(t, 3)
	c.open(0, 1, 2)
	if err := Grow(t.Context(), dir, c.buses[0], nil); err != nil {
		t.Fatal(err)
	}
	for _, b := range c.buses {
		s := openBlobs(t, b, 64<<20)
		if names := blobtest.List(t, s, ""); len(names) != 2 {
			t.Errorf("the cluster has %v", names)
		}
		blobtest.Want(t, s, "a/b", data)
		blobtest.Want(t, s, "c", data)
		if got, err := openManifests(t, b).Get(t.Context(), "shard.0"); err != nil || string(got.Data) != "state" || got.Revision != rev {
			t.Errorf("manifest %q at %d, %v", got.Data, got.Revision, err)
		}
	}
	wantNoOrphans(t, openBlobs(t, c.buses[1], 64<<20))
}

// A store without bound is one that was given more than any disk has, so that a setting may come and go.
func TestBlobsWithoutBound(t *testing.T) {
	b, err := Open(t.Context(), Config{Dir: t.TempDir(), NodeName: "n", MaxBlobBytes: NoBound, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	for _, bound := range []int64{NoBound, 64 << 40, 64 << 20, NoBound} {
		s, err := b.Blobs(t.Context(), bound)
		if err != nil {
			t.Fatalf("a bound of %d: %v", bound, err)
		}
		if err := s.Put(t.Context(), fmt.Sprintf("a%d", bound), strings.NewReader("data"), 4); err != nil && concord.KindOf(err) != concord.Conflict {
			t.Fatal(err)
		}
	}
}

func TestBlobsRefuse(t *testing.T) {
	b := open(t, t.TempDir())
	if _, err := b.Blobs(t.Context(), 1000); concord.KindOf(err) != concord.Invalid {
		t.Errorf("a tiny store: %v", err)
	}
	if _, err := b.Blobs(t.Context(), 1<<50); concord.KindOf(err) != concord.Invalid {
		t.Errorf("a petabyte: %v", err)
	}
	s := openBlobs(t, b, 64<<20)
	if err := s.Put(t.Context(), "a", strings.NewReader(""), maxBlobChunks*blobChunkBytes+1); concord.KindOf(err) != concord.Invalid {
		t.Errorf("above 64 GiB: %v", err)
	}
	b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.Put(ctx, "a", strings.NewReader("x"), 1); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("put without an engine: %v", err)
	}
}

func FuzzBlobMeta(f *testing.F) {
	m := &blobMeta{ID: newBlobID(time.Unix(1, 0)), Size: 5 << 20, Sum: concord.Sum([]byte("x"))}
	for _, seq := range []uint64{3, 4, 9, 8, 10} {
		m.add(seq)
	}
	good, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"id":"1-a","size":1048577,"sha256":"LRnYEtr+3UcvjHoWR5/0mOzq8xVQqqyWJbDzqJsEw+8=","runs":[[1,18446744073709551615],[2,3]]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeBlobMeta("a", data)
		if err != nil {
			if concord.KindOf(err) != concord.Corrupt {
				t.Fatal(err)
			}
			return
		}
		n := chunkCount(m.Size)
		for _, chunk := range []int64{0, n / 2, n - 1} {
			if n > 0 && (m.seq(chunk) == 0 && m.Runs[0][0] < 1<<63 || m.chunkBytes(chunk) < 1 || m.chunkBytes(chunk) > blobChunkBytes) {
				t.Fatalf("chunk %d of %d: number %d, %d bytes", chunk, n, m.seq(chunk), m.chunkBytes(chunk))
			}
		}
	})
}

func BenchmarkBlobs(b *testing.B) {
	s := openBlobs(b, open(b, b.TempDir()), 1<<30)
	data := blobtest.Bytes(16<<20, 1)
	b.Run("put", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			blobtest.Put(b, s, "a", data)
		}
	})
	b.Run("get", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			r, err := s.Get(b.Context(), "a")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
			r.Close()
		}
	})
}
