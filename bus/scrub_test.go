package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"concord"

	"github.com/nats-io/nats.go/jetstream"
)

// fillNoise appends n messages that do not compress, so that they fill blocks of the engine's.
func fillNoise(t testing.TB, l concord.Log, n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < n; i += 100 {
		ms := batch("capture.0", i, 100)
		for j := range ms {
			noise := make([]byte, 3000)
			for k := range noise {
				noise[k] = byte(rng.Uint32())
			}
			ms[j].Data = append(ms[j].Data, noise...)
		}
		if _, err := l.Append(t.Context(), ms...); err != nil {
			t.Fatal(err)
		}
	}
}

// flip changes one bit in the middle of the first or the newest block of a stream, and says how many blocks there are.
func flip(t testing.TB, dir, stream string, newest bool) (blocks int) {
	t.Helper()
	var files []string
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(p) == ".blk" && filepath.Base(filepath.Dir(filepath.Dir(p))) == stream {
			files = append(files, p)
		}
		return nil
	})
	if len(files) == 0 {
		t.Fatal("found no block to damage")
	}
	path := files[0]
	if newest {
		path = files[len(files)-1]
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// The disk of one of three nodes changes a bit. In a block that the node reads while it runs the engine leaves the message out, or stands
// still if the block is compressed: readers go to another copy. In its newest block the engine leaves the message out after a restart.
// Scrub tells which copy is damaged and where, DropCopy mends it.
func TestDamagedCopy(t *testing.T) {
	long(t)
	for _, compression := range []jetstream.StoreCompression{jetstream.NoCompression, jetstream.S2Compression} {
		t.Run(compression.String(), func(t *testing.T) {
			t.Parallel()
			damagedCopy(t, compression)
		})
	}
}

func damagedCopy(t *testing.T, compression jetstream.StoreCompression) {
	c := newCluster(t, 3)
	c.open(0, 1, 2)
	b := c.buses[0]
	l := openLog(t, b)
	ctx := t.Context()
	wrong := "missing"
	if compression == jetstream.S2Compression { // as older versions made it; what a log is made with stays until each node starts again
		wrong = "cannot be read from here on"
		cfg := l.(*log).stream.CachedInfo().Config
		cfg.Compression, cfg.Replicas = compression, 3
		if err := b.js.DeleteStream(ctx, cfg.Name); err != nil {
			t.Fatal(err)
		}
		if _, err := b.js.CreateStream(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	const n = 8000
	fillNoise(t, l, n)
	settled(t, b, "")
	if blocks := flip(t, c.dirs[2], "CAPTURES", false); blocks < 2 {
		t.Fatalf("%d blocks: the newest is read from memory", blocks)
	}
	time.Sleep(11 * time.Second) // the engine's cache of a block lives for ten
	for range 2 {
		readAll(t, l, n)
	}
	damage, err := b.Scrub(ctx, "CAPTURES")
	if err != nil || len(damage) != 1 || damage[0].Node != "node-2" || damage[0].Seq > n || damage[0].What != wrong {
		t.Fatalf("a flipped bit in an old block: %+v, %v", damage, err)
	}
	t.Logf("%+v", damage)

	mend(t, c, 2)
	if damage, err := b.Scrub(ctx, "CAPTURES"); err != nil || len(damage) != 0 {
		t.Fatalf("after the copy was made anew: %+v, %v", damage, err)
	}
	if seq, err := l.Append(ctx, batch("capture.0", n, 1)...); err != nil || seq != n+1 {
		t.Fatalf("append: %d, %v", seq, err)
	}

	c.stop(2)
	flip(t, c.dirs[2], "CAPTURES", true)
	c.open(2)
	settled(t, b, "")
	damage, err = b.Scrub(ctx, "CAPTURES")
	if err != nil || len(damage) != 1 || damage[0].Node != "node-2" || damage[0].What != "missing" {
		t.Fatalf("a flipped bit in the newest block: %+v, %v", damage, err)
	}
	t.Logf("%+v", damage)
}

// readAll follows a log and wants messages 1 to n.
func readAll(t testing.TB, l concord.Log, n uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next, done := uint64(1), errors.New("done")
	err := l.Follow(ctx, "capture.0", 0, func(ms []concord.Message) error {
		for _, m := range ms {
			if m.Seq != next {
				return fmt.Errorf("message %d came after %d", m.Seq, next-1)
			}
			next++
		}
		if next > n {
			return done
		}
		return nil
	})
	if err != done {
		t.Fatalf("read %d messages: %v", next-1, err)
	}
}

// mend has a node of this process take its copy of the captures log anew.
func mend(t testing.TB, c *testCluster, i int) {
	t.Helper()
	logs, err := c.buses[0].Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.buses[i].Yield(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.stop(i)
	if err := DropCopy(c.dirs[i], c.name(i), logs[0]); err != nil {
		t.Fatal(err)
	}
	c.open(i)
	settled(t, c.buses[0], "")
	logs[0].Copies[0].Online = false
	if err := DropCopy(c.dirs[i], c.name(i), logs[0]); concord.KindOf(err) != concord.Invalid {
		t.Fatalf("another copy is down: %v", err)
	}
}

// The engine leaves a damaged message of its newest block out and does not say so. A reader that had the one before it fails; one that did
// not at least notices that there were to be more.
func TestMissingMessageIsNoticed(t *testing.T) {
	t.Parallel()
	for _, at := range []struct {
		name    string
		message int64
	}{{"in the middle", 50}, {"the first", 0}} {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			b := open(t, dir)
			fillNoise(t, openLog(t, b), 100)
			b.Close()
			flipMessage(t, dir, at.message)
			var out syncBuffer
			b, err := Open(t.Context(), Config{Dir: dir, NodeName: "node-1", Logger: slog.New(slog.NewTextHandler(&out, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			l := openLog(t, b)
			if at.message > 0 {
				stopsBefore(t, l, "capture.0", uint64(at.message)+1, concord.Corrupt)
				return
			}
			r := follow(t, l, "capture.0")
			eventually(t, 15*time.Second, "a warning", func() bool { return strings.Contains(out.String(), "fewer messages") })
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.seqs) != 99 {
				t.Errorf("%d messages", len(r.seqs))
			}
		})
	}
}

// flipMessage changes one bit in the middle of one of the first messages of fillNoise, which are equally long.
func flipMessage(t testing.TB, dir string, message int64) {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "CAPTURES", "msgs", "1.blk"))
	if len(paths) != 1 {
		t.Fatalf("block files: %v", paths)
	}
	f, err := os.OpenFile(paths[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	at, one := info.Size()*(2*message+1)/200, make([]byte, 1)
	if _, err := f.ReadAt(one, at); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 4
	if _, err := f.WriteAt(one, at); err != nil {
		t.Fatal(err)
	}
}

// stopsBefore follows a log of one subject that lacks message seq: all before it come, none after, and the error says why.
func stopsBefore(t testing.TB, l concord.Log, subject string, seq uint64, kind concord.Kind) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var last uint64
	err := l.Follow(ctx, subject, 0, func(ms []concord.Message) error {
		for _, m := range ms {
			if m.Seq != last+1 {
				return fmt.Errorf("message %d came after %d", m.Seq, last)
			}
			last = m.Seq
		}
		return nil
	})
	if concord.KindOf(err) != kind || !strings.Contains(err.Error(), "are missing") || last != seq-1 {
		t.Fatalf("message %d is missing: read up to %d: %v", seq, last, err)
	}
	t.Log(err)
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}
