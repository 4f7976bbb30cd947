package web

import (
	"context"
	"flag"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

	"concord"
)

var shots = flag.String("shots", "", "directory for the screenshots of the browser tests; empty: a temporary one")

// browser starts Chromium, or skips the test where there is none.
func browser(t *testing.T) context.Context {
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
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	ctx, cancelTimeout := context.WithTimeout(ctx, 90*time.Second)
	t.Cleanup(cancelTimeout)
	return ctx
}

// serve starts a server for m and returns its address.
func serve(t *testing.T, m *memory) (*Server, string) {
	t.Helper()
	cfg := m.config()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(func() { s.Close(); srv.Close() })
	return s, srv.URL
}

func do(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func get[T any](t *testing.T, ctx context.Context, what string, action chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return v
}

// complaints collects what the browser has against the pages: exceptions, and breaches of their policy.
type complaints struct {
	mu   sync.Mutex
	list []string
}

func listen(t *testing.T, ctx context.Context) *complaints {
	t.Helper()
	c := &complaints{}
	err := chromedp.Listen(ctx, func(ev any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			c.list = append(c.list, ev.ExceptionDetails.Text)
		case *blog.EventEntryAdded:
			if strings.Contains(ev.Entry.Text, "Content Security Policy") {
				c.list = append(c.list, ev.Entry.Text)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *complaints) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) > 0 {
		t.Errorf("the browser complains: %s", strings.Join(c.list, "; "))
	}
}

// look is a way to look at a page.
type look struct {
	name          string
	width, height int64
	dark          bool
}

var looks = []look{{"light", 1280, 900, false}, {"dark", 1280, 900, true}, {"phone", 360, 740, false}, {"phone-dark", 360, 740, true}}

// put makes the browser look so.
func (l look) put(t *testing.T, ctx context.Context) {
	t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height,
		DeviceScaleFactor: 1, Mobile: l.width < 500}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}); err != nil {
		t.Fatal(err)
	}
}

// TestBrowser tries the pages in a real browser, all in one.
func TestBrowser(t *testing.T) {
	ctx := browser(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, context.Context)
	}{
		{"screens", testScreens}, {"reader", testReader}, {"no scripts", testNoScripts}, {"hostile copy", testHostileCopy}, {"keyboard", testKeyboard},
		{"sign in and crawl", testSignIn}, {"live crawl page", testLive}, {"live cluster page", testLiveCluster}, {"receipt arrives", testReceiptArrives}, {"verify", testVerify}, {"verify pages", testVerifyPages}, {"verify changed bytes", testVerifyFlips}, {"live ledger page", testLiveLedger}, {"ask for witnesses", testAskWitnesses},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, ctx) })
	}
}

