package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtlog "github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/proxy"
	cmtstate "github.com/cometbft/cometbft/state"
	cmtstore "github.com/cometbft/cometbft/store"
	cmttypes "github.com/cometbft/cometbft/types"

	"concord"
	"concord/chain"
	"concord/ledger"
	"concord/note"
)

// A long log through consensus would take the better part of an hour. So its blocks are made as the only voter of a ledger would have made them, with
// its own keys, with the ledger's state machine and CometBFT's own block executor, but one after the other, without mempool, proposals and
// votes on the way. A node that is then started on the files finds a log that is behind its blocks, as after the loss of the log, and does
// what it always does: it executes every block and checks the root that the next one has.

// feedBlock is how many transactions such a block has.
const feedBlock = 1000

// feeder makes blocks.
type feeder struct {
	abci.BaseApplication
	machine, next *ledger.Machine
	keys          *note.Keys
	operator      string
	seq           uint64

	pv     *privval.FilePV
	state  cmtstate.State
	blocks *cmtstore.BlockStore
	exec   *cmtstate.BlockExecutor
	last   *cmttypes.Commit
	close  func() error
}

// openFeeder opens the files of a ledger of one operator, whose node does not run.
func openFeeder(dir, operator string) (f *feeder, err error) {
	log, err := chain.OpenLog(filepath.Join(dir, "chain"))
	if err != nil {
		return nil, err
	}
	f = &feeder{machine: log.Machine(), operator: operator}
	if err := log.Close(); err != nil {
		return nil, err
	}
	origin, err := chain.Origin(filepath.Join(dir, "chain"))
	if err != nil {
		return nil, err
	}
	if f.keys, err = note.LoadOrCreateKeys(filepath.Join(dir, "keys"), operator, origin); err != nil {
		return nil, err
	}
	f.seq = f.machine.State().Member(operator).Seq
	home := filepath.Join(dir, "chain", "engine")
	f.pv = privval.LoadFilePV(filepath.Join(home, "config", "priv_validator_key.json"), filepath.Join(home, "data", "priv_validator_state.json"))
	blocks, err := dbm.NewGoLevelDB("blockstore", filepath.Join(home, "data"))
	if err != nil {
		return nil, err
	}
	states, err := dbm.NewGoLevelDB("state", filepath.Join(home, "data"))
	if err != nil {
		return nil, errors.Join(err, blocks.Close())
	}
	f.close = func() error { return errors.Join(blocks.Close(), states.Close()) }
	f.blocks = cmtstore.NewBlockStore(blocks)
	store := cmtstate.NewStore(states, cmtstate.StoreOptions{DiscardABCIResponses: true})
	if f.state, err = store.Load(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	client, err := proxy.NewLocalClientCreator(f).NewABCIClient()
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	f.exec = cmtstate.NewBlockExecutor(store, cmtlog.NewNopLogger(), proxy.NewAppConnConsensus(client, proxy.NopMetrics()), &mempool.NopMempool{}, cmtstate.EmptyEvidencePool{}, f.blocks)
	f.last = f.blocks.LoadSeenCommit(f.state.LastBlockHeight)
	if f.last == nil || f.state.LastBlockHeight != f.machine.Height() {
		return nil, errors.Join(fmt.Errorf("the engine is at height %d, the log at %d", f.state.LastBlockHeight, f.machine.Height()), f.close())
	}
	return f, nil
}

// fill makes blocks until the log of whoever executes them has at least that many entries, or the time is over.
func (f *feeder) fill(ctx context.Context, entries uint64, atMost time.Duration) (txs int, bytes int64, err error) {
	ctx, stop := context.WithTimeout(ctx, atMost)
	defer stop()
	signed, failed := f.sign(ctx)
	for f.machine.Size() < entries {
		select {
		case list := <-signed:
			for _, tx := range list {
				bytes += int64(len(tx))
			}
			txs += len(list)
			if err := f.block(list); err != nil {
				return txs, bytes, fmt.Errorf("block %d: %w", f.state.LastBlockHeight+1, err)
			}
		case err := <-failed:
			return txs, bytes, err
		case <-ctx.Done():
			return txs, bytes, nil
		}
	}
	return txs, bytes, nil
}

// sign makes the transactions of blocks ahead.
func (f *feeder) sign(ctx context.Context) (<-chan []cmttypes.Tx, <-chan error) {
	blocks, failed := make(chan []cmttypes.Tx, 4), make(chan error, 1)
	head := ledger.Head{Chain: f.machine.State().Chain, From: f.operator, Seq: f.seq}
	go func() {
		for {
			list := make([]cmttypes.Tx, feedBlock)
			for i := range list {
				head.Seq++
				d := concord.Sum(fmt.Appendf(nil, "%s %d", head.Chain, head.Seq))
				tx, err := ledger.Sign(&ledger.DocTx{Head: head, Digests: []concord.Digest{d}}, f.keys.Op)
				if err != nil {
					failed <- err
					return
				}
				list[i] = tx
			}
			select {
			case blocks <- list:
			case <-ctx.Done():
				return
			}
		}
	}()
	return blocks, failed
}

// block makes, signs, keeps and executes one.
func (f *feeder) block(txs []cmttypes.Tx) error {
	me := f.pv.Key.Address
	b, err := f.state.MakeBlock(f.state.LastBlockHeight+1, txs, f.last, nil, me)
	if err != nil {
		return err
	}
	parts, err := b.MakePartSet(cmttypes.BlockPartSizeBytes)
	if err != nil {
		return err
	}
	id := cmttypes.BlockID{Hash: b.Hash(), PartSetHeader: parts.Header()}
	at := time.Now().UTC()
	if !at.After(b.Time) { // a block's time is that of the votes on the last, and grows
		at = b.Time.Add(time.Millisecond)
	}
	vote := &cmttypes.Vote{Type: cmtproto.PrecommitType, Height: b.Height, BlockID: id, Timestamp: at, ValidatorAddress: me}
	v := vote.ToProto()
	if err := f.pv.SignVote(f.state.ChainID, v); err != nil {
		return err
	}
	vote.Signature, vote.Timestamp = v.Signature, v.Timestamp
	f.last = &cmttypes.Commit{Height: b.Height, BlockID: id, Signatures: []cmttypes.CommitSig{vote.CommitSig()}}
	f.blocks.SaveBlock(b, parts, f.last)
	f.state, err = f.exec.ApplyBlock(f.state, id, b)
	return err
}

// FinalizeBlock executes a block as package chain does.
func (f *feeder) FinalizeBlock(_ context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	b := ledger.Block{Height: req.Height, Time: req.Time.Unix(), Txs: req.Txs}
	copy(b.Hash[:], req.Hash)
	copy(b.NextValidators[:], req.NextValidatorsHash)
	out, err := f.machine.Finalize(b)
	if err != nil {
		return nil, err
	}
	f.next = out.Next
	root := out.Next.Root()
	res := &abci.ResponseFinalizeBlock{AppHash: root[:], TxResults: make([]*abci.ExecTxResult, len(req.Txs))}
	for i := range res.TxResults {
		res.TxResults[i] = &abci.ExecTxResult{}
	}
	return res, nil
}

// Commit keeps nothing but the state.
func (f *feeder) Commit(context.Context, *abci.RequestCommit) (*abci.ResponseCommit, error) {
	f.machine = f.next
	return &abci.ResponseCommit{}, nil
}
