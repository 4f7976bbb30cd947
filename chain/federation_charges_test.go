//go:build e2e

package chain

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cometbft/cometbft/mempool"

	"concord"
	"concord/ledger"
	"concord/note"
)

// charged waits until a member is faulted for everybody, by one proof, which is of one of these kinds. The ledger then goes on.
func (f *federation) charged(who *party, kinds ...string) {
	f.t.Helper()
	f.until(who.name+" is faulted for everybody", func() bool { return f.faulted(who) })
	list, err := f.list[0].Find(concord.LedgerTerm{Kind: concord.TermType, Value: "fault"}, ^uint64(0), 10)
	if err != nil || len(list) != 1 {
		f.t.Fatalf("%d proofs are in the ledger, want one: %v", len(list), err)
	}
	t, err := ledger.ParseTx([]byte(list[0].Text))
	if err != nil || t.Fault.Who != who.name {
		f.t.Fatal(err, list[0].Text)
	}
	if !slices.Contains(kinds, t.Fault.Kind) {
		f.t.Errorf("the proof is of kind %s, want %s", t.Fault.Kind, strings.Join(kinds, " or "))
	}
	f.attest(f.list[1])
	f.agree()
}

// A member signs a head of a size that it signs no true head of. A later true one, and the proof between the two, take its vote away.
func TestFederationFalseTree(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	alice, bob, dave := f.list[0], f.list[1], f.list[3]
	f.attest(alice)
	f.agree()
	f.connected()
	lie := note.Checkpoint{Origin: alice.Status().Origin, Size: alice.Checkpoint().Size - 1, Root: concord.Sum([]byte("another history"))} // no block ends there
	sig, err := dave.cfg.Keys.Cosign.Cosign(lie.String(), time.Now().Unix())
	if err != nil {
		t.Fatal(err)
	}
	dave.send(gossipChannel, []byte(kindHeads), note.Join(lie.String(), sig))
	f.attest(bob)
	f.charged(dave, "tree")
}

// A member signs two attestations of one seq, the second long after the first was logged. Another signs them at once, for different nodes.
func TestFederationTwoAttestations(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(map[bool]string{false: "at once", true: "late"}[late], func(t *testing.T) {
			t.Parallel()
			f := newFederation(t, 4)
			f.promote()
			alice, bob, dave := f.list[0], f.list[1], f.list[3]
			f.attest(dave)
			f.agree()
			f.connected()
			seq, _, err := dave.next(patience)
			if err != nil {
				t.Fatal(err)
			}
			first := f.attestations(dave, dave.ID(), seq, 1)[0]
			tx, err := ledger.ParseTx(first)
			if err != nil {
				t.Fatal(err)
			}
			again := *tx.Attest
			again.Root = concord.Sum([]byte("something else"))
			second, err := note.Sign(again.String(), dave.cfg.Keys.Op)
			if err != nil {
				t.Fatal(err)
			}
			if late {
				dave.send(mempool.MempoolChannel, first)
				f.until("the first is in the log", func() bool {
					_, a := alice.Lookup(ledger.LeafHash(first))
					_, d := dave.Lookup(ledger.LeafHash(first))
					return a && d
				})
				for range 3 {
					f.attest(dave)
					f.attest(bob)
				}
				dave.send(mempool.MempoolChannel, second)
			} else {
				e := dave.Chain.running.Load()
				for i, peer := range e.node.Switch().Peers().Copy() {
					send(peer, mempool.MempoolChannel, [][]byte{first, second}[i%2])
				}
				f.attest(bob)
			}
			f.charged(dave, "attest")
		})
	}
}

