//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	blog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"concord/e2e/loopweb"
)

// tab is one tab of a real browser, and what it had to complain about.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	requests   []string
}

// newTab starts Chromium, or skips the test where there is none.
func newTab(t *testing.T) *tab {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("SKIPPED: there is no chromium on this machine; the pages were not tried in a browser: install chromium and run this test again")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	ctx, cancelTimeout := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancelTimeout)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *tab) hear(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, ev.ExceptionDetails.Text)
	case *blog.EventEntryAdded:
		if strings.Contains(ev.Entry.Text, "Content Security Policy") {
			b.complaints = append(b.complaints, ev.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, ev.Request.URL)
	}
}

// quiet fails when a page threw an exception or broke its own policy.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		b.t.Errorf("the browser complains: %s", strings.Join(b.complaints, "; "))
	}
	b.complaints = nil
}

func (b *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// open goes to a page and waits for its content.
func (b *tab) open(url string) {
	b.t.Helper()
	b.do("open "+url, chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#main")))
}

func value[T any](b *tab, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return v
}

// text waits for an element and returns what it says.
func (b *tab) text(css string) string {
	b.t.Helper()
	b.do("wait for "+css, chromedp.WaitReady(chromedp.CSS(css)))
	for try := 0; ; try++ { // a live page may put another element in its place between the look and the reading
		text, err := chromedp.Run(b.ctx, chromedp.TextContent(chromedp.CSS(css)))
		if err == nil {
			return text
		}
		if try == 5 {
			b.t.Fatalf("%s: %v", css, err)
		}
	}
}

// click follows a link or presses a button that leads to another page.
func (b *tab) click(css string) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS(css))); err != nil {
		b.t.Fatalf("click %s: %v", css, err)
	}
}

func (b *tab) says(css string, want ...string) {
	b.t.Helper()
	got := b.text(css)
	for _, w := range want {
		if !strings.Contains(got, w) {
			b.t.Errorf("%s says %q, want %q in it", css, got, w)
		}
	}
}

func (b *tab) where() string { return value(b, "location", chromedp.Location()) }

// look is a way to look at a page.
type look struct {
	name          string
	width, height int64
	dark          bool
}

var looks = []look{{"light", 1280, 900, false}, {"dark", 1280, 900, true}, {"phone", 360, 740, false}, {"phone-dark", 360, 740, true}}

func (b *tab) put(l look) {
	b.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	_, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height,
		DeviceScaleFactor: 1, Mobile: l.width < 500})
	if err == nil {
		_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestBrowser goes through a real node with a real browser. $CONCORD_SHOTS names a directory for pictures of every page.
func TestBrowser(t *testing.T) {
	hosts := docs(t, "debian-handbook")
	hosts = append(hosts[:min(2, len(hosts))], loopweb.Odd()...)
	hosts = append(hosts, loopweb.Slow(loopweb.Generated("unhurried", 40), 40*time.Millisecond))
	web, err := loopweb.Start(73, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	n := newNode(t)
	n.start()
	b := newTab(t)
	b.open(n.addr + "/")
	b.says("main", "Nothing is in the index yet")
	b.shoot(n, "empty", "/")

	seeds := web.Seeds()
	n.await(n.crawl(seeds[:len(seeds)-1]), 3*time.Minute)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *tab, *node, *loopweb.Web)
	}{
		{"reader", readerTest}, {"download and verify", downloadTest}, {"live crawl", liveTest}, {"ledger", ledgerTest}, {"ledger live", ledgerLiveTest}, {"verify in the browser", verifyTest}, {"keyboard", keyboardTest},
		{"no scripts", noScriptTest}, {"hostile copy", hostileTest}, {"looks", looksTest},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.t = t
			b.put(looks[0])
			test.run(t, b, n, web)
			b.quiet()
		})
	}
}

