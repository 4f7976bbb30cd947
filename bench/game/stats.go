package game

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Summary is what the best times of several queries come to.
type Summary struct {
	Queries             int
	Mean, P50, P90, P99 time.Duration
}

// Summarise returns the summary of times, which it sorts.
func Summarise(times []time.Duration) Summary {
	if len(times) == 0 {
		return Summary{}
	}
	slices.Sort(times)
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	at := func(p float64) time.Duration { return times[int(p*float64(len(times)-1)+0.5)] }
	return Summary{len(times), sum / time.Duration(len(times)), at(0.5), at(0.9), at(0.99)}
}

// median returns the middle of values, which it sorts, NaN for none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid]
	}
	return (values[mid-1] + values[mid]) / 2
}

// geometricMean returns the geometric mean of positive values, NaN for none.
func geometricMean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(values)))
}

// Comparison is one engine beside its peers: what the aims of the benchmark are about.
type Comparison struct {
	Cells []Cell // by command, then class; the class "all" comes first
	// Geometric is the geometric mean of the ratios to the best peer of all queries and commands.
	Geometric float64
	Slow      []Slow         // queries that take more than slowRatio times what the best peer takes, the worst first
	Counts    []Disagreement // queries whose counts are not those of every peer
	Compared  int            // queries and commands that were compared
}

// Cell is one command and class.
type Cell struct {
	Command, Class string
	Times          []Summary // by run: ours, then the peers'
	Ratio          float64   // the median over queries of our time by the best peer's; NaN without peers
	Best           string    // the peer that is the best of most queries
}

// Slow is a query that a peer answers much faster.
type Slow struct {
	Command, Query string
	Ours, Theirs   time.Duration
	Peer           string
}

// Ratio is how many times slower ours is.
func (s Slow) Ratio() float64 { return float64(s.Ours) / float64(s.Theirs) }

// slowRatio is the aim for single queries.
const slowRatio = 2

// Disagreement is a count in which engines differ.
type Disagreement struct {
	Command, Query string
	Answers        []string // by run
}

// allClasses names the row of all queries together.
const allClasses = "all"

// Compare compares the first run with the others. Only queries that both can answer count.
func Compare(queries []Query, commands []string, runs []*Run) *Comparison {
	c := &Comparison{}
	var ratios []float64
	for _, command := range commands {
		for _, class := range append([]string{allClasses}, Classes(queries)...) {
			cell, all := c.cell(queries, command, class, runs)
			c.Cells = append(c.Cells, cell)
			if class == allClasses {
				ratios = append(ratios, all...)
			}
		}
		c.slowest(queries, command, runs)
		c.disagreements(queries, command, runs)
	}
	slices.SortStableFunc(c.Slow, func(a, b Slow) int { return cmpFloat(b.Ratio(), a.Ratio()) })
	c.Geometric, c.Compared = geometricMean(ratios), len(ratios)
	return c
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// took returns what a query took in a run, and whether it was answered.
func (r *Run) took(command string, i int) (Took, bool) {
	all := r.Commands[command]
	if i >= len(all) || !all[i].Supported() {
		return Took{}, false
	}
	return all[i], true
}

// bestPeer returns the fastest of all runs but the first and other forms of it: "concord-bp" is no peer of "concord".
func bestPeer(runs []*Run, command string, i int) (best time.Duration, peer string) {
	for _, r := range runs[1:] {
		if strings.HasPrefix(r.Engine, runs[0].Engine) {
			continue
		}
		if t, ok := r.took(command, i); ok && (peer == "" || t.Best < best) {
			best, peer = t.Best, r.Engine
		}
	}
	return best, peer
}

func (c *Comparison) cell(queries []Query, command, class string, runs []*Run) (Cell, []float64) {
	cell := Cell{Command: command, Class: class}
	for _, r := range runs {
		var times []time.Duration
		for i, q := range queries {
			if t, ok := r.took(command, i); ok && (class == allClasses || q.Class == class) {
				times = append(times, t.Best)
			}
		}
		cell.Times = append(cell.Times, Summarise(times))
	}
	var ratios []float64
	wins := map[string]int{}
	for i, q := range queries {
		ours, ok := runs[0].took(command, i)
		theirs, peer := bestPeer(runs, command, i)
		if ok && peer != "" && (class == allClasses || q.Class == class) {
			ratios = append(ratios, float64(ours.Best)/float64(theirs))
			if wins[peer]++; wins[peer] > wins[cell.Best] {
				cell.Best = peer
			}
		}
	}
	cell.Ratio = median(ratios)
	return cell, ratios
}

func (c *Comparison) slowest(queries []Query, command string, runs []*Run) {
	for i, q := range queries {
		ours, ok := runs[0].took(command, i)
		theirs, peer := bestPeer(runs, command, i)
		if ok && peer != "" && ours.Best > slowRatio*theirs {
			c.Slow = append(c.Slow, Slow{command, q.Text, ours.Best, theirs, peer})
		}
	}
}

// disagreements compares the answers of commands that count.
func (c *Comparison) disagreements(queries []Query, command string, runs []*Run) {
	if !counts(command) {
		return
	}
	for i, q := range queries {
		answers := make([]string, len(runs))
		differ, first := false, ""
		for n, r := range runs {
			if t, ok := r.took(command, i); ok {
				answers[n] = t.Answer
				if first == "" {
					first = t.Answer
				}
				differ = differ || t.Answer != first
			}
		}
		if differ {
			c.Counts = append(c.Counts, Disagreement{command, q.Text, answers})
		}
	}
}
