package node

import (
	"context"
	"fmt"
	"time"

	"concord"
	"concord/chain"
	"concord/receipt"
	"concord/web"
)

// ledgerReader is what a node needs of the operator's ledger: to read it, and to put attestations into it. One node of a cluster has it,
// in package chain, whose Chain documents these methods; to the others it is a remoteLedger. It is an attest.Ledger as well.
type ledgerReader interface {
	ID() string
	Policy() string
	Founded() time.Time
	Members() []chain.Member
	Status() chain.Status

	Next(operator string) (seq uint64, prev concord.Digest, err error)
	Submit(ctx context.Context, tx []byte) (index uint64, err error)
	Admission(operator string, index uint64) ([]byte, error)

	Checkpoint() concord.Checkpoint
	Checkpoints(upTo uint64, n int) ([]concord.Checkpoint, error)
	Covering(index uint64) (concord.Checkpoint, error)
	Proof(index, size uint64) ([]concord.Digest, error)
	Entry(index uint64) (concord.LedgerEntry, error)
	Entries(from uint64, n int) ([]concord.LedgerEntry, error)
	Find(t concord.LedgerTerm, below uint64, n int) ([]concord.LedgerEntry, error)
	Block(height int64) (concord.LedgerBlock, error)
	HashTile(level int, n uint64, width int) ([]byte, error)
	EntryBundle(n uint64, width int) ([]byte, error)
}

var _, _ ledgerReader = (*chain.Chain)(nil), (*remoteLedger)(nil)

// book returns the ledger as this node sees it.
func (n *Node) book() ledgerReader {
	if n.chain != nil {
		return n.chain
	}
	return n.remoteLedger
}

// ledger implements web.Ledger.
type ledger struct{ n *Node }

func (l ledger) Size() uint64                   { return l.n.book().Status().Size }
func (l ledger) Checkpoint() concord.Checkpoint { return l.n.book().Checkpoint() }
func (l ledger) Checkpoints(upTo uint64, n int) ([]concord.Checkpoint, error) {
	return l.n.book().Checkpoints(upTo, n)
}
func (l ledger) Covering(index uint64) (concord.Checkpoint, error) { return l.n.book().Covering(index) }
func (l ledger) Block(height int64) (concord.LedgerBlock, error)   { return l.n.book().Block(height) }
func (l ledger) Find(t concord.LedgerTerm, below uint64, n int) ([]concord.LedgerEntry, error) {
	return l.n.book().Find(t, below, n)
}
func (l ledger) Entry(index uint64) (*concord.LedgerEntry, error) {
	e, err := l.n.book().Entry(index)
	if err != nil {
		return nil, err
	}
	return &e, nil
}
func (l ledger) Entries(from uint64, n int) ([]concord.LedgerEntry, error) {
	return l.n.book().Entries(from, min(n, chain.MaxEntries))
}

// Proof implements web.Ledger: the entry alone, under the newest checkpoint, as a tlog-proof without extra.
func (l ledger) Proof(index uint64) ([]byte, error) {
	cp := l.n.book().Checkpoint()
	if index >= cp.Size {
		return nil, concord.Errorf(concord.Unavailable, "no checkpoint covers entry %d yet; try again in a few seconds", index)
	}
	path, err := l.n.book().Proof(index, cp.Size)
	if err != nil {
		return nil, err
	}
	return receipt.FormatProof(index, path, []byte(cp.Note)), nil
}

func (l ledger) HashTile(level int, n uint64, width int) ([]byte, error) {
	return l.n.book().HashTile(level, n, width)
}
func (l ledger) EntryBundle(n uint64, width int) ([]byte, error) {
	return l.n.book().EntryBundle(n, width)
}

func (l ledger) Info() web.LedgerInfo {
	b := l.n.book()
	st := b.Status()
	info := web.LedgerInfo{Chain: st.Chain, Origin: st.Origin, Height: st.Height, Held: st.Held}
	active := 0
	for _, m := range b.Members() {
		if m.Status == chain.Active {
			active++
		}
		info.Operators = append(info.Operators, web.OperatorInfo{Name: m.Name, State: m.Status, Power: int64(m.Power), Keys: m.Keys, URL: m.URL, Cosigned: m.Cosigned,
			Seq: m.Seq, LastBatch: m.LastRoot, Balance: m.Balance, Limit: m.Limit, ASN: m.ASN, Region: m.Region})
	}
	info.Genesis = b.Founded()
	info.Quorum = fmt.Sprintf("%d of %d operators must cosign", chain.Quorum(active), active)
	return info
}