// readerTest goes the way of a reader: query, archived copy, receipt, ledger entry.
func readerTest(t *testing.T, b *tab, n *node, _ *loopweb.Web) {
	b.open(n.addr + "/")
	b.do("type", chromedp.SendKeys(chromedp.CSS("#q"), "debian installer"))
	b.click(".box button")
	b.says(".results", "receipt", "archived copy")
	title := b.text(".results h2")
	b.click(`.results a[href^="/archive/"]`)
	b.says("h1", "Archived copy")
	src := value(b, "frame", chromedp.AttributeValue(chromedp.CSS("iframe.copy"), "src")).Value
	copied := b.where()
	b.do("the copy alone", chromedp.Navigate(n.addr+src), chromedp.WaitReady(chromedp.CSS("body")))
	if got := value(b, "title of the copy", chromedp.Title()); !strings.Contains(got, strings.TrimSpace(title)) {
		t.Errorf("the copy has the title %q, the result %q", got, title)
	}
	b.open(copied)
	b.click("a.proof")
	b.says(".slip", "e2e.example", "200")
	b.says(".receipt-words", "it holds")
	b.click(`.slip a[href^="/ledger/"]`)
	b.says("pre.note-text", "concord/tx/v1 attest")
}

// downloadTest fetches the receipt, body and policy that the receipt page offers, and verifies them with the program.
func downloadTest(t *testing.T, b *tab, n *node, _ *loopweb.Web) {
	b.open(n.addr + "/search?q=debian+installer")
	b.click(`.results a[href^="/receipt"]`)
	const linksHere = `Array.from(document.querySelectorAll("main a[href^='/api/v1/']"), a => a.href)`
	links := value(b, "links", chromedp.Evaluate[[]string](linksHere))
	b.click(`main .doors a[href^="/archive/"]`)
	links = append(links, value(b, "links", chromedp.Evaluate[[]string](linksHere))...)
	files := map[string]string{}
	for _, l := range links {
		name := ""
		switch {
		case strings.Contains(l, "/receipts"):
			name = "page.tlog-proof"
		case strings.Contains(l, "/content"):
			name = "body"
		case strings.Contains(l, "/policy"):
			name = "policy"
		default:
			continue
		}
		files[name] = filepath.Join(n.dir, name)
		download(t, l, files[name])
	}
	if files["page.tlog-proof"] == "" || files["policy"] == "" || files["body"] == "" {
		t.Fatalf("the receipt page offers %v, want receipt, policy and content", links)
	}
	n.kill() // none is needed
	defer n.start()
	out := n.must("verify", files["page.tlog-proof"], files["body"], "--policy", files["policy"])
	if strings.Count(out, "PROVEN  ") != 2 {
		t.Errorf("verify says %q", out)
	}
}

func download(t *testing.T, url, to string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, resp.Status, err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// liveTest signs in, starts a crawl on the page and sees its counts move without loading the page again.
func liveTest(t *testing.T, b *tab, n *node, web *loopweb.Web) {
	key, err := os.ReadFile(filepath.Join(n.data(), "api.key"))
	if err != nil {
		t.Fatal(err)
	}
	b.open(n.addr + "/signin")
	b.do("wrong key", chromedp.SendKeys(chromedp.CSS("#key"), "not the key"))
	b.click("main form button")
	if !strings.HasSuffix(b.where(), "/signin") {
		t.Fatalf("a wrong key leads to %s", b.where())
	}
	b.do("right key", chromedp.SendKeys(chromedp.CSS("#key"), strings.TrimSpace(string(key))))
	b.click("main form button")
	if b.where() != n.addr+"/crawl" {
		t.Fatalf("signed in, and now at %s", b.where())
	}
	seed := web.Hosts[len(web.Hosts)-1].URL("/")
	fill := func() {
		b.do("open the form", chromedp.Evaluate[chromedp.Void](`document.querySelector(".adder").open = true`),
			chromedp.SetValue(chromedp.CSS("#seeds"), seed))
	}
	fill()
	b.click(".adder form > p > button")
	b.says("#form-error", "private address")
	fill()
	b.do("allow", chromedp.Evaluate[chromedp.Void](`document.querySelector("details.more").open = true; document.querySelector("#private").checked = true`))
	b.click(".adder form > p > button")
	b.do("mark", chromedp.Evaluate[chromedp.Void](`window.mark = "same page"`))
	first := `#crawls li:first-child`
	b.says(first, seed)
	fetched := func() int {
		s := value(b, "fetched", chromedp.Evaluate[string](`document.querySelector("`+first+` .figures dd").textContent`))
		k, _ := strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(s), ",", ""))
		return k
	}
	steps := map[int]bool{}
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		steps[fetched()] = true
		if strings.Contains(b.text(first+" .state"), "searchable") {
			break
		}
	}
	if len(steps) < 3 || fetched() != 40 {
		t.Errorf("the page showed %v pages fetched, want several counts and 40 in the end", steps)
	}
	b.says(first+" .state", "finished, searchable")
	if value(b, "mark", chromedp.Evaluate[string](`String(window.mark)`)) != "same page" {
		t.Error("the page was loaded again")
	}
	b.click("footer button") // sign out
	b.open(n.addr + "/crawl")
	b.says("main", "sign in")
}

