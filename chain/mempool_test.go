package chain

import (
	"context"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"concord"
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
