package node

import (
	"context"
	"time"

	"concord"
	"concord/chain"
)

// What a remoteLedger asks for each time, or once and for all. The methods are those of chain.Chain.

// Next returns what the operator's next attestation must carry.
func (l *remoteLedger) Next(operator string) (seq uint64, prev concord.Digest, err error) {
	ctx, cancel := reading()
	defer cancel()
	var a ledgerNext
	err = l.read(ctx, ledgerNextService, operator, &a)
	return a.Seq, a.Prev, err
}

// Submit puts a transaction into the ledger and returns its index when a signed checkpoint covers it. It waits as long as ctx allows and
// the ledger's node answers. After an Unavailable error the transaction may be in the log or come into it: the same bytes may be submitted
// again, and have one place. Its other errors are those of chain.Submit.
func (l *remoteLedger) Submit(ctx context.Context, tx []byte) (index uint64, err error) {
	for {
		var place ledgerPlace
		if err := l.ask(ctx, submitTurn+ledgerAskTime, ledgerSubmitService, tx, &place); err != nil {
			return 0, err
		}
		if !place.Waiting {
			l.forget() // there is a newer checkpoint
			return place.Index, nil
		}
		if ctx.Err() != nil {
			return 0, concord.Errorf(concord.Unavailable, "submit transaction: %w", ctx.Err())
		}
	}
}

// forget has what is shown of the ledger asked for anew.
func (l *remoteLedger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.asking = time.Time{}, nil // what is being asked may have been answered before
}

// Admission returns what binds an operator's op key to its cosigning key, as receipts carry it. It is kept for as long as the operator's keys stay.
func (l *remoteLedger) Admission(operator string, index uint64) ([]byte, error) {
	q := ledgerOperator{Name: operator, Index: index}
	a, _ := l.about()
	for _, m := range a.Members {
		if m.Name == operator {
			q.Keys = m.Keys
		}
	}
	ctx, cancel := reading()
	defer cancel()
	return recall[[]byte](ctx, l, ledgerAdmissionService, q)
}

// Covering returns the earliest signed head that covers an entry; Unavailable when none does yet.
func (l *remoteLedger) Covering(index uint64) (concord.Checkpoint, error) {
	ctx, cancel := reading()
	defer cancel()
	return recall[concord.Checkpoint](ctx, l, ledgerCoveringService, index)
}

// Proof returns the inclusion path of an entry in the tree of the first size entries.
func (l *remoteLedger) Proof(index, size uint64) ([]concord.Digest, error) {
	ctx, cancel := reading()
	defer cancel()
	return recall[[]concord.Digest](ctx, l, ledgerProofService, ledgerProof{index, size})
}

// Entry returns one entry.
func (l *remoteLedger) Entry(index uint64) (concord.LedgerEntry, error) {
	ctx, cancel := reading()
	defer cancel()
	return recall[concord.LedgerEntry](ctx, l, ledgerEntryService, index)
}

// Entries returns up to n entries, at most chain.MaxEntries, from an index on.
func (l *remoteLedger) Entries(from uint64, n int) ([]concord.LedgerEntry, error) {
	return gather(n, func(ctx context.Context, list []concord.LedgerEntry, n int) (page ledgerPage[concord.LedgerEntry], err error) {
		err = l.read(ctx, ledgerEntriesService, ledgerSpan{from + uint64(len(list)), n}, &page)
		return page, err
	})
}

// Find returns up to n entries, at most chain.MaxFound, that name a term and have an index below one, the newest first.
func (l *remoteLedger) Find(t concord.LedgerTerm, below uint64, n int) ([]concord.LedgerEntry, error) {
	return gather(min(n, chain.MaxFound), func(ctx context.Context, list []concord.LedgerEntry, n int) (page ledgerPage[concord.LedgerEntry], err error) {
		if len(list) > 0 {
			below = list[len(list)-1].Index
		}
		err = l.read(ctx, ledgerFindService, ledgerFind{t, below, n}, &page)
		return page, err
	})
}

// Block returns where the entries of a block lie, and when it was ordered.
func (l *remoteLedger) Block(height int64) (b concord.LedgerBlock, err error) {
	ctx, cancel := reading()
	defer cancel()
	err = l.read(ctx, ledgerBlockService, height, &b)
	return b, err
}

// Checkpoints returns the signed heads, newest first, at most n, of sizes at most upTo; upTo 0: from the newest.
func (l *remoteLedger) Checkpoints(upTo uint64, n int) ([]concord.Checkpoint, error) {
	return gather(n, func(ctx context.Context, list []concord.Checkpoint, n int) (page ledgerPage[concord.Checkpoint], err error) {
		if len(list) > 0 {
			upTo = list[len(list)-1].Size - 1 // not 0: a page that has more to come does not end with the smallest
		}
		err = l.read(ctx, ledgerCheckpointsService, ledgerSpan{upTo, n}, &page)
		return page, err
	})
}

// gather asks for page after page, each after what the list has, until it has n items or there are no more.
func gather[T any](n int, ask func(ctx context.Context, list []T, n int) (ledgerPage[T], error)) (list []T, err error) {
	ctx, cancel := reading()
	defer cancel()
	for n = min(n, chain.MaxEntries); len(list) < n; {
		page, err := ask(ctx, list, n-len(list))
		if err != nil {
			return nil, err
		}
		list = append(list, page.Items...)
		if !page.More || len(page.Items) == 0 {
			break
		}
	}
	return list, nil
}

// HashTile returns the first width hashes of tile n at a level of tiles.
func (l *remoteLedger) HashTile(level int, n uint64, width int) ([]byte, error) {
	ctx, cancel := reading()
	defer cancel()
	return recall[[]byte](ctx, l, ledgerTileService, ledgerTile{Level: level, N: n, Width: width})
}

// EntryBundle returns the first width entries of tile n, each after its length.
func (l *remoteLedger) EntryBundle(n uint64, width int) (bundle []byte, err error) {
	ctx, cancel := reading()
	defer cancel()
	for {
		piece, err := recall[ledgerPiece](ctx, l, ledgerBundleService, ledgerTile{N: n, Width: width, From: len(bundle)})
		if err != nil {
			return nil, err
		}
		if bundle = append(bundle, piece.Data...); !piece.More || len(piece.Data) == 0 {
			return bundle, nil
		}
	}
}
