package web

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const vectorsFile = "../receipt/testdata/vectors.json"

// judge has the page's script verify every vector.
const judge = `(async () => {
	const v = VECTORS, list = [];
	const bytes = (id) => Uint8Array.from(atob(v.texts[id]), (c) => c.charCodeAt(0));
	for (const c of v.cases) list.push(await concordVerify(bytes(c.proof), bytes(c.policy)));
	return JSON.stringify(list.map((r) => ({ proven: r.proven, able: r.able, reason: r.reason || "" })));
})()`

// testVerify expects the browser's verdict on every vector to be that of package receipt.
func testVerify(t *testing.T, ctx context.Context) {
	_, base := serve(t, newLibrary())
	heard := listen(t, ctx)
	file, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Cases []struct {
			Name, Step string
			Proven     bool
		}
	}
	if err := json.Unmarshal(file, &want); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, "page", chromedp.Navigate(base+"/verify"), chromedp.WaitVisible(chromedp.CSS("[data-verify] button")))
	var got []struct {
		Proven, Able bool
		Reason       string
	}
	verdicts := get(t, ctx, "judge", chromedp.Evaluate[string](strings.Replace(judge, "VECTORS", string(file), 1), chromedp.EvalAwaitPromise))
	if err := json.Unmarshal([]byte(verdicts), &got); err != nil || len(got) != len(want.Cases) || len(got) < 80 {
		t.Fatalf("%d verdicts on %d vectors: %v", len(got), len(want.Cases), err)
	}
	if !got[0].Able {
		t.Skip("SKIPPED: this browser cannot verify Ed25519 signatures, so the script was not tried: install a newer chromium and run this test again. It says: " + got[0].Reason)
	}
	for i, c := range want.Cases {
		if got[i].Proven != c.Proven {
			t.Errorf("%s: the browser says %v %q, Go %v %q", c.Name, got[i].Proven, got[i].Reason, c.Proven, c.Step)
		}
	}
	heard.check(t)
}

// testVerifyPages uses the check as a person does: by the button beside a receipt, and with files.
func testVerifyPages(t *testing.T, ctx context.Context) {
	_, base := serve(t, newLibrary())
	heard := listen(t, ctx)
	verdict := chromedp.Evaluate[string](`document.querySelector("[data-verdict]").dataset.verdict`)
	const box = "[data-verify] [data-verdict]"
	do(t, ctx, "receipt", chromedp.Navigate(base+"/receipt?url=https://docs.example.org/first-steps.html"), chromedp.WaitVisible(chromedp.CSS("[data-verify] button")),
		chromedp.Click(chromedp.CSS("[data-verify] button")), chromedp.WaitVisible(chromedp.CSS(box)))
	holds(t, "receipt", see(t, ctx, "receipt", box), "Proven, by your browser", "alice.example states", "1 of 1 witnesses")

	golden := func(name string) string {
		path, err := filepath.Abs("../receipt/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ receipt, policy, body, want string }{
		{"one.tlog-proof", "one.policy", "one.body", "proven"}, {"four.tlog-proof", "four.policy", "", "proven"},
		{"one.tlog-proof", "four.policy", "", "not proven"}, {"one.tlog-proof", "one.policy", "one.policy", "not proven"}, {"one.body", "one.policy", "", "not proven"},
	} {
		do(t, ctx, "page", chromedp.Navigate(base+"/verify"), chromedp.WaitVisible(chromedp.CSS("[data-verify] button")),
			chromedp.SetUploadFiles(chromedp.CSS("#receipt"), []string{golden(c.receipt)}), chromedp.SetUploadFiles(chromedp.CSS("#policy"), []string{golden(c.policy)}))
		if c.body != "" {
			do(t, ctx, "body", chromedp.SetUploadFiles(chromedp.CSS("#body"), []string{golden(c.body)}))
		}
		do(t, ctx, "check", chromedp.Click(chromedp.CSS("[data-verify] button")), chromedp.WaitVisible(chromedp.CSS(box)))
		if got := get(t, ctx, "verdict", verdict); got != c.want {
			t.Errorf("%+v: %q: %s", c, got, see(t, ctx, "reason", box))
		}
		const sent = `performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !/\/static\/|favicon|opensearch/.test(n)).join(" ")`
		if got := get(t, ctx, "requests", chromedp.Evaluate[string](sent)); got != "" {
			t.Errorf("%+v: the page asked for %s", c, got)
		}
	}
	heard.check(t)
}
