package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"concord"
	"concord/ledger"
)

// asksListed is how many asks a page lists.
const asksListed = 25

// witnessListPage lists what operators asked to be witnessed, and has the form to ask.
type witnessListPage struct {
	explorer
	Form    witnessForm
	Halted  string       // why asking is of no use now: the ledger stands still
	Own     OperatorInfo // this operator, for what it can spend
	Others  int          // operators that can be on a panel
	KeyFile string
	Asks    []WitnessAsk
	Older   string
}

// witnessForm is the form as it was filled in, what was wrong with it, and in which field, if in one.
type witnessForm struct{ URL, Need, Of, Pay, Error, Wrong string }

func (*witnessListPage) template() string { return "witnesses" }

func (s *Server) witnessListPage(w http.ResponseWriter, r *http.Request) {
	s.showAsks(w, r, http.StatusOK, witnessForm{URL: r.URL.Query().Get("url")})
}

func (s *Server) showAsks(w http.ResponseWriter, r *http.Request, status int, form witnessForm) {
	p := &witnessListPage{explorer: s.explorer("Witnessed pages", "/witness"), Form: form}
	c := callerOf(r.Context())
	if c.session == "" { // what is typed is not to be lost
		p.Live, p.Refresh = ledgerEventsPath, 30
	}
	if c.local() {
		p.KeyFile = s.cfg.KeyFile
	}
	if words, good := s.ledgerState(r.Context()); !good {
		p.Halted = words
	}
	for _, o := range s.cfg.Ledger.Info().Operators {
		if o.Name == s.cfg.Operator {
			p.Own = o
		} else if o.State == "active" || o.State == "candidate" {
			p.Others++
		}
	}
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
	s.render(w, r, status, p)
}

// askWitnesses takes the form.
func (s *Server) askWitnesses(w http.ResponseWriter, r *http.Request) {
	if !s.formAllowed(w, r) {
		return
	}
	form := witnessForm{URL: r.PostFormValue("url"), Need: r.PostFormValue("need"), Of: r.PostFormValue("of"), Pay: r.PostFormValue("pay")}
	link, err := s.ask(r.Context(), &form)
	if err == nil {
		http.Redirect(w, r, link, http.StatusSeeOther)
		return
	}
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError {
		s.fail(w, r, err)
		return
	}
	form.Error = p.Detail
	for _, where := range []string{"submit transaction: ", "ask transaction: ", "ask of " + s.cfg.Operator + ": "} { // where in the ledger it was refused
		form.Error = strings.TrimPrefix(form.Error, where)
	}
	form.Error = sentence(form.Error)
	s.showAsks(w, r, p.Status, form)
}

// ask asks for what the form says, and returns where the ask is shown: this one, or one for the same page that was open before.
func (s *Server) ask(ctx context.Context, form *witnessForm) (link string, err error) {
	spec, err := form.spec()
	if err != nil {
		return "", err
	}
	x, err := s.witnesses()
	if err != nil {
		return "", err
	}
	a, err := x.Ask(ctx, spec)
	if err != nil {
		return "", err
	}
	if spec.Need != 0 && spec.Need != a.Need || spec.Of != 0 && spec.Of != a.Of || spec.Pay != a.Pay {
		return witnessLink(a.Index) + "?open=before", nil
	}
	return witnessLink(a.Index), nil
}

// spec reads the form, and names the field that is wrong. Whether the panel makes sense is for the ledger to say.
func (f *witnessForm) spec() (spec WitnessSpec, err error) {
	f.Wrong = "url"
	if strings.TrimSpace(f.URL) == "" {
		return spec, concord.Errorf(concord.Invalid, "give the address of the page")
	}
	if spec.URL, err = pageURL(f.URL); err != nil {
		return spec, concord.Errorf(concord.Invalid, "address %q: %w", concord.Clip(f.URL, maxEcho), err)
	}
	if len(spec.URL) > maxAskURL {
		return spec, concord.Errorf(concord.Invalid, "the address has %d bytes, the ledger takes %d", len(spec.URL), maxAskURL)
	}
	f.Wrong = "need"
	if spec.Need, err = optionalNumber(f.Need, "number that must agree"); err != nil {
		return spec, err
	}
	f.Wrong = "of"
	if spec.Of, err = optionalNumber(f.Of, "size of the panel"); err != nil {
		return spec, err
	}
	f.Wrong = "pay"
	pay, err := optionalNumber(f.Pay, "credit")
	spec.Pay = int64(pay)
	switch {
	case err != nil:
	case spec.Need > ledger.MaxPanel || spec.Of > ledger.MaxPanel:
		f.Wrong = ""
		err = concord.Errorf(concord.Invalid, "a panel has at most %d operators", ledger.MaxPanel)
	case spec.Pay > ledger.MaxPrice:
		err = concord.Errorf(concord.Invalid, "the credit for a report is at most %d", ledger.MaxPrice)
	case spec.Of > 0 && spec.Need > spec.Of:
		f.Wrong = "need"
		err = concord.Errorf(concord.Invalid, "%d must agree, of a panel of only %d", spec.Need, spec.Of)
	default:
		f.Wrong = ""
	}
	return spec, err
}

// maxAskURL is how long an address the ledger takes.
const maxAskURL = 2000

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
	Cost    string        // what it costs who asked
	Before  bool          // it was open already when it was asked for
}

// witnessSide is one operator's capture.
type witnessSide struct {
	WitnessSeat
	Words     string // how it compares
	Tone      string // "good", "bad" or "warn"
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

var relationTones = map[string]string{"agree": "good", "similar": "good", "differ": "bad", "silent": "warn"}

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
	p.Cost, p.Before = costOf(&a), r.URL.Query().Get("open") == "before"
	if len(a.Rounds) > 1 {
		p.Earlier = &a.Rounds[0]
	}
	p.sides(x.Texts(r.Context(), &a))
	s.render(w, r, http.StatusOK, p)
}

// costOf says what an ask costs who made it.
func costOf(a *WitnessAsk) string {
	if a.Pay == 0 {
		return "nothing: no credit was promised"
	}
	const panels = 2 // are paid for in advance
	held, earned := panels*int64(a.Of)*a.Pay, int64(0)
	for _, r := range a.Rounds {
		for _, s := range r.Seats {
			if s.Report != nil && !s.Asker && !s.Forfeit {
				earned += a.Pay
			}
		}
	}
	if a.Open {
		return fmt.Sprintf("%s for each report; %s of %s are held until the outcome, and what nobody earns comes back", plural(a.Pay, "credit", "credits"), number(held), a.From)
	}
	return fmt.Sprintf("%s for each report: %s earned, of %s held; the other %s came back", plural(a.Pay, "credit", "credits"), number(earned), number(held), number(held-earned))
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
		side := witnessSide{WitnessSeat: seat, Words: relationWords[seat.Relation], Tone: relationTones[seat.Relation], Missing: t.Missing,
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
			side.Missing = ended(side.Missing)
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
