//go:build e2e

package chain

import (
	"slices"
	"strings"
	"testing"

	"concord/ledger"
)

// What one operator proposes while another decision is open is not forgotten when that is made first: its node proposes it again, also after a
// restart, and no more once it is decided, or cannot be.
func TestFederationProposesAgain(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	alice, bob, carol := f.list[0], f.list[1], f.list[2]
	f.connected()
	propose := func(p *party, action string) Ballot {
		t.Helper()
		b, err := p.Propose(action)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	find := func(p *party, action string) (b Ballot, ok bool) {
		list := p.Ballots()
		i := slices.IndexFunc(list, func(b Ballot) bool { return b.Action == action+"\n" })
		if i < 0 {
			return b, false
		}
		return list[i], true
	}
	sign := func(action string, signers ...*party) {
		t.Helper()
		for _, p := range signers {
			var b Ballot
			f.until(p.name+" sees that "+action+" waits", func() (ok bool) { b, ok = find(p, action); return ok })
			if _, err := p.Sign(b.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	param := func(action string) bool {
		for _, p := range f.list {
			if !strings.Contains(p.machine.Load().State().String(), "\n"+strings.Replace(action, "set", "param", 1)+"\n") {
				return false
			}
		}
		return true
	}

	const one, two, three = "set asks 8", "set txbytes 32768", "set asks 9"
	first, second := propose(alice, one), propose(bob, two)
	if first.Epoch != second.Epoch {
		t.Fatal("both are for another epoch")
	}
	sign(one, bob, carol)
	f.until("the first is decided", func() bool { return param(one) })
	f.until("the second is proposed again, for the next epoch", func() bool { b, ok := find(carol, two); return ok && b.Epoch == second.Epoch+1 })
	if b, _ := find(carol, two); !slices.Equal(b.Signed, []string{bob.name}) {
		t.Errorf("it is signed by %v, want its maker alone", b.Signed)
	}

	propose(carol, three) // and once more, with a restart of its maker
	sign(three, alice)
	if err := bob.stop(); err != nil {
		t.Fatal(err)
	}
	sign(three, f.list[3])
	bob.running = start(t, bob.cfg)
	f.until("the third is decided", func() bool { return param(three) })
	sign(two, alice, carol)
	f.until("the second is decided", func() bool { return param(two) })
	f.attest(alice)
	f.agree()
	for _, p := range f.list {
		f.until(p.name+" wants nothing more", func() bool {
			p.ballots.mu.Lock()
			defer p.ballots.mu.Unlock()
			return len(p.ballots.proposals) == 0 && len(p.ballots.byID) == 0
		})
		if l := p.Status().Lapsed; len(l) > 0 {
			t.Errorf("%s: %v", p.name, l)
		}
	}

	propose(alice, "drop "+f.list[3].name+"\nvoters 3")
	propose(bob, "power "+f.list[3].name+" 0\nvoters 3")
	sign("drop "+f.list[3].name+"\nvoters 3", bob, carol)
	f.until("dave has left", func() bool { return alice.machine.Load().State().Member(f.list[3].name).Status == ledger.Left })
	f.until("bob is told that what it proposed cannot be decided", func() bool { return len(bob.Status().Lapsed) == 1 })
}
