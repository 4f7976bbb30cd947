package chain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/p2p"

	"concord"
	"concord/ledger"
	"concord/note"
)

// Transactions wait and no block comes: Run gives up and says so.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	cfg.StallAfter = 200 * time.Millisecond
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tx, _ := attestation(t, c, cfg.Keys, 1, concord.Digest{})
	if _, err := c.waiters.add(ledger.LeafHash(tx), tx); err != nil { // waited for, but never given to the mempool
		t.Fatal(err)
	}
	if err := c.Run(ctx); err == nil || !strings.Contains(err.Error(), "no block came") {
		t.Errorf("Run: %v", err)
	}
	if s := c.Status(); s.Halted == "" || s.Running {
		t.Errorf("status: %+v", s)
	}
}

// A clock that was set back makes the chain wait, and does not end it.
func TestWatchdogKnowsClocks(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	cfg.StallAfter = time.Millisecond
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tx, _ := attestation(t, c, cfg.Keys, 1, concord.Digest{})
	if _, err := c.waiters.add(ledger.LeafHash(tx), tx); err != nil {
		t.Fatal(err)
	}
	long := stall{c.Status().Height, time.Now().Add(-time.Minute)}
	last := c.last.Load()
	c.last.Store(time.Now().Add(time.Hour).UnixNano())
	if s := long; c.watch(&s) != nil || time.Since(s.since) > time.Second {
		t.Errorf("with the last block an hour ahead: %+v", s)
	}
	c.last.Store(last)
	if s := long; c.watch(&s) == nil {
		t.Error("nothing is noticed with a clock that is right")
	}
}

// A transaction that waits for one before it is no reason to give up.
func TestWatchdogLeavesGapsAlone(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	cfg.StallAfter = 100 * time.Millisecond
	c := start(t, cfg)
	ahead, _ := attestation(t, c.Chain, cfg.Keys, 5, concord.Digest{})
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	if _, err := c.Submit(ctx, ahead); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("Submit: %v", err)
	}
	if s := c.Status(); s.Halted != "" {
		t.Errorf("the chain stopped: %s", s.Halted)
	}
}

// A fault inside consensus ends Run; CometBFT alone would live on without consensus.
func TestFaultEndsRun(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(c *Chain){
		"error in the application": func(c *Chain) { _, _ = (&app{c: c}).Commit(context.Background(), nil) },
		"panic in the application": func(c *Chain) { _, _ = (&app{c: c}).FinalizeBlock(context.Background(), nil) },
		"consensus failure":        func(c *Chain) { logger{c, c.cfg.Logger}.Error(consensusFailure, "err", "boom", "stack", "…") },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t, t.TempDir())
			c, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			done := make(chan error, 1)
			go func() { done <- c.Run(context.Background()) }()
			submitNext(t, c, cfg.Keys)
			fault(c)
			select {
			case err := <-done:
				if err == nil {
					t.Error("Run returned nil")
				}
			case <-time.After(5 * time.Second):
				t.Fatal("Run goes on")
			}
			if _, err := c.Submit(context.Background(), []byte("x")); err == nil {
				t.Error("Submit to a chain that stopped")
			}
		})
	}
}

