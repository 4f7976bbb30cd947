package state

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concord"
	"concord/durable"

	"github.com/cockroachdb/pebble/v2"
)

// dirBlobs keeps blobs as files of a directory, without a checksum of its own: what Load notices, it notices itself.
type dirBlobs struct {
	dir  string
	slow time.Duration // before each blob
	put  func(name string) error
	end  func(name string) error // called when a blob was read to its end
	get  func(name string) error
	del  func(name string)
	puts atomic.Int64 // bytes
	hook sync.Mutex   // held while put, end and get are called
}

func (d *dirBlobs) path(name string) string { return filepath.Join(d.dir, filepath.FromSlash(name)) }

func (d *dirBlobs) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if err := concord.CheckBlobName(name); err != nil {
		return err
	}
	time.Sleep(d.slow)
	if d.put != nil {
		d.hook.Lock()
		err := d.put(name)
		d.hook.Unlock()
		if err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(d.path(name)), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(d.path(name), 0o600, func(w io.Writer) error {
		n, err := io.Copy(w, r)
		d.puts.Add(n)
		if err == nil && n != size {
			err = concord.Errorf(concord.Invalid, "%s: %d bytes, want %d", name, n, size)
		}
		if err == nil && d.end != nil {
			d.hook.Lock()
			defer d.hook.Unlock()
			err = d.end(name)
		}
		return errors.Join(err, ctx.Err())
	})
}

func (d *dirBlobs) Get(_ context.Context, name string) (io.ReadCloser, error) {
	time.Sleep(d.slow)
	if d.get != nil {
		d.hook.Lock()
		err := d.get(name)
		d.hook.Unlock()
		if err != nil {
			return nil, err
		}
	}
	f, err := os.Open(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, concord.Errorf(concord.NotFound, "no blob %s", name)
	}
	return f, err
}

func (d *dirBlobs) List(_ context.Context, prefix string, yield func(concord.BlobInfo) bool) error {
	for _, name := range d.names() {
		if strings.HasPrefix(name, prefix) && !yield(concord.BlobInfo{Name: name}) {
			break
		}
	}
	return nil
}

func (d *dirBlobs) names() (names []string) {
	_ = filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.Contains(path, ".tmp-") {
			rel, _ := filepath.Rel(d.dir, path)
			names = append(names, filepath.ToSlash(rel))
		}
		return nil
	})
	return names
}

