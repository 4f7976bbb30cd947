package federation

import (
	"fmt"
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

	// Of a whole answer.
	Timeout     Reason = "timeout"
	Unreachable Reason = "unreachable" // no connection, or an answer other than 200
	Malformed   Reason = "malformed"   // it cannot be read, or is longer than agreed
)

// Words explains the reason for which n results were dropped, in plain words.
func (r Reason) Words() string {
	switch r {
	case BadReceipt:
		return "the receipt does not hold against our copy of the ledger"
	case BadText:
		return "the text is not the attested one"
	case Ahead:
		return "our copy of the ledger is not that far yet"
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
	doc, err := document(&p.Entry, r.Proof)
	if err != nil {
		return nil, BadText
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
	if u, err := weburl.Parse(p.Entry.URL); err != nil || u.String() != p.Entry.URL || p.Entry.Status < 200 || p.Entry.Status > 299 {
		return nil, BadReceipt
	}
	return p, ""
}

// document makes the index's form of an attested entry from a text that has its digest.
func document(e *concord.Entry, p *Proof) (*index.Document, error) {
	switch {
	case e.Text.IsZero() || e.Profile != text.Profile:
		return nil, fmt.Errorf("no text is attested by the rules %s", text.Profile)
	case concord.Sum([]byte(p.Text)) != e.Text || text.Normalise(p.Text) != p.Text:
		return nil, fmt.Errorf("the text is not the attested one")
	case !whole(p.Text, p.Title):
		return nil, fmt.Errorf("the title is no part of the text")
	}
	u, err := weburl.Parse(e.URL)
	if err != nil {
		return nil, err
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
	return d, nil
}

// minSure is how sure the language of a text must be, as for pages that claim none.
const minSure = 0.5
