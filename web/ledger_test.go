package web

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"concord"
	"concord/ledger"
	"concord/note"
)

// Every kind of transaction has a page that says what it means and leads on, with what strangers wrote escaped.
func TestLedgerEntryPages(t *testing.T) {
	m := newLibrary()
	at := m.explored(testNow)
	raw := concord.Sum([]byte("raw"))
	m.append("block", "", (&ledger.Record{Height: 99, Txs: 3, State: raw, Bad: []ledger.Evidence{{Kind: "DUPLICATE_VOTE", Operator: "bob.example", Height: 98}}}).String(), testNow)
	m.checkpoint(testNow)
	c := newClient(t, m)
	for kind, want := range map[string][]string{
		"ask":  {"asks 3 operators", "2 of 3 operators to agree", "/ledger/search?q=ask%3A" + fmt.Sprint(at["ask"]), "5 credits"},
		"seal": {"seals its report for ask", `href="/ledger/` + fmt.Sprint(at["ask"]) + `"`},
		"show": {"opens its report", "200 OK", raw.String(), "AS64500 RIPE", "<time datetime="},
		"doc":  {"notarises 1 document", "draft-3", concord.Sum([]byte("a paper")).String()},
		"pay":  {"pays bob.example 12", `href="/ledger/members/bob.example"`, "12 credits"},
		"gov":  {"bob.example gets the credit limit 50", "Signed by", "Decision"},
	} {
		page := c.get(entryLink(at[kind]), 200)
		holds(t, kind, html.UnescapeString(page), append(want, "In its own text", "Download the inclusion proof", "Cosigned by", "Put in order", `data-entry="/api/v1/ledger/entries/`)...)
		if strings.Contains(page, "<script>alert") {
			t.Errorf("%s: lets a script through", kind)
		}
	}
	holds(t, "record", c.get(entryLink(m.Size()-1), 200), "bob.example: duplicate vote at height 98", "State after it")
	holds(t, "attest", c.get("/ledger/2", 200), "Root of the batch", "First capture", "The captures themselves are not in the ledger")
}

// Lists of the ledger lead from page to page, to an end, each entry once.
func TestLedgerPaging(t *testing.T) {
	m := newLibrary()
	for i := range 60 {
		m.say(&ledger.PayTx{Head: ledger.Head{Chain: testChain, From: testOperator, Seq: uint64(i + 500)}, To: "bob.example", Amount: 1}, testNow)
		if i%2 == 0 {
			m.say(&ledger.AskTx{Head: ledger.Head{Chain: testChain, From: testOperator, Seq: uint64(i + 900)}, URL: "https://a.example/", Profile: "text-1", Need: 2, Of: 3, Until: 60}, testNow)
		}
		m.checkpoint(testNow)
	}
	c := newClient(t, m)
	for _, l := range []struct {
		first, item string
		want        int
	}{
		{"/ledger", `<a class="n" href="`, int(m.Size())}, {"/ledger/members/alice.example", `<th scope="row" class="n" data-label="Entry">`, 0}, {"/ledger/credits", `data-label="Entry">`, 60},
		{"/ledger/checkpoints", `class="block-head"`, len(m.points)}, {"/ledger/search?q=bob.example", `data-label="Entry">`, 60},
	} {
		got, pages := 0, 0
		for next := l.first; next != ""; pages++ {
			page := c.get(next, 200)
			if got += strings.Count(page, l.item); pages > 20 {
				t.Fatalf("%s: no end", l.first)
			}
			next = strings.ReplaceAll(between(page, `<a rel="next" href="`, `"`), "&amp;", "&")
		}
		if l.want == 0 { // the founding note has no From here
			l.want = len(must(m.Find(concord.LedgerTerm{Kind: concord.TermOperator, Value: testOperator}, newest, 1000)))
		}
		if got != l.want || pages < 2 {
			t.Errorf("%s: %d items on %d pages, want %d", l.first, got, pages, l.want)
		}
	}
	for _, path := range []string{"/ledger/checkpoints?upto=1", "/ledger/credits?below=0", "/ledger/members/alice.example?below=0", "/ledger/search?q=bob.example&below=0",
		"/ledger/checkpoints?upto=x", "/ledger?before=0", "/ledger?before=-1", "/ledger/blocks/3?from=18446744073709551615"} {
		c.get(path, 200)
	}
}

