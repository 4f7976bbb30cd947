package game

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

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

// A server that only echoes shows that times are taken, answers kept and processes ended.
func TestMeasure(t *testing.T) {
	queries := []Query{{"a", "x"}, {"b c", "y"}}
	p := Protocol{Commands: []string{"COUNT"}, Passes: 2, CPU: 0}
	run, err := Measure(t.Context(), p, queries, "sed", "-u", "s/COUNT.b.*/UNSUPPORTED/;s/.*a$/5/")
	if err != nil {
		t.Fatal(err)
	}
	took := run.Commands["COUNT"]
	if took[0].Answer != "5" || took[0].Best <= 0 || took[1].Supported() || run.Empty <= 0 || run.Peak <= 0 {
		t.Errorf("measured %+v", run)
	}
	if _, err := Measure(t.Context(), p, queries, "false"); err == nil {
		t.Error("a server that ends at once is measured")
	}
}