// testScreens draws every page in every look: none may scroll sideways, throw, or break its own policy.
func testScreens(t *testing.T, ctx context.Context) {
	m := newLibrary()
	ask := m.explored(testNow)["ask"]
	_, base := serve(t, m)
	_, empty := serve(t, newMemory(testNow))
	many := newClusterLibrary()
	_, cluster := serve(t, many)
	growing := newClusterLibrary()
	growing.cluster.status = ClusterStatus{State: ClusterGrowing, Self: "node-1", Hears: true, Nodes: many.cluster.status.Nodes[:3], Growing: &ClusterGrowth{Stage: GrowCopy, Stream: "captures",
		Done: 12_000_000, Total: 40_000_000, PartitionsSaved: 5, Partitions: 9, ArchiveCopied: 60_000_000, ArchiveTotal: 214_000_000}}
	_, grows := serve(t, growing)
	single := newClusterLibrary()
	single.cluster.status = ClusterStatus{State: ClusterAlone, Self: "node-1", Hears: true}
	_, alone := serve(t, single)
	shared := newMemoryFederation(newLibrary())
	several := httptest.NewServer(nil)
	t.Cleanup(several.Close)
	several.Config.Handler = shared.client(t).h
	dir := *shots
	if dir == "" {
		dir = t.TempDir()
	}
	first := m.pages["https://docs.example.org/first-steps.html"].captures[0]
	fresh := m.pages["https://docs.example.org/just-now.html"].captures[0]
	entry := m.Size() - 1
	paths := []struct{ name, url string }{
		{"home", base + "/"}, {"home-empty", empty + "/"}, {"search", base + "/search?q=receipt"}, {"search-none", base + "/search?q=recipts"},
		{"search-wrong", base + `/search?q=archive+"first+steps`}, {"archive", base + archiveLink(first.ID, first.URL)}, {"receipt", base + receiptLink(first.ID, first.URL)},
		{"receipt-pending", base + receiptLink(fresh.ID, fresh.URL)}, {"crawl", base + "/crawl"}, {"why", base + "/why?url=https://docs.example.org/private/x"},
		{"explain", base + explainLink("receipt proof zebra", first.URL)}, {"ledger", base + "/ledger"}, {"entry", base + entryLink(entry)}, {"entry-ask", base + entryLink(ask)},
		{"ledger-block", base + "/ledger/blocks/4"}, {"ledger-members", base + "/ledger/members"}, {"ledger-member", base + "/ledger/members/alice.example"}, {"ledger-checkpoints", base + "/ledger/checkpoints"},
		{"ledger-credits", base + "/ledger/credits"}, {"ledger-found", base + foundLink("https://docs.example.org/first-steps.html", newest)}, {"ledger-wrong", base + "/ledger/search?q=@"},
		{"witnesses", base + "/witness"}, {"witness", base + "/witness/7"}, {"status", base + "/status"}, {"bot", base + "/bot"}, {"verify", base + "/verify"}, {"manual", base + "/manual/"},
		{"api", base + "/api"}, {"ask", base + "/search"}, {"signin", base + "/signin"}, {"error", base + "/nowhere"}, {"nocopy", base + "/archive?url=nowhere.example"},
		{"cluster", cluster + "/cluster"}, {"cluster-status", cluster + "/status"}, {"cluster-growing", grows + "/cluster"}, {"cluster-alone", alone + "/cluster"},
		{"federation", several.URL + "/federation"}, {"search-operators", several.URL + "/search?q=receipt"},
	}
	heard := listen(t, ctx)
	for _, p := range paths {
		do(t, ctx, p.name, chromedp.Navigate(p.url), chromedp.WaitVisible(chromedp.CSS("#main")))
		for _, l := range looks {
			what := p.name + "-" + l.name
			l.put(t, ctx)
			if wide := get(t, ctx, what, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); wide > l.width {
				t.Errorf("%s: %d px wide in a window of %d", what, wide, l.width)
			}
			if *shots == "" && what != "receipt-light" && what != "search-dark" && what != "search-phone" {
				continue
			}
			png := get(t, ctx, what, chromedp.FullScreenshot(100))
			if err := os.WriteFile(filepath.Join(dir, what+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	heard.check(t)
}

// see waits until an element is there, and returns its text.
func see(t *testing.T, ctx context.Context, what, css string) string {
	t.Helper()
	do(t, ctx, what, chromedp.WaitReady(chromedp.CSS(css)))
	return get(t, ctx, what, chromedp.TextContent(chromedp.CSS(css)))
}

// click follows a link or presses a button, and waits for the next page.
func click(t *testing.T, ctx context.Context, what, css string) {
	t.Helper()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(css))); err != nil {
		t.Fatalf("%s: click %s: %v", what, css, err)
	}
}

func where(t *testing.T, ctx context.Context) string {
	t.Helper()
	return get(t, ctx, "location", chromedp.Location())
}

// testReader goes the way of a reader: query, result, archived copy, another archived copy, receipt, ledger.
func testReader(t *testing.T, ctx context.Context) {
	looks[0].put(t, ctx)
	_, base := serve(t, newLibrary())
	heard := listen(t, ctx)
	do(t, ctx, "home", chromedp.Navigate(base+"/"), chromedp.WaitVisible(chromedp.CSS("#q")))
	if got := get(t, ctx, "focus", chromedp.Evaluate[string](`document.activeElement.id`)); got != "q" {
		t.Errorf("the focus is on %q, not in the search box", got)
	}
	do(t, ctx, "type", chromedp.SendKeys(chromedp.CSS("#q"), "politely"))
	click(t, ctx, "search", ".box button")
	if got := see(t, ctx, "result", ".results h2"); got != "First steps" {
		t.Fatalf("first result %q", got)
	}
	click(t, ctx, "archived copy", `.results a[href^="/archive/"]`)
	if got := see(t, ctx, "copy", "h1"); got != "Archived copy" {
		t.Fatalf("heading %q", got)
	}
	src := get(t, ctx, "frame", chromedp.AttributeValue(chromedp.CSS("iframe.copy"), "src")).Value
	do(t, ctx, "inside the copy", chromedp.Navigate(base+src), chromedp.WaitReady(chromedp.CSS("main")))
	copyText := get(t, ctx, "inside the copy", chromedp.TextContent(chromedp.CSS("body")))
	holds(t, "inside the copy", copyText, "First steps: install the program")
	if got := get(t, ctx, "title", chromedp.Title()); got != "First steps" {
		t.Errorf("a script of the copy changed its title to %q", got)
	}
	click(t, ctx, "link inside the copy", `a[href^="/archive?url=https%3A%2F%2Fjournal"]`)
	holds(t, "other copy", see(t, ctx, "other copy", ".copybar .address"), "https://journal.example.net/2026/transparency-logs?issue=4&page=12")
	click(t, ctx, "receipt", "a.proof")
	holds(t, "receipt", see(t, ctx, "receipt", ".slip"), "alice.example", "200 OK")
	holds(t, "receipt", see(t, ctx, "receipt", ".receipt-words"), "it holds", "The archived bytes match it.")
	click(t, ctx, "ledger entry", `.slip a[href^="/ledger/"]`)
	holds(t, "ledger entry", see(t, ctx, "entry", "pre.note-text"), "concord/tx/v1 attest")
	click(t, ctx, "ledger", `nav.menu a[href="/ledger"]`)
	holds(t, "ledger", see(t, ctx, "ledger", "main"), "Newest checkpoint")
	heard.check(t)
}

// testNoScripts searches with scripts turned off.
func testNoScripts(t *testing.T, ctx context.Context) {
	_, base := serve(t, newLibrary())
	scripts := func(off bool) {
		if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: off}); err != nil {
			t.Fatal(err)
		}
	}
	scripts(true)
	defer scripts(false)
	do(t, ctx, "home", chromedp.Navigate(base+"/"), chromedp.SendKeys(chromedp.CSS("#q"), "politely"))
	click(t, ctx, "search", ".box button")
	if got := see(t, ctx, "result", ".results h2"); got != "First steps" {
		t.Errorf("first result %q", got)
	}
}

