package state

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concord"

	"github.com/cockroachdb/pebble/v2"
)

const msgBytes = 2000

func TestMove(t *testing.T) {
	a, b := pair(t)
	o := a.own(5, Empty)
	a.apply(100, msgBytes)
	if s := a.save(o); s.Position != 100 || s.TrimTo != 0 || s.UploadedBytes != s.Bytes {
		t.Errorf("first save: %+v", s)
	}
	a.apply(130, msgBytes)
	if s := a.save(o); s.TrimTo != 100 {
		t.Errorf("second save: %+v, want that the log is needed from 100", s)
	}
	a.blobsNamed()

	p := b.own(7, Newest)
	b.apply(140, msgBytes)
	b.save(p)
	b.close()
	b.holds(140, msgBytes)
	b.blobsNamed()

	// The paused first owner wakes: it can save nothing, and hits nothing that its successor needs.
	a.apply(150, msgBytes)
	_, err := o.SaveFrom(t.Context(), a)
	wantKind(t, err, concord.Conflict)
	_, err = o.SaveFrom(t.Context(), a)
	wantKind(t, err, concord.Conflict)
	a.close()
	_, err = a.s.Claim(t.Context(), part, 6)
	wantKind(t, err, concord.Conflict)
	m, err := a.s.Manifest(t.Context(), part)
	if err != nil || m.Fence != 7 || m.States[0].Position != 140 || m.States[1].Position != 130 {
		t.Fatalf("manifest %+v, %v", m, err)
	}
	// What it uploaded in vain is swept up by the next owner.
	c := b.own(9, Kept)
	b.apply(145, msgBytes)
	b.save(c)
	b.blobsNamed()
}

// TestIncremental: after a small change to a large state little is uploaded, and nothing that is known is read again.
func TestIncremental(t *testing.T) {
	a, b := pair(t)
	o := a.own(1, Empty)
	a.apply(2000, 8000)
	errIs(t, a.db.Compact(t.Context(), []byte("a"), []byte("z"), false), nil) // or compaction would add what it pleases
	first := a.save(o)
	a.apply(2003, 8000)
	second := a.save(o)
	t.Logf("first save: %d bytes in %d files; second: %d bytes in %d of %d files, %s", first.UploadedBytes, first.UploadedFiles, second.UploadedBytes, second.UploadedFiles, second.Files, second.Took)
	if first.Bytes < 30<<20 || second.UploadedBytes > 200<<10 {
		t.Errorf("second save uploaded %d bytes of %d", second.UploadedBytes, second.Bytes)
	}
	if got := a.blobs.puts.Load(); got != first.UploadedBytes+second.UploadedBytes {
		t.Errorf("%d bytes were put, %d reported", got, first.UploadedBytes+second.UploadedBytes)
	}
	a.blobsNamed()
	// A restart knows the digests of what did not change: damage in what is not read again is not noticed, and not spread.
	a.close()
	segment := filepath.Join(a.dir, "segments", "00000010.seg")
	o = a.claim(2)
	a.load(o, Kept)
	info, err := os.Stat(segment)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, segment)
	if err := os.Chtimes(segment, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	a.open(2)
	a.apply(2006, 8000)
	if third := a.save(o); third.UploadedBytes > 2<<20 { // the restart made a table of the log, and compaction may follow
		t.Errorf("third save uploaded %d bytes", third.UploadedBytes)
	}
	a.close()

	// The other machine has an old copy: it fetches only what it lacks. One that is not the owner may do so as well.
	out, err := b.s.Load(t.Context(), part, b.dir, b.peek)
	if err != nil || out.How != Newest {
		t.Fatalf("load: %+v, %v", out, err)
	}
	b.holds(2006, 8000)
	a.own(3, Kept)
	a.apply(2020, 8000)
	o = a.claim(4)
	o.dir, o.digests = a.dir, loadDigests(a.dir)
	a.fence = 4
	a.commit(a.db.NewBatch())
	a.save(o)
	a.close()
	out, err = b.s.Load(t.Context(), part, b.dir, b.peek)
	if err != nil || out.How != Newest || out.DownloadedBytes > 5<<20 || out.Bytes < 30<<20 {
		t.Fatalf("second load: %+v, %v", out, err)
	}
	b.holds(2020, 8000)
}

