package chain

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/e2e/ports"
	"concord/ledger"
	"concord/note"
	"concord/receipt"
)

// patience bounds what a test waits for; the machine may be busy with others.
const patience = 60 * time.Second

// party is one operator of a federation under test.
type party struct {
	name string
	cfg  Config
	*running
}

// federation is several operators' chains in this process, on loopback.
type federation struct {
	t    testing.TB
	list []*party
	edit func(*Config) // of those who join; nil: nothing
}

var partyNames = []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace"}

func freeAddr(t testing.TB) string {
	t.Helper()
	addr, err := ports.Free("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func partyConfig(t testing.TB, name, origin string) Config {
	t.Helper()
	dir, operator := t.TempDir(), name+".example"
	keys, err := note.LoadOrCreateKeys(filepath.Join(dir, "keys"), operator, origin)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Dir: filepath.Join(dir, "chain"), Operator: operator, ChainName: testChain, Keys: keys, Logger: testLogger(t).With("op", name), Addr: freeAddr(t)}
}

// newFederation founds a chain and lets n-1 others join as candidates.
func newFederation(t testing.TB, n int) *federation { return newFederationWith(t, n, nil) }

// newFederationWith changes everybody's configuration before the start.
func newFederationWith(t testing.TB, n int, edit func(*Config)) *federation {
	t.Helper()
	f := &federation{t: t, edit: edit}
	first := &party{name: "alice.example", cfg: partyConfig(t, "alice", "alice.example/"+testChain)}
	if edit != nil {
		edit(&first.cfg)
	}
	first.running = start(t, first.cfg)
	f.list = append(f.list, first)
	for _, name := range partyNames[1:n] {
		f.join(name)
	}
	return f
}

// join lets one more operator join, and waits until it is a candidate that all know.
func (f *federation) join(name string) *party {
	f.t.Helper()
	alice := f.list[0]
	b, err := alice.Bundle()
	if err != nil {
		f.t.Fatal(err)
	}
	b.Peers = b.Peers[:1] // an old bundle, of when alice was alone
	p := &party{name: name + ".example", cfg: partyConfig(f.t, name, b.Origin)}
	if f.edit != nil {
		f.edit(&p.cfg)
	}
	id, err := Join(p.cfg, &b)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := alice.Invite(id); err != nil {
		f.t.Fatal(err)
	}
	p.running = start(f.t, p.cfg)
	f.list = append(f.list, p)
	f.until(name+" is a candidate for all", func() bool {
		for _, q := range f.list {
			if m := q.machine.Load().State().Member(p.name); m == nil {
				return false
			}
		}
		return true
	})
	return p
}