func ledgerTest(t *testing.T, b *tab, n *node, _ *loopweb.Web) {
	b.open(n.addr + "/ledger")
	b.says("main", "Newest checkpoint", "e2e.example attests")
	b.click(`.blocks a.what`)
	b.says("main", "In its own text", "Leaf hash", "Download the inclusion proof")
	b.open(n.addr + "/ledger/0")
	b.says("pre.note-text", "concord/")
	b.open(n.addr + "/ledger/99999999")
	b.says("main", "Entry 99999999: the log has")
	for path, want := range map[string]string{"/ledger/members": "Key: cosign", "/ledger/members/e2e.example": "e2e.example attests", "/ledger/checkpoints": "cosigned by 1", "/ledger/credits": "Sum",
		"/ledger/blocks/0": "between", "/ledger/search?q=e2e.example": "e2e.example is admitted", "/ledger/search?q=gov": "gets voting power", "/ledger/search?q=99999999": "the log has"} {
		b.open(n.addr + path)
		b.says("main", want)
	}
}

// ledgerLiveTest has documents crawled while the ledger is open: their block appears on the page without loading it again.
func ledgerLiveTest(t *testing.T, b *tab, n *node, web *loopweb.Web) {
	b.open(n.addr + "/ledger")
	b.do("mark", chromedp.Evaluate[chromedp.Void](`window.mark = "same page"`))
	const newest = `Number(document.querySelector(".blocks li a.n").textContent.replaceAll(",", ""))`
	before := value(b, "newest", chromedp.Evaluate[int](newest))
	n.crawl([]string{web.Hosts[len(web.Hosts)-1].URL("/")})
	for deadline := time.Now().Add(40 * time.Second); value(b, "newest", chromedp.Evaluate[int](newest)) <= before; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no entry above %d appeared", before)
		}
	}
	if value(b, "mark", chromedp.Evaluate[string](`String(window.mark)`)) != "same page" {
		t.Error("the page was loaded again")
	}
}

