package chain

import (
	"context"
	"slices"
	"sync"
	"time"

	"concord"
	"concord/ledger"
)

const (
	// maxWaiters bounds the callers of Submit: each holds one transaction.
	maxWaiters = 1024
	// offerAgain is how often a waiting transaction is given to the mempool again: it keeps it in memory only, and may
	// have dropped it.
	offerAgain = 2 * time.Second
)

// waiter is one call of Submit.
type waiter struct {
	tx    []byte
	index uint64
	err   error
	done  chan struct{} // closed when index or err is set
}

// waiters are the calls of Submit by leaf hash.
type waiters struct {
	mu     sync.Mutex
	byLeaf map[concord.Digest][]*waiter
	count  int
	block  chan struct{} // closed by the next block with transactions; nil: nobody asked
}

// nextBlock returns what is closed when a block with transactions was committed.
func (w *waiters) nextBlock() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.block == nil {
		w.block = make(chan struct{})
	}
	return w.block
}

// committed tells that one was.
func (w *waiters) committed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.block != nil {
		close(w.block)
		w.block = nil
	}
}

func (w *waiters) add(leaf concord.Digest, tx []byte) (*waiter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= maxWaiters {
		return nil, concord.Errorf(concord.Unavailable, "submit transaction: %d wait already; try again later", w.count)
	}
	x := &waiter{tx: tx, done: make(chan struct{})}
	w.byLeaf[leaf] = append(w.byLeaf[leaf], x)
	w.count++
	return x, nil
}

func (w *waiters) remove(leaf concord.Digest, x *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.byLeaf[leaf]
	if i := slices.Index(list, x); i >= 0 {
		w.count--
		if list = slices.Delete(list, i, i+1); len(list) == 0 {
			delete(w.byLeaf, leaf)
			return
		}
		w.byLeaf[leaf] = list
	}
}

func (w *waiters) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// transactions returns what is waited for.
func (w *waiters) transactions() (list [][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.byLeaf {
		list = append(list, x[0].tx)
	}
	return list
}

// each calls f with every leaf that is waited for; what it settles is told to its waiters.
func (w *waiters) each(f func(leaf concord.Digest, tx []byte) (index uint64, settled bool, err error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for leaf, list := range w.byLeaf {
		index, settled, err := f(leaf, list[0].tx)
		if !settled {
			continue
		}
		for _, x := range list {
			x.index, x.err = index, err
			close(x.done)
			w.count--
		}
		delete(w.byLeaf, leaf)
	}
}

// Submit puts a transaction into the ledger and returns its index in the log. When it returns without error the
// transaction is in the log, durable, and under a signed checkpoint. Bytes that are in the log already give their index.
// Errors: Invalid and Unauthorized for a transaction that can never be executed, Conflict when its seq was taken by
// another, Unavailable when ctx ends or the chain stops first; it may then still come into the log later.
func (c *Chain) Submit(ctx context.Context, tx []byte) (index uint64, err error) {
	leaf := ledger.LeafHash(tx)
	w, err := c.waiters.add(leaf, slices.Clone(tx))
	if err != nil {
		return 0, err
	}
	defer c.waiters.remove(leaf, w)
	tick := time.NewTicker(offerAgain)
	defer tick.Stop()
	if index, ok := c.signedIndex(leaf); ok { // it came in before the waiter was there to be woken
		return index, nil
	}
	started := c.started
	for {
		block := c.waiters.nextBlock()
		if err := c.offer(ctx, leaf, tx); err != nil {
			return 0, err
		}
		select {
		case <-w.done:
			return w.index, w.err
		case <-ctx.Done():
			return 0, concord.Errorf(concord.Unavailable, "submit transaction: %w", ctx.Err())
		case <-c.failed:
			return 0, concord.Errorf(concord.Unavailable, "submit transaction: %w", c.failure())
		case <-started:
			started = nil // offer it once more, now that somebody takes it
		case <-block: // what was too early, and left the mempool for it, may not be any more
		case <-tick.C:
			if e := c.running.Load(); e != nil {
				e.spread(tx)
			}
		}
	}
}

// signedIndex returns the index of an entry that a signed checkpoint covers.
func (c *Chain) signedIndex(leaf concord.Digest) (uint64, bool) {
	index, ok := c.Lookup(leaf)
	return index, ok && index < c.signed().Size
}

// offer gives a transaction to the mempool, unless Run does not run yet or it is in the log by now.
func (c *Chain) offer(ctx context.Context, leaf concord.Digest, tx []byte) error {
	e := c.running.Load()
	if e == nil {
		// Say at once what can never be executed.
		err := c.machine.Load().Check(tx)
		return c.unlessLogged(leaf, tx, err)
	}
	return c.unlessLogged(leaf, tx, e.offer(ctx, tx))
}

// unlessLogged drops an error about a transaction that is in the log: it was executed while it was checked.
func (c *Chain) unlessLogged(leaf concord.Digest, tx []byte, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := c.Lookup(leaf); ok {
		return nil
	}
	return concord.Errorf(c.kindOf(err, tx), "submit transaction: %w", err)
}

// kindOf returns the kind of an error about a transaction. What this operator may not do now it may again when the others have decided so: it
// waits. What it signed with a key that another has taken the place of is to be signed again, as what has a seq that is taken.
func (c *Chain) kindOf(err error, tx []byte) concord.Kind {
	kind := concord.KindOf(err)
	switch {
	case kind != concord.Unauthorized:
	case c.standing() != nil:
		return concord.Unavailable
	case c.outdated(tx):
		return concord.Conflict
	}
	return kind
}

// outdated reports whether a transaction of this operator is signed with another op key than the one it has now.
func (c *Chain) outdated(tx []byte) bool {
	t, err := ledger.ParseTx(tx)
	return err == nil && t.From == c.cfg.Operator && len(t.Note.Sigs) == 1 && !c.cfg.Keys.Op.Key().Made(t.Note.Sigs[0])
}

// wakeWaiters tells callers of Submit what became of their transactions.
func (c *Chain) wakeWaiters() {
	m, signed := c.machine.Load(), c.signed().Size
	c.waiters.each(func(leaf concord.Digest, tx []byte) (uint64, bool, error) {
		if index, ok := c.Lookup(leaf); ok {
			return index, index < signed, nil
		}
		err := m.Stale(tx)
		if err == nil {
			return 0, false, nil
		}
		if _, ok := c.Lookup(leaf); ok { // committed between the two looks; the next round finds it signed
			return 0, false, nil
		}
		return 0, true, concord.Errorf(c.kindOf(err, tx), "submit transaction: %w", err)
	})
}
