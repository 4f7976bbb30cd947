package federation

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"concord"
	"concord/receipt"

	"github.com/google/go-cmp/cmp"
)

var (
	harbour = doc{"https://harbour.example/wall", "The harbour wall", "The council voted on the new harbour wall on Monday."}
	boats   = doc{"https://boats.example/", "Boats", "Fishing boats ran aground near the harbour twice this winter."}
	nets    = doc{"https://nets.example/mend", "Nets", "People who mend nets sit by the harbour and talk of boats."}
)

// One search finds a page of each operator; the question says that it is not to be passed on; receipts hold under our policy.
func TestSearchAcross(t *testing.T) {
	w := newWorld(t, 3)
	w.own = shelf{indexed(doc{"https://own.example/", "Ours", "A harbour of our own."}), indexed(boats)}
	w.remotes[0].says(w.honest("bob.example", harbour, boats)...)
	w.remotes[1].says(w.honest("carol.example", nets, harbour)...)
	w.remotes[2].says()
	a := w.search("harbour")
	if want := []string{harbour.url, boats.url, nets.url, "https://own.example/"}; !cmp.Equal(urls(a), want) {
		t.Fatalf("found %v, want %v", urls(a), want)
	}
	if want := []concord.OperatorAnswer{{Name: "bob.example", Answered: true, Verified: 2}, {Name: "carol.example", Answered: true, Verified: 2},
		{Name: "dave.example", Answered: true}}; !cmp.Equal(a.Operators, want) {
		t.Errorf("operators: %s", cmp.Diff(want, a.Operators))
	}
	seen := func(h concord.Hit) (list []string) {
		for _, s := range h.Seen {
			list = append(list, s.Operator)
		}
		return list
	}
	for url, want := range map[string][]string{harbour.url: {"bob.example", "carol.example"}, boats.url: {"alice.example", "bob.example"},
		nets.url: {"carol.example"}, "https://own.example/": nil} {
		h := a.Hits[slices.IndexFunc(a.Hits, func(h concord.Hit) bool { return h.URL == url })]
		if !cmp.Equal(seen(h), want) {
			t.Errorf("%s was seen by %v, want %v", url, seen(h), want)
		}
		if ours := want == nil || want[0] == "alice.example"; ours != (h.Capture != "") || ours == h.NoArchive {
			t.Errorf("%s: capture %q, no archived copy: %v", url, h.Capture, h.NoArchive)
		}
	}
	if h := a.Hits[0]; h.Title != harbour.title || h.Language != "en" || h.Site != "harbour.example" || !h.Fetched.Equal(testNow) || h.Snippet[0].Text != harbour.body {
		t.Errorf("made of the text: %+v", h)
	}
	q := must(url.ParseQuery(strings.SplitN(w.remotes[0].asked[0], "?", 2)[1]))
	if !strings.HasPrefix(w.remotes[0].asked[0], "/base/api/v1/search?") || q.Get("scope") != "own" || q.Get("proof") != "true" || q.Get("q") != "harbour" {
		t.Errorf("asked: %s", w.remotes[0].asked[0])
	}

	w.append("an entry more, so that the tree has grown")
	for range 2 { // as long as the operator is up, and after
		for _, s := range a.Hits[0].Seen {
			proof, err := w.fed.Receipt(t.Context(), s.Operator, s.Capture, harbour.url)
			if err != nil {
				t.Fatal(err)
			}
			rep, err := receipt.Verify(proof, w.policy(), receipt.Options{URL: harbour.url})
			if err != nil || rep.Operator != s.Operator || rep.Cosigners != 4 {
				t.Errorf("receipt of %s: %v, %+v", s.Operator, err, rep)
			}
		}
		w.remotes[0].Close()
	}
	if _, err := w.fed.Receipt(t.Context(), "bob.example", "bob.example-0", boats.url); concord.KindOf(err) != concord.NotFound {
		t.Errorf("a receipt of another page: %v", err)
	}
	if _, err := w.fed.Receipt(t.Context(), "bob.example", "unknown", harbour.url); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("of an operator that is away: %v", err)
	}
	if _, err := w.fed.Receipt(t.Context(), "mallory.example", "x", harbour.url); concord.KindOf(err) != concord.NotFound {
		t.Errorf("of a stranger: %v", err)
	}
}