// verifyTest has the browser check a real receipt, which it finds proven, and the same with a byte changed in each of its lines and in
// every part of what lies in its second line, which it refuses; nothing of it leaves the page.
func verifyTest(t *testing.T, b *tab, n *node, web *loopweb.Web) {
	doc := web.Hosts[0].URL(web.Hosts[0].Start)
	proof, policy, bad := filepath.Join(n.dir, "browser.tlog-proof"), filepath.Join(n.dir, "browser.policy"), filepath.Join(n.dir, "changed.tlog-proof")
	n.must("receipt", doc, "--out", proof)
	download(t, n.addr+"/api/v1/policy", policy)
	good, err := os.ReadFile(proof)
	if err != nil {
		t.Fatal(err)
	}
	check := func(file string) (verdict, says string) {
		b.open(n.addr + "/verify")
		b.mu.Lock()
		b.requests = nil
		b.mu.Unlock()
		b.do("choose", chromedp.SetUploadFiles(chromedp.CSS("#receipt"), []string{file}), chromedp.SetUploadFiles(chromedp.CSS("#policy"), []string{policy}),
			chromedp.Click(chromedp.CSS("[data-verify] button")), chromedp.WaitVisible(chromedp.CSS("[data-verdict]")))
		b.mu.Lock()
		if len(b.requests) > 0 {
			t.Errorf("while it checked, the page asked for %v", b.requests)
		}
		b.mu.Unlock()
		return value(b, "verdict", chromedp.Evaluate[string](`document.querySelector("[data-verdict]").dataset.verdict`)), b.text("[data-verdict]")
	}
	if got, says := check(proof); got != "proven" || !strings.Contains(says, doc) || !strings.Contains(says, "Level 1: cosigned by 1 of 1") || !strings.Contains(says, "That what the page says is true.") {
		t.Errorf("a good receipt is %s: %s", got, says)
	}
	places := []int{3} // one in every line, and all along the second, which is the longest
	for i := range good {
		if i > 0 && good[i-1] == '\n' && i+7 < len(good) {
			places = append(places, i+7)
		}
	}
	extra := strings.Index(string(good), "extra ")
	for i := extra + 6; i < extra+strings.Index(string(good[extra:]), "\n"); i += 90 {
		places = append(places, i)
	}
	for _, i := range places {
		changed := append([]byte{}, good...)
		changed[i] ^= 1
		if err := os.WriteFile(bad, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, says := check(bad); got != "not proven" {
			t.Errorf("with byte %d of %d changed it is %s: %s", i, len(good), got, says)
		}
	}
	b.open(n.addr + "/ledger/2")
	b.do("check the entry", chromedp.Click(chromedp.CSS("[data-verify] button")), chromedp.WaitVisible(chromedp.CSS("[data-verdict]")))
	b.says("[data-verdict]", "Proven, by your browser", "This text is entry 2 of the log")
}

// keyboardTest searches and opens a result without a mouse.
func keyboardTest(t *testing.T, b *tab, n *node, _ *loopweb.Web) {
	b.open(n.addr + "/")
	if got := value(b, "focus", chromedp.Evaluate[string](`document.activeElement.id`)); got != "q" {
		t.Errorf("the focus is on %q, not in the search box", got)
	}
	if _, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent("apt"+kb.Enter)); err != nil {
		t.Fatal(err)
	}
	b.text(".results")
	want := value(b, "first result", chromedp.Evaluate[string](`document.querySelector(".results h2 a").href`))
	reached := false
	for range 30 {
		b.do("tab", chromedp.KeyEvent(kb.Tab))
		at := value(b, "focus", chromedp.Evaluate[string](`document.activeElement.href || ""`))
		if visible := value(b, "outline", chromedp.Evaluate[bool](`document.activeElement.matches(":focus-visible")`)); !visible {
			t.Errorf("the focus on %s cannot be seen", at)
		}
		if at == want {
			reached = true
			break
		}
	}
	if !reached {
		t.Error("thirty tabs do not reach the first result")
	}
	b.do("back to the box", chromedp.KeyEvent("/"))
	if got := value(b, "focus", chromedp.Evaluate[string](`document.activeElement.id`)); got != "q" {
		t.Errorf("the slash key leads to %q", got)
	}
}

// noScriptTest does everything a reader does with scripts turned off.
func noScriptTest(t *testing.T, b *tab, n *node, _ *loopweb.Web) {
	scripts := func(off bool) {
		if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: off}); err != nil {
			t.Fatal(err)
		}
	}
	scripts(true)
	defer scripts(false)
	b.open(n.addr + "/")
	b.do("type", chromedp.SendKeys(chromedp.CSS("#q"), "debian installer"))
	b.click(".box button")
	b.click(`.results a[href^="/receipt"]`)
	b.says(".receipt-words", "it holds")
	// Late retries of hosts that were resting may be on their way into the index.
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		b.open(n.addr + "/crawl")
		if strings.Contains(b.text("#crawls"), "finished, searchable") {
			break
		}
	}
	b.says("#crawls", "finished, searchable")
	b.open(n.addr + "/why?url=" + "http://127.0.0.1:1/nowhere")
	b.says("main", "http://127.0.0.1:1/nowhere")
}