// The search takes whatever names an entry, in any of its forms.
func TestLedgerSearch(t *testing.T) {
	m := newLibrary()
	at := m.explored(testNow)
	c := newClient(t, m)
	capture := m.pages["https://docs.example.org/first-steps.html"].captures[0]
	attested := must(m.Attested(t.Context(), capture.ID)).Index
	leaf, paper := m.entries[at["pay"]].Leaf, concord.Sum([]byte("a paper"))
	batch := must(concord.ParseAttestation(noteText(m.entries[2].Text))).Root
	for q, want := range map[string][]uint64{
		"alice.example": {at["pay"], at["ask"], at["show"]}, "BOB.example": {at["pay"], at["gov"]}, "operator:bob.example": {at["pay"], at["gov"]},
		leaf.String(): {at["pay"]}, leaf.Labelled(): {at["pay"]}, hex.EncodeToString(paper[:]): {at["doc"]}, paper.String(): {at["doc"]},
		batch.String(): {2}, concord.Sum([]byte("raw")).String(): {at["show"]}, concord.Sum([]byte("invoice")).Labelled(): {at["pay"]},
		hostileURL: {at["ask"], at["show"]}, "url:" + hostileURL: {at["ask"], at["show"]}, "gov": {at["gov"]}, "type:PAY": {at["pay"]},
		fmt.Sprint("ask:", at["ask"]): {at["seal"], at["show"]}, "https://docs.example.org/first-steps.html": {attested}, "docs.example.org/first-steps.html": {attested}, capture.ID: {attested},
	} {
		page := c.get(foundLink(q, newest), 200)
		for _, i := range want {
			holds(t, q, page, `href="`+entryLink(i)+`"`)
		}
		if strings.Contains(page, "<script>alert") {
			t.Errorf("%s: lets a script through", q)
		}
		var a LedgerFound
		if err := json.Unmarshal([]byte(c.get("/api/v1/ledger/search?"+url.Values{"q": {q}}.Encode(), 200)), &a); err != nil {
			t.Fatal(err)
		}
		have := map[uint64]bool{}
		for _, e := range a.Entries {
			have[e.Index] = true
		}
		for _, x := range a.Captures {
			have[x.Index] = x.Done
		}
		for _, i := range want {
			if !have[i] {
				t.Errorf("API, %q: no entry %d in %v", q, i, have)
			}
		}
	}
	holds(t, "nothing", c.get("/ledger/search?q=nobody.example", 200), "No entry names this")
	holds(t, "nonsense", c.get(foundLink(`"><script>alert(1)</script> and more`, newest), 422), `role="alert"`, "What can be found")
	holds(t, "no such entry", c.get("/ledger/search?q=99999999", 404), `role="alert"`)
	holds(t, "no such block", c.get("/ledger/search?q=block:99999999", 404), `role="alert"`)
	c.get("/ledger/search?q=block:x", 422)
	holds(t, "too many", c.get("/ledger/search?q=attest", 422), "find them by their operator")
	c.get("/ledger/search?q="+strings.Repeat("x", 3000), 422)
	c.get("/api/v1/ledger/search?q=%00", 422)
	holds(t, "an entry", c.get("/ledger/search?q=2", 303), `href="/ledger/2"`)
	holds(t, "a block", c.get("/ledger/search?q=block:4", 303), `href="/ledger/blocks/4"`)
}