// Our own version of a page that no longer says it does not hide another's.
func TestOlderVersionHere(t *testing.T) {
	w := newWorld(t, 1)
	w.own = shelf{indexed(doc{harbour.url, "The wall", "Nothing is known of it yet."}), indexed(nets)}
	w.remotes[0].says(w.honest("bob.example", harbour)...)
	a := w.search("harbour")
	if len(a.Hits) != 2 || a.Hits[0].URL != harbour.url || a.Hits[0].Title != harbour.title || len(a.Hits[0].Seen) != 1 || a.Hits[0].Capture != "" {
		t.Errorf("%+v", a.Hits)
	}
	if a = w.search("wall nothing"); len(a.Hits) != 1 || a.Hits[0].Title != "The wall" || len(a.Hits[0].Seen) != 2 || a.Hits[0].Capture == "" {
		t.Errorf("%+v", a.Hits)
	}
}

// Many searches side by side are one answer each.
func TestSideBySide(t *testing.T) {
	w := newWorld(t, 3)
	for i, r := range w.remotes {
		r.says(w.honest(r.name, harbour, []doc{boats, nets, harbour}[i])...)
	}
	var all sync.WaitGroup
	for range 40 {
		all.Add(1)
		go func() {
			defer all.Done()
			a, err := w.fed.Search(t.Context(), concord.Request{Query: "harbour", Limit: 10})
			if err != nil || len(a.Hits) != 3 || len(a.Hits[0].Seen) != 3 {
				t.Errorf("%v, %+v", err, a)
				return
			}
			for _, s := range a.Hits[0].Seen {
				if _, err := w.fed.Receipt(t.Context(), s.Operator, s.Capture, harbour.url); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	for _, c := range w.fed.Counters() {
		if c.Asked != 40 || c.Answered != 40 || len(c.Dropped)+len(c.Failed) != 0 {
			t.Errorf("%+v", c)
		}
	}
}

// What is malformed, or what we cannot answer ourselves, is nobody else's business; alone nobody is asked.
func TestNobodyIsAsked(t *testing.T) {
	w := newWorld(t, 1)
	w.remotes[0].says()
	for _, q := range []string{`"never closed`, "", strings.Repeat("x ", 2000)} {
		_, _ = w.fed.Search(t.Context(), concord.Request{Query: q, Limit: 10})
	}
	if n := w.remotes[0].times(); n != 0 {
		t.Errorf("asked %d times", n)
	}
	if _, err := w.fed.Search(t.Context(), concord.Request{Query: "explode", Limit: 10}); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("our own index fails: %v", err)
	}
	alone := newWorld(t, 0)
	if a := alone.search("harbour"); a.Operators != nil {
		t.Errorf("%+v", a.Operators)
	}
}

// Every lie is dropped, named and counted, and what is true beside it stays.
func TestLies(t *testing.T) {
	w := newWorld(t, 1)
	bob := w.remotes[0]
	mine := w.honest("bob.example", harbour, boats, nets)
	others := w.honest("alice.example", harbour)
	elsewhere := newLog(names...).honest("bob.example", doc{"https://else.example/", "x", "harbour"})
	ahead := newLog(names[:2]...)
	for range 20 {
		ahead.append("not in our copy yet")
	}
	late := ahead.honest("bob.example", harbour)
	forged := newLog("alice.example", "bob.example") // the same members, another history
	history := forged.honest("bob.example", doc{"https://forged.example/", "Forged", "harbour, says bob"})
	with := func(r result, change func(*Proof)) result {
		p := *r.Proof
		change(&p)
		return result{r.Capture, &p}
	}
	version := func(d doc, change func(*concord.Entry)) []result { // honest, but not by our rules
		w.change = change
		defer func() { w.change = nil }()
		return w.honest("bob.example", d)
	}
	newer := version(harbour, func(e *concord.Entry) { e.Profile = "text-2" })
	dotted := version(harbour, func(e *concord.Entry) { e.URL = "https://harbour.example:443/wall" })
	missing := version(harbour, func(e *concord.Entry) { e.Status = 404 })
	disguised := doc{"https://disguise.example/", "harbour", "harbour \u202egnp.exe"}
	raw := concord.Sum([]byte(disguised.title + " " + disguised.body))
	reversed := version(disguised, func(e *concord.Entry) { e.Text = raw })
	failedPage := func() result { // attested, but it was no answer with a page
		d := doc{"https://gone.example/", "Gone", "the harbour is gone"}
		r := w.honest("bob.example", d)[0]
		return with(r, func(p *Proof) { p.Receipt = strings.Replace(p.Receipt, "index ", "index 1", 1) })
	}()
	for name, tc := range map[string]struct {
		list []result
		want map[string]int
	}{
		"another text":                         {[]result{with(mine[0], func(p *Proof) { p.Text = strings.Replace(p.Text, "Monday", "Sunday", 1) })}, map[string]int{"text": 1}},
		"a word more":                          {[]result{with(mine[0], func(p *Proof) { p.Text += " harbour" })}, map[string]int{"text": 1}},
		"the same words, not normalised":       {[]result{with(mine[0], func(p *Proof) { p.Text = strings.Replace(p.Text, " council", "  \u202ecouncil", 1) })}, map[string]int{"text": 1}},
		"the text of another page of its":      {[]result{{"x", &Proof{mine[0].Proof.Receipt, mine[1].Proof.Text, 0}}}, map[string]int{"text": 1}},
		"someone else's receipt":               {others, map[string]int{"receipt": 1}},
		"a receipt of another log":             {elsewhere, map[string]int{"receipt": 1}},
		"a receipt of a history of its own":    {history, map[string]int{"receipt": 1}},
		"a receipt that our copy is behind of": {late, map[string]int{"ahead": 1}},
		"another entry's place":                {[]result{failedPage}, map[string]int{"ahead": 1}},
		"a replay for another URL": {[]result{with(mine[0], func(p *Proof) {
			p.Receipt = string(swapURL(p.Receipt, "https://bank.example/"))
		})}, map[string]int{"receipt": 1}},
		"no receipt at all":                  {[]result{with(mine[0], func(p *Proof) { p.Receipt = "" })}, map[string]int{"receipt": 1}},
		"garbage for a receipt":              {[]result{with(mine[0], func(p *Proof) { p.Receipt = strings.Repeat("\x00", 1000) })}, map[string]int{"receipt": 1}},
		"a cut batch path":                   {[]result{with(mine[0], func(p *Proof) { p.Receipt = cutPath(p.Receipt) })}, map[string]int{"receipt": 1}},
		"text by newer rules":                {newer, map[string]int{"rules": 1}},
		"a URL by other rules":               {dotted, map[string]int{"rules": 1}},
		"a page that is not there":           {missing, map[string]int{"receipt": 1}},
		"attested, but not as the rules say": {[]result{with(reversed[0], func(p *Proof) { p.Text = disguised.title + " " + disguised.body })}, map[string]int{"text": 1}},
		"the truth, ten times":               {slices.Repeat(mine[:1], 10), map[string]int{}},
		"nothing that matches":               {nil, map[string]int{}},
		"a page that matches not":            {w.honest("bob.example", doc{"https://off.example/", "Off", "casino casino casino"}), map[string]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			w.fed.operators.byName["bob.example"] = nil // what it did before is forgotten
			delete(w.fed.operators.byName, "bob.example")
			bob.says(append(slices.Clone(tc.list), mine[2])[:min(len(tc.list)+1, MaxResults)]...)
			a := w.search("harbour")
			want := []string{nets.url}
			if name == "the truth, ten times" {
				want = []string{harbour.url}
			}
			if !cmp.Equal(urls(a), want) {
				t.Errorf("found %v, want %v", urls(a), want)
			}
			got := a.Operators[0].Dropped
			if got == nil {
				got = map[string]int{}
			}
			if !a.Operators[0].Answered || !cmp.Equal(got, tc.want) {
				t.Errorf("%+v, want dropped: %v", a.Operators[0], tc.want)
			}
			counted := w.fed.Counters()[0]
			for r, n := range tc.want {
				if counted.Dropped[r] != uint64(n) {
					t.Errorf("counted %+v, want %s %d", counted, r, n)
				}
			}
		})
	}
}

// swapURL changes the URL of a receipt's entry and nothing else.
func swapURL(proof, url string) []byte {
	p := must(receipt.Parse([]byte(proof)))
	p.Entry.URL = url
	return must(receipt.Build(*p))
}

func cutPath(proof string) string {
	p := must(receipt.Parse([]byte(proof)))
	p.BatchPath = p.BatchPath[:len(p.BatchPath)-1]
	return string(must(receipt.Build(*p)))
}

// Answers that cannot be used, and addresses that are not asked, cost nothing but their time.
func TestBadAnswers(t *testing.T) {
	w := newWorld(t, 2, func(c *Config) { c.Timeout = 10 * time.Second })
	bob, carol := w.remotes[0], w.remotes[1]
	carol.says(w.honest("carol.example", nets)...)
	good := w.honest("bob.example", harbour)
	body := func(s string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, s)
		}
	}
	elsewhere := newRemote(t, "elsewhere")
	elsewhere.says(good...)
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		why    string
		reason Reason
	}{
		"garbage":        {body("\x00\xff{{{"), "its answer cannot be read", Malformed},
		"deep":           {body(strings.Repeat("[", 1<<20)), "its answer cannot be read", Malformed},
		"nothing":        {body(""), "its answer cannot be read", Malformed},
		"no results":     {body(`{}`), "has no results", Malformed},
		"null":           {body(`{"results":null}`), "has no results", Malformed},
		"no proof":       {body(`{"results":[{"capture":"x"}]}`), "has no proof", Malformed},
		"no capture":     {body(`{"results":[{"proof":{"receipt":"","text":"","title":0}}]}`), "names no capture", Malformed},
		"a title beyond": {body(`{"results":[{"capture":"x","proof":{"receipt":"","text":"abc","title":9}}]}`), "malformed", Malformed},
		"a title within": {body(`{"results":[{"capture":"x","proof":{"receipt":"","text":"abc","title":-1}}]}`), "malformed", Malformed},
		"too many":       {func(w http.ResponseWriter, _ *http.Request) { writeResults(w, slices.Repeat(good, 11)) }, "11 results", Malformed},
		"oversize": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"results":[],"x":"`)
			chunk := strings.Repeat("x", 1<<16)
			for range 1000 {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		}, "longer than", Malformed},
		"another type": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `{"results":[]}`)
		}, "not application/json", Malformed},
		"slow": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Second):
			}
		}, "took too long", Timeout},
		"drip": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, " "); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}, "took too long", Timeout},
		"an error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "status 503", Unreachable},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
		}, "redirect", Unreachable},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			delete(w.fed.operators.byName, "bob.example")
			bob.set(tc.answer)
			if tc.reason == Timeout {
				defer func(was time.Duration) { w.fed.cfg.Timeout = was }(w.fed.cfg.Timeout)
				w.fed.cfg.Timeout = 300 * time.Millisecond
			}
			began := time.Now()
			a := w.search("harbour")
			if took := time.Since(began); took > w.fed.cfg.Timeout+2*time.Second {
				t.Errorf("took %v", took)
			}
			if !cmp.Equal(urls(a), []string{nets.url}) {
				t.Errorf("found %v", urls(a))
			}
			if o := a.Operators[0]; o.Answered || !strings.Contains(o.Failure, tc.why) || o.Verified != 0 || !a.Operators[1].Answered {
				t.Errorf("%+v, want %q", a.Operators, tc.why)
			}
			c := w.fed.Counters()[0]
			for end := time.Now().Add(5 * time.Second); len(c.Failed) == 0 && time.Now().Before(end); c = w.fed.Counters()[0] {
				time.Sleep(time.Millisecond) // who gave up waiting does not wait for the count
			}
			if c.Failed[string(tc.reason)] != 1 || c.Answered != 0 {
				t.Errorf("counted %+v", c)
			}
		})
	}
	if n := elsewhere.times(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

func TestAddresses(t *testing.T) {
	w := newWorld(t, 1, func(c *Config) { c.AllowPrivate = false })
	w.remotes[0].says(w.honest("bob.example", harbour)...)
	if a := w.search("harbour"); a.Operators[0].Answered || !strings.Contains(a.Operators[0].Failure, "private address") {
		t.Errorf("%+v", a.Operators[0])
	}
	for _, u := range []string{"", "ftp://bob.example/", "file:///etc/passwd", "http://user:pw@bob.example/", "https:///x", "http://[::1]:80:80/", "http://localhost:1/",
		"http://169.254.169.254/", "http://[::ffff:127.0.0.1]:1/"} {
		if _, fail := w.fed.client.get(t.Context(), Operator{"bob.example", u}, searchPath, nil, "application/json", 100); fail == nil {
			t.Errorf("%s was asked", u)
		}
	}
	if n := w.remotes[0].times(); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// An operator whose URL leads back to us is asked for our own results only, which it cannot pass off as its own.
func TestLoop(t *testing.T) {
	w := newWorld(t, 1)
	mine := w.honest("alice.example", harbour)
	w.remotes[0].set(func(rw http.ResponseWriter, r *http.Request) { // our own API, as bob's address has it
		if r.URL.Query().Get("scope") != "own" {
			t.Error("the question would be passed on")
		}
		writeResults(rw, mine)
	})
	if a := w.search("harbour"); len(a.Hits) != 0 || a.Operators[0].Dropped["receipt"] != 1 || w.remotes[0].times() != 1 {
		t.Errorf("%+v, asked %d times", a, w.remotes[0].times())
	}
}

// Who fails again and again is asked less; one good answer makes that good.
func TestAskedLess(t *testing.T) {
	w := newWorld(t, 1)
	bob := w.remotes[0]
	bob.set(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) })
	var waits []time.Duration
	for range 9 {
		before := bob.times()
		a := w.search("harbour")
		if bob.times() != before+1 {
			t.Fatalf("not asked: %+v", a.Operators[0])
		}
		c := w.fed.Counters()[0]
		if c.Until.IsZero() {
			waits = append(waits, 0)
			continue
		}
		waits = append(waits, c.Until.Sub(w.clock))
		w.clock = c.Until.Add(-time.Second)
		if a := w.search("harbour"); bob.times() != before+1 || a.Operators[0].Answered || !strings.Contains(a.Operators[0].Failure, "in a row") {
			t.Errorf("asked while it rests: %+v", a.Operators[0])
		}
		w.clock = c.Until
	}
	if want := []time.Duration{0, 0, 5, 10, 20, 40, 80, 160, 300}; !cmp.Equal(waits, each(want, time.Second)) {
		t.Errorf("rests %v", waits)
	}
	bob.says(w.honest("bob.example", harbour)...)
	if a := w.search("harbour"); len(a.Hits) != 1 || w.fed.Counters()[0].failures() != 0 {
		t.Errorf("%+v", a)
	}
	liar := w.honest("bob.example", boats)
	liar[0].Proof.Text += "."
	bob.says(liar...)
	for range 3 {
		w.search("harbour")
	}
	if c := w.fed.Counters()[0]; c.Until.IsZero() || !strings.Contains(c.Last, "not the attested one") {
		t.Errorf("who lies rests too: %+v", c)
	}
}

