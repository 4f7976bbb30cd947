package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"concord"

	"github.com/nats-io/nats.go/jetstream"
)

func TestChains(t *testing.T) {
	const a, b = "AAAAAAAAAAAAA", "BBBBBBBBBBBBB"
	c := newChains()
	add := func(subject, lane string, n, seq uint64, want bool) {
		t.Helper()
		if _, whole := c.add(subject, link{lane, n}, seq); whole != want {
			t.Fatalf("%s %s-%d at %d: whole is %v", subject, lane, n, seq, whole)
		}
	}
	add("s.0", a, 7, 1, true) // the first that comes
	add("s.0", a, 8, 2, true)
	add("s.1", a, 1, 3, true) // subjects count for themselves
	add("s.0", b, 5, 4, true)
	add("s.0", a, 10, 5, false)
	add("s.0", a, 8, 5, true) // stored twice
	add("s.0", a, 9, 6, true)
	add("s.0", a, 11, 8, false)
	add("s.0", a, 11, 8, false) // from another copy, which lacks 10 as well
	if before, _ := c.add("s.0", link{a, 11}, 8); before != (seen{9, 6}) {
		t.Fatalf("before the gap: %+v", before)
	}
	add("s.0", a, 10, 7, true) // a third has it
	add("s.0", a, 11, 8, true)
	for i := range uint64(maxChains / 2) { // half of what it remembers is the newest for sure
		add("s.0", fmt.Sprintf("%013d", i), 1, 9, true)
	}
	add("s.0", a, 13, 10, false)
	for i := range uint64(2 * maxChains) {
		add("s.1", fmt.Sprintf("%013d", i), 1, 11, true)
	}
	if n := len(c.recent) + len(c.older); n > maxChains {
		t.Fatalf("%d chains are remembered", n)
	}
	add("s.0", a, 20, 12, true) // forgotten
}

func TestLanes(t *testing.T) {
	var s lanes
	one, two := s.take(), s.take()
	if one.id == two.id {
		t.Fatal("one lane for two appends")
	}
	if k := one.next("s.0"); k != (link{one.id, 1}) {
		t.Fatal(k)
	}
	s.give(one)
	if again := s.take(); again != one || again.next("s.0").n != 2 || again.next("s.1").n != 1 {
		t.Fatal("a lane goes on where it was")
	}
	for range 2 * maxFreeLanes {
		s.give(&lane{})
	}
	if len(s.free) != maxFreeLanes {
		t.Fatalf("%d free lanes", len(s.free))
	}
}

func FuzzParseLink(f *testing.F) {
	for _, s := range []string{"", "-", "K3TQ5WZJ7XH2M-118", "K3TQ5WZJ7XH2M-0", "K3TQ5WZJ7XH2M-01", "K3TQ5WZJ7XH2M-+1", "K3TQ5WZJ7XH2M--1", "K3TQ5WZJ7XH2M-",
		"k3tq5wzj7xh2m-1", "K3TQ5WZJ7XH2-1", "K3TQ5WZJ7XH2M-18446744073709551615", "K3TQ5WZJ7XH2M-18446744073709551616"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if k, ok := parseLink(s); ok && (k.String() != s || k.n == 0 || len(k.lane) != laneDigits) {
			t.Fatalf("%q is read as %+v", s, k)
		}
	})
}

func TestLinkRoundTrip(t *testing.T) {
	var s lanes
	l := s.take()
	l.counts["s"] = 1<<64 - 2
	want := l.next("s")
	if got, ok := parseLink(want.String()); !ok || got != want {
		t.Fatalf("%q: %+v, %v", want, got, ok)
	}
}

