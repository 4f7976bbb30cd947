package chain

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/anchor"
	"concord/note"
	"concord/receipt"
)

const testWitness = "witness.example/w1"

// outsider is a witness that is none of ours: litewitness, as a process.
type outsider struct {
	anchor.Witness
	t     testing.TB
	dir   string
	addr  string
	stdin io.WriteCloser
	cmd   *exec.Cmd
}

func newOutsider(t testing.TB) *outsider {
	t.Helper()
	for _, name := range []string{"outsidewitness", "litewitness"} {
		if _, err := os.Stat(filepath.Join("..", "bin", name)); err != nil {
			t.Skip("SKIPPED: anchoring is not tested against a real witness: there is none. Run `go build -C e2e/outsidewitness -o ../../bin/ . filippo.io/torchwood/cmd/litewitness` " +
				"at the top of the repository")
		}
	}
	s, err := note.NewSigner(testWitness, note.Cosignature, outsiderSeed)
	if err != nil {
		t.Fatal(err)
	}
	w := &outsider{t: t, addr: freeAddr(t)}
	if w.dir, err = os.MkdirTemp("", "w"); err != nil { // short: it holds a socket
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(w.dir) })
	w.Witness = anchor.Witness{Key: s.Key(), URL: "http://" + w.addr}
	return w
}

var outsiderSeed = bytes.Repeat([]byte{9}, 32)

// run starts it, with logs' keys that it knows.
func (w *outsider) run(origin string, keys ...note.Key) {
	w.t.Helper()
	bin, err := filepath.Abs("../bin/outsidewitness")
	if err != nil {
		w.t.Fatal(err)
	}
	args := []string{"-dir", w.dir, "-listen", w.addr, "-name", testWitness, "-seed", hex.EncodeToString(outsiderSeed), "-origin", origin}
	for _, k := range keys {
		args = append(args, "-key", k.String())
	}
	w.cmd = exec.Command(bin, args...)
	var said bytes.Buffer
	w.cmd.Stderr = &said
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.stop)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", w.addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			w.stop()
			w.t.Fatalf("the witness does not listen: %v\n%s", err, said.String())
		}
	}
}

// stop ends it; what it has signed it knows when it runs again.
func (w *outsider) stop() {
	if w.cmd == nil {
		return
	}
	w.stdin.Close()
	_ = w.cmd.Wait()
	w.cmd = nil
}

