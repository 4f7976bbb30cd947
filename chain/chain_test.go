package chain

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/ledger"
	"concord/note"
	"concord/receipt"
)

const (
	testOperator = "alice.example"
	testChain    = "net-1"
)

func testLogger(t testing.TB) *slog.Logger {
	if os.Getenv("CHAIN_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

func testConfig(t testing.TB, dir string) Config {
	t.Helper()
	keys, err := note.LoadOrCreateKeys(filepath.Join(dir, "keys"), testOperator, testOperator+"/"+testChain)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Dir: filepath.Join(dir, "chain"), Operator: testOperator, ChainName: testChain, Keys: keys, Logger: testLogger(t)}
}

// running is a chain under Run.
type running struct {
	*Chain
	stop func() error
}

func start(t testing.TB, cfg Config) *running {
	t.Helper()
	return startWith(t, cfg, func(app abci.Application) abci.Application { return app })
}

// startWith puts something between consensus and the chain's application.
func startWith(t testing.TB, cfg Config, between func(abci.Application) abci.Application) *running {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.application = between(c.application)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	var stopErr error
	r := &running{c, func() error {
		once.Do(func() {
			cancel()
			begin := time.Now()
			stopErr = <-done
			if d := time.Since(begin); d > 4*time.Second {
				t.Errorf("Run took %s to stop", d)
			}
			if stopErr != nil && strings.Contains(stopErr.Error(), "did not stop") {
				t.Error(stopErr)
			}
			if err := c.Close(); stopErr == nil {
				stopErr = err
			}
		})
		return stopErr
	}}
	t.Cleanup(func() { _ = r.stop() })
	return r
}

// attestation signs an attest transaction that follows from the chain's state.
func attestation(t testing.TB, c *Chain, k *note.Keys, seq uint64, prev concord.Digest) ([]byte, concord.Digest) {
	t.Helper()
	root := concord.Sum(fmt.Appendf(nil, "batch %d", seq))
	a := concord.Attestation{Chain: c.ID(), From: testOperator, Seq: seq, Count: 1, Root: root, First: 1, Last: 2, Prev: prev}
	b, err := note.Sign(a.String(), k.Op)
	if err != nil {
		t.Fatal(err)
	}
	return b, root
}

func submitNext(t testing.TB, c *Chain, k *note.Keys) ([]byte, uint64) {
	t.Helper()
	seq, prev, err := c.Next(testOperator)
	if err != nil {
		t.Fatal(err)
	}
	tx, _ := attestation(t, c, k, seq, prev)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	index, err := c.Submit(ctx, tx)
	if err != nil {
		t.Fatal(err)
	}
	return tx, index
}

func TestSubmitAndRead(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	c := start(t, cfg)
	tx, index := submitNext(t, c.Chain, cfg.Keys)
	if again, err := c.Submit(t.Context(), tx); err != nil || again != index {
		t.Errorf("the same bytes again: index %d, error %v; want %d", again, err, index)
	}
	e, err := c.Entry(index)
	if err != nil || e.Text != string(tx) || e.Type != "attest" || e.From != testOperator || e.Height < 1 {
		t.Errorf("entry %d: %+v, %v", index, e, err)
	}
	cp := c.Checkpoint()
	path, err := c.Proof(index, cp.Size)
	if err != nil {
		t.Fatal(err)
	}
	proof := make(tlog.RecordProof, len(path))
	for i, h := range path {
		proof[i] = tlog.Hash(h)
	}
	if err := tlog.CheckRecord(proof, int64(cp.Size), tlog.Hash(cp.Root), int64(index), tlog.RecordHash(tx)); err != nil {
		t.Errorf("proof: %v", err)
	}
	n, err := note.Open([]byte(cp.Note), cfg.Keys.Log.Key(), cfg.Keys.Cosign.Key())
	if err != nil || len(n.Sigs) != 2 {
		t.Errorf("checkpoint: %v", err)
	}
	if _, err := receipt.ParsePolicy([]byte(c.Policy())); err != nil {
		t.Errorf("policy: %v", err)
	}
	if _, err := c.Admission(testOperator, math.MaxUint64); err != nil {
		t.Error(err)
	}
	if _, err := c.Replay(); err != nil {
		t.Error(err)
	}
	for i := range 20 {
		submitNext(t, c.Chain, cfg.Keys)
		_ = i
	}
	if n, err := c.Replay(); err != nil || n != c.Status().Size {
		t.Errorf("replay of %d entries: %v", n, err)
	}
	list, err := c.Checkpoints(0, 100)
	if err != nil || len(list) < 20 {
		t.Errorf("%d checkpoints, %v", len(list), err)
	}
	for i := 1; i < len(list); i++ {
		p, err := c.Consistency(list[i].Size, list[i-1].Size)
		if err != nil {
			t.Fatal(err)
		}
		tp := make(tlog.TreeProof, len(p))
		for j := range p {
			tp[j] = tlog.Hash(p[j])
		}
		if err := tlog.CheckTree(tp, int64(list[i-1].Size), tlog.Hash(list[i-1].Root), int64(list[i].Size), tlog.Hash(list[i].Root)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
}

// A quiet chain is stopped and opened again several times, with and without new entries, and goes on each time.
func TestRestart(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	var size uint64
	for i := range 4 {
		c := start(t, cfg)
		if c.Status().Size < size {
			t.Fatalf("restart %d: %d entries, there were %d", i, c.Status().Size, size)
		}
		if i != 2 {
			submitNext(t, c.Chain, cfg.Keys)
		} else {
			time.Sleep(300 * time.Millisecond)
		}
		size = c.Status().Size
		if err := c.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIdleChainStandsStill(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	c := start(t, cfg)
	submitNext(t, c.Chain, cfg.Keys)
	time.Sleep(500 * time.Millisecond)
	h := c.Status().Height
	time.Sleep(3 * time.Second)
	if got := c.Status().Height; got != h {
		t.Errorf("the height went from %d to %d in 3 s without a transaction", h, got)
	}
}

func TestNoPort(t *testing.T) {
	before := listening(t)
	cfg := testConfig(t, t.TempDir())
	c := start(t, cfg)
	submitNext(t, c.Chain, cfg.Keys)
	if now := listening(t); now != before {
		t.Errorf("%d listening sockets while the chain runs, %d before", now, before)
	}
}

// listening counts this process's listening TCP sockets.
func listening(t *testing.T) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("SKIPPED: no /proc here (%v), so listening sockets were not counted; run this test on Linux", err)
	}
	mine := map[string]bool{}
	for _, fd := range fds {
		if l, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			if inode, ok := strings.CutPrefix(l, "socket:["); ok {
				mine[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	for _, f := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		b, _ := os.ReadFile(f)
		for _, line := range strings.Split(string(b), "\n") {
			if c := strings.Fields(line); len(c) > 9 && c[3] == "0A" && mine[c[9]] {
				n++
			}
		}
	}
	return n
}

func TestListeningCountsSockets(t *testing.T) {
	before := listening(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := listening(t); got != before+1 {
		t.Fatalf("counted %d sockets, want %d", got, before+1)
	}
}

func TestPinnedCometBFT(t *testing.T) {
	b, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "github.com/cometbft/cometbft" {
			if !strings.HasPrefix(f[1], "v0.40.") {
				t.Errorf("go.mod has CometBFT %s; v0.40 is the maintained line, v1 is abandoned", f[1])
			}
			return
		}
	}
	t.Error("go.mod does not name CometBFT")
}

// A transaction that cannot be executed yet does not make empty blocks for ever, and comes in as soon as it can be.
func TestEarlyTransactionDoesNotSpin(t *testing.T) {
	t.Parallel()
	c := start(t, testConfig(t, t.TempDir()))
	seq, _, err := c.Next(c.cfg.Operator)
	if err != nil {
		t.Fatal(err)
	}
	doc := func(seq uint64) []byte {
		d := &ledger.DocTx{Head: ledger.Head{Chain: c.ID(), From: c.cfg.Operator, Seq: seq}, Digests: []concord.Digest{concord.Sum([]byte{byte(seq)})}}
		tx, err := ledger.Sign(d, c.cfg.Keys.Op)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	before := c.Status().Height
	early := make(chan error, 1)
	go func() {
		_, err := c.Submit(t.Context(), doc(seq+1))
		early <- err
	}()
	time.Sleep(5 * time.Second)
	if grown := c.Status().Height - before; grown > 12 {
		t.Errorf("%d blocks in 5 s", grown)
	}
	if _, err := c.Submit(t.Context(), doc(seq)); err != nil {
		t.Error(err)
	}
	select {
	case err := <-early:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it never came in")
	}
}
