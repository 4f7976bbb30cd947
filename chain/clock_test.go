package chain

import (
	"context"
	"strings"
	"testing"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/mempool"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/proxy"
	cmtstate "github.com/cometbft/cometbft/state"
	cmtstore "github.com/cometbft/cometbft/store"
	cmttypes "github.com/cometbft/cometbft/types"

	"concord"
)

// CometBFT says only in words that a block is ahead of the clock. These are its own: consensus of the version that is built in ends for such a block,
// and what it logs then is understood. Were it said otherwise, the node would end.
func TestBlockAheadOfTheClockIsRecognised(t *testing.T) {
	t.Parallel()
	for what, vote := range map[string]cmtproto.SignedMsgType{"two thirds want it": cmtproto.PrevoteType, "it was decided": cmtproto.PrecommitType} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t, t.TempDir())
			c, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			at := time.Now().UTC().Add(time.Hour).Truncate(time.Millisecond)
			follow(t, logger{c, cfg.Logger}, at, vote)
			select {
			case got := <-c.late:
				if !got.Equal(at) {
					t.Errorf("consensus ended for a block of %v, which is taken for one of %v", at, got)
				}
			case <-c.failed:
				t.Errorf("what CometBFT says is not understood: %v", c.failure())
			case <-time.After(patience):
				t.Error("consensus did not end, or nothing was logged")
			}
		})
	}
}

// follow runs CometBFT's consensus as it is on a node that has no vote. The only voter of its chain proposes a block of some time, and votes for it.
func follow(t *testing.T, l logger, at time.Time, vote cmtproto.SignedMsgType) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg := engineConfig(t.TempDir())
	if cfg.Consensus.BlockTimeTolerance != clockTolerance {
		t.Errorf("CometBFT lets a block lie %v ahead of the clock, not %v", cfg.Consensus.BlockTimeTolerance, clockTolerance)
	}
	voter := cmttypes.NewMockPV()
	me := voter.PrivKey.PubKey()
	state, err := cmtstate.MakeGenesisState(&cmttypes.GenesisDoc{ChainID: testChain, GenesisTime: at, // which is that of the first block
		Validators: []cmttypes.GenesisValidator{{PubKey: me, Power: 1}}})
	must(err)
	block, err := state.MakeBlock(1, nil, &cmttypes.Commit{}, nil, me.Address())
	must(err)
	parts, err := block.MakePartSet(cmttypes.BlockPartSizeBytes)
	must(err)
	id := cmttypes.BlockID{Hash: block.Hash(), PartSetHeader: parts.Header()}
	proposal := cmttypes.NewProposal(1, 0, -1, id)
	p := proposal.ToProto()
	must(voter.SignProposal(testChain, p))
	proposal.Signature = p.Signature
	voted := &cmttypes.Vote{Type: vote, Height: 1, BlockID: id, Timestamp: at, ValidatorAddress: me.Address()}
	v := voted.ToProto()
	must(voter.SignVote(testChain, v))
	voted.Signature = v.Signature

	client, err := proxy.NewLocalClientCreator(abci.NewBaseApplication()).NewABCIClient()
	must(err)
	blocks := cmtstore.NewBlockStore(dbm.NewMemDB())
	none, evidence := &mempool.NopMempool{}, cmtstate.EmptyEvidencePool{}
	executor := cmtstate.NewBlockExecutor(cmtstate.NewStore(dbm.NewMemDB(), cmtstate.StoreOptions{}), l, proxy.NewAppConnConsensus(client, proxy.NopMetrics()), none, evidence, blocks,
		cmtstate.BlockExecutorWithBlockTimeTolerance(cfg.Consensus.BlockTimeTolerance))
	s := consensus.NewState(cfg.Consensus, state, executor, blocks, none, evidence)
	s.SetLogger(l)
	bus := cmttypes.NewEventBus()
	must(bus.Start())
	s.SetEventBus(bus)
	must(s.Start())
	t.Cleanup(func() {
		_ = s.Stop()
		s.Wait()
		_ = bus.Stop()
	})
	must(s.SetProposalAndBlock(proposal, block, parts, "voter"))
	_, err = s.AddVote(voted, "voter")
	must(err)
}

// Consensus that ended for a block ahead of the clock begins anew when the clock has come there, in the same process.
func TestBlockAheadOfTheClock(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	tx, digest := attestation(t, c, cfg.Keys, 1, concord.Digest{})
	if _, err := c.Submit(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	before := c.running.Load()
	at := time.Now().UTC().Add(clockTolerance + 2*time.Second)
	c.late <- at // as the logger does
	for end := time.Now().Add(10 * time.Second); c.running.Load() == before && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if e := c.running.Load(); e == before || time.Until(at) < clockTolerance/2 {
		t.Fatalf("consensus goes on as if nothing was: %p", e)
	}
	for end := time.Now().Add(10 * time.Second); !strings.Contains(c.Status().Waits, "clock is behind"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nobody is told what it waits for: %+v", c.Status())
		}
	}
	next, _ := attestation(t, c, cfg.Keys, 2, digest)
	for end := time.Now().Add(20 * time.Second); ; {
		if _, err = c.Submit(t.Context(), next); concord.KindOf(err) != concord.Unavailable || time.Now().After(end) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if s := c.Status(); err != nil || s.Waits != "" {
		t.Errorf("when the clock is right again: %v, waits %q", err, s.Waits)
	}
	if now := time.Now(); now.Before(at.Add(-clockTolerance)) {
		t.Errorf("it went on %v before the clock allows", at.Add(-clockTolerance).Sub(now))
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
