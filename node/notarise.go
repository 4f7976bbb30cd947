package node

import (
	"context"

	"concord"
	"concord/web"
	"concord/witness"
)

// notary implements web.Notary on the node that keeps the ledger.
type notary struct{ w *witness.Witness }

// notary takes documents to the ledger, from any node.
func (n *Node) notary() web.Notary {
	if n.witness == nil {
		return notaryThere{n}
	}
	return notary{n.witness}
}

func (x notary) Notarise(ctx context.Context, digests []concord.Digest, label string) ([]web.NotarisedDocument, error) {
	list, err := x.w.Notarise(ctx, digests, label)
	if err != nil {
		return nil, err
	}
	out := make([]web.NotarisedDocument, len(list))
	for i, d := range list {
		out[i] = notarised(d)
	}
	return out, nil
}

func (x notary) Document(_ context.Context, digest concord.Digest) (web.NotarisedDocument, error) {
	d, err := x.w.Document(digest)
	return notarised(d), err
}

func (x notary) DocumentReceipt(_ context.Context, digest concord.Digest) ([]byte, error) {
	return x.w.Receipt(digest)
}

func notarised(d witness.Notarised) web.NotarisedDocument {
	out := web.NotarisedDocument{Digest: d.Digest, State: web.NotarisedElsewhere, FirstFrom: d.First.From, FirstIndex: d.First.Index}
	switch {
	case d.Logged:
		out.State, out.Index = web.NotarisedLogged, d.Index
	case d.Queued:
		out.State = web.NotarisedQueued
	}
	return out
}
