package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concord"
	"concord/attest"
	"concord/bus"
	"concord/chain"
	"concord/note"
	"concord/receipt"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
)

const ledgerOperatorName = "alice.example"

func operatorKeys(t testing.TB, dir string) *note.Keys {
	t.Helper()
	k, err := note.LoadOrCreateKeys(filepath.Join(dir, "keys"), ledgerOperatorName, ledgerOperatorName+"/net-1")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// runningChain is a chain that runs until the test ends.
func runningChain(t testing.TB, dir string) *chain.Chain {
	t.Helper()
	return runningChainOf(t, dir, operatorKeys(t, dir))
}

func runningChainOf(t testing.TB, dir string, keys *note.Keys) *chain.Chain {
	t.Helper()
	c, err := chain.Open(chain.Config{Dir: filepath.Join(dir, "chain"), Operator: ledgerOperatorName, ChainName: "net-1", Keys: keys, Logger: slog.New(slog.DiscardHandler)})
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

// attestNext puts an attestation of nothing in particular into a ledger.
func attestNext(t testing.TB, l attest.Ledger, k *note.Keys) (tx []byte, index uint64) {
	t.Helper()
	seq, prev, err := l.Next(ledgerOperatorName)
	if err != nil {
		t.Fatal(err)
	}
	tx = attestation(t, l.ID(), k, seq, prev)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if index, err = l.Submit(ctx, tx); err != nil {
		t.Fatal(err)
	}
	return tx, index
}

func attestation(t testing.TB, id string, k *note.Keys, seq uint64, prev concord.Digest) []byte {
	t.Helper()
	a := concord.Attestation{Chain: id, From: ledgerOperatorName, Seq: seq, Count: 1, Root: concord.Sum(fmt.Append(nil, seq)), First: 1, Last: 2, Prev: prev}
	b, err := note.Sign(a.String(), k.Op)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wire is the way from one node to the services of another, which can be away.
type wire interface {
	asker
	leave()
	back()
}

// direct hands questions to handlers in this process. With hang set nobody answers, else, away, nobody is there.
type direct struct {
	handlers map[string]handler
	gone     atomic.Bool
	hang     atomic.Bool
	asked    atomic.Int64
	largest  atomic.Int64 // answer, in bytes
}

func (d *direct) leave() { d.gone.Store(true) }
func (d *direct) back()  { d.gone.Store(false) }

func (d *direct) Ask(ctx context.Context, _, service string, data []byte) ([]byte, error) {
	d.asked.Add(1)
	if d.gone.Load() && d.hang.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if d.gone.Load() || d.handlers[service] == nil {
		return nil, concord.Errorf(concord.Unavailable, "nobody there has it")
	}
	answer, err := d.handlers[service](ctx, data)
	if d.gone.Load() { // it left with the question in hand
		return nil, concord.Errorf(concord.Unavailable, "no answer")
	}
	d.largest.Store(max(d.largest.Load(), int64(len(answer))))
	return answer, err
}

func (d *direct) AskAny(ctx context.Context, service string, data []byte) ([]byte, error) {
	return d.Ask(ctx, "", service, data)
}

// overBus offers handlers on one bus and asks on another, or on the same.
type overBus struct {
	*bus.Bus
	t        testing.TB
	server   *bus.Bus
	handlers map[string]handler
	stops    []func()
}

func (o *overBus) back() {
	for name, h := range o.handlers {
		stop, err := o.server.Serve(context.WithoutCancel(o.t.Context()), name, h)
		if err != nil {
			o.t.Fatal(err)
		}
		o.stops = append(o.stops, stop)
	}
}

func (o *overBus) leave() {
	for _, stop := range o.stops {
		stop()
	}
	o.stops = nil
}

func openBus(t testing.TB, cfg bus.Config) *bus.Bus {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	b, err := bus.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// onWires runs a test over handlers in the process, over a bus alone, and over two connections to a server.
func onWires(t *testing.T, test func(t *testing.T, connect func(handlers map[string]handler) wire)) {
	over := func(t *testing.T, client, server *bus.Bus, handlers map[string]handler) wire {
		o := &overBus{client, t, server, handlers, nil}
		o.back()
		t.Cleanup(o.leave)
		return o
	}
	t.Run("direct", func(t *testing.T) {
		test(t, func(handlers map[string]handler) wire { return &direct{handlers: handlers} })
	})
	t.Run("alone", func(t *testing.T) {
		test(t, func(handlers map[string]handler) wire {
			b := openBus(t, bus.Config{Dir: t.TempDir(), NodeName: "node-1"})
			return over(t, b, b, handlers)
		})
	})
	t.Run("two", func(t *testing.T) {
		test(t, func(handlers map[string]handler) wire {
			srv, err := server.NewServer(&server.Options{ServerName: "operator", Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true,
				StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: 8 << 20, JetStreamMaxStore: 16 << 30, JetStreamMaxMemory: 64 << 20})
			if err != nil {
				t.Fatal(err)
			}
			go srv.Start()
			t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
			if !srv.ReadyForConnections(10 * time.Second) {
				t.Fatal("the server does not start")
			}
			return over(t, openBus(t, bus.Config{URL: srv.ClientURL(), NodeName: "node-1", Replicas: 1}), openBus(t, bus.Config{URL: srv.ClientURL(), NodeName: "node-2", Replicas: 1}), handlers)
		})
	})
}

func openRemote(t testing.TB, to asker, file string) *remoteLedger {
	t.Helper()
	l, err := openRemoteLedger(t.Context(), to, file)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// result is what a method returned: an error by its kind and words.
func result(v any, err error) string {
	if err != nil {
		return fmt.Sprintf("%v: %v", concord.KindOf(err), err)
	}
	return fmt.Sprintf("%+v", v)
}

func TestRemoteLedgerReadsLikeTheLedger(t *testing.T) {
	dir := t.TempDir()
	c, keys := runningChain(t, dir), operatorKeys(t, dir)
	for range 3 {
		attestNext(t, c, keys)
	}
	onWires(t, func(t *testing.T, connect func(map[string]handler) wire) {
		r := openRemote(t, connect(ledgerServices(c)), "")
		tx, index := attestNext(t, r, keys)
		if again, err := r.Submit(t.Context(), tx); err != nil || again != index {
			t.Errorf("the same bytes again: index %d, %v; want %d", again, err, index)
		}
		if size := r.Checkpoint().Size; size <= index {
			t.Errorf("the checkpoint after a submit covers %d entries, not entry %d", size, index)
		}
		time.Sleep(50 * time.Millisecond) // the block after it has come
		allAttested(t, c)
		reads := map[string]func(l ledgerReader) string{
			"id":      func(l ledgerReader) string { return l.ID() + l.Policy() + l.Founded().String() },
			"members": func(l ledgerReader) string { return fmt.Sprint(l.Members()) },
			"status": func(l ledgerReader) string {
				s := l.Status()
				return fmt.Sprint(s.Chain, s.Origin, s.Running, s.Halted, s.Size, s.Root, s.Members)
			},
			"checkpoint": func(l ledgerReader) string { return fmt.Sprintf("%+v", l.Checkpoint()) },
		}
		for _, op := range []string{ledgerOperatorName, "bob.example", strings.Repeat("x", 300)} {
			reads["next of "+op] = func(l ledgerReader) string { seq, prev, err := l.Next(op); return result([]any{seq, prev}, err) }
			reads["admission of "+op] = func(l ledgerReader) string { b, err := l.Admission(op, l.Status().Size); return result(b, err) }
		}
		size := c.Checkpoint().Size
		for _, i := range []uint64{0, 1, index, size - 1, size, 1 << 40} {
			reads[fmt.Sprint("entry ", i)] = func(l ledgerReader) string { e, err := l.Entry(i); return result(e, err) }
			reads[fmt.Sprint("entries ", i)] = func(l ledgerReader) string { e, err := l.Entries(i, 3); return result(e, err) }
			reads[fmt.Sprint("covering ", i)] = func(l ledgerReader) string { e, err := l.Covering(i); return result(e, err) }
			reads[fmt.Sprint("proof ", i)] = func(l ledgerReader) string { e, err := l.Proof(i, size); return result(e, err) }
			reads[fmt.Sprint("block ", i)] = func(l ledgerReader) string { b, err := l.Block(int64(i)); return result(b, err) }
			reads[fmt.Sprint("found below ", i)] = func(l ledgerReader) string {
				e, err := l.Find(concord.LedgerTerm{Kind: concord.TermOperator, Value: ledgerOperatorName}, i, 2)
				return result(e, err)
			}
			reads[fmt.Sprint("checkpoints ", i)] = func(l ledgerReader) string { e, err := l.Checkpoints(i, 2); return result(e, err) }
		}
		for _, w := range []int{-1, 0, 1, int(size), 256, 300} {
			reads[fmt.Sprint("tile ", w)] = func(l ledgerReader) string { b, err := l.HashTile(0, 0, w); return result(b, err) }
			reads[fmt.Sprint("bundle ", w)] = func(l ledgerReader) string { b, err := l.EntryBundle(0, w); return result(b, err) }
		}
		for _, bad := range [][]byte{nil, []byte("nonsense"), attestation(t, c.ID(), keys, 1, concord.Digest{1}), attestation(t, "net-9:123456789012", keys, 9, concord.Digest{})} {
			reads[fmt.Sprintf("submit %.80q", bad)] = func(l ledgerReader) string { i, err := l.Submit(t.Context(), bad); return result(i, err) }
		}
		for kind, tx := range map[concord.Kind][]byte{concord.Invalid: []byte("nonsense"), concord.Conflict: attestation(t, c.ID(), keys, 1, concord.Digest{1})} {
			if _, err := r.Submit(t.Context(), tx); concord.KindOf(err) != kind {
				t.Errorf("what the chain calls %v came as %v: %v", kind, concord.KindOf(err), err)
			}
		}
		for name, read := range reads {
			for _, time := range []string{"first", "second"} { // the second time of memory
				if diff := cmp.Diff(read(c), read(r)); diff != "" {
					t.Errorf("%s, the %s time: -there +here\n%s", name, time, diff)
				}
			}
		}
	})
}

// allAttested waits until all entries are under a checkpoint and no block is under way.
func allAttested(t testing.TB, c *chain.Chain) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		before := c.Status()
		time.Sleep(ledgerFresh + 100*time.Millisecond)
		if after := c.Status(); before.Height == after.Height && after.Size == c.Checkpoint().Size {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the chain does not come to rest")
		}
	}
}

// What is above a message is read in parts.
func TestRemoteLedgerReadsInParts(t *testing.T) {
	t.Parallel()
	entries := make([]concord.LedgerEntry, chain.MaxEntries)
	points := make([]concord.Checkpoint, 300)
	for i := range entries {
		entries[i] = concord.LedgerEntry{Index: uint64(i), Type: "attest", Text: strings.Repeat("\x01<é\n", 100+i*13%5000)}
	}
	for i := range points {
		points[i] = concord.Checkpoint{Size: uint64(len(points) - i), Note: strings.Repeat("n", 30_000)}
	}
	bundle := bytes.Repeat([]byte("0123456789abcdef-"), 500_000)
	c := runningChain(t, t.TempDir())
	d := &direct{handlers: ledgerServices(c)}
	d.handlers[ledgerEntriesService] = tells(c, func(_ context.Context, q ledgerSpan) (any, error) {
		return fitting(entries[q.From:min(int(q.From)+q.Count, len(entries))], nil)
	})
	d.handlers[ledgerCheckpointsService] = tells(c, func(_ context.Context, q ledgerSpan) (any, error) {
		list := points
		if q.From > 0 {
			list = points[len(points)-int(q.From):]
		}
		return fitting(list[:min(q.Count, len(list))], nil)
	})
	d.handlers[ledgerBundleService] = tells(c, func(_ context.Context, q ledgerTile) (any, error) { return pieceOf(bundle, q.From), nil })
	r := openRemote(t, d, "")
	if got, err := r.Entries(3, chain.MaxEntries); err != nil || !reflect.DeepEqual(got, entries[3:]) {
		t.Errorf("%d entries, %v", len(got), err)
	}
	if got, err := r.Entries(900, 10); err != nil || !reflect.DeepEqual(got, entries[900:910]) {
		t.Errorf("%d entries, %v", len(got), err)
	}
	for _, n := range []int{1, 200, 300, 5000} {
		if got, err := r.Checkpoints(0, n); err != nil || !reflect.DeepEqual(got, points[:min(n, len(points))]) {
			t.Errorf("%d of %d checkpoints, %v", len(got), n, err)
		}
	}
	if got, err := r.EntryBundle(0, 256); err != nil || !bytes.Equal(got, bundle) {
		t.Errorf("a bundle of %d bytes, %v", len(got), err)
	}
	if d.asked.Load() < 15 || d.largest.Load() > bus.MaxMessageBytes {
		t.Errorf("%d questions, an answer of %d bytes", d.asked.Load(), d.largest.Load())
	}
}

func TestRemoteLedgerAsksOnce(t *testing.T) {
	dir := t.TempDir()
	c := runningChain(t, dir)
	_, index := attestNext(t, c, operatorKeys(t, dir))
	d := &direct{handlers: ledgerServices(c)}
	r := openRemote(t, d, "")
	questions := func(n int64, what string, do func()) {
		t.Helper()
		before := d.asked.Load()
		do()
		if got := d.asked.Load() - before; got != n {
			t.Errorf("%s: %d questions, want %d", what, got, n)
		}
	}
	size := c.Checkpoint().Size
	questions(6, "what never changes, three times", func() {
		for range 3 {
			_, err1 := r.Entry(index)
			_, err2 := r.Proof(index, size)
			_, err3 := r.Covering(index)
			_, err4 := r.Admission(ledgerOperatorName, index)
			_, err5 := r.HashTile(0, 0, 1)
			_, err6 := r.EntryBundle(0, 1)
			if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
				t.Error(err)
			}
			r.mu.Lock()
			r.at = time.Now() // it stays fresh
			r.mu.Unlock()
		}
	})
	questions(0, "what is fresh", func() {
		r.Checkpoint()
		r.Status()
		r.Members()
		r.Policy()
		r.Founded()
		r.ID()
	})
	questions(2, "an error, twice", func() { _, _ = r.Entry(1 << 30); _, _ = r.Entry(1 << 30) })
	time.Sleep(ledgerFresh + 50*time.Millisecond)
	questions(1, "what was fresh", func() { r.Checkpoint(); r.Status() })

	var k keptAnswers
	for i := range 3 * maxKeptBytes / maxKeptAnswer {
		k.put(fmt.Sprint(i), make([]byte, maxKeptAnswer-200))
		k.put("too large", make([]byte, maxKeptAnswer))
		if _, ok := k.get(fmt.Sprint(i)); !ok || k.bytes > maxKeptBytes || k.bytes < len(k.byKey)*(maxKeptAnswer-200) {
			t.Fatalf("after %d: kept %v, %d bytes in %d", i, ok, k.bytes, len(k.byKey))
		}
	}
	if _, ok := k.get("too large"); ok {
		t.Error("what is too large was kept")
	}
}

// What was being asked when a transaction came in, and is answered late, is not taken for what was asked after it.
func TestRemoteLedgerKnowsWhatItSubmitted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, keys := runningChain(t, dir), operatorKeys(t, dir)
	handlers := ledgerServices(c)
	about, answered, release := handlers[ledgerAboutService], make(chan struct{}, 1), make(chan struct{})
	var late atomic.Bool
	handlers[ledgerAboutService] = func(ctx context.Context, data []byte) ([]byte, error) {
		answer, err := about(ctx, data)
		if late.CompareAndSwap(true, false) {
			answered <- struct{}{}
			<-release
		}
		return answer, err
	}
	r := openRemote(t, &direct{handlers: handlers}, "")
	time.Sleep(ledgerFresh)
	late.Store(true)
	asked := make(chan struct{})
	go func() {
		r.Status()
		close(asked)
	}()
	<-answered
	_, index := attestNext(t, r, keys)
	size := r.Checkpoint().Size
	close(release)
	<-asked
	time.Sleep(10 * time.Millisecond)
	if again := r.Checkpoint().Size; size <= index || again <= index {
		t.Errorf("after a submit the checkpoint covers %d entries, then %d, and not entry %d", size, again, index)
	}
}

// While nobody answers every read ends soon, the first of a page within seconds and the rest at once.
func TestRemoteLedgerAbsence(t *testing.T) {
	for _, hang := range []bool{false, true} {
		t.Run(fmt.Sprintf("hang=%v", hang), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := runningChain(t, dir)
			tx, index := attestNext(t, c, operatorKeys(t, dir))
			d := &direct{handlers: ledgerServices(c)}
			d.hang.Store(hang)
			r := openRemote(t, d, "")
			if _, err := r.Entry(index); err != nil {
				t.Fatal(err)
			}
			d.leave()
			time.Sleep(ledgerFresh)
			start := time.Now()
			if st := r.Status(); st.Running || st.Halted != "" || st.Chain != c.ID() || st.Size <= index {
				t.Errorf("status while nobody answers: %+v", st)
			}
			if took := time.Since(start); took > ledgerAskTime/2 {
				t.Errorf("what is known was waited for, for %v", took)
			}
			if cp := r.Checkpoint(); cp.Size <= index || r.ID() != c.ID() || r.Policy() != c.Policy() || len(r.Members()) != 1 || !r.Founded().Equal(c.Founded()) {
				t.Errorf("what was known is not known any more: %+v", cp)
			}
			_, _, err1 := r.Next(ledgerOperatorName)
			_, err2 := r.Entries(0, 10)
			_, err3 := r.Checkpoints(0, 6)
			_, err4 := r.Proof(0, 1)
			_, err5 := r.HashTile(0, 0, 1)
			_, err6 := r.EntryBundle(0, 1)
			for i, err := range []error{err1, err2, err3, err4, err5, err6} {
				if concord.KindOf(err) != concord.Unavailable || !strings.Contains(err.Error(), "the node that keeps the ledger does not answer") {
					t.Errorf("read %d: %v", i+1, err)
				}
			}
			if e, err := r.Entry(index); err != nil || e.Text != string(tx) {
				t.Errorf("an entry that was read before: %v", err)
			}
			if took := time.Since(start); took > ledgerAskTime+time.Second {
				t.Errorf("all of it took %v", took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if _, err := r.Submit(ctx, tx); concord.KindOf(err) != concord.Unavailable {
				t.Errorf("submit: %v", err)
			}
			d.back()
			if again, err := r.Submit(t.Context(), tx); err != nil || again != index { // it does not wait for the end of a pause
				t.Errorf("submit when the ledger is back: %d, %v", again, err)
			}
			if !r.Status().Running {
				t.Error("the ledger is back, and does not run")
			}
			if _, err := r.Entries(0, 10); err != nil {
				t.Error(err)
			}
		})
	}
}

// A validator that stops says so on its way, which must not make other nodes unready.
func TestRemoteLedgerOfAStoppedChain(t *testing.T) {
	dir := t.TempDir()
	c, err := chain.Open(chain.Config{Dir: dir, Operator: ledgerOperatorName, ChainName: "net-1", Keys: operatorKeys(t, dir), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	r := openRemote(t, &direct{handlers: ledgerServices(c)}, "")
	if c.Status().Halted == "" {
		t.Fatal("it is not halted there")
	}
	if st := r.Status(); st.Halted != "" || st.Running {
		t.Errorf("%+v", st)
	}
	if _, err := r.Submit(t.Context(), attestation(t, c.ID(), operatorKeys(t, dir), 1, concord.Digest{})); concord.KindOf(err) != concord.Unavailable || !strings.Contains(err.Error(), "was stopped") {
		t.Errorf("submit: %v", err)
	}
}

// A transaction waits longer than one question does, for as long as who submits it allows.
func TestRemoteLedgerSubmitWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys := operatorKeys(t, dir)
	c, err := chain.Open(chain.Config{Dir: dir, Operator: ledgerOperatorName, ChainName: "net-1", Keys: keys, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d := &direct{handlers: ledgerServices(c)}
	r := openRemote(t, d, "")
	_, prev, err := r.Next(ledgerOperatorName)
	if err != nil {
		t.Fatal(err)
	}
	tx := attestation(t, c.ID(), keys, 1, prev)
	before := d.asked.Load()
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := r.Submit(short, tx); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("who allows little: %v", err)
	}
	type place struct {
		index uint64
		err   error
	}
	submitted := make(chan place, 1)
	go func() {
		index, err := r.Submit(t.Context(), tx)
		submitted <- place{index, err}
	}()
	time.Sleep(submitTurn + 500*time.Millisecond)
	if n := d.asked.Load() - before; n != 3 || c.Status().Waiting != 1 {
		t.Errorf("%d questions, want 3; %d wait, want 1", n, c.Status().Waiting)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	if p := <-submitted; p.err != nil || c.Checkpoint().Size <= p.index {
		t.Errorf("%+v", p)
	}
	stop()
	if err := errors.Join(<-done, c.Close()); err != nil {
		t.Error(err)
	}
}

func TestRemoteLedgerIsRemembered(t *testing.T) {
	t.Parallel()
	c, other := runningChain(t, t.TempDir()), runningChain(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "ledger.json")
	d := &direct{handlers: ledgerServices(c)}
	d.leave()
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	if _, err := openRemoteLedger(ctx, d, file); concord.KindOf(err) != concord.Unavailable || d.asked.Load() < 2 {
		t.Fatalf("nobody knows the ledger: %v after %d questions", err, d.asked.Load())
	}
	d.back()
	openRemote(t, d, file)
	d.leave()
	r := openRemote(t, d, file)
	if r.ID() != c.ID() || r.Policy() != c.Policy() || r.Status().Running {
		t.Errorf("remembered: %s, %+v", r.ID(), r.Status())
	}
	d.handlers = ledgerServices(other)
	d.back()
	time.Sleep(ledgerPause)
	if _, _, err := r.Next(ledgerOperatorName); concord.KindOf(err) != concord.Conflict || !strings.Contains(err.Error(), other.ID()) {
		t.Errorf("another chain: %v", err)
	}
	if r.ID() != c.ID() || r.Policy() != c.Policy() || r.Status().Running {
		t.Errorf("another chain was believed")
	}
	if r := openRemote(t, d, file); r.ID() != other.ID() {
		t.Errorf("after a new start: %s, want %s", r.ID(), other.ID())
	}
	d.leave()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openRemoteLedger(t.Context(), d, file); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("a damaged memory: %v", err)
	}
	d.back()
	openRemote(t, d, file)
}

// The attestor runs on another node than the validator, which goes away with captures on their way, and comes back.
func TestAttestorElsewhere(t *testing.T) {
	onWires(t, func(t *testing.T, connect func(map[string]handler) wire) {
		t.Parallel()
		dir := t.TempDir()
		c, keys := runningChain(t, dir), operatorKeys(t, dir)
		w := connect(ledgerServices(c))
		r := openRemote(t, w, "")
		log, err := openBus(t, bus.Config{Dir: t.TempDir(), NodeName: "node-3"}).Log(t.Context(), "CAPTURES", "capture.*")
		if err != nil {
			t.Fatal(err)
		}
		quiet := slog.New(slog.DiscardHandler)
		a, err := attest.Open(attest.Config{Dir: filepath.Join(dir, "attest"), Log: log, Ledger: r, Keys: keys, Operator: ledgerOperatorName, Window: 20 * time.Millisecond, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := errors.Join(<-done, a.Close()); err != nil {
				t.Error(err)
			}
		})
		attested := func(from, to int) {
			t.Helper()
			for i := from; i < to; i++ {
				cp := ledgerCapture(i)
				rep, err := receipt.Verify(awaitReceipt(t, a, cp.ID), []byte(c.Policy()), receipt.Options{URL: cp.URL})
				if err != nil {
					t.Fatalf("receipt of %s: %v", cp.ID, err)
				}
				if e, err := c.Entry(rep.Index); err != nil || e.From != ledgerOperatorName {
					t.Fatalf("the receipt of %s names entry %d: %+v, %v", cp.ID, rep.Index, e, err)
				}
			}
		}
		appendLedgerCaptures(t, log, 0, 20)
		attested(0, 20)
		w.leave()
		appendLedgerCaptures(t, log, 20, 30) // no batch can be begun
		time.Sleep(1500 * time.Millisecond)
		select {
		case err := <-done:
			done <- nil
			t.Fatalf("the attestor ended: %v", err)
		default:
		}
		if b, err := a.Receipt(t.Context(), ledgerCapture(3).ID); err != nil || len(b) == 0 {
			t.Errorf("a receipt that was had before, while the ledger is away: %v", err)
		}
		w.back()
		attested(20, 30)
		for i := 30; i < 60; i += 10 { // goes at any moment: a batch may be on its way, or in and unanswered
			appendLedgerCaptures(t, log, i, i+10)
			time.Sleep(time.Duration(i) * time.Millisecond)
			w.leave()
			time.Sleep(100 * time.Millisecond)
			w.back()
			attested(i, i+10)
		}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // it counts a batch when that is on disk, a moment after its receipts
			if s := a.Stats(); s.Attested == 60 && s.Pending == 0 {
				break
			} else if time.Now().After(end) {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func ledgerCapture(i int) *concord.Capture {
	body := concord.Sum(fmt.Appendf(nil, "body %d", i))
	return &concord.Capture{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), URL: fmt.Sprintf("https://example.com/page/%d", i),
		Time: time.Unix(1795320000+int64(i), 0), Status: 200, Raw: body, Record: concord.Sum(body[:])}
}

func appendLedgerCaptures(t testing.TB, log concord.Log, from, to int) {
	t.Helper()
	var msgs []concord.Message
	for i := from; i < to; i++ {
		data, err := (&concord.Event{Capture: ledgerCapture(i)}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, concord.Message{Subject: concord.CaptureSubject(i % 4), ID: ledgerCapture(i).ID, Data: data})
	}
	if _, err := log.Append(t.Context(), msgs...); err != nil {
		t.Fatal(err)
	}
}

func awaitReceipt(t testing.TB, a *attest.Attestor, id string) []byte {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		b, err := a.Receipt(t.Context(), id)
		if err == nil {
			return b
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
