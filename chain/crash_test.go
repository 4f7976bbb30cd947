package chain

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/ledger"
)

// childDir is set in the environment of a test binary that is to run a chain until it is killed.
const childDir = "CONCORD_CHAIN_TEST_DIR"

// children says what the test binary is when it is started with a variable: it runs a chain in that directory.
var children = map[string]func(dir string){childDir: child}

func TestMain(m *testing.M) {
	for name, run := range children {
		if dir := os.Getenv(name); dir != "" {
			run(dir)
		}
	}
	os.Exit(m.Run())
}

// child runs a chain, submits without pause, and prints a line for each transaction that was acknowledged.
func child(dir string) {
	t := new(testing.T)
	cfg := testConfig(t, dir)
	c, err := Open(cfg)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	go func() { fmt.Println("stopped", c.Run(context.Background())) }()
	for {
		seq, prev, err := c.Next(testOperator)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		tx, _ := attestation(t, c, cfg.Keys, seq, prev)
		index, err := c.Submit(context.Background(), tx)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("ack", ledger.LeafHash(tx), index)
	}
}

// Every transaction that was acknowledged before kill -9 is in the log exactly once afterwards, and the chain goes on.
func TestKill(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Skipf("SKIPPED: no path of the test binary to start it anew (%v); nothing was killed: run this test on Linux", err)
	}
	dir := t.TempDir()
	acked := map[string]uint64{}
	for round := range 3 {
		killChild(t, exe, dir, acked, 5+7*round)
	}
	cfg := testConfig(t, dir)
	signed := lastCosigned(t, cfg)
	c := start(t, cfg)
	for end := time.Now().Add(patience); c.Checkpoint().Size < c.Status().Size; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the newest head is not signed: %+v", c.Status())
		}
	}
	if root, err := c.store.root(signed.Size); err != nil || root != signed.Root {
		t.Errorf("the log has another root of %d entries than was cosigned before the kill: %v", signed.Size, err)
	}
	for _, index := range acked {
		if index >= signed.Size {
			t.Errorf("entry %d was acknowledged, and no head that has it cosigned", index)
		}
	}
	submitNext(t, c.Chain, cfg.Keys)
	count := map[string]int{}
	list, err := c.Entries(0, MaxEntries)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		count[e.Leaf.String()]++
		if index, ok := acked[e.Leaf.String()]; ok && index != e.Index {
			t.Errorf("entry %d was acknowledged as %d", e.Index, index)
		}
	}
	for leaf := range acked {
		if count[leaf] != 1 {
			t.Errorf("an acknowledged transaction is in the log %d times", count[leaf])
		}
	}
	if _, err := c.Replay(); err != nil {
		t.Error(err)
	}
	t.Logf("%d acknowledged, %d entries", len(acked), len(list))
}

// killChild runs a child until it has acknowledged some transactions, then kills it.
func killChild(t *testing.T, exe, dir string, acked map[string]uint64, some int) {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer guard.Stop()
	got := 0
	for sc := bufio.NewScanner(out); sc.Scan(); {
		f := strings.Fields(sc.Text())
		if f[0] != "ack" {
			t.Errorf("child: %s", sc.Text())
			continue
		}
		var index uint64
		fmt.Sscan(f[2], &index)
		acked[f[1]] = index
		if got == 0 {
			locked(t, dir)
		}
		if got++; got == some {
			_ = cmd.Process.Kill() // lines that are in the pipe already count as acknowledged: read on
		}
	}
	_ = cmd.Wait()
	if got < some {
		t.Fatalf("the child acknowledged %d transactions, want %d", got, some)
	}
}

// locked checks that the chain of a running child cannot be opened by this process.
func locked(t *testing.T, dir string) {
	t.Helper()
	if c, err := Open(testConfig(t, dir)); err == nil {
		c.Close()
		t.Error("a second process could open the chain")
	} else if concord.KindOf(err) != concord.Unavailable {
		t.Errorf("open beside another process: %v of kind %v", err, concord.KindOf(err))
	}
}

