package web

import (
	"bytes"
	"html"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	xhtml "golang.org/x/net/html"

	"concord"
	"concord/receipt"
)

// everyPage has one of each kind of page.
var everyPage = []page{&homePage{}, &searchPage{}, &archivePage{}, &noCopyPage{}, &receiptPage{}, &crawlPage{}, &signInPage{}, &whyPage{}, &explainPage{},
	&ledgerPage{}, &entryPage{}, &blockPage{}, &membersPage{}, &memberPage{}, &checkpointsPage{}, &creditsPage{}, &foundPage{}, &witnessListPage{}, &witnessPage{}, &statusPage{}, &clusterPage{}, &federationPage{}, &botPage{}, &verifyPage{}, &manualPage{Text: &manualText{}}, &apiPage{}, &errorPage{}}

const hostile = `"><script>alert(1)</script>'`

// fill sets every field it can reach to something, strings to a hostile one.
func fill(v reflect.Value, depth int) {
	if depth > 6 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		switch v.Type() {
		case reflect.TypeFor[template.HTML]():
			v.SetString("<p>ours</p>")
		default:
			v.SetString(hostile)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(2)
	case reflect.Uint64, reflect.Uint32, reflect.Uint8:
		v.SetUint(3)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), depth+1)
		fill(v.Index(1), depth+1)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		if v.Type().Elem().Kind() == reflect.String {
			v.SetMapIndex(reflect.ValueOf(hostile).Convert(v.Type().Key()), reflect.ValueOf(hostile))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(testNow))
			return
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(f, depth+1)
			}
		}
	}
}

// TestTemplatesFitTheirPages executes every template with everything set and with nothing set: each name it uses must be
// a field of its page, and whatever strangers wrote must come out escaped.
func TestTemplatesFitTheirPages(t *testing.T) {
	pages, err := parsePages()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, empty := range everyPage {
		name := empty.template()
		seen[name] = true
		full := reflect.New(reflect.TypeOf(empty).Elem())
		fill(full.Elem(), 0)
		fp := full.Interface().(page)
		*fp.head() = frame{Title: hostile, Query: hostile, BoxInTop: true, Operator: hostile, SignedIn: true, Token: hostile, Live: "/x", Refresh: 1, NoIndex: true}
		variants := []page{empty, fp}
		if r, ok := fp.(*receiptPage); ok { // the pending page hides the rest
			done := *r
			done.Pending = 0
			failed := done
			failed.Report = nil
			variants = append(variants, &done, &failed)
		}
		if s, ok := fp.(*searchPage); ok {
			results := *s
			results.Empty, results.Wrong = false, nil
			none := results
			none.Results, none.Total = nil, 0
			wrong := results
			wrong.Wrong = &wrongQuery{hostile, hostile, hostile, hostile}
			variants = append(variants, &results, &none, &wrong)
		}
		if f, ok := fp.(*foundPage); ok {
			found := *f
			found.Wrong = ""
			variants = append(variants, &found)
		}
		if c, ok := fp.(*clusterPage); ok {
			many := *c
			many.Alone = false
			variants = append(variants, &many)
		}
		for i, p := range variants {
			var b bytes.Buffer
			if err := pages[name].Execute(&b, p); err != nil {
				t.Errorf("%s, variant %d: %v", name, i, err)
			}
			if strings.Contains(b.String(), "<script>alert") {
				t.Errorf("%s, variant %d: lets a script through", name, i)
			}
			if strings.Contains(b.String(), "ZgotmplZ") {
				t.Errorf("%s, variant %d: a value was refused by its context", name, i)
			}
		}
	}
	files, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".html")
		if !seen[name] && name != "frame" && name != "parts" {
			t.Errorf("template %s has no page in this test", name)
		}
	}
	for _, name := range pageNames {
		if !seen[name] {
			t.Errorf("page %s is not tested", name)
		}
	}
}

// client talks to a server without a network.
type client struct {
	t      *testing.T
	h      http.Handler
	cookie *http.Cookie
	key    string
	addr   string
	accept string
	host   string
}

