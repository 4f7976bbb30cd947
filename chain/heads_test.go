package chain

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	abci "github.com/cometbft/cometbft/abci/types"

	"concord"
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

// What a power cut leaves of a chain that acknowledged a transaction has the entry and what the cosigner signed; the checkpoint it may lack. It is made again,
// of the same head, before anything else, whether the store has nothing of that head or what others signed.
func TestCheckpointIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2)
	alice, bob := f.list[0], f.list[1]
	f.attest(bob)
	_, index := f.attest(alice)
	f.agree()
	f.until("bob has both signatures", func() bool { return cosigned(bob.Checkpoint(), alice, bob) })
	want, signer := bob.Checkpoint(), lastCosigned(t, bob.cfg)
	if want.Size <= index || signer.Size != want.Size || signer.Root != want.Root {
		t.Fatalf("a transaction is entry %d, under a head of %d; %d were cosigned", index, want.Size, signer.Size)
	}
	bob.halt(t)
	alice.halt(t) // who would send bob's own signature back
	for what, keep := range map[string]func(note.Sig) bool{
		"nothing":            func(note.Sig) bool { return false },
		"what alice signed":  func(s note.Sig) bool { return s.Name != bob.name && s.Name != bob.cfg.Keys.Log.Key().Name },
		"all, as it was cut": func(note.Sig) bool { return true },
	} {
		t.Run(what, func(t *testing.T) {
			forget(t, bob.cfg, want, keep)
			bob.running = start(t, bob.cfg)
			f.until("bob's signature is there again", func() bool { return bob.signed().Size == want.Size && cosigned(bob.signed(), bob) })
			if cp := bob.signed(); cp.Root != want.Root || cp.Height != want.Height || !cp.Time.Equal(want.Time) {
				t.Errorf("the head is %+v, and was %+v", cp, want)
			}
			if got := lastCosigned(t, bob.cfg); got != signer {
				t.Errorf("the cosigner has signed %+v, and had %+v", got, signer)
			}
			bob.halt(t)
		})
	}
}

func cosigned(cp concord.Checkpoint, by ...*party) bool {
	n, err := note.Parse([]byte(cp.Note))
	return err == nil && !slices.ContainsFunc(by, func(p *party) bool { return !slices.ContainsFunc(n.Sigs, p.cfg.Keys.Cosign.Key().Made) })
}

func lastCosigned(t *testing.T, cfg Config) note.Checkpoint {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(cfg.Dir, cosignFile))
	if err != nil {
		t.Fatal(err)
	}
	cp, err := parseCosigned(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

// forget takes signatures out of a stored head, as if they had not been on disk.
func forget(t *testing.T, cfg Config, cp concord.Checkpoint, keep func(note.Sig) bool) {
	t.Helper()
	st, err := openStore(filepath.Join(cfg.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Parse([]byte(cp.Note))
	if err != nil {
		t.Fatal(err)
	}
	n.Sigs = slices.DeleteFunc(n.Sigs, func(s note.Sig) bool { return !keep(s) })
	before, err := st.checkpoints(cp.Size-1, 1)
	if err != nil || len(before) != 1 {
		t.Fatalf("the head before that of %d: %d, %v", cp.Size, len(before), err)
	}
	own := append([]byte{keyCosigned}, cfg.Operator...)
	err = errors.Join(st.db.Delete(key(keyCheckpoint, cp.Size), pebble.Sync), st.db.Set(own, binary.BigEndian.AppendUint64(nil, before[0].Size), pebble.Sync))
	if cp.Note = string(n.Bytes()); err == nil && len(n.Sigs) > 0 {
		err = st.putCheckpoint(cp, n.Sigs, false)
	}
	if err = errors.Join(err, st.close()); err != nil {
		t.Fatal(err)
	}
}
