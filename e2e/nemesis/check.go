package nemesis

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"

	"concord/e2e/loopweb"
)

// Report is what a checker found. It holds when there are no problems.
type Report struct {
	Name     string
	Checked  string   // what was looked at, in numbers
	Problems []string // the first maxProblems of them
	Count    int      // of all problems
	Repeats  int      // Manners: requests for a page that had been asked for before; Archives: responses kept of a page beyond its first
}

// maxProblems is as many as a person reads.
const maxProblems = 10

// Add notes a problem.
func (r *Report) Add(format string, args ...any) {
	if r.Count++; len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Err is nil when all holds.
func (r *Report) Err() error {
	if r.Count == 0 {
		return nil
	}
	return fmt.Errorf("%s: %d problems, of them:\n  %s", r.Name, r.Count, strings.Join(r.Problems, "\n  "))
}

func (r *Report) String() string {
	if r.Count == 0 {
		return fmt.Sprintf("%s: holds (%s)", r.Name, r.Checked)
	}
	return fmt.Sprintf("%s: %d PROBLEMS (%s)", r.Name, r.Count, r.Checked)
}

// Manners asks the web's log: was any host asked for two things at once, by one node or two, or sooner after an answer than delay allows, or
// for what its robots.txt forbids? The server sees an answer end before its client does, so a client that keeps the delay is never reported.
func Manners(web *loopweb.Web, delay time.Duration) *Report {
	r := &Report{Name: "manners"}
	total, least := 0, time.Duration(-1)
	sources := map[string]int{}
	for _, h := range web.Hosts {
		requests := h.Requests()
		sort.SliceStable(requests, func(i, j int) bool { return requests[i].Begin.Before(requests[j].Begin) })
		counts := map[string]int{}
		for i, q := range requests {
			total++
			sources[q.Source]++
			if counts[q.Path]++; counts[q.Path] > 1 {
				r.Repeats++
			}
			if i == 0 {
				continue
			}
			before := requests[i-1]
			gap := q.Begin.Sub(before.End)
			if least < 0 || gap < least {
				least = gap
			}
			switch {
			case before.End.IsZero() || gap < 0:
				r.Add("%s was asked by %s for %s while %s was answered to %s", h.Name, q.Source, q.Path, before.Path, before.Source)
			case gap < delay:
				r.Add("%s was asked by %s for %s %v after the answer for %s to %s, want %v", h.Name, q.Source, q.Path, gap, before.Path, before.Source, delay)
			}
		}
		for _, p := range h.Forbidden {
			if counts[p] > 0 {
				r.Add("%s%s was fetched although it is forbidden", h.Name, p)
			}
		}
	}
	r.Checked = fmt.Sprintf("%d requests to %d hosts by %d nodes, %d of them repeated, never sooner than %v", total, len(web.Hosts), len(sources), r.Repeats, least.Round(time.Millisecond))
	return r
}

// Get asks a node's API: a path such as "/api/v1/search" with its parameters. It returns body and status.
type Get func(path string, params url.Values) ([]byte, int, error)

// searchPage is how many results are asked for at a time, the most that the API gives.
const searchPage = 100

// Searchable asks a node for everything it finds on each host of the web: every page that is to be found must be there exactly once, and nothing else.
func Searchable(get Get, web *loopweb.Web) *Report {
	r := &Report{Name: "searchable"}
	pages := 0
	for _, h := range web.Hosts {
		found, err := allOf(get, h)
		if err != nil {
			r.Add("%s: %v", h.Name, err)
			continue
		}
		for _, p := range h.Index {
			pages++
			if n := found[h.URL(p)]; n != 1 {
				r.Add("%s is found %d times, want once", h.URL(p), n)
			}
			delete(found, h.URL(p))
		}
		for u, n := range found {
			r.Add("%s is found %d times and is no page of the web", u, n)
		}
	}
	r.Checked = fmt.Sprintf("%d pages of %d hosts", pages, len(web.Hosts))
	return r
}

// allOf counts the results for one host by URL. An answer from fewer than all shards is an error.
func allOf(get Get, h *loopweb.Host) (map[string]int, error) {
	found := map[string]int{}
	for offset := 0; ; offset += searchPage {
		b, status, err := get("/api/v1/search", url.Values{"q": {"site:" + h.Addr}, "limit": {fmt.Sprint(searchPage)}, "offset": {fmt.Sprint(offset)}})
		if err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("search: status %d, %v: %s", status, err, b)
		}
		var a struct {
			Results []struct{ URL string }
			Total   int
			Shards  struct{ Asked, Answered int }
		}
		if err := json.Unmarshal(b, &a); err != nil {
			return nil, fmt.Errorf("search: %w", err)
		}
		if a.Shards.Asked == 0 || a.Shards.Answered != a.Shards.Asked {
			return nil, fmt.Errorf("search: %d of %d shards answered", a.Shards.Answered, a.Shards.Asked)
		}
		for _, x := range a.Results {
			found[x.URL]++
		}
		if len(a.Results) < searchPage || offset+searchPage >= a.Total {
			return found, nil
		}
	}
}
