package web

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"concord"
	"concord/receipt"
)

// vectorFiles are receipts and policies that every verifier judges alike: of captures, of documents, and of what panels came to.
var vectorFiles = []string{"../receipt/testdata/vectors.json", "../receipt/testdata/documents.json", "../receipt/testdata/outcomes.json"}

// judge has the page's script verify every vector.
const judge = `(async () => {
	const v = VECTORS, list = [];
	const bytes = (id) => Uint8Array.from(atob(v.texts[id]), (c) => c.charCodeAt(0));
	for (const c of v.cases) list.push(await concordVerify(bytes(c.proof), bytes(c.policy), undefined, c.panel && bytes(c.panel)));
	return JSON.stringify(list.map((r) => ({ proven: r.proven, able: r.able, reason: r.reason || "", report: r.report })), (k, v) => typeof v === "bigint" ? Number(v) : v);
})()`

// said is what the script reports of a receipt that is proven.
type said struct {
	URL, Operator, Chain, Log, Raw, Text, Profile, Record string
	Captured, NotBefore, NotAfter                         int64
	Index, Size, Seq, Batch                               uint64
	Status, Level, K, N                                   int
	Proven, NotProven                                     []string
	Document                                              *saidOfDocument
	Outcome                                               *saidOfOutcome
}

type saidOfOutcome struct {
	Ask                         uint64
	From, URL, Profile, Verdict string
	Need, Of                    int
	Closed                      int64
	Seats, Earlier              []saidOfSeat
}

type saidOfSeat struct {
	Operator, ASN, Region, Relation, Text string
	Forfeit                               bool
	Entry                                 uint64
	Status                                int
}

type saidOfDocument struct {
	SHA256, Label string
	Salted        bool
	Documents     int
	Height        int64
}

// saidByGo is what package receipt reports of it.
func saidByGo(r *receipt.Report) said {
	unix := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.Unix()
	}
	digest := func(d concord.Digest) string {
		if d.IsZero() {
			return ""
		}
		return d.String()
	}
	s := said{URL: r.URL, Operator: r.Operator, Chain: r.Chain, Log: r.Log, Raw: digest(r.Raw), Text: digest(r.Text), Profile: r.Profile, Record: digest(r.Record), Captured: unix(r.Captured),
		NotBefore: unix(r.NotBefore), NotAfter: unix(r.NotAfter), Index: r.Index, Size: r.Size, Seq: r.Seq, Batch: r.Batch, Status: r.Status, Level: r.Level, K: r.Cosigners, N: r.Witnesses,
		Proven: r.Proven, NotProven: r.NotProven}
	if d := r.Document; d != nil {
		s.Document = &saidOfDocument{d.SHA256.String(), d.Label, d.Salted, d.Documents, d.Height}
	}
	if o := r.Outcome; o != nil {
		seats := func(of []receipt.OutcomeSeat) []saidOfSeat {
			list := []saidOfSeat{}
			for _, s := range of {
				text := ""
				if s.Entry > 0 {
					text = s.Text.String()
				}
				list = append(list, saidOfSeat{s.Operator, s.ASN, s.Region, s.Relation, text, s.Forfeit, s.Entry, s.Status})
			}
			return list
		}
		s.Outcome = &saidOfOutcome{o.Ask, o.From, o.URL, o.Profile, o.Verdict, o.Need, o.Of, unix(o.Closed), seats(o.Seats), seats(o.Earlier)}
	}
	return s
}

// testVerify expects the browser's verdict on every vector to be that of package receipt.
func testVerify(t *testing.T, ctx context.Context) {
	_, base := serve(t, newLibrary())
	heard := listen(t, ctx)
	for _, name := range vectorFiles {
		testVectors(t, ctx, base, name)
	}
	heard.check(t)
}

