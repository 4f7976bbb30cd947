package chain

import (
	"strings"
	"testing"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"

	"concord"
)

// Two votes of one key for one height and round, which only two copies of a node or a lie can make, take the operator's vote away on every
// node, by the block that holds the evidence.
func TestFederationDoubleVote(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	for range 2 {
		f.attest(f.list[0])
	}
	f.agree()
	alice, dave := f.list[0], f.list[3]
	e := alice.Chain.running.Load()
	height := e.node.BlockStore().Height() - 1
	pv, err := loadValidator(filesOf(dave.cfg.Dir))
	if err != nil {
		t.Fatal(err)
	}
	var vals []*cmttypes.Validator
	for _, m := range alice.machine.Load().State().Members {
		vals = append(vals, cmttypes.NewValidator(cmted25519.PubKey(m.Cons[:]), 1))
	}
	set := cmttypes.NewValidatorSet(vals)
	index, _ := set.GetByAddress(pv.Key.Address)
	vote := func(what string) *cmttypes.Vote {
		h := concord.Sum([]byte(what))
		v := &cmttypes.Vote{Type: cmtproto.PrecommitType, Height: height, Round: 7, Timestamp: e.node.BlockStore().LoadBlockMeta(height).Header.Time,
			BlockID: cmttypes.BlockID{Hash: h[:], PartSetHeader: cmttypes.PartSetHeader{Total: 1, Hash: h[:]}}, ValidatorAddress: pv.Key.Address, ValidatorIndex: index}
		if v.Signature, err = pv.Key.PrivKey.Sign(cmttypes.VoteSignBytes(testChain, v.ToProto())); err != nil {
			t.Fatal(err)
		}
		return v
	}
	proof, err := cmttypes.NewDuplicateVoteEvidence(vote("one block"), vote("another"), e.node.BlockStore().LoadBlockMeta(height).Header.Time, set)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.node.EvidencePool().AddEvidence(proof); err != nil {
		t.Fatal(err)
	}
	f.until("dave is faulted for all", func() bool {
		f.attest(alice)
		return f.faulted(dave)
	})
	f.attest(f.list[1])
	f.agree()
	found := false
	list, err := alice.Entries(0, MaxEntries)
	for _, x := range list {
		found = found || strings.Contains(x.Text, "\nbad DUPLICATE_VOTE dave.example ")
	}
	if err != nil || !found {
		t.Errorf("the evidence is in no block's record: %v", err)
	}
	if _, _, err := dave.Next(dave.name); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("a faulted operator's attestations wait, not %v", err)
	}
}
