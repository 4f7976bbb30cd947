package chain

import (
	"context"
	"fmt"
	"strings"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"concord"
	"concord/ledger"
)

// app is the application that CometBFT drives. It translates; every decision is ledger's. CometBFT calls it on four
// connections at once: what reads takes the machine of the last commit, which is immutable.
type app struct {
	abci.BaseApplication
	c       *Chain
	pending *block // decided by FinalizeBlock, not committed; used on the consensus connection only
	height  int64
}

// codeOK is the ABCI code of success. Others are 1 + concord.Kind.
const codeOK = abci.CodeTypeOK

// guard turns a panic into an error and reports either to Run: CometBFT itself would log it and live on without
// consensus.
func (a *app) guard(what string, err *error) {
	if p := recover(); p != nil {
		*err = concord.Errorf(concord.Internal, "panic: %v", p)
	}
	if *err != nil {
		*err = fmt.Errorf("%s: %w", what, *err)
		a.c.fail(*err)
	}
}

func (a *app) Info(context.Context, *abci.RequestInfo) (*abci.ResponseInfo, error) {
	m := a.c.machine.Load()
	root := m.Root()
	return &abci.ResponseInfo{Data: "concord", Version: concord.Version, LastBlockHeight: m.Height(), LastBlockAppHash: root[:]}, nil
}

func (a *app) InitChain(_ context.Context, req *abci.RequestInitChain) (_ *abci.ResponseInitChain, err error) {
	defer a.guard("found the chain", &err)
	m := a.c.machine.Load()
	if m.Height() != 0 || m.Size() != uint64(len(a.c.genesis.notes)) {
		return nil, concord.Errorf(concord.Corrupt, "consensus starts from its genesis, but the log has %d entries at height %d: the engine's files are lost or older than the log", m.Size(), m.Height())
	}
	power := map[string]int64{}
	for _, mem := range m.State().Members {
		if mem.Power > 0 {
			power[string(mem.Cons[:])] = int64(mem.Power)
		}
	}
	for _, v := range req.Validators {
		if power[string(v.PubKey.GetEd25519())] != v.Power {
			return nil, concord.Errorf(concord.Invalid, "the genesis file's validators are not those of its founding notes")
		}
	}
	if len(req.Validators) != len(power) {
		return nil, concord.Errorf(concord.Invalid, "the genesis file has %d validators, its founding notes %d", len(req.Validators), len(power))
	}
	root := m.Root()
	return &abci.ResponseInitChain{AppHash: root[:]}, nil
}

func (a *app) CheckTx(_ context.Context, req *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	m := a.c.machine.Load()
	check := m.Check
	if after := m.State().After; req.Type == abci.CheckTxType_Recheck && after != nil && after.Height < m.Height() {
		// The last two blocks took nothing. (One says little: it follows every block that appended, and comes before what waits has
		// reached its proposer.) What still waits and could not be executed now would only make another such block, and
		// another: it leaves the mempool, and who submitted it offers it again.
		check = m.Ready
	}
	if err := check(req.Tx); err != nil {
		a.c.suspect(req.Tx)
		return &abci.ResponseCheckTx{Code: 1 + uint32(concord.KindOf(err)), Log: err.Error()}, nil
	}
	return &abci.ResponseCheckTx{Code: codeOK}, nil
}

func (a *app) PrepareProposal(_ context.Context, req *abci.RequestPrepareProposal) (_ *abci.ResponsePrepareProposal, err error) {
	defer a.guard("prepare a block", &err)
	b := blockOf(req.Height, req.Time, req.Misbehavior, req.Txs)
	return &abci.ResponsePrepareProposal{Txs: a.c.machine.Load().Prepare(b, req.MaxTxBytes)}, nil
}

