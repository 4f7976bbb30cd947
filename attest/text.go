package attest

import (
	"sort"

	"concord"
	"concord/receipt"
)

// Text returns the text (receipt.Batch) of the batch that an attest transaction of this attestor is about, also while that is on its way. Errors: NotFound;
// Corrupt when the store does not have all of it any more.
func (a *Attestor) Text(attest []byte) ([]byte, error) {
	about := &Batch{Note: string(attest)}
	want, err := about.attestation()
	if err != nil {
		return nil, err
	}
	last, err := a.store.lastBatch()
	if err != nil || last == nil || want.Chain != a.cfg.Ledger.ID() {
		return nil, noBatch(want.Seq, err)
	}
	// Batches of an earlier chain come before all of this one, and their seq grows.
	var failed error
	number := 1 + sort.Search(int(last.Number), func(i int) bool {
		b, err := a.store.batch(uint64(i) + 1)
		if err != nil || b == nil {
			failed = noBatch(uint64(i)+1, err)
			return true
		}
		return b.chain() == want.Chain && b.Seq >= want.Seq
	})
	if failed != nil {
		return nil, failed
	}
	b, err := a.store.batch(uint64(number))
	if err != nil || b == nil || b.Note != string(attest) {
		return nil, noBatch(want.Seq, err)
	}
	var text []byte
	for i := range b.Count {
		v, err := a.store.get(lineKey(b.Number, uint32(i)))
		if err == nil && v == nil {
			err = concord.Errorf(concord.Corrupt, "line %d of batch %d: %w", i, b.Number, errStore)
		}
		if err != nil {
			return nil, err
		}
		if text = append(append(text, v...), '\n'); len(text) > receipt.MaxBatchBytes {
			return nil, concord.Errorf(concord.NotFound, "batch %d is longer than %d bytes and is not handed out", b.Number, receipt.MaxBatchBytes)
		}
	}
	return text, nil
}

func noBatch(seq uint64, err error) error {
	if err != nil {
		return err
	}
	return concord.Errorf(concord.NotFound, "the attestor has no batch of seq %d", seq)
}
