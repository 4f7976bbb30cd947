package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"concord"
	"concord/chain"
	rules "concord/ledger"
	"concord/receipt"
	"concord/text"
	"concord/web"
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
	n.texts = newTexts(n.cfg.Federation.AllowPrivate)
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

// witnesses implements web.Witnesses on the node that keeps the ledger.
type witnesses struct{ n *Node }

// witnesses are asked to look at pages, from any node.
func (n *Node) witnesses() web.Witnesses {
	if n.witness == nil {
		return witnessesThere{n}
	}
	return witnesses{n}
}

func (x witnesses) Ask(ctx context.Context, spec web.WitnessSpec) (web.WitnessAsk, error) {
	index, err := x.n.witness.Ask(ctx, witness.Wanted{URL: spec.URL, Need: spec.Need, Of: spec.Of, Until: spec.Until, Pay: spec.Pay})
	if err != nil {
		return web.WitnessAsk{}, err
	}
	return x.Asked(ctx, index)
}

func (x witnesses) Asked(_ context.Context, index uint64) (web.WitnessAsk, error) {
	a, st, err := x.n.chain.Ask(index)
	if err != nil {
		return web.WitnessAsk{}, err
	}
	w, err := x.view(a, st)
	if err == nil && !w.Open {
		var o chain.Outcome
		o, err = x.n.chain.Outcome(index)
		w.Record = o.Record
	}
	return w, err
}

func (x witnesses) Asks(ctx context.Context, before uint64, n int) (list []web.WitnessAsk, err error) {
	indexes, err := x.n.chain.Closed(before, n)
	if err != nil {
		return nil, err
	}
	for _, a := range x.n.chain.Asks() {
		if a.Open() && (before == 0 || a.Index < before) {
			indexes = append(indexes, a.Index)
		}
	}
	slices.SortFunc(indexes, func(a, b uint64) int { return cmp.Compare(b, a) })
	indexes = slices.Compact(indexes)
	for _, index := range indexes[:min(n, len(indexes))] {
		a, err := x.Asked(ctx, index)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// view is an ask for people, with what its reports say in the log.
func (x witnesses) view(a *rules.Ask, st *rules.State) (web.WitnessAsk, error) {
	w := web.WitnessAsk{Index: a.Index, From: a.From, URL: a.URL, Profile: a.Profile, Need: a.Need, Of: a.Of, Until: a.Until, Pay: a.Pay, Open: a.Open(),
		Verdict: string(a.Verdict())}
	for i := range a.Rounds {
		r := &a.Rounds[i]
		v := web.WitnessRound{Result: string(r.Result)}
		if r.Ref != "-" {
			v.Reference = r.Ref
		}
		if len(r.Seats) > 0 {
			v.SealBy, v.ShowBy = time.Unix(r.SealBy, 0).UTC(), time.Unix(r.ShowBy, 0).UTC()
		}
		for j := range r.Seats {
			s, err := x.seat(a, st, r, &r.Seats[j])
			if err != nil {
				return w, err
			}
			v.Seats = append(v.Seats, s)
		}
		w.Rounds = append(w.Rounds, v)
	}
	return w, nil
}

func (x witnesses) seat(a *rules.Ask, st *rules.State, r *rules.Round, s *rules.Seat) (web.WitnessSeat, error) {
	v := web.WitnessSeat{Operator: s.Operator, ASN: s.ASN, Region: s.Region, Asker: s.Operator == a.From, Sealed: !s.Commit.IsZero(), Forfeit: s.Forfeit}
	if r.Result != "" {
		rel, equal := st.Relation(r, s)
		v.Relation, v.Equal = string(rel), equal
	}
	if s.Report == nil {
		return v, nil
	}
	e, err := x.n.chain.Entry(s.Report.Index)
	if err != nil {
		return v, err
	}
	t, err := rules.ParseTx([]byte(e.Text))
	if err == nil && t.Show == nil {
		err = concord.Errorf(concord.Corrupt, "entry %d is no report", e.Index)
	}
	if err != nil {
		return v, err
	}
	v.Report = &web.WitnessReport{Index: e.Index, Status: t.Show.Status, Final: t.Show.Final, Time: time.Unix(t.Show.Time, 0).UTC(), Raw: t.Show.Raw, Text: t.Show.Text,
		Cert: t.Show.Cert, Record: t.Show.WARC}
	return v, nil
}

func (x witnesses) OutcomeReceipt(_ context.Context, index uint64) ([]byte, error) {
	o, err := x.n.chain.Outcome(index)
	if err != nil {
		return nil, err
	}
	record, err := x.n.chain.Entry(o.Record)
	if err != nil {
		return nil, err
	}
	head, err := x.n.chain.Covering(o.Record)
	if err != nil {
		return nil, err
	}
	path, err := x.n.chain.Proof(o.Record, head.Size)
	if err != nil {
		return nil, err
	}
	return receipt.BuildOutcome(receipt.Outcome{Ask: index, Record: []byte(record.Text), State: o.Text, Index: o.Record, Path: path, Checkpoint: []byte(head.Note)})
}

func (x witnesses) OwnText(_ context.Context, index uint64, round int) (string, error) {
	return x.n.witness.Text(index, round)
}
