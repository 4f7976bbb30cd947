package replica

import (
	"cmp"
	"context"
	"slices"

	"concord"
	"concord/receipt"
)

// maxScans bounds the searches for a page that go on at a time: the first reads all that is kept of an operator, at worst.
const maxScans = 1

// Receipt makes the receipt of an operator's newest capture of a page, when its batch is kept here, with our own copy of the ledger: the operator itself
// need not be there any more. NotFound: no batch that is kept has one. It reads, from the newest on, the author's batches that were not read since the start, and
// those that may have it.
func (k *Keeper) Receipt(ctx context.Context, operator, pageURL string) ([]byte, error) {
	select {
	case k.scans <- struct{}{}:
		defer func() { <-k.scans }()
	case <-ctx.Done():
		return nil, concord.Errorf(concord.Unavailable, "too many receipts of other operators are being looked for; try again in a few seconds")
	}
	k.mu.Lock()
	var indexes []uint64
	page := hashPage([]byte(pageURL))
	for i, h := range k.held {
		if h.author == operator && h.pages.mayHave(page) {
			indexes = append(indexes, i)
		}
	}
	k.mu.Unlock()
	slices.SortFunc(indexes, func(a, b uint64) int { return cmp.Compare(b, a) })
	for _, index := range indexes {
		if ctx.Err() != nil {
			return nil, concord.Errorf(concord.Unavailable, "there was no time to look through all that is kept of %s; try again", operator)
		}
		if !k.mayHave(index, operator, page) {
			continue
		}
		e, err := k.cfg.Ledger.Entry(index)
		if concord.KindOf(err) == concord.NotFound {
			continue // our ledger has become shorter
		}
		if err != nil {
			return nil, err
		}
		_, b, err := k.read(&e)
		if err != nil {
			continue // damaged: it is mended, and there may be an older capture
		}
		newest := -1
		for i := range b.Entries {
			if b.Entries[i].URL == pageURL && (newest < 0 || b.Entries[i].Time >= b.Entries[newest].Time) {
				newest = i
			}
		}
		if newest >= 0 {
			p, err := k.build(&e, b.Parts(newest))
			if err != nil {
				return nil, err
			}
			return receipt.Build(*p)
		}
	}
	return nil, concord.Errorf(concord.NotFound, "no batch of %s that is kept here has a capture of %s", concord.Clip(operator, 100), concord.Clip(pageURL, 200))
}

// mayHave reads a batch for the pages it has, unless that is known, and says whether one of them may be among them.
func (k *Keeper) mayHave(index uint64, author string, page pageHash) bool {
	k.mu.Lock()
	h := k.held[index]
	var pages filter
	written := 0
	if h != nil {
		pages, written = h.pages, h.written
	}
	k.mu.Unlock()
	if h == nil {
		return false
	}
	if pages == nil {
		text, err := readFile(k.path(index, author))
		if err != nil {
			return true // whoever reads it next sees to it
		}
		pages = newFilter(text)
		k.mu.Lock()
		if h.written == written {
			h.pages = pages
		}
		k.mu.Unlock()
	}
	return pages.mayHave(page)
}
