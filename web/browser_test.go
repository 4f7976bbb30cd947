package web

import (
	"context"
	"flag"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	blog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
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
		t.Skip("SKIPPED: there is no chromium on this machine; the pages were not tried in a browser")
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
	ctx, cancelTimeout := context.WithTimeout(ctx, 60*time.Second)
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

// TestScreens draws every page in every look: none may scroll sideways, throw, or break its own policy.
func TestScreens(t *testing.T) {
	ctx := browser(t)
	m := newLibrary()
	_, base := serve(t, m)
	_, empty := serve(t, newMemory(testNow))
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
		{"ledger", base + "/ledger"}, {"entry", base + entryLink(entry)}, {"status", base + "/status"}, {"bot", base + "/bot"}, {"manual", base + "/manual/"},
		{"api", base + "/api"}, {"signin", base + "/signin"}, {"error", base + "/nowhere"}, {"nocopy", base + "/archive?url=nowhere.example"},
	}
	heard := listen(t, ctx)
	for _, l := range looks {
		l.put(t, ctx)
		for _, p := range paths {
			what := l.name + " " + p.name
			do(t, ctx, what, chromedp.Navigate(p.url), chromedp.WaitVisible(chromedp.CSS("#main")))
			if wide := get(t, ctx, what, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); wide > l.width {
				t.Errorf("%s: %d px wide in a window of %d", what, wide, l.width)
			}
			if *shots == "" && p.name != "search" {
				continue
			}
			png := get(t, ctx, what, chromedp.FullScreenshot(100))
			if err := os.WriteFile(filepath.Join(dir, p.name+"-"+l.name+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	heard.check(t)
}
