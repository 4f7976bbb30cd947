package ledger

import "concord"

// ask begins a round of witnessing. What its reports may cost, for two panels, is locked now.
func (r *run) ask(m *Member, t *AskTx) error {
	if r.founding {
		return concord.Errorf(concord.Invalid, "ask of %s: it needs a block's time, which founding notes do not have", m.Operator)
	}
	able, open := 0, 0
	for i := range r.Members {
		if r.Members[i].eligible(m.Operator) {
			able++
		}
	}
	for _, a := range r.Asks {
		if a.From == m.Operator && a.Open() {
			open++
		}
	}
	cost := t.Pay * int64(t.Of) * maxRounds
	switch {
	case uint64(t.Of) > r.Param(ParamPanel):
		return concord.Errorf(concord.Invalid, "ask of %s: a panel of %d, the limit is %d", m.Operator, t.Of, r.Param(ParamPanel))
	case t.Of > able:
		return concord.Errorf(concord.Unavailable, "ask of %s: a panel of %d, but only %d other operators can be on it", m.Operator, t.Of, able)
	case uint64(t.Until) > r.Param(ParamWindow):
		return concord.Errorf(concord.Invalid, "ask of %s: %d seconds to seal, the limit is %d", m.Operator, t.Until, r.Param(ParamWindow))
	case uint64(open) >= r.Param(ParamAsks):
		return concord.Errorf(concord.Unavailable, "ask of %s: %d of its asks are open, the limit; wait for one to close", m.Operator, open)
	}
	if err := r.spend(m, cost, "ask"); err != nil {
		return err
	}
	m.Balance -= cost
	r.Asks = append(r.Asks, &Ask{Index: r.next, From: m.Operator, URL: t.URL, Profile: t.Profile, Need: t.Need, Of: t.Of, Until: t.Until,
		Pay: t.Pay, Locked: cost, Rounds: []Round{{}}})
	return nil
}

// part finds where a seal or report belongs: its place in the list of asks, and the operator's seat. A nil seat without an error is a
// panel not yet drawn, in the mempool.
func (r *run) part(what string, m *Member, index uint64, round int) (at int, seat *Seat, err error) {
	at, ok := r.askAt(index)
	if !ok || !r.Asks[at].Open() {
		return 0, nil, concord.Errorf(concord.NotFound, "%s of %s: there is no open ask %d", what, m.Operator, index)
	}
	a := r.Asks[at]
	switch n := len(a.Rounds); {
	case round < n:
		return 0, nil, concord.Errorf(concord.Conflict, "%s of %s: round %d of ask %d is over", what, m.Operator, round, index)
	case (round > n || !a.last().drawn()) && r.lenient:
		return at, nil, nil
	case round > n:
		return 0, nil, concord.Errorf(concord.Invalid, "%s of %s: ask %d has no round %d", what, m.Operator, index, round)
	case !a.last().drawn():
		return 0, nil, concord.Errorf(concord.Unavailable, "%s of %s: the panel of ask %d is not drawn yet", what, m.Operator, index)
	}
	if seat = a.last().seat(m.Operator); seat == nil {
		return 0, nil, concord.Errorf(concord.Unauthorized, "%s of %s: it is not on the panel of ask %d", what, m.Operator, index)
	}
	return at, seat, nil
}

func (r *run) seal(m *Member, t *SealTx) error {
	at, seat, err := r.part("seal", m, t.Ask, t.Round)
	if err != nil || seat == nil {
		return err
	}
	x := r.Asks[at].last()
	if r.now > x.SealBy {
		return concord.Errorf(concord.Conflict, "seal of %s: sealing ended at %d, the block's time is %d", m.Operator, x.SealBy, r.now)
	}
	if !seat.Commit.IsZero() {
		return concord.Errorf(concord.Conflict, "seal of %s: it has sealed a report for ask %d already", m.Operator, t.Ask)
	}
	for _, o := range x.Seats {
		if o.Commit == t.Commit {
			return concord.Errorf(concord.Invalid, "seal of %s: that is the seal of %s; a copy can never be opened", m.Operator, o.Operator)
		}
	}
	a := r.Asks[at].clone()
	a.last().seat(m.Operator).Commit = t.Commit
	r.Asks[at] = a
	return nil
}

func (r *run) show(m *Member, t *ShowTx) error {
	at, seat, err := r.part("show", m, t.Ask, t.Round)
	if err != nil || seat == nil {
		return err
	}
	x := r.Asks[at].last()
	switch {
	case seat.Commit.IsZero() && r.lenient:
		return nil // its seal may come before it
	case seat.Commit.IsZero():
		return concord.Errorf(concord.Unauthorized, "show of %s: it has sealed nothing for ask %d", m.Operator, t.Ask)
	case t.Commit() != seat.Commit:
		return concord.Errorf(concord.Unauthorized, "show of %s: the report is not the one it sealed", m.Operator)
	case seat.Report != nil:
		return concord.Errorf(concord.Conflict, "show of %s: its report is open already", m.Operator)
	case r.now > x.ShowBy:
		return concord.Errorf(concord.Conflict, "show of %s: opening ended at %d, the block's time is %d", m.Operator, x.ShowBy, r.now)
	case r.now <= x.SealBy && !r.lenient:
		return concord.Errorf(concord.Unavailable, "show of %s: others may seal until %d, the block's time is %d", m.Operator, x.SealBy, r.now)
	}
	a := r.Asks[at].clone()
	a.last().seat(m.Operator).Report = &Report{Index: r.next, Status: t.Status, Text: t.Text, Sketch: t.Sketch}
	r.Asks[at] = a
	return nil
}
