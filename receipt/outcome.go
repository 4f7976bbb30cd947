package receipt

import (
	"encoding/base64"
	"fmt"
	"slices"
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
	Verdict string        `json:"verdict"`           // agree, split, unconfirmed
	Closed  time.Time     `json:"closed"`            // time of the block that closed it
	Seats   []OutcomeSeat `json:"seats"`             // of the last round, the asker last, who does not count
	Earlier []OutcomeSeat `json:"earlier,omitempty"` // of the first panel, when it differed and a second one was drawn
}

// OutcomeSeat is one operator's part.
type OutcomeSeat struct {
	Operator string         `json:"operator"`
	ASN      string         `json:"asn"`
	Region   string         `json:"region"`
	Relation string         `json:"relation"`          // agree, similar, differ, silent
	Forfeit  bool           `json:"forfeit,omitempty"` // it was caught misbehaving meanwhile, and does not count
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
	if o.Ask, err = plainNumber(ask); err != nil {
		return nil, fmt.Errorf("the ask: %w", err)
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

// before says what there was before the last panel.
func (r *OutcomeReport) before() []string {
	if r.Earlier == nil {
		return nil
	}
	return []string{fmt.Sprintf("The first panel differed, so a second one was drawn. Of the first: %s.", r.saw(r.Earlier))}
}

// saw says who of a panel saw what.
func (r *OutcomeReport) saw(seats []OutcomeSeat) string {
	names := func(counts func(OutcomeSeat) bool) string {
		var list []string
		for _, s := range seats {
			if s.Operator != r.From && counts(s) {
				list = append(list, s.Operator)
			}
		}
		return strings.Join(list, ", ")
	}
	or := func(s string) string {
		if s == "" {
			return "nobody"
		}
		return s
	}
	of := func(relations ...string) string {
		return or(names(func(s OutcomeSeat) bool { return !s.Forfeit && slices.Contains(relations, s.Relation) }))
	}
	words := fmt.Sprintf("the same or a similar text: %s; another text: %s; no report: %s", of("agree", "similar"), of("differ"), of("silent"))
	if caught := names(func(s OutcomeSeat) bool { return s.Forfeit }); caught != "" {
		words += "; caught misbehaving, and not counted: " + caught
	}
	return words
}

func (r *Report) explainOutcome() {
	o := r.Outcome
	r.setLevel()
	if o.Verdict == "agree" && r.Level >= 2 {
		r.Level = max(r.Level, 3)
	}
	r.Proven = []string{
		fmt.Sprintf("%s asked for %s to be witnessed (entry %d of the log %s); the ledger drew a panel, each of which sealed what it saw before anybody opened it.", o.From, o.URL, o.Ask, r.Log),
		fmt.Sprintf("It came to %q at %s: %s.", o.Verdict, o.Closed.Format(time.RFC3339), o.saw(o.Seats)),
		fmt.Sprintf("That is in the ledger's state, whose hash is in entry %d.", r.Index),
		r.cosignedBy(),
	}
	r.Proven = slices.Insert(r.Proven, 1, o.before()...)
	r.Proven = append(r.Proven, r.anchoredBy()...)
	r.NotProven = []string{
		trueWords,
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
		r.Proven = append(r.Proven, fmt.Sprintf("A panel looked at the page as well, and came to %q at %s on the text of this capture: %s.", o.Verdict, o.Closed.Format(time.RFC3339), o.saw(o.Seats)))
		r.Proven = append(r.Proven, o.before()...)
		r.NotProven = slices.DeleteFunc(r.NotProven, func(s string) bool { return s == aloneWords || s == visitorWords })
		r.NotProven = append(r.NotProven, panelWords)
		if o.Verdict == "agree" && outcome.Level >= 2 && r.Level >= 2 {
			r.Level = max(r.Level, 3)
		}
		return nil
	}
	return failed(StepContent, "what the panel agreed on is another text than that of this capture")
}