func newClient(t *testing.T, m *memory) *client {
	t.Helper()
	s, err := New(m.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &client{t: t, h: s.Handler(), addr: "127.0.0.1:50000", accept: "text/html", host: "127.0.0.1:7667"}
}

func (c *client) do(method, target, mime string, body io.Reader) *http.Response {
	c.t.Helper()
	r := httptest.NewRequest(method, "http://"+c.host+target, body)
	r.RemoteAddr = c.addr
	r.Header.Set("Accept", c.accept)
	if mime != "" {
		r.Header.Set("Content-Type", mime)
	}
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	if c.cookie != nil {
		r.AddCookie(c.cookie)
	}
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	return w.Result()
}

func (c *client) get(target string, want int) string {
	c.t.Helper()
	return c.want(c.do(http.MethodGet, target, "", nil), want)
}

func (c *client) want(r *http.Response, status int) string {
	c.t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if r.StatusCode != status {
		c.t.Fatalf("status %d, want %d: %s", r.StatusCode, status, concord.Clip(string(b), 600))
	}
	return string(b)
}

func (c *client) form(target string, v url.Values) *http.Response {
	c.t.Helper()
	return c.do(http.MethodPost, target, "application/x-www-form-urlencoded", strings.NewReader(v.Encode()))
}

func holds(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s: does not hold %q", what, p)
		}
	}
}

func lacks(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(text, p) {
			t.Errorf("%s: holds %q", what, p)
		}
	}
}

func TestHome(t *testing.T) {
	m := newLibrary()
	c := newClient(t, m)
	holds(t, "home", c.get("/", 200), "16 pages of 6 sites", "proven up to 6 minutes ago", "1 crawl running", "site:docs.example.org", `rel="search"`, "autofocus")
	m.warnings = []string{"The disk is nearly full: 2 GB are free. Make room; crawling has stopped."}
	holds(t, "warning", c.get("/", 200), "The disk is nearly full")
	empty := newClient(t, newMemory(testNow))
	holds(t, "empty home", empty.get("/", 200), "Nothing is in the index yet", "concord crawl https://example.org/")
}

func TestSearchPage(t *testing.T) {
	m := newLibrary()
	c := newClient(t, m)
	body := c.get("/search?q=receipt", 200)
	holds(t, "results", body, "1 to 10 of 12 pages", "<mark>receipt</mark>", `rel="next"`, "archived copy", "more from this site",
		html.EscapeString(receiptLink(m.pages["https://docs.example.org/"].hit.Capture, "https://docs.example.org/")), `lang="de"`, "PDF", ">22 Jul 2024</time>")
	lacks(t, "results", body, "shards answered")
	holds(t, "second page", c.get("/search?q=receipt&offset=10", 200), "11 to 12 of 12 pages", `rel="prev"`, `<ol class="results" start="11">`)
	holds(t, "past the end", c.get("/search?q=receipt&offset=500", 200), "There are no more results")
	holds(t, "hostile hit", c.get("/search?q=bait", 200), "&lt;script&gt;alert(&#34;title&#34;)&lt;/script&gt;", "&lt;img")
	holds(t, "noarchive", c.get("/search?q=noarchive", 200), "Members only")
	lacks(t, "noarchive", c.get("/search?q=noarchive", 200), "archived copy")
	holds(t, "suggestion", c.get("/search?q=recipt", 200), "Did you mean", "/search?q=receipt")
	holds(t, "no query", c.get("/search", 200), "How to ask")
	holds(t, "malformed", c.get("/search?q="+url.QueryEscape(`archive "first`), 422), `archive <em>&#34;first</em>`, "The quotation mark is never closed.")
	lacks(t, "failure", c.get("/search?q=explode", 500), "secret detail")
	m.answered = 7
	holds(t, "partial", c.get("/search?q=receipt", 200), "7 of 8 shards answered", "shard 7: no answer within 2 s")
}