func testVectors(t *testing.T, ctx context.Context, base, name string) {
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Texts map[string][]byte
		Cases []struct {
			Name, Step, Proof, Policy, Panel string
			Proven                           bool
		}
	}
	if err := json.Unmarshal(file, &want); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, "page", chromedp.Navigate(base+"/verify"), chromedp.WaitVisible(chromedp.CSS("[data-verify] button")))
	var got []struct {
		Proven, Able bool
		Reason       string
		Report       said
	}
	verdicts := get(t, ctx, "judge", chromedp.Evaluate[string](strings.Replace(judge, "VECTORS", string(file), 1), chromedp.EvalAwaitPromise))
	if err := json.Unmarshal([]byte(verdicts), &got); err != nil || len(got) != len(want.Cases) || len(got) < 40 {
		t.Fatalf("%d verdicts on %d vectors: %v", len(got), len(want.Cases), err)
	}
	if !got[0].Able {
		t.Skip("SKIPPED: this browser cannot verify Ed25519 signatures, so the script was not tried: install a newer chromium and run this test again. It says: " + got[0].Reason)
	}
	for i, c := range want.Cases {
		if got[i].Proven != c.Proven {
			t.Errorf("%s: the browser says %v %q, Go %v %q", c.Name, got[i].Proven, got[i].Reason, c.Proven, c.Step)
		}
		if !c.Proven || !got[i].Proven {
			continue
		}
		r, err := receipt.Verify(want.Texts[c.Proof], want.Texts[c.Policy], receipt.Options{})
		if err == nil && c.Panel != "" {
			var panel *receipt.Report
			if panel, err = receipt.Verify(want.Texts[c.Panel], want.Texts[c.Policy], receipt.Options{}); err == nil {
				err = r.Witness(panel)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(saidByGo(r), got[i].Report); diff != "" {
			t.Errorf("%s: -Go +the browser\n%s", c.Name, diff)
		}
	}
}

// flips has the script verify a receipt with each of its bytes changed in turn, and returns the places where it did not refuse.
const flips = `(async (proof, policy, entry, step) => {
	const get = async (u) => new Uint8Array(await (await fetch(u)).arrayBuffer());
	const p = await get(proof), pol = await get(policy), e = entry ? await get(entry) : undefined, wrong = [];
	if (!(await concordVerify(p, pol, e)).proven) wrong.push("unchanged");
	for (let i = 0; i < p.length; i += step) {
		const bad = p.slice();
		bad[i] ^= 1 << (i % 8);
		if ((await concordVerify(bad, pol, e)).proven) wrong.push("byte " + i);
	}
	for (let i = 0; e && i < e.length; i += step) {
		const bad = e.slice();
		bad[i] ^= 1 << (i % 8);
		if ((await concordVerify(p, pol, bad)).proven) wrong.push("entry's byte " + i);
	}
	return p.length < 500 ? "too short" : wrong.join(", ");
})`

// testVerifyFlips changes every byte of a receipt, in all its parts, and of the proof of an entry and the entry.
func testVerifyFlips(t *testing.T, ctx context.Context) {
	m := newLibrary()
	_, base := serve(t, m)
	do(t, ctx, "page", chromedp.Navigate(base+"/verify"), chromedp.WaitVisible(chromedp.CSS("[data-verify] button")))
	for what, args := range map[string]string{
		"receipt": `"/api/v1/receipts?url=https://docs.example.org/first-steps.html", "/api/v1/policy", "", 1`,
		"entry":   `"/api/v1/ledger/entries/2/proof", "/api/v1/policy", "/api/v1/ledger/entries/2/text", 1`,
	} {
		if wrong := get(t, ctx, what, chromedp.Evaluate[string](flips+"("+args+")", chromedp.EvalAwaitPromise)); wrong != "" {
			t.Errorf("%s: the browser finds proven: %s", what, wrong)
		}
	}
}

// testVerifyPages uses the check as a person does: by the button beside a receipt, and with files.
func testVerifyPages(t *testing.T, ctx context.Context) {
	_, base := serve(t, newLibrary())
	heard := listen(t, ctx)
	verdict := chromedp.Evaluate[string](`document.querySelector("[data-verdict]").dataset.verdict`)
	const box = "[data-verify] [data-verdict]"
	do(t, ctx, "receipt", chromedp.Navigate(base+"/receipt?url=https://docs.example.org/first-steps.html"), chromedp.WaitVisible(chromedp.CSS("[data-verify] button")),
		chromedp.Click(chromedp.CSS("[data-verify] button")), chromedp.WaitVisible(chromedp.CSS(box)))
	holds(t, "receipt", see(t, ctx, "receipt", box), "Proven, by your browser", "alice.example states", "1 of 1 witnesses", "Level 1", "by the operator's own clock", "Not proven:", "That what the page says is true.")
	do(t, ctx, "entry", chromedp.Navigate(base+"/ledger/2"), chromedp.WaitVisible(chromedp.CSS("[data-verify] button")),
		chromedp.Click(chromedp.CSS("[data-verify] button")), chromedp.WaitVisible(chromedp.CSS(box)))
	holds(t, "entry", see(t, ctx, "entry", box), "Proven, by your browser", "This text is entry 2 of the log net-1.example/log", "1 of 1 witnesses")

	for _, l := range looks {
		if *shots == "" {
			break
		}
		l.put(t, ctx)
		png := get(t, ctx, "picture", chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(*shots, "entry-checked-"+l.name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}

	golden := func(name string) string {
		path, err := filepath.Abs("../receipt/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ receipt, policy, body, panel, want, say string }{
		{"one.tlog-proof", "one.policy", "one.body", "", "proven", "Level 1"}, {"four.tlog-proof", "four.policy", "", "", "proven", "Level 2"},
		{"one.tlog-proof", "four.policy", "", "", "not proven", ""}, {"one.tlog-proof", "one.policy", "one.policy", "", "not proven", "another body"}, {"one.body", "one.policy", "", "", "not proven", ""},
		{"panel.tlog-proof", "four.policy", "", "", "proven", "Level 3: cosigned by 4 of 4 witnesses of the policy, and a panel of operators saw the same."}, {"panel.tlog-proof", "one.policy", "", "", "not proven", ""},
		{"panel.tlog-proof", "four.policy", "four.body", "", "not proven", "not of a file"},
		{"four.tlog-proof", "four.policy", "four.body", "panel.tlog-proof", "proven", "another text: carol.example; no report: dave.example"},
		{"one.tlog-proof", "one.policy", "", "panel.tlog-proof", "not proven", ""}, {"four.tlog-proof", "four.policy", "", "one.tlog-proof", "not proven", ""},
	} {
		do(t, ctx, "page", chromedp.Navigate(base+"/verify"), chromedp.WaitVisible(chromedp.CSS("[data-verify] button")),
			chromedp.SetUploadFiles(chromedp.CSS("#receipt"), []string{golden(c.receipt)}), chromedp.SetUploadFiles(chromedp.CSS("#policy"), []string{golden(c.policy)}))
		if c.body != "" {
			do(t, ctx, "body", chromedp.SetUploadFiles(chromedp.CSS("#body"), []string{golden(c.body)}))
		}
		if c.panel != "" {
			do(t, ctx, "panel", chromedp.SetUploadFiles(chromedp.CSS("#panel"), []string{golden(c.panel)}))
		}
		do(t, ctx, "check", chromedp.Click(chromedp.CSS("[data-verify] button")), chromedp.WaitVisible(chromedp.CSS(box)))
		if got := get(t, ctx, "verdict", verdict); got != c.want {
			t.Errorf("%+v: %q: %s", c, got, see(t, ctx, "reason", box))
		}
		holds(t, c.receipt, see(t, ctx, "words", box), c.say)
		const sent = `performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !/\/static\/|favicon|opensearch/.test(n)).join(" ")`
		if got := get(t, ctx, "requests", chromedp.Evaluate[string](sent)); got != "" {
			t.Errorf("%+v: the page asked for %s", c, got)
		}
	}
	heard.check(t)
}
