package ledger

import (
	"fmt"
	"slices"
	"strings"

	"concord"
)

// Ask is a request to witness a page with all that came of it.
type Ask struct {
	Index        uint64 // of its entry in the log
	From         string
	URL, Profile string
	Need, Of     int
	Until        int64
	Pay          int64   // for each report opened in time
	Locked       int64   // credit it holds: for the reports still to come
	Rounds       []Round // one panel, or two
}

// Round is one panel's work. Before it is drawn its Beacon is zero and it has no seats.
type Round struct {
	Beacon concord.Digest // hash of the first block after the one that began the round
	SealBy int64          // seals execute in blocks up to this time, in unix seconds; reports in blocks after it,
	ShowBy int64          // up to this time. The round ends with the first transaction after it
	Seats  []Seat         // the panel in the order drawn, then the asker: its report is there to compare, and counts nowhere
	Result Verdict        // empty: it goes on
	Ref    string         // the operator whose report the others are compared with, once there is a result; "-": no report
}

// Seat is one operator's part in a round.
type Seat struct {
	Operator    string
	ASN, Region string         // as the ledger knew it when the panel was drawn; "-": not known
	Commit      concord.Digest // of its seal; zero: none
	Report      *Report        // nil: not opened
	Forfeit     bool           // was caught misbehaving before the round ended: not counted, not paid
}

// Report is what decides of an opened report; the rest is in the log at Index.
type Report struct {
	Index  uint64
	Status int
	Text   concord.Digest
	Sketch Sketch
}

// Verdict is the result of a round, and that of the last one is the result of the ask.
type Verdict string

const (
	Agree       Verdict = "agree"       // enough of the panel saw the same text
	Disputed    Verdict = "disputed"    // the first panel saw different texts; a second one settles it
	Split       Verdict = "split"       // both panels saw the same different texts: the page shows different people different things
	Unconfirmed Verdict = "unconfirmed" // too few reports, or differences that did not come again
)

const (
	// KeepClosed is how many closed asks the state keeps for its readers, beside the open ones.
	KeepClosed = 64
	maxRounds  = 2
)

// Open reports whether a round is still to end.
func (a *Ask) Open() bool { return a.last().Result == "" }

// Verdict returns the result, "" while the ask is open.
func (a *Ask) Verdict() Verdict {
	if v := a.last().Result; v != Disputed {
		return v
	}
	return ""
}

func (a *Ask) last() *Round { return &a.Rounds[len(a.Rounds)-1] }

func (r *Round) drawn() bool { return len(r.Seats) > 0 }

func (r *Round) seat(operator string) *Seat {
	i := slices.IndexFunc(r.Seats, func(s Seat) bool { return s.Operator == operator })
	if i < 0 {
		return nil
	}
	return &r.Seats[i]
}

// panel returns the seats that count.
func (r *Round) panel() []Seat {
	if len(r.Seats) == 0 {
		return nil
	}
	return r.Seats[:len(r.Seats)-1]
}

func (a *Ask) clone() *Ask {
	c := *a
	c.Rounds = slices.Clone(a.Rounds)
	for i := range c.Rounds {
		c.Rounds[i].Seats = slices.Clone(a.Rounds[i].Seats)
	}
	return &c
}

// Ask returns the ask at a log index, with its panel as soon as its beacon is known, or nil. The caller owns it. Asks
// closed long ago are not in the state: their entries are in the log, and Outcome.Closed had them.
func (s *State) Ask(index uint64) *Ask {
	a := s.ask(index)
	if a == nil {
		return nil
	}
	a = a.clone()
	if s.After != nil && a.Open() && !a.last().drawn() {
		s.draw(a, *s.After)
	}
	return a
}

func (s *State) ask(index uint64) *Ask {
	i, ok := s.askAt(index)
	if !ok {
		return nil
	}
	return s.Asks[i]
}

func (s *State) askAt(index uint64) (int, bool) {
	return slices.BinarySearchFunc(s.Asks, index, func(a *Ask, index uint64) int {
		switch {
		case a.Index < index:
			return -1
		case a.Index > index:
			return 1
		}
		return 0
	})
}

func (a *Ask) format(b *strings.Builder) {
	fmt.Fprintf(b, "ask %d\nfrom %s\nurl %s\nprofile %s\nneed %d of %d\nuntil %d\npay %d\nlocked %d\n",
		a.Index, a.From, a.URL, a.Profile, a.Need, a.Of, a.Until, a.Pay, a.Locked)
	for i := range a.Rounds {
		r := &a.Rounds[i]
		fmt.Fprintf(b, "round %d %d %s\n", r.SealBy, r.ShowBy, r.Beacon)
		for _, s := range r.Seats {
			fmt.Fprintf(b, "seat %s %s %s %s\n", s.Operator, s.ASN, s.Region, s.Commit)
			if p := s.Report; p != nil {
				fmt.Fprintf(b, "report %d %d %s %s\n", p.Index, p.Status, p.Text, p.Sketch)
			}
			if s.Forfeit {
				b.WriteString("forfeit yes\n")
			}
		}
		if r.Result != "" {
			fmt.Fprintf(b, "result %s %s\n", r.Result, r.Ref)
		}
	}
}

func (l *lines) openAsk() *Ask {
	a := &Ask{Index: l.number("ask", maxNumber), From: l.operator("from"), URL: l.url("url"), Profile: l.word("profile", MaxProfile)}
	a.Need, a.Of = l.need()
	a.Until, a.Pay, a.Locked = int64(l.number("until", maxNumber)), int64(l.number("pay", MaxPrice)), int64(l.number("locked", maxNumber))
	for len(a.Rounds) == 0 || l.has("round") {
		if l.err != nil {
			return a
		}
		if len(a.Rounds) == maxRounds {
			l.fail("more than two rounds")
		}
		a.Rounds = append(a.Rounds, l.openRound())
	}
	return a
}

func (l *lines) openRound() (r Round) {
	f := l.fields("round", 3)
	r.SealBy, r.ShowBy = int64(l.parse(f[0], "round", maxNumber)), int64(l.parse(f[1], "round", maxNumber))
	r.Beacon = l.digest(f[2], "round")
	for l.has("seat") {
		f := l.fields("seat", 4)
		s := Seat{Operator: f[0], ASN: f[1], Region: f[2], Commit: l.digest(f[3], "seat")}
		if l.has("report") {
			f := l.fields("report", 4)
			s.Report = &Report{l.parse(f[0], "report", maxNumber), int(l.parse(f[1], "report", 999)), l.digest(f[2], "report"), l.sketch(f[3])}
		}
		if l.has("forfeit") {
			s.Forfeit = l.value("forfeit") == "yes"
		}
		if len(r.Seats) > MaxPanel {
			l.fail("more seats than a panel has")
		}
		r.Seats = append(r.Seats, s)
	}
	if l.has("result") {
		f := l.fields("result", 2)
		r.Result, r.Ref = Verdict(f[0]), f[1]
	}
	return r
}

// fields takes a line whose value has n fields, each followed by one space but the last.
func (l *lines) fields(key string, n int) []string {
	f := strings.Split(l.value(key), " ")
	if len(f) != n {
		l.fail(fmt.Sprintf("%s has not %d fields", key, n))
		return make([]string, n)
	}
	return f
}
