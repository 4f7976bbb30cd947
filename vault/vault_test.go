package vault

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concord"
	"concord/blob"
	"concord/blob/blobtest"
	"concord/trace"
	"concord/warc"
)

// store is a directory of blobs that can be made to fail.
type store struct {
	concord.Blobs
	dir  string
	down atomic.Bool
	puts atomic.Int64
}

func newStore(t *testing.T) *store {
	t.Helper()
	dir := t.TempDir()
	d, err := blob.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return &store{Blobs: d, dir: dir}
}

func (s *store) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if s.down.Load() {
		return concord.Errorf(concord.Unavailable, "the store is down")
	}
	s.puts.Add(1)
	return s.Blobs.Put(ctx, name, r, size)
}

func (s *store) list(t *testing.T, file string) pieces {
	t.Helper()
	ps, err := listFile(t.Context(), s, file)
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

// node is a Vault that runs, over an archive in a directory.
type node struct {
	*Vault
	t    *testing.T
	dir  string
	stop func() error // kills it: nothing is finished, and the error of Run is returned
}

type options struct {
	maxFile int64
	asker   Asker
	others  func() []string
	idle    bool // Run is not called
	tracer  *trace.Tracer
}

func start(t *testing.T, dir string, blobs concord.Blobs, o options) *node {
	t.Helper()
	a, err := warc.Open(warc.Config{Dir: dir, MaxFile: o.maxFile})
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Config{Archive: a, Blobs: blobs, Asker: o.asker, Others: o.others, BackgroundRate: 1 << 30, Trace: o.tracer})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Vault: v, t: t, dir: dir}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	if o.idle {
		ran <- nil
	} else {
		go func() { ran <- v.Run(ctx) }()
	}
	n.stop = sync.OnceValue(func() error {
		cancel()
		err := <-ran
		return errors.Join(err, v.Close())
	})
	t.Cleanup(func() { n.stop() })
	return n
}

// record makes a record of about n bytes that do not compress.
func record(seed uint64, n int) warc.Record {
	return warc.NewNote(time.Unix(1e9, 0), warc.Field{Name: "seed", Value: fmt.Sprint(seed)}, warc.Field{Name: "data", Value: hex.EncodeToString(blobtest.Bytes(n, seed))})
}

// kept is a record and where it was said to be.
type kept struct {
	loc   concord.Location
	block []byte
}

func (n *node) add(seed uint64, size int) kept {
	n.t.Helper()
	r := record(seed, size)
	places, err := n.Append([][]warc.Record{{r}})
	if err != nil {
		n.t.Fatal(err)
	}
	return kept{places[0][0], r.Block}
}

func (n *node) check(all ...kept) {
	n.t.Helper()
	for _, k := range all {
		rec, err := n.Read(k.loc)
		if err != nil {
			n.t.Fatal(err)
		}
		if !bytes.Equal(rec.Block, k.block) {
			n.t.Fatalf("%v: another record was read", k.loc)
		}
	}
}