// A message that no copy has ends a reader, of its subject and of a pattern; those that begin behind it read on.
func TestMissingEverywhere(t *testing.T) {
	t.Parallel()
	onBuses(t, func(t *testing.T, open func(t *testing.T) []*Bus) {
		b := open(t)[0]
		l := openLog(t, b)
		for i := range 3 { // one lane
			if _, err := l.Append(t.Context(), batch("capture.0", i*10, 10)...); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.(*log).stream.DeleteMsg(t.Context(), 14); err != nil {
			t.Fatal(err)
		}
		stopsBefore(t, l, "capture.0", 14, concord.Corrupt)
		stopsBefore(t, l, "capture.*", 14, concord.Corrupt)
		if got := collect(t, l, "capture.0", 14, 16); len(got) != 16 {
			t.Fatalf("%d messages behind it", len(got))
		}
	})
}

// Whatever becomes of appends - done at the same time, given up, made again, overlapping, of a process before - what was never stored is
// no gap.
func TestNoGapWhereNothingIsMissing(t *testing.T) {
	t.Parallel()
	onBuses(t, func(t *testing.T, open func(t *testing.T) []*Bus) {
		buses := open(t)
		reader := openLog(t, buses[0])
		all := follow(t, reader, "capture.*")
		one := follow(t, reader, "capture.1")
		var wg sync.WaitGroup
		for w := range 6 {
			l := openLog(t, buses[w%len(buses)])
			wg.Go(func() { appendWildly(t.Context(), l, w) })
		}
		wg.Wait()
		for i := range 3 {
			if _, err := openLog(t, buses[0]).Append(t.Context(), batch(fmt.Sprintf("capture.%d", i), 1e9+i, 1)...); err != nil {
				t.Fatal(err)
			}
		}
		info, err := reader.(*log).stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d messages are stored", info.State.Msgs)
		all.gets(t, int(info.State.Msgs))
		one.gets(t, int(info.State.Subjects["capture.1"]))
	})
}

// appendWildly appends singles and batches, with IDs that others have as well and without, and gives some up on their way.
func appendWildly(ctx context.Context, l concord.Log, seed int) {
	rng := rand.New(rand.NewPCG(uint64(seed), 3))
	for range 60 {
		ms := batch("capture.0", rng.IntN(300), 1+rng.IntN(2)*rng.IntN(30))
		for i := range ms {
			ms[i].Subject = fmt.Sprintf("capture.%d", rng.IntN(3))
			if rng.IntN(40) == 0 {
				ms[i].ID = ""
			}
		}
		if rng.IntN(10) == 0 {
			ms[len(ms)-1] = ms[0] // the same twice
		}
		limit := time.Minute
		if rng.IntN(4) == 0 {
			limit = time.Duration(rng.IntN(3000)) * time.Microsecond
		}
		try, cancel := context.WithTimeout(ctx, limit)
		_, _ = l.Append(try, ms...) // not all can be appended, and some are given up
		cancel()
	}
}

// gets waits until a reader has n messages.
func (r *reader) gets(t testing.TB, n int) {
	t.Helper()
	eventually(t, 30*time.Second, fmt.Sprintf("%d messages read", n), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.err != nil {
			t.Fatal(r.err)
		}
		return len(r.seqs) >= n
	})
}

// A reader that is so slow that what it has not got is trimmed fails, and says that it is not the log's fault.
func TestTrimPassesReader(t *testing.T) {
	t.Parallel()
	onBuses(t, func(t *testing.T, open func(t *testing.T) []*Bus) {
		l := openLog(t, open(t)[0])
		const n, trimmed = 6000, 5500 // of 3 kB each: more than followBytes
		fillNoise(t, l, n)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		slow := false
		var last uint64
		err := l.Follow(ctx, "capture.*", 0, func(ms []concord.Message) error {
			last = ms[len(ms)-1].Seq
			if !slow {
				slow = true
				return l.Trim(ctx, "capture.0", trimmed)
			}
			if last == n {
				return errors.New("it saw no gap")
			}
			return nil
		})
		if concord.KindOf(err) != concord.Conflict || last >= trimmed {
			t.Fatalf("read up to %d: %v", last, err)
		}
		t.Log(err)
		if got := collect(t, l, "capture.0", last, n-trimmed); got[0].Seq != trimmed+1 {
			t.Fatalf("the next reader begins at %d", got[0].Seq)
		}
	})
}
