package chain

import (
	"slices"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"

	"concord/note"
)

// TestSignsAfterOthers gives a node the others' signatures of a head after it has executed the block and before it comes to sign. They must
// not keep it from signing.
func TestSignsAfterOthers(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2)
	alice, bob := f.list[0], f.list[1]
	f.attest(alice)
	f.agree()
	bob.halt(t)
	f.attest(alice)
	c, err := Open(bob.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	blocks, a := alice.Chain.running.Load().node.BlockStore(), &app{c: c}
	for size := alice.Checkpoint().Size; c.machine.Load().Size() < size; {
		b := blocks.LoadBlock(c.machine.Load().Height() + 1)
		if _, err := a.FinalizeBlock(t.Context(), &abci.RequestFinalizeBlock{Height: b.Height, Time: b.Time, Txs: b.Data.Txs.ToSliceOfBytes(), Hash: b.Hash(), NextValidatorsHash: b.NextValidatorsHash}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Commit(t.Context(), &abci.RequestCommit{}); err != nil {
			t.Fatal(err)
		}
	}
	size := c.machine.Load().Size()
	theirs, err := alice.store.checkpointAt(size)
	if err != nil || theirs == nil {
		t.Fatalf("alice has signed no head of %d entries: %v", size, err)
	}
	if err := c.takeHead([]byte(theirs.Note)); err != nil {
		t.Fatal(err)
	}
	if got := c.Checkpoint().Size; got != size {
		t.Fatalf("the newest head has %d entries, not the %d that alice signed", got, size)
	}
	if err := c.sign(); err != nil {
		t.Fatal(err)
	}
	cp, err := c.store.checkpointAt(size)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Parse([]byte(cp.Note))
	if err != nil || !slices.ContainsFunc(n.Sigs, alice.cfg.Keys.Cosign.Key().Made) || !slices.ContainsFunc(n.Sigs, bob.cfg.Keys.Cosign.Key().Made) {
		t.Errorf("want the signatures of both (%v):\n%s", err, cp.Note)
	}
}
