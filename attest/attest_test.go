package attest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concord"
	"concord/chain"
	"concord/ledger"
	"concord/note"
	"concord/receipt"
)

const operator = "alice.example"

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func testKeys(t testing.TB, dir string) *note.Keys {
	t.Helper()
	k, err := note.LoadOrCreateKeys(filepath.Join(dir, "keys"), operator, operator+"/net-1")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// startChain runs a real chain until the test ends.
func startChain(t testing.TB, dir string) *chain.Chain {
	t.Helper()
	return startChainOf(t, dir, testKeys(t, dir))
}

func startChainOf(t testing.TB, dir string, keys *note.Keys) *chain.Chain {
	t.Helper()
	c, err := chain.Open(chain.Config{Dir: filepath.Join(dir, "chain"), Operator: operator, ChainName: "net-1", Keys: keys, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, c.Close()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// attestor runs one until stop is called or the test ends.
type attestor struct {
	*Attestor
	stop func() error
}

func startAttestor(t testing.TB, dir string, log concord.Log, l Ledger, window time.Duration, max int, change ...func(*Config)) *attestor {
	t.Helper()
	cfg := Config{Dir: filepath.Join(dir, "attest"), Log: log, Ledger: l, Keys: testKeys(t, dir), Operator: operator,
		Window: window, MaxBatch: max, Logger: discard()}
	for _, fn := range change {
		fn(&cfg)
	}
	a, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var stopped atomic.Bool
	stop := func() error {
		if stopped.Swap(true) {
			return nil
		}
		cancel()
		return errors.Join(<-done, a.Close())
	}
	t.Cleanup(func() { _ = stop() })
	return &attestor{a, stop}
}

func capture(i int) *concord.Capture {
	body := concord.Sum(fmt.Appendf(nil, "body %d", i))
	c := &concord.Capture{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), URL: fmt.Sprintf("https://example.com/page/%d", i),
		Time: time.Unix(1795320000+int64(i), 0), Status: 200, Raw: body, Record: concord.Sum(body[:])}
	if i%3 != 0 {
		c.Text, c.Profile = concord.Sum(fmt.Appendf(nil, "text %d", i)), "text-1"
	}
	return c
}

func appendCaptures(t testing.TB, log concord.Log, from, to int) {
	t.Helper()
	var msgs []concord.Message
	for i := from; i < to; i++ {
		data, err := (&concord.Event{Capture: capture(i)}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, concord.Message{Subject: concord.CaptureSubject(i % 4), ID: capture(i).ID, Data: data})
	}
	if _, err := log.Append(context.Background(), msgs...); err != nil {
		t.Fatal(err)
	}
}

// await waits for a receipt.
func await(t testing.TB, a *Attestor, id string) []byte {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		b, err := a.Receipt(context.Background(), id)
		if err == nil {
			return b
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func checkReceipt(t testing.TB, proof []byte, c *chain.Chain, want *concord.Capture) *receipt.Report {
	t.Helper()
	r, err := receipt.Verify(proof, []byte(c.Policy()), receipt.Options{URL: want.URL})
	if err != nil {
		t.Fatal(err)
	}
	if r.Raw != want.Raw || r.Text != want.Text || r.Record != want.Record || !r.Captured.Equal(want.Time) || r.Level != 1 || r.Operator != operator {
		t.Fatalf("receipt says %+v, the capture was %+v", r, want)
	}
	return r
}

func TestCapturesGetReceipts(t *testing.T) {
	dir := t.TempDir()
	c, log := startChain(t, dir), newMemoryLog()
	a := startAttestor(t, dir, log, c, 50*time.Millisecond, 64)
	const n = 300
	appendCaptures(t, log, 0, n)
	appendCaptures(t, log, 0, n) // the same again
	if _, err := log.Append(t.Context(), concord.Message{Subject: "capture.1", Data: []byte(`{"anchors":[{"url":"https://example.com/","text":"x"}]}`)}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		checkReceipt(t, await(t, a.Attestor, capture(i).ID), c, capture(i))
	}
	s := a.Stats()
	for end := time.Now().Add(5 * time.Second); s.Pending > 0 && time.Now().Before(end); s = a.Stats() { // a batch counts when that is on disk
		time.Sleep(time.Millisecond)
	}
	if s.Attested != n || s.Pending != 0 || s.Batches < n/64 {
		t.Errorf("stats: %+v", s)
	}
	if _, err := a.Receipt(t.Context(), "no such capture"); concord.KindOf(err) != concord.NotFound {
		t.Errorf("a capture that is not there: %v", err)
	}
	// The position reaches the message that has no capture.
	last, _ := log.Last(t.Context(), "capture.*")
	for end := time.Now().Add(5 * time.Second); a.Position() != last; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("position %d, the log ends at %d", a.Position(), last)
		}
	}
	// A second delivery after a restart does not attest again.
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	a = startAttestor(t, dir, log, c, 50*time.Millisecond, 64)
	if err := a.apply(log.msgs[:50]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond)
	if s := a.Stats(); s.Attested != n || s.Pending != 0 {
		t.Errorf("after a restart: %+v", s)
	}
}

// A capture has a promise before it has a receipt, of the same entry; any number of promises prove no lie.
func TestPromise(t *testing.T) {
	dir := t.TempDir()
	c, log := startChain(t, dir), newMemoryLog()
	keys := testKeys(t, dir)
	var notes [2][]byte
	for i := range notes {
		proof, err := Promise(capture(i), c, keys, operator)
		if err != nil {
			t.Fatal(err)
		}
		r, err := receipt.Verify(proof, []byte(c.Policy()), receipt.Options{URL: capture(i).URL})
		if err != nil || r.Level != 0 || r.Raw != capture(i).Raw || r.Text != capture(i).Text {
			t.Fatalf("%+v %v", r, err)
		}
		blocks := strings.SplitN(string(proof), "\n\n", 4)
		notes[i] = []byte(blocks[1] + "\n\n" + blocks[2] + "\n")
	}
	if bytes.Compare(notes[0], notes[1]) > 0 {
		notes[0], notes[1] = notes[1], notes[0]
	}
	for _, kind := range []string{"attest", "seal", "show"} {
		f := &ledger.FaultTx{Who: operator, Kind: kind, A: notes[0], B: notes[1]}
		if err := f.Check(&ledger.Admission{Operator: operator, Op: keys.Op.Key()}); err == nil {
			t.Errorf("two promises prove a fault of kind %s", kind)
		}
	}
	if _, err := c.Submit(t.Context(), notes[0]); err == nil {
		t.Error("the ledger takes a promise as a transaction")
	}
	a := startAttestor(t, dir, log, c, 50*time.Millisecond, 64)
	appendCaptures(t, log, 0, 1)
	proof, err := Promise(capture(0), c, keys, operator)
	if err != nil {
		t.Fatal(err)
	}
	later, err := receipt.Parse(await(t, a.Attestor, capture(0).ID))
	if err != nil || !strings.Contains(string(proof), "\n"+later.Entry.String()+"\n") {
		t.Errorf("the entry is another than the one promised: %v", err)
	}
	imported := capture(1)
	imported.Crawl = concord.ImportCrawl
	if _, err := Promise(imported, c, keys, operator); concord.KindOf(err) != concord.NotFound {
		t.Errorf("what is never attested is promised: %v", err)
	}
}

func TestOpenBatchSaysWhenToAsk(t *testing.T) {
	dir := t.TempDir()
	c, log := startChain(t, dir), newMemoryLog()
	a := startAttestor(t, dir, log, c, 5*time.Second, 0)
	appendCaptures(t, log, 0, 1)
	time.Sleep(100 * time.Millisecond)
	_, err := a.Receipt(t.Context(), capture(0).ID)
	if concord.KindOf(err) != concord.Unavailable || !strings.Contains(err.Error(), "in about 6 seconds") {
		t.Errorf("got %v", err)
	}
}

// faultyLedger fails at a chosen step of Submit, as a crash does.
type faultyLedger struct {
	*chain.Chain
	before, after atomic.Int32 // how many calls fail before, or after, the transaction is in the log
}

var errCrash = errors.New("crash")

func (f *faultyLedger) Submit(ctx context.Context, tx []byte) (uint64, error) {
	if f.before.Add(-1) >= 0 {
		return 0, errCrash
	}
	index, err := f.Chain.Submit(ctx, tx)
	if f.after.Add(-1) >= 0 {
		return 0, errCrash
	}
	return index, err
}

// Crashes before the store, between store and ledger, and between ledger and store: each capture is attested once.
func TestCrashBetweenSteps(t *testing.T) {
	dir := t.TempDir()
	c, log := startChain(t, dir), newMemoryLog()
	f := &faultyLedger{Chain: c}
	for round := range 6 {
		appendCaptures(t, log, round*10, round*10+10)
		switch round % 3 {
		case 0: // stopped while the batch is open: nothing is stored
			a := startAttestor(t, dir, log, f, time.Hour, 0)
			time.Sleep(20 * time.Millisecond)
			if err := a.stop(); err != nil {
				t.Fatal(err)
			}
		case 1:
			crash(t, dir, log, f, &f.before)
		case 2:
			crash(t, dir, log, f, &f.after)
		}
	}
	a := startAttestor(t, dir, log, f, time.Millisecond, 0)
	for i := range 60 {
		checkReceipt(t, await(t, a.Attestor, capture(i).ID), c, capture(i))
	}
	var counted, seq uint64
	list, err := c.Entries(0, chain.MaxEntries)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Type != "attest" {
			continue
		}
		text, _, _ := strings.Cut(e.Text, "\n\n")
		at, err := concord.ParseAttestation(text + "\n")
		if err != nil {
			t.Fatal(err)
		}
		counted += at.Count
		if seq++; at.Seq != seq {
			t.Errorf("entry %d has seq %d, want %d", e.Index, at.Seq, seq)
		}
	}
	if counted != 60 {
		t.Errorf("%d captures in the ledger, want 60", counted)
	}
}

func crash(t *testing.T, dir string, log concord.Log, f *faultyLedger, when *atomic.Int32) {
	t.Helper()
	when.Store(1)
	a, err := Open(Config{Dir: filepath.Join(dir, "attest"), Log: log, Ledger: f, Keys: testKeys(t, dir), Operator: operator, Window: time.Millisecond, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); !errors.Is(err, errCrash) {
		t.Fatalf("Run: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// A store that is newer than the ledger must not sign a second attestation for a seq.
func TestOlderLedgerIsRefused(t *testing.T) {
	dir := t.TempDir()
	c, log := startChain(t, dir), newMemoryLog()
	a := startAttestor(t, dir, log, c, time.Millisecond, 0)
	appendCaptures(t, log, 0, 5)
	await(t, a.Attestor, capture(0).ID)
	for a.Stats().Pending > 0 {
		time.Sleep(time.Millisecond)
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	b, err := Open(Config{Dir: filepath.Join(dir, "attest"), Log: log, Ledger: older{c}, Keys: testKeys(t, dir), Operator: operator, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Run(t.Context()); concord.KindOf(err) != concord.Conflict {
		t.Errorf("Run: %v", err)
	}
}

// older is a ledger that has forgotten the last attestation.
type older struct{ *chain.Chain }

func (o older) Next(name string) (uint64, concord.Digest, error) {
	seq, prev, err := o.Chain.Next(name)
	return seq - 1, prev, err
}

// A batch that was on its way when its chain came to an end goes to the next chain; what the old chain took stays there.
func TestNewChain(t *testing.T) {
	dir, log := t.TempDir(), newMemoryLog()
	first := startChain(t, dir)
	f := &faultyLedger{Chain: first}
	appendCaptures(t, log, 0, 5)
	a := startAttestor(t, dir, log, f, time.Millisecond, 0)
	await(t, a.Attestor, capture(0).ID)
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	appendCaptures(t, log, 5, 10)
	crash(t, dir, log, f, &f.before)
	time.Sleep(1100 * time.Millisecond) // another second, another genesis file
	second, err := chain.Open(chain.Config{Dir: filepath.Join(dir, "chain2"), Operator: operator, ChainName: "net-1", Keys: testKeys(t, dir), Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- second.Run(ctx) }()
	defer func() {
		cancel()
		if err := errors.Join(<-done, second.Close()); err != nil {
			t.Error(err)
		}
	}()
	b := startAttestor(t, dir, log, second, time.Millisecond, 0)
	defer b.stop()
	checkReceipt(t, await(t, b.Attestor, capture(7).ID), second, capture(7))
	if _, err := b.Receipt(t.Context(), capture(0).ID); concord.KindOf(err) != concord.NotFound || !strings.Contains(err.Error(), first.ID()) {
		t.Errorf("a capture of the old chain: %v", err)
	}
	_ = b.stop()
}

// A receipt is under the first head that covers its batch: later ones say less about when it was in the log.
func TestReceiptStaysUnderItsFirstCheckpoint(t *testing.T) {
	dir := t.TempDir()
	c, log := startChain(t, dir), newMemoryLog()
	a := startAttestor(t, dir, log, c, 20*time.Millisecond, 64)
	appendCaptures(t, log, 0, 1)
	first := await(t, a.Attestor, capture(0).ID)
	appendCaptures(t, log, 1, 2)
	await(t, a.Attestor, capture(1).ID)
	if again := await(t, a.Attestor, capture(0).ID); !bytes.Equal(first, again) {
		t.Errorf("the receipt changed from\n%s\nto\n%s", first, again)
	}
}

// A salt can be made again by the operator and by nobody else.
func TestSalts(t *testing.T) {
	a, b := testKeys(t, t.TempDir()), testKeys(t, t.TempDir())
	one := newSalter(a.Op).of("01234567-89ab-cdef-0123-456789abcdef")
	if again := newSalter(a.Op).of("01234567-89ab-cdef-0123-456789abcdef"); again != one {
		t.Error("the same key gives another salt")
	}
	if other := newSalter(a.Op).of("01234567-89ab-cdef-0123-456789abcdee"); other == one {
		t.Error("two captures have one salt")
	}
	if other := newSalter(b.Op).of("01234567-89ab-cdef-0123-456789abcdef"); other == one {
		t.Error("two keys give one salt")
	}
}

// Other transactions of the operator take the seq of an attestation that is on its way, before it leaves and after a
// crash: it is signed again under the next, put on record again, and its captures are attested once.
func TestAnotherTransactionTakesTheSeq(t *testing.T) {
	dir := t.TempDir()
	c, log := startChain(t, dir), newMemoryLog()
	keys := testKeys(t, dir)
	n := 0
	take := func() {
		seq, _, err := c.Next(operator)
		if err != nil {
			t.Error(err)
		}
		n++
		tx, err := ledger.Sign(&ledger.DocTx{Head: ledger.Head{Chain: c.ID(), From: operator, Seq: seq}, Digests: []concord.Digest{concord.Sum([]byte{byte(n)})}}, keys.Op)
		if err == nil {
			_, err = c.Submit(t.Context(), tx)
		}
		if err != nil {
			t.Error(err)
		}
	}
	var kept [][]string
	f := &takenLedger{Chain: c, take: take}
	keep := func(cfg *Config) {
		cfg.Keep = func(_ []byte, captures []string) error { kept = append(kept, captures); return nil }
	}
	f.times.Store(2)
	appendCaptures(t, log, 0, 10)
	a := startAttestor(t, dir, log, f, time.Millisecond, 0, keep)
	for i := range 10 {
		checkReceipt(t, await(t, a.Attestor, capture(i).ID), c, capture(i))
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	faulty := &faultyLedger{Chain: c}
	appendCaptures(t, log, 10, 20)
	crash(t, dir, log, faulty, &faulty.before)
	take()
	kept = nil
	a = startAttestor(t, dir, log, c, time.Millisecond, 0, keep)
	for i := range 20 {
		checkReceipt(t, await(t, a.Attestor, capture(i).ID), c, capture(i))
	}
	for end := time.Now().Add(5 * time.Second); a.Stats().Attested != 20; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v", a.Stats())
		}
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	if len(kept) == 0 || len(kept[0]) == 0 || kept[0][0] != capture(10).ID {
		t.Errorf("kept %v", kept)
	}
}

// A batch that was signed before the op key was changed is signed again, in the running attestor and after its end; receipts hold, and a
// rebuild finds the salts of each key.
func TestOpKeyIsChanged(t *testing.T) {
	dir := t.TempDir()
	keys := testKeys(t, dir)
	c, log := startChainOf(t, dir, keys), newMemoryLog()
	rotate := func() {
		was := keys.Op.Key()
		if _, err := c.Rotate("op"); err != nil {
			t.Error(err)
		}
		for end := time.Now().Add(10 * time.Second); keys.Op.Key() == was; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the key was not changed")
			}
		}
	}
	type batch struct {
		note     []byte
		captures []string
	}
	var kept []batch
	with := func(cfg *Config) {
		cfg.Keys = keys
		cfg.Keep = func(n []byte, captures []string) error { kept = append(kept, batch{n, captures}); return nil }
	}
	f := &takenLedger{Chain: c, take: rotate}
	f.times.Store(1)
	appendCaptures(t, log, 0, 10)
	a := startAttestor(t, dir, log, f, time.Millisecond, 0, with)
	for i := range 10 {
		checkReceipt(t, await(t, a.Attestor, capture(i).ID), c, capture(i))
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	if len(kept) < 2 {
		t.Errorf("%d batches were kept; the one that was signed again counts twice", len(kept))
	}
	faulty := &faultyLedger{Chain: c}
	appendCaptures(t, log, 10, 20)
	cfg := Config{Dir: filepath.Join(dir, "attest"), Log: log, Ledger: faulty, Operator: operator, Window: time.Millisecond, Logger: discard()}
	with(&cfg)
	faulty.before.Store(1)
	one, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(one.Run(t.Context()), one.Close()); err == nil {
		t.Fatal("it did not end")
	}
	rotate()
	a = startAttestor(t, dir, log, c, time.Millisecond, 0, with)
	for i := range 20 {
		checkReceipt(t, await(t, a.Attestor, capture(i).ID), c, capture(i))
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	r, err := NewRebuilder(RebuildConfig{Dir: filepath.Join(dir, "again"), Keys: testKeys(t, dir), Operator: operator, Chain: c.ID(), Lookup: c.Lookup, Next: c.Next,
		Capture: func(id string) (*concord.Capture, error) {
			for i := range 20 {
				if capture(i).ID == id {
					return capture(i), nil
				}
			}
			return nil, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, b := range kept {
		n, err := r.Add(b.note, b.captures)
		if err != nil {
			t.Fatal(err)
		}
		found += n
	}
	if err := r.Close(0); err != nil || found != 20 {
		t.Errorf("%d of 20 captures were found again: %v", found, err)
	}
}

// takenLedger lets something happen before the first transactions come into the log.
type takenLedger struct {
	*chain.Chain
	times atomic.Int32
	take  func()
}

func (f *takenLedger) Submit(ctx context.Context, tx []byte) (uint64, error) {
	if f.times.Add(-1) >= 0 {
		f.take()
	}
	return f.Chain.Submit(ctx, tx)
}

// The position of a message without a capture is on disk when it is told: the log is given back up to there. A copy of the files is what a kill leaves.
func TestPositionOutlivesKill(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	log := newMemoryLog()
	a := startAttestor(t, dir, log, startChain(t, dir), 20*time.Millisecond, 64)
	if _, err := log.Append(t.Context(), concord.Message{Subject: "capture.1", Data: []byte(`{"anchors":[{"url":"https://example.com/","text":"x"}]}`)}); err != nil {
		t.Fatal(err)
	}
	last, err := log.Last(t.Context(), "capture.*")
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); a.Position() != last; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("position %d, the log ends at %d", a.Position(), last)
		}
	}
	if err := os.CopyFS(killed, os.DirFS(filepath.Join(dir, "attest"))); err != nil {
		t.Fatal(err)
	}
	s, err := openStore(killed)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if got, err := s.position(); err != nil || got != last {
		t.Errorf("after a kill the position is %d (%v), before it was %d", got, err, last)
	}
}
