package receipt

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"concord"
)

// What a panel of other operators makes good.
const (
	visitorWords = "That every visitor was shown the same page: this is what one operator's machine was sent."
	panelWords   = "That every visitor was shown the same page: this is what the machines of these operators were sent."
	aloneWords   = "That the operator told the truth: nobody else fetched the page for this receipt."
)

// What no receipt of a page proves.
const (
	trueWords = "That what the page says is true."
	siteWords = "Anything about the site's TLS certificate or network address."
	rankWords = "That a search result was ranked fairly."
)

// explain fills in what a verified receipt means.
func (r *Report) explain() {
	r.setLevel()
	r.NotBefore = r.Captured
	r.Proven = []string{
		r.stated(),
		fmt.Sprintf("The statement is entry %d of the log %s, in a batch of %d captures; it cannot be changed or taken out without breaking the log for everybody who holds a later checkpoint.", r.Index, r.Log, r.Batch),
		r.cosignedBy(),
	}
	r.Proven = append(r.Proven, r.anchoredBy()...)
	r.Proven = append(r.Proven, r.extracted()...)
	r.NotProven = []string{
		trueWords,
		visitorWords,
		aloneWords,
		fmt.Sprintf("The exact time: %s is the operator's own clock. Cosigners say only that the statement was in the log by %s.", r.Captured.Format(time.RFC3339), r.by()),
		siteWords,
		rankWords,
	}
	r.NotProven = append(r.NotProven, r.collusion())
}

// reportOf is what an entry says.
func reportOf(e concord.Entry, size int) *Report {
	return &Report{URL: e.URL, Captured: time.Unix(e.Time, 0).UTC(), Status: e.Status, Raw: e.Raw, Text: e.Text, Profile: e.Profile, Record: e.Record, SizeBytes: size}
}

// stated says what an operator states about a capture, its text apart.
func (r *Report) stated() string {
	return fmt.Sprintf("%s states that it fetched %s at %s and was answered with status %d and a body with SHA-256 %s.",
		r.Operator, r.URL, r.Captured.Format(time.RFC3339), r.Status, r.Raw.Labelled())
}

// extracted says what it states about the text, if there is one.
func (r *Report) extracted() []string {
	if r.Text.IsZero() {
		return nil
	}
	return []string{fmt.Sprintf("The text it extracted, by the rules %s, has SHA-256 %s.", r.Profile, r.Text.Labelled())}
}

func (r *Report) setLevel() {
	r.Level = 1
	if r.Cosigners > 1 {
		r.Level = 2
	}
	if r.Level == 2 && r.anchored {
		r.Level = 4
	}
}

// by is the upper end of the time bracket; it is said whose clock gave it when that is none of an operator.
func (r *Report) by() string {
	t := r.NotAfter.Format(time.RFC3339)
	if len(r.Anchored) > 0 && (len(r.Cosigned) == 0 || r.NotAfter.Before(first(r.Cosigned).Time)) {
		t += ", by the clock of " + r.NotAfterBy
	}
	return t
}

// first returns the earliest of some cosignatures.
func first(list []Cosignature) Cosignature {
	return slices.MinFunc(list, func(a, b Cosignature) int { return a.Time.Compare(b.Time) })
}

// anchoredBy says what witnesses from outside add.
func (r *Report) anchoredBy() []string {
	if len(r.Anchored) == 0 {
		return nil
	}
	f := first(r.Anchored)
	s := fmt.Sprintf("From outside, as no operator of this ledger, %s cosigned the same head: no other history of the log was shown there, and this one was by %s, by the clock of %s.",
		names(r.Anchored), f.Time.Format(time.RFC3339), f.Name)
	if !r.anchored {
		s += " The policy asks for more of them before it calls that anchored."
	}
	return []string{s}
}

// collusion says what the cosigners, few or many, leave open.
func (r *Report) collusion() string {
	switch {
	case r.anchored && r.Cosigners < 2:
		return fmt.Sprintf("That the log was not rewritten before %s saw it, and that it does not work together with %s.", first(r.Anchored).Name, r.names())
	case r.anchored:
		return fmt.Sprintf("That these %d cosigners and %s do not all work together.", r.Cosigners, names(r.Anchored))
	case r.Cosigners < 2:
		return fmt.Sprintf("That the log was not rewritten before anyone else saw it: only %s signed this head. Keep the receipt, or have others cosign.", r.names())
	}
	return fmt.Sprintf("That these %d cosigners do not work together.", r.Cosigners)
}

func (r *Report) cosignedBy() string {
	if r.Cosigners == 0 {
		return fmt.Sprintf("The log's own key signed the head of %d entries; the policy asks for no cosigner.", r.Size)
	}
	return fmt.Sprintf("%d of %d witnesses of the policy (%s) cosigned the head of %d entries that holds it, the first of them at %s.",
		r.Cosigners, r.Witnesses, r.names(), r.Size, first(r.Cosigned).Time.Format(time.RFC3339))
}

func (r *Report) names() string {
	if len(r.Cosigned) == 0 {
		return "the log"
	}
	return names(r.Cosigned)
}

func names(list []Cosignature) string {
	s := make([]string, len(list))
	for i, c := range list {
		s[i] = c.Name
	}
	return strings.Join(s, ", ")
}

// CheckContent checks the body that the receipt is about, as it was received: transfer coding removed, content coding
// kept. Of a document's receipt it checks the document.
func (r *Report) CheckContent(payload []byte) error {
	switch {
	case r.Outcome != nil:
		return failed(StepContent, "the receipt is of what a panel came to, not of content")
	case r.Document != nil:
		return check("document", payload, r.Document.SHA256)
	}
	return check("body", payload, r.Raw)
}

// CheckWARC checks the block of the WARC response or revisit record: everything between the record's header and the two
// line ends that close it.
func (r *Report) CheckWARC(block []byte) error { return check("WARC record block", block, r.Record) }

// CheckText checks the normalised text, extracted under Profile.
func (r *Report) CheckText(text []byte) error {
	if r.Text.IsZero() {
		return failed(StepContent, "the receipt says nothing about text: none was extracted")
	}
	return check("text ("+r.Profile+")", text, r.Text)
}

// CheckTextDigest is CheckText for a caller that has the digest.
func (r *Report) CheckTextDigest(d concord.Digest, profile string) error {
	switch {
	case r.Text.IsZero():
		return failed(StepContent, "the receipt says nothing about text: none was extracted")
	case profile != r.Profile:
		return failed(StepContent, "the text was extracted by the rules %q, this program has %q", r.Profile, profile)
	case d != r.Text:
		return failed(StepContent, "the text has digest %s, the receipt says %s", d.Labelled(), r.Text.Labelled())
	}
	return nil
}

func check(what string, data []byte, want concord.Digest) error {
	if got := concord.Sum(data); got != want {
		return failed(StepContent, "the %s of %d bytes has digest %s, the receipt says %s", what, len(data), got.Labelled(), want.Labelled())
	}
	return nil
}
