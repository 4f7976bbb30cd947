package node

import (
	"context"

	"concord"
	"concord/chain"
	"concord/text"
	"concord/witness"
)

// The witness runs where the ledger is kept: it reads all of it, and there is one for an operator.

// witnessLedger is the ledger as a witness reads it.
type witnessLedger struct{ *chain.Chain }

// maxRepeats bounds the notes of one digest that are gone through for this operator's own.
const maxRepeats = 1000

// Noted implements witness.Ledger.
func (l witnessLedger) Noted(d concord.Digest, operator string) (first, own witness.Noted, err error) {
	list, err := l.Documents(d, maxRepeats)
	for i, n := range list {
		if i == 0 {
			first = witness.Noted(n)
		}
		if n.From == operator {
			return first, witness.Noted(n), nil
		}
	}
	return first, own, err
}

// openWitness opens what this operator states beside its attestations.
func (n *Node) openWitness(context.Context) (err error) {
	if n.chain == nil {
		return nil
	}
	n.witness, err = witness.Open(witness.Config{Dir: n.path("witness"), Ledger: witnessLedger{n.chain}, Keys: n.keys, Operator: n.layout.Operator,
		Profile: text.Profile, Look: n.look, Announce: func(ctx context.Context, list []*concord.Capture) error { return n.crawler.Announce(ctx, list) },
		Logger: n.log("witness")})
	return err
}

// look looks at a page that the ledger asks this operator to witness.
func (n *Node) look(ctx context.Context, url string) (witness.Sight, error) {
	v, err := n.crawler.Visit(ctx, url, n.cfg.Federation.AllowPrivate)
	if err != nil {
		return witness.Sight{}, err
	}
	s := witness.Sight{Final: v.URL, Time: v.Time, Text: v.Text, Cert: v.Cert, Captures: v.Captures}
	if c := v.Capture; c != nil {
		s.Status, s.Raw, s.Record = c.Status, c.Raw, c.Record
	}
	return s, nil
}