func (a *app) ProcessProposal(_ context.Context, req *abci.RequestProcessProposal) (_ *abci.ResponseProcessProposal, err error) {
	defer a.guard("judge a block", &err)
	if err := a.c.machine.Load().Process(blockOf(req.Height, req.Time, req.Misbehavior, req.Txs)); err != nil {
		a.c.cfg.Logger.Warn("refused a proposed block", "height", req.Height, "reason", err)
		for _, tx := range req.Txs {
			a.c.suspect(tx)
		}
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}, nil
	}
	return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, nil
}

// blockOf is a block as the machine sees it. The engine gives the same time and the same evidence when a block is prepared, judged and
// executed.
func blockOf(height int64, at time.Time, misbehavior []abci.Misbehavior, txs [][]byte) ledger.Block {
	b := ledger.Block{Height: height, Time: at.Unix(), Txs: txs}
	for _, m := range misbehavior {
		bad := ledger.Misbehaviour{Kind: m.Type.String(), Height: m.Height}
		copy(bad.Address[:], m.Validator.Address)
		b.Bad = append(b.Bad, bad)
	}
	return b
}

func (a *app) FinalizeBlock(_ context.Context, req *abci.RequestFinalizeBlock) (_ *abci.ResponseFinalizeBlock, err error) {
	defer a.guard("execute a block", &err)
	if v := a.c.validator.Load(); v != nil {
		v.saw(req.Height-1, req.DecidedLastCommit.Votes)
	}
	b := blockOf(req.Height, req.Time, req.Misbehavior, req.Txs)
	copy(b.Hash[:], req.Hash)
	copy(b.NextValidators[:], req.NextValidatorsHash)
	out, err := a.c.machine.Load().Finalize(b)
	if err != nil {
		return nil, err
	}
	a.pending, a.height = &block{next: out.Next, entries: out.Entries, time: b.Time}, req.Height
	if a.pending.state, a.pending.closed, err = closing(out); err != nil {
		return nil, err
	}
	root := out.Next.Root()
	res := &abci.ResponseFinalizeBlock{AppHash: root[:], TxResults: make([]*abci.ExecTxResult, len(req.Txs))}
	for i := range res.TxResults {
		res.TxResults[i] = &abci.ExecTxResult{Code: codeOK}
	}
	for _, u := range out.Updates {
		res.ValidatorUpdates = append(res.ValidatorUpdates, abci.Ed25519ValidatorUpdate(u.Cons[:], int64(u.Power)))
	}
	return res, nil
}

// Commit makes the decided block durable: the only place that writes the log.
func (a *app) Commit(context.Context, *abci.RequestCommit) (_ *abci.ResponseCommit, err error) {
	defer a.guard("commit a block", &err)
	b := a.pending
	if b == nil {
		return nil, concord.Errorf(concord.Internal, "commit without a decided block")
	}
	a.pending = nil
	if err := a.c.store.append(*b, a.height); err != nil {
		return nil, err
	}
	if err := a.c.adopt(b.next); err != nil { // before anybody sees that the ledger has other keys
		return nil, err
	}
	a.c.machine.Store(b.next)
	a.c.last.Store(b.time * 1e9)
	a.c.busy.Store(len(b.entries) > 0)
	if len(b.entries) > 0 {
		a.c.addHead(a.c.headOf(b.next))
		a.c.wake()
		a.c.waiters.committed()
	} else if a.c.due() {
		a.c.wake()
	}
	return &abci.ResponseCommit{}, nil
}

// Query answers CometBFT's question whether a peer may connect: by its key, from any address.
func (a *app) Query(_ context.Context, req *abci.RequestQuery) (*abci.ResponseQuery, error) {
	if strings.HasPrefix(req.Path, "/p2p/filter/addr/") {
		return &abci.ResponseQuery{Code: codeOK}, nil
	}
	if id, ok := strings.CutPrefix(req.Path, "/p2p/filter/id/"); ok {
		if a.c.admits(id) {
			return &abci.ResponseQuery{Code: codeOK}, nil
		}
	}
	return &abci.ResponseQuery{Code: 1 + uint32(concord.Unauthorized), Log: "not a member"}, nil
}
