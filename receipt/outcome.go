package receipt

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
)

const (
	outcomeHead = "concord/outcome/v1"

	// MaxOutcomeBytes bounds the receipt of an outcome, which holds the ledger's whole state: a hundred members and the
	// asks of the last weeks.
	MaxOutcomeBytes = 2 << 20
	sketchBytes     = 64
	// defaultSimilar is the ledger's parameter similar where the state does not have it.
	defaultSimilar = 48
)

// Outcome is what the receipt of a witnessed page is made of. FORMAT.md has their places.
type Outcome struct {
	Ask        uint64           // place of the ask in the log
	Record     []byte           // the record of the block that closed it
	State      string           // the ledger's state after that block, of which the record has the hash
	Index      uint64           // place of the record
	Path       []concord.Digest // from it to the root of the checkpoint
	Checkpoint []byte
}

// OutcomeReport is what a panel came to.
type OutcomeReport struct {
	Ask     uint64        `json:"ask"` // its entry in the log
	From    string        `json:"from"`
	URL     string        `json:"url"`
	Profile string        `json:"profile"`
	Need    int           `json:"need"`
	Of      int           `json:"of"`
	Verdict string        `json:"verdict"` // agree, split, unconfirmed
	Closed  time.Time     `json:"closed"`  // time of the block that closed it
	Seats   []OutcomeSeat `json:"seats"`   // of the last round, the asker last, who does not count
}

// OutcomeSeat is one operator's part.
type OutcomeSeat struct {
	Operator string         `json:"operator"`
	ASN      string         `json:"asn"`
	Region   string         `json:"region"`
	Relation string         `json:"relation"` // agree, similar, differ, silent
	Entry    uint64         `json:"entry,omitempty"`
	Status   int            `json:"status,omitempty"`
	Text     concord.Digest `json:"text,omitzero"`

	sketch [sketchBytes]byte
}

// BuildOutcome returns the bytes of an outcome's receipt. It does not verify the parts: Verify does.
func BuildOutcome(o Outcome) ([]byte, error) {
	b := []byte(o.format())
	if _, err := parseOutcome(b); err != nil {
		return nil, concord.Errorf(concord.Internal, "build receipt: %w", err)
	}
	return b, nil
}

func (o *Outcome) format() string {
	extra := fmt.Sprintf("%s\nask %d\n\n%s\n%s", outcomeHead, o.Ask, o.Record, o.State)
	return formatProof("extra "+base64.StdEncoding.EncodeToString([]byte(extra))+"\n", o.Index, o.Path, o.Checkpoint)
}

func parseOutcome(data []byte) (*Outcome, error) {
	if len(data) > MaxOutcomeBytes {
		return nil, fmt.Errorf("%d bytes are too long for the receipt of an outcome, the limit is %d", len(data), MaxOutcomeBytes)
	}
	f, err := parseProof(data)
	if err != nil {
		return nil, err
	}
	block := strings.SplitN(f.extra, "\n\n", 3)
	ask, ok := strings.CutPrefix(block[0], outcomeHead+"\nask ")
	if len(block) != 3 || !ok {
		return nil, fmt.Errorf("want the line %q, an ask, a block record and a state", outcomeHead)
	}
	o := &Outcome{Record: []byte(block[1] + "\n"), State: block[2], Index: f.index, Path: f.path, Checkpoint: f.checkpoint}
	if o.Ask, err = strconv.ParseUint(ask, 10, 63); err != nil {
		return nil, fmt.Errorf("the ask is not a number")
	}
	if o.format() != string(data) {
		return nil, fmt.Errorf("not in canonical form")
	}
	return o, nil
}