// hostileTest opens the archived copy of a page that attacks whoever reads it.
func hostileTest(t *testing.T, b *tab, n *node, web *loopweb.Web) {
	var evil string
	for _, h := range web.Hosts {
		if h.Name == "hostile" {
			evil = h.URL("/script")
		}
	}
	b.open(n.addr + "/search?q=hostile+script+page")
	if alerts := value(b, "markup", chromedp.Evaluate[int](`document.querySelectorAll(".results script, .results img").length`)); alerts != 0 {
		t.Error("the hostile title became markup in the results")
	}
	c := n.captures(evil)
	if len(c) == 0 {
		t.Fatalf("no capture of %s", evil)
	}
	b.mu.Lock()
	b.requests = nil
	b.mu.Unlock()
	b.open(n.addr + "/archive?url=" + evil)
	// A dialog would stop the page: that it still answers says that none was opened.
	src := value(b, "frame", chromedp.AttributeValue(chromedp.CSS("iframe.copy"), "src")).Value
	if box := value(b, "sandbox", chromedp.Evaluate[string](`document.querySelector("iframe.copy").getAttribute("sandbox") ?? "none"`)); strings.Contains(box, "allow-scripts") || box == "none" {
		t.Errorf("the copy's frame has the sandbox %q", box)
	}
	b.do("alone", chromedp.Navigate(n.addr+src), chromedp.WaitReady(chromedp.CSS("body")))
	if marks := value(b, "left over", chromedp.Evaluate[int](`document.querySelectorAll("script, [onload], [onerror], a[href^='javascript:']").length`)); marks != 0 {
		t.Errorf("the copy still has %d scripts or handlers", marks)
	}
	if origin := value(b, "origin", chromedp.Evaluate[string](`window.origin`)); origin != "null" {
		t.Errorf("opened by itself, the copy has the origin %s", origin)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		if !strings.HasPrefix(r, n.addr) && !strings.HasPrefix(r, "data:") && r != "about:blank" {
			t.Errorf("the copy loaded %s", r)
		}
	}
	if len(b.requests) < 3 {
		t.Errorf("only %d requests were seen: the test sees nothing", len(b.requests))
	}
	b.complaints = nil // its own policy stopping the copy is what the policy is for
}

// looksTest draws every page in every look: none may scroll sideways.
func looksTest(t *testing.T, b *tab, n *node, web *loopweb.Web) {
	doc := web.Hosts[0].URL(web.Hosts[0].Start)
	var forbidden string
	for _, h := range web.Hosts {
		if h.Name == "forbidding" {
			forbidden = h.URL(h.Forbidden[0])
		}
	}
	var answer struct{ Results []result }
	b1, _, err := n.get("/api/v1/search", map[string][]string{"q": {"debian"}})
	if err != nil || json.Unmarshal(b1, &answer) != nil || len(answer.Results) == 0 {
		t.Fatalf("search: %v: %s", err, b1)
	}
	for _, p := range [][2]string{
		{"home", "/"}, {"search", "/search?q=debian+installer"}, {"search-second", "/search?q=debian&offset=10"}, {"search-none", "/search?q=instalation"},
		{"search-wrong", `/search?q=archive+"first+steps`}, {"archive", "/archive?url=" + doc}, {"receipt", "/receipt?url=" + doc}, {"crawl", "/crawl"},
		{"why", "/why?url=" + forbidden}, {"why-known", "/why?url=" + doc}, {"ledger", "/ledger"}, {"entry", "/ledger/2"}, {"ledger-members", "/ledger/members"}, {"ledger-member", "/ledger/members/e2e.example"},
		{"ledger-checkpoints", "/ledger/checkpoints"}, {"ledger-credits", "/ledger/credits"}, {"ledger-found", "/ledger/search?q=e2e.example"}, {"ledger-capture", "/ledger/search?q=" + doc}, {"ledger-block", "/ledger/blocks/0"}, {"status", "/status"},
		{"bot", "/bot"}, {"manual", "/manual/"}, {"api", "/api"}, {"signin", "/signin"}, {"error", "/nowhere"}, {"nocopy", "/archive?url=http://127.9.9.9/"},
	} {
		b.shoot(n, p[0], p[1])
	}
}

// shoot looks at a page in every way, and keeps pictures when it was told where.
func (b *tab) shoot(n *node, name, path string) {
	b.t.Helper()
	dir := os.Getenv("CONCORD_SHOTS")
	b.put(looks[0])
	b.open(n.addr + path)
	if value(b, name, chromedp.Evaluate[int](`document.querySelectorAll("iframe").length`)) > 0 {
		b.do(name, chromedp.Sleep(500*time.Millisecond)) // the copy's origin is opaque: its loading cannot be asked for
	}
	for _, l := range looks {
		b.put(l)
		if wide := value(b, name, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); wide > l.width {
			b.t.Errorf("%s (%s): %d px wide in a window of %d", name, l.name, wide, l.width)
		}
		if dir == "" {
			continue
		}
		png := value(b, name, chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(dir, name+"-"+l.name+".png"), png, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}
