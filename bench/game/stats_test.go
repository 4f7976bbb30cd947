package game

import (
	"encoding/xml"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func testRun(engine string, times ...int) *Run {
	r := &Run{Engine: engine, Commands: map[string][]Took{}}
	for _, t := range times {
		took := Took{Best: time.Duration(t) * time.Microsecond, Answer: "3"}
		if t == 0 {
			took.Answer = unsupported
		}
		r.Commands["COUNT"] = append(r.Commands["COUNT"], took)
	}
	return r
}

var testQueries = []Query{{"a", "union"}, {"b", "union"}, {"c", "phrase"}}

func TestCompare(t *testing.T) {
	ours, one, two := testRun("ours", 10, 30, 50), testRun("one", 20, 10, 0), testRun("two", 40, 60, 100)
	two.Commands["COUNT"][1].Answer = "4"
	runs := []*Run{ours, one, two}
	c := Compare(testQueries, []string{"COUNT"}, runs)
	if want := math.Cbrt(0.5 * 3 * 0.5); math.Abs(c.Geometric-want) > 1e-12 {
		t.Errorf("geometric mean is %v, want %v", c.Geometric, want)
	}
	all := c.Cells[0]
	if all.Class != "all" || all.Ratio != 0.5 || all.Times[0].Mean != 30*time.Microsecond || all.Times[1].Queries != 2 {
		t.Errorf("all is %+v", all)
	}
	if union := c.Cells[1]; union.Class != "union" || union.Ratio != 1.75 || union.Best != "one" {
		t.Errorf("union is %+v", union)
	}
	if len(c.Slow) != 1 || c.Slow[0].Query != "b" || c.Slow[0].Peer != "one" || c.Slow[0].Ratio() != 3 {
		t.Errorf("slow are %+v", c.Slow)
	}
	if len(c.Counts) != 1 || c.Counts[0].Query != "b" {
		t.Errorf("disagreements are %+v", c.Counts)
	}
}

func TestSelect(t *testing.T) {
	r := testRun("ours", 10, 30, 50).Select(testQueries, []Query{testQueries[2], {"new", "union"}}, []string{"COUNT", "TOP_10"})
	if took, ok := r.took("COUNT", 0); !ok || took.Best != 50*time.Microsecond {
		t.Errorf("selected %+v", r.Commands)
	}
	if _, ok := r.took("COUNT", 1); ok {
		t.Error("a query that was not asked has a time")
	}
}

func TestSummarise(t *testing.T) {
	var times []time.Duration
	for i := 101; i > 0; i-- {
		times = append(times, time.Duration(i))
	}
	if got, want := Summarise(times), (Summary{101, 51, 51, 91, 100}); got != want {
		t.Errorf("summary is %v, want %v", got, want)
	}
}

func TestPlotIsXML(t *testing.T) {
	runs := []*Run{testRun("ours <&>", 10, 30, 50), testRun("one", 20, 10, 70)}
	p := QueryPlot("every query", "COUNT", testQueries, runs)
	p.Series = append(p.Series, Series{Name: "line", Points: []Point{{1, 2}, {1000, 0.5}}})
	svg := p.SVG()
	if strings.Count(svg, "<circle") != 5 || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Errorf("plot is\n%s", svg)
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if (&Plot{}).SVG() != "" {
		t.Error("a plot of nothing is drawn")
	}
}

func TestUpdateReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.md")
	var b strings.Builder
	runs := []*Run{testRun("ours", 10, 30, 50), testRun("one", 20, 10, 0)}
	Compare(testQueries, []string{"COUNT"}, runs).Markdown(&b, runs, 5)
	for range 2 {
		if err := UpdateReport(path, b.String()); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), "| phrase | 1 | 50.0 (50.0 / 50.0 / 50.0) | - | - |"); n != 1 {
		t.Errorf("the report has its table %d times:\n%s", n, data)
	}
	if err := os.WriteFile(path, []byte("no marks"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := UpdateReport(path, "x"); err == nil {
		t.Error("a report without marks is replaced")
	}
}