func (f *federation) until(what string, ok func() bool) {
	f.t.Helper()
	end := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(end) {
			for _, p := range f.list {
				f.t.Logf("%s: %+v", p.name, p.Status())
				for _, b := range p.Ballots() {
					f.t.Logf("  waits: %+v", b)
				}
			}
			f.t.Fatalf("waited %s for: %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// decide proposes an action as the first operator and lets the others sign until it is decided.
func (f *federation) decide(action string) {
	f.t.Helper()
	epoch := f.list[0].machine.Load().State().Epoch
	b, err := f.list[0].Propose(action)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, p := range f.list[1:] {
		if m := p.machine.Load().State().Member(p.name); m == nil || m.Power == 0 {
			continue
		}
		f.until("the ballot reached "+p.name, func() bool {
			return p.machine.Load().State().Epoch > epoch || p.knows(b.ID)
		})
		if _, err := p.Sign(b.ID); err != nil && p.machine.Load().State().Epoch == epoch {
			f.t.Fatal(err)
		}
	}
	f.until("epoch "+fmt.Sprint(epoch+1), func() bool {
		for _, p := range f.list {
			if p.machine.Load().State().Epoch != epoch+1 {
				return false
			}
		}
		return true
	})
}

func (p *party) knows(ballot string) bool {
	return slices.ContainsFunc(p.Ballots(), func(b Ballot) bool { return b.ID == ballot })
}

// promote makes the first four voters in one step.
func (f *federation) promote() {
	f.t.Helper()
	f.decide("power bob.example 1\npower carol.example 1\npower dave.example 1\n")
}

// attest puts one attestation of an operator into the ledger.
func (f *federation) attest(p *party) (tx []byte, index uint64) {
	f.t.Helper()
	tx, index, err := p.attest(f.t, patience)
	if err != nil {
		f.t.Fatal(err)
	}
	return tx, index
}

// next is Next of an operator whose node may have to catch up first.
func (p *party) next(within time.Duration) (seq uint64, prev concord.Digest, err error) {
	for end := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		if seq, prev, err = p.Next(p.name); concord.KindOf(err) != concord.Unavailable || time.Now().After(end) {
			return seq, prev, err
		}
	}
}

func (p *party) attest(t testing.TB, within time.Duration) (tx []byte, index uint64, err error) {
	t.Helper()
	seq, prev, err := p.next(within)
	if err != nil {
		return nil, 0, err
	}
	root := concord.Sum(fmt.Appendf(nil, "%s batch %d at %d", p.name, seq, time.Now().UnixNano()))
	a := concord.Attestation{Chain: p.ID(), From: p.name, Seq: seq, Count: 1, Root: root, First: 1, Last: 2, Prev: prev}
	if tx, err = note.Sign(a.String(), p.cfg.Keys.Op); err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if index, err = p.Submit(ctx, tx); concord.KindOf(err) == concord.Conflict && ctx.Err() == nil && within > time.Second {
		return p.attest(t, within/2) // its node put another transaction in meanwhile, a proof against somebody say
	}
	return tx, index, err
}

// agree waits until all have the same log, and a quorum cosigned its head.
func (f *federation) agree(list ...*party) {
	f.t.Helper()
	if len(list) == 0 {
		list = f.list
	}
	f.until("all have the same log, cosigned", func() bool {
		first := list[0].Status()
		for _, p := range list {
			if s := p.Status(); s.Size != first.Size || s.Root != first.Root || p.Checkpoint().Size != s.Size {
				return false
			}
		}
		return true
	})
	for _, p := range list {
		if _, err := p.Replay(); err != nil {
			f.t.Errorf("%s: %v", p.name, err)
		}
	}
}

// faulted reports whether a member has lost its vote for everybody.
func (f *federation) faulted(who *party) bool {
	for _, p := range f.list {
		if m := p.machine.Load().State().Member(who.name); m.Status != ledger.Faulted || m.Power != 0 {
			return false
		}
	}
	return true
}

func TestFederationGrows(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	for _, p := range f.list {
		f.attest(p)
	}
	f.agree()
	if s := f.list[1].Status(); s.Validators != 1 || s.Members != 4 {
		t.Errorf("one voter and three candidates, not %+v", s)
	}
	f.promote()
	for i := range 8 {
		f.attest(f.list[i%4])
	}
	f.agree()
	f.until("everybody is connected with everybody, though all joined by alice alone", func() bool {
		for _, p := range f.list {
			if len(p.Status().Up) != 3 {
				return false
			}
		}
		return true
	})
	for _, p := range f.list {
		cp := p.Checkpoint()
		if n := strings.Count(cp.Note, "\n— "); n < 4 {
			t.Errorf("%s: the head has %d signatures, want that of the log and three of the four operators:\n%s", p.name, n, cp.Note)
		}
	}
}

func (p *party) halt(t testing.TB) {
	t.Helper()
	if err := p.stop(); err != nil {
		t.Errorf("%s: stop: %v", p.name, err)
	}
}

func TestFederationFaults(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	alice, bob, carol, dave := f.list[0], f.list[1], f.list[2], f.list[3]
	acked := map[string]uint64{}
	do := func(p *party) {
		tx, index := f.attest(p)
		acked[string(tx)] = index
	}
	for _, p := range f.list {
		do(p)
	}
	f.agree()

	t.Log("one of four stops: the others go on")
	dave.halt(t)
	for range 3 {
		do(alice)
		do(bob)
	}
	f.agree(alice, bob, carol)

	t.Log("two of four stop: the ledger halts, and goes on when one is back")
	carol.halt(t)
	waits, _, err := alice.attest(t, 3*time.Second)
	if concord.KindOf(err) != concord.Unavailable {
		t.Errorf("with two of four, a transaction gives %v; want Unavailable", err)
	}
	if s := alice.Status(); s.Halted != "" || !s.Running {
		t.Errorf("a halted ledger ended the node: %+v", s)
	}
	carol.running = start(t, carol.cfg)
	do(bob)
	f.until("what was sent while it halted is in the log", func() bool {
		_, ok := alice.Lookup(ledger.LeafHash(waits))
		return ok
	})
	do(alice)
	dave.running = start(t, dave.cfg)
	f.agree()

	t.Log("all stop, all start")
	for _, p := range f.list {
		p.halt(t)
	}
	for _, p := range f.list {
		p.running = start(t, p.cfg)
	}
	for _, p := range f.list {
		do(p)
	}
	f.agree()
	for tx, index := range acked {
		for _, p := range f.list {
			if e, err := p.Entry(index); err != nil || e.Text != tx {
				t.Errorf("%s: entry %d is not what was acknowledged: %v", p.name, index, err)
			}
		}
	}
}

// A node whose files come from a backup must not vote or sign heads as if what it did since had not been.
func TestFederationOldBackup(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	for _, p := range f.list {
		f.attest(p)
	}
	f.agree()
	dave := f.list[3]
	dave.halt(t)
	backup := t.TempDir()
	copyTree(t, dave.cfg.Dir, backup)
	dave.running = start(t, dave.cfg)
	for range 3 {
		for _, p := range f.list {
			f.attest(p)
		}
	}
	f.agree()
	dave.halt(t)
	restored := dave.cfg
	restored.Dir = backup
	dave.running = start(t, restored)
	for range 3 {
		for _, p := range f.list[:3] {
			f.attest(p)
		}
	}
	f.agree()
	f.until("dave knows that its files are old", func() bool { return strings.Contains(dave.Status().Barred, "backup") })
	t.Log(dave.Status().Barred)
	for _, p := range f.list {
		for _, m := range p.Members() {
			if m.Status != "active" {
				t.Errorf("%s: %s is %s", p.name, m.Name, m.Status)
			}
		}
	}
}

// A founder with partners is the only voter; from an old backup it alone could make another history.
func TestFederationOldBackupOfOnlyVoter(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2)
	alice, bob := f.list[0], f.list[1]
	f.attest(alice)
	f.agree()
	alice.halt(t)
	backup := t.TempDir()
	copyTree(t, alice.cfg.Dir, backup)
	alice.running = start(t, alice.cfg)
	f.attest(alice)
	f.attest(alice)
	f.agree()
	alice.halt(t)
	size := bob.Status().Size
	alice.cfg.Dir = backup
	alice.running = start(t, alice.cfg)
	f.until("alice knows that its files are old", func() bool { return alice.Status().Barred != "" })
	f.until("alice has bob's log", func() bool { return alice.Status().Root == bob.Status().Root })
	if _, _, err := alice.attest(t, 3*time.Second); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("the only voter, restored, took a transaction: %v", err)
	}
	if got := bob.Status().Size; got != size {
		t.Errorf("bob's log went on, to %d entries", got)
	}
}

