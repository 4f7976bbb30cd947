package game

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"
)

// micros writes a time as microseconds with three digits or more.
func micros(d time.Duration) string {
	us := float64(d) / 1e3
	switch {
	case d == 0:
		return "-"
	case us < 10:
		return fmt.Sprintf("%.2f", us)
	case us < 100:
		return fmt.Sprintf("%.1f", us)
	}
	return fmt.Sprintf("%.0f", us)
}

func ratio(r float64) string {
	if math.IsNaN(r) {
		return "-"
	}
	return fmt.Sprintf("%.2f", r)
}

// Print writes the comparison as a table for a terminal: means in microseconds, and the median ratio to the best peer.
func (c *Comparison) Print(w io.Writer, runs []*Run, slow int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "command\tclass\tn\t")
	for _, r := range runs {
		fmt.Fprintf(t, "%s\t", r.Engine)
	}
	fmt.Fprint(t, "ratio\tp99\tbest p99\tbest peer\t\n")
	for _, cell := range c.Cells {
		fmt.Fprintf(t, "%s\t%s\t%d\t", cell.Command, cell.Class, cell.Times[0].Queries)
		for _, s := range cell.Times {
			fmt.Fprintf(t, "%s\t", micros(s.Mean))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", ratio(cell.Ratio), micros(cell.Times[0].P99), micros(cell.bestP99()), cell.Best)
	}
	fmt.Fprint(t, "empty\t\t\t")
	for _, r := range runs {
		fmt.Fprintf(t, "%s\t", micros(r.Empty))
	}
	fmt.Fprint(t, "\t\t\t\t\n")
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "geometric mean of the ratio to the best peer %s over %d; %d queries more than %d times slower; %d counts differ\n",
		ratio(c.Geometric), c.Compared, len(c.Slow), slowRatio, len(c.Counts))
	for _, s := range c.Slow[:min(slow, len(c.Slow))] {
		fmt.Fprintf(w, "  %s %q: %s µs, %s has %s (%.1f ×)\n", s.Command, s.Query, micros(s.Ours), s.Peer, micros(s.Theirs), s.Ratio())
	}
	for _, d := range c.Counts[:min(slow, len(c.Counts))] {
		fmt.Fprintf(w, "  %s %q: %v\n", d.Command, d.Query, d.Answers)
	}
	return nil
}

// bestP99 returns the least 99th percentile of the peers.
func (c *Cell) bestP99() (best time.Duration) {
	for _, s := range c.Times[1:] {
		if s.Queries > 0 && (best == 0 || s.P99 < best) {
			best = s.P99
		}
	}
	return best
}
