package game

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"concord/query"
)

// exactEngine serves exact evaluation.
type exactEngine struct{ x *Exact }

func (e exactEngine) Count(q query.Node) (uint64, error) {
	all, err := e.x.All(q)
	return uint64(len(all)), err
}

func (e exactEngine) Top(q query.Node, k int) ([]Scored, error) {
	all, err := e.x.All(q)
	return all[:min(k, len(all))], err
}

func (e exactEngine) TopCount(q query.Node, k int) (uint64, error) { return e.Count(q) }

func TestServe(t *testing.T) {
	x, _ := exactOf(t, "quick dog")
	in := "COUNT\tquick dog\nTOP_10\tquick\nTOP_100_COUNT\t+quick +dog\nDOCS_1\tdog -quick\nNOOP\nTOP_7\tdog\nSORT\tdog\nCOUNT\t\"open\nDOCS_0\tdog\nDOCS_2\tcat\n"
	var out bytes.Buffer
	if err := Serve(exactEngine{x}, strings.NewReader(in), &out, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if !strings.HasPrefix(lines[3], "1:0.") {
		t.Errorf("DOCS_1 answers %q", lines[3])
	}
	lines[3] = "-"
	if got, want := strings.Join(lines, " "), "4 1 1 - 1 UNSUPPORTED UNSUPPORTED UNSUPPORTED UNSUPPORTED  "; got != want {
		t.Errorf("answers are %q, want %q", got, want)
	}
}

// Servers that only echo show that times are taken, answers kept and processes ended.
func TestMeasure(t *testing.T) {
	queries := []Query{{"a", "x"}, {"b c", "y"}}
	p := Protocol{Commands: []string{"COUNT", "TOP_10"}, Passes: 2, Warmup: time.Millisecond, CPU: 0}
	log := slog.New(slog.DiscardHandler)
	five := Server{Engine: "five", Argv: []string{"sed", "-u", "s/COUNT.b.*/UNSUPPORTED/;s/.*a$/5/"}}
	six := Server{Engine: "six", JIT: true, Argv: []string{"sed", "-u", "s/.*/6/"}}
	runs, err := Measure(t.Context(), p, queries, []Server{five, six}, log)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"5 UNSUPPORTED 5 TOP_10\tb c", "6 6 6 6"} {
		count, top := runs[i].Commands["COUNT"], runs[i].Commands["TOP_10"]
		if got := strings.Join([]string{count[0].Answer, count[1].Answer, top[0].Answer, top[1].Answer}, " "); got != want {
			t.Errorf("%s answers %q, want %q", runs[i].Engine, got, want)
		}
		if count[0].Best <= 0 || count[0].Best >= time.Hour || runs[i].Empty <= 0 || runs[i].Peak <= 0 || runs[i].Open <= 0 {
			t.Errorf("measured %+v", runs[i])
		}
	}
	if runs[0].Engine != "five" || runs[1].Engine != "six" || runs[1].Warmup != 5*runs[0].Warmup {
		t.Errorf("%s warms up for %s, %s for %s", runs[0].Engine, runs[0].Warmup, runs[1].Engine, runs[1].Warmup)
	}
	for name, argv := range map[string][]string{"ends at once": {"false"}, "ends later": {"sed", "-u", "3q"}, "is not there": {"/nonexistent/server"}} {
		if _, err := Measure(t.Context(), p, queries, []Server{five, {Engine: name, Argv: argv}}, log); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a server that %s: %v", name, err)
		}
	}
}

// A child's largest resident set is its own: not what its parent has, or had.
func TestPeakIsTheChilds(t *testing.T) {
	const large = 400 << 20
	had := make([]byte, large)
	for i := 0; i < len(had); i += 4 << 10 {
		had[i] = 1
	}
	if _, _, peak, err := Job(t.Context(), "", "sleep", "0.05"); err != nil || peak <= 0 || peak > large/2 {
		t.Errorf("the peak of a small job is %d bytes: %v", peak, err)
	}
	c, err := StartChild(t.Context(), "sed", "-u", "p")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Ask("a"); err != nil {
		t.Fatal(err)
	}
	if peak, err := c.Close(); err != nil || peak <= 0 || peak > large/2 {
		t.Errorf("the peak of a small server is %d bytes: %v", peak, err)
	}
	runtime.KeepAlive(had)
}
