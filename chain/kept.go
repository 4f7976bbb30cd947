package chain

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"concord"
	"concord/ledger"
)

// What the log's store keeps beside the log, so that questions about the past need no reading of all of it: the state after each block that
// closed an ask.

// Noted is a doc transaction that holds some digest.
type Noted struct {
	Index uint64
	From  string // the operator
}

// Documents returns the first n doc transactions that hold a digest, in the order of the log; none is no error.
func (c *Chain) Documents(digest concord.Digest, n int) (list []Noted, err error) {
	places, err := c.store.naming(concord.LedgerTerm{Kind: concord.TermDocument, Value: digest.String()}, ^uint64(0), n, false)
	if err != nil {
		return nil, fmt.Errorf("find documents: %w", err)
	}
	for _, index := range places {
		e, err := c.Entry(index)
		if err != nil {
			return nil, fmt.Errorf("find documents: %w", err)
		}
		if t, err := ledger.ParseTx([]byte(e.Text)); err == nil && t.Doc != nil && slices.Contains(t.Doc.Digests, digest) {
			list = append(list, Noted{index, t.From})
		}
	}
	return list, nil
}

// Outcome is what came of an ask, as anybody can check it: the ask is in the state's text, whose SHA-256 is the state hash
// of the block record.
type Outcome struct {
	Ask    *ledger.Ask
	Record uint64        // place of the record of the block that closed it
	State  *ledger.State // after that block
	Text   string        // of the state
}

// Asks returns the open asks and the last ledger.KeepClosed closed ones, by index, each with its panel as soon as it is
// drawn. The caller owns them.
func (c *Chain) Asks() []*ledger.Ask {
	st := c.machine.Load().State()
	list := make([]*ledger.Ask, 0, len(st.Asks))
	for _, a := range st.Asks {
		list = append(list, st.Ask(a.Index))
	}
	return list
}

// Ask returns an ask as it stands, and the state by which its reports compare. NotFound.
func (c *Chain) Ask(index uint64) (*ledger.Ask, *ledger.State, error) {
	st := c.machine.Load().State()
	if a := st.Ask(index); a != nil && a.Open() {
		return a, st, nil
	}
	o, err := c.Outcome(index)
	return o.Ask, o.State, err
}

// Able returns how many operators can be on a panel of this one's.
func (c *Chain) Able() (n int) {
	for _, m := range c.machine.Load().State().Members {
		if m.Operator != c.cfg.Operator && (m.Status == ledger.Active || m.Status == ledger.Candidate) {
			n++
		}
	}
	return n
}

// Outcome returns what came of a closed ask. NotFound.
func (c *Chain) Outcome(index uint64) (o Outcome, err error) {
	record, ok, err := c.store.number(key(keyClosed, index))
	if err == nil && !ok {
		err = concord.Errorf(concord.NotFound, "the ledger has no closed ask %d", index)
	}
	if err != nil {
		return o, err
	}
	v, err := c.store.get(key(keyOutcome, record))
	if err != nil {
		return o, err
	}
	o.Record, o.Text = record, string(v)
	if o.State, err = ledger.ParseState(o.Text); err != nil {
		return o, concord.Errorf(concord.Corrupt, "outcome of ask %d: %w", index, err)
	}
	if o.Ask = o.State.Ask(index); o.Ask == nil {
		return o, concord.Errorf(concord.Corrupt, "outcome of ask %d: the state that was kept does not have it", index)
	}
	return o, nil
}

// Closed returns the indexes of up to n closed asks, the newest first, of those below before; 0: from the newest.
func (c *Chain) Closed(before uint64, n int) (list []uint64, err error) {
	if before == 0 {
		before = ^uint64(0)
	}
	err = c.store.scan(keyClosed, 0, before, true, func(k uint64, _ []byte) (bool, error) {
		list = append(list, k)
		return len(list) < n, nil
	})
	return list, err
}

// closing returns what is kept of a block that closed asks: the state its record names.
func closing(out *ledger.Outcome) (state string, asks []uint64, err error) {
	if len(out.Closed) == 0 {
		return "", nil, nil
	}
	rec, err := ledger.ParseRecord(string(out.Entries[len(out.Entries)-1]))
	if err != nil {
		return "", nil, err
	}
	st := *out.Next.State() // its After is nil; the record's state hash was made with it
	st.After = &rec.After
	if st.Hash() != rec.State {
		return "", nil, concord.Errorf(concord.Internal, "the state is not that of the block record")
	}
	for _, a := range out.Closed {
		asks = append(asks, a.Index)
	}
	return st.String(), asks, nil
}

// keepOutcomes adds what a block closed to a batch.
func keepOutcomes(w *pebble.Batch, b *block) error {
	if len(b.closed) == 0 {
		return nil
	}
	record := b.next.Size() - 1
	if err := w.Set(key(keyOutcome, record), []byte(b.state), nil); err != nil {
		return fmt.Errorf("keep outcome: %w", err)
	}
	for _, index := range b.closed {
		if err := w.Set(key(keyClosed, index), binary.BigEndian.AppendUint64(nil, record), nil); err != nil {
			return fmt.Errorf("keep outcome of ask %d: %w", index, err)
		}
	}
	return nil
}
