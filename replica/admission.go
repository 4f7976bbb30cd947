package replica

import (
	"context"
	"path/filepath"
	"slices"

	"concord"
	"concord/durable"
	"concord/receipt"
)

// A receipt has to show whose the operator's key is, by a statement of its cosigning key that policies list. While neither was changed the ledger has it, in the
// operator's admission. After a change only the operator's own node can sign it, as long as there is one: so it is asked for at a poll and kept.

const (
	maxAdmissions     = 16 // of one operator: of each of its keys one
	maxAdmissionBytes = 16 << 10
	admissionSuffix   = ".admissions"
)

// Admission returns what binds the key that signed the batch of an entry to its operator's cosigning key of now. NotFound: nobody told this node.
func (k *Keeper) Admission(ctx context.Context, index uint64) ([]byte, error) {
	e, err := k.entry(index)
	if err != nil {
		return nil, err
	}
	admit, err := k.cfg.Ledger.Admission(e.From, index)
	if concord.KindOf(err) != concord.NotFound {
		return admit, err
	}
	_, b, unread := k.forOthers(ctx, index)
	if unread != nil {
		return nil, unread
	}
	p, unknown := k.build(&e, b.Parts(0))
	if unknown != nil {
		return nil, err
	}
	return p.Admit, nil
}

// build puts what our copy of the ledger and what is kept know into a receipt. NotFound: nobody told this node whose the key was.
func (k *Keeper) build(e *concord.LedgerEntry, p receipt.Parts) (*receipt.Parts, error) {
	p.Index = e.Index
	if err := p.Under(k.cfg.Ledger); err != nil {
		return nil, err
	}
	var missing error
	if p.Admit, missing = k.cfg.Ledger.Admission(e.From, e.Index); concord.KindOf(missing) != concord.NotFound || missing == nil {
		return &p, missing
	}
	for _, admit := range k.admissions(e.From) {
		if p.Admit = []byte(admit); k.proves(&p) {
			return &p, nil
		}
	}
	return nil, missing
}

// proves reports whether the receipt of some parts holds under the policy of now: whatever anybody told, it counts only then.
func (k *Keeper) proves(p *receipt.Parts) bool {
	proof, err := receipt.Build(*p)
	if err == nil {
		_, err = receipt.Verify(proof, []byte(k.cfg.Ledger.Policy()), receipt.Options{})
	}
	return err == nil
}

// vouch sees to it that receipts of a batch can be made when its operator is gone, which after a change of its keys takes its word.
func (k *Keeper) vouch(ctx context.Context, e *concord.LedgerEntry, b *receipt.Batch) {
	_, err := k.cfg.Ledger.Admission(e.From, e.Index)
	if concord.KindOf(err) != concord.NotFound || !slices.Contains(k.cfg.Peers.Others(), e.From) { // who has left is in no policy of now
		return
	}
	parts := b.Parts(0)
	if _, err := k.build(e, parts); concord.KindOf(err) != concord.NotFound || err == nil {
		return
	}
	for _, name := range k.sources(e) {
		asking, cancel := context.WithTimeout(ctx, pollTime)
		admit, err := k.cfg.Peers.Get(asking, name, batchPath(e.Index)+"/admission", nil, batchType, maxAdmissionBytes)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				k.countError(name, e.Index, err)
			}
			continue
		}
		if k.learn(e, parts, admit) {
			return
		}
		// Nobody's fault: who is asked may know of a change of keys before our copy of the ledger does, or after.
	}
}

// learn keeps an operator's statement about its key if it proves what it is to prove.
func (k *Keeper) learn(e *concord.LedgerEntry, p receipt.Parts, admit []byte) bool {
	p.Index, p.Admit = e.Index, admit
	if p.Under(k.cfg.Ledger) != nil || !k.proves(&p) {
		return false
	}
	k.admitMu.Lock()
	defer k.admitMu.Unlock()
	list := k.admissions(e.From)
	if slices.Contains(list, string(admit)) { // another poll was told meanwhile
		return true
	}
	list = slices.Insert(list, 0, string(admit))
	if err := durable.WriteJSON(k.admissionPath(e.From), 0o600, list[:min(len(list), maxAdmissions)]); err != nil {
		k.cfg.Logger.Warn("an operator's statement about its key cannot be kept; it is asked for again", "operator", e.From, "error", err)
	}
	return true
}

// admissions returns the statements of an operator that are kept, the newest first; none when their file is damaged: they are asked for again.
func (k *Keeper) admissions(operator string) (list []string) {
	if !plainName(operator) || durable.ReadJSON(k.admissionPath(operator), &list) != nil {
		return nil
	}
	return list[:min(len(list), maxAdmissions)]
}

func (k *Keeper) admissionPath(operator string) string {
	return filepath.Join(k.dir, operator+admissionSuffix)
}