func copyTree(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Who is no member and was not invited may not connect, whatever it knows.
func TestFederationRefusesStrangers(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2)
	b, err := f.list[0].Bundle()
	if err != nil {
		t.Fatal(err)
	}
	cfg := partyConfig(t, "mallory", b.Origin)
	if _, err := Join(cfg, &b); err != nil {
		t.Fatal(err)
	}
	mallory := start(t, cfg)
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for _, p := range f.list {
			if p.Status().Peers > 1 { // each other
				t.Fatalf("%s let a stranger in: %+v", p.name, p.Status())
			}
		}
	}
	if mallory.Status().Height != 0 {
		t.Error("a stranger got blocks")
	}
}

// receiptOf attests one made-up capture and returns its receipt.
func (f *federation) receiptOf(p *party) func() []byte {
	f.t.Helper()
	d := concord.Sum([]byte("page of " + p.name))
	e := concord.Entry{Time: 1_795_320_042, Status: 200, Raw: d, Text: d, Profile: "text-1", Record: d, URL: "https://example.com/" + p.name}
	seq, prev, err := p.next(patience)
	if err != nil {
		f.t.Fatal(err)
	}
	a := concord.Attestation{Chain: p.ID(), From: p.name, Seq: seq, Count: 1, Root: concord.Digest(tlog.RecordHash([]byte(e.String()))), First: e.Time, Last: e.Time, Prev: prev}
	tx, err := note.Sign(a.String(), p.cfg.Keys.Op)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	index, err := p.Submit(ctx, tx)
	if err != nil {
		f.t.Fatal(err)
	}
	return func() []byte {
		f.t.Helper()
		cp, err := p.Covering(index)
		if err != nil {
			f.t.Fatal(err)
		}
		path, err := p.Proof(index, cp.Size)
		if err != nil {
			f.t.Fatal(err)
		}
		admit, err := p.Admission(p.name, index)
		if err != nil {
			f.t.Fatal(err)
		}
		r, err := receipt.Build(receipt.Parts{Entry: e, BatchCount: 1, Attest: tx, Admit: admit, Index: index, Path: path, Checkpoint: []byte(cp.Note)})
		if err != nil {
			f.t.Fatal(err)
		}
		return r
	}
}