func flip(t testing.TB, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		data[len(data)/2] ^= 1
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestKeep is the rule when a directory may be kept.
func TestKeep(t *testing.T) {
	for _, tt := range []struct {
		name  string
		local Local
		want  How // Newest: replaced
	}{
		{"saved here, and on from there", Local{Position: 250, Fence: 7}, Kept},
		{"as saved", Local{Position: 200, Fence: 7}, Kept},
		{"owner after the one that saved, died before it saved", Local{Position: 200, Fence: 8}, Kept},
		{"older than what is saved", Local{Position: 199, Fence: 7}, Newest},
		{"further, but on the line of an owner that was replaced", Local{Position: 300, Fence: 6}, Newest},
		{"pure: further, on another line", Local{Position: 300, Fence: 6, Pure: true}, Kept},
		{"pure: older, and the log is still there", Local{Position: 100, Fence: 5, Pure: true}, Kept},
		{"pure: the log may be trimmed behind it", Local{Position: 99, Fence: 7, Pure: true}, Newest},
	} {
		m := &Manifest{States: []State{{Position: 200, Fence: 7}, {Position: 100, Fence: 6}}}
		l := &loader{m: m, fence: 9}
		if got := l.mayKeep(tt.local); got != (tt.want == Kept) {
			t.Errorf("%s: kept %v", tt.name, got)
		}
	}
}

// TestLaterOwner: who finds a directory that a later owner ran on has lost its lease long ago.
func TestLaterOwner(t *testing.T) {
	a, _ := pair(t)
	a.own(5, Empty)
	a.apply(10, 10)
	a.close()
	a.open(9)
	a.close()
	o := a.claim(6)
	_, err := o.Load(t.Context(), a.dir, a.peek)
	wantKind(t, err, concord.Conflict)
	a.holds(10, 10)
}

// TestPureBehind: a pure state that was kept although it is behind must apply the log before it is saved.
func TestPureBehind(t *testing.T) {
	a, b := pair(t)
	a.pure = true
	o := a.own(1, Empty)
	a.apply(50, 100)
	a.save(o)
	a.apply(60, 100)
	a.save(o)
	a.close()
	p := b.own(2, Newest)
	b.apply(80, 100)
	b.save(p)
	b.apply(90, 100)
	b.close()

	o = a.own(3, Kept) // 60 is the position of the older state
	_, err := o.SaveFrom(t.Context(), a)
	wantKind(t, err, concord.Unavailable)
	a.apply(80, 100)
	if s := a.save(o); s.TrimTo != 80 {
		t.Errorf("saved %+v", s)
	}
}

// TestAdopt: a copy that its node has open becomes the owner's, however far behind what is saved: it is left alone, and saved once it has
// applied the log.
func TestAdopt(t *testing.T) {
	a, b := pair(t)
	o := a.own(1, Empty)
	a.apply(50, 100)
	a.save(o)
	p := b.own(2, Newest)
	for _, to := range []uint64{80, 90, 100} { // it stands still meanwhile
		b.apply(to, 100)
		b.save(p)
	}
	b.close()

	o = a.claim(3)
	o.Adopt(a.dir)
	_, err := o.SaveFrom(t.Context(), a)
	wantKind(t, err, concord.Unavailable)
	a.apply(110, 100)
	if s := a.save(o); s.Position != 110 || s.TrimTo != 100 {
		t.Errorf("saved %+v", s)
	}
	a.close()
	a.holds(110, 100)
	a.blobsNamed()
}

// TestDamage: one damaged, cut or missing blob of the newest state leads to the one before; one of both to an error that names it.
func TestDamage(t *testing.T) {
	for name, harm := range map[string]func(testing.TB, string){
		"flipped": flip,
		"cut":     func(t testing.TB, path string) { errIs(t, os.Truncate(path, 3), nil) },
		"longer":  func(t testing.TB, path string) { errIs(t, os.Truncate(path, 1<<20), nil) },
		"empty":   func(t testing.TB, path string) { errIs(t, os.Truncate(path, 0), nil) },
		"missing": func(t testing.TB, path string) { errIs(t, os.Remove(path), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t)
			o := a.own(1, Empty)
			a.apply(100, 200)
			a.save(o)
			a.apply(120, 200)
			a.save(o)
			m := o.Manifest()
			only := difference(m.States[0].Files, m.States[1].Files, "seg")
			harm(t, b.blobs.path(only.blob(part)))
			p := b.own(2, Previous)
			b.apply(120, 200)
			if st := b.s.Stats(); st.WentBack != 1 || st.DamagedBlobs != 1 {
				t.Errorf("counted %+v", st)
			}
			// The same file comes again: it is uploaded anew, and the state is whole.
			s := b.save(p)
			b.close()
			if s.TrimTo != 100 {
				t.Errorf("after going back the log is needed from %d, want 100", s.TrimTo)
			}
			b.blobsNamed()
			c := newNode(t, filepath.Dir(b.blobs.dir), t.TempDir(), "c")
			c.own(3, Newest)
			c.close()
			c.holds(120, 200)

			// A file of both states: nothing is opened, what was there before stays.
			both := difference(c.claim(4).Manifest().States[1].Files, nil, "seg")
			harm(t, c.blobs.path(both.blob(part)))
			d := newNode(t, filepath.Dir(b.blobs.dir), t.TempDir(), "d")
			_, err := d.claim(5).Load(t.Context(), d.dir, d.peek)
			wantKind(t, err, concord.Corrupt)
			if !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), both.Name) {
				t.Errorf("error %q does not name partition and file", err)
			}
			if exists(d.dir) {
				t.Error("a damaged state was put in place")
			}
		})
	}
}

