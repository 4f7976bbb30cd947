package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"concord"
)

func spanText(list []span) string {
	var b strings.Builder
	for _, s := range list {
		switch s.Kind {
		case spanOnly:
			b.WriteString("+" + s.Text + "+ ")
		case spanLacks:
			b.WriteString("-" + s.Text + "- ")
		case spanGap:
			b.WriteString("… ")
		default:
			b.WriteString(s.Text + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

func TestCompareTexts(t *testing.T) {
	long := strings.Repeat("word ", 500)
	for _, c := range []struct{ text, other, want string }{
		{"", "", ""},
		{"a b c", "a b c", "a b c"},
		{"a x c", "a b c", "a -b- +x+ c"},
		{"a b c d", "a c", "a +b+ c +d+"},
		{"new", "", "+new+"},
		{"", "old", "-old-"},
		{"p q r s", "q r z s", "+p+ q r -z- s"},
		{long + "x", long + "y", strings.TrimSpace(strings.Repeat("word ", 30)) + " … " + strings.TrimSpace(strings.Repeat("word ", 30)) + " -y- +x+"},
	} {
		if got := spanText(compareTexts(c.text, c.other)); got != c.want {
			t.Errorf("%.40q against %.40q: %q, want %q", c.text, c.other, got, c.want)
		}
	}
	many := func(w string) string { return strings.Repeat(w+" ", 5000) }
	if got := compareTexts(many("x"), many("y")); len(got) != 4 || got[0].Kind != spanLacks || got[1].Kind != spanGap {
		t.Errorf("texts that are too long: %d spans", len(got))
	}
}

func FuzzCompareTexts(f *testing.F) {
	f.Add("a b c", "a x c")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 1000 {
			return
		}
		var mine, others []string
		for _, s := range compareTexts(a, b) {
			if s.Kind == spanGap {
				return
			}
			if s.Kind != spanLacks {
				mine = append(mine, words(s.Text)...)
			}
			if s.Kind != spanOnly {
				others = append(others, words(s.Text)...)
			}
		}
		if strings.Join(mine, " ") != strings.Join(words(a), " ") || strings.Join(others, " ") != strings.Join(words(b), " ") {
			t.Errorf("%q against %q gives %v and %v", a, b, mine, others)
		}
	})
}

// memoryWitness is a closed ask with one dissenter, asks that were made since, and notes, in memory.
type memoryWitness struct {
	ask   WitnessAsk
	asked []WitnessAsk
	texts []WitnessText
	notes map[concord.Digest]NotarisedDocument
}

func newMemoryWitness() *memoryWitness {
	saw := func(text string) *WitnessReport {
		return &WitnessReport{Index: 3, Status: 200, Final: "https://example.org/page", Time: testNow, Text: concord.Sum([]byte(text))}
	}
	return &memoryWitness{notes: map[concord.Digest]NotarisedDocument{}, ask: WitnessAsk{Index: 7, From: testOperator, URL: "https://example.org/page", Profile: "text-1", Need: 2, Of: 3, Until: 60,
		Verdict: WitnessAgree, Record: 12, Rounds: []WitnessRound{{SealBy: testNow, ShowBy: testNow, Result: WitnessAgree, Reference: "bob.example", Seats: []WitnessSeat{
			{Operator: "carol.example", ASN: "-", Region: "-", Sealed: true, Relation: "differ", Report: saw("<script>alert(1)</script> cheap things")},
			{Operator: "bob.example", ASN: "AS64500", Region: "RIPE", Sealed: true, Relation: "agree", Equal: 64, Report: saw("true things")},
			{Operator: "dave.example", ASN: "-", Region: "-", Sealed: true, Relation: "agree", Report: saw("true things")},
			{Operator: testOperator, ASN: "-", Region: "-", Asker: true, Relation: "silent"},
		}}}},
		texts: []WitnessText{{Operator: "carol.example", Text: "<script>alert(1)</script> cheap things"}, {Operator: "bob.example", Text: "true things"},
			{Operator: "dave.example", Missing: "dave.example answers with another text than the one it reported"}, {Operator: testOperator}}}
}

func (m *memoryWitness) Ask(_ context.Context, spec WitnessSpec) (WitnessAsk, error) {
	switch {
	case spec.URL == m.ask.URL:
		return m.ask, nil
	case !strings.HasPrefix(spec.URL, "https://new.example/"):
		return WitnessAsk{}, concord.Errorf(concord.Unavailable, "the ledger stands still")
	case spec.Of > 3:
		return WitnessAsk{}, concord.Errorf(concord.Invalid, "submit transaction: ask of alice.example: a panel of %d, but the ledger has 3 other operators who can be on it", spec.Of)
	}
	a := WitnessAsk{Index: 20 + uint64(len(m.asked)), From: testOperator, URL: spec.URL, Profile: "text-1", Need: max(spec.Need, 2), Of: max(spec.Of, 3), Until: 60, Pay: spec.Pay, Open: true}
	m.asked = append(m.asked, a)
	return a, nil
}

func (m *memoryWitness) Asked(_ context.Context, index uint64) (WitnessAsk, error) {
	for _, a := range m.asked {
		if a.Index == index {
			return a, nil
		}
	}
	if index != m.ask.Index {
		return WitnessAsk{}, concord.Errorf(concord.NotFound, "the ledger has no closed ask %d", index)
	}
	return m.ask, nil
}

func (m *memoryWitness) Asks(_ context.Context, before uint64, _ int) ([]WitnessAsk, error) {
	if before != 0 && before <= m.ask.Index {
		return nil, nil
	}
	list := []WitnessAsk{m.ask}
	for _, a := range m.asked {
		list = append([]WitnessAsk{a}, list...)
	}
	return list, nil
}

func (m *memoryWitness) OutcomeReceipt(ctx context.Context, index uint64) ([]byte, error) {
	_, err := m.Asked(ctx, index)
	return []byte("the outcome\n"), err
}

func (m *memoryWitness) OwnText(_ context.Context, index uint64, round int) (string, error) {
	return "", concord.Errorf(concord.NotFound, "%s has no open report for round %d of ask %d", testOperator, round, index)
}

func (m *memoryWitness) Texts(context.Context, *WitnessAsk) []WitnessText { return m.texts }

func (m *memoryWitness) Notarise(_ context.Context, digests []concord.Digest, label string) (list []NotarisedDocument, err error) {
	if strings.Contains(label, " ") {
		return nil, concord.Errorf(concord.Invalid, "label is not a word")
	}
	for _, d := range digests {
		m.notes[d] = NotarisedDocument{Digest: d, State: NotarisedLogged, Index: 9, FirstFrom: testOperator, FirstIndex: 9}
		list = append(list, m.notes[d])
	}
	return list, nil
}

func (m *memoryWitness) Document(_ context.Context, d concord.Digest) (NotarisedDocument, error) {
	n, ok := m.notes[d]
	if !ok {
		return n, concord.Errorf(concord.NotFound, "no note in the ledger holds it")
	}
	return n, nil
}

func (m *memoryWitness) DocumentReceipt(_ context.Context, d concord.Digest) ([]byte, error) {
	_, err := m.Document(context.Background(), d)
	return []byte("the receipt\n"), err
}

func TestWitnessPages(t *testing.T) {
	m := newMemory(testNow)
	c := newClient(t, m)
	list := c.get("/witness", 200)
	if !strings.Contains(list, `href="/witness/7"`) || !strings.Contains(list, "https://example.org/page") {
		t.Error(list)
	}
	page := c.get("/witness/7", 200)
	for _, want := range []string{"<strong>agree</strong>", "<ins>&lt;script&gt;alert(1)&lt;/script&gt; cheap</ins>", "<del>true</del>", "another text", "The same text",
		"dave.example answers with another text than the one it reported", "It asked, and does not count", "AS64500, RIPE"} {
		if want != "The same text" && !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Index(page, "<h3>bob.example") > strings.Index(page, "<h3>carol.example") {
		t.Error("the reference is not first")
	}
	if strings.Contains(page, "<script>alert") {
		t.Error("a captured text is not escaped")
	}
	c.get("/witness/8", 404)
	c.get("/witness/x", 404)
	m.witness.ask.Open, m.witness.ask.Verdict = true, ""
	if page := c.get("/witness/7", 200); !strings.Contains(page, "still open") || !strings.Contains(page, `http-equiv="refresh"`) {
		t.Error("an open ask does not say so")
	}
}

func TestAskForm(t *testing.T) {
	m := newMemory(testNow)
	c := newClient(t, m)
	holds(t, "stranger", c.get("/witness", 200), `href="/signin?next=/witness"`, "concord witness https://example.org/page", "/home/alice/.local/share/concord/api-key")
	holds(t, "sign in", c.get("/signin?next=/witness", 200), `name="next" value="/witness"`)
	holds(t, "sign in for elsewhere", c.get("/signin?next=https://evil.example/", 200), `name="next" value="/crawl"`)
	c.want(c.form("/witness", url.Values{"url": {"https://new.example/"}}), 401)
	r := c.form("/signin", url.Values{"key": {testKey}, "next": {"/witness"}})
	if c.want(r, 303); r.Header.Get("Location") != "/witness" {
		t.Errorf("signed in, and sent to %q", r.Header.Get("Location"))
	}
	c.cookie = r.Cookies()[0]
	page := c.get("/witness", 200)
	holds(t, "form", page, "No other operator shares this ledger yet", "alice.example has 0, and may fall to −1,000", "It costs nothing unless you promise credit", `name="need"`, `name="of"`)
	token := between(page, `name="token" value="`, `"`)
	holds(t, "given by the address", c.get("/witness?url=https://new.example/x", 200), `value="https://new.example/x"`)
	ask := func(status int, with ...string) string {
		t.Helper()
		v := url.Values{"token": {token}}
		for i := 0; i < len(with); i += 2 {
			v.Set(with[i], with[i+1])
		}
		r := c.form("/witness", v)
		body := c.want(r, status)
		if status == 303 {
			return r.Header.Get("Location")
		}
		return body
	}
	c.want(c.form("/witness", url.Values{"url": {"https://new.example/"}}), 403)
	for _, bad := range []struct {
		say    string
		status int
		with   []string
	}{
		{"Give the address of the page", 422, nil}, {"is not a number", 422, []string{"url", "new.example", "need", "two"}}, {"A panel has at most 32", 422, []string{"url", "new.example", "of", "33"}},
		{"3 must agree, of a panel of only 2", 422, []string{"url", "new.example", "need", "3", "of", "2"}}, {"ftp://x", 422, []string{"url", "ftp://x"}},
		{"A panel of 4, but the ledger has 3 other operators", 422, []string{"url", "new.example", "of", "4"}}, {"The ledger stands still", 503, []string{"url", "elsewhere.example"}},
		{"at most 1000000000", 422, []string{"url", "new.example", "pay", "1000000001"}}, {"the ledger takes 2000", 422, []string{"url", "https://new.example/" + strings.Repeat("x", 2000)}},
		{"&lt;script&gt;", 422, []string{"url", `"><script>alert(1)</script>`}},
	} {
		body := ask(bad.status, bad.with...)
		holds(t, bad.say, body, bad.say, `role="alert"`)
		if strings.Contains(body, "<script>alert") {
			t.Error("what was typed is not escaped")
		}
	}
	if got := ask(303, "url", " new.example/page#part ", "need", "2", "of", "3", "pay", "5"); got != "/witness/20" || m.witness.asked[0].URL != "https://new.example/page" || m.witness.asked[0].Pay != 5 {
		t.Errorf("%s %+v", got, m.witness.asked)
	}
	holds(t, "asked", c.get("/witness/20", 200), "It is still open", "5 credits for each report; 30 of alice.example are held until the outcome")
	holds(t, "list", c.get("/witness", 200), `href="/witness/20"`)
	if got := ask(303, "url", "https://example.org/page", "need", "3"); got != "/witness/7?open=before" {
		t.Errorf("another ask for an open one leads to %s", got)
	}
	holds(t, "open before", c.get("/witness/7?open=before", 200), "An ask for this page was open already", "nothing: no credit was promised")
	m.witness.ask.Pay = 5
	holds(t, "paid", c.get("/witness/7", 200), "5 credits for each report: 15 earned, of 30 held; the other 15 came back")
}

// While the ledger stands still the pages say so: a receipt is not "available in 4 s", and an ask would wait.
func TestPagesWhileHalted(t *testing.T) {
	f := newMemoryFederation(newLibrary())
	f.status.State = FederationHalted
	c := f.client(t)
	page := c.want(c.do("GET", "/receipt?url=https://docs.example.org/just-now.html", "", nil), 503)
	holds(t, "receipt", page, "The ledger stands still: 3 of 4 voters", "Until then: a promise")
	lacks(t, "receipt", page, "available in")
	const fresh = "https://docs.example.org/just-now.html"
	copied := c.get(archiveLink(f.pages[fresh].captures[0].ID, fresh), 200)
	holds(t, "archived copy", copied, "receipt to come: it waits for the ledger", "wait for it")
	lacks(t, "archived copy", copied, "receipt in about")
	r := c.form("/signin", url.Values{"key": {testKey}})
	c.want(r, 303)
	c.cookie = r.Cookies()[0]
	holds(t, "witness", c.get("/witness", 200), "The ledger stands still: 3 of 4 voters", "An ask would wait until then.")
}

func TestWitnessAndNotaryAPI(t *testing.T) {
	c := newClient(t, newMemory(testNow))
	d := concord.Sum([]byte("document"))
	post := func(target string, v any, want int) string {
		t.Helper()
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return c.want(c.do("POST", target, "application/json", bytes.NewReader(data)), want)
	}
	post("/api/v1/witness", map[string]any{"url": "https://example.org/page"}, 401)
	post("/api/v1/notes", map[string]any{"digests": []string{d.String()}}, 401)
	c.key = testKey
	q := "?sha256=" + strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(d.String())
	c.get("/api/v1/documents"+q, 404)
	c.get("/api/v1/documents?sha256=x", 422)
	spec := map[string]any{"digests": []string{d.String()}, "label": "papers"}
	if got := post("/api/v1/notes", spec, 200); !strings.Contains(got, `"state":"logged"`) {
		t.Error(got)
	}
	post("/api/v1/notes", map[string]any{"digests": []string{d.String()}, "label": "two words"}, 422)
	post("/api/v1/notes", map[string]any{"digests": []string{}}, 422)
	if got := c.get("/api/v1/documents/receipt"+q, 200); got != "the receipt\n" {
		t.Error(got)
	}
	if got := post("/api/v1/witness", map[string]any{"url": "https://EXAMPLE.org/page#part"}, 201); !strings.Contains(got, `"index":7`) {
		t.Error(got)
	}
	post("/api/v1/witness", map[string]any{"url": "nonsense"}, 422)
	post("/api/v1/witness", map[string]any{"url": "https://example.org/other"}, 503)
	c.get("/api/v1/witness/8", 404)
	c.get("/api/v1/witness/8/receipt", 404)
	if got := c.get("/api/v1/witness/7/receipt", 200); got != "the outcome\n" {
		t.Error(got)
	}
	c.get("/api/v1/witness/7/reports/1", 404)
	c.get("/api/v1/witness/7/reports/3", 422)
	if got := c.get("/api/v1/witness/7/texts", 200); !strings.Contains(got, "true things") {
		t.Error(got)
	}
}
