package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord"
)

func open(t testing.TB, dir string) *Bus {
	t.Helper()
	b, err := Open(t.Context(), Config{Dir: dir, NodeName: "node-1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func openLog(t testing.TB, b *Bus) concord.Log {
	t.Helper()
	l, err := b.Log(t.Context(), "CAPTURES", "capture.*")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// collect follows until n messages have come.
func collect(t testing.TB, l concord.Log, subject string, after uint64, n int) []concord.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var got []concord.Message
	done := errors.New("done")
	err := l.Follow(ctx, subject, after, func(ms []concord.Message) error {
		got = append(got, ms...)
		if len(got) >= n {
			return done
		}
		return nil
	})
	if err != done {
		t.Fatalf("follow %s after %d: got %d of %d messages: %v", subject, after, len(got), n, err)
	}
	return got
}

func batch(subject string, from, n int) []concord.Message {
	var ms []concord.Message
	for i := from; i < from+n; i++ {
		ms = append(ms, concord.Message{Subject: subject, ID: fmt.Sprintf("id-%d", i), Data: []byte(fmt.Sprintf("message %d", i))})
	}
	return ms
}

func TestLogSurvivesReopen(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	l := openLog(t, b)
	ctx := t.Context()
	if seq, err := l.Append(ctx, batch("capture.0", 0, 1)...); err != nil || seq != 1 {
		t.Fatalf("single append: %d, %v", seq, err)
	}
	if seq, err := l.Append(ctx, batch("capture.1", 1, 700)...); err != nil || seq != 701 {
		t.Fatalf("batch append: %d, %v", seq, err)
	}
	b.Close()

	l = openLog(t, open(t, dir))
	all := collect(t, l, "capture.*", 0, 701)
	for i, m := range all {
		if want := fmt.Sprintf("message %d", i); string(m.Data) != want || m.Seq != uint64(i+1) {
			t.Fatalf("message %d: %q at %d", i, m.Data, m.Seq)
		}
	}
	if got := collect(t, l, "capture.1", 650, 51); got[0].Seq != 651 {
		t.Fatalf("follow from a position starts at %d", got[0].Seq)
	}
	if last, err := l.Last(ctx, "capture.0"); err != nil || last != 1 {
		t.Fatalf("last of capture.0: %d, %v", last, err)
	}
	if last, err := l.Last(ctx, "capture.*"); err != nil || last != 701 {
		t.Fatalf("last of all: %d, %v", last, err)
	}
	if last, err := l.Last(ctx, "capture.9"); err != nil || last != 0 {
		t.Fatalf("last of an empty subject: %d, %v", last, err)
	}
}

func TestAppendIsIdempotentByID(t *testing.T) { eachKind(t, appendIsIdempotent) }

func appendIsIdempotent(t *testing.T, b *Bus) {
	l := openLog(t, b)
	ctx := t.Context()
	for range 2 {
		if _, err := l.Append(ctx, batch("capture.0", 0, 10)...); err != nil {
			t.Fatal(err)
		}
	}
	// A retry whose batch overlaps the first must add only what is new.
	if _, err := l.Append(ctx, batch("capture.0", 5, 10)...); err != nil {
		t.Fatal(err)
	}
	got := collect(t, l, "capture.0", 0, 15)
	if len(got) != 15 {
		t.Fatalf("%d messages, want 15", len(got))
	}
	for i, m := range got {
		if string(m.Data) != fmt.Sprintf("message %d", i) {
			t.Fatalf("message %d is %q", i, m.Data)
		}
	}
}

func TestFollowDeliversWhatComesLater(t *testing.T) { eachKind(t, followDelivers) }

func followDelivers(t *testing.T, b *Bus) {
	l := openLog(t, b)
	go func() {
		for i := range 20 {
			_, _ = l.Append(context.WithoutCancel(t.Context()), batch("capture.2", i, 1)...)
		}
	}()
	if got := collect(t, l, "capture.2", 0, 20); len(got) != 20 {
		t.Fatalf("got %d", len(got))
	}
}

func TestTrimAndPositionBeyondEnd(t *testing.T) { eachKind(t, trimAndPosition) }

func trimAndPosition(t *testing.T, b *Bus) {
	l := openLog(t, b)
	ctx := t.Context()
	if _, err := l.Append(ctx, batch("capture.0", 0, 10)...); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(ctx, batch("capture.1", 10, 10)...); err != nil {
		t.Fatal(err)
	}
	if err := l.Trim(ctx, "capture.0", 10); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, l, "capture.*", 0, 10); got[0].Seq != 11 {
		t.Fatalf("after the trim the log starts at %d", got[0].Seq)
	}
	err := l.Follow(ctx, "capture.0", 21, func([]concord.Message) error { return nil })
	if concord.KindOf(err) != concord.Corrupt {
		t.Fatalf("a position beyond the end must be refused as lost files, got %v", err)
	}
}

func TestRefusesOversizeAndFull(t *testing.T) {
	b, err := Open(t.Context(), Config{Dir: t.TempDir(), NodeName: "n", MaxLogBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	l := openLog(t, b)
	ctx := t.Context()
	if _, err := l.Append(ctx, concord.Message{Subject: "capture.0", Data: make([]byte, MaxMessageBytes+1)}); concord.KindOf(err) != concord.Invalid {
		t.Fatalf("oversize: %v", err)
	}
	big := make([]byte, 100<<10)
	for i := range 5 {
		if _, err = l.Append(ctx, concord.Message{Subject: "capture.0", Data: big}); err != nil {
			if i == 0 || concord.KindOf(err) != concord.Unavailable {
				t.Fatalf("append %d: %v", i, err)
			}
			break
		}
	}
	if err == nil {
		t.Fatal("a full log must refuse, not drop old messages")
	}
	if err := l.Trim(ctx, "capture.0", 5); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(ctx, concord.Message{Subject: "capture.0", Data: big}); err != nil {
		t.Fatalf("after the trim there is room: %v", err)
	}
}

func TestFlippedBitIsNoticed(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	l := openLog(t, b)
	if _, err := l.Append(t.Context(), concord.Message{Subject: "capture.0", Data: []byte("the quick brown fox jumps over the lazy dog, uncompressible 8f3a")}); err != nil {
		t.Fatal(err)
	}
	b.Close()
	flipped := false
	_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if filepath.Ext(p) == ".blk" && !flipped {
			data, _ := os.ReadFile(p)
			if len(data) > 100 && !strings.Contains(p, "meta") {
				data[len(data)-30] ^= 1
				flipped = os.WriteFile(p, data, 0o600) == nil
			}
		}
		return nil
	})
	if !flipped {
		t.Fatal("found no block file to damage")
	}
	b, err := Open(t.Context(), Config{Dir: dir, NodeName: "node-1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return // refusing to start is a fine answer
	}
	defer b.Close()
	l = openLog(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_ = l.Follow(ctx, "capture.0", 0, func(ms []concord.Message) error {
		t.Errorf("damaged message was delivered: %q", ms[0].Data)
		return errors.New("stop")
	})
}

func TestLeases(t *testing.T) { eachKind(t, testLeases) }

func testLeases(t *testing.T, b *Bus) {
	ctx := t.Context()
	ls, err := b.Leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r1, err := ls.Acquire(ctx, "shard.0", "a", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ls.Acquire(ctx, "shard.0", "b", time.Second); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("second holder: %v", err)
	}
	r2, err := ls.Renew(ctx, "shard.0", "a", time.Second, r1)
	if err != nil || r2 <= r1 {
		t.Fatalf("renew: %d after %d, %v", r2, r1, err)
	}
	if _, err := ls.Renew(ctx, "shard.0", "a", time.Second, r1); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("renewing an old revision: %v", err)
	}
	deadline := time.Now().Add(8 * time.Second)
	for {
		r3, err := ls.Acquire(ctx, "shard.0", "b", time.Second)
		if err == nil {
			if r3 <= r2 {
				t.Fatalf("revision went back: %d after %d", r3, r2)
			}
			if err := ls.Release(ctx, "shard.0", r3); err != nil {
				t.Fatal(err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a renewed lease must still run out: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := ls.Acquire(ctx, "shard.0", "a", time.Second); err != nil {
		t.Fatalf("a released lease is free: %v", err)
	}
	if _, err := ls.Acquire(ctx, "shard.0", "a", time.Second); err != nil {
		t.Fatalf("the same holder gets its lease again: %v", err)
	}
}

// A renewal whose answer was lost is known again by its writer, and by nobody else.
func TestLeaseKnowsItsLostWrite(t *testing.T) { eachKind(t, leaseKnowsItsLostWrite) }

func leaseKnowsItsLostWrite(t *testing.T, b *Bus) {
	ctx := t.Context()
	mine, err := b.Leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r1, err := mine.Acquire(ctx, "shard.0", "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	r2, err := mine.Renew(ctx, "shard.0", "a", time.Minute, r1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := mine.read(ctx, "shard.0")
	if err != nil || e.revision != r2 {
		t.Fatalf("%+v, %v", e, err)
	}
	other, err := b.Leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Renew(ctx, "shard.0", "a", time.Minute, r1); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("a namesake: %v", err)
	}
	mine.tries["shard.0"] = e.try // as if the answer to the last renewal had not come
	r3, err := mine.Renew(ctx, "shard.0", "a", time.Minute, r1)
	if err != nil || r3 <= r2 {
		t.Fatalf("%d, %v", r3, err)
	}
}

func BenchmarkAppend(b *testing.B) {
	benchmarkAppend(b, open(b, b.TempDir()))
}

// BenchmarkAppendReplicated appends on one of three nodes of this process, which share its processors and its disk.
func BenchmarkAppendReplicated(b *testing.B) {
	c := newCluster(b, 3)
	c.open(0, 1, 2)
	openLog(b, c.buses[0])
	settled(b, c.buses[0], "")
	benchmarkAppend(b, c.buses[0])
}

func benchmarkAppend(b *testing.B, bus *Bus) {
	i := 0
	for _, n := range []int{1, 20, 500, 1000} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			l := openLog(b, bus)
			data := make([]byte, 8<<10)
			for b.Loop() {
				ms := batch("capture.0", i, n)
				for j := range ms {
					ms[j].Data = data
				}
				if _, err := l.Append(b.Context(), ms...); err != nil {
					b.Fatal(err)
				}
				i += n
			}
			if err := l.Trim(b.Context(), "capture.0", 1<<62); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// long skips a test in which machines die and come back, unless that is what the run is for.
func long(t *testing.T) {
	t.Helper()
	if !faults {
		t.Skip("SKIPPED: takes tens of seconds; `make e2e` runs it, or go test -tags e2e ./bus")
	}
}
