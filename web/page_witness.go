package web

import (
	"net/http"
	"strconv"

	"concord"
)

// asksListed is how many asks a page lists.
const asksListed = 25

// witnessListPage lists what operators asked to be witnessed.
type witnessListPage struct {
	frame
	Asks    []WitnessAsk
	Older   string
	Problem string // why there is no list
}

func (*witnessListPage) template() string { return "witnesses" }

func (s *Server) witnessListPage(w http.ResponseWriter, r *http.Request) {
	p := &witnessListPage{frame: frame{Title: "Witnessed pages", Section: "ledger", BoxInTop: true}}
	before, _ := strconv.ParseUint(r.URL.Query().Get("before"), 10, 63) // nonsense: from the newest
	x, err := s.witnesses()
	if err == nil {
		p.Asks, err = x.Asks(r.Context(), before, asksListed+1)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if len(p.Asks) > asksListed {
		p.Asks = p.Asks[:asksListed]
		p.Older = "/witness?before=" + strconv.FormatUint(p.Asks[asksListed-1].Index, 10)
	}
	s.render(w, r, http.StatusOK, p)
}

// witnessPage shows what each operator of a panel saw, side by side.
type witnessPage struct {
	frame
	Ask     WitnessAsk
	Link    string // the live page
	Words   string // what it came to
	Good    bool
	Sides   []witnessSide // of the last round
	Earlier *WitnessRound // the first, when there were two
	File    string        // where the receipt of the outcome is
}

// witnessSide is one operator's capture.
type witnessSide struct {
	WitnessSeat
	Words     string // how it compares
	Bad       bool   // it differs
	Missing   string // why there is no text to show
	Reference bool   // the others are compared with it
	Same      bool   // the same text as the reference
	Spans     []span
	Entry     string // of its report in the log
}

func (*witnessPage) template() string { return "witness" }

var witnessWords = map[string]string{
	WitnessAgree:       "Enough of the panel saw the same text.",
	WitnessSplit:       "The page shows different operators different texts: both panels saw them.",
	WitnessUnconfirmed: "Nothing was confirmed: too few reports, or differences that did not come again.",
	WitnessDisputed:    "The first panel saw different texts, so a second one looks.",
}

var relationWords = map[string]string{"agree": "the same text", "similar": "a similar text", "differ": "another text", "silent": "no report in time"}

func (s *Server) witnessPage(w http.ResponseWriter, r *http.Request) {
	index, err := strconv.ParseUint(r.PathValue("index"), 10, 63)
	if err != nil {
		s.fail(w, r, newProblem(http.StatusNotFound, "an ask is named by the number of its entry in the ledger"))
		return
	}
	if !s.limitSearch(w, r) { // it may ask other operators
		return
	}
	x, err := s.witnesses()
	var a WitnessAsk
	if err == nil {
		a, err = x.Asked(r.Context(), index)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := &witnessPage{frame: frame{Title: "Witnesses of " + concord.Clip(a.URL, 80), Section: "ledger", BoxInTop: true, NoIndex: true}, Ask: a, Link: webLink(a.URL),
		Words: witnessWords[a.Verdict], Good: a.Verdict == WitnessAgree, File: outcomeFileLink(a.Index)}
	if a.Open {
		p.Words, p.Refresh = "It is still open: the operators look at the page, and open what they sealed when nobody can copy it any more.", 5
	}
	if len(a.Rounds) > 1 {
		p.Earlier = &a.Rounds[0]
	}
	p.sides(x.Texts(r.Context(), &a))
	s.render(w, r, http.StatusOK, p)
}

// sides puts the reports of the last round beside each other, the reference first.
func (p *witnessPage) sides(texts []WitnessText) {
	round := p.Ask.Last()
	byName := map[string]WitnessText{}
	for _, t := range texts {
		byName[t.Operator] = t
	}
	reference, compared := byName[round.Reference]
	compared = compared && reference.Missing == ""
	for _, seat := range round.Seats {
		t := byName[seat.Operator]
		side := witnessSide{WitnessSeat: seat, Words: relationWords[seat.Relation], Bad: seat.Relation == "differ", Missing: sentence(t.Missing),
			Reference: round.Reference == seat.Operator}
		if side.Reference { // it is like itself
			side.Words = ""
		}
		switch {
		case seat.Report == nil:
			side.Missing = "Not opened."
			if p.Ask.Open && !seat.Sealed {
				side.Missing = "Not sealed yet."
			} else if p.Ask.Open {
				side.Missing = "Sealed, not opened yet."
			}
			p.Sides = append(p.Sides, side)
			continue
		case side.Missing != "":
		case seat.Report.Text.IsZero():
			side.Missing = "The answer has no text for readers."
		case compared && !side.Reference:
			side.Same = t.Text == reference.Text
			side.Spans = compareTexts(t.Text, reference.Text)
		default:
			side.Spans = compareTexts(t.Text, t.Text)
		}
		side.Entry = entryLink(seat.Report.Index)
		if side.Reference {
			p.Sides = append([]witnessSide{side}, p.Sides...)
			continue
		}
		p.Sides = append(p.Sides, side)
	}
}
