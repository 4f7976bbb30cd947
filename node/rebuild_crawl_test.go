package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A crawl that was under way when everything but archive, keys and ledger was lost goes on after a rebuild and ends where an
// undisturbed one ends: every page found once, every receipt valid, and what had been fetched is not fetched again.
func TestRebuildGoesOnCrawling(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, 20*time.Millisecond)
	dir := shortDir(t)
	p := start(t, dir)
	id := p.crawl(s.URL)
	until(t, "some pages are found", func() bool { return len(p.search("page")) > 5 })
	p.kill()
	for _, part := range partDirs {
		if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
			t.Fatal(err)
		}
	}
	report, err := Rebuild(t.Context(), testConfig(dir), RebuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Waiting == 0 || report.Pages < 5 {
		t.Errorf("nothing was left to fetch, or nothing was there: %+v", report)
	}
	p = start(t, dir)
	if c := p.await(id); c.Fetched != int64(s.pages)+1 || c.Queued+c.Failed > 0 {
		t.Errorf("the crawl ended with %+v", c)
	}
	p.attested()
	policy, _ := p.get("/api/v1/policy", nil)
	if found, proven := s.check(p, policy); found != s.pages || proven != s.pages {
		t.Errorf("%d pages found and %d proven, want %d", found, proven, s.pages)
	}
	twice := 0
	for i := range s.pages {
		var list struct{ Captures []struct{ ID string } }
		p.json("/api/v1/captures", map[string][]string{"url": {s.page(i)}, "limit": {"10"}}, &list)
		twice += len(list.Captures) - 1
	}
	if twice > 1 { // what was in flight
		t.Errorf("%d pages were fetched again", twice)
	}
	p.stop()
}
