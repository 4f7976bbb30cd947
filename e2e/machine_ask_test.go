//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"concord/e2e/loopweb"
	"concord/e2e/nemesis"
	"concord/receipt"
)

// smallWeb has hosts with pages, which everybody may ask quickly.
func smallWeb(t testing.TB, subnet byte, hosts, pages int) *loopweb.Web {
	t.Helper()
	var list []*loopweb.Host
	for i := range hosts {
		list = append(list, loopweb.Generated(fmt.Sprintf("host%d", i), pages))
	}
	w, err := loopweb.Start(subnet, list...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// urlsOf returns every page of a web that is to be found.
func urlsOf(w *loopweb.Web) []string {
	var list []string
	for _, h := range w.Hosts {
		for _, p := range h.Index {
			list = append(list, h.URL(p))
		}
	}
	return list
}

// found is what a node answers to a question.
type found struct {
	Total int
	URLs  string
}

// answers asks some questions about a web.
func (m *machine) answers(w *loopweb.Web) map[string]found {
	m.t.Helper()
	all := map[string]found{}
	ask := func(q string) {
		results, total := m.search(q, 10)
		var urls []string
		for _, r := range results {
			urls = append(urls, r.URL)
		}
		all[q] = found{total, strings.Join(urls, " ")}
	}
	for _, h := range w.Hosts {
		ask("site:" + h.Addr)
		ask(fmt.Sprintf("%s page %d", h.Name, len(h.Index)/2))
		ask(fmt.Sprintf("\"%s page %d\"", h.Name, len(h.Index)-1))
	}
	return all
}

func compareAnswers(t testing.TB, who string, got, want map[string]found) {
	t.Helper()
	wrong := 0
	for q, w := range want {
		if g := got[q]; g != w {
			if wrong++; wrong <= 3 {
				t.Errorf("%s answers %q with %+v, want %+v", who, q, g, w)
			}
		}
	}
	if wrong > 3 {
		t.Errorf("%s: %d of %d answers differ", who, wrong, len(want))
	}
}

// compareAll looks whether each machine answers as wanted and finds every page.
func compareAll(t *testing.T, list []*machine, w *loopweb.Web, want map[string]found) {
	t.Helper()
	for _, m := range list {
		compareAnswers(t, m.name, m.answers(w), want)
		report(t, nemesis.Searchable(m.get, w))
	}
}

// receiptPatience is how long a machine may put off who asks for receipts, together: a question to another machine may find it being taken over.
const receiptPatience = 15 * time.Second

// errLater: a machine said 503, and to ask again.
var errLater = errors.New("not yet")

// receipts gets the receipt of every URL, which must hold. Errors are reported; it returns how many hold.
func (m *machine) receipts(urls []string, policy []byte) int {
	m.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	work := make(chan string)
	good, bad := 0, 0
	deadline := time.Now().Add(receiptPatience)
	for range 4 {
		wg.Go(func() {
			for u := range work {
				err := m.receipt(u, policy)
				for errors.Is(err, errLater) && time.Now().Before(deadline) {
					time.Sleep(200 * time.Millisecond)
					err = m.receipt(u, policy)
				}
				mu.Lock()
				if err == nil {
					good++
				} else if bad++; bad <= 3 {
					m.t.Errorf("%s: receipt of %s: %v", m.name, u, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, u := range urls {
		work <- u
	}
	close(work)
	wg.Wait()
	if bad > 3 {
		m.t.Errorf("%s: %d receipts of %d are missing or do not hold", m.name, bad, len(urls))
	}
	return good
}

func (m *machine) receipt(u string, policy []byte) error {
	proof, code, err := m.get("/api/v1/receipts", url.Values{"url": {u}})
	if err == nil && code != 200 {
		err = fmt.Errorf("status %d: %s", code, proof)
		if code == http.StatusServiceUnavailable {
			err = fmt.Errorf("%w: %w", errLater, err)
		}
	}
	if err == nil {
		_, err = receipt.Verify(proof, policy, receipt.Options{URL: u})
	}
	return err
}

// attested waits until every URL has its receipt.
func (m *machine) attested(urls []string, policy []byte, limit time.Duration) {
	m.t.Helper()
	deadline := time.Now().Add(limit)
	for _, u := range urls {
		for {
			err := m.receipt(u, policy)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				m.t.Fatalf("%s: receipt of %s after %v: %v", m.name, u, limit, err)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
}

// every takes each n-th.
func every(n int, list []string) []string {
	var out []string
	for i := 0; i < len(list); i += n {
		out = append(out, list[i])
	}
	return out
}

// copyTree copies a data directory whose node does not run.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copy: %v: %s", err, out)
	}
}
