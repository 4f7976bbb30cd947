package ledger

import (
	"bytes"
	"slices"
)

// Relation is how an opened report compares with the text that most of its panel agree on.
type Relation string

const (
	Same    Relation = "agree"   // the same text, by its digest
	Similar Relation = "similar" // another text, alike by its sketch
	Differ  Relation = "differ"  // another text, or another kind of answer
	Silent  Relation = "silent"  // sealed too late, opened too late, or never
)

// Slack is how many of a panel may contradict the rest, as in the CA/Browser Forum's multi-perspective rules (Baseline
// Requirements, section 3.2.2.9): none of one, one of two to five, two of six and more.
func Slack(panel int) int {
	switch {
	case panel < 2:
		return 0
	case panel < 6:
		return 1
	}
	return 2
}

// compare returns how a report relates to a reference.
func (s *State) compare(r, ref *Report) Relation {
	switch {
	case r == nil:
		return Silent
	case r.Status/100 != ref.Status/100:
		return Differ
	case r.Text == ref.Text:
		return Same
	case uint64(r.Sketch.Equal(ref.Sketch)) >= s.Param(ParamSimilar):
		return Similar
	}
	return Differ
}

// Relation returns how a seat's report compares with what the round came to, and how many bytes of the sketches are
// equal. Before the round has a text to compare with, what was opened is only silent or not: "".
func (s *State) Relation(r *Round, seat *Seat) (rel Relation, equal int) {
	if seat.Report == nil {
		return Silent, 0
	}
	ref := r.reference()
	if ref == nil {
		return "", 0
	}
	return s.compare(seat.Report, ref), seat.Report.Sketch.Equal(ref.Sketch)
}

// reference returns the report that the result is about, nil when there is none.
func (r *Round) reference() *Report {
	if x := r.seat(r.Ref); x != nil {
		return x.Report
	}
	return nil
}

func (x *Seat) counts() bool { return x.Report != nil && !x.Forfeit }

// judge ends a round: the text with most support, and whether that is enough. It is a function of the round, the first
// round and the parameters alone.
func (s *State) judge(a *Ask) {
	r := a.last()
	var best *Report
	most, exact, ref := 0, 0, "-"
	for _, x := range r.panel() {
		if !x.counts() {
			continue
		}
		n, same := s.support(r, x.Report)
		if best == nil || n > most || n == most && (same > exact || same == exact && bytes.Compare(x.Report.Text[:], best.Text[:]) < 0) {
			best, most, exact, ref = x.Report, n, same, x.Operator
		}
	}
	r.Result, r.Ref = Unconfirmed, ref
	if best == nil {
		return
	}
	against := 0
	var with []Seat
	for _, x := range r.panel() {
		switch {
		case !x.counts():
		case s.compare(x.Report, best) == Differ:
			against++
		default:
			with = append(with, x)
		}
	}
	switch {
	case most >= a.Need && against <= Slack(len(r.panel())) && s.diverse(with):
		r.Result = Agree
	case len(a.Rounds) == 1 && against > 0:
		r.Result = Disputed
	case against > 0 && s.again(&a.Rounds[0], r):
		r.Result = Split
	}
}

// support counts who of the panel saw this text, or one alike, and who exactly this.
func (s *State) support(r *Round, ref *Report) (n, same int) {
	for _, x := range r.panel() {
		if !x.counts() {
			continue
		}
		switch s.compare(x.Report, ref) {
		case Same:
			n++
			same++
		case Similar:
			n++
		}
	}
	return n, same
}

// diverse reports whether those who agree are in enough autonomous systems and regions.
func (s *State) diverse(with []Seat) bool {
	var asns, rirs []string
	for _, x := range with {
		if x.ASN != "-" && !slices.Contains(asns, x.ASN) {
			asns = append(asns, x.ASN)
		}
		if x.Region != "-" && !slices.Contains(rirs, x.Region) {
			rirs = append(rirs, x.Region)
		}
	}
	return uint64(len(asns)) >= s.Param(ParamASNs) && uint64(len(rirs)) >= s.Param(ParamRegions)
}

// again reports whether two different texts of the first panel were both seen by the second.
func (s *State) again(first, second *Round) bool {
	var seen []*Report
	for _, x := range second.panel() {
		if !x.counts() {
			continue
		}
		if n, _ := s.support(first, x.Report); n == 0 {
			continue
		}
		for _, y := range seen {
			if s.compare(x.Report, y) == Differ {
				return true
			}
		}
		seen = append(seen, x.Report)
	}
	return false
}

// end closes the rounds whose time is over, in the order of asks, pays their reports, begins second rounds and drops the
// oldest of the closed asks. It returns the asks that closed.
func (r *run) end() (closed []*Ask) {
	for i, a := range r.Asks {
		if x := a.last(); x.Result != "" || !x.drawn() || r.now <= x.ShowBy {
			continue
		}
		a = a.clone()
		r.Asks[i] = a
		r.settle(a)
		if a.last().Result == Disputed {
			a.Rounds = append(a.Rounds, Round{})
			continue
		}
		r.Member(a.From).Balance += a.Locked
		a.Locked = 0
		closed = append(closed, a)
	}
	r.forget()
	return closed
}

// settle judges a round and pays who opened in time. Who did not, or was caught lying meanwhile, forfeits.
func (r *run) settle(a *Ask) {
	x := a.last()
	for i := range x.Seats {
		if m := r.Member(x.Seats[i].Operator); m.Status == Faulted {
			x.Seats[i].Forfeit = true
		}
	}
	r.judge(a)
	for _, seat := range x.panel() {
		if seat.counts() {
			r.Member(seat.Operator).Balance += a.Pay
			a.Locked -= a.Pay
		}
	}
}

func (r *run) forget() {
	closed := 0
	for _, a := range r.Asks {
		if !a.Open() {
			closed++
		}
	}
	r.Asks = slices.DeleteFunc(r.Asks, func(a *Ask) bool {
		drop := closed > KeepClosed && !a.Open()
		if drop {
			closed--
		}
		return drop
	})
}

// Corroborated returns the operators of the panel that support the result's text, in the order drawn.
func (s *State) Corroborated(r *Round) (list []string) {
	ref := r.reference()
	if ref == nil {
		return nil
	}
	for _, x := range r.panel() {
		if x.counts() && s.compare(x.Report, ref) != Differ {
			list = append(list, x.Operator)
		}
	}
	return list
}
