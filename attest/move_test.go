package attest

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"concord"
	"concord/chain"
)

// machines stands for the saved state that nodes share: each save is a checkpoint of its own, the last one counts.
type machines struct {
	t      *testing.T
	dir    string
	saves  int
	refuse error
}

func (m *machines) last() string { return filepath.Join(m.dir, "saved", itoa(m.saves)) }

func itoa(n int) string { return string(rune('a' + n)) }

// open opens an attestor in a directory, saving its batches as the next owner finds them.
func (m *machines) open(dir string, log concord.Log, l Ledger) *Attestor {
	m.t.Helper()
	var a *Attestor
	a, err := Open(Config{Dir: dir, Log: log, Ledger: l, Keys: testKeys(m.t, m.dir), Operator: operator, Window: 200 * time.Millisecond, Logger: discard(),
		Save: func(ctx context.Context) error {
			if m.refuse != nil {
				return m.refuse
			}
			m.saves++
			_, err := a.Checkpoint(ctx, m.last())
			return err
		}})
	if err != nil {
		m.t.Fatal(err)
	}
	return a
}

// TestMove: wherever an attestor dies, the next owner has every batch of which the ledger may know, with its salts; each capture is
// attested once.
func TestMove(t *testing.T) {
	dir := t.TempDir()
	c, log := startChain(t, dir), newMemoryLog()
	f := &faultyLedger{Chain: c}
	m := &machines{t: t, dir: dir}
	at := filepath.Join(dir, "first")
	for round, when := range []*atomic.Int32{&f.before, &f.after, &f.before} {
		a := m.open(at, log, f)
		appendCaptures(t, log, round*10, round*10+10)
		when.Store(1)
		if err := a.RunOwned(t.Context(), uint64(round+1)); !errors.Is(err, errCrash) {
			t.Fatalf("run: %v", err)
		}
		if err := a.RunOwned(t.Context(), uint64(round)); concord.KindOf(err) != concord.Conflict {
			t.Errorf("a smaller fence: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		at = m.last() // the next machine begins with what was saved
		local, err := Peek(at)
		if err != nil || local.Pure || local.Fence != uint64(round+1) || local.Position != 10 { // the batch that is on its way is finished first
			t.Fatalf("saved: %+v, %v", local, err)
		}
	}
	a := m.open(at, log, f)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.RunOwned(ctx, 9) }()
	appendCaptures(t, log, 30, 40)
	for i := range 40 {
		checkReceipt(t, await(t, a, capture(i).ID), c, capture(i))
	}
	cancel()
	if err := errors.Join(<-done, a.Close()); err != nil {
		t.Fatal(err)
	}
	if n := attested(t, c); n != 40 {
		t.Errorf("%d captures in the ledger, want 40", n)
	}
}

// attested counts the captures of all attestations in the ledger.
func attested(t *testing.T, c *chain.Chain) (n uint64) {
	t.Helper()
	list, err := c.Entries(0, chain.MaxEntries)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if at, err := (&Batch{Note: e.Text}).attestation(); e.Type == "attest" && err == nil {
			n += at.Count
		}
	}
	return n
}

// TestReplacedOwner: who can no longer save submits nothing.
func TestReplacedOwner(t *testing.T) {
	dir := t.TempDir()
	c, log := startChain(t, dir), newMemoryLog()
	m := &machines{t: t, dir: dir, refuse: concord.Errorf(concord.Conflict, "another owner")}
	a := m.open(filepath.Join(dir, "first"), log, c)
	defer a.Close()
	appendCaptures(t, log, 0, 10)
	for range 2 { // the second run finds the batch in its store
		if err := a.RunOwned(t.Context(), 1); concord.KindOf(err) != concord.Conflict {
			t.Fatalf("run: %v", err)
		}
	}
	if n := attested(t, c); n != 0 {
		t.Errorf("%d captures were attested by an owner that was replaced", n)
	}
}
