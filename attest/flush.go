package attest

import (
	"context"
	"errors"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
	"concord/receipt"
	"concord/trace"
)

// recover finishes the batch that was on its way when the attestor stopped, and checks that store and ledger belong
// together.
func (a *Attestor) recover(ctx context.Context) error {
	last, err := a.store.lastBatch()
	if err != nil {
		return err
	}
	if last != nil && last.Index == nil {
		a.mu.Lock()
		a.stats.Pending = int(last.Count)
		a.mu.Unlock()
		if last.chain() != a.cfg.Ledger.ID() {
			if err := a.resign(ctx, last, nil); err != nil {
				return err
			}
		}
		return a.submit(ctx, last, nil)
	}
	next, _, err := a.next(ctx)
	if err != nil {
		return err
	}
	if last != nil && next <= last.Seq && last.chain() == a.cfg.Ledger.ID() {
		return concord.Errorf(concord.Conflict, "the ledger expects seq %d, but seq %d was attested before: the ledger's files are older than the attestor's", next, last.Seq)
	}
	return nil
}

// flushLoop closes the open batch when its window is over or it is full.
func (a *Attestor) flushLoop(ctx context.Context) error {
	timer := time.NewTimer(0)
	<-timer.C
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.arrived:
		case <-timer.C:
		}
		wait, due := a.due()
		if !due {
			timer.Reset(wait)
			continue
		}
		if err := a.flush(ctx); err != nil {
			return err
		}
		if wait, _ := a.due(); wait >= 0 {
			timer.Reset(wait)
		}
	}
}

// due reports whether the open batch must be closed now, else after what time to look again. A position without captures
// is due after a window as well, so that it is stored now and then.
func (a *Attestor) due() (wait time.Duration, due bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case len(a.open) >= a.cfg.MaxBatch:
		return 0, true
	case len(a.open) > 0:
		wait = a.window.left(time.Now(), len(a.open))
		return max(wait, 0), wait <= 0
	case a.pos > a.stats.Position:
		wait = a.cfg.Window - time.Since(a.moved)
		return max(wait, 0), wait <= 0
	}
	return a.cfg.Window, false
}

// flush writes the open batch, then submits it.
func (a *Attestor) flush(ctx context.Context) error {
	a.mu.Lock()
	items, pos := a.open, a.pos
	a.open = nil
	a.stats.Pending += len(items)
	if len(items) > 0 {
		a.window.close(len(items))
	}
	a.room.Broadcast()
	a.mu.Unlock()
	if len(items) == 0 {
		if err := a.store.setPosition(pos); err != nil {
			return err
		}
		a.mu.Lock()
		a.stats.Position = pos
		a.mu.Unlock()
		return nil
	}
	b, err := a.seal(ctx, items, pos)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.stats.Position = pos
	for _, it := range items {
		delete(a.waiting, it.id)
	}
	a.mu.Unlock()
	sealed := time.Now()
	for _, it := range items {
		it.page.Stage(trace.Attested, "", it.at, sealed)
	}
	if err := a.submit(ctx, b, items); err != nil {
		return err
	}
	covered := time.Now()
	for _, it := range items {
		it.page.Stage(trace.Covered, "", sealed, covered)
	}
	return nil
}

// seal fills in the salts, signs the attestation and makes everything durable.
func (a *Attestor) seal(ctx context.Context, items []item, pos uint64) (*Batch, error) {
	salts := newSalter(a.cfg.Keys.Op)
	seq, prev, err := a.next(ctx)
	if err != nil {
		return nil, err
	}
	last, err := a.store.lastBatch()
	if err != nil {
		return nil, err
	}
	b := &Batch{Number: 1, Seq: seq, Count: uint64(len(items)), Position: pos, Time: time.Now().UTC()}
	if last != nil {
		b.Number, b.Total = last.Number+1, last.Total
	}
	b.Total += b.Count
	att := concord.Attestation{Chain: a.cfg.Ledger.ID(), From: a.cfg.Operator, Seq: seq, Count: b.Count, Prev: prev,
		First: items[0].entry.Time, Last: items[0].entry.Time}
	lines, leaves := make([]string, len(items)), make([]concord.Digest, len(items))
	for i, it := range items {
		it.entry.Salt = salts.of(it.id)
		lines[i] = it.entry.String()
		leaves[i] = concord.Digest(tlog.RecordHash([]byte(lines[i])))
		att.First, att.Last = min(att.First, it.entry.Time), max(att.Last, it.entry.Time)
	}
	att.Root = receipt.BatchRoot(leaves)
	n, err := note.Sign(att.String(), a.cfg.Keys.Op)
	if err != nil {
		return nil, err
	}
	b.Note = string(n)
	if err := a.keep(ctx, b, items); err != nil {
		return nil, err
	}
	return b, a.store.putBatch(b, items, lines, leaves)
}

