package bus

import (
	"context"
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

// flip changes one bit in the middle of the first block of a stream, and says how many blocks there are.
func flip(t testing.TB, dir, stream string) (blocks int) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(p) != ".blk" || filepath.Base(filepath.Dir(filepath.Dir(p))) != stream {
			return nil
		}
		if blocks++; blocks > 1 {
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 4
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return nil
	})
	if blocks == 0 {
		t.Fatal("found no block to damage")
	}
	return blocks
}

// A bit flips on the disk of one of three nodes: Scrub tells which copy is damaged and where, DropCopy mends it.
func TestScrubAndDropCopy(t *testing.T) {
	c := newCluster(t, 3)
	c.open(0, 1, 2)
	l := openLog(t, c.buses[0])
	const n = 2000
	fillNoise(t, l, n)
	settled(t, c.buses[0], "")
	ctx := t.Context()
	if damage, err := c.buses[0].Scrub(ctx, "CAPTURES"); err != nil || len(damage) != 0 {
		t.Fatalf("whole copies: %v, %v", damage, err)
	}
	c.stop(2)
	flip(t, c.dirs[2], "CAPTURES")
	c.open(2)
	settled(t, c.buses[0], "")
	damage, err := c.buses[0].Scrub(ctx, "CAPTURES")
	if err != nil || len(damage) == 0 {
		t.Fatalf("a flipped bit: %v, %v", damage, err)
	}
	for _, d := range damage {
		if d.Node != "node-2" || d.Seq == 0 || d.Seq > n {
			t.Errorf("%+v", d)
		}
	}
	t.Logf("%+v", damage)
	logs, err := c.buses[0].Logs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.buses[2].Yield(ctx); err != nil {
		t.Fatal(err)
	}
	c.stop(2)
	if err := DropCopy(c.dirs[2], "node-2", logs[0]); err != nil {
		t.Fatal(err)
	}
	c.open(2)
	settled(t, c.buses[0], "")
	if damage, err := c.buses[0].Scrub(ctx, "CAPTURES"); err != nil || len(damage) != 0 {
		t.Fatalf("after the copy was made anew: %v, %v", damage, err)
	}
	if seq, err := l.Append(ctx, batch("capture.0", n, 1)...); err != nil || seq != n+1 {
		t.Fatalf("append: %d, %v", seq, err)
	}
	logs[0].Copies[0].Online = false
	if err := DropCopy(c.dirs[2], "node-2", logs[0]); concord.KindOf(err) != concord.Invalid {
		t.Fatalf("another copy is down: %v", err)
	}
}

// A bit flips in a block that a running node reads from disk: the engine stands still there. A reader goes to another copy.
func TestFollowLeavesDamagedCopy(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until the engine has dropped its caches; run without -short")
	}
	c := newCluster(t, 3)
	c.open(0, 1, 2)
	l := openLog(t, c.buses[0])
	const n = 8000
	fillNoise(t, l, n)
	settled(t, c.buses[0], "")
	if blocks := flip(t, c.dirs[2], "CAPTURES"); blocks < 2 {
		t.Fatalf("%d blocks: the newest is read from memory", blocks)
	}
	time.Sleep(11 * time.Second) // the engine's cache of a block lives for ten
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 4 {
		next := uint64(1)
		err := l.Follow(ctx, "capture.0", 0, func(ms []concord.Message) error {
			for _, m := range ms {
				if m.Seq != next {
					t.Fatalf("message %d came after %d", m.Seq, next-1)
				}
				next++
			}
			if next > n {
				return context.Canceled
			}
			return nil
		})
		if err != context.Canceled {
			t.Fatalf("read %d messages: %v", next-1, err)
		}
	}
	damage, err := c.buses[0].Scrub(ctx, "CAPTURES")
	if err != nil || len(damage) != 1 || damage[0].Node != "node-2" {
		t.Fatalf("%+v, %v", damage, err)
	}
	t.Logf("%+v", damage)
}

// The engine leaves a damaged message of its newest block out and does not say so; a reader at least notices that there were to be more.
func TestMissingMessageIsNoticed(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	fillNoise(t, openLog(t, b), 100)
	b.Close()
	flip(t, dir, "CAPTURES")
	var out syncBuffer
	b, err := Open(t.Context(), Config{Dir: dir, NodeName: "node-1", Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r := follow(t, openLog(t, b), "capture.0")
	eventually(t, 15*time.Second, "a warning", func() bool { return strings.Contains(out.String(), "fewer messages") })
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seqs) != 99 {
		t.Errorf("%d messages", len(r.seqs))
	}
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
