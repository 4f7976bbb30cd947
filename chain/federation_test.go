package chain

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/note"
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
}

var partyNames = []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace"}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
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
func newFederation(t testing.TB, n int) *federation {
	t.Helper()
	f := &federation{t: t}
	first := &party{name: "alice.example", cfg: partyConfig(t, "alice", "alice.example/"+testChain)}
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
	p := &party{name: name + ".example", cfg: partyConfig(f.t, name, b.Origin)}
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
			return p.machine.Load().State().Epoch > epoch || len(p.Ballots()) > 0
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

func (p *party) attest(t testing.TB, within time.Duration) (tx []byte, index uint64, err error) {
	t.Helper()
	seq, prev, err := p.Next(p.name)
	if err != nil {
		return nil, 0, err
	}
	root := concord.Sum(fmt.Appendf(nil, "%s batch %d", p.name, seq))
	a := concord.Attestation{Chain: p.ID(), From: p.name, Seq: seq, Count: 1, Root: root, First: 1, Last: 2, Prev: prev}
	if tx, err = note.Sign(a.String(), p.cfg.Keys.Op); err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	index, err = p.Submit(ctx, tx)
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

func TestFederationGrows(t *testing.T) {
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
	for _, p := range f.list {
		cp := p.Checkpoint()
		if n := strings.Count(cp.Note, "\n— "); n < 4 {
			t.Errorf("%s: the head has %d signatures, want that of the log and three of the four operators:\n%s", p.name, n, cp.Note)
		}
	}
}