func each(list []time.Duration, unit time.Duration) []time.Duration {
	for i := range list {
		list[i] *= unit
	}
	return list
}

// failures are told apart by what is shown of them.
func (c Counters) failures() int {
	if c.Until.IsZero() {
		return 0
	}
	return 1
}

// Searches side by side, one of whose callers goes away, count right.
func TestGivenUp(t *testing.T) {
	w := newWorld(t, 1)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	w.remotes[0].set(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for i := range 5 {
		w.fed.cfg.Timeout = 50 * time.Millisecond
		if a := w.search(fmt.Sprintf("harbour %d", i)); a.Operators[0].Answered {
			t.Errorf("%+v", a.Operators)
		}
		if i == 1 {
			break
		}
	}
	w.fed.cfg.Timeout = time.Minute
	_, err := w.fed.Search(t.Context(), concord.Request{Query: "explode", Limit: 10}) // our own index fails first
	if err == nil {
		t.Error("no error")
	}
	var c Counters
	right := 0 // readings in a row: a search is counted a moment after its answer
	for end := time.Now().Add(5 * time.Second); right < 20; time.Sleep(5 * time.Millisecond) {
		if c = w.fed.Counters()[0]; c.Failed["timeout"] == 2 && c.Asked == 2 {
			right++
		} else if right = 0; time.Now().After(end) {
			t.Fatalf("%+v", c)
		}
	}
}