func TestJavascriptNeverBecomesALink(t *testing.T) {
	m := newMemory(testNow)
	m.pages["javascript:alert(1)"] = &memoryPage{hit: concord.Hit{URL: "javascript:alert(1)", Title: "bad link", Capture: "x"}, text: "bad"}
	m.pages["data:text/html,x"] = &memoryPage{hit: concord.Hit{URL: "data:text/html,x", Title: "bad data", Capture: "y"}, text: "bad"}
	body := newClient(t, m).get("/search?q=bad", 200)
	holds(t, "results", body, "bad link", "bad data")
	lacks(t, "results", body, `href="javascript:`, `href="data:`, "ZgotmplZ")
	for _, u := range []string{"javascript:alert(1)", "JAVASCRIPT:x", "data:text/html,x", "//host", "", "http:", "http://", "ftp://h/", "java\nscript:x"} {
		if webLink(u) != "" {
			t.Errorf("webLink(%q) is a link", u)
		}
	}
	if webLink("https://example.org/?a=b") == "" {
		t.Error("an ordinary URL is no link")
	}
}

func TestArchive(t *testing.T) {
	m := newLibrary()
	c := newClient(t, m)
	const first = "https://docs.example.org/first-steps.html"
	p := m.pages[first]
	body := c.get(archiveLink(p.captures[0].ID, first), 200)
	holds(t, "copy page", body, "2 captures of this page", "text changed", `sandbox="allow-top-navigation-by-user-activation"`, "alice.example on", "noindex")
	r := c.do(http.MethodGet, lookupLink(first), "", nil)
	if r.StatusCode != http.StatusFound || r.Header.Get("Location") != archiveLink(p.captures[0].ID, first) {
		t.Errorf("lookup: %d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	holds(t, "lookup of nothing", c.get("/archive?url=nowhere.example", 404), "There is no copy of", "https://nowhere.example/")
	holds(t, "wrong capture", c.get(archiveLink("nope", first), 404), "Not here")
	const old = "https://docs.example.org/old"
	holds(t, "redirect", c.get(archiveLink(m.pages[old].captures[0].ID, old), 200), "The server answered with a redirect", "It led to")
	const paid = "https://news.example.net/paywalled"
	holds(t, "noarchive", c.get(archiveLink(m.pages[paid].captures[0].ID, paid), 200), "asks that no copy of it be shown")
	c.get(rawLink(m.pages[paid].captures[0].ID, paid), 403)
	c.get(contentLink(m.pages[paid].captures[0].ID, paid), 403)
	const pdf = "https://archive.example.com/papers/evidence.pdf"
	holds(t, "pdf", c.get(archiveLink(m.pages[pdf].captures[0].ID, pdf), 200), "You can download it", "Download as sent")
	r = c.do(http.MethodGet, contentLink(m.pages[pdf].captures[0].ID, pdf), "", nil)
	if r.Header.Get("Content-Type") != binaryType || !strings.HasPrefix(r.Header.Get("Content-Disposition"), `attachment; filename="archive.example.com-papers-evidence.pdf-2026`) {
		t.Errorf("download: %q %q", r.Header.Get("Content-Type"), r.Header.Get("Content-Disposition"))
	}
	if b := c.want(r, 200); concord.Sum([]byte(b)) != m.pages[pdf].captures[0].Raw {
		t.Error("the download differs from the capture's raw digest")
	}
	p.corrupt = true
	holds(t, "corrupt", c.get(archiveLink(p.captures[0].ID, first), 200), "do not match their checksum")
}

func TestStaticCopy(t *testing.T) {
	m := newLibrary()
	c := newClient(t, m)
	const evil = "https://evil.example/"
	r := c.do(http.MethodGet, rawLink(m.pages[evil].captures[0].ID, evil), "", nil)
	body := c.want(r, 200)
	lower := strings.ToLower(body)
	lacks(t, "copy", lower, "<script", "onload", "onclick", "onerror=\"", "javascript:", "<iframe", "<object", "<embed", "<form", "<input", "<svg", "<meta http", "<base",
		"<link", "srcdoc", "evil.example/x.css", "<template", "top.pwned=1\"", "image/svg")
	holds(t, "copy", body, "A page that attacks its reader.", `href="/archive?url=https%3A%2F%2Fevil.example%2Fdeep%2Fother.html" target="_top"`, `href="#place"`, "without scripts",
		`src="data:image/png;base64,iVBORw0KGgo="`, "broken picture", "The end.")
	csp := r.Header.Get("Content-Security-Policy")
	holds(t, "policy", csp, "sandbox", "default-src 'none'", "frame-ancestors 'self'")
	lacks(t, "policy", csp, "allow-scripts", "allow-same-origin")
	if len(r.Cookies()) > 0 || r.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Error("a copy sets cookies, or may be sniffed")
	}
	const plainURL = "https://notes.example.net/plain.txt"
	holds(t, "text", c.get(rawLink(m.pages[plainURL].captures[0].ID, plainURL), 200), "<pre>Notes on crawling", "indented &lt;b&gt;not markup")
	latin, err := staticCopy([]byte("<title>caf\xe9</title><p>caf\xe9"), "iso-8859-1", "https://example.org/")
	if err != nil {
		t.Fatal(err)
	}
	holds(t, "latin-1", string(latin), "<p>café</p>", "<title>café</title>")
}

func FuzzStaticCopy(f *testing.F) {
	f.Add([]byte(hostilePage), "utf-8")
	f.Add([]byte(articleOf("t", "en", "b")), "")
	f.Add([]byte("<style><!--</style><script>--></script><p style='x'>a<plaintext>b"), "windows-1252")
	f.Fuzz(func(t *testing.T, body []byte, label string) {
		out, err := staticCopy(body, label, "https://example.org/a/b")
		if err != nil {
			return
		}
		again, err := staticCopy(out, "utf-8", "https://example.org/a/b")
		if err != nil && concord.KindOf(err) != concord.Invalid {
			t.Fatal(err)
		}
		harmless(t, out)
		harmless(t, again)
	})
}

// harmless reads a copy as a browser does and fails unless it holds only what copies may hold.
func harmless(t *testing.T, doc []byte) {
	t.Helper()
	root, err := xhtml.Parse(bytes.NewReader(doc))
	if err != nil {
		return // too deep for a parser; a browser would cut it too
	}
	for n := range root.Descendants() {
		if n.Type != xhtml.ElementNode {
			continue
		}
		_, kept := keptElements[n.DataAtom]
		frame := n.Data == "html" || n.Data == "head" || n.Data == "title" || n.Data == "style" || n.Data == "meta"
		if !kept && !frame || n.Namespace != "" {
			t.Fatalf("the copy holds <%s>: %q", n.Data, doc)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "srcset" || a.Key == "http-equiv" ||
				a.Key == "href" && !strings.HasPrefix(a.Val, "#") && !strings.HasPrefix(a.Val, "/archive?url=") ||
				a.Key == "src" && !strings.HasPrefix(a.Val, "data:image/") {
				t.Fatalf("the copy holds %s=%q: %q", a.Key, a.Val, doc)
			}
		}
	}
}

func TestReceiptPage(t *testing.T) {
	m := newLibrary()
	c := newClient(t, m)
	const first = "https://docs.example.org/first-steps.html"
	id := m.pages[first].captures[0].ID
	holds(t, "receipt", c.get(receiptLink(id, first), 200), "What it proves", "What it does not prove", "alice.example", "The archived bytes match it.", "sha256:",
		"concord verify docs.example.org-first-steps.html-20261122T120220Z.tlog-proof --policy concord.policy")
	holds(t, "by URL", c.get("/receipt?url=docs.example.org/first-steps.html", 200), "What it proves")
	fresh := "https://docs.example.org/just-now.html"
	r := c.do(http.MethodGet, "/receipt?url="+url.QueryEscape(fresh), "", nil)
	holds(t, "pending", c.want(r, 503), "The receipt is on its way", "4 s", `http-equiv="refresh"`, "The operator’s signed word", "alice.example states that it fetched", "level=0")
	m.seal(testNow)
	lacks(t, "sealed", c.get("/receipt?url="+url.QueryEscape(fresh), 200), `http-equiv="refresh"`)
	c.get("/receipt", 422)
	c.get("/receipt?capture=nope", 404)
	p := m.pages[first]
	content := p.content[id]
	content.Raw = append(slices.Clone(content.Raw), '!')
	p.content[id] = content
	holds(t, "changed body", c.get(receiptLink(id, first), 200), "The archived bytes do not match the receipt")
	m.points[len(m.points)-1].Note = strings.Replace(m.points[len(m.points)-1].Note, "A", "B", 1)
	holds(t, "changed checkpoint", c.get(receiptLink(id, first), 200), "This receipt does not hold")
}

func TestReceiptFileVerifies(t *testing.T) {
	m := newLibrary()
	c := newClient(t, m)
	const first = "https://docs.example.org/first-steps.html"
	r := c.do(http.MethodGet, "/api/v1/receipts?url="+url.QueryEscape(first), "", nil)
	proof := c.want(r, 200)
	if got := r.Header.Get("Content-Disposition"); got != `attachment; filename="docs.example.org-first-steps.html-20261122T120220Z.tlog-proof"` {
		t.Errorf("file name: %s", got)
	}
	report, err := receipt.Verify([]byte(proof), []byte(c.get("/api/v1/policy", 200)), receipt.Options{URL: first})
	if err != nil {
		t.Fatal(err)
	}
	if report.Operator != testOperator {
		t.Errorf("operator %q", report.Operator)
	}
}

func TestSignInAndCrawl(t *testing.T) {
	m := newLibrary()
	c := newClient(t, m)
	holds(t, "stranger", c.get("/crawl", 200), "sign in with the node’s API key", "/home/alice/.local/share/concord/api-key", "back-off after 503", "refused by robots.txt line 3", "finished, searchable")
	c.want(c.form("/crawl", url.Values{"seeds": {"https://example.org/"}}), 401)
	c.want(c.form("/signin", url.Values{"key": {"wrong"}}), 401)
	r := c.form("/signin", url.Values{"key": {testKey}})
	c.want(r, 303)
	cookies := r.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("cookie: %+v", cookies)
	}
	c.cookie = cookies[0]
	body := c.get("/crawl", 200)
	token := between(body, `name="token" value="`, `"`)
	if token == "" {
		t.Fatal("no token in the form")
	}
	c.want(c.form("/crawl", url.Values{"seeds": {"https://example.org/"}}), 403)
	holds(t, "bad form", c.want(c.form("/crawl", url.Values{"token": {token}, "seeds": {"ftp://x"}, "depth": {"3"}}), 422), "ftp://x", `value="3"`, `role="alert"`)
	c.want(c.form("/crawl", url.Values{"token": {token}, "seeds": {"a.example\n\n https://b.example/x "}, "scope": {"site"}, "depth": {"2"}, "pages": {"50"}, "exclude": {"/tmp/"}, "private": {"yes"}}), 303)
	got := m.crawls[0].Spec
	want := concord.CrawlSpec{Seeds: []string{"https://a.example/", "https://b.example/x"}, Scope: concord.ScopeSite, Depth: 2, MaxPages: 50, Exclude: []string{"/tmp/"}, AllowPrivate: true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("spec %+v, want %+v", got, want)
	}
	c.want(c.form("/crawl/"+m.crawls[0].ID+"/stop", url.Values{"token": {token}}), 303)
	if !m.crawls[0].Done() {
		t.Error("the crawl still runs")
	}
	c.want(c.do(http.MethodPost, "/api/v1/crawls", "application/json", strings.NewReader(`{"seeds":["https://x.example/"]}`)), 401) // a cookie is no key
	c.want(c.form("/signout", url.Values{"token": {token}}), 303)
	c.want(c.form("/crawl", url.Values{"token": {token}, "seeds": {"https://example.org/"}}), 401)
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	c := newClient(t, newMemory(testNow))
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:7667/signin", strings.NewReader("key="+testKey))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://evil.example")
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("status %d", w.Code)
	}
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

