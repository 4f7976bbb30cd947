package receipt

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
)

// panels makes the receipt of an outcome in which carol saw another text and dave nothing.
func panels(t testing.TB, size int64, verdict string) (Outcome, []byte) {
	t.Helper()
	return ordered(t, size, stateOf(four(t).parts.Entry, "", panelRound("agree", verdict)))
}

// panelRound is one round of an ask: bob, whom the others are compared with, carol, who saw another text, dave, who did not open what
// he sealed, and alice, who asked, and whose report relates to bob's as is said.
func panelRound(alice, verdict string) string {
	text, other := panelText, concord.Sum([]byte("other"))
	sketch := func(b ...byte) string {
		return base64.StdEncoding.EncodeToString(append(b, slices.Repeat([]byte{1}, sketchBytes-len(b))...))
	}
	own, status, like := text, 200, sketch(1)
	if alice != "agree" {
		own, like = other, sketch(slices.Repeat([]byte{2}, sketchBytes-defaultSimilar)...)
	}
	if alice == "differ" {
		status = 404
	}
	return fmt.Sprintf("round 5 10 %s\nseat bob.example - - %s\nreport 24 200 %s %s\nseat carol.example AS64500 RIPE %s\nreport 25 200 %s %s\nseat dave.example - - %s\n"+
		"seat alice.example - - %s\nreport 26 %d %s %s\nresult %s bob.example\n", other, other, text, sketch(1), other, other, sketch(slices.Repeat([]byte{2}, sketchBytes-defaultSimilar+1)...), other,
		other, status, own, like, verdict)
}

// panelText is the text of the capture in the receipt of four operators.
var panelText = concord.Sum([]byte("text 66"))

// stateOf is a state with an open ask and one for the page of a capture.
func stateOf(e concord.Entry, params string, rounds ...string) string {
	other := concord.Sum([]byte("other"))
	return fmt.Sprintf("concord/state/v1\nchain %s\norigin %s\nepoch 3\n%sparam txbytes 8192\nafter 76 %s 1795320040\nmember alice.example\nstatus active\n"+
		"ask 19\nfrom bob.example\nurl https://example.com/other\nprofile text-1\nneed 2 of 3\nuntil 10\npay 0\nlocked 0\n%s"+
		"ask 20\nfrom alice.example\nurl %s\nprofile text-1\nneed 2 of 3\nuntil 10\npay 0\nlocked 0\n%s", chain, origin, params, other, panelRound("agree", "disputed"), e.URL, strings.Join(rounds, ""))
}

// ordered puts the record of a block with a state into a log of the four operators.
func ordered(t testing.TB, size int64, state string) (Outcome, []byte) {
	t.Helper()
	other := concord.Sum([]byte("other"))
	o := Outcome{Ask: 20, Index: uint64(size * 3 / 5), State: state}
	o.Record = fmt.Appendf(nil, "concord/block/v1\nheight 77\nhash %s\ntime 1795320050\nafter 76 %s 1795320040\ntxs 1\nstate %s\nvalidators %s\n",
		other, other, concord.Sum([]byte(o.State)), other)
	var log tree
	for i := range size {
		leaf := tlog.RecordHash(fmt.Appendf(nil, "entry %d", i))
		if uint64(i) == o.Index {
			leaf = tlog.RecordHash(o.Record)
		}
		log.add(t, i, leaf)
	}
	w := &world{operators: quartet, size: size}
	o.Path, w.root = prove(t, &log, size, int64(o.Index))
	w.sign(t)
	o.Checkpoint = w.parts.Checkpoint
	return o, w.policy
}

func buildOutcome(t testing.TB, o Outcome) []byte {
	t.Helper()
	b, err := BuildOutcome(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOutcome(t *testing.T) {
	o, policy := panels(t, 50, "agree")
	proof := buildOutcome(t, o)
	r, err := Verify(proof, policy, Options{URL: "https://example.com/page/66"})
	if err != nil {
		t.Fatal(err)
	}
	var rel []string
	for _, s := range r.Outcome.Seats {
		rel = append(rel, s.Operator+" "+s.Relation)
	}
	if want := []string{"bob.example agree", "carol.example differ", "dave.example silent", "alice.example agree"}; r.Level != 3 || r.Outcome.Verdict != "agree" || !slices.Equal(rel, want) {
		t.Errorf("level %d, %+v", r.Level, r.Outcome)
	}
	if r.CheckContent([]byte("x")) == nil {
		t.Error("it is of no content")
	}
	split, policy2 := panels(t, 50, "split")
	if r, err := Verify(buildOutcome(t, split), policy2, Options{}); err != nil || r.Level != 2 || r.Outcome.Verdict != "split" {
		t.Errorf("%+v %v", r, err)
	}
	for what, change := range map[string]func(*Outcome){
		"another ask":     func(o *Outcome) { o.Ask = 21 },
		"an open ask":     func(o *Outcome) { o.Ask = 19 },
		"another verdict": func(o *Outcome) { o.State = strings.ReplaceAll(o.State, "result agree", "result split") },
		"another record":  func(o *Outcome) { o.Record = []byte(strings.Replace(string(o.Record), "txs 1", "txs 2", 1)) },
		"another place":   func(o *Outcome) { o.Index++ },
	} {
		bad := o
		change(&bad)
		if b, err := BuildOutcome(bad); err == nil {
			if _, err := Verify(b, policy, Options{}); err == nil {
				t.Errorf("%s verifies", what)
			}
		}
	}
	if _, err := Verify(proof, policy, Options{URL: "https://example.com/"}); err == nil {
		t.Error("it is of another page")
	}
}

// The receipt of a capture with the text that the panel agreed on becomes one of level 3; no other does.
func TestCaptureIsWitnessed(t *testing.T) {
	w := four(t)
	read := func() *Report {
		r, err := Verify(w.build(t), w.policy, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	o, policy := panels(t, 50, "agree")
	out, err := Verify(buildOutcome(t, o), policy, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r := read(); r.Witness(out) != nil || r.Level != 3 || slices.Contains(r.NotProven, aloneWords) {
		t.Errorf("%+v", r)
	}
	for what, change := range map[string]func(*Report){
		"another page":   func(r *Report) { r.URL += "x" },
		"the other text": func(r *Report) { r.Text = concord.Sum([]byte("other")) },
		"no text":        func(r *Report) { r.Text = concord.Digest{} },
		"another ledger": func(r *Report) { r.Chain = "net-1:000000000001" },
		"a normaliser":   func(r *Report) { r.Profile = "text-2" },
	} {
		r := read()
		change(r)
		if r.Witness(out) == nil || r.Level != 2 {
			t.Errorf("%s is witnessed", what)
		}
	}
	split, policy := panels(t, 50, "split")
	out, err = Verify(buildOutcome(t, split), policy, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r := read(); r.Witness(out) != nil || r.Level != 2 {
		t.Errorf("a split page: %+v", r)
	}
}

func FuzzOutcome(f *testing.F) {
	o, policy := panels(f, 50, "agree")
	f.Add(buildOutcome(f, o))
	f.Add([]byte(o.State))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := parseOutcome(b); err == nil {
			if o.format() != string(b) {
				t.Errorf("%q is read, and written as %q", b, o.format())
			}
			_, _, _ = o.read()
		}
		_, _, _ = (&Outcome{Ask: 20, State: string(b)}).read()
		_, _ = Verify(b, policy, Options{})
	})
}