// verifyOutcome checks the receipt of an outcome.
func (pol *Policy) verifyOutcome(proof []byte, want Options) (*Report, error) {
	o, err := parseOutcome(proof)
	if err != nil {
		return nil, failed(StepFile, "%v", err)
	}
	rep, chain, err := o.read()
	if err != nil {
		return nil, failed(StepFile, "state: %v", err)
	}
	if want.URL != "" && want.URL != rep.URL {
		return nil, failed(StepURL, "the receipt is of %s, not of %s", concord.Clip(rep.URL, 200), concord.Clip(want.URL, 200))
	}
	_, seconds, _, err := blockTime(o.Record)
	if err != nil {
		return nil, failed(StepLog, "block record: %v", err)
	}
	if !strings.Contains(string(o.Record), "\nstate "+concord.Sum([]byte(o.State)).String()+"\n") {
		return nil, failed(StepLog, "the state is not the one that the block record names")
	}
	rep.Closed = time.Unix(seconds, 0).UTC()
	r := &Report{Operator: rep.From, Chain: chain, Index: o.Index, SizeBytes: len(proof), Checkpoint: string(o.Checkpoint), Outcome: rep, NotBefore: rep.Closed}
	cp, err := pol.checkCheckpoint(o.Checkpoint, r)
	if err != nil {
		return nil, err
	}
	if err := checkPath(o.Path, o.Index, cp.Size, cp.Root, tlog.RecordHash(o.Record)); err != nil {
		return nil, failed(StepLog, "entry %d does not lie under the checkpoint of %d entries: %v", o.Index, cp.Size, err)
	}
	r.explainOutcome()
	return r, nil
}

// read finds the ask in the state (package ledger has the whole grammar; the hash of the state is checked elsewhere).
func (o *Outcome) read() (*OutcomeReport, string, error) {
	lines := strings.Split(strings.TrimSuffix(o.State, "\n"), "\n")
	if len(lines) < 2 || lines[0] != "concord/state/v1" {
		return nil, "", fmt.Errorf("not the text of a state")
	}
	chain := strings.TrimPrefix(lines[1], "chain ")
	similar := defaultSimilar
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "param similar ") }); i >= 0 {
		similar, _ = strconv.Atoi(lines[i][len("param similar "):])
	}
	at := slices.Index(lines, fmt.Sprintf("ask %d", o.Ask))
	if at < 0 || similar < 1 {
		return nil, "", fmt.Errorf("it has no ask %d", o.Ask)
	}
	r := &OutcomeReport{Ask: o.Ask}
	reference := ""
	for _, l := range lines[at+1:] {
		key, v, _ := strings.Cut(l, " ")
		f := strings.Split(v, " ")
		var err error
		switch key {
		case "ask":
			return r, chain, r.compare(reference, similar)
		case "from":
			r.From = v
		case "url":
			r.URL = v
		case "profile":
			r.Profile = v
		case "need":
			_, err = fmt.Sscanf(v, "%d of %d", &r.Need, &r.Of)
		case "round":
			r.Seats, r.Verdict, reference = nil, "", ""
		case "seat":
			if len(f) != 4 {
				return nil, "", fmt.Errorf("a seat without its fields")
			}
			r.Seats = append(r.Seats, OutcomeSeat{Operator: f[0], ASN: f[1], Region: f[2]})
		case "report":
			err = r.report(f)
		case "result":
			if len(f) != 2 {
				return nil, "", fmt.Errorf("a result without its fields")
			}
			r.Verdict, reference = f[0], f[1]
		}
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", key, err)
		}
	}
	return r, chain, r.compare(reference, similar)
}

// report reads the fields of a report into the last seat.
func (r *OutcomeReport) report(f []string) (err error) {
	if len(f) != 4 || len(r.Seats) == 0 {
		return fmt.Errorf("it lacks fields or a seat")
	}
	s := &r.Seats[len(r.Seats)-1]
	if s.Entry, err = strconv.ParseUint(f[0], 10, 63); err != nil {
		return err
	}
	if s.Status, err = strconv.Atoi(f[1]); err != nil {
		return err
	}
	if s.Text, err = concord.ParseDigest(f[2]); err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(f[3])
	if err != nil || len(b) != sketchBytes {
		return fmt.Errorf("the sketch is not the base64 of %d bytes", sketchBytes)
	}
	copy(s.sketch[:], b)
	return nil
}