// sameAsLocal compares what the blobs have of a file with the file.
func (n *node) sameAsLocal(blobs concord.Blobs, file string) {
	n.t.Helper()
	want, err := os.ReadFile(filepath.Join(n.dir, file))
	if err != nil {
		n.t.Fatal(err)
	}
	ps, err := listFile(n.t.Context(), blobs, file)
	if err != nil {
		n.t.Fatal(err)
	}
	var got bytes.Buffer
	if err := compose(n.t.Context(), blobs, file, ps, span{0, int64(len(want))}, nil, &got); err != nil {
		n.t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) || ps.end() != int64(len(want)) {
		n.t.Fatalf("%s: the blobs have other bytes than the file", file)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}

func flip(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsAcknowledgedIsInTheBlobs(t *testing.T) {
	s := newStore(t)
	n := start(t, t.TempDir(), s, options{maxFile: 1 << 20})
	var mu sync.Mutex
	var all []kept
	var wg sync.WaitGroup
	for w := range uint64(8) {
		wg.Go(func() {
			for i := range uint64(20) {
				r := record(w<<32|i, 20_000)
				places, err := n.Append([][]warc.Record{{r}})
				if err != nil {
					t.Error(err)
					return
				}
				loc := places[0][0]
				ps, err := listFile(context.Background(), s, loc.File)
				if err != nil || len(ps.gaps(0, loc.Offset+loc.Length)) > 0 {
					t.Errorf("acknowledged, but not in the blobs: %v %v", loc, err)
				}
				mu.Lock()
				all = append(all, kept{loc, r.Block})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	n.check(all...)
	if len(n.Files()) < 3 {
		t.Fatalf("%d files, wanted several", len(n.Files()))
	}
	for _, f := range n.Files() {
		n.sameAsLocal(s, f.Name)
		if f.Sealed {
			eventually(t, "few blobs of a sealed file", func() bool { return len(s.list(t, f.Name)) <= fewEnough })
			n.sameAsLocal(s, f.Name)
		}
	}
	if p := n.Progress(); p.Done != p.Total || p.Total != n.Stats().Bytes {
		t.Errorf("progress %+v", p)
	}
	other := start(t, t.TempDir(), s, options{})
	other.check(all...)
}

func TestSmallCommitsBecomeFewBlobs(t *testing.T) {
	s := newStore(t)
	n := start(t, t.TempDir(), s, options{})
	other := start(t, t.TempDir(), s, options{})
	var all []kept
	for i := range uint64(60) { // 18 MiB
		all = append(all, n.add(i, 300_000))
		other.check(all[rand.IntN(len(all))]) // with lists that grow old
	}
	file := n.Files()[0].Name
	eventually(t, "whole pieces", func() bool {
		ps := s.list(t, file)
		return ps.hasWhole(0, pieceBytes) && ps.hasWhole(pieceBytes, 2*pieceBytes) && len(ps.within(0, 2*pieceBytes)) == 0
	})
	n.sameAsLocal(s, file)
	other.check(all...)
}

func TestAppendWaitsWhileTheBlobsAreAway(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	n := start(t, dir, s, options{})
	all := []kept{n.add(1, 1000)}
	s.down.Store(true)
	result := make(chan error, 1)
	go func() {
		_, err := n.Append([][]warc.Record{{record(2, 1000)}})
		result <- err
	}()
	eventually(t, "a reason to wait", func() bool { return n.Progress().Waiting != "" })
	select {
	case err := <-result:
		t.Fatalf("acknowledged without a copy: %v", err)
	default:
	}
	s.down.Store(false)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if appends := n.Stats().Appends; appends != 2 {
		t.Errorf("%d records were appended here, not 2", appends)
	}
	// The same with a kill in between.
	s.down.Store(true)
	go func() {
		_, err := n.Append([][]warc.Record{{record(3, 1000)}})
		result <- err
	}()
	eventually(t, "a reason to wait", func() bool { return n.Progress().Waiting != "" })
	n.stop()
	if err := <-result; concord.KindOf(err) != concord.Unavailable {
		t.Fatalf("got %v", err)
	}
	s.down.Store(false)
	again := start(t, dir, s, options{})
	eventually(t, "the rest in the blobs", func() bool { p := again.Progress(); return p.Done == p.Total })
	all = append(all, again.add(4, 1000))
	again.check(all...)
	again.sameAsLocal(s, again.Files()[0].Name)
}

func TestPutThatWasTakenThoughItFailed(t *testing.T) {
	for _, cut := range []int{-1, 100} { // the blob of a killed process has all of the bytes, or fewer
		s := newStore(t)
		dir := t.TempDir()
		n := start(t, dir, s, options{})
		n.add(1, 1000)
		file := n.Files()[0]
		s.down.Store(true)
		go n.Append([][]warc.Record{{record(2, 1000)}})
		eventually(t, "a reason to wait", func() bool { return n.Progress().Waiting != "" })
		n.stop()
		s.down.Store(false)
		data, err := os.ReadFile(filepath.Join(dir, file.Name))
		if err != nil {
			t.Fatal(err)
		}
		late := data[file.Bytes:]
		if cut > 0 {
			late = late[:cut]
		}
		// It comes after the listing, just before the Put.
		a := start(t, dir, &lateStore{store: s, name: piece{off: file.Bytes}.name(file.Name), data: late}, options{})
		eventually(t, "all in the blobs", func() bool { p := a.Progress(); return p.Done == p.Total })
		a.sameAsLocal(s, file.Name)
	}
}

func TestOtherBytesUnderTheNameEndIt(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	n := start(t, dir, s, options{})
	n.add(1, 1000)
	file := n.Files()[0]
	n.stop()
	n = start(t, dir, &lateStore{store: s, name: piece{off: file.Bytes}.name(file.Name), data: []byte("other")}, options{})
	if _, err := n.Append([][]warc.Record{{record(2, 1000)}}); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("acknowledged beside other bytes: %v", err)
	}
	if err := n.stop(); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("got %v", err)
	}
}

// lateStore puts a blob of its own just before the first Put of that name.
type lateStore struct {
	*store
	name string
	data []byte
	once sync.Once
}

func (s *lateStore) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if name == s.name {
		s.once.Do(func() { s.store.Put(ctx, name, bytes.NewReader(s.data), int64(len(s.data))) })
	}
	return s.store.Put(ctx, name, r, size)
}

// solo fills an archive that is in no cluster.
func solo(t *testing.T, dir string, maxFile int64, records, size int) (all []kept) {
	t.Helper()
	a, err := warc.Open(warc.Config{Dir: dir, MaxFile: maxFile})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for i := range records {
		r := record(uint64(i), size)
		places, err := a.Append([][]warc.Record{{r}})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, kept{places[0][0], r.Block})
	}
	return all
}

func TestArchiveFromBeforeTheClusterIsCopied(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	all := solo(t, dir, 10<<20, 70, 200_000) // 14 MiB: one file and the beginning of another
	n := start(t, dir, s, options{maxFile: 10 << 20, idle: true})
	if p := n.Progress(); p.Done != 0 || p.Total != n.Stats().Bytes {
		t.Errorf("progress %+v before it began", p)
	}
	n.stop()
	// Killed again and again, it comes to its end.
	for range 3 {
		n = start(t, dir, s, options{maxFile: 10 << 20})
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		n.stop()
	}
	n = start(t, dir, s, options{maxFile: 10 << 20})
	all = append(all, n.add(1000, 1000))
	eventually(t, "all in the blobs", func() bool { p := n.Progress(); return p.Done == p.Total })
	for _, f := range n.Files() {
		n.sameAsLocal(s, f.Name)
	}
	puts := s.puts.Load()
	n.stop()
	n = start(t, dir, s, options{maxFile: 10 << 20})
	eventually(t, "all in the blobs", func() bool { p := n.Progress(); return p.Done == p.Total })
	if s.puts.Load() != puts {
		t.Errorf("%d blobs were put though all was there", s.puts.Load()-puts)
	}
	start(t, t.TempDir(), s, options{}).check(all...)
}
