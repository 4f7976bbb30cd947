package chain

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sort"
	"strconv"

	"concord"
	"concord/ledger"
	"concord/note"
)

// A member that signed two statements that cannot both be honest is charged by every node that has seen both: the proof goes into the ledger
// by itself. False heads (kinds fork and tree) come with the heads that peers send. A second attestation, seal or report comes as a transaction that
// is refused, since the ledger has the first. The kind leaf needs an operator's signed answer to an audit (ledger.Reveal), which no node asks for.

const (
	// maxSuspects bounds the refused transactions that wait to be held against the log; more are dropped.
	maxSuspects = 64
	// maxLies bounds the false heads that are remembered of a member.
	maxLies = 8
	// maxSteps bounds the entries that others sent about an operator, read while one of its own is looked for. One that is not found among so
	// many goes unpunished.
	maxSteps = 2000
)

// charges are what this node knows against members. It is owned by the chain's loop, but for the channel.
type charges struct {
	suspects chan []byte                // transactions that were refused
	lies     map[string][]falseHead     // heads of another history, by who signed them
	proofs   map[string]*ledger.FaultTx // that hold, without their head, by whom they are against
}

func newCharges() charges {
	return charges{make(chan []byte, maxSuspects), map[string][]falseHead{}, map[string]*ledger.FaultTx{}}
}

// falseHead is a head that is not this log's, and a member's signature of it.
type falseHead struct {
	cp  note.Checkpoint
	key note.Key
	sig note.Sig
}

func (h falseHead) note() []byte { return note.Join(h.cp.String(), h.sig) }

// accuse reports who signed a head that is not this log's, and remembers it for charge.
func (c *Chain) accuse(cp note.Checkpoint, sigs []note.Sig) {
	for _, s := range sigs {
		c.cfg.Logger.Error("a member, or a witness from outside, signed a head that is not of this log", "who", s.Name, "size", cp.Size, "root", cp.Root.String())
		for _, m := range c.machine.Load().State().Members {
			for _, k := range []note.Key{m.Cosign, m.Log} {
				if k.Made(s) && m.Operator != c.cfg.Operator {
					c.charges.remember(m.Operator, falseHead{cp, k, s})
				}
			}
		}
	}
}

func (x *charges) remember(who string, h falseHead) {
	known := slices.ContainsFunc(x.lies[who], func(o falseHead) bool { return o.cp == h.cp && o.key == h.key })
	if !known && len(x.lies[who]) < maxLies {
		x.lies[who] = append(x.lies[who], h)
	}
}

// suspect has a transaction that was refused held against the log. It does not wait, and keeps no bytes of its caller's.
func (c *Chain) suspect(tx []byte) {
	if !bytes.HasPrefix(tx, []byte("concord/tx/v1 attest\n")) && !bytes.HasPrefix(tx, []byte("concord/tx/v1 seal\n")) && !bytes.HasPrefix(tx, []byte("concord/tx/v1 show\n")) {
		return
	}
	select {
	case c.charges.suspects <- bytes.Clone(tx):
	default:
	}
}

// charge offers the ledger the proof against each member that misbehaved: again and again until it is faulted, since other transactions may
// take the seq, and other operators may be first.
func (c *Chain) charge(ctx context.Context, e *engine) {
	errs := c.examine()
	for who, lies := range c.charges.lies {
		if lies = c.provable(who, lies); len(lies) == 0 {
			delete(c.charges.lies, who)
			continue
		}
		c.charges.lies[who] = lies
		f, err := c.fromHeads(who, lies)
		if errs = errors.Join(errs, err); f != nil {
			c.charges.proofs[who] = f
			delete(c.charges.lies, who)
		}
	}
	if errs != nil {
		c.cfg.Logger.Warn("what may prove a member's misbehaviour cannot be read", "error", errs)
	}
	for who, f := range c.charges.proofs {
		if !c.chargeable(who, f) {
			delete(c.charges.proofs, who)
			continue
		}
		seq, _, err := c.Next(c.cfg.Operator)
		if err == nil {
			charged := *f
			charged.Head = ledger.Head{Chain: c.id, From: c.cfg.Operator, Seq: seq}
			var tx []byte
			if tx, err = ledger.Sign(&charged, c.cfg.Keys.Op); err == nil {
				err = e.offer(ctx, tx)
			}
		}
		if err != nil {
			c.cfg.Logger.Warn("the proof against a member is not in the ledger yet", "member", who, "kind", f.Kind, "error", err)
		}
	}
}

// chargeable reports whether a member can be faulted still, and by this proof: it counts against current keys only. nil: by some.
func (c *Chain) chargeable(who string, f *ledger.FaultTx) bool {
	m := c.machine.Load().State().Member(who)
	return who != c.cfg.Operator && m != nil && m.Status != ledger.Left && m.Status != ledger.Faulted && (f == nil || f.Check(&m.Admission) == nil)
}

// provable leaves out false heads that prove nothing any more: those of keys that were changed, and all when the member cannot be faulted any more.
func (c *Chain) provable(who string, lies []falseHead) []falseHead {
	if !c.chargeable(who, nil) {
		return nil
	}
	m := c.machine.Load().State().Member(who)
	return slices.DeleteFunc(lies, func(h falseHead) bool { return h.key != m.Cosign && h.key != m.Log })
}