// anchored has a chain ask witnesses.
func anchored(t testing.TB, c *Chain, list ...anchor.Witness) (a *anchor.Anchor, stop func()) {
	t.Helper()
	a = anchor.New(anchor.Config{Log: c, Witnesses: list, Interval: 20 * time.Millisecond, Logger: testLogger(t)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return a, stop
}

// Four operators, of whom one asks a real witness, three name it and one does not. What was level 2 is level 4 when it is made anew.
func TestAnchoredByRealWitness(t *testing.T) {
	t.Parallel()
	w := newOutsider(t)
	f := newFederationWith(t, 4, func(c *Config) {
		if c.Operator != "dave.example" {
			c.Outside = []note.Key{w.Key}
		}
	})
	f.promote()
	alice, carol, dave := f.list[0], f.list[2], f.list[3]
	proof, davesProof := f.receiptOf(carol), f.receiptOf(dave)
	f.agree()
	verify := func(p *party, proof []byte) *receipt.Report {
		t.Helper()
		r, err := receipt.Verify(proof, []byte(p.Policy()), receipt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := verify(carol, proof()); r.Level != 2 || r.Witnesses != 4 || len(r.Anchored) > 0 {
		t.Errorf("before anybody from outside saw the log: level %d, n=%d, %v", r.Level, r.Witnesses, r.Anchored)
	}
	early := proof()

	a, stop := anchored(t, alice.Chain, w.Witness)
	f.until("it is known that the witness does not answer", func() bool { return a.Tallies()[0].Failed[anchor.Unreachable] > 0 })
	w.run(alice.Origin(), mustLog(t, "of another ledger"))
	f.until("the witness does not know the key", func() bool { return a.Tallies()[0].Failed[anchor.Unwilling] > 0 })
	w.stop()
	w.run(alice.Origin(), alice.cfg.Keys.Log.Key())
	f.until("the head is anchored for everybody who names the witness", func() bool {
		for _, p := range f.list[:3] {
			if cp, err := p.AnchoredBy(w.Key); err != nil || cp.Size == 0 {
				return false
			}
		}
		return true
	})
	r := verify(carol, proof())
	if r.Level != 4 || r.Cosigners < 3 || r.Witnesses != 4 || len(r.Anchored) != 1 || r.Anchored[0].Name != testWitness || time.Since(r.Anchored[0].Time) > time.Minute || r.SizeBytes > 4096 {
		t.Errorf("anchored: level %d, k=%d of %d, %v, %d bytes", r.Level, r.Cosigners, r.Witnesses, r.Anchored, r.SizeBytes)
	}
	t.Logf("level %d, %d bytes; proven: %s", r.Level, r.SizeBytes, strings.Join(r.Proven, "\n"))
	if r := verify(carol, early); r.Level != 2 {
		t.Errorf("the receipt of before: level %d", r.Level)
	}
	if r := verify(dave, davesProof()); r.Level != 2 || len(r.Anchored) > 0 {
		t.Errorf("dave does not name the witness: level %d, %v", r.Level, r.Anchored)
	}
	// The witness and the asking node start again; the log has grown meanwhile.
	stop()
	w.stop()
	for _, p := range f.list {
		f.attest(p)
	}
	f.agree()
	later := f.receiptOf(carol)
	f.agree()
	w.run(alice.Origin(), alice.cfg.Keys.Log.Key())
	if err := alice.stop(); err != nil {
		t.Fatal(err)
	}
	alice.running = start(t, alice.cfg)
	a, _ = anchored(t, alice.Chain, w.Witness)
	f.until("the newest head is anchored again", func() bool {
		cp, err := carol.AnchoredBy(w.Key)
		return err == nil && cp.Size == carol.Status().Size
	})
	if c := a.Tallies()[0]; c.Cosigned == 0 || len(c.Failed) > 0 {
		t.Errorf("after the restart: %+v", c)
	}
	if r := verify(carol, later()); r.Level != 4 {
		t.Errorf("level %d", r.Level)
	}
	if cp := carol.Checkpoint(); !strings.Contains(cp.Note, "— "+testWitness+" ") {
		t.Errorf("the checkpoint is served without the line from outside: %s", cp.Note)
	}
}

func mustLog(t testing.TB, name string) note.Key {
	t.Helper()
	s, err := note.NewSigner(name[:2], note.Ed25519, outsiderSeed)
	if err != nil {
		t.Fatal(err)
	}
	return s.Key()
}

// One operator alone, whose log nobody else signs: what a made-up witness signs is kept and served, and what does not hold is not.
func TestAnchorOfOne(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	signer, err := note.NewSigner(testWitness, note.Cosignature, outsiderSeed)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := note.NewSigner("stranger.example", note.Cosignature, bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Outside = []note.Key{signer.Key()}
	c := start(t, cfg)
	_, index := submitNext(t, c.Chain, cfg.Keys)
	head := c.ToAnchor()
	n, err := note.Parse([]byte(head.Note))
	if err != nil || len(n.Sigs) != 1 || !cfg.Keys.Log.Key().Verify(n.Text, n.Sigs[0]) {
		t.Fatalf("%v: %s", err, head.Note)
	}
	at := time.Now().Unix()
	sign := func(s *note.Signer, text string) []byte {
		t.Helper()
		sig, err := s.Cosign(text, at)
		if err != nil {
			t.Fatal(err)
		}
		return note.Join(text, sig)
	}
	forged := bytes.Replace(sign(stranger, n.Text), []byte("stranger.example"), []byte(testWitness), 1)
	other := note.Checkpoint{Origin: head.Origin, Size: head.Size, Root: concord.Sum([]byte("another history"))}
	at -= 2 * maxBehind
	backdated := sign(signer, n.Text)
	at += 2 * maxBehind
	for _, bad := range [][]byte{nil, backdated, []byte("junk"), forged, sign(stranger, n.Text), sign(signer, other.String()), sign(signer, strings.Replace(n.Text, "net-1", "net-2", 1))} {
		if err := c.Anchor(t.Context(), bad); err != nil {
			t.Fatal(err)
		}
	}
	before, err := c.Covering(index)
	if err != nil {
		t.Fatal(err)
	}
	submitNext(t, c.Chain, cfg.Keys) // the loop has read all before
	if cp, err := c.AnchoredBy(signer.Key()); err != nil || cp.Size != 0 {
		t.Errorf("something that does not hold was kept: %+v, %v", cp, err)
	}
	head = c.ToAnchor()
	if err := c.Anchor(t.Context(), sign(signer, head.Note[:strings.Index(head.Note, "\n\n")+1])); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if cp, err := c.AnchoredBy(signer.Key()); err == nil && cp.Size == head.Size {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is not kept")
		}
	}
	after, err := c.Covering(index)
	if err != nil || before.Size >= after.Size || after.Size != head.Size || !strings.Contains(after.Note, testWitness) {
		t.Errorf("covering: %d, then %d: %v", before.Size, after.Size, err)
	}
	// Who does not name it any more serves what verifies under the policy without it.
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	cfg.Outside = nil
	c = start(t, cfg)
	if cp, err := c.Covering(index); err != nil || cp.Size != before.Size || strings.Contains(cp.Note, testWitness) || strings.Contains(c.Policy(), receipt.OutsideGroup) {
		t.Errorf("%+v, %v", cp, err)
	}
}

func TestOutsideConfig(t *testing.T) {
	t.Parallel()
	key := func(name string, typ note.Type, seed byte) note.Key {
		s, err := note.NewSigner(name, typ, bytes.Repeat([]byte{seed}, 32))
		if err != nil {
			t.Fatal(err)
		}
		return s.Key()
	}
	good := key("w", note.Cosignature, 1)
	var many []note.Key
	for i := range MaxOutside + 1 {
		many = append(many, key(strings.Repeat("w", i+1), note.Cosignature, byte(i)))
	}
	for _, bad := range [][]note.Key{many, {key("w", note.Ed25519, 1)}, {key("outside", note.Cosignature, 1)}, {good, key("w", note.Cosignature, 2)}, {good, key("v", note.Cosignature, 1)}} {
		cfg := testConfig(t, t.TempDir())
		if cfg.Outside = bad; concord.KindOf(cfg.Validate()) != concord.Invalid {
			t.Errorf("%v is taken", bad)
		}
	}
	cfg := testConfig(t, t.TempDir())
	cfg.Outside = []note.Key{good, key(testOperator, note.Cosignature, 3)} // the second has the name of the operator itself
	c := start(t, cfg)
	if p := c.Policy(); !strings.HasSuffix(p, "group outside any w\n") {
		t.Errorf("policy:\n%s", p)
	}
	if _, err := receipt.ParsePolicy([]byte(c.Policy())); err != nil {
		t.Error(err)
	}
}
