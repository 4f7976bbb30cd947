package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"concord"
)

// Check reports whether a transaction may wait for a block: it is well formed, signed, and its seq is at most SeqWindow
// ahead. What only is too early (a report before sealing ended, a panel not drawn yet) may wait too. It says Conflict for
// what was executed before.
func (m *Machine) Check(b []byte) error {
	r := m.begin()
	r.lenient = true
	if r.After != nil {
		r.now = r.After.Time // time went on since; only what is too late already is refused
		r.drawAll(r.undrawn())
	}
	t, err := r.parse(b)
	if err != nil {
		return err
	}
	if t.Gov != nil {
		return r.gov(t.Tx)
	}
	member, err := r.signedBy(t)
	switch {
	case err != nil:
		return err
	case t.Seq <= member.Seq:
		return used(t.Tx, member)
	case t.Seq == member.Seq+1:
		return r.member(t)
	case t.Seq > member.Seq+SeqWindow:
		return concord.Errorf(concord.Unavailable, "%s of %s: seq %d is too far ahead of %d", t.Type, member.Operator, t.Seq, member.Seq)
	}
	return nil
}

// Ready reports why a transaction could not be executed by a block that came now. It means something after a block that
// appended nothing, whose time is then taken.
func (m *Machine) Ready(b []byte) error {
	r := m.begin()
	if r.After != nil {
		r.now = r.After.Time
		r.drawAll(r.undrawn())
	}
	return r.execute(b)
}

// Possible reports why an action of gov cannot be decided now, whoever signs it.
func (m *Machine) Possible(g *Gov) error { return m.begin().act(g) }

func used(t *Tx, m *Member) error {
	return concord.Errorf(concord.Conflict, "%s of %s: seq %d was used; the next is %d", t.Type, m.Operator, t.Seq, m.Seq+1)
}

// Stale reports why a transaction that Check once accepted can never be executed any more: another took its place, or
// its time is over. It verifies no signatures. A nil error says nothing.
func (m *Machine) Stale(b []byte) error {
	t, err := m.seen.parse(b)
	if err != nil {
		return err
	}
	if t.Gov != nil {
		if t.Gov.Epoch <= m.state.Epoch {
			return concord.Errorf(concord.Conflict, "gov: epoch %d was used", t.Gov.Epoch)
		}
		return nil
	}
	member := m.state.Member(t.From)
	switch {
	case member == nil || member.Status == Faulted || member.Status == Left:
		return concord.Errorf(concord.Unauthorized, "transaction from %q: not a member in good standing", concord.Clip(t.From, 80))
	case t.Seq <= member.Seq:
		return used(t.Tx, member)
	case t.Seq == member.Seq+1 && t.Attest != nil && t.Attest.Prev != member.LastRoot:
		return concord.Errorf(concord.Conflict, "attest of %s: prev is not the root of its last batch, %s", member.Operator, member.LastRoot)
	case t.Seal != nil:
		return m.over(t.Type, t.Seal.Ask, t.Seal.Round)
	case t.Show != nil:
		return m.over(t.Type, t.Show.Ask, t.Show.Round)
	}
	return nil
}

// over reports whether a round of an ask has ended.
func (m *Machine) over(what string, index uint64, round int) error {
	a := m.state.ask(index)
	if index < m.tree.Size && (a == nil || !a.Open() || round < len(a.Rounds)) {
		return concord.Errorf(concord.NotFound, "%s: ask %d, round %d, is not open any more", what, index, round)
	}
	return nil
}

// txOverhead is what a transaction takes in a block beside its bytes: a field tag and a length of at most three bytes.
const txOverhead = 4

// Prepare chooses from waiting transactions, b.Txs, those of the block, in order: gov by epoch, then by operator and
// seq. What does not execute is left out. The result takes at most maxBytes in a block, and Process accepts it. Of b
// only Time, Bad and Txs matter.
func (m *Machine) Prepare(b Block, maxBytes int64) [][]byte {
	r := m.begin()
	r.enter(b)
	items := make([]signedTx, 0, len(b.Txs))
	for _, tx := range b.Txs {
		if t, err := r.parse(tx); err == nil {
			items = append(items, t)
		}
	}
	slices.SortStableFunc(items, func(a, b signedTx) int { // gov has no From, so it comes first
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Seq, b.Seq))
	})
	var out [][]byte
	for _, it := range items {
		need := int64(len(it.data) + txOverhead)
		if need > maxBytes || r.apply(it) != nil {
			continue
		}
		maxBytes -= need
		out = append(out, it.data)
	}
	return out
}

// Process reports why a proposed block must be refused: every transaction must execute, in order. Of b only Time,
// Bad and Txs matter, so what it accepts Finalize executes.
func (m *Machine) Process(b Block) error {
	r := m.begin()
	r.enter(b)
	for i, tx := range b.Txs {
		if err := r.execute(tx); err != nil {
			return fmt.Errorf("transaction %d of the proposal: %w", i, err)
		}
	}
	return nil
}
