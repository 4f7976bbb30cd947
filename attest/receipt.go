package attest

import (
	"context"
	"fmt"
	"math"
	"time"

	"concord"
	"concord/note"
	"concord/receipt"
)

// Receipt builds the receipt of a capture under the earliest checkpoint that covers it and has the cosignatures it can have, so that the
// cosigners' time says as closely as can be by when it was in the log. Asked again later it may be of a higher level. Errors: Unavailable while its batch is open or on
// its way, with the seconds to wait; NotFound for a capture that the attestor has not seen. Asking for it closes an open batch that is kept open
// longer than Config.Window.
func (a *Attestor) Receipt(ctx context.Context, captureID string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, concord.Errorf(concord.Unavailable, "receipt of capture %s: %w", concord.Clip(captureID, maxID), err)
	}
	b, err := a.receipt(captureID)
	if err != nil {
		return nil, fmt.Errorf("receipt of capture %s: %w", concord.Clip(captureID, maxID), err)
	}
	return b, nil
}

func (a *Attestor) receipt(id string) ([]byte, error) {
	if id == "" || len(id) > maxID {
		return nil, concord.Errorf(concord.Invalid, "a capture's ID has 1 to %d characters", maxID)
	}
	at, ok, err := a.store.place(id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, a.whyNot(id)
	}
	b, err := a.Batch(at.batch)
	if err != nil {
		return nil, err
	}
	if b.Index == nil {
		return nil, concord.Errorf(concord.Unavailable, "its batch is on its way into the ledger; try again in about 1 second")
	}
	if chain := b.chain(); chain != a.cfg.Ledger.ID() {
		return nil, concord.Errorf(concord.NotFound, "it was attested on chain %s, which this node does not run any more", chain)
	}
	p := receipt.Parts{BatchIndex: uint64(at.i), BatchCount: b.Count, Attest: []byte(b.Note), Index: *b.Index}
	if p.Entry, err = a.store.line(at); err != nil {
		return nil, err
	}
	leaves, err := a.store.leaves(at.batch)
	if err != nil {
		return nil, err
	}
	if uint64(len(leaves)) != b.Count || uint64(at.i) >= b.Count {
		return nil, concord.Errorf(concord.Corrupt, "batch %d: %w", at.batch, errStore)
	}
	p.BatchPath = receipt.BatchPath(leaves, int(at.i))
	if p.Admit, err = a.cfg.Ledger.Admission(a.cfg.Operator, p.Index); err != nil {
		return nil, err
	}
	if err := p.Under(a.cfg.Ledger); err != nil {
		return nil, err
	}
	return receipt.Build(p)
}

// Promise returns the receipt of level 0 of a capture that is not in the log yet: the operator's signed word that it states what will be
// its entry. The entry is the one it will have, salt included, unless the operator's key changes before. It is made of the capture alone, so
// that it can be had however long the ledger stands still. Errors: NotFound for a capture that is never attested; Unavailable while the
// ledger is not there to say for which key the operator is known.
func Promise(c *concord.Capture, l Ledger, keys *note.Keys, operator string) ([]byte, error) {
	e := concord.EntryOf(c, newSalter(keys.Op).of(c.ID))
	if _, err := concord.ParseEntry(e.String()); err != nil || c.Crawl == concord.ImportCrawl {
		return nil, concord.Errorf(concord.NotFound, "promise of capture %s: it is never attested", concord.Clip(c.ID, maxID))
	}
	admit, err := l.Admission(operator, math.MaxUint64) // the keys of now
	if err != nil {
		return nil, fmt.Errorf("promise of capture %s: %w", concord.Clip(c.ID, maxID), err)
	}
	n, err := note.Sign(receipt.PromiseText(e, l.ID(), operator), keys.Op)
	if err != nil {
		return nil, err
	}
	return receipt.BuildPromise(receipt.Promise{Entry: e, Note: n, Admit: admit})
}

// whyNot explains why a capture has no batch yet, and has the batch closed soon: somebody waits for it.
func (a *Attestor) whyNot(id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.waiting[id]; !ok {
		return concord.Errorf(concord.NotFound, "the attestor has not seen this capture")
	}
	a.window.asked = true
	a.signal()
	left := a.window.left(time.Now(), len(a.open))
	seconds := max(1, int(math.Ceil(left.Seconds()))+1)
	return concord.Errorf(concord.Unavailable, "its batch is still open; try again in about %d seconds", seconds)
}
