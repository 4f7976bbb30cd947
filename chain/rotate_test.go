//go:build e2e

package chain

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/privval"

	"concord"
	"concord/ledger"
	"concord/note"
	"concord/receipt"
)

// rotate lets a party change a key, and the others agree.
func (f *federation) rotate(p *party, which string) {
	f.t.Helper()
	epoch := f.list[0].machine.Load().State().Epoch
	b, err := p.Rotate(which)
	if err != nil {
		f.t.Fatal(err)
	}
	if again, err := p.Rotate(which); err == nil && (again.Action != b.Action || again.ID != b.ID) {
		f.t.Errorf("asked twice, another key: %q, %q", again.Action, b.Action)
	}
	f.sign(b, epoch)
}

// sign lets the voters sign a decision until it is made.
func (f *federation) sign(b Ballot, epoch uint64) {
	f.t.Helper()
	f.until("decision "+b.Action, func() bool {
		for _, p := range f.list {
			if m := p.machine.Load().State().Member(p.name); m != nil && m.Power > 0 && p.knows(b.ID) {
				_, _ = p.Sign(b.ID)
			}
		}
		for _, p := range f.list {
			if p.machine.Load().State().Epoch <= epoch {
				return false
			}
		}
		return true
	})
}

// lastSigned reads the states of a chain's consensus keys: the last height that each signed, by file.
func lastSigned(t testing.TB, dir string) map[string]int64 {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(filepath.Dir(filesOf(dir).consState), "priv_validator_state*.json"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, path := range list {
		b, err := os.ReadFile(path)
		var s privval.FilePVLastSignState
		if err == nil {
			err = cmtjson.Unmarshal(b, &s)
		}
		if err != nil {
			t.Fatal(err)
		}
		got[filepath.Base(path)] = s.Height
	}
	return got
}

// Every key of an operator is changed while transactions go on, the node stopped and started between the steps; afterwards the new keys
// sign and the old ones do not, and receipts of before and after hold, each under its policy.
func TestRotation(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	bob := f.list[1]
	before := f.receiptOf(bob)
	f.agree()
	oldPolicy, old := []byte(bob.Policy()), before()
	if _, err := receipt.Verify(old, oldPolicy, receipt.Options{}); err != nil {
		t.Fatal(err)
	}
	restart := func() {
		t.Helper()
		bob.halt(t)
		bob.running = start(t, bob.cfg)
	}
	was := bob.machine.Load().State().Member(bob.name).Admission
	type change struct {
		which   string
		changed func(a *ledger.Admission) bool
	}
	for _, x := range []change{
		{"op", func(a *ledger.Admission) bool { return a.Op != was.Op && a.Op == bob.cfg.Keys.Op.Key() }},
		{"cosign", func(a *ledger.Admission) bool { return a.Cosign != was.Cosign && a.Cosign == bob.cfg.Keys.Cosign.Key() }},
		{"log", func(a *ledger.Admission) bool { return a.Log != was.Log && a.Log == bob.cfg.Keys.Log.Key() }},
		{"cons", func(a *ledger.Admission) bool { return a.Cons != was.Cons && a.Cons == bob.keys.Load().cons }},
		{"node", func(a *ledger.Admission) bool { return a.Node != was.Node && a.Node == bob.keys.Load().node }},
	} {
		t.Log(x.which)
		if _, err := bob.Rotate(x.which); err != nil { // proposed; then the node ends, and knows the key again
			t.Fatal(err)
		}
		restart()
		f.attest(bob)
		f.rotate(bob, x.which)
		f.until(x.which+" is changed and used", func() bool {
			return x.changed(&bob.machine.Load().State().Member(bob.name).Admission) && bob.running.running.Load() != nil
		})
		for _, p := range f.list {
			f.attest(p)
		}
		restart()
		f.attest(bob)
		f.agree()
	}
	f.until("bob is seen by all under its new name", func() bool {
		for _, p := range f.list {
			if len(p.Status().Up) != 3 {
				return false
			}
		}
		return true
	})
	decided, err := bob.decidedAt(ledger.Rotation{Operator: bob.name, Which: "cons", Key: bob.machine.Load().State().Member(bob.name).ConsKey()})
	if err != nil || decided == 0 {
		t.Fatal(decided, err)
	}
	states := lastSigned(t, bob.cfg.Dir)
	if len(states) != 2 {
		t.Errorf("states of two consensus keys, not %v", states)
	}
	for name, height := range states {
		if isOld := strings.Contains(filesOf(bob.cfg.Dir).namedState(was.Cons[:]), name); isOld && height > decided+1 || !isOld && height < decided+2 {
			t.Errorf("%s has signed up to height %d; the change was decided at %d", name, height, decided)
		}
	}
	policy := []byte(bob.Policy())
	later := f.receiptOf(bob)
	f.agree()
	for name, x := range map[string]struct{ proof, policy []byte }{"old under the old policy": {old, oldPolicy}, "old, made anew, under the new": {before(), policy}, "new": {later(), policy}} {
		if r, err := receipt.Verify(x.proof, x.policy, receipt.Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if r.Level != 2 || r.SizeBytes > 4096 {
			t.Errorf("%s: level %d, %d bytes", name, r.Level, r.SizeBytes)
		}
	}
	if _, err := receipt.Verify(later(), oldPolicy, receipt.Options{}); err == nil {
		t.Error("a receipt whose op key was changed holds under a policy that does not know the key that vouches for it")
	}
	if got, again := later(), later(); string(got) != string(again) {
		t.Error("a receipt made twice has other bytes")
	}
	if _, err := f.list[0].Admission(bob.name, 1<<62); concord.KindOf(err) != concord.NotFound {
		t.Errorf("another operator vouches for bob's key: %v", err)
	}
	if m := bob.machine.Load().State().Member(bob.name); len(m.Retired) != 4 {
		t.Errorf("%d keys are retired, want 4", len(m.Retired))
	}
}

// Who was away when the change of its key was decided takes it up when it is back, with its node's key too, under which the others know it by then.
func TestRotationWhileAway(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	dave := f.list[3]
	for _, which := range []string{"op", "cons", "node"} {
		b, err := dave.Rotate(which)
		if err != nil {
			t.Fatal(err)
		}
		others := &federation{t: t, list: f.list[:3]}
		epoch := dave.machine.Load().State().Epoch
		for _, p := range others.list {
			f.until("the ballot reached "+p.name, func() bool { return p.knows(b.ID) })
		}
		dave.halt(t)
		others.sign(b, epoch)
		for range 3 {
			f.attest(f.list[0])
		}
		dave.running = start(t, dave.cfg)
		f.until("dave is back with "+which, func() bool {
			m := dave.machine.Load().State().Member(dave.name)
			return m.Op == dave.cfg.Keys.Op.Key() && m.Cons == dave.keys.Load().cons && m.Node == dave.keys.Load().node && dave.Status().Size == f.list[0].Status().Size
		})
		f.attest(dave)
	}
	f.list[1].halt(t) // now dave's vote is needed
	f.attest(dave)
	f.agree(f.list[0], f.list[2], dave)
}

// What cannot be changed says why.
func TestRotationRefused(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2)
	alice, bob := f.list[0], f.list[1]
	if _, err := alice.Rotate("master"); concord.KindOf(err) != concord.Invalid {
		t.Errorf("no such key: %v", err)
	}
	if _, err := bob.Rotate("node"); err == nil || !strings.Contains(err.Error(), "concord federation propose rotate bob.example node ") {
		t.Errorf("a candidate's node: %v", err)
	}
	t.Log("a candidate's keys: it makes them, the voter decides")
	for _, which := range []string{"op", "cons"} {
		b, err := bob.Rotate(which)
		if err != nil {
			t.Fatal(err)
		}
		f.sign(b, alice.machine.Load().State().Epoch)
		f.attest(alice)
		f.attest(bob)
	}
	f.agree()
	f.until("bob's new consensus key", func() bool {
		return bob.keys.Load().cons == bob.machine.Load().State().Member(bob.name).Cons
	})
	if _, err := alice.Propose("power bob.example 1\n"); err == nil || !strings.Contains(err.Error(), "voters 2") {
		t.Errorf("two voters, silently: %v", err)
	}
	f.decide("power bob.example 1\nvoters 2\n")
	f.attest(bob)
	if _, err := bob.Rotate("cons"); err == nil || !strings.Contains(err.Error(), "a third") {
		t.Errorf("one of two voters changes its consensus key: %v", err)
	}
}

// A member whose files are older than they were votes no more; with a new consensus key it does.
func TestRotationUnbars(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	dave := f.list[3]
	f.attest(dave)
	f.agree()
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
	dave.cfg.Dir = backup
	dave.running = start(t, dave.cfg)
	for range 3 {
		f.attest(f.list[0])
	}
	f.agree()
	f.until("dave knows that its files are old", func() bool { return dave.Status().Barred != "" })
	f.rotate(dave, "cons")
	f.until("dave votes", func() bool {
		f.attest(f.list[0])
		return dave.Status().Barred == "" && dave.keys.Load().cons == dave.machine.Load().State().Member(dave.name).Cons
	})
	f.list[1].halt(t) // now dave is needed
	f.attest(f.list[0])
	f.attest(dave)
	f.agree(f.list[0], f.list[2], dave)
}

// rotatingDir is set in the environment of a test binary that is to run a chain, and change its keys, until it is killed.
const rotatingDir = "CONCORD_CHAIN_TEST_ROTATE"

func init() { children[rotatingDir] = rotatingChild }

// rotatingChild submits without pause and changes one key after another.
func rotatingChild(dir string) {
	t := new(testing.T)
	cfg := testConfig(t, dir)
	c, err := Open(cfg)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	go func() { fmt.Println("stopped", c.Run(context.Background())) }()
	var mu sync.Mutex
	go func() {
		for i := os.Getpid(); ; i++ {
			which := []string{"op", "cons", "cosign", "log", "node"}[i%5]
			epoch := c.machine.Load().State().Epoch
			_, err := c.Rotate(which)
			mu.Lock()
			if k := concord.KindOf(err); err != nil && k != concord.Unavailable && k != concord.Conflict {
				fmt.Println("error", which, err)
			} else {
				fmt.Println("rotate", which)
			}
			mu.Unlock()
			// However slow the machine is, each change is made before the next, unless it is killed.
			for end := time.Now().Add(5 * time.Second); err == nil && c.machine.Load().State().Epoch == epoch && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(40 * time.Millisecond)
		}
	}()
	for {
		seq, prev, err := c.Next(testOperator)
		if err != nil {
			continue
		}
		tx, _ := attestation(t, c, cfg.Keys, seq, prev)
		index, err := c.Submit(context.Background(), tx)
		mu.Lock()
		switch {
		case err == nil:
			fmt.Println("ack", ledger.LeafHash(tx), index)
		case concord.KindOf(err) != concord.Conflict && concord.KindOf(err) != concord.Unavailable:
			fmt.Println("error", err)
		}
		mu.Unlock()
	}
}

// Killed at any moment while its keys change, a node goes on with the keys that its ledger knows, and nothing acknowledged is lost.
func TestKillWhileRotating(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Skipf("SKIPPED: no path of the test binary to start it anew (%v); nothing was killed: run this test on Linux", err)
	}
	dir := t.TempDir()
	acked := map[string]uint64{}
	for round := range 6 {
		killRotating(t, exe, dir, acked, 3+round)
	}
	cfg := testConfig(t, dir)
	c := start(t, cfg)
	submits := func() bool { // not while a change that the kill cut short is made
		seq, prev, err := c.Next(testOperator)
		if err == nil {
			tx, _ := attestation(t, c.Chain, cfg.Keys, seq, prev)
			_, err = c.Submit(t.Context(), tx)
		}
		return err == nil
	}
	for end := time.Now().Add(patience); !submits(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it takes no transaction: %+v", c.Status())
		}
	}
	list, err := c.Entries(0, MaxEntries)
	if err != nil {
		t.Fatal(err)
	}
	rotated := map[string]int{}
	for _, e := range list {
		if index, ok := acked[e.Leaf.String()]; ok && index != e.Index {
			t.Errorf("entry %d was acknowledged as %d", e.Index, index)
		}
		delete(acked, e.Leaf.String())
		if n, err := note.Parse([]byte(e.Text)); err == nil && strings.Contains(n.Text, "\nrotate ") {
			rotated[strings.Fields(n.Text[strings.Index(n.Text, "\nrotate "):])[2]]++
		}
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged transactions are not in the log", len(acked))
	}
	if _, err := c.Replay(); err != nil {
		t.Error(err)
	}
	t.Logf("%d entries, changed keys: %v", len(list), rotated)
	if len(rotated) < 5 {
		t.Errorf("not every key was changed: %v", rotated)
	}
}

// killRotating runs a child until it has asked for some changes, then kills it.
func killRotating(t *testing.T, exe, dir string, acked map[string]uint64, some int) {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), rotatingDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer guard.Stop()
	asked := 0
	for sc := bufio.NewScanner(out); sc.Scan(); { // what is in the pipe when it is killed counts
		f := strings.Fields(sc.Text())
		switch f[0] {
		case "ack":
			var index uint64
			fmt.Sscan(f[2], &index)
			acked[f[1]] = index
		case "rotate":
			if asked++; asked == some {
				time.Sleep(time.Duration(some) * 3 * time.Millisecond) // at another step each time
				_ = cmd.Process.Kill()
			}
		default:
			t.Errorf("child: %s", sc.Text())
		}
	}
	_ = cmd.Wait()
	if asked < some {
		t.Errorf("the child asked for %d changes, want %d", asked, some)
	}
}
