package chain

import (
	"bytes"
	"context"
	"slices"

	"concord/ledger"
	"concord/note"
)

// falseHead is a head that is not this log's, and a member's signature of it.
type falseHead struct {
	cp  note.Checkpoint
	key note.Key
	sig note.Sig
}

// accuse reports who signed a head that is not this log's, and remembers it for charge.
func (c *Chain) accuse(cp note.Checkpoint, sigs []note.Sig) {
	for _, s := range sigs {
		c.cfg.Logger.Error("a member signed a head that is not of this log", "member", s.Name, "size", cp.Size, "root", cp.Root.String())
		for _, m := range c.machine.Load().State().Members {
			for _, k := range []note.Key{m.Cosign, m.Log} {
				if k.Made(s) && m.Operator != c.cfg.Operator {
					c.accused[m.Operator] = falseHead{cp, k, s}
				}
			}
		}
	}
}

// charge offers the ledger the proof against each accused member, once the member's signature of the true head of that size is here as well:
// again and again until it is faulted, since other transactions may take the seq, and other operators may be first.
func (c *Chain) charge(ctx context.Context, e *engine) {
	for who, lie := range c.accused {
		m := c.machine.Load().State().Member(who)
		if m == nil || m.Status == ledger.Left || m.Status == ledger.Faulted {
			delete(c.accused, who)
			continue
		}
		tx, err := c.proof(who, lie)
		if err == nil && tx != nil {
			err = e.offer(ctx, tx)
		}
		if err != nil {
			c.cfg.Logger.Warn("the proof against a member is not in the ledger yet", "member", who, "error", err)
		}
	}
}

// proof is a transaction that proves that a member signed two heads of one size; nil: its other signature is not known.
func (c *Chain) proof(who string, lie falseHead) ([]byte, error) {
	cp, err := c.store.checkpointAt(lie.cp.Size)
	if err != nil || cp == nil {
		return nil, err
	}
	n, err := note.Parse([]byte(cp.Note))
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(n.Sigs, lie.key.Made)
	if i < 0 {
		return nil, nil
	}
	seq, _, err := c.Next(c.cfg.Operator)
	if err != nil {
		return nil, err
	}
	a, b := note.Join(n.Text, n.Sigs[i]), note.Join(lie.cp.String(), lie.sig)
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	return ledger.Sign(&ledger.FaultTx{Head: ledger.Head{Chain: c.id, From: c.cfg.Operator, Seq: seq}, Who: who, Kind: "fork", A: a, B: b}, c.cfg.Keys.Op)
}
