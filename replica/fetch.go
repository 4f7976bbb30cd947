package replica

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"concord"
	"concord/durable"
	"concord/receipt"

	"golang.org/x/sync/errgroup"
)

const (
	maxFetchers = 4                     // authors whose batches are asked for at a time
	turnBatches = 200                   // of one author in a turn
	turnTime    = 10 * time.Second      // for them, so that one that is slow does not hold up the others
	fetchTime   = 15 * time.Second      // for one question
	pace        = 30 * time.Millisecond // between two questions: an operator's API takes some 50 a second
	maxSources  = 8                     // operators asked for one batch
	firstRetry  = 5 * time.Second       // after a batch was not to be had; twice as long each time
	lastRetry   = time.Hour
	batchType   = "text/plain"
)

// batchPath is where an operator's API has the batch of an entry; its votes are at "vote" below it, whose key signed it at "admission".
func batchPath(index uint64) string { return "api/v1/batches/" + strconv.FormatUint(index, 10) }

// fetchDue asks for the batches whose time has come.
func (k *Keeper) fetchDue(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(maxFetchers)
	for _, list := range k.due() {
		g.Go(func() error {
			for end := k.cfg.Now().Add(turnTime); len(list) > 0 && ctx.Err() == nil && k.cfg.Now().Before(end); list = list[1:] {
				k.fetch(ctx, list[0])
				wait(ctx, pace)
			}
			return nil
		})
	}
	_ = g.Wait()
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// due returns the batches to be asked for now, by author. While the disk is full that is only what is damaged.
func (k *Keeper) due() map[string][]*want {
	full := ""
	if free, _, err := durable.FreeSpace(k.dir); err == nil && free < uint64(k.cfg.FreeSpace) {
		full = fmt.Sprintf("%d bytes are free on the disk, and %d must stay so", free, k.cfg.FreeSpace)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.totals.paused = full
	now := k.cfg.Now()
	byAuthor := map[string][]*want{}
	for _, w := range k.wants {
		h := k.held[w.index]
		if w.at.After(now) || full != "" && h == nil {
			continue
		}
		if h == nil && !k.fits(w.author, w.index) { // its share has filled up meanwhile
			k.unwant(w.index)
			continue
		}
		byAuthor[w.author] = append(byAuthor[w.author], w)
	}
	for author, list := range byAuthor {
		slices.SortFunc(list, func(a, b *want) int { return cmp.Or(cmp.Compare(a.tries, b.tries), cmp.Compare(a.index, b.index)) })
		byAuthor[author] = list[:min(len(list), turnBatches)]
	}
	return byAuthor
}

// fetch asks for one batch and keeps it. Only Run's own goroutines do.
func (k *Keeper) fetch(ctx context.Context, w *want) {
	e, err := k.cfg.Ledger.Entry(w.index)
	var text []byte
	asked := false
	if err == nil {
		text, asked = k.obtain(ctx, &e)
	}
	if text != nil {
		if err = k.put(e.Index, e.From, text); err == nil {
			return
		}
	}
	if err != nil {
		k.cfg.Logger.Warn("a batch of another operator cannot be kept; trying again", "entry", w.index, "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if asked {
		w.tries++
	}
	w.at = k.cfg.Now().Add(min(lastRetry, firstRetry<<min(w.tries, 16)))
}

// obtain asks its author for a batch, then others, until one sends what gives the attested root.
func (k *Keeper) obtain(ctx context.Context, e *concord.LedgerEntry) (text []byte, asked bool) {
	for _, name := range k.sources(e) {
		if ctx.Err() != nil {
			return nil, false
		}
		asked = true
		if text := k.get(ctx, name, e); text != nil {
			return text, true
		}
	}
	return nil, asked
}

// sources are the operators that are asked for a batch: its author, and others beginning with another for each batch.
func (k *Keeper) sources(e *concord.LedgerEntry) (list []string) {
	others := k.cfg.Peers.Others()
	n := len(others)
	for i := range n {
		if name := others[(uint64(i)+e.Index)%uint64(n)]; name != e.From && !k.rests(name) {
			list = append(list, name)
		}
	}
	if slices.Contains(others, e.From) && !k.rests(e.From) {
		list = slices.Insert(list, 0, e.From)
	}
	return list[:min(len(list), maxSources)]
}

// get asks one operator for a batch; nil: it has none that is right.
func (k *Keeper) get(ctx context.Context, name string, e *concord.LedgerEntry) []byte {
	asking, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	text, err := k.cfg.Peers.Get(asking, name, batchPath(e.Index), nil, batchType, receipt.MaxBatchBytes)
	if err != nil {
		if ctx.Err() == nil { // else it is our own doing
			k.countError(name, e.Index, err)
		}
		return nil
	}
	if _, err := receipt.ParseBatch([]byte(e.Text), text); err != nil {
		k.cfg.Logger.Warn("an operator sent a batch that is not what was attested; it is not used", "operator", name, "entry", e.Index, "reason", err)
		k.count(name, fmt.Sprintf("entry %d: it sent a batch that is not what was attested", e.Index), func(p *peer) { p.Refused[BadRoot]++ })
		return nil
	}
	k.count(name, "", func(p *peer) { p.Fetched++ })
	return text
}

// countError counts a question without an answer that can be used.
func (k *Keeper) countError(name string, index uint64, err error) {
	words := fmt.Sprintf("entry %d: %v", index, err)
	switch concord.KindOf(err) {
	case concord.NotFound:
		k.count(name, "", func(*peer) {})
	case concord.Invalid:
		k.count(name, words, func(p *peer) { p.Refused[Malformed]++ })
	default:
		k.count(name, words, func(p *peer) { p.Failed++ })
	}
}
