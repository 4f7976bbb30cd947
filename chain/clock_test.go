package chain

import (
	"context"
	"errors"
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

// A node whose clock is behind is started while the others are ahead of it: it fetches a block that its clock does not allow. It says that it waits for its
// clock, and goes on with the same peers as soon as the clock is there.
func TestBlockAheadOfTheClockIsFetched(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 2)
	alice, bob := f.list[0], f.list[1]
	f.attest(alice)
	f.agree()
	bob.halt(t)
	alice.halt(t)
	at := time.Now().Add(clockTolerance + 20*time.Second).Truncate(time.Millisecond)
	size := decideAt(t, alice.cfg, at)
	alice.running = start(t, alice.cfg)
	bob.running = start(t, bob.cfg)
	allowed := at.Add(-clockTolerance)
	f.until("bob says that its clock is behind", func() bool { return strings.Contains(bob.Status().Waits, "clock is behind") })
	if now := time.Now(); !now.Before(allowed) {
		t.Fatalf("that came %v after the clock was there: nothing was tried", now.Sub(allowed))
	}
	f.until("bob has all of alice's log", func() bool { return bob.Status().Size == size })
	late := time.Since(allowed)
	if late < 0 || late > 50*time.Second { // CometBFT would fetch nothing for a minute
		t.Errorf("bob had the block %v after its clock allowed it", late)
	}
	f.agree()
	if s := bob.Status(); s.Waits != "" || s.Halted != "" {
		t.Errorf("bob, when its clock is right: %+v", s)
	}
	t.Logf("bob had the block %v after its clock allowed it", late)
}

// decideAt puts two transactions into the log of an only voter that does not run, the second in a block of some time, and returns how many entries
// there are then. For who fetches it, its own clock is behind.
func decideAt(t *testing.T, cfg Config, at time.Time) (size uint64) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := Open(cfg)
	must(err)
	e, err := newEngine(c)
	must(err)
	defer func() { must(errors.Join(e.stop(), c.Close())) }()
	blocks, states := e.node.BlockStore(), cmtstate.NewStore(e.dbs[1], cmtstate.StoreOptions{}) // the order of NewNode
	state, err := states.Load()
	must(err)
	executor := cmtstate.NewBlockExecutor(states, logger{c, cfg.Logger}, e.node.ProxyApp().Consensus(), &mempool.NopMempool{},
		cmtstate.EmptyEvidencePool{}, blocks) // which allows any time
	pv := c.validator.Load().pv
	last := blocks.LoadSeenCommit(state.LastBlockHeight)
	for i, voted := range []time.Time{at, at.Add(time.Millisecond), at.Add(2 * time.Millisecond)} { // the last block is empty, as after each that is not
		var txs []cmttypes.Tx
		if i < 2 {
			m := c.machine.Load().State().Member(testOperator)
			tx, _ := attestation(t, c, cfg.Keys, m.Seq+1, m.LastRoot)
			txs = append(txs, tx)
		}
		height := state.LastBlockHeight + 1
		block, err := state.MakeBlock(height, txs, last, nil, pv.GetAddress())
		must(err)
		parts, err := block.MakePartSet(cmttypes.BlockPartSizeBytes)
		must(err)
		id := cmttypes.BlockID{Hash: block.Hash(), PartSetHeader: parts.Header()}
		vote := &cmttypes.Vote{Type: cmtproto.PrecommitType, Height: height, BlockID: id, Timestamp: voted, ValidatorAddress: pv.GetAddress()}
		v := vote.ToProto()
		must(pv.SignVote(state.ChainID, v))
		vote.Signature = v.Signature
		last = &cmttypes.Commit{Height: height, BlockID: id, Signatures: []cmttypes.CommitSig{vote.CommitSig()}}
		blocks.SaveBlock(block, parts, last)
		state, err = executor.ApplyBlock(state, id, block)
		must(err)
	}
	return c.machine.Load().Size()
}