// fromHeads returns a proof that a member signed a false head: with another of the same size, true or false; or with a true one that is larger.
// nil: none is known yet.
func (c *Chain) fromHeads(who string, lies []falseHead) (*ledger.FaultTx, error) {
	newest, err := c.store.checkpoints(0, searched)
	if err != nil {
		return nil, err
	}
	if cp, err := c.store.cosignedBy(who); err != nil {
		return nil, err
	} else if cp != nil {
		newest = append(newest, *cp)
	}
	for i, lie := range lies {
		for _, other := range lies[:i] {
			if f := fault(who, "fork", lie.note(), other.note()); c.chargeable(who, f) {
				return f, nil
			}
		}
		same, err := c.store.checkpointAt(lie.cp.Size)
		if err != nil {
			return nil, err
		}
		truths := newest
		if same != nil {
			truths = append(truths[:len(truths):len(truths)], *same)
		}
		for _, cp := range truths {
			f, err := c.contradiction(who, lie, cp)
			if err != nil {
				return nil, err
			}
			if f != nil && c.chargeable(who, f) {
				return f, nil
			}
		}
	}
	return nil, nil
}

// contradiction is the proof that a false head and a head of this log, which the same key signed, cannot both be honest; nil: there is none.
func (c *Chain) contradiction(who string, lie falseHead, cp concord.Checkpoint) (*ledger.FaultTx, error) {
	n, err := note.Parse([]byte(cp.Note))
	if err != nil || cp.Size < lie.cp.Size {
		return nil, err
	}
	for _, s := range n.Sigs {
		if !lie.key.Made(s) {
			continue
		}
		truth := note.Join(n.Text, s)
		if cp.Size == lie.cp.Size {
			return fault(who, "fork", lie.note(), truth), nil
		}
		f := &ledger.FaultTx{Who: who, Kind: "tree", A: lie.note(), B: truth}
		if f.Root, err = c.store.root(lie.cp.Size); err == nil {
			f.Proof, err = c.Consistency(lie.cp.Size, cp.Size)
		}
		return f, err
	}
	return nil, nil
}

// fault orders two notes as the kinds need that have no order of their own.
func fault(who, kind string, a, b []byte) *ledger.FaultTx {
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	return &ledger.FaultTx{Who: who, Kind: kind, A: a, B: b}
}

// examine holds the transactions that were refused against those in the log that they might contradict.
func (c *Chain) examine() (errs error) {
	for range len(c.charges.suspects) {
		b := <-c.charges.suspects
		t, err := ledger.ParseTx(b)
		if err != nil || t.Chain != c.id || c.charges.proofs[t.From] != nil || !c.chargeable(t.From, nil) {
			continue
		}
		m := c.machine.Load().State().Member(t.From)
		if len(t.Note.Sigs) != 1 || !m.Op.Verify(t.Note.Text, t.Note.Sigs[0]) {
			continue
		}
		first, err := c.counterparts(t)
		errs = errors.Join(errs, err)
		for _, a := range first {
			if f := fault(t.From, t.Type, a, b); c.chargeable(t.From, f) {
				c.cfg.Logger.Error("a member signed two transactions that contradict each other", "member", t.From, "type", t.Type, "seq", t.Seq)
				c.charges.proofs[t.From] = f
			}
		}
	}
	return errs
}

// counterparts returns the entries that a transaction of its member may contradict.
func (c *Chain) counterparts(t *ledger.Tx) (list [][]byte, err error) {
	var places []uint64
	switch {
	case t.Attest != nil:
		places, err = c.sentAs(t.From, t.Seq)
	case t.Seal != nil:
		places, err = c.store.naming(concord.LedgerTerm{Kind: concord.TermAsk, Value: strconv.FormatUint(t.Seal.Ask, 10)}, ^uint64(0), MaxFound, true)
	case t.Show != nil:
		places, err = c.store.naming(concord.LedgerTerm{Kind: concord.TermAsk, Value: strconv.FormatUint(t.Show.Ask, 10)}, ^uint64(0), MaxFound, true)
	}
	if err != nil {
		return nil, err
	}
	for _, i := range places {
		raw, err := c.store.entries(i, 1)
		if err != nil || len(raw) == 0 {
			return nil, err
		}
		x, err := ledger.ParseTx(raw[0].data)
		if err == nil && x.From == t.From && x.Type == t.Type {
			list = append(list, raw[0].data)
		}
	}
	return list, nil
}

// sentAs returns where the transaction of an operator with a seq lies; none if it is not in the log. An operator's seqs grow with the log.
func (c *Chain) sentAs(operator string, seq uint64) (places []uint64, err error) {
	term := concord.LedgerTerm{Kind: concord.TermOperator, Value: operator}
	steps := 0
	// before returns the newest transaction of the operator below an index, past entries that others sent about it.
	before := func(below uint64) (index, has uint64, ok bool) {
		for ; steps < maxSteps; steps++ {
			list, nerr := c.store.naming(term, below, 1, true)
			if err = errors.Join(err, nerr); err != nil || len(list) == 0 {
				return 0, 0, false
			}
			raw, rerr := c.store.entries(list[0], 1)
			if err = errors.Join(err, rerr); err != nil || len(raw) == 0 {
				return 0, 0, false
			}
			if x, perr := ledger.ParseTx(raw[0].data); perr == nil && x.From == operator {
				return list[0], x.Seq, true
			}
			below = list[0]
		}
		return 0, 0, false
	}
	size := c.machine.Load().Size()
	below := sort.Search(int(size), func(i int) bool {
		_, has, ok := before(uint64(i) + 1)
		return ok && has >= seq
	})
	index, has, ok := before(uint64(below) + 1)
	if !ok || has != seq {
		return nil, err
	}
	return []uint64{index}, err
}