// difference returns a file of one list that is not in the other.
func difference(in, notIn []File, suffix string) *File {
	other := map[concord.Digest]bool{}
	for _, f := range notIn {
		other[f.Sum] = true
	}
	for i := range in {
		if !other[in[i].Sum] && strings.HasSuffix(in[i].Name, suffix) {
			return &in[i]
		}
	}
	panic("no such file")
}

func errIs(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// TestDamagedHere: a damaged local store gives way to the saved state, whatever of it is damaged.
func TestDamagedHere(t *testing.T) {
	for _, what := range []string{"MANIFEST", "marker.manifest", "log", "OPTIONS", "all"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a, _ := pair(t)
			o := a.own(1, Empty)
			a.apply(100, 200)
			a.save(o)
			a.close()
			entries, _ := os.ReadDir(filepath.Join(a.dir, "db"))
			for _, e := range entries {
				path := filepath.Join(a.dir, "db", e.Name())
				if strings.Contains(e.Name(), what) || what == "all" {
					errIs(t, os.Remove(path), nil)
				}
			}
			out, err := a.claim(2).Load(t.Context(), a.dir, a.peek)
			if err != nil || what != "OPTIONS" && what != "log" && out.How != Newest {
				t.Fatalf("loaded %s, %v", out.How, err)
			}
			if out.How == Newest {
				a.holds(100, 200)
			}
		})
	}
}

// TestInUse: a store that is open is never replaced, whatever is asked.
func TestInUse(t *testing.T) {
	a, _ := pair(t)
	o := a.own(1, Empty)
	a.apply(10, 10)
	a.save(o)
	if _, err := a.claim(2).Load(t.Context(), a.dir, a.peek); err == nil || concord.KindOf(err) == concord.Corrupt {
		t.Fatalf("load over an open store: %v", err)
	}
}

// TestLostAnswers: a manifest that was put although the answer said otherwise, and one that was not.
func TestLostAnswers(t *testing.T) {
	a, b := pair(t)
	lose := 1
	gone := func() error {
		if lose--; lose == 0 {
			return concord.Errorf(concord.Unavailable, "no answer")
		}
		return nil
	}
	a.mans.after = gone // claimed, and not known
	o := a.own(1, Empty)
	a.apply(20, 100)
	lose = 1
	a.save(o)
	a.mans.after, a.mans.before = nil, gone // not saved, and not known
	lose = 1
	a.apply(40, 100)
	a.save(o)
	a.mans.before = nil
	a.apply(60, 100)
	a.save(o)
	a.blobsNamed()

	// The other takes over while the answer is on its way: the first learns that, not that all is well.
	a.mans.before = func() error { b.claim(2); a.mans.before = nil; return nil }
	a.apply(70, 100)
	_, err := o.SaveFrom(t.Context(), a)
	wantKind(t, err, concord.Conflict)
	a.close()
	b.own(3, Newest)
	b.close()
	b.holds(60, 100)
	b.blobs.put = nil
}

