package federation

import (
	"encoding/json"
	"fmt"
	"strings"

	"concord"
	"concord/page"
	"concord/receipt"
	"concord/text"
)

// Proof is what lets another operator check a result of a search.
type Proof struct {
	Receipt string `json:"receipt" doc:"The receipt of the capture that was indexed: a tlog-proof file."`
	Text    string `json:"text" doc:"The normalised text, whose digest the receipt names."`
	Title   int    `json:"title" doc:"How many bytes of the text are the title; the rest is the main text."`
}

// MaxText bounds the texts of one answer in bytes; results that do not fit are left out of it.
const MaxText = 1 << 20

// NewProof makes the proof of a result of ours; ok is false when the text is not the attested one, as after a change of the rules by which text is
// taken from pages, and others would refuse it.
func NewProof(proof []byte, title, body string) (_ *Proof, ok bool) {
	p := &Proof{Receipt: string(proof), Text: text.Normalise(title + "\n" + body)}
	parts, err := receipt.Parse(proof)
	if err != nil || parts.Entry.Text != concord.Sum([]byte(p.Text)) {
		return nil, false
	}
	if t := text.Normalise(title); strings.HasPrefix(p.Text, t) && whole(p.Text, len(t)) {
		p.Title = len(t)
	}
	return p, true
}

// whole reports whether the first n bytes of a normalised text can be its title.
func whole(norm string, n int) bool {
	return n >= 0 && n <= min(len(norm), page.MaxTitleBytes) && (n == 0 || n == len(norm) || norm[n] == ' ')
}

const (
	// maxAnswer bounds an answer: the texts, a third of them escaped, and MaxResults receipts and snippets.
	maxAnswer = 4 << 20
	// maxID bounds a capture's ID; ours have 36 characters.
	maxID = 64
)

// result is what is read of a result of another operator.
type result struct {
	Capture string `json:"capture"`
	Proof   *Proof `json:"proof"`
}

// decode reads the answer to a search with proofs. Fields that this version does not know, and those that are not believed, are left out.
func decode(data []byte, limit int) ([]result, error) {
	var a struct {
		Results *[]result `json:"results"`
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("its answer cannot be read: %w", err)
	}
	if a.Results == nil {
		return nil, fmt.Errorf("its answer has no results: it may run an older version")
	}
	if n := len(*a.Results); n > limit {
		return nil, fmt.Errorf("it sent %d results, asked for were %d", n, limit)
	}
	for _, r := range *a.Results {
		switch {
		case r.Proof == nil:
			return nil, fmt.Errorf("a result of its answer has no proof: it may run an older version")
		case !goodID(r.Capture):
			return nil, fmt.Errorf("a result of its answer names no capture")
		case len(r.Proof.Receipt) > receipt.MaxBytes || !whole(r.Proof.Text, r.Proof.Title):
			return nil, fmt.Errorf("a proof of its answer is malformed")
		}
	}
	return *a.Results, nil
}

// goodID reports whether s can be a capture's ID.
func goodID(s string) bool {
	return s != "" && len(s) <= maxID && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
