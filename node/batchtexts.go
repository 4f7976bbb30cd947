package node

import (
	"bytes"
	"slices"
	"sync"

	"concord"
)

// batchTexts are the texts of own batches that other nodes read piece by piece, each built once for all its pieces. A text is kept from its first
// piece until its last, or until others take its place.
type batchTexts struct {
	mu   sync.Mutex
	kept []batchText // who was asked for last is last
}

// batchText is the text of the batch that an attest transaction is about; it never changes.
type batchText struct{ attest, text []byte }

// maxBatchTexts are the texts kept at a time, of receipt.MaxBatchBytes at most each: one node asks, for a few batches at a time.
const maxBatchTexts = 4

// piece returns a part of a batch's text. build returns the whole.
func (t *batchTexts) piece(q batchQuestion, build func(attest []byte) ([]byte, error)) (ledgerPiece, error) {
	text, ok := t.find(q.Attest)
	if !ok {
		var err error
		if text, err = build(q.Attest); err != nil {
			return ledgerPiece{}, err
		}
	}
	p := pieceOf(text, q.From)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = slices.DeleteFunc(t.kept, func(b batchText) bool { return bytes.Equal(b.attest, q.Attest) })
	if p.More {
		t.kept = append(t.kept, batchText{q.Attest, text})
	}
	if n := len(t.kept) - maxBatchTexts; n > 0 {
		t.kept = slices.Delete(t.kept, 0, n)
	}
	return p, nil
}

func (t *batchTexts) find(attest []byte) ([]byte, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.kept {
		if bytes.Equal(b.attest, attest) {
			return b.text, true
		}
	}
	return nil, false
}

// batchTextHere answers a node that reads a batch.
func (n *Node) batchTextHere(q batchQuestion) (ledgerPiece, error) {
	a, release, ok := n.attestor.get()
	if !ok {
		return ledgerPiece{}, errAttestorAway()
	}
	defer release()
	return n.batchTexts.piece(q, a.Text)
}

// batchRestHere is the text of a batch from a byte on, in one piece: it does not leave this node.
func (n *Node) batchRestHere(q batchQuestion) (ledgerPiece, error) {
	a, release, ok := n.attestor.get()
	if !ok {
		return ledgerPiece{}, errAttestorAway()
	}
	defer release()
	text, err := a.Text(q.Attest)
	if err != nil {
		return ledgerPiece{}, err
	}
	if q.From > len(text) {
		return ledgerPiece{}, concord.Errorf(concord.Corrupt, "a batch of %d bytes was longer on another node", len(text))
	}
	return ledgerPiece{Data: text[q.From:]}, nil
}
