package ledger

import (
	"strings"

	"concord"
)

// SeqWindow is how far ahead of a member's last transaction the mempool takes others, so that a burst fits although
// gossip reorders it.
const SeqWindow = 64

// run is a block in execution: a private copy of the state and what changed.
type run struct {
	*State
	seen     *seen
	founding bool   // chain ID of the founding notes, no limit on the change of power, and no block time
	lenient  bool   // for the mempool: what only is too early may wait
	now      int64  // block time in unix seconds
	next     uint64 // log index of the next transaction
	moved    uint64 // power changed so far in this block
	before   uint64 // total power when the block began
}

func (m *Machine) begin() *run {
	return &run{State: m.state.clone(), seen: m.seen, before: m.state.totalPower(), next: m.tree.Size}
}

// execute applies a transaction or leaves the state as it is.
func (r *run) execute(b []byte) error {
	t, err := r.parse(b)
	if err != nil {
		return err
	}
	return r.apply(t)
}

func (r *run) apply(t signedTx) (err error) {
	if t.Gov != nil {
		err = r.gov(t.Tx)
	} else {
		err = r.member(t)
	}
	if err == nil {
		r.next++
	}
	return err
}

// member executes a transaction of one member.
func (r *run) member(t signedTx) error {
	m, err := r.signedBy(t)
	if err != nil {
		return err
	}
	if t.Seq != m.Seq+1 {
		return concord.Errorf(concord.Conflict, "%s of %s: seq %d, the next is %d", t.Type, m.Operator, t.Seq, m.Seq+1)
	}
	if err := r.charge(m, len(t.data), false); err != nil {
		return err
	}
	switch {
	case t.Attest != nil:
		err = r.attest(m, t.Attest)
	case t.Ask != nil:
		err = r.ask(m, t.Ask)
	case t.Seal != nil:
		err = r.seal(m, t.Seal)
	case t.Show != nil:
		err = r.show(m, t.Show)
	case t.Pay != nil:
		err = r.pay(t.Tx)
	case t.Fault != nil:
		err = r.prove(t.Fault)
	}
	if err != nil {
		return err
	}
	m.Seq = t.Seq
	return r.charge(m, len(t.data), true)
}

// parse reads a transaction and checks its size and chain.
func (r *run) parse(b []byte) (t signedTx, err error) {
	if most := r.Param(ParamTxBytes); uint64(len(b)) > most {
		return t, concord.Errorf(concord.Invalid, "transaction of %d bytes: the limit is %d", len(b), most)
	}
	if t, err = r.seen.parse(b); err != nil {
		return t, err
	}
	chain := r.Chain
	if r.founding {
		name, _, _ := strings.Cut(chain, ":")
		chain = FoundingID(name)
	}
	if t.Chain != chain {
		return t, concord.Errorf(concord.Invalid, "transaction for chain %q, this is chain %q", concord.Clip(t.Chain, 80), chain)
	}
	return t, nil
}

// signedBy returns the member that a transaction is from, once its op key's signature, and no other, is there.
func (r *run) signedBy(t signedTx) (*Member, error) {
	m := r.Member(t.From)
	switch {
	case m == nil || m.Status == Left:
		return nil, concord.Errorf(concord.Unauthorized, "transaction from %q: not a member", concord.Clip(t.From, 80))
	case m.Status == Faulted:
		return nil, concord.Errorf(concord.Unauthorized, "transaction from %s: the member is faulted", m.Operator)
	case t.by != m.Op && (len(t.Note.Sigs) != 1 || !m.Op.Verify(t.Note.Text, t.Note.Sigs[0])):
		return nil, concord.Errorf(concord.Unauthorized, "transaction from %s: want exactly one signature, by its op key %08x", m.Operator, m.Op.ID())
	}
	r.seen.add(t, m.Op)
	return m, nil
}

func (r *run) attest(m *Member, a *concord.Attestation) error {
	if a.Prev != m.LastRoot {
		return concord.Errorf(concord.Conflict, "attest of %s: prev is not the root of its last batch, %s", m.Operator, m.LastRoot)
	}
	m.LastRoot = a.Root
	return nil
}

// fault takes the vote and the voice of a member that was caught. The only voter keeps its vote: without it there is no
// chain, and nobody else relied on it.
func (r *run) fault(operator string) {
	m := r.Member(operator)
	if m == nil || m.Status == Faulted || m.Status == Left || m.Power == r.totalPower() {
		return
	}
	m.Status, m.Power = Faulted, 0
}