// anchored returns the page of checkpoints once a witness from outside has cosigned the newest.
func anchored(t *testing.T, m *memory) string {
	t.Helper()
	w, err := note.NewSigner("witness.example/w1", note.Cosignature, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	last := &m.points[len(m.points)-1]
	before := *last
	defer func() { *last = before }()
	n, err := note.Parse([]byte(last.Note))
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Cosign(n.Text, testNow.Unix())
	if err != nil {
		t.Fatal(err)
	}
	n.Sigs = append(n.Sigs, s)
	last.Note = string(n.Bytes())
	c := newClient(t, m)
	holds(t, "anchored", c.get("/ledger", 200), "Cosigned by 1 of 1", "From outside")
	return c.get("/ledger/checkpoints?upto="+strconv.FormatUint(last.Size, 10), 200)
}

func TestLedgerLists(t *testing.T) {
	m := newLibrary()
	m.explored(testNow)
	c := newClient(t, m)
	holds(t, "members", c.get("/ledger/members", 200), "alice.example", "Key: cosign", "Attested last", "may fall to −1,000", "AS64500, RIPE", `href="https://alice.example"`)
	holds(t, "member", c.get("/ledger/members/alice.example", 200), "What it sent", "alice.example pays bob.example 12", "Transactions")
	holds(t, "named only", c.get("/ledger/members/bob.example", 200), "It is no member", "gets the credit limit 50")
	c.get("/ledger/members/nobody.example", 404)
	c.get("/ledger/members/No%20Body", 404)
	holds(t, "credits", html.UnescapeString(c.get("/ledger/credits", 200)), "−30", "+30", "<strong>0</strong>", "pays bob.example 12")
	holds(t, "checkpoints", c.get("/ledger/checkpoints", 200), "cosigned by 1", "— alice.example ", "1 of 1 operators must cosign")
	holds(t, "an operator's line and one from outside", anchored(t, m), "cosigned by 1<", `<a href="/ledger/members/alice.example">alice.example</a>`, "From outside:", "witness.example/w1 <span")
	holds(t, "block", c.get("/ledger/blocks/4", 200), "1 entry", "between <time", "Block before", "Block after")
	c.get("/ledger/blocks/4000", 404)
	c.get("/ledger/blocks/x", 404)
	holds(t, "block of the API", c.get("/api/v1/ledger/blocks/4", 200), `"first":2`, `"count":1`)
}

// A stream says what is there, and then when there is more.
func TestLedgerEvents(t *testing.T) {
	m := newLibrary()
	_, base := serve(t, m)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+ledgerEventsPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	next := func() (n LedgerNews) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &n); err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return n
	}
	first := next()
	m.lmu.Lock()
	m.say(&ledger.PayTx{Head: ledger.Head{Chain: testChain, From: testOperator, Seq: 500}, To: "bob.example", Amount: 1}, testNow)
	m.lmu.Unlock()
	if n := next(); n.Size != first.Size+1 || n.Checkpoint != first.Checkpoint {
		t.Errorf("first %+v, then %+v", first, n)
	}
}

// testLiveLedger waits for a new block on a page that is open, and finds its way in by the keyboard alone.
func testLiveLedger(t *testing.T, ctx context.Context) {
	looks[0].put(t, ctx)
	m := newLibrary()
	_, base := serve(t, m)
	heard := listen(t, ctx)
	do(t, ctx, "ledger", chromedp.Navigate(base+"/ledger"), chromedp.WaitVisible(chromedp.CSS("#asked")))
	m.lmu.Lock()
	index := m.say(&ledger.DocTx{Head: ledger.Head{Chain: testChain, From: testOperator, Seq: 500}, Digests: []concord.Digest{concord.Sum([]byte("x"))}}, testNow)
	m.lmu.Unlock()
	do(t, ctx, "the new block appears", chromedp.WaitVisible(chromedp.CSS(`.blocks a[href="`+entryLink(index)+`"]`)))
	holds(t, "newest", see(t, ctx, "newest", ".blocks > li"), "notarises 1 document")
	do(t, ctx, "search", chromedp.Focus(chromedp.CSS("#asked")), chromedp.SendKeys(chromedp.CSS("#asked"), "type:doc"+kb.Enter), chromedp.WaitVisible(chromedp.CSS("#found-head")))
	holds(t, "found", see(t, ctx, "found", "main"), "notarises 1 document")
	do(t, ctx, "open", chromedp.Focus(chromedp.CSS("main table a")), chromedp.SendKeys(chromedp.CSS("main table a"), kb.Enter), chromedp.WaitVisible(chromedp.CSS(".note-text")))
	if got := where(t, ctx); got != base+entryLink(index) {
		t.Errorf("the keyboard leads to %s", got)
	}
	heard.check(t)
}

// FuzzAskLedger has any text asked for: it is a question or an error, and never one that leads nowhere.
func FuzzAskLedger(f *testing.F) {
	for _, s := range []string{"1187", "block:12", "ask:3", "alice.example", "https://example.org/a?b#c", "sha256:" + strings.Repeat("ab", 32), concord.Sum(nil).String(), "gov", "type:", "0f6f4c1e-7d0a-4c57-9a3e-000000000001", ":", "url:", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := askLedger(s)
		if err == nil && q.index == nil && q.height == nil && q.capture == "" && len(q.terms) == 0 {
			t.Errorf("%q is taken, and asks for nothing", s)
		}
		for _, x := range q.terms {
			if len(x.Value) > 3*maxAsked+16 { // a URL in its normal form may be longer
				t.Errorf("%q asks for %d bytes", s, len(x.Value))
			}
		}
	})
}
