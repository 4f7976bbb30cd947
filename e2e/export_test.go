//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord/e2e/loopweb"
)

// checkExport exports the archive and has another tool read it.
func checkExport(t *testing.T, n *node) {
	dir := filepath.Join(n.dir, "export-"+time.Now().Format("150405.000"))
	n.must("archive", "export", "--warc", dir)
	files, err := filepath.Glob(filepath.Join(dir, "*.warc.gz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("export wrote no WARC files: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "index.cdxj")); err != nil {
		t.Error(err)
	}
	if exec.Command("python3", "-c", "import warcio").Run() != nil {
		t.Log("SKIPPED: warcio is not installed, so no other tool reads the export")
		return
	}
	script := `
import sys, json
from warcio.archiveiterator import ArchiveIterator
n = {}
for name in sys.argv[1:]:
    with open(name, 'rb') as f:
        it = ArchiveIterator(f, check_digests='block')
        for r in it:
            n[r.rec_type] = n.get(r.rec_type, 0) + 1
            r.content_stream().read()
            if r.digest_checker.passed is False and any('block' in p for p in r.digest_checker.problems):
                n['bad'] = n.get('bad', 0) + 1
print(json.dumps(n))
`
	out, err := exec.Command("python3", append([]string{"-c", script}, files...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("warcio: %v: %s", err, out)
	}
	var counts map[string]int
	if err := json.Unmarshal(out, &counts); err != nil {
		t.Fatalf("warcio: %s", out)
	}
	t.Logf("warcio reads %v", counts)
	if counts["response"] == 0 || counts["request"] != counts["response"]+counts["revisit"] || counts["bad"] > 0 {
		t.Errorf("warcio reads %v: want a request for each response or revisit, and no bad digest", counts)
	}
}

// Samples of other tools are imported, found and not taken twice; damaged ones give what is whole.
func TestImportOfOtherTools(t *testing.T) {
	samples, _ := filepath.Glob("../../shared/data/conformance/warc/*")
	if len(samples) == 0 {
		t.Skip("SKIPPED: no WARC samples in ../shared/data/conformance/warc; archives of other tools were not imported: run this test where they are")
	}
	n := newNode(t)
	n.start()
	var sums []struct {
		Name                                         string
		Records, Captures, Indexed, Skipped, Damaged int
	}
	if err := json.Unmarshal([]byte(n.must(append([]string{"archive", "import", "--json"}, samples...)...)), &sums); err != nil {
		t.Fatal(err)
	}
	captures := 0
	for _, s := range sums {
		captures += s.Captures
		t.Logf("%+v", s)
	}
	if captures < 5 {
		t.Errorf("%d captures imported, want at least 5", captures)
	}
	if err := json.Unmarshal([]byte(n.must(append([]string{"archive", "import", "--json"}, samples...)...)), &sums); err != nil {
		t.Fatal(err)
	}
	for _, s := range sums {
		if s.Captures != 0 {
			t.Errorf("importing %s again took %d captures", s.Name, s.Captures)
		}
	}
	if results, _ := n.search("example domain", 10); len(results) == 0 || !strings.Contains(results[0].URL, "example.") {
		t.Errorf("the imported page is not found: %+v", results)
	}
}

// A page is searchable within two seconds of its fetch, and its receipt there within ten.
func TestFreshness(t *testing.T) {
	h := loopweb.Generated("fresh", 1)
	web, err := loopweb.Start(73, h)
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	n := newNode(t)
	n.start()
	n.crawl([]string{h.URL("/")})
	var fetched, found, proven time.Duration
	for deadline := time.Now().Add(30 * time.Second); proven == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var at time.Time
		for _, r := range h.Requests() {
			if r.Path == "/" {
				at = r.Begin
			}
		}
		if at.IsZero() {
			continue
		}
		fetched = time.Since(at)
		if found == 0 {
			if results, _ := n.search("fresh page", 1); len(results) > 0 {
				found = time.Since(at)
			}
			continue
		}
		if _, code, _ := n.get("/api/v1/receipts", map[string][]string{"url": {h.URL("/")}}); code == 200 {
			proven = time.Since(at)
		}
	}
	t.Logf("searchable %v after the request, receipt %v after it", found.Round(time.Millisecond), proven.Round(time.Millisecond))
	if found == 0 || found > 2*time.Second || proven == 0 || proven > 10*time.Second {
		t.Errorf("searchable after %v (want 2 s), receipt after %v (want 10 s), %v since the fetch", found, proven, fetched)
	}
}
