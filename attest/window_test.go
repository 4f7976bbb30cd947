package attest

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"concord"
)

// closedBatch says when a batch was opened and closed, and of how many captures it was.
type closedBatch struct {
	opened, closed time.Duration
	count          int
}

// tick is how exactly closings knows the time.
const tick = 50 * time.Millisecond

// closings are the batches of captures that come at some times. Somebody asks for a receipt of the batch that is open at a moment.
func closings(w window, full int, captures []time.Duration, ask time.Duration) (list []closedBatch) {
	t0 := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	var open closedBatch
	for at := time.Duration(0); len(captures) > 0 || open.count > 0; at += tick {
		for ; len(captures) > 0 && captures[0] <= at && open.count < full; captures = captures[1:] {
			w.take(t0.Add(at), open.count == 0)
			if open.count == 0 {
				open.opened = at
			}
			open.count++
		}
		if ask <= at && at < ask+tick {
			w.asked = true
		}
		if open.count >= full || open.count > 0 && w.left(t0.Add(at), open.count) <= 0 {
			open.closed = at
			list = append(list, open)
			w.close(open.count)
			open = closedBatch{}
		}
	}
	return list
}

const never = 1000 * time.Hour

func every(gap, end time.Duration) (at []time.Duration) {
	for t := time.Duration(0); t < end; t += gap {
		at = append(at, t)
	}
	return at
}

func nodeWindow() window {
	return newWindow(&Config{Window: DefaultWindow, MaxWindow: DefaultMaxWindow, MaxBatch: DefaultMaxBatch})
}

// While captures come slowly the window doubles up to its bound; after a pause it begins anew.
func TestWindowGrows(t *testing.T) {
	at := every(time.Second, 10*time.Minute)
	for _, late := range every(time.Second, 5*time.Second) {
		at = append(at, 12*time.Minute+late)
	}
	list := closings(nodeWindow(), DefaultMaxBatch, at, never)
	for i, want := range []time.Duration{2, 4, 8, 16, 32, 60, 60, 60} {
		if got := list[i].closed - list[i].opened; got != want*time.Second {
			t.Errorf("batch %d was open for %v, want %d s", i, got, want)
		}
	}
	for _, b := range list {
		if b.opened == 12*time.Minute && b.closed-b.opened != DefaultWindow {
			t.Errorf("after a pause: %+v", b)
		}
	}
}

// How many batches a day of crawling takes, by how fast captures come. The comment of ampleBatch, the manual and the ledger's benchmarks say what that is in bytes.
func TestWindowSaves(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		gap       time.Duration
		most      time.Duration // that a batch is open
		perDay    int           // batches at most
		perDayNow int           // with a window that stays at 2 s, at least
	}{
		{100 * time.Second, 2 * time.Second, 864, 864},
		{30 * time.Second, time.Minute, 980, 2880},
		{5 * time.Second, time.Minute, 1350, 17280},
		{time.Second, time.Minute, 1435, 28800},
		{100 * time.Millisecond, 16 * time.Second, 8700, 41000},
		{10 * time.Millisecond, 2 * time.Second, 43200, 42000},
	} {
		at := every(c.gap, day/4)
		now := nodeWindow()
		now.most = now.least
		list, before := closings(nodeWindow(), DefaultMaxBatch, at, never), closings(now, DefaultMaxBatch, at, never)
		if len(list) > c.perDay/4+6 || len(before) < c.perDayNow/4 {
			t.Errorf("a capture every %v: %d batches a day, before %d; want at most %d, at least %d", c.gap, 4*len(list), 4*len(before), c.perDay, c.perDayNow)
		}
		var longest time.Duration
		for _, b := range list {
			longest = max(longest, b.closed-b.opened)
		}
		if longest > c.most {
			t.Errorf("a capture every %v: a batch was open for %v", c.gap, longest)
		}
		t.Logf("a capture every %v: %d batches a day, with a window of 2 s %d; the longest was open for %v", c.gap, 4*len(list), 4*len(before), longest)
	}
}

// Whenever captures come and whoever asks: every capture is in a batch, none is open longer than the bound, one that is ample or asked for no
// longer than the least, and none is closed before that unless it is full.
func TestWindowBounds(t *testing.T) {
	const full = 150
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var at []time.Duration
		now := time.Duration(0)
		for i := range r.IntN(3000) {
			pause := []time.Duration{time.Millisecond, 20 * time.Millisecond, time.Second, 40 * time.Second}[(i/100+int(seed))%4]
			now += time.Duration(r.ExpFloat64() * float64(pause))
			at = append(at, now)
		}
		ask := time.Duration(r.Int64N(int64(now) + 1))
		w := newWindow(&Config{Window: DefaultWindow, MaxWindow: DefaultMaxWindow, MaxBatch: full})
		count := 0
		for _, b := range closings(w, full, at, ask) {
			count += b.count
			open := b.closed - b.opened
			asked := b.opened+tick <= ask && ask+tick <= b.closed
			if open > w.most || open < w.least && b.count < full || asked && b.closed > max(ask+tick, b.opened+w.least) {
				t.Fatalf("seed %d, asked at %v: %+v", seed, ask, b)
			}
		}
		if count != len(at) {
			t.Fatalf("seed %d: %d captures in batches, want %d", seed, count, len(at))
		}
	}
}

// A batch that would stay open for an hour is closed when somebody asks for a receipt of one of its captures, and when it is ample.
func TestWindowEnds(t *testing.T) {
	dir := t.TempDir()
	c, log := startChain(t, dir), newMemoryLog()
	a := startAttestor(t, dir, log, c, 20*time.Millisecond, 0, func(cfg *Config) { cfg.MaxWindow = 2 * time.Hour })
	keep := func() { // the next batch stays open
		a.mu.Lock()
		defer a.mu.Unlock()
		a.window.long, a.window.newest = time.Hour, time.Now()
	}
	attested := func(n uint64) {
		t.Helper()
		for end := time.Now().Add(15 * time.Second); a.Stats().Attested < n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%+v, want %d attested", a.Stats(), n)
			}
		}
	}
	waiting := func(n int) {
		t.Helper()
		for end := time.Now().Add(15 * time.Second); a.Stats().Pending < n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%+v, want %d waiting", a.Stats(), n)
			}
		}
	}
	keep()
	appendCaptures(t, log, 0, 3)
	waiting(3)
	if _, due := a.due(); due {
		t.Error("the batch is due")
	}
	if _, err := a.Receipt(t.Context(), capture(1).ID); concord.KindOf(err) != concord.Unavailable || strings.Contains(err.Error(), "in about 36") {
		t.Errorf("got %v", err)
	}
	attested(3) // asked once

	keep()
	appendCaptures(t, log, 3, 3+ampleBatch)
	attested(3 + ampleBatch)

	keep()
	appendCaptures(t, log, 3+ampleBatch, 10+ampleBatch)
	waiting(7)
	if err := a.stop(); err != nil { // what waits is attested by the next, whose window is short again
		t.Fatal(err)
	}
	a = startAttestor(t, dir, log, c, 20*time.Millisecond, 0, func(cfg *Config) { cfg.MaxWindow = 2 * time.Hour })
	attested(10 + ampleBatch)
	checkReceipt(t, await(t, a.Attestor, capture(5+ampleBatch).ID), c, capture(5+ampleBatch))
}