// compare says of each seat how its report relates to the reference, as the ledger did.
func (r *OutcomeReport) compare(reference string, similar int) error {
	if r.Verdict == "" || r.Verdict == "disputed" {
		return fmt.Errorf("the ask is still open in it")
	}
	at := slices.IndexFunc(r.Seats, func(s OutcomeSeat) bool { return s.Operator == reference })
	for i := range r.Seats {
		s := &r.Seats[i]
		if s.Entry == 0 || at < 0 {
			s.Relation = "silent"
			continue
		}
		ref, equal := &r.Seats[at], 0
		for k := range s.sketch {
			if s.sketch[k] == ref.sketch[k] {
				equal++
			}
		}
		switch {
		case s.Status/100 != ref.Status/100:
			s.Relation = "differ"
		case s.Text == ref.Text:
			s.Relation = "agree"
		case equal >= similar:
			s.Relation = "similar"
		default:
			s.Relation = "differ"
		}
	}
	return nil
}

// names lists the operators of the panel with one of some relations.
func (r *OutcomeReport) names(relations ...string) string {
	var list []string
	for _, s := range r.Seats {
		if s.Operator != r.From && slices.Contains(relations, s.Relation) {
			list = append(list, s.Operator)
		}
	}
	if len(list) == 0 {
		return "nobody"
	}
	return strings.Join(list, ", ")
}

func (r *Report) explainOutcome() {
	o := r.Outcome
	r.setLevel()
	if o.Verdict == "agree" && r.Level == 2 {
		r.Level = 3
	}
	r.Proven = []string{
		fmt.Sprintf("%s asked for %s to be witnessed (entry %d of the log %s); the ledger drew a panel, each of which sealed what it saw before anybody opened it.", o.From, o.URL, o.Ask, r.Log),
		fmt.Sprintf("It came to %q at %s: the same or a similar text: %s; another text: %s; no report: %s.", o.Verdict, o.Closed.Format(time.RFC3339),
			o.names("agree", "similar"), o.names("differ"), o.names("silent")),
		fmt.Sprintf("That is in the ledger's state, whose hash is in entry %d.", r.Index),
		r.cosignedBy(),
	}
	r.NotProven = []string{
		"That what the page says is true.",
		panelWords,
		"Where the operators' machines are: networks and regions are what the other operators observed.",
		r.collusion(),
	}
}

// Witness adds what a panel came to about the page of a capture. An error says why the outcome says nothing about this
// capture: it is of another page, or of another text.
func (r *Report) Witness(outcome *Report) error {
	o := outcome.Outcome
	switch {
	case o == nil || r.Document != nil || r.Outcome != nil || r.Chain != outcome.Chain:
		return failed(StepContent, "it is no outcome for a capture on this ledger")
	case o.URL != r.URL:
		return failed(StepURL, "the panel looked at %s, the receipt is of %s", concord.Clip(o.URL, 200), concord.Clip(r.URL, 200))
	}
	for _, s := range o.Seats {
		if s.Relation != "agree" || s.Text != r.Text || r.Text.IsZero() || o.Profile != r.Profile {
			continue
		}
		r.Proven = append(r.Proven, fmt.Sprintf("A panel looked at the page as well, and came to %q at %s: the same text as in this capture, or a similar one: %s; another text: %s.",
			o.Verdict, o.Closed.Format(time.RFC3339), o.names("agree", "similar"), o.names("differ")))
		r.NotProven = slices.DeleteFunc(r.NotProven, func(s string) bool { return s == aloneWords || s == visitorWords })
		r.NotProven = append(r.NotProven, panelWords)
		if outcome.Level == 3 && r.Level == 2 {
			r.Level = 3
		}
		return nil
	}
	return failed(StepContent, "what the panel agreed on is another text than that of this capture")
}