func (d *dirBlobs) Delete(_ context.Context, name string) error {
	if d.del != nil {
		d.del(name)
	}
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// fileManifests keeps each manifest in a file, for several processes at a time.
type fileManifests struct {
	dir    string
	before func() error // a put
	after  func() error // a put that was taken
}

type manifestFile struct {
	Revision uint64
	Data     []byte
}

func (f *fileManifests) path(name string) string {
	return filepath.Join(f.dir, strings.ReplaceAll(name, "/", "_"))
}

func (f *fileManifests) Get(_ context.Context, name string) (concord.Manifest, error) {
	var v manifestFile
	data, err := os.ReadFile(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return concord.Manifest{}, concord.Errorf(concord.NotFound, "no manifest %s", name)
	}
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	return concord.Manifest{Data: v.Data, Revision: v.Revision}, err
}

func (f *fileManifests) Put(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	if f.before != nil {
		if err := f.before(); err != nil {
			return 0, err
		}
	}
	var unlock func() error
	for {
		var err error
		if unlock, err = durable.Lock(filepath.Join(f.dir, "LOCK")); err == nil {
			break
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
	defer unlock()
	now, err := f.Get(ctx, name)
	if err != nil && concord.KindOf(err) != concord.NotFound {
		return 0, err
	}
	if now.Revision != revision {
		return 0, concord.Errorf(concord.Conflict, "%s has revision %d, not %d", name, now.Revision, revision)
	}
	v, _ := json.Marshal(manifestFile{revision + 1, data})
	if err := durable.WriteFile(f.path(name), 0o600, func(w io.Writer) error { _, err := w.Write(v); return err }); err != nil {
		return 0, err
	}
	if f.after != nil {
		return revision + 1, f.after()
	}
	return revision + 1, nil
}

func (f *fileManifests) Delete(context.Context, string, uint64) error { return nil }
func (f *fileManifests) Watch(ctx context.Context, _ string, _ func(string, concord.Manifest) error) error {
	<-ctx.Done()
	return ctx.Err()
}

const part = "shard.3"

// node is one machine of a cluster: a directory of its own for the partition, stores that all share.
type node struct {
	t     testing.TB
	s     *Store
	blobs *dirBlobs
	mans  *fileManifests
	dir   string
	pure  bool
	db    *pebble.DB
	fence uint64
	pos   uint64
	gone  uint64 // a segment that checkpoints leave out
}

func newNode(t testing.TB, shared, own, name string) *node {
	t.Helper()
	n := &node{t: t, blobs: &dirBlobs{dir: filepath.Join(shared, "blobs")}, mans: &fileManifests{dir: filepath.Join(shared, "manifests")}, dir: filepath.Join(own, "partition")}
	if err := errors.Join(os.MkdirAll(own, 0o700), os.MkdirAll(n.mans.dir, 0o700), os.MkdirAll(n.blobs.dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	var err error
	if n.s, err = New(Config{Blobs: n.blobs, Manifests: n.mans, Node: name, Logger: slog.New(slog.DiscardHandler), wait: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n
}

func pair(t testing.TB) (a, b *node) {
	dir := t.TempDir()
	return newNode(t, dir, filepath.Join(dir, "a"), "a"), newNode(t, dir, filepath.Join(dir, "b"), "b")
}

func (n *node) peek(dir string) (Local, error) {
	return PeekPebble(filepath.Join(dir, "db"), func(db *pebble.DB) (Local, error) {
		pos, fence, err := where(db)
		return Local{Position: pos, Fence: fence, Pure: n.pure}, err
	})
}

func where(db *pebble.DB) (pos, fence uint64, err error) {
	v, closer, err := db.Get([]byte("p"))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer closer.Close()
	return binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:]), nil
}

// open opens the partition under a fence, as its owner does.
func (n *node) open(fence uint64) {
	n.t.Helper()
	db, err := pebble.Open(filepath.Join(n.dir, "db"), &pebble.Options{Logger: quiet{}, MemTableSize: 1 << 20, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		n.t.Fatal(err)
	}
	n.db, n.fence = db, fence
	if n.pos, _, err = where(db); err != nil {
		n.t.Fatal(err)
	}
	n.commit(n.db.NewBatch())
}

func (n *node) commit(b *pebble.Batch) {
	n.t.Helper()
	at := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, n.pos), n.fence)
	if err := errors.Join(b.Set([]byte("p"), at, nil), b.Commit(pebble.NoSync)); err != nil {
		n.t.Fatal(err)
	}
}

// apply folds messages up to a position: each leaves a key and, now and then, a file that never changes.
func (n *node) apply(to uint64, bytes int) {
	n.t.Helper()
	for n.pos < to {
		n.pos++
		b := n.db.NewBatch()
		_ = b.Set(fmt.Appendf(nil, "m%08d", n.pos), noise(n.pos, bytes), nil)
		if n.pos%10 == 0 {
			dir := filepath.Join(n.dir, "segments")
			if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, fmt.Sprintf("%08d.seg", n.pos)), noise(n.pos, 10*bytes), 0o600)); err != nil {
				n.t.Fatal(err)
			}
		}
		n.commit(b)
	}
}

func noise(seed uint64, bytes int) []byte {
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	b := make([]byte, bytes)
	_, _ = rng.Read(b)
	return b
}

func (n *node) close() {
	if n.db != nil {
		if err := n.db.Close(); err != nil {
			n.t.Error(err)
		}
		n.db = nil
	}
}

func (n *node) Position() uint64 { return n.pos }

func (n *node) Checkpoint(_ context.Context, dir string) (uint64, error) {
	if err := os.MkdirAll(filepath.Join(dir, "segments"), 0o700); err != nil {
		return 0, err
	}
	if err := CheckpointPebble(n.db, filepath.Join(dir, "db")); err != nil {
		return 0, err
	}
	for pos := uint64(10); pos <= n.pos; pos += 10 {
		name := fmt.Sprintf("%08d.seg", pos)
		if pos == n.gone {
			continue
		}
		if err := os.Link(filepath.Join(n.dir, "segments", name), filepath.Join(dir, "segments", name)); err != nil {
			return 0, err
		}
	}
	return n.pos, nil
}

// holds checks that the directory holds the fold of the log up to a position, all of it and nothing else.
func (n *node) holds(to uint64, bytes int) {
	n.t.Helper()
	db, err := pebble.Open(filepath.Join(n.dir, "db"), &pebble.Options{ReadOnly: true, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		n.t.Fatal(err)
	}
	defer db.Close()
	if pos, _, err := where(db); err != nil || pos != to {
		n.t.Fatalf("stands at %d, %v; want %d", pos, err, to)
	}
	for pos := uint64(1); pos <= to; pos++ {
		v, closer, err := db.Get(fmt.Appendf(nil, "m%08d", pos))
		if err != nil || string(v) != string(noise(pos, bytes)) {
			n.t.Fatalf("message %d is not as it was: %v", pos, err)
		}
		closer.Close()
		if pos%10 == 0 {
			if b, err := os.ReadFile(filepath.Join(n.dir, "segments", fmt.Sprintf("%08d.seg", pos))); err != nil || string(b) != string(noise(pos, 10*bytes)) {
				n.t.Fatalf("segment %d is not as it was: %v", pos, err)
			}
		}
	}
	segments, _ := os.ReadDir(filepath.Join(n.dir, "segments"))
	if len(segments) != int(to/10) {
		n.t.Errorf("%d segments, want %d", len(segments), to/10)
	}
}

func (n *node) claim(fence uint64) *Owner {
	n.t.Helper()
	o, err := n.s.Claim(n.t.Context(), part, fence)
	if err != nil {
		n.t.Fatal(err)
	}
	return o
}

func (n *node) load(o *Owner, want How) Loaded {
	n.t.Helper()
	out, err := o.Load(n.t.Context(), n.dir, n.peek)
	if err != nil {
		n.t.Fatal(err)
	}
	if out.How != want {
		n.t.Fatalf("loaded %s, want %s", out.How, want)
	}
	return out
}

func (n *node) save(o *Owner) Saved {
	n.t.Helper()
	out, err := o.SaveFrom(n.t.Context(), n)
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

// own claims, loads and opens.
func (n *node) own(fence uint64, want How) *Owner {
	n.t.Helper()
	o := n.claim(fence)
	n.load(o, want)
	n.open(fence)
	return o
}

// blobsNamed checks that the blobs are exactly those that the manifest names.
func (n *node) blobsNamed() {
	n.t.Helper()
	m, err := n.s.Manifest(n.t.Context(), part)
	if err != nil {
		n.t.Fatal(err)
	}
	named := map[string]bool{}
	for _, s := range m.States {
		for _, f := range s.Files {
			if f.Size > 0 {
				named[f.blob(part)] = true
			}
		}
	}
	for _, name := range n.blobs.names() {
		if !named[name] {
			n.t.Errorf("blob %s is named by no manifest", name)
		}
		delete(named, name)
	}
	for name := range named {
		n.t.Errorf("blob %s is named and not there", name)
	}
}

func wantKind(t testing.TB, err error, kind concord.Kind) {
	t.Helper()
	if err == nil || concord.KindOf(err) != kind {
		t.Fatalf("error %v, want one of kind %s", err, kind)
	}
}