// A member of a panel seals two reports, or opens its seal and then tells another story.
func TestFederationTwoReports(t *testing.T) {
	for _, kind := range []string{"seal", "show"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newFederation(t, 4)
			f.promote()
			alice, bob, dave := f.list[0], f.list[1], f.list[3]
			f.agree()
			f.connected()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			sign := func(p *party, body func(ledger.Head) ledger.Body) []byte {
				t.Helper()
				seq, _, err := p.next(patience)
				if err != nil {
					t.Fatal(err)
				}
				tx, err := ledger.Sign(body(ledger.Head{Chain: p.ID(), From: p.name, Seq: seq}), p.cfg.Keys.Op)
				if err != nil {
					t.Fatal(err)
				}
				return tx
			}
			ask, err := alice.Submit(ctx, sign(alice, func(h ledger.Head) ledger.Body {
				return &ledger.AskTx{Head: h, URL: "https://example.org/", Profile: "text-1", Need: 2, Of: 3, Until: 10}
			}))
			if err != nil {
				t.Fatal(err)
			}
			f.attest(bob) // so that the panel is drawn for all
			f.agree()
			report := func(status int) func(ledger.Head) ledger.Body {
				return func(h ledger.Head) ledger.Body {
					return &ledger.ShowTx{Head: h, Ask: ask, Round: 1, Status: status, Final: "https://example.org/", Time: 1, ASN: "-", Region: "-"}
				}
			}
			commit := func(status int) concord.Digest {
				r := report(status)(ledger.Head{Chain: dave.ID(), From: dave.name, Seq: 1}).(*ledger.ShowTx)
				return r.Commit()
			}
			seal := func(status int) func(ledger.Head) ledger.Body {
				return func(h ledger.Head) ledger.Body {
					return &ledger.SealTx{Head: h, Ask: ask, Round: 1, Commit: commit(status)}
				}
			}
			if _, err := dave.Submit(ctx, sign(dave, seal(200))); err != nil {
				t.Fatal(err)
			}
			if kind == "seal" {
				f.agree()
				dave.send(mempool.MempoolChannel, sign(dave, seal(404)))
			} else {
				time.Sleep(11 * time.Second)
				f.attest(bob) // time goes on in the ledger
				if _, err := dave.Submit(ctx, sign(dave, report(200))); err != nil {
					t.Fatal(err)
				}
				f.agree()
				dave.send(mempool.MempoolChannel, sign(dave, report(404)))
			}
			f.charged(dave, kind)
		})
	}
}

// A false head by a key that its member has no more is not looked at for ever.
func TestOldLiesAreForgotten(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2)
	alice, bob := f.list[0], f.list[1]
	alice.halt(t)
	c, err := Open(alice.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lie := note.Checkpoint{Origin: c.Origin(), Size: 1 << 20, Root: concord.Sum([]byte("another history"))}
	old := partyConfig(t, "bob", c.Origin()).Keys.Cosign
	for _, k := range []*note.Signer{bob.cfg.Keys.Cosign, old} {
		sig, err := k.Cosign(lie.String(), time.Now().Unix())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			c.charges.remember(bob.name, falseHead{lie, k.Key(), sig})
		}
	}
	if n := len(c.charges.lies[bob.name]); n != 2 {
		t.Errorf("%d false heads are remembered, want 2", n)
	}
	c.charge(t.Context(), nil)
	if l := c.charges.lies[bob.name]; len(l) != 1 || l[0].key != bob.cfg.Keys.Cosign.Key() {
		t.Errorf("false heads after a look: %+v; want that of the key of now", l)
	}
	c.charges.lies[bob.name] = []falseHead{{lie, old.Key(), note.Sig{}}}
	c.charge(t.Context(), nil)
	if l, ok := c.charges.lies[bob.name]; ok {
		t.Errorf("false heads of old keys alone: %+v", l)
	}
}

// Where an operator's transactions lie is found by their seq.
func TestSentAs(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2)
	alice := f.list[0]
	want := map[uint64]uint64{}
	for range 12 {
		tx, index := f.attest(alice)
		p, err := ledger.ParseTx(tx)
		if err != nil {
			t.Fatal(err)
		}
		want[p.Seq] = index
	}
	for seq, index := range want {
		if got, err := alice.sentAs(alice.name, seq); err != nil || !slices.Equal(got, []uint64{index}) {
			t.Errorf("seq %d is at %v, %v; want %d", seq, got, err, index)
		}
	}
	for _, none := range []uint64{0, 1 << 40} {
		if got, err := alice.sentAs(alice.name, none); err != nil || len(got) > 0 {
			t.Errorf("seq %d is at %v, %v", none, got, err)
		}
	}
	if got, err := alice.sentAs("mallory.example", 1); err != nil || len(got) > 0 {
		t.Errorf("of nobody: %v, %v", got, err)
	}
}