func TestFederationReceipts(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	early := f.receiptOf(f.list[1]) // bob is a candidate: alice alone orders, all cosign
	f.agree()
	one := early()
	onePolicy := []byte(f.list[2].Policy())
	if r, err := receipt.Verify(one, onePolicy, receipt.Options{}); err != nil {
		t.Errorf("a candidate's receipt: %v", err)
	} else {
		t.Logf("one voter, three candidates: level %d, %d of %d, %d bytes", r.Level, r.Cosigners, r.Witnesses, r.SizeBytes)
	}
	f.promote()
	var later []func() []byte
	for _, p := range f.list {
		later = append(later, f.receiptOf(p))
	}
	f.agree()
	policy := []byte(f.list[3].Policy())
	for _, p := range f.list {
		if p.Policy() != string(policy) {
			t.Errorf("%s has another policy", p.name)
		}
	}
	for i, proof := range append(later, early) {
		r, err := receipt.Verify(proof(), policy, receipt.Options{})
		if err != nil {
			t.Fatalf("receipt %d: %v", i, err)
		}
		if r.Level != 2 || r.Cosigners < 3 || r.SizeBytes > 4096 {
			t.Errorf("receipt %d: level %d, k=%d, %d bytes; want level 2, k of at least 3, below 4 KB", i, r.Level, r.Cosigners, r.SizeBytes)
		}
	}
	if _, err := receipt.Verify(one, onePolicy, receipt.Options{}); err != nil {
		t.Errorf("the receipt of before under the policy of before: %v", err)
	}
}

// Decisions of four need three; who is dropped is cut off, and comes back under its name with new keys.
func TestFederationDecides(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	alice, bob, carol, dave := f.list[0], f.list[1], f.list[2], f.list[3]
	if _, err := alice.Propose("drop dave.example\n"); concord.KindOf(err) != concord.Invalid || !strings.Contains(err.Error(), "voters 3") {
		t.Errorf("it must say that three voters are wanted: %v", err)
	}
	open, err := alice.Propose("line dave.example 5\n")
	if err != nil {
		t.Fatal(err) // nobody else signs it
	}
	f.decide("set txbytes 16384\n")
	f.until("a ballot whose epoch has passed is forgotten, and proposed again", func() bool {
		list := alice.Ballots()
		return len(list) == 1 && list[0].ID != open.ID && list[0].Action == open.Action && list[0].Epoch == open.Epoch+1
	})
	if _, err := bob.Propose("admit what\n"); concord.KindOf(err) != concord.Invalid {
		t.Errorf("a malformed action: %v", err)
	}
	if _, err := bob.Sign("000000000000"); concord.KindOf(err) != concord.NotFound {
		t.Errorf("no such ballot: %v", err)
	}

	b, err := bob.Propose("drop dave.example\nvoters 3\n")
	if err != nil {
		t.Fatal(err)
	}
	if b.Need != 3 || len(b.Signed) != 1 {
		t.Errorf("needs 3, has 1, not %+v", b)
	}
	for _, p := range []*party{alice, carol} {
		f.until("the ballot reached "+p.name, func() bool { return p.knows(b.ID) })
		if _, err := p.Sign(b.ID); err != nil {
			t.Fatal(err)
		}
	}
	f.list = []*party{alice, bob, carol}
	f.until("dave is cut off", func() bool {
		for _, p := range f.list {
			if s := p.Status(); s.Validators != 3 || slices.Contains(s.Up, "dave.example") {
				return false
			}
		}
		return true
	})
	f.attest(bob)
	f.agree()
	dave.halt(t)

	bundle, err := carol.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	again := &party{name: dave.name, cfg: partyConfig(t, "dave", bundle.Origin)}
	id, err := Join(again.cfg, &bundle)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = carol.Invite(id); err != nil {
		t.Fatal(err)
	}
	again.running = start(t, again.cfg)
	for _, p := range []*party{alice, bob} {
		f.until("the admission reached "+p.name, func() bool { return p.knows(b.ID) })
		if _, err := p.Sign(b.ID); err != nil {
			t.Fatal(err)
		}
	}
	f.list = append(f.list, again)
	f.until("dave is back", func() bool {
		for _, p := range f.list {
			if m := p.machine.Load().State().Member(dave.name); m == nil || m.Status != "candidate" {
				return false
			}
		}
		return true
	})
	f.until("dave may attest", func() bool { _, _, err := again.Next(dave.name); return err == nil })
	f.attest(again)
	f.agree()
}
