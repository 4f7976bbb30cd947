package chain

import (
	"bytes"
	"path/filepath"
	"sync"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"

	"concord"
	"concord/durable"
)

// meetWithin bounds how long the only voter waits, before its first vote, for one of the others to say what it has seen.
const meetWithin = 15 * time.Second

// validator signs this node's votes. Beyond CometBFT's own file signer, which refuses to go back behind its state, it
// notices that the state itself is older than it was, as after the restore of a backup: a decided block carries a vote of this
// key that the state knows nothing of. From then on it signs nothing. With another
// consensus key, which the others decide (Rotate), the operator votes again. The state is durable before a vote leaves.
type validator struct {
	dir  string // of the state file
	wait func() // returns when the others were heard, or could not be

	mu     sync.Mutex
	pv     *privval.FilePV
	barred error
}

var _ cmttypes.PrivValidator = (*validator)(nil)

func newValidator(f engineFiles, pv *privval.FilePV, wait func()) *validator {
	return &validator{dir: filepath.Dir(f.consState), pv: pv, wait: wait}
}

func (v *validator) GetPubKey() (crypto.PubKey, error) { return v.pv.GetPubKey() }

func (v *validator) SignVote(chainID string, vote *cmtproto.Vote) error {
	return v.sign(func() error { return v.pv.SignVote(chainID, vote) })
}

func (v *validator) SignProposal(chainID string, p *cmtproto.Proposal) error {
	return v.sign(func() error { return v.pv.SignProposal(chainID, p) })
}

func (v *validator) sign(f func() error) error {
	v.wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.barred != nil {
		return v.barred
	}
	if err := f(); err != nil {
		return err
	}
	return durable.SyncDir(v.dir) // CometBFT syncs the file, and not the name under which it is found
}

// saw looks for votes of this key among those that decided a height.
func (v *validator) saw(height int64, votes []abci.VoteInfo) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.barred != nil || v.pv.LastSignState.Height >= height {
		return
	}
	me := v.pv.Key.Address
	for _, x := range votes {
		if x.BlockIdFlag != cmtproto.BlockIDFlagAbsent && bytes.Equal(x.Validator.Address, me) {
			v.barred = concord.Errorf(concord.Conflict, "this node's consensus key voted at height %d, but its state knows of height %d only: the state is older than it was, as after the restore of a backup. It votes no more, so that it cannot contradict itself; %s", height, v.pv.LastSignState.Height, unbarred)
			return
		}
	}
}

// unbarred is what helps a node that votes no more.
const unbarred = "with a new key it votes again: concord federation rotate cons, which the others must sign. Nobody can for an only voter, who needs its newer files back"

// bar ends the signing for a reason.
func (v *validator) bar(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.barred == nil {
		v.barred = err
	}
}

func (v *validator) why() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.barred
}