// Each damaged or missing file is an error with its name or reason, and never the end of the process.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	cfg := testConfig(t, base)
	c := start(t, cfg)
	submitNext(t, c.Chain, cfg.Keys)
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	files := []string{"genesis.json", "cosign.state", "engine/config/priv_validator_key.json", "engine/data/priv_validator_state.json",
		"engine/config/node_key.json"}
	for _, f := range files {
		for _, how := range []string{"missing", "empty", "flipped", "garbage"} {
			t.Run(filepath.Base(f)+" "+how, func(t *testing.T) {
				path := filepath.Join(cfg.Dir, f)
				good, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := os.WriteFile(path, good, 0o600); err != nil {
						t.Fatal(err)
					}
				}()
				damage(t, path, good, how)
				if err := openAndRun(t, cfg); err == nil {
					t.Error("the chain started")
				} else if concord.KindOf(err) == concord.Internal {
					t.Errorf("an error of no kind: %v", err)
				}
			})
		}
	}
	if err := openAndRun(t, cfg); err != nil {
		t.Errorf("with all files as they were: %v", err)
	}
}

func damage(t *testing.T, path string, good []byte, how string) {
	t.Helper()
	bad := append([]byte(nil), good...)
	switch how {
	case "missing":
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return
	case "empty":
		bad = nil
	case "flipped":
		// Inside the last value of the file, where JSON stays JSON.
		i := strings.LastIndexAny(string(bad), "0123456789ABCDEFabcdef")
		bad[i-1] ^= 1
	case "garbage":
		bad = []byte("\x00\xff{")
	}
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
}

func openAndRun(t *testing.T, cfg Config) error {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	return c.Run(ctx)
}

func TestSecondProcess(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := Open(cfg); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("opened twice: %v of kind %v", err, concord.KindOf(err))
	}
}

// Keys that are not those of the genesis file are refused.
func TestOtherKeys(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(t, dir)
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	other := testConfig(t, t.TempDir())
	other.Dir = cfg.Dir
	if _, err := Open(other); concord.KindOf(err) != concord.Unauthorized {
		t.Errorf("other keys: %v", err)
	}
	cfg.ChainName = "net-2"
	if _, err := Open(cfg); concord.KindOf(err) != concord.Conflict {
		t.Errorf("another name: %v", err)
	}
}

// A store that was restored from a backup is older than what the keys have signed.
func TestOlderStoreIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := testConfig(t, dir)
	c := start(t, cfg)
	submitNext(t, c.Chain, cfg.Keys)
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(dir, "backup")
	if err := os.CopyFS(backup, os.DirFS(filepath.Join(cfg.Dir, "log"))); err != nil {
		t.Fatal(err)
	}
	engine := filepath.Join(dir, "engine")
	if err := os.CopyFS(engine, os.DirFS(filepath.Join(cfg.Dir, engineDir))); err != nil {
		t.Fatal(err)
	}
	c = start(t, cfg)
	submitNext(t, c.Chain, cfg.Keys)
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	restore := func(from, to string) {
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	restore(backup, filepath.Join(cfg.Dir, "log"))
	if err := openAndRun(t, cfg); err != nil {
		t.Errorf("only the log is older, its blocks are still there to be applied again: %v", err)
	}
	restore(backup, filepath.Join(cfg.Dir, "log"))
	restore(engine, filepath.Join(cfg.Dir, engineDir))
	if err := os.Chmod(filesOf(cfg.Dir).consKey, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openAndRun(t, cfg); err == nil || !strings.Contains(err.Error(), "refuse to sign") {
		t.Errorf("log and engine are older than the cosigner's state: %v", err)
	}
}

// A chain that was killed while its validator was made has a state of nothing signed and no key: it is founded as if nothing were there. A state with a
// signature, or a key without its state, is something that was lost.
func TestKilledWhileFounding(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	f := filesOf(cfg.Dir)
	write := func(path, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write(f.consState, `{"height": "7", "round": 0, "step": 3}`)
	if _, err := Open(cfg); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("a state of height 7 and no key: %v", err)
	}
	write(f.consState, `{"height": "0", "round": 0, "step": 0}`)
	c := start(t, cfg)
	submitNext(t, c.Chain, cfg.Keys)
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	again := testConfig(t, t.TempDir())
	write(filesOf(again.Dir).consKey, "{}")
	if _, err := Open(again); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("a key and no state: %v", err)
	}
}
