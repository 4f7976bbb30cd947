package chain

import (
	"context"
	"sync"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"concord"
	"concord/ledger"
)

// What waits survives the empty block that follows every other, although only the first of an operator's could be executed alone; after a second one
// that took nothing it leaves, or there would be another, and another.
func TestWaitingSurvivesTheEmptyBlock(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var txs [][]byte
	seq, prev, err := c.Next(testOperator)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		var tx []byte
		tx, prev = attestation(t, c, cfg.Keys, seq, prev)
		txs = append(txs, tx)
		seq++
	}
	ctx, a := context.Background(), c.application
	block := func(txs ...[]byte) {
		t.Helper()
		h := c.machine.Load().Height() + 1
		if _, err := a.FinalizeBlock(ctx, &abci.RequestFinalizeBlock{Height: h, Time: time.Unix(1_800_000_000+h, 0), Txs: txs}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Commit(ctx, &abci.RequestCommit{}); err != nil {
			t.Fatal(err)
		}
	}
	waits := func(when string, tx []byte, want bool) {
		t.Helper()
		r, err := a.CheckTx(ctx, &abci.RequestCheckTx{Tx: tx, Type: abci.CheckTxType_Recheck})
		if err != nil || (r.Code == codeOK) != want {
			t.Errorf("%s: %+v, %v; want it to wait: %v", when, r, err, want)
		}
	}
	for range 2 { // every time, not only at the beginning
		block(txs[0])
		waits("after a block", txs[3], true)
		block()
		waits("after the empty one, the next", txs[1], true)
		waits("after the empty one, a later one", txs[3], true)
		txs = txs[1:]
	}
	block()
	waits("after two empty blocks, the next", txs[0], true)
	waits("after two empty blocks, a later one", txs[1], false)
	if r, err := a.CheckTx(ctx, &abci.RequestCheckTx{Tx: txs[1]}); err != nil || r.Code != codeOK {
		t.Errorf("offered again: %+v, %v", r, err)
	}
	block()
	waits("after three", txs[2], false)
	block(txs[0], txs[1])
	waits("after a block again", txs[2], true)
	if r, _ := a.CheckTx(ctx, &abci.RequestCheckTx{Tx: txs[0]}); r.Code != 1+uint32(concord.Conflict) {
		t.Errorf("a transaction that was executed: %+v", r)
	}
}

// deaf refuses each transaction the first time, as a node that is behind does.
type deaf struct {
	abci.Application
	heard sync.Map
}

func (d *deaf) CheckTx(ctx context.Context, req *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	if _, again := d.heard.LoadOrStore(string(req.Tx), true); !again {
		return &abci.ResponseCheckTx{Code: 1 + uint32(concord.Unavailable)}, nil
	}
	return d.Application.CheckTx(ctx, req)
}

// A transaction that all others have dropped is sent to them again, and need not wait until its own node may propose.
func TestDroppedElsewhere(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	for _, p := range f.list[1:] {
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		p.running = startWith(t, p.cfg, func(app abci.Application) abci.Application { return &deaf{Application: app} })
	}
	alice := f.list[0]
	for i := range 4 { // one of two at least is not at alice's turn
		seq, _, err := alice.Next(alice.name)
		if err != nil {
			t.Fatal(err)
		}
		tx, err := ledger.Sign(&ledger.DocTx{Head: ledger.Head{Chain: alice.ID(), From: alice.name, Seq: seq}, Digests: []concord.Digest{{byte(i + 1)}}}, alice.cfg.Keys.Op)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err = alice.Submit(ctx, tx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
}
