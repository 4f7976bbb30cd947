package game

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// The report is written by hand but for what lies between these lines, which every run replaces.
const (
	tablesBegin = "<!-- tables: written by make bench-index -->"
	tablesEnd   = "<!-- end of tables -->"
)

// UpdateReport replaces what lies between the marks of a report. A file that is not there is made.
func UpdateReport(path, tables string) error {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		data = []byte("# Index benchmarks\n\n" + tablesBegin + "\n" + tablesEnd + "\n")
	} else if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(data), tablesBegin)
	_, after, ok2 := strings.Cut(rest, tablesEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q between which to write", path, tablesBegin, tablesEnd)
	}
	return os.WriteFile(path, []byte(before+tablesBegin+"\n\n"+tables+"\n"+tablesEnd+after), 0o644)
}

// Aims of the benchmark: the largest median ratio to the best peer of a class and command, and the largest geometric mean of all.
const (
	aimMedian    = 0.8
	aimGeometric = 0.6
)

// Markdown writes the comparison as tables: one a command, with mean and 50th, 90th and 99th percentile in microseconds.
func (c *Comparison) Markdown(b *strings.Builder, runs []*Run, slow int) {
	command := ""
	for _, cell := range c.Cells {
		if cell.Command != command {
			command = cell.Command
			fmt.Fprintf(b, "\n**%s**, µs: mean (p50 / p90 / p99)\n\n| class | queries |", command)
			for _, r := range runs {
				fmt.Fprintf(b, " %s |", r.Engine)
			}
			b.WriteString(" median ratio to the best peer |\n|---|--:|")
			b.WriteString(strings.Repeat("--:|", len(runs)+1) + "\n")
		}
		queries := 0
		for _, s := range cell.Times {
			queries = max(queries, s.Queries)
		}
		fmt.Fprintf(b, "| %s | %d |", cell.Class, queries)
		for _, s := range cell.Times {
			fmt.Fprintf(b, " %s |", s.markdown(queries))
		}
		fmt.Fprintf(b, " %s%s |\n", ratio(cell.Ratio), missed(cell.Ratio, aimMedian))
	}
	c.verdict(b, runs, slow)
}

func (s Summary) markdown(queries int) string {
	if s.Queries == 0 {
		return "-"
	}
	text := fmt.Sprintf("%s (%s / %s / %s)", micros(s.Mean), micros(s.P50), micros(s.P90), micros(s.P99))
	if s.Queries < queries {
		text += fmt.Sprintf(", %d only", s.Queries)
	}
	return text
}

// missed marks a number beyond its aim.
func missed(v, aim float64) string {
	if v > aim {
		return " ✗"
	}
	return ""
}

// verdict says what of the aims is reached.
func (c *Comparison) verdict(b *strings.Builder, runs []*Run, slow int) {
	reached, cells := 0, 0
	for _, cell := range c.Cells {
		if cell.Class == allClasses || math.IsNaN(cell.Ratio) {
			continue
		}
		if cells++; cell.Ratio <= aimMedian {
			reached++
		}
	}
	fmt.Fprintf(b, "\nGeometric mean of the ratio to the best peer, %d queries and commands: **%s**%s (aim %.1f). Median ratio at most %.1f in **%d of %d** classes and commands. "+
		"More than %d times slower than the best peer: **%d**. Counts that differ: **%d**. Round trip of a command that does nothing, in every number above:",
		c.Compared, ratio(c.Geometric), missed(c.Geometric, aimGeometric), aimGeometric, aimMedian, reached, cells, slowRatio, len(c.Slow), len(c.Counts))
	for i, r := range runs {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, " %s %s µs", r.Engine, micros(r.Empty))
	}
	b.WriteString(".\n")
	if n := min(slow, len(c.Slow)); n > 0 {
		fmt.Fprintf(b, "\nThe slowest beside the best peer, %d of %d:\n\n| command | query | µs | best peer | µs | ratio |\n|---|---|--:|---|--:|--:|\n", n, len(c.Slow))
		for _, s := range c.Slow[:n] {
			fmt.Fprintf(b, "| %s | `%s` | %s | %s | %s | %.1f |\n", s.Command, s.Query, micros(s.Ours), s.Peer, micros(s.Theirs), s.Ratio())
		}
	}
	if n := min(slow, len(c.Counts)); n > 0 {
		b.WriteString("\nCounts that differ:\n\n| command | query |")
		for _, r := range runs {
			fmt.Fprintf(b, " %s |", r.Engine)
		}
		b.WriteString("\n|---|---|" + strings.Repeat("--:|", len(runs)) + "\n")
		for _, d := range c.Counts[:n] {
			fmt.Fprintf(b, "| %s | `%s` | %s |\n", d.Command, d.Query, strings.Join(d.Answers, " | "))
		}
	}
}

// QueryPlot draws every query of a command: our time over the best peer's.
func QueryPlot(title, command string, queries []Query, runs []*Run) Plot {
	p := Plot{Title: title, X: "best peer, µs", Y: runs[0].Engine + ", µs", Diagonal: true}
	for _, class := range Classes(queries) {
		s := Series{Name: class, Dots: true}
		for i, q := range queries {
			ours, ok := runs[0].took(command, i)
			theirs, peer := bestPeer(runs, command, i)
			if ok && peer != "" && q.Class == class {
				s.Points = append(s.Points, Point{float64(theirs) / 1e3, float64(ours.Best) / 1e3})
			}
		}
		if len(s.Points) > 0 {
			p.Series = append(p.Series, s)
		}
	}
	return p
}
