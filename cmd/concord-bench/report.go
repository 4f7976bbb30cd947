package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"concord/bench/game"
)

// reportSlow is how many slow queries and disagreements the report lists.
const reportSlow = 10

// report is everything one comparison measured.
type report struct {
	protocol  game.Protocol
	queries   []game.Query
	field     []*contender
	missing   []string // engines that could not be built
	corpora   []corpusResult
	scaling   *scaling
	relevance []qualityRow
	slow      int
}

// write replaces the tables of a report and writes the plots beside it.
func (r *report) write(path string) error {
	var b strings.Builder
	r.head(&b)
	plots := map[string]game.Plot{}
	for _, c := range r.corpora {
		fmt.Fprintf(&b, "\n### %s: %d documents\n", strings.ToUpper(c.name[:1])+c.name[1:], c.builds[0].Documents)
		buildTable(&b, c.builds)
		for _, command := range []string{"TOP_10", "COUNT"} {
			if slices.Contains(r.protocol.Commands, command) && len(c.runs) > 1 {
				name := c.name + "-" + strings.ToLower(command)
				plots[name] = game.QueryPlot(fmt.Sprintf("%s, %s: every query", c.name, command), command, r.queries, c.runs)
				r.image(&b, path, name, plots[name].Title)
			}
		}
		c.compared.Markdown(&b, c.runs, r.slow)
		if len(c.overlaps) > 0 {
			overlapTable(&b, c.overlaps, r.queries)
		}
	}
	if r.scaling != nil {
		b.WriteString("\n### How cost grows\n")
		grown := r.scaling.plots()
		for _, name := range slices.Sorted(maps.Keys(grown)) {
			r.image(&b, path, name, grown[name].Title)
			plots[name] = grown[name]
		}
		r.scaling.markdown(&b)
	}
	if len(r.relevance) > 0 {
		b.WriteString("\n### Relevance\n\n")
		relevanceTable(&b, r.relevance)
	}
	for name, p := range plots {
		if svg := p.SVG(); svg != "" {
			if err := os.WriteFile(plotFile(path, name), []byte(svg), 0o644); err != nil {
				return err
			}
		}
	}
	if err := game.UpdateReport(path, strings.TrimPrefix(b.String(), "\n")); err != nil {
		return err
	}
	fmt.Printf("report: %s\n", path)
	return nil
}

// plotFile names the file of a plot beside the report.
func plotFile(report, name string) string {
	return strings.ToLower(strings.TrimSuffix(report, filepath.Ext(report))) + "-" + name + ".svg"
}

func (r *report) image(b *strings.Builder, report, name, title string) {
	fmt.Fprintf(b, "\n![%s](%s)\n", title, filepath.Base(plotFile(report, name)))
}

// measured are all corpora that were.
func (r *report) measured() []corpusResult {
	if r.scaling == nil {
		return r.corpora
	}
	return append(slices.Clone(r.corpora), r.scaling.sizes...)
}

// head says where, with what and how the run was made.
func (r *report) head(b *strings.Builder) {
	passes := r.protocol.Passes
	if len(r.corpora) == 0 {
		passes = min(passes, scalingPasses)
	}
	fmt.Fprintf(b, "Machine: %s. One thread, servers kept on one processor; %d passes in random order, the best of each query.\n\n", game.Machine(), passes)
	if len(r.missing) > 0 {
		fmt.Fprintf(b, "Not built on this machine, and missing from the comparison: %s.\n\n", strings.Join(r.missing, ", "))
	}
	b.WriteString("| engine | version | measured | processors busy before | warm-up a command, s | first answer after start, ms |\n|---|---|---|--:|--:|--:|\n")
	for _, c := range r.measured() {
		for i, run := range c.runs {
			fmt.Fprintf(b, "| %s | %s, %s | %s | %.1f | %.0f | %.1f |\n", run.Engine, r.field[i].version, c.name, run.At.Format("2006-01-02 15:04 UTC"), run.Busy, run.Warmup.Seconds(),
				float64(run.Open)/float64(time.Millisecond))
		}
	}
}

func buildTable(b *strings.Builder, builds []built) {
	b.WriteString("\n| engine | build, s | documents/s | documents/s of CPU | peak memory, MB | index, MB | written/index | cold open, ms |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, x := range builds {
		written, open := "-", "-"
		if x.Written > 0 {
			written = fmt.Sprintf("%.2f", float64(x.Written)/float64(x.Bytes))
		}
		if x.ColdOpen > 0 {
			open = fmt.Sprintf("%.1f", x.ColdOpen*1e3)
		}
		fmt.Fprintf(b, "| %s | %.1f | %.0f | %.0f | %.0f | %.1f | %s | %s |\n", x.Engine, x.Seconds, float64(x.Documents)/x.Seconds, float64(x.Documents)/x.CPUSeconds,
			float64(x.Peak)/1e6, float64(x.Bytes)/1e6, written, open)
	}
	buildVerdict(b, builds)
}

// reordered reports whether what an engine took to build is only what reordering another one's index took.
func reordered(engine string) bool {
	for _, c := range contenders {
		if c.name == engine {
			return c.from != ""
		}
	}
	return false
}

// Aims of building: documents a second of CPU by those of the best peer, bytes by Lucene's, and seconds to open.
const (
	aimSpeed = 1.5
	aimSize  = 1.0
	aimOpen  = 0.010
)

// buildVerdict says what of the aims is reached by the first engine.
func buildVerdict(b *strings.Builder, builds []built) {
	mark := func(reached bool) string {
		if reached {
			return ""
		}
		return " ✗"
	}
	perCPU := func(x built) float64 { return float64(x.Documents) / x.CPUSeconds }
	ours := builds[0]
	var best built
	for _, x := range builds[1:] {
		if reordered(x.Engine) {
			continue
		}
		if best.Engine == "" || perCPU(x) > perCPU(best) {
			best = x
		}
		if x.Engine == "lucene" {
			size := float64(ours.Bytes) / float64(x.Bytes)
			fmt.Fprintf(b, "\nIndex size by Lucene's: **%.2f**%s (aim %.1f).", size, mark(size <= aimSize), aimSize)
		}
	}
	if best.Engine != "" {
		speed := perCPU(ours) / perCPU(best)
		fmt.Fprintf(b, " Documents a second of CPU by those of the best peer, %s: **%.2f**%s (aim %.1f), at %.2f of its memory.",
			best.Engine, speed, mark(speed >= aimSpeed), aimSpeed, float64(ours.Peak)/float64(best.Peak))
	}
	fmt.Fprintf(b, " Cold open %.1f ms%s (aim %.0f).\n", ours.ColdOpen*1e3, mark(ours.ColdOpen <= aimOpen), aimOpen*1e3)
}

func relevanceTable(b *strings.Builder, rows []qualityRow) {
	b.WriteString("| collection | ranking | queries | nDCG@10 | MAP | R@100 | Lucene's nDCG@10 | Lucene's MAP |\n|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range rows {
		fmt.Fprintf(b, "| %s | %s | %d | %.4f | %.4f | %.4f | %.4f | %.4f |\n", r.collection.name, r.ranking, r.Queries, r.NDCG10, r.MAP, r.R100, r.collection.ndcg, r.collection.ap)
	}
}