func TestLedgerPages(t *testing.T) {
	m := newLibrary()
	for i := range 40 {
		m.append("block", "", "concord/block/v1\nheight "+number(i)+"\n", testNow)
	}
	m.checkpoint(testNow)
	c := newClient(t, m)
	holds(t, "ledger", c.get("/ledger", 200), "54", `href="/ledger/blocks/55"`, "Cosigned by 1 of 1", `href="/ledger?before=14"`, "net-1:9f2c41d07ab3", `data-live="/api/v1/ledger/events"`)
	holds(t, "older", c.get("/ledger?before=4", 200), "alice.example attests 2 captures", "a decision about members", `rel="prev"`)
	holds(t, "entry", c.get("/ledger/2", 200), "attests 2 captures", "concord/tx/v1 attest", "Leaf hash", "/api/v1/ledger/entries/2/proof", "Entry after")
	c.get("/ledger/54", 404)
	c.get("/ledger/x", 404)
	holds(t, "proof", c.get("/api/v1/ledger/entries/2/proof", 200), "c2sp.org/tlog-proof@v1\nindex 2\n")
	holds(t, "no ledger entries shown past the end", c.get("/ledger?before=9999", 200), `href="/ledger/53"`)
}

func TestOtherPages(t *testing.T) {
	m := newLibrary()
	c := newClient(t, m)
	holds(t, "why refused", c.get("/why?url=docs.example.org/private/x", 200), "It was not fetched: robots.txt line 3 disallows /private/ for concord.")
	holds(t, "why unknown", c.get("/why?url=nobody.example", 200), "Nobody has met this address here", "Have it crawled")
	holds(t, "why fetched", c.get("/why?url=https://docs.example.org/", 200), "It is in the index and can be found.")
	holds(t, "why wrong", c.get("/why?url=ftp://x/", 422), `role="alert"`)
	holds(t, "status", c.get("/status", 200), "182 MB", "Everything is in order", "3 hours")
	lacks(t, "status", c.get("/status", 200), "/home/alice")
	holds(t, "bot", c.get("/bot", 200), "User-agent: concord", "mailto:crawl@alice.example", "Concord/0.1.0 (&#43;https://alice.example/bot)")
	holds(t, "security.txt", c.get("/.well-known/security.txt", 200), "Contact: mailto:crawl@alice.example\nExpires: 2027-11-21T00:00:00Z\n")
	holds(t, "opensearch", c.get("/opensearch.xml", 200), "<ShortName>Concord</ShortName>", `template="http://127.0.0.1:7667/search?q={searchTerms}`, suggestType)
	holds(t, "suggest", c.get("/suggest?q=what", 200), `["what",["What is a receipt?"]]`)
	holds(t, "robots.txt", c.get("/robots.txt", 200), "Disallow: /search\n", "Sitemap: http://127.0.0.1:7667/sitemap.xml")
	holds(t, "sitemap", c.get("/sitemap.xml", 200), "<loc>http://127.0.0.1:7667/manual/</loc>")
	holds(t, "manual", c.get("/manual/", 200), `<h2 id="first-steps">`, `href="#first-steps"`, "<table>")
	c.get("/manual/nope", 404)
	holds(t, "api", c.get("/api", 200), "/api/v1/search", "openapi.json")
	holds(t, "icon", c.get("/favicon.svg", 200), "<svg")
	holds(t, "no such page", c.get("/nowhere", 404), "There is nothing at /nowhere.")
	c.get("/healthz", 200)
	c.get("/readyz", 200)
	m.notReady = concord.Errorf(concord.Unavailable, "the chain is catching up")
	holds(t, "not ready", c.get("/readyz", 503), "the chain is catching up")
	holds(t, "metrics", c.get("/metrics", 200), "concord_documents 16", `concord_http_requests_total{code="200",route="GET /bot"} 1`)
}

func TestManualFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"index.md": "# Start\n\nSee [queries](20-queries.md#words), [out](https://x.example/a.md).\n\n<script>alert(1)</script>\n",
		"20-queries.md": "# Queries\n\n## Words\n\n## Words\n", "10-first.md": "# First\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := loadManual(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	var links []string
	for _, p := range m.pages {
		links = append(links, p.Link)
	}
	if want := []string{"/manual/", "/manual/first", "/manual/queries"}; !slices.Equal(links, want) {
		t.Errorf("pages %v, want %v", links, want)
	}
	holds(t, "links", string(m.pages[0].Body), `href="/manual/queries#words"`, `href="https://x.example/a.md"`)
	lacks(t, "raw HTML", string(m.pages[0].Body), "<script")
	holds(t, "anchors", string(m.pages[2].Body), `id="words"`, `id="words-1"`)
	if _, err := loadManual(os.DirFS(t.TempDir())); err == nil {
		t.Error("a manual without pages is accepted")
	}
}
