//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"concord/e2e/loopweb"
	"concord/receipt"
)

// docs returns the documentation hosts, or skips: they are fetched by .ci/run, not carried here.
func docs(t *testing.T, names ...string) []*loopweb.Host {
	t.Helper()
	dir := os.Getenv("CONCORD_SITES")
	if dir == "" {
		cache, _ := os.UserCacheDir()
		dir = filepath.Join(cache, "concord-sites")
	}
	hosts, err := loopweb.Docs(dir, names...)
	if err != nil {
		t.Fatal(err)
	}
	if len(hosts) == 0 {
		t.Skipf("SKIPPED: no documentation sites in %s; real pages were not crawled: run .ci/run, or unpack the Debian packages %s there (dpkg -x) and set CONCORD_SITES",
			dir, strings.Join(loopweb.Packages(), " "))
	}
	return hosts
}

func TestThousandsOfPages(t *testing.T) {
	hosts := docs(t, "postgresql-doc-15", "python3.11-doc", "linux-doc-6.1", "debian-handbook")
	hosts = append(hosts, loopweb.Odd()...)
	web, err := loopweb.Start(71, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	n := newNode(t)
	n.start()
	start := time.Now()
	c := n.await(n.crawl(web.Seeds()), 12*time.Minute)
	took := time.Since(start)
	t.Logf("crawl: %+v in %v, %.0f pages/s", c, took.Round(time.Second), float64(c.Fetched)/took.Seconds())

	t.Run("manners", func(t *testing.T) { checkManners(t, web) })
	t.Run("complete", func(t *testing.T) { checkComplete(t, n, web) })
	t.Run("odd hosts", func(t *testing.T) { checkOdd(t, n, web) })
	t.Run("formats", func(t *testing.T) { checkFormats(t, n) })
	var indexed []page
	t.Run("known items", func(t *testing.T) { indexed = checkKnownItems(t, n, web) })
	t.Run("receipts", func(t *testing.T) { checkReceipts(t, n, indexed) })
	t.Run("export", func(t *testing.T) { checkExport(t, n) })
	if d := n.stop(); d > 5*time.Second {
		t.Errorf("SIGTERM took %v, want under 5 s", d)
	}
}

// The odd hosts alone: a minute's test of everything that can be strange about a site.
func TestOddHosts(t *testing.T) {
	web, err := loopweb.Start(74, append(loopweb.Odd(), loopweb.Generated("plain", 40))...)
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	n := newNode(t)
	n.start()
	c := n.await(n.crawl(web.Seeds()), 5*time.Minute)
	t.Logf("crawl: %+v", c)
	t.Run("manners", func(t *testing.T) { checkManners(t, web) })
	t.Run("odd hosts", func(t *testing.T) { checkOdd(t, n, web) })
	t.Run("formats", func(t *testing.T) { checkFormats(t, n) })
}

// checkManners asks the hosts what they saw.
func checkManners(t *testing.T, web *loopweb.Web) {
	for _, h := range web.Hosts {
		if n := h.Overlaps(); n > 0 {
			t.Errorf("%s was asked for %d pages while another was on its way", h.Name, n)
		}
		counts := h.Counts()
		for _, p := range h.Forbidden {
			if counts[p] > 0 {
				t.Errorf("%s%s was fetched although it is forbidden", h.Name, p)
			}
		}
		for _, r := range h.Requests() {
			if !strings.Contains(r.Agent, "Concord/") || !strings.Contains(r.Agent, "http://127.0.0.1/bot") {
				t.Fatalf("%s: User-Agent %q does not name program and contact", h.Name, r.Agent)
			}
		}
		if strings.Contains(h.Name, "-doc") || strings.Contains(h.Name, "handbook") {
			for p, c := range counts {
				if c > 1 {
					t.Errorf("%s%s was fetched %d times", h.Name, p, c)
				}
			}
		}
	}
}

// reachable returns the pages of a documentation host as a breadth-first walk finds them.
func reachable(t *testing.T, h *loopweb.Host) []string {
	t.Helper()
	pages, err := loopweb.Reachable(h, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func isDocs(h *loopweb.Host) bool { return h.Index == nil }

// checkComplete holds what was fetched against what is reachable, and every page against the captures on record.
func checkComplete(t *testing.T, n *node, web *loopweb.Web) {
	total := 0
	for _, h := range web.Hosts {
		if !isDocs(h) {
			continue
		}
		counts := h.Counts()
		pages := reachable(t, h)
		total += len(pages)
		missing := 0
		for _, p := range pages {
			if counts[p] == 0 {
				if missing++; missing <= 3 {
					t.Errorf("%s%s is reachable but was not fetched", h.Name, p)
				}
			}
		}
		// Every tenth page is looked up by its URL.
		for i := 0; i < len(pages); i += 10 {
			if cs := n.captures(h.URL(pages[i])); len(cs) != 1 || cs[0].Status != 200 {
				t.Errorf("captures of %s: %+v, want one with status 200", h.URL(pages[i]), cs)
			}
		}
	}
	if total < 5000 {
		t.Errorf("%d pages are reachable, want at least 5,000", total)
	}
	t.Logf("%d reachable pages of documentation, all fetched once", total)
}

func checkOdd(t *testing.T, n *node, web *loopweb.Web) {
	for _, h := range web.Hosts {
		for _, p := range h.Index {
			if st := n.why(h.URL(p)); !st.Indexed {
				t.Errorf("%s%s should be searchable: %+v", h.Name, p, st)
			}
		}
		for _, p := range h.NoIndex {
			if st := n.why(h.URL(p)); st.Indexed || st.Skip == "" && st.Reason == "" {
				t.Errorf("%s%s should be kept out with a reason: %+v", h.Name, p, st)
			}
		}
		found := 0
		for _, p := range h.OneOf {
			if st := n.why(h.URL(p)); st.Indexed {
				found++
			} else if st.Duplicate == "" {
				t.Errorf("%s%s is kept out but names no page that stands for it: %+v", h.Name, p, st)
			}
		}
		if len(h.OneOf) > 0 && found != 1 {
			t.Errorf("%s: %d of %v are searchable, want one", h.Name, found, h.OneOf)
		}
		for _, p := range h.Forbidden {
			if st := n.why(h.URL(p)); st.Indexed && !strings.Contains(p, "utm_") {
				t.Errorf("%s%s is forbidden and indexed: %+v", h.Name, p, st)
			}
		}
	}
}

// checkFormats asks for words that only a PDF, a plain text and pages in old encodings have.
func checkFormats(t *testing.T, n *node) {
	for q, path := range map[string]string{"quibblewort filetype:pdf": "/paper.pdf", "zylophone": "/plain.txt", "straße äpfel grün": "/latin1",
		"sechzehn wide letters": "/utf16", "café röti": "/meta", `"redirecting end of the chain"`: "/end", "printable version": "/whole"} {
		results, _ := n.search(q, 5)
		if len(results) == 0 || !strings.HasSuffix(results[0].URL, path) {
			t.Errorf("search %q: %+v, want %s first", q, results, path)
		}
	}
}

type urlState struct {
	State, Reason, Skip, Duplicate string
	Indexed                        bool
	Status                         int
}

func (n *node) why(u string) (st urlState) {
	n.t.Helper()
	n.json("/api/v1/urls", url.Values{"url": {u}}, &st)
	return st
}

type page struct{ url, title string }

var word = regexp.MustCompile(`[\pL\pN]+`)

// checkKnownItems asks for pages by the words of their title, on their own host, and reports the mean reciprocal rank.
// Titles that several pages of a host share name no page and are left out.
func checkKnownItems(t *testing.T, n *node, web *loopweb.Web) []page {
	var all []page
	var sum float64
	asked, first := 0, 0
	for _, h := range web.Hosts {
		if !isDocs(h) {
			continue
		}
		titles := map[string][]string{}
		for offset := 0; ; offset += 100 {
			var a struct {
				Results []result
				Total   int
			}
			n.json("/api/v1/search", url.Values{"q": {"site:" + strings.TrimPrefix(h.Addr, "http://")}, "limit": {"100"}, "offset": {fmt.Sprint(offset)}}, &a)
			for _, r := range a.Results {
				titles[r.Title] = append(titles[r.Title], r.URL)
				all = append(all, page{r.URL, r.Title})
			}
			if len(a.Results) == 0 {
				break
			}
		}
		var unique []string
		for title, urls := range titles {
			if len(urls) == 1 && len(word.FindAllString(title, -1)) >= 2 {
				unique = append(unique, title)
			}
		}
		sort.Strings(unique)
		for i := 0; i < len(unique); i += 1 + len(unique)/60 {
			q := titleWords(unique[i]) + " site:" + h.Addr
			want := titles[unique[i]][0]
			results, _ := n.search(q, 10)
			asked++
			if len(results) == 0 || results[0].URL != want {
				t.Logf("not first: %s for %q; first %+v", want, q, results[:min(1, len(results))])
			}
			for rank, r := range results {
				if r.URL == want {
					sum += 1 / float64(rank+1)
					if rank == 0 {
						first++
					}
					break
				}
			}
		}
	}
	mrr := sum / float64(max(asked, 1))
	t.Logf("known-item search: %d queries, MRR %.3f, %d first", asked, mrr, first)
	if asked < 200 || mrr < 0.9 {
		t.Errorf("MRR %.3f over %d queries, want at least 0.9 over 200", mrr, asked)
	}
	return all
}

// titleWords is what a person types who has a title before them: its words, without marks that mean something to a search.
func titleWords(title string) string {
	var words []string
	for _, w := range strings.Fields(strings.NewReplacer(`"`, " ", "(", " ", ")", " ", "|", " ", ":", " ").Replace(title)) {
		if w = strings.TrimLeft(w, "-–—"); w != "" && w != "OR" && w != "AND" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// checkReceipts verifies the receipt of every page found, which is there within ten seconds of being asked for, and that any change breaks it.
func checkReceipts(t *testing.T, n *node, pages []page) {
	policy := []byte(n.must("policy"))
	var mu sync.Mutex
	var wg sync.WaitGroup
	work := make(chan page)
	verified, largest := 0, 0
	for range 4 {
		wg.Go(func() {
			for p := range work {
				proof, code, err := n.get("/api/v1/receipts", url.Values{"url": {p.url}})
				for deadline := time.Now().Add(10 * time.Second); err == nil && code == http.StatusServiceUnavailable && time.Now().Before(deadline); { // asking closes its batch
					time.Sleep(100 * time.Millisecond)
					proof, code, err = n.get("/api/v1/receipts", url.Values{"url": {p.url}})
				}
				if err != nil || code != 200 {
					t.Errorf("receipt of %s: %d %v: %s", p.url, code, err, proof)
					continue
				}
				if _, err := receipt.Verify(proof, policy, receipt.Options{URL: p.url}); err != nil {
					t.Errorf("receipt of %s: %v", p.url, err)
					continue
				}
				mu.Lock()
				verified++
				largest = max(largest, len(proof))
				mu.Unlock()
			}
		})
	}
	for _, p := range pages {
		work <- p
	}
	close(work)
	wg.Wait()
	t.Logf("%d receipts verified, the largest has %d bytes", verified, largest)
	if len(pages) < 4000 {
		t.Errorf("only %d pages to verify", len(pages))
	}
	checkTampering(t, n, pages[len(pages)/2].url)
}

// checkTampering verifies one receipt with the command line, as it is and changed.
func checkTampering(t *testing.T, n *node, u string) {
	file := func(name string) string { return filepath.Join(n.dir, name) }
	n.must("receipt", u, "--out", file("r.tlog-proof"), "--body", file("body"))
	if err := os.WriteFile(file("policy"), []byte(n.must("policy")), 0o600); err != nil {
		t.Fatal(err)
	}
	out := n.must("verify", file("r.tlog-proof"), file("body"), "--policy", file("policy"))
	if !strings.Contains(out, "PROVEN") || !strings.Contains(out, "Not proven:") {
		t.Errorf("verify says %q", out)
	}
	rng := rand.New(rand.NewPCG(3, 5))
	for _, name := range []string{"r.tlog-proof", "body", "policy"} {
		whole, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			changed := append([]byte(nil), whole...)
			at := rng.IntN(len(changed))
			changed[at] ^= 1 << rng.IntN(8)
			if err := os.WriteFile(file(name), changed, 0o600); err != nil {
				t.Fatal(err)
			}
			out, code := n.run("verify", file("r.tlog-proof"), file("body"), "--policy", file("policy"))
			if code == 0 {
				t.Errorf("byte %d of %s changed, and verify still says %q", at, name, out)
			}
		}
		if err := os.WriteFile(file(name), whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The same crawl with ten kill -9 must end with the same pages, none fetched again but what was in flight.
func TestTenKills(t *testing.T) {
	hosts := docs(t, "postgresql-doc-15", "python3.11-doc", "debian-handbook")
	for i := range 10 {
		hosts = append(hosts, loopweb.Generated(fmt.Sprintf("plain-%d", i), 60))
	}
	web, err := loopweb.Start(72, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	n := newNode(t)
	n.start()
	id := n.crawl(web.Seeds())
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	acknowledged := map[string]bool{} // captures that the API has shown: they may never be lost
	kills, stops := 0, 0
	for kills < 10 {
		time.Sleep(time.Duration(400+rng.IntN(1600)) * time.Millisecond)
		c, err := n.crawlState(id)
		if err != nil {
			t.Fatal(err)
		}
		if c.Done {
			break
		}
		for _, r := range firstResults(n) {
			acknowledged[r.Capture+" "+r.URL] = true
		}
		if kills == 5 { // once in between it is asked to stop, in the middle of its work
			stops++
			if d := n.stop(); d > 5*time.Second {
				t.Errorf("SIGTERM in the middle of a crawl took %v, want under 5 s", d)
			}
			n.start()
		}
		n.kill()
		kills++
		n.start()
	}
	if kills < 10 {
		t.Errorf("the crawl was over after %d kills: make it longer", kills)
	}
	c := n.await(id, 10*time.Minute)
	t.Logf("after %d kills: %+v", kills, c)

	again, most, total := 0, 0, 0
	for _, h := range web.Hosts {
		if o := h.Overlaps(); o > kills+stops {
			t.Errorf("%s: %d requests at once", h.Name, o)
		}
		counts := h.Counts()
		for p, k := range counts {
			if k > 1 && p != "/robots.txt" {
				again += k - 1
				most = max(most, k)
			}
		}
		pages := reachable(t, h)
		total += len(pages)
		for _, p := range pages {
			if counts[p] == 0 {
				t.Errorf("%s%s was never fetched", h.Name, p)
			}
		}
		for i := 0; i < len(pages); i += 7 {
			if cs := n.captures(h.URL(pages[i])); len(cs) == 0 {
				t.Errorf("%s was fetched but has no capture", h.URL(pages[i]))
			}
		}
	}
	// One request of a host may be in flight, or its page not on record yet, whenever the node is ended.
	if limit := (kills + stops) * len(web.Hosts); again > limit {
		t.Errorf("%d pages fetched again, at most %d were in flight at %d kills and %d stop", again, limit, kills, stops)
	}
	t.Logf("%d pages, %d fetches repeated, no page more than %d times", total, again, most)
	for key := range acknowledged {
		captureID, u, _ := strings.Cut(key, " ")
		found := false
		for _, c := range n.captures(u) {
			found = found || c.ID == captureID
		}
		if !found {
			t.Errorf("capture %s of %s was shown before a kill and is lost", captureID, u)
		}
	}
	t.Logf("%d captures shown before kills are all there", len(acknowledged))
	checkExport(t, n)
}

// firstResults is what a search shows at this moment.
func firstResults(n *node) []result {
	results, _ := n.search("the OR and OR page", 50)
	return results
}
