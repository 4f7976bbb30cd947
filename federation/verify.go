package federation

import (
	"time"

	"concord"
	"concord/index"
	"concord/receipt"
	"concord/text"
	"concord/weburl"
)

// Reason says why something that an operator sent, or failed to send, is not used.
type Reason string

const (
	// Of a result.
	BadReceipt Reason = "receipt" // it does not hold against our copy of the ledger, or is another operator's
	BadText    Reason = "text"    // it is not the attested one
	Ahead      Reason = "ahead"   // our copy of the ledger does not have its entry yet: nobody's fault
	OtherRules Reason = "rules"   // its text or URL was made by rules of another version: nobody's fault

	// Of a whole answer.
	Timeout     Reason = "timeout"
	Unreachable Reason = "unreachable" // no connection, or an answer other than 200
	Malformed   Reason = "malformed"   // it cannot be read, or is longer than agreed
)

// blameless reports whether a result can be dropped for r although its operator is honest.
func (r Reason) blameless() bool { return r == Ahead || r == OtherRules }

// ResultReasons are those for which results are dropped.
func ResultReasons() []Reason { return []Reason{BadReceipt, BadText, Ahead, OtherRules} }

// Words explains the reason for which n results were dropped, in plain words.
func (r Reason) Words() string {
	switch r {
	case BadReceipt:
		return "the receipt does not hold against our copy of the ledger"
	case BadText:
		return "the text is not the attested one"
	case Ahead:
		return "our copy of the ledger is not that far yet"
	case OtherRules:
		return "text or address were made by rules that this program does not have"
	case Timeout:
		return "it took too long"
	case Unreachable:
		return "it cannot be reached"
	case Malformed:
		return "its answer cannot be read"
	}
	return string(r)
}

// capture is a capture of another operator that was verified. It is immutable.
type capture struct {
	operator string
	id       string // as the operator names it
	parts    *receipt.Parts
	doc      *index.Document
}

// verify checks one result; see the package comment. entries remembers what was read of the ledger for the results before.
func (f *Federation) verify(operator string, r *result, entries map[uint64]string) (*capture, Reason) {
	p, why := f.attested(operator, []byte(r.Proof.Receipt), entries)
	if why != "" {
		return nil, why
	}
	doc, why := document(&p.Entry, r.Proof)
	if why != "" {
		return nil, why
	}
	doc.Capture = r.Capture
	return &capture{operator, r.Capture, p, doc}, ""
}

// attested reads a receipt and checks that its operator stated its entry in our copy of the ledger.
func (f *Federation) attested(operator string, proof []byte, entries map[uint64]string) (*receipt.Parts, Reason) {
	p, err := receipt.Parse(proof)
	if err != nil {
		return nil, BadReceipt
	}
	att, err := p.Attested()
	if err != nil || att.From != operator {
		return nil, BadReceipt
	}
	note, ok := entries[p.Index]
	if !ok {
		e, err := f.cfg.Ledger.Entry(p.Index)
		if err != nil {
			return nil, Ahead
		}
		note = e.Text
		entries[p.Index] = note
	}
	if note != string(p.Attest) {
		return nil, BadReceipt
	}
	return p, ""
}

// document makes the index's form of an attested entry from a text that has its digest.
func document(e *concord.Entry, p *Proof) (*index.Document, Reason) {
	switch {
	case e.Status < 200 || e.Status > 299 || e.Text.IsZero():
		return nil, BadReceipt // of no page: it is no result
	case concord.Sum([]byte(p.Text)) != e.Text || !whole(p.Text, p.Title):
		return nil, BadText
	case e.Profile != text.Profile:
		return nil, OtherRules
	case text.Normalise(p.Text) != p.Text:
		return nil, BadText // attested, but not what these rules make
	}
	u, err := weburl.Parse(e.URL)
	if err != nil || u.String() != e.URL {
		return nil, OtherRules
	}
	d := &index.Document{URL: e.URL, Site: u.Site(), Host: u.HostPort(), Fetched: time.Unix(e.Time, 0).UTC(), Title: p.Text[:p.Title], Body: p.Text[p.Title:]}
	if len(d.Body) > 0 && p.Title > 0 {
		d.Body = d.Body[1:]
	}
	sample := d.Body
	if sample == "" {
		sample = d.Title
	}
	if lang, sure := text.Detect(sample); sure >= minSure {
		d.Language = lang
	}
	return d, ""
}

// minSure is how sure the language of a text must be, as for pages that claim none.
const minSure = 0.5
