package chain

import (
	"context"
	"slices"
	"time"

	"concord"
	"concord/ledger"
	"concord/note"
	"concord/receipt"
)

// Witnesses from outside are no operators of the ledger. Package anchor asks them for cosignatures; here these are kept beside the members',
// passed on to the other operators, who keep them if they name the same witness, and served with the heads. They count for no quorum.

const (
	// MaxOutside bounds the witnesses from outside.
	MaxOutside = 8
	// maxPresented is how many of their lines a checkpoint is served with, those of the first named: a receipt must stay small.
	maxPresented = 2
	// maxBehind is how many seconds the clock of a witness may be behind those of the operators.
	maxBehind = 3600
	// maxLogSigs bounds the signatures of the logs on a head that is shown to a witness, which may take no more than 10 KiB.
	maxLogSigs = 16
)

// CheckOutside reports why these cannot be the keys of witnesses from outside.
func CheckOutside(list []note.Key) error {
	if len(list) > MaxOutside {
		return concord.Errorf(concord.Invalid, "witnesses from outside: %d are too many, at most %d may be named", len(list), MaxOutside)
	}
	for i, k := range list {
		switch {
		case k.Type != note.Cosignature:
			return concord.Errorf(concord.Invalid, "witness %s from outside: its key is of type 0x%02x; a witness that signs with Ed25519 has one of type 0x04", k.Name, byte(k.Type))
		case k.Name == receipt.OutsideGroup || k.Name == "operators" || k.Name == "none":
			return concord.Errorf(concord.Invalid, "a witness from outside cannot have the name %q, which means something else in a policy", k.Name)
		case slices.ContainsFunc(list[:i], func(o note.Key) bool { return o.Name == k.Name || o.Public == k.Public }):
			return concord.Errorf(concord.Invalid, "witness %s from outside: its name or key is there twice", k.Name)
		}
	}
	return nil
}

// outside returns the keys of the witnesses from outside, but those of who is, or became, an operator.
func (c *Chain) outside() (list []note.Key) {
	st := c.machine.Load().State()
	for _, k := range c.cfg.Outside {
		if !slices.ContainsFunc(st.Members, func(m ledger.Member) bool {
			return m.Operator == k.Name || m.Cosign.Public == k.Public || m.Log.Public == k.Public
		}) {
			list = append(list, k)
		}
	}
	return list
}

// outsideSigs returns the lines of a note that witnesses from outside made, in the order in which these are named.
func (c *Chain) outsideSigs(n *note.Note) (list []note.Sig) {
	for _, k := range c.outside() {
		for _, s := range n.Sigs {
			if k.Verify(n.Text, s) {
				list = append(list, s)
			}
		}
	}
	return list
}

// dropBackdated leaves out lines from outside with a time before that of the block, in unix seconds, which consensus gave it: nobody signs a head before it is
// there, and the earliest time counts in a receipt. A line may come by way of another operator, so that the asker's own check is not enough.
func (c *Chain) dropBackdated(sigs []note.Sig, block int64) []note.Sig {
	keys := c.outside()
	return slices.DeleteFunc(sigs, func(s note.Sig) bool {
		t, _ := s.Time()
		early := t < block-maxBehind && slices.ContainsFunc(keys, func(k note.Key) bool { return k.Made(s) })
		if early {
			c.cfg.Logger.Warn("the line of a witness from outside has a time before the head was there, and is not kept", "witness", s.Name, "time", time.Unix(t, 0).UTC())
		}
		return early
	})
}

// isAnchored reports whether a witness from outside cosigned a head.
func (c *Chain) isAnchored(cp *concord.Checkpoint) bool {
	n, err := note.Parse([]byte(cp.Note))
	return err == nil && len(c.outsideSigs(n)) > 0
}

// anchoring returns the earliest head of more than index entries that a quorum and somebody from outside cosigned. When the quorum has changed
// since the entry was made, none of the first may have it; then the newest that has it serves. nil: there is none.
func (c *Chain) anchoring(index uint64) (*concord.Checkpoint, error) {
	if len(c.cfg.Outside) == 0 {
		return nil, nil
	}
	for _, backwards := range []bool{false, true} {
		sizes, err := c.store.anchored(index, searched, backwards)
		if err != nil {
			return nil, err
		}
		for _, size := range sizes {
			cp, err := c.store.checkpointAt(size)
			if err != nil {
				return nil, err
			}
			if cp != nil && c.hasQuorum(cp) && c.isAnchored(cp) {
				*cp = c.presentable(*cp)
				return cp, nil
			}
		}
		if len(sizes) < searched {
			break
		}
	}
	return nil, nil
}

// ToAnchor returns the newest head with a quorum of cosignatures, signed by the members' logs, this node's first, for witnesses from outside:
// each knows one of these keys. The zero value before the first.
func (c *Chain) ToAnchor() concord.Checkpoint {
	cp := c.agreed.Load()
	if cp == nil {
		return concord.Checkpoint{}
	}
	n, err := note.Parse([]byte(cp.Note))
	if err != nil {
		return concord.Checkpoint{}
	}
	var sigs []note.Sig
	for _, m := range c.machine.Load().State().Members {
		i := slices.IndexFunc(n.Sigs, m.Log.Made)
		switch {
		case i < 0 || m.Status == ledger.Left:
		case m.Operator == c.cfg.Operator:
			sigs = slices.Insert(sigs, 0, n.Sigs[i])
		default:
			sigs = append(sigs, n.Sigs[i])
		}
	}
	if len(sigs) == 0 {
		return concord.Checkpoint{}
	}
	out := *cp
	out.Note = string((&note.Note{Text: n.Text, Sigs: sigs[:min(len(sigs), maxLogSigs)]}).Bytes())
	return out
}

// AnchoredBy returns the newest head that a witness from outside is known to have cosigned; the zero value: none.
func (c *Chain) AnchoredBy(k note.Key) (concord.Checkpoint, error) {
	cp, err := c.store.cosignedBy(k.Name)
	if err != nil || cp == nil {
		return concord.Checkpoint{}, err
	}
	n, err := note.Parse([]byte(cp.Note))
	if err != nil || !slices.ContainsFunc(n.Sigs, k.Made) {
		return concord.Checkpoint{}, err
	}
	return *cp, nil
}

// Anchor takes a head with the line of a witness from outside, and passes it on to the other operators. It is checked, as everything that is
// heard: whoever calls it need not be trusted. It waits while Run is busy.
func (c *Chain) Anchor(ctx context.Context, n []byte) error {
	select {
	case c.inbox <- letter{kind: kindHeads, notes: [][]byte{n}}:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.tell(kindHeads, n)
	return nil
}
