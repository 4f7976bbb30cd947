package receipt

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
)

const (
	outcomeHead = "concord/outcome/v1"
	stateHead   = "concord/state/v1"

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

// read finds the ask in the state (package ledger has the whole grammar; the hash of the state is checked elsewhere).
func (o *Outcome) read() (*OutcomeReport, string, error) {
	lines := strings.Split(o.State, "\n")
	chain, ok := strings.CutPrefix(lines[min(1, len(lines)-1)], "chain ")
	if lines[0] != stateHead || !ok || lines[len(lines)-1] != "" || !utf8.ValidString(o.State) {
		return nil, "", fmt.Errorf("not the text of a state")
	}
	lines = lines[:len(lines)-1]
	similar := uint64(defaultSimilar)
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "param similar ") }); i >= 0 {
		var err error
		if similar, err = plainNumber(lines[i][len("param similar "):]); err != nil || similar < 1 {
			return nil, "", fmt.Errorf("its parameter similar is not a number from 1")
		}
	}
	at := slices.Index(lines, fmt.Sprintf("ask %d", o.Ask))
	if at < 0 {
		return nil, "", fmt.Errorf("it has no ask %d", o.Ask)
	}
	l := &askLines{rest: lines[at+1:]}
	r := &OutcomeReport{Ask: o.Ask, From: l.value("from"), URL: l.value("url"), Profile: l.value("profile")}
	need := l.fields("need", 3)
	r.Need, r.Of = int(l.number(need[0])), int(l.number(need[2]))
	for _, key := range []string{"until", "pay", "locked"} {
		l.number(l.value(key))
	}
	for rounds := 0; l.err == nil && (rounds == 0 || l.has("round")); rounds++ {
		if rounds == 2 {
			l.fail("more than two rounds")
		}
		if r.Verdict != "" && r.Verdict != "disputed" {
			l.fail("a round after its end")
		}
		r.Earlier = r.Seats
		r.Seats, r.Verdict = l.round(similar)
	}
	if l.err == nil && len(l.rest) > 0 && !l.has("ask") {
		l.fail("unexpected line %q", concord.Clip(l.rest[0], 60))
	}
	if need[1] != "of" {
		l.fail("need is not a number of a number")
	}
	if r.Verdict == "" || r.Verdict == "disputed" {
		l.fail("the ask is still open in it")
	}
	return r, chain, l.err
}

// askLines are the lines of an ask in a state, each a key, a space and a value. After the first error nothing is read.
type askLines struct {
	rest []string
	err  error
}

func (l *askLines) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

func (l *askLines) has(key string) bool {
	return l.err == nil && len(l.rest) > 0 && strings.HasPrefix(l.rest[0], key+" ")
}

// value takes the next line, which must have this key.
func (l *askLines) value(key string) string {
	if !l.has(key) || len(l.rest[0]) == len(key)+1 {
		l.fail("want a line %q and a value", key)
		return ""
	}
	v := l.rest[0][len(key)+1:]
	l.rest = l.rest[1:]
	return v
}

// fields takes the next line, whose value has n fields, each followed by one space but the last.
func (l *askLines) fields(key string, n int) []string {
	f := strings.Split(l.value(key), " ")
	if len(f) != n || slices.Contains(f, "") {
		l.fail("%s has not %d fields", key, n)
		return make([]string, n)
	}
	return f
}

func (l *askLines) number(s string) uint64 {
	n, err := plainNumber(s)
	if err != nil {
		l.fail("%v", err)
	}
	return n
}

func (l *askLines) digest(s string) concord.Digest {
	d, err := concord.ParseDigest(s)
	if err != nil {
		l.fail("%v", err)
	}
	return d
}

// plainNumber reads a decimal number below 2^63 in its one form.
func plainNumber(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%q is not a number", concord.Clip(s, 30))
	}
	return n, nil
}

// round reads one panel's work, and says of each seat how its report relates to the reference, as the ledger did. No verdict: it
// goes on.
func (l *askLines) round(similar uint64) (seats []OutcomeSeat, verdict string) {
	f := l.fields("round", 3)
	l.number(f[0])
	l.number(f[1])
	l.digest(f[2])
	for l.has("seat") {
		f := l.fields("seat", 4)
		s := OutcomeSeat{Operator: f[0], ASN: f[1], Region: f[2], Relation: "silent"}
		l.digest(f[3])
		if l.has("report") {
			f := l.fields("report", 4)
			s.Entry, s.Status, s.Text = l.number(f[0]), int(l.number(f[1])), l.digest(f[2])
			if b, err := base64.StdEncoding.Strict().DecodeString(f[3]); err != nil || copy(s.sketch[:], b) != len(b) || len(b) != sketchBytes {
				l.fail("the sketch is not the base64 of %d bytes", sketchBytes)
			}
			if s.Entry == 0 || s.Status > 999 {
				l.fail("a report that cannot be")
			}
		}
		if l.has("forfeit") {
			s.Forfeit = true
			if l.value("forfeit") != "yes" {
				l.fail("want forfeit yes")
			}
		}
		seats = append(seats, s)
	}
	if !l.has("result") {
		return seats, ""
	}
	f = l.fields("result", 2)
	if !slices.Contains([]string{"agree", "disputed", "split", "unconfirmed"}, f[0]) {
		l.fail("no result is called %q", concord.Clip(f[0], 30))
	}
	if at := slices.IndexFunc(seats, func(s OutcomeSeat) bool { return s.Operator == f[1] }); at >= 0 && seats[at].Entry > 0 {
		ref := seats[at]
		for i := range seats {
			seats[i].compare(&ref, similar)
		}
	}
	return seats, f[0]
}

func (s *OutcomeSeat) compare(ref *OutcomeSeat, similar uint64) {
	equal := uint64(0)
	for k := range s.sketch {
		if s.sketch[k] == ref.sketch[k] {
			equal++
		}
	}
	switch {
	case s.Entry == 0:
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