// testHostileCopy opens the copy of a page that attacks: nothing of it may run, load or lead away.
func testHostileCopy(t *testing.T, ctx context.Context) {
	m := newLibrary()
	_, base := serve(t, m)
	const evil = "https://evil.example/"
	id := m.pages[evil].captures[0].ID
	var mu sync.Mutex
	requests := map[network.RequestID]string{}
	blocked := 0
	listening, stop := context.WithCancel(ctx)
	defer stop()
	err := chromedp.Listen(listening, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch ev := ev.(type) {
		case *network.EventRequestWillBeSent:
			requests[ev.RequestID] = ev.Request.URL
		case *network.EventLoadingFailed:
			if ev.BlockedReason == network.BlockedReasonCsp { // announced, but never sent
				delete(requests, ev.RequestID)
				blocked++
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx, "around", chromedp.Navigate(base+archiveLink(id, evil)), chromedp.WaitReady(chromedp.CSS("iframe.copy")), chromedp.Sleep(300*time.Millisecond))
	if got := get(t, ctx, "pwned", chromedp.Evaluate[string](`String(window.pwned) + document.cookie`)); got != "undefined" {
		t.Errorf("the copy ran a script: %s", got)
	}
	if got := where(t, ctx); got != base+archiveLink(id, evil) {
		t.Errorf("the copy led away to %s", got)
	}
	do(t, ctx, "alone", chromedp.Navigate(base+rawLink(id, evil)), chromedp.WaitReady(chromedp.CSS("#place")))
	if got := get(t, ctx, "origin", chromedp.Evaluate[string](`String(window.pwned) + window.origin`)); got != "undefinednull" {
		t.Errorf("opened by itself, the copy has pwned and origin %s", got)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, r := range requests {
		if !strings.HasPrefix(r, base) && !strings.HasPrefix(r, "data:") {
			t.Errorf("the copy loaded %s", r)
		}
	}
	if len(requests) < 3 || blocked == 0 {
		t.Errorf("%d requests and %d blocked ones were seen: the test sees nothing", len(requests), blocked)
	}
}

// testKeyboard reaches the content and the search box without a mouse.
func testKeyboard(t *testing.T, ctx context.Context) {
	_, base := serve(t, newLibrary())
	active := chromedp.Evaluate[string](`document.activeElement.className + "#" + document.activeElement.id`)
	do(t, ctx, "ledger", chromedp.Navigate(base+"/ledger"), chromedp.KeyEvent(kb.Tab))
	if got := get(t, ctx, "first stop", active); got != "skip#" {
		t.Errorf("the first stop is %q, not the skip link", got)
	}
	do(t, ctx, "skip", chromedp.KeyEvent(kb.Enter))
	if got := get(t, ctx, "skipped", active); got != "#main" {
		t.Errorf("the skip link leads to %q", got)
	}
	do(t, ctx, "slash", chromedp.KeyEvent("/"))
	if got := get(t, ctx, "slash", active); got != "#q" {
		t.Errorf("the slash key leads to %q", got)
	}
}

// testAskWitnesses asks for witnesses by keyboard, without scripts.
func testAskWitnesses(t *testing.T, ctx context.Context) {
	m := newLibrary()
	for _, name := range []string{"bob.example", "carol.example", "dave.example"} {
		m.others = append(m.others, OperatorInfo{Name: name, State: "active"})
	}
	_, base := serve(t, m)
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{}); err != nil {
			t.Error(err)
		}
	}()
	key := func(keys string) {
		t.Helper()
		do(t, ctx, "key", chromedp.KeyEvent(keys))
	}
	enter := func() {
		t.Helper()
		if _, err := chromedp.RunResponse(ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
			t.Fatal(err)
		}
	}
	reach := func(id string) {
		t.Helper()
		for range 20 {
			if get(t, ctx, "focus", chromedp.Evaluate[string](`document.activeElement.id || document.activeElement.textContent`)) == id {
				return
			}
			key(kb.Tab)
		}
		t.Fatalf("Tab does not lead to %q", id)
	}
	picture := func(name string) {
		for _, l := range looks {
			l.put(t, ctx)
			if wide := get(t, ctx, name, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); wide > l.width {
				t.Errorf("%s: %d px wide in a window of %d", name, wide, l.width)
			}
			if *shots != "" {
				png := get(t, ctx, name, chromedp.FullScreenshot(100))
				if err := os.WriteFile(filepath.Join(*shots, name+"-"+l.name+".png"), png, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	do(t, ctx, "page", chromedp.Navigate(base+"/witness"), chromedp.WaitVisible(chromedp.CSS("#main")))
	reach("sign in with the node’s API key")
	enter()
	do(t, ctx, "sign in", chromedp.SendKeys(chromedp.CSS("#key"), testKey))
	enter()
	if got := where(t, ctx); got != base+"/witness" {
		t.Fatalf("signed in, and now at %s", got)
	}
	picture("witness-form")
	reach("url")
	key("new.example/page")
	reach("of")
	key("9")
	enter()
	holds(t, "a panel too large", see(t, ctx, "error", "#form-error"), "the ledger has 3 other operators who can be on it")
	picture("witness-error")
	do(t, ctx, "smaller", chromedp.SetValue(chromedp.CSS("#of"), "3"))
	reach("pay")
	key("2")
	reach("Ask")
	enter()
	if got := where(t, ctx); got != base+"/witness/20" {
		t.Fatalf("asked, and now at %s", got)
	}
	holds(t, "asked", see(t, ctx, "asked", "main"), "https://new.example/page", "It is still open", "2 credits for each report; 12 of alice.example are held")
	picture("witness-asked")
}

func testSignIn(t *testing.T, ctx context.Context) {
	m := newLibrary()
	_, base := serve(t, m)
	heard := listen(t, ctx)
	do(t, ctx, "sign in", chromedp.Navigate(base+"/signin"), chromedp.SendKeys(chromedp.CSS("#key"), testKey))
	click(t, ctx, "sign in", "main form button")
	if got := where(t, ctx); got != base+"/crawl" {
		t.Fatalf("signed in, and now at %s", got)
	}
	do(t, ctx, "open the form", chromedp.Click(chromedp.CSS(".adder > summary")), chromedp.SendKeys(chromedp.CSS("#seeds"), "https://new.example/start"))
	if *shots != "" {
		png := get(t, ctx, "screen", chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(*shots, "crawl-signed-in.png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	click(t, ctx, "start", ".adder form > p > button")
	holds(t, "crawls", see(t, ctx, "crawls", "#crawls"), "https://new.example/start")
	if len(m.crawls) != 3 || m.crawls[0].Spec.Seeds[0] != "https://new.example/start" {
		t.Errorf("crawls: %+v", m.crawls)
	}
	click(t, ctx, "sign out", "footer button")
	if cookies := get(t, ctx, "cookies", chromedp.Evaluate[string](`document.cookie`)); cookies != "" {
		t.Errorf("a script can read the cookies: %q", cookies)
	}
	heard.check(t)
}

// testLive expects the crawl page to show what happens without being loaded again.
func testLive(t *testing.T, ctx context.Context) {
	m := newLibrary()
	_, base := serve(t, m)
	do(t, ctx, "crawl page", chromedp.Navigate(base+"/crawl"), chromedp.WaitVisible(chromedp.CSS("#events")))
	get(t, ctx, "mark", chromedp.Evaluate[string](`window.mark = "same page"`))
	for i := 0; m.watching() == 0 && i < 100; i++ {
		time.Sleep(20 * time.Millisecond)
	}
	m.emit(concord.CrawlEvent{Time: testNow, URL: "https://live.example/now", Status: 200, Note: "indexed"})
	do(t, ctx, "event", chromedp.WaitReady(chromedp.CSS(`#events a[href*="live.example"]`)))
	if got := get(t, ctx, "mark", chromedp.Evaluate[string](`window.mark`)); got != "same page" {
		t.Error("the page was loaded again")
	}
}

// testLiveCluster goes from the status page to the cluster page by keyboard, and expects that to follow the cluster without being
// loaded again.
func testLiveCluster(t *testing.T, ctx context.Context) {
	looks[0].put(t, ctx)
	m := newClusterLibrary()
	_, base := serve(t, m)
	heard := listen(t, ctx)
	do(t, ctx, "status page", chromedp.Navigate(base+"/status"), chromedp.WaitVisible(chromedp.CSS("#status")))
	get(t, ctx, "focus", chromedp.Evaluate[string](`document.querySelector('#status .card a[href="/cluster"]').focus() ?? ""`))
	if _, err := chromedp.RunResponse(ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
		t.Fatal(err)
	}
	holds(t, "cluster page", see(t, ctx, "cluster page", "#cluster"), "draining", "dead")
	get(t, ctx, "mark", chromedp.Evaluate[string](`window.mark = "same page"`))
	m.cluster.mu.Lock()
	m.cluster.status.Nodes = append(slices.Clone(m.cluster.status.Nodes), ClusterNode{Name: "node-6", State: NodeLive, LastSeen: testNow})
	m.cluster.mu.Unlock()
	do(t, ctx, "a node comes", chromedp.WaitReady(chromedp.CSS(".tight tbody tr:nth-child(6)")))
	if got := get(t, ctx, "mark", chromedp.Evaluate[string](`window.mark`)); got != "same page" {
		t.Error("the page was loaded again")
	}
	heard.check(t)
}

func testReceiptArrives(t *testing.T, ctx context.Context) {
	m := newLibrary()
	_, base := serve(t, m)
	do(t, ctx, "pending", chromedp.Navigate(base+"/receipt?url=https://docs.example.org/just-now.html"))
	holds(t, "pending", see(t, ctx, "pending", "h1"), "on its way")
	m.seal(testNow)
	do(t, ctx, "arrived", chromedp.WaitVisible(chromedp.CSS(".slip")), chromedp.WaitVisible(chromedp.CSS("[data-verify] button")))
}