func TestSubmitErrors(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	c := start(t, cfg)
	first, _ := submitNext(t, c.Chain, cfg.Keys)
	_, prev, err := c.Next(testOperator)
	if err != nil {
		t.Fatal(err)
	}
	a, err := concord.ParseAttestation(string(first[:strings.Index(string(first), "\n\n")+1]))
	if err != nil {
		t.Fatal(err)
	}
	a.Count = 9
	taken, err := note.Sign(a.String(), cfg.Keys.Op)
	if err != nil {
		t.Fatal(err)
	}
	far, _ := attestation(t, c.Chain, cfg.Keys, 2+ledger.SeqWindow+5, prev)
	for name, x := range map[string]struct {
		tx   []byte
		kind concord.Kind
	}{
		"no transaction": {[]byte("hello"), concord.Invalid}, "empty": {nil, concord.Invalid}, "seq taken": {taken, concord.Conflict},
		"too far ahead": {far, concord.Unavailable}, "too long": {make([]byte, 70_000), concord.Invalid},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if _, err := c.Submit(ctx, x.tx); concord.KindOf(err) != x.kind {
			t.Errorf("%s: %v of kind %v; want %v", name, err, concord.KindOf(err), x.kind)
		}
		cancel()
	}
	// One ahead: waits, and its turn comes with the one before it.
	next, root := attestation(t, c.Chain, cfg.Keys, 2, prev)
	after, _ := attestation(t, c.Chain, cfg.Keys, 3, root)
	done := make(chan error, 1)
	go func() { _, err := c.Submit(t.Context(), after); done <- err }()
	time.Sleep(50 * time.Millisecond)
	if _, err := c.Submit(t.Context(), next); err != nil {
		t.Error(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the transaction that was ahead never came in")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late, _ := attestation(t, c.Chain, cfg.Keys, 40, root)
	if _, err := c.Submit(ctx, late); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("after the end of its context: %v", err)
	}
	if n := c.Status().Waiting; n != 0 {
		t.Errorf("%d callers still wait", n)
	}
}

// A burst of transactions, submitted at once and out of order, comes in whole; the same bytes from many callers once.
func TestConcurrentSubmit(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	c := start(t, cfg)
	var txs [][]byte
	var prev concord.Digest
	for seq := uint64(1); seq <= ledger.SeqWindow; seq++ {
		var tx []byte
		tx, prev = attestation(t, c.Chain, cfg.Keys, seq, prev)
		txs = append(txs, tx)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	index := map[uint64]string{}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 3 * len(txs) {
		wg.Go(func() {
			tx := txs[len(txs)-1-i%len(txs)]
			n, err := c.Submit(ctx, tx)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if have, ok := index[n]; ok && have != string(tx) {
				t.Errorf("two transactions at index %d", n)
			}
			index[n] = string(tx)
		})
	}
	wg.Wait()
	if len(index) != len(txs) {
		t.Errorf("%d indexes for %d transactions", len(index), len(txs))
	}
}

// The peer filter lets members in and nobody else.
func TestPeerFilter(t *testing.T) {
	c, err := Open(testConfig(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a := &app{c: c}
	me := c.machine.Load().State().Member(testOperator).Node
	for path, ok := range map[string]bool{"/p2p/filter/id/" + me: true, "/p2p/filter/id/" + strings.Repeat("0", 40): false, "/p2p/filter/id/": false,
		"/p2p/filter/addr/127.0.0.1:1": true, "/other": false} {
		r, err := a.Query(t.Context(), &abci.RequestQuery{Path: path})
		if err != nil || (r.Code == codeOK) != ok {
			t.Errorf("%s: code %d, %v", path, r.Code, err)
		}
	}
}

// One byte changed in the middle of each file of consensus and of the log: an error or a chain whose log replays, never
// the end of the process and never another history.
func TestFlippedBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := testConfig(t, dir)
	c := start(t, cfg)
	var leaves []concord.Digest
	for range 3 {
		tx, _ := submitNext(t, c.Chain, cfg.Keys)
		leaves = append(leaves, ledger.LeafHash(tx))
	}
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	var files []string
	err := filepath.WalkDir(cfg.Dir, func(p string, d fs.DirEntry, err error) error {
		if info, e := d.Info(); err == nil && e == nil && !d.IsDir() && info.Size() > 0 {
			rel, _ := filepath.Rel(cfg.Dir, p)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i, f := range files {
		bad := cfg
		bad.Dir = filepath.Join(dir, "copy", string(rune('a'+i)))
		if err := os.CopyFS(bad.Dir, os.DirFS(cfg.Dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filesOf(bad.Dir).consKey, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(bad.Dir, f))
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 0x10
		if err := os.WriteFile(filepath.Join(bad.Dir, f), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := tryChain(t, bad, leaves); err != nil {
			refused++
			if concord.KindOf(err) == concord.Internal {
				t.Errorf("%s: an error of no kind: %v", f, err)
			}
			t.Logf("%s: %s", f, concord.Clip(err.Error(), 150))
		} else {
			t.Logf("%s: runs", f)
		}
	}
	// Every character of the keys' halves counts: a key that signs wrongly would be found only when it is too late.
	for _, f := range []string{filesOf(cfg.Dir).consKey, filesOf(cfg.Dir).nodeKey} {
		good, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.LastIndex(string(good), `"value"`) + 12
		for i := at; i < at+80; i += 7 {
			bad := append([]byte(nil), good...)
			if bad[i] = 'A'; good[i] == 'A' {
				bad[i] = 'B'
			}
			if err := os.WriteFile(f, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			_, pvErr := loadValidator(filesOf(cfg.Dir))
			_, nodeErr := loadNodeKey(filesOf(cfg.Dir))
			if pvErr == nil && nodeErr == nil {
				t.Errorf("%s: byte %d changed, and the key was loaded", filepath.Base(f), i)
			}
		}
		if err := os.WriteFile(f, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if refused < 5 {
		t.Errorf("%d of %d damaged chains refused to run", refused, len(files))
	}
}

// damagedDir is set in the environment of a test binary that is to run a damaged chain briefly. What such a chain leaves running ends with the process.
const damagedDir = "CONCORD_CHAIN_TEST_DAMAGED"

func init() { children[damagedDir] = damagedChild }

// damagedChild says that the chain refuses, or how many entries it has.
func damagedChild(dir string) {
	t := new(testing.T)
	cfg := testConfig(t, filepath.Dir(filepath.Dir(dir)))
	cfg.Dir = dir
	if err := tryChain(t, cfg, nil); err != nil {
		fmt.Printf("refuses, %v: %s", concord.KindOf(err), strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(0)
	}
	c, err := Open(cfg)
	if err != nil {
		fmt.Println("opened once: ", err)
		os.Exit(1)
	}
	fmt.Printf("runs, %d entries", c.Status().Size)
	os.Exit(0)
}

// Wherever a table of consensus is damaged, the chain refuses or does not read that place; the process never ends with it.
func TestDamagedTables(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Skipf("SKIPPED: no path of the test binary to start it anew (%v); no damaged chain was run: run this test on Linux", err)
	}
	dir := t.TempDir()
	cfg := testConfig(t, dir)
	for range 3 { // goleveldb writes its log into a table when it is opened the next time
		c := start(t, cfg)
		for range 3 {
			submitNext(t, c.Chain, cfg.Keys)
		}
		if err := c.stop(); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	runs := fmt.Sprintf("runs, %d entries", c.Status().Size)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(cfg.Dir, "engine", "data", "*.db", "*.ldb"))
	if err != nil || len(tables) < 4 {
		t.Fatalf("%d tables: %v", len(tables), err)
	}
	const places = 5
	tried, refused := 0, 0
	for _, table := range tables {
		rel, _ := filepath.Rel(cfg.Dir, table)
		for place := range places {
			bad := filepath.Join(dir, "copy", strconv.Itoa(tried))
			if err := os.CopyFS(bad, os.DirFS(cfg.Dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filesOf(bad).consKey, 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(bad, rel))
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)*(2*place+1)/(2*places)] ^= 0x10
			if err := os.WriteFile(filepath.Join(bad, rel), b, 0o600); err != nil {
				t.Fatal(err)
			}
			tried++
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), damagedDir+"="+bad)
			out, err := cmd.CombinedOutput()
			switch said := string(out); {
			case err == nil && said == runs:
			case err == nil && strings.HasPrefix(said, fmt.Sprintf("refuses, %v: ", concord.Corrupt)) && (strings.Contains(said, filepath.Join("engine", "data")) || strings.Contains(said, filepath.Base(rel))):
				refused++
			default:
				t.Errorf("%s, place %d: %v: %s", rel, place, err, said)
			}
		}
	}
	t.Logf("%d of %d damaged chains refused to run", refused, tried)
	if refused == 0 {
		t.Error("no damage was noticed")
	}
}

// reader is a reactor that reads in a goroutine of its own while it is started.
type reader struct {
	*p2p.BaseReactor
	read func()
}

func (r reader) OnStart() error {
	done := make(chan struct{})
	go func() { defer close(done); r.read() }()
	<-done
	return nil
}

// unreadable is a database whose disk gives nothing back any more.
type unreadable struct{ dbm.DB }

func (unreadable) Get([]byte) ([]byte, error) { return nil, errUnreadable }
func (unreadable) Has([]byte) (bool, error)   { return false, errUnreadable }

var errUnreadable = errors.New("input/output error")

// What cannot be read while one part of consensus runs and another still starts does not end the process, and is named.
func TestUnreadableWhileStarting(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	c := start(t, cfg)
	submitNext(t, c.Chain, cfg.Keys)
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	e, err := newEngine(again)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range e.dbs { // without its other stores its start itself would fail
		if filepath.Base(d.dir) == "blockstore.db" {
			d.DB = unreadable{d.DB}
		}
	}
	ran := false
	r := reader{read: func() {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("a goroutine panics: %v", p)
			}
		}()
		for h := range e.node.BlockStore().Height() {
			e.node.BlockStore().LoadBlock(h + 1)
		}
		ran = true
	}}
	r.BaseReactor = p2p.NewBaseReactor("READER", &r)
	e.node.Switch().AddReactor("READER", r)
	if err := e.start(); err != nil || !ran {
		t.Errorf("start: %v, all blocks were read: %t", err, ran)
	}
	if err := again.failure(); concord.KindOf(err) != concord.Corrupt || !strings.Contains(err.Error(), filepath.Join(cfg.Dir, "engine", "data")) {
		t.Errorf("the chain fails with %v", err)
	}
	if err := e.stop(); err != nil {
		t.Error(err)
	}
}

// tryChain runs a chain briefly; one that runs must still have everything.
func tryChain(t *testing.T, cfg Config, leaves []concord.Digest) error {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
	defer cancel()
	if err := c.Run(ctx); err != nil {
		return err
	}
	for _, l := range leaves {
		if _, ok := c.Lookup(l); !ok {
			t.Error("a chain runs without an entry it had")
		}
	}
	_, err = c.Replay()
	return err
}

func BenchmarkSubmit(b *testing.B) {
	cfg := testConfig(b, b.TempDir())
	c := start(b, cfg)
	for b.Loop() {
		submitNext(b, c.Chain, cfg.Keys)
	}
}

// BenchmarkBurst keeps as many transactions waiting as the window takes.
func BenchmarkBurst(b *testing.B) {
	cfg := testConfig(b, b.TempDir())
	c := start(b, cfg)
	seq, prev, err := c.Next(testOperator)
	if err != nil {
		b.Fatal(err)
	}
	slots := make(chan struct{}, ledger.SeqWindow-1)
	var wg sync.WaitGroup
	b.ResetTimer()
	for range b.N {
		var tx []byte
		tx, prev = attestation(b, c.Chain, cfg.Keys, seq, prev)
		seq++
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			for {
				_, err := c.Submit(context.Background(), tx)
				if err == nil {
					return
				}
				if concord.KindOf(err) != concord.Unavailable {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
}