// resign signs the attestation of a batch again: for the chain that runs now, when the one it names came to an end before it took the
// batch, under the next seq, when another transaction of the operator took the seq it has, or with the op key that has taken the place of
// the one it is signed with. The first can then never come into the log,
// and two of different seq contradict nobody. items are the batch's, nil: they are read from the store.
func (a *Attestor) resign(ctx context.Context, b *Batch, items []item) error {
	att, err := b.attestation()
	if err != nil {
		return err
	}
	att.Chain = a.cfg.Ledger.ID()
	if att.Seq, att.Prev, err = a.next(ctx); err != nil {
		return err
	}
	n, err := note.Sign(att.String(), a.cfg.Keys.Op)
	if err != nil {
		return err
	}
	if items == nil && a.cfg.Keep != nil {
		if items, err = a.store.itemsOf(b); err != nil {
			return err
		}
	}
	b.Seq, b.Note = att.Seq, string(n)
	if err := a.keep(ctx, b, items); err != nil {
		return err
	}
	return a.store.putMeta(b)
}

// submit saves a written batch for the next owner, puts it into the ledger and notes where it lies. While one of them is unavailable it
// tries again, and while other transactions of the operator come in before it, it signs it again.
func (a *Attestor) submit(ctx context.Context, b *Batch, items []item) error {
	var index uint64
	for {
		if a.cfg.Save != nil {
			if err := a.try(ctx, "the batch is not saved on other machines yet", a.cfg.Save); err != nil {
				return about(b, err)
			}
		}
		err := a.try(ctx, "the ledger does not take attestations now", func(ctx context.Context) (err error) {
			index, err = a.cfg.Ledger.Submit(ctx, []byte(b.Note))
			return err
		})
		if err == nil {
			break
		}
		if concord.KindOf(err) != concord.Conflict {
			return about(b, err)
		}
		next, _, err2 := a.next(ctx)
		if err2 == nil && (next > b.Seq || !b.signedBy(a.cfg.Keys.Op.Key())) {
			err2 = a.resign(ctx, b, items)
		} else if err2 == nil {
			err2 = err
		}
		if err2 != nil {
			return about(b, err2)
		}
	}
	b.Index = &index
	if err := a.store.putMeta(b); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.Attested, a.stats.Batches, a.stats.LastBatch, a.stats.LastIndex = b.Total, b.Number, b.Time, index
	a.stats.Pending -= int(b.Count)
	return nil
}

// next asks the ledger what the next attestation must carry. While it is away it asks again.
func (a *Attestor) next(ctx context.Context) (seq uint64, prev concord.Digest, err error) {
	err = a.try(ctx, "the ledger does not answer", func(context.Context) (err error) {
		seq, prev, err = a.cfg.Ledger.Next(a.cfg.Operator)
		return err
	})
	return seq, prev, err
}

// about adds which batch an error is about.
func about(b *Batch, err error) error {
	return concord.Errorf(concord.KindOf(err), "batch %d, seq %d: %w", b.Number, b.Seq, err)
}

// try does something until it succeeds, ctx ends, or it fails in a way that time does not heal.
func (a *Attestor) try(ctx context.Context, what string, do func(context.Context) error) error {
	for warned := false; ; warned = true {
		err := do(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if concord.KindOf(err) != concord.Unavailable {
			return err
		}
		if !warned {
			a.cfg.Logger.Warn(what+"; trying again", "reason", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryAfter):
		}
	}
}

var errStore = errors.New("the attestor's store is damaged")
