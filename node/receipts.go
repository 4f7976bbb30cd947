package node

import (
	"context"
	"fmt"

	"concord"
	"concord/attest"
	"concord/receipt"
	"concord/web"
)

// Receipts are built by the attestor, on whichever node runs it.

const (
	serviceReceipt  = "attest-receipt"
	serviceAttested = "attest-stats"
)

type receiptQuestion struct{ Capture string }

func (n *Node) attestServices() map[string]handler {
	return map[string]handler{
		serviceReceipt:   answers(func(ctx context.Context, q receiptQuestion) ([]byte, error) { return n.receiptHere(ctx, q.Capture) }),
		serviceBatchText: answers(func(_ context.Context, q batchQuestion) (ledgerPiece, error) { return n.batchTextHere(q) }),
		serviceAttested:  answers(func(context.Context, none) (attest.Stats, error) { return n.attestStatsHere() }),
	}
}

// errAttestorAway is the answer while the attestor is between two nodes.
func errAttestorAway() error {
	return concord.Errorf(concord.Unavailable, "no node attests at the moment; try again in a few seconds")
}

func (n *Node) receiptHere(ctx context.Context, captureID string) ([]byte, error) {
	a, release, ok := n.attestor.get()
	if !ok {
		return nil, errAttestorAway()
	}
	defer release()
	return a.Receipt(ctx, captureID)
}

func (n *Node) attestStatsHere() (attest.Stats, error) {
	a, release, ok := n.attestor.get()
	if !ok {
		return attest.Stats{}, errAttestorAway()
	}
	defer release()
	return a.Stats(), nil
}

// fromAttestor answers here, or has the attestor's owner answer.
func fromAttestor[Q, A any](ctx context.Context, n *Node, service string, q Q, here func() (A, error)) (a A, err error) {
	if !n.clustered() {
		return here()
	}
	owner, err := n.ownerOf(attestorName)
	if err != nil || owner == n.layout.Node {
		return here() // which knows best why not
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return call[Q, A](ctx, n.bus, owner, service, q)
}

func (n *Node) receipt(ctx context.Context, captureID string) ([]byte, error) {
	return fromAttestor(ctx, n, serviceReceipt, receiptQuestion{captureID}, func() ([]byte, error) { return n.receiptHere(ctx, captureID) })
}

func (n *Node) attestStats(ctx context.Context) (attest.Stats, error) {
	return fromAttestor(ctx, n, serviceAttested, none{}, n.attestStatsHere)
}

// receipts implements web.Receipts.
type receipts struct{ n *Node }

func (r receipts) Receipt(ctx context.Context, captureID string) ([]byte, error) {
	proof, err := r.n.receipt(ctx, captureID)
	if concord.KindOf(err) != concord.NotFound {
		return proof, err
	}
	c, known := r.n.capture(ctx, captureID)
	switch {
	case known != nil:
		return nil, known
	case c.Crawl == concord.ImportCrawl:
		return nil, concord.Errorf(concord.NotFound, "this capture was imported from another archive: %s did not fetch it and does not attest it", r.n.layout.Operator)
	}
	last, err := r.n.captures.Last(ctx, "capture.*")
	if err != nil {
		return nil, err
	}
	if st, err := r.n.attestStats(ctx); err == nil && st.Position >= last { // it has seen all there is, this capture included if it was there
		if proof, err = r.n.receipt(ctx, captureID); concord.KindOf(err) != concord.NotFound {
			return proof, err
		}
		return nil, concord.Errorf(concord.NotFound, "there is no receipt of this capture: what is needed for it was lost, or the answer could not be put into an attestation; one that somebody has stays valid")
	}
	// The catalog has it, the attestor's log has not reached it yet.
	return nil, concord.Errorf(concord.Unavailable, "the receipt is not there yet; try again in a few seconds")
}

// Promise implements web.Receipts.
func (r receipts) Promise(ctx context.Context, captureID string) ([]byte, error) {
	proof, err := r.Receipt(ctx, captureID)
	if concord.KindOf(err) != concord.Unavailable {
		return proof, err
	}
	c, err := r.n.capture(ctx, captureID)
	if err != nil {
		return nil, err
	}
	cfg := r.n.attestConfig()
	if proof, err = attest.Promise(c, cfg.Ledger, cfg.Keys, cfg.Operator); err != nil {
		return nil, err
	}
	if _, err := receipt.Verify(proof, []byte(r.Policy()), receipt.Options{}); err != nil { // while a key is being changed
		return nil, concord.Errorf(concord.Unavailable, "the operator's keys and the ledger do not fit at the moment; try again: %w", err)
	}
	return proof, nil
}

func (r receipts) Policy() string { return r.n.book().Policy() }

// Attested implements web.Receipts. A receipt is cheap to build, so asking for it is the test; it also has the batch closed after BatchWindow at the
// latest, however long it would have stayed open.
func (r receipts) Attested(ctx context.Context, captureID string) (web.AttestState, error) {
	proof, err := r.Receipt(ctx, captureID)
	if concord.KindOf(err) == concord.Unavailable {
		return web.AttestState{Wait: r.n.cfg.BatchWindow}, nil
	}
	if err != nil {
		return web.AttestState{}, err
	}
	rep, err := receipt.Verify(proof, []byte(r.Policy()), receipt.Options{})
	if err != nil {
		return web.AttestState{}, fmt.Errorf("receipt of %s: %w", captureID, err)
	}
	return web.AttestState{Done: true, Index: rep.Index}, nil
}
