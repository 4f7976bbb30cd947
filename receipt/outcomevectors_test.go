package receipt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"concord"
)

const (
	outcomeVectorsFile = "testdata/outcomes.json"
	goldenOutcome      = "testdata/panel.tlog-proof" // under four.policy, of the page of four.tlog-proof
)

// outcomeVectors builds receipts of what panels came to, good and bad, alone and beside that of a capture, that the script of the web
// pages and the Python program must judge as Verify and Witness do.
func outcomeVectors(t testing.TB) *vectors {
	v := &vectors{Texts: map[string]string{}}
	f := four(t)
	e := f.parts.Entry
	agree, policy := panels(t, 50, "agree")
	good := buildOutcome(t, agree)
	if *update {
		if err := os.WriteFile(goldenOutcome, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := func(state string) []byte {
		o, _ := ordered(t, 50, state)
		return []byte(o.format())
	}
	v.add("a panel agrees, with dissent and a report that was not opened", good, policy)
	first, second := panelRound("differ", "disputed"), func(verdict string) string { return panelRound("similar", verdict) }
	for _, verdict := range []string{"agree", "split", "unconfirmed"} {
		v.add("a second panel: "+verdict, build(stateOf(e, "", first, second(verdict))), policy)
		v.add("one panel: "+verdict, build(stateOf(e, "", second(verdict))), policy)
	}
	once := strings.ReplaceAll(agree.State, "report 25", "forfeit yes\nreport 25")
	v.add("a line of a seat out of its order", build(once), policy)
	v.add("who was caught does not count", build(strings.Replace(stateOf(e, "", panelRound("agree", "agree")), "\nseat dave", "\nforfeit yes\nseat dave", 2)), policy)
	v.add("nobody opened anything", build(stateOf(e, "", "round 5 10 "+panelText.String()+"\nseat bob.example - - "+panelText.String()+"\nresult unconfirmed -\n")), policy)
	v.add("another ask behind it", build(agree.State+strings.Replace(strings.SplitAfter(agree.State, "status active\n")[1], "ask 19", "ask 21", 1)), policy)
	v.add("more alike is asked for", build(stateOf(e, "param similar 49\n", second("agree"))), policy)
	v.add("less alike is asked for", build(stateOf(e, "param similar 47\n", panelRound("agree", "agree"))), policy)

	whole := func(name string, state string) { v.add(name, build(state), policy) }
	whole("still open", stateOf(e, "", strings.SplitAfter(first, "result")[0][:len(first)-len("result disputed bob.example\n")]))
	whole("disputed", stateOf(e, "", first))
	whole("three rounds", stateOf(e, "", first, first, second("agree")))
	whole("a round after the end", stateOf(e, "", second("agree"), second("agree")))
	for _, r := range [][3]string{{"a number with a zero", "report 24", "report 024"}, {"a status that is none", "report 24 200", "report 24 2000"}, {"a report of entry 0", "report 24", "report 0"},
		{"a line more", "locked 0\n", "locked 0\nhello yes\n"}, {"a line less", "locked 0\n", ""}, {"a seat without region", "AS64500 RIPE", "AS64500"}, {"need in other words", "2 of 3", "2 in 3"},
		{"an unknown result", "result agree", "result agreed"}, {"no URL", "url https://example.com/page/66\n", "url \n"}, {"another first line", "state/v1", "state/v2"}, {"no chain", "chain ", "Chain "},
		{"bytes that are no UTF-8", "page/66", "page/\xff"}, {"forfeit no", "\nseat dave", "\nforfeit no\nseat dave"}, {"a short sketch", "AQ==\n", "\n"}, {"similar that is none", "param txbytes", "param similar 0\nparam txbytes"}} {
		whole(r[0], strings.ReplaceAll(agree.State, r[1], r[2]))
	}
	whole("no line feed at the end", strings.TrimSuffix(agree.State, "\n"))

	for _, c := range []struct {
		name   string
		change func(*Outcome)
	}{
		{"a forged member", func(o *Outcome) { o.State = strings.ReplaceAll(o.State, "seat carol.example", "seat erin.example") }},
		{"a report that was not opened", func(o *Outcome) {
			report := o.State[strings.Index(o.State, "report 24"):strings.Index(o.State, "seat carol")]
			o.State = strings.ReplaceAll(o.State, "seat alice.example", report+"seat alice.example")
		}},
		{"another report", func(o *Outcome) {
			o.State = strings.ReplaceAll(o.State, concord.Sum([]byte("other")).String()+" AgIC", panelText.String()+" AgIC")
		}},
		{"another verdict", func(o *Outcome) { o.State = strings.ReplaceAll(o.State, "result agree", "result split") }},
		{"dissent left out", func(o *Outcome) {
			from, to := strings.LastIndex(o.State, "seat carol"), strings.LastIndex(o.State, "seat dave")
			o.State = o.State[:from] + o.State[to:]
		}},
		{"another member's key", func(o *Outcome) { o.State = strings.Replace(o.State, "status active", "status faulted", 1) }},
		{"another record", func(o *Outcome) { o.Record = bytes.Replace(o.Record, []byte("txs 1"), []byte("txs 2"), 1) }},
		{"another record's time", func(o *Outcome) { o.Record = bytes.Replace(o.Record, []byte("time 17"), []byte("time 16"), 1) }},
		{"a state of another block", func(o *Outcome) { o.State = stateOf(e, "", second("agree")) }},
		{"another ask", func(o *Outcome) { o.Ask = 21 }}, {"an open ask", func(o *Outcome) { o.Ask = 19 }}, {"another place", func(o *Outcome) { o.Index++ }},
		{"a path too short", func(o *Outcome) { o.Path = o.Path[1:] }}, {"another checkpoint", func(o *Outcome) { o.Checkpoint = f.parts.Checkpoint }},
		{"a record that is none", func(o *Outcome) { o.Record = []byte("state " + concord.Sum([]byte(o.State)).String() + "\n") }},
	} {
		o := agree
		c.change(&o)
		v.add(c.name, []byte(o.format()), policy)
	}
	for i := range 16 {
		bad := slices.Clone(good)
		bad[(2*i+1)*len(good)/32] ^= 1 << (i % 8)
		v.add(fmt.Sprintf("bit flip %d", i), bad, policy)
	}
	v.add("a line feed more", append(slices.Clone(good), '\n'), policy)
	v.add("an ask with a zero", []byte(formatProof("extra "+base64.StdEncoding.EncodeToString([]byte(strings.Replace(extraOf(t, good), "ask 20", "ask 020", 1)))+"\n", agree.Index, agree.Path, agree.Checkpoint)), policy)
	v.add("the policy of another ledger", good, one(t).policy)

	proof := f.build(t)
	v.addPanel("a capture of the page, with the text that a panel agreed on", proof, policy, good)
	anchored, outside := f.anchored(t)
	seen := agree
	seen.Checkpoint = anchor(t, agree.Checkpoint)
	v.add("anchored", []byte(seen.format()), outside)
	v.addPanel("an anchored capture", anchored.build(t), outside, good)
	v.addPanel("an anchored outcome of a capture that is not", proof, outside, []byte(seen.format()))
	v.addPanel("both anchored", anchored.build(t), outside, []byte(seen.format()))
	v.addPanel("a capture, and a second panel", proof, policy, build(stateOf(e, "", first, second("agree"))))
	v.addPanel("a capture of a page that is shown otherwise elsewhere", proof, policy, build(stateOf(e, "", first, second("split"))))
	v.addPanel("a capture, and an outcome that proves nothing", proof, policy, good[:len(good)-1])
	v.addPanel("a capture, and no outcome", proof, policy, proof)
	v.addPanel("an outcome of an outcome", good, policy, good)
	for _, r := range [][3]string{{"a panel of another page", "page/66", "page/67"}, {"a panel that saw another text", panelText.String(), concord.Sum([]byte("more")).String()},
		{"a panel under other rules", "profile text-1", "profile text-2"}, {"a panel of another ledger", "chain net-1", "chain net-2"}} {
		v.addPanel(r[0], proof, policy, build(strings.ReplaceAll(agree.State, r[1], r[2])))
	}
	return v
}

func extraOf(t testing.TB, proof []byte) string {
	t.Helper()
	p, err := parseProof(proof)
	if err != nil {
		t.Fatal(err)
	}
	return p.extra
}

// The file is what is built now, and judges as it says.
func TestOutcomeVectors(t *testing.T) {
	if got, good := outcomeVectors(t).read(t, outcomeVectorsFile); len(good) != 19 || len(got.Cases) < 70 {
		t.Errorf("%d vectors, %d of them good:\n%s", len(got.Cases), len(good), strings.Join(good, "\n"))
	}
}

// The receipt of an outcome that was handed out stays readable.
func TestGoldenOutcome(t *testing.T) {
	var b [3][]byte
	for i, name := range []string{goldenOutcome, "testdata/four.policy", "testdata/four.tlog-proof"} {
		var err error
		if b[i], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := verifyBoth(b[2], b[1], b[0]); err != nil || r.Level != 3 {
		t.Errorf("%+v %v", r, err)
	}
}

// pythonOutcomes has docs/verify judge every case, and say what it read.
const pythonOutcomes = `
import base64, json, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import verify
v = json.load(sys.stdin)
text = {k: base64.b64decode(t) for k, t in v["texts"].items()}
for c in v["cases"]:
    try:
        proof, policy = text[c["proof"]], text[c["policy"]]
        if "panel" not in c: said = verify.outcome(proof, policy)
        else: said = verify.witnessed(verify.verify(proof, policy), verify.outcome(text[c["panel"]], policy))
        print(json.dumps(said, sort_keys=True, separators=(",", ":")))
    except Exception as why: print(json.dumps("not proven: " + ascii(str(why))))
`

// The program in another language comes to the same verdict on outcomes, and reads the same of them.
func TestPythonAgreesOnOutcomes(t *testing.T) {
	t.Parallel()
	v := outcomeVectors(t)
	in, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(findPython(t), "-B", "-c", pythonOutcomes, "../docs/verify")
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(lines) != len(v.Cases) {
		t.Fatalf("%v: %s", err, out)
	}
	text := func(id string) []byte {
		b, err := base64.StdEncoding.DecodeString(v.Texts[id])
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for i, c := range v.Cases {
		if strings.HasPrefix(lines[i], `"not proven: `) == c.Proven {
			t.Errorf("%s: Python says %s, Go %v %q", c.Name, lines[i], c.Proven, c.Step)
		}
		if !c.Proven {
			continue
		}
		r, err := Verify(text(c.Proof), text(c.Policy), Options{})
		if c.Panel != "" {
			var capture *Report
			if capture, err = verifyBoth(text(c.Proof), text(c.Policy), text(c.Panel)); err == nil {
				r, err = Verify(text(c.Panel), text(c.Policy), Options{})
				r.Level = capture.Level
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, want := lines[i], saidInPython(t, r); got != want {
			t.Errorf("%s: Python read %s, Go %s", c.Name, got, want)
		}
	}
}

// saidInPython is what the Python program returns of an outcome.
func saidInPython(t *testing.T, r *Report) string {
	seats := func(of []OutcomeSeat) [][]any {
		list := [][]any{}
		for _, s := range of {
			text := ""
			if s.Entry > 0 {
				text = s.Text.String()
			}
			list = append(list, []any{s.Operator, s.ASN, s.Region, s.Relation, s.Forfeit, s.Entry, s.Status, text})
		}
		return list
	}
	o := r.Outcome
	b, err := json.Marshal(map[string]any{"ask": o.Ask, "from": o.From, "url": o.URL, "profile": o.Profile, "need": o.Need, "of": o.Of, "verdict": o.Verdict, "closed": o.Closed.Unix(),
		"seats": seats(o.Seats), "earlier": seats(o.Earlier), "chain": r.Chain, "origin": r.Log, "size": r.Size, "level": r.Level})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