// TestFailedUploads: what could not be uploaded is uploaded next time, what could is not uploaded twice, nothing is left behind.
func TestFailedUploads(t *testing.T) {
	a, b := pair(t)
	o := a.own(1, Empty)
	a.apply(100, 2000)
	fails := 0
	a.blobs.put = func(string) error {
		if fails++; fails%7 == 0 {
			return concord.Errorf(concord.Unavailable, "not now")
		}
		return nil
	}
	var out Saved
	var err error
	for range 20 {
		if out, err = o.SaveFrom(t.Context(), a); err == nil {
			break
		}
		wantKind(t, err, concord.Unavailable)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.blobs.put = nil
	a.apply(101, 2000)
	a.save(o)
	a.blobsNamed()
	a.close()
	b.own(2, Newest)
	b.close()
	b.holds(101, 2000)
	if st := a.s.Stats(); st.SaveErrors == 0 || st.Saves != 2 || int64(st.UploadedBytes) > 3*out.Bytes {
		t.Errorf("counted %+v", st)
	}
}

// TestFailedAtItsEnd: a store takes a file to its last byte and then fails. That is the store's error, not the file's.
func TestFailedAtItsEnd(t *testing.T) {
	a, _ := pair(t)
	o := a.own(1, Empty)
	a.apply(10, 2000)
	a.blobs.end = func(string) error { return concord.Errorf(concord.Unavailable, "not now") }
	_, err := o.SaveFrom(t.Context(), a)
	wantKind(t, err, concord.Unavailable)
	a.blobs.end = nil
	a.save(o)
	a.blobsNamed()
	a.close()
}

// TestPausedCollector: an owner stands still between putting its manifest and deleting, while two others take over, one after the other, and
// save: what it then deletes is nothing that they need, also when they came upon the very bytes that it deletes.
func TestPausedCollector(t *testing.T) {
	a, b := pair(t)
	c := newNode(t, filepath.Dir(b.blobs.dir), t.TempDir(), "c")
	o := a.own(1, Empty)
	a.apply(40, 300)
	a.save(o)
	a.apply(60, 300)
	a.save(o)
	if err := os.Remove(filepath.Join(a.dir, "segments", "00000010.seg")); err != nil {
		t.Fatal(err)
	}
	a.gone = 10 // merged away, say: its blob is named by the state before the last only
	a.apply(61, 300)
	a.save(o)
	paused := false
	a.blobs.del = func(string) {
		if paused {
			return
		}
		paused = true
		for i, n := range []*node{b, c} {
			p := n.own(uint64(i+2), Newest)
			errIs(t, os.WriteFile(filepath.Join(n.dir, "segments", "00000010.seg"), noise(10, 3000), 0o600), nil) // the same bytes again
			n.apply(n.pos+20, 300)
			n.save(p)
			n.apply(n.pos+20, 300)
			n.save(p)
			n.close()
		}
	}
	a.apply(62, 300)
	a.save(o) // names it no more
	if !paused {
		t.Fatal("nothing was deleted")
	}
	_, err := o.SaveFrom(t.Context(), a)
	wantKind(t, err, concord.Conflict)
	d := newNode(t, filepath.Dir(b.blobs.dir), t.TempDir(), "d")
	p := d.own(9, Newest)
	d.close()
	d.holds(142, 300)
	d.open(9)
	d.apply(143, 300)
	d.save(p) // what the first owner uploaded in vain is swept up
	d.blobsNamed()
}

// TestTransient: an unavailable blob is asked for again.
func TestTransient(t *testing.T) {
	a, b := pair(t)
	o := a.own(1, Empty)
	a.apply(30, 100)
	a.save(o)
	n := 0
	b.blobs.get = func(string) error {
		if n++; n%2 == 1 {
			return concord.Errorf(concord.Unavailable, "not now")
		}
		return nil
	}
	b.s.cfg.Streams = 1
	b.own(2, Newest)
	b.close()
	b.holds(30, 100)
	if len(b.s.Moving()) != 0 {
		t.Error("a transfer that has ended is on the list")
	}
}

// TestKeepLoop: Keep saves what moves, and ends when another owner claims.
func TestKeepLoop(t *testing.T) {
	a, b := pair(t)
	o := a.own(1, Empty)
	a.apply(10, 100)
	ctx, cancel := context.WithCancel(t.Context())
	saves := make(chan Saved, 10)
	ended := make(chan error, 1)
	go func() { ended <- o.Keep(ctx, a, time.Millisecond, func(s Saved) { saves <- s }) }()
	if s := <-saves; s.Position != 10 {
		t.Errorf("saved %+v", s)
	}
	time.Sleep(20 * time.Millisecond)
	cancel()
	if err := <-ended; err != nil || len(saves) != 0 {
		t.Errorf("ended with %v after %d saves without need", err, len(saves))
	}
	b.claim(2)
	a.apply(11, 100)
	wantKind(t, o.Keep(t.Context(), a, time.Millisecond, nil), concord.Conflict)
}

// TestReread: a copy that is not the owner begins again when the owner has saved and deleted meanwhile.
func TestReread(t *testing.T) {
	a, b := pair(t)
	o := a.own(1, Empty)
	a.apply(20, 500)
	a.save(o)
	once := false
	b.s.cfg.Streams = 1
	b.blobs.get = func(string) error {
		if !once {
			once = true
			for range 3 {
				a.apply(a.pos+10, 500)
				a.save(o)
			}
		}
		return nil
	}
	out, err := b.s.Load(t.Context(), part, b.dir, b.peek)
	if err != nil || out.Position != 50 {
		t.Fatalf("loaded %+v, %v", out, err)
	}
	b.holds(50, 500)
}

// TestCheckpointPebble: a checkpoint taken while somebody writes has a whole prefix of the writes, all that were made before it, and no
// more of the log than it needs.
func TestCheckpointPebble(t *testing.T) {
	dir := t.TempDir()
	options := func() *pebble.Options {
		return &pebble.Options{Logger: quiet{}, MemTableSize: 1 << 20, MaxManifestFileSize: PebbleManifestBytes, FormatMajorVersion: pebble.FormatNewest}
	}
	db, err := pebble.Open(filepath.Join(dir, "db"), options())
	errIs(t, err, nil)
	defer db.Close()
	var written atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := uint64(1); ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := db.Set(binary.BigEndian.AppendUint64(nil, i), noise(i, 500), pebble.NoSync); err != nil {
				stopped <- err
				return
			}
			written.Store(i)
			time.Sleep(10 * time.Microsecond)
		}
	}()
	for i := range 8 {
		time.Sleep(5 * time.Millisecond)
		before := written.Load()
		at := filepath.Join(dir, strconv.Itoa(i))
		errIs(t, CheckpointPebble(db, at), nil)
		after := written.Load()
		if n := countWrites(t, at, options()); n < before || n > after+1 {
			t.Errorf("checkpoint %d has %d writes; %d were made before, %d after", i, n, before, after)
		}
	}
	close(stop)
	errIs(t, <-stopped, nil)
	errIs(t, CheckpointPebble(db, filepath.Join(dir, "quiet")), nil)
	logs, _ := filepath.Glob(filepath.Join(dir, "quiet", "*.log"))
	for _, path := range logs {
		if info, err := os.Stat(path); err != nil || info.Size() > 4096 {
			t.Errorf("%s has %d bytes, nothing was written since the flush", path, info.Size())
		}
	}
	// What is in the log only is not cut off, also when the log is an old one written over.
	n := written.Load()
	for range 100 {
		n++
		errIs(t, db.Set(binary.BigEndian.AppendUint64(nil, n), noise(n, 500), pebble.NoSync), nil)
	}
	cut := filepath.Join(dir, "cut")
	errIs(t, db.Checkpoint(cut, pebble.WithFlushedWAL()), nil)
	errIs(t, cutLog(cut), nil)
	if got := countWrites(t, cut, options()); got != n {
		t.Errorf("%d writes are left of %d", got, n)
	}
}

// countWrites counts the keys 1, 2, … of a store, without gaps.
func countWrites(t *testing.T, dir string, options *pebble.Options) (n uint64) {
	t.Helper()
	db, err := pebble.Open(dir, options)
	errIs(t, err, nil)
	it, err := db.NewIter(nil)
	errIs(t, err, nil)
	for ok := it.First(); ok; ok = it.Next() {
		if n++; binary.BigEndian.Uint64(it.Key()) != n {
			t.Fatalf("%s lacks write %d", dir, n)
		}
	}
	errIs(t, errors.Join(it.Close(), db.Close()), nil)
	return n
}
