package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// The report is written by hand but for what lies between these lines, which every run replaces.
const (
	tablesBegin = "<!-- tables: written by make bench -->"
	tablesEnd   = "<!-- end of tables -->"
)

// replaceTables writes a report anew between the line begin and tablesEnd.
func replaceTables(path, begin, tables string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(data), begin)
	_, after, ok2 := strings.Cut(rest, tablesEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q between which to write", path, begin, tablesEnd)
	}
	return os.WriteFile(path, []byte(before+begin+"\n\n"+tables+"\n"+tablesEnd+after), 0o644)
}

// tables is the measured part of the report.
func tables(r *results) string {
	var b strings.Builder
	machineTable(&b, r.Machine, parts, r.Ran)
	for _, s := range r.Crawl {
		crawlTable(&b, &s)
	}
	if r.Index != nil || len(r.Crawl) > 0 {
		indexTable(&b, r)
	}
	freshnessTable(&b, r.Freshness)
	if r.Memory != nil {
		memoryTable(&b, r.Memory)
	}
	for _, p := range r.Profile {
		profileTable(&b, &p)
	}
	return b.String()
}

func machineTable(b *strings.Builder, m machine, parts []string, ran map[string]stamp) {
	fmt.Fprintf(b, "Machine: %s, %d cores, %d GiB, %s; %s. ", m.CPU, m.Cores, (m.Memory+1<<29)>>30, m.Kernel, m.Versions["go"])
	fmt.Fprintf(b, "Program: %s.\n\n| part | when | revision | processors busy before it |\n|---|---|---|--:|\n", m.Versions["concord"])
	for _, p := range parts {
		if s, ok := ran[p]; ok {
			fmt.Fprintf(b, "| %s | %s | %s | %.1f |\n", p, s.At.Format("2006-01-02 15:04 UTC"), s.Revision, s.BusyBefore)
		}
	}
}

// trialNote says so when the machine was busy with other work: more than a fourth of it.
func trialNote(b *strings.Builder, m machine, parts []string, ran map[string]stamp) {
	for _, p := range parts {
		if s := ran[p]; s.BusyBefore > float64(m.Cores)/4 {
			fmt.Fprintf(b, "\n**A trial.** The machine was busy with other work (%.1f of %d processors before *%s* began): times are too long, and CPU somewhat. It has to be run again on an idle one.\n", s.BusyBefore, m.Cores, p)
			return
		}
	}
}

func crawlTable(b *strings.Builder, s *setting) {
	ours := s.Runs[0]
	fmt.Fprintf(b, "\n### Crawl: %s\n\n%d hosts, %d pages, %.1f kB a page.\n\n", s.Name, s.Hosts, s.Pages, float64(s.Bytes)/1e3/float64(max(s.Pages, 1)))
	b.WriteString("| crawler | what it does with a page | pages/s | Concord's is | CPU ms/page | Concord's is | peak MB | other load | same pages |\n|---|---|--:|--:|--:|--:|--:|--:|---|\n")
	for i, r := range s.Runs {
		speed, cpu := "", ""
		if i > 0 {
			speed, cpu = fmt.Sprintf("%.2f ×", ours.PerSecond/r.PerSecond), fmt.Sprintf("%.1f ×", ours.CPU/r.CPU)
		}
		fmt.Fprintf(b, "| %s | %s | %.0f | %s | %.2f | %s | %d | %.2f | %s |\n", r.Crawler, r.What, r.PerSecond, speed, r.CPU, cpu, r.Peak>>20, r.Others, manners(&r))
	}
	fmt.Fprintf(b, "\nEverything Concord fetched could be searched %.1f s, and had its receipt %.1f s, after the last fetch.\n", ours.Searchable-ours.Seconds, ours.Attested-ours.Seconds)
}

// manners says whether a run is comparable: the same pages, one request at a time, robots.txt obeyed.
func manners(r *crawlRun) string {
	var notes []string
	for _, n := range []struct {
		count int
		text  string
	}{{r.Missing, "missing"}, {r.Extra, "more"}, {r.Repeats, "fetched again"}, {r.Overlaps, "requests at a busy host"}, {r.Forbidden, "against robots.txt"}} {
		if n.count > 0 {
			notes = append(notes, fmt.Sprintf("%d %s", n.count, n.text))
		}
	}
	if len(notes) == 0 {
		return "yes"
	}
	return strings.Join(notes, ", ")
}

func indexTable(b *strings.Builder, r *results) {
	b.WriteString("\n### Indexing\n\n| what | documents/s | MB/s of HTML | MB/s of text |\n|---|--:|--:|--:|\n")
	row := func(name string, docs int, html, text int64, seconds float64) {
		t := "-"
		if text > 0 {
			t = fmt.Sprintf("%.1f", float64(text)/1e6/seconds)
		}
		fmt.Fprintf(b, "| %s | %.0f | %.1f | %s |\n", name, float64(docs)/seconds, float64(html)/1e6/seconds, t)
	}
	for _, s := range r.Crawl {
		if s.Delay == 0 {
			row("whole node, fetch to searchable: "+s.Name, int(s.Runs[0].Indexed), s.Bytes, 0, s.Runs[0].Searchable)
		}
	}
	x := r.Index
	if x == nil {
		return
	}
	row("extraction alone, one processor", x.Docs, x.HTML, x.Text, x.Extract)
	row("index builder alone, one processor: add", x.Docs, x.HTML, x.Text, x.Add)
	row("index builder alone, one processor: add and write durably", x.Docs, x.HTML, x.Text, x.Add+x.Write)
	fmt.Fprintf(b, "\nThe last three: %d %s, %.1f MB of HTML, %.1f MB of text; segment %.1f MB, builder %.0f MB in memory.\n",
		x.Docs, x.Corpus, float64(x.HTML)/1e6, float64(x.Text)/1e6, float64(x.Segment)/1e6, float64(x.Memory)/1e6)
}

func freshnessTable(b *strings.Builder, list []freshness) {
	if len(list) == 0 {
		return
	}
	b.WriteString("\n### Freshness\n\nSeconds from the end of the server's answer, of sampled pages.\n\n" +
		"| crawl | pages/s | samples | found: median | p95 | max | receipt: median | p95 | max | polled every |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, f := range list {
		lost := ""
		if f.Lost > 0 {
			lost = fmt.Sprintf(" (%d never)", f.Lost)
		}
		fmt.Fprintf(b, "| %s | %.0f | %d%s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.0f ms |\n", f.Name, f.PerSecond, f.Samples, lost,
			f.Found.Median, f.Found.P95, f.Found.Max, f.Receipt.Median, f.Receipt.P95, f.Receipt.Max, f.Resolution*1000)
	}
}

func memoryTable(b *strings.Builder, m *memoryResult) {
	fmt.Fprintf(b, "\n### Memory and disk\n\nOne crawl of %d hosts, %d pages, %.0f s, %.1f ms of CPU a page; peak %d MB.\n\n", m.Hosts, m.Pages, m.Seconds, m.CPU, m.Peak>>20)
	b.WriteString("| pages fetched | RSS MB | of it its own | mapped files | live heap MB | heap in use MB | data directory MB |\n|--:|--:|--:|--:|--:|--:|--:|\n")
	mb := func(n int64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) }
	for _, p := range m.Points {
		var disk int64
		for _, n := range p.Disk {
			disk += n
		}
		name := fmt.Sprint(p.Pages)
		if p.Note != "" {
			name += ", " + p.Note
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", name, mb(p.Resident.RSS), mb(p.Resident.Anon), mb(p.Resident.File), mb(p.HeapLive), mb(p.HeapInUse), mb(disk))
	}
	last := m.Points[len(m.Points)-1]
	b.WriteString("\nBytes a page on disk, at rest: ")
	var list []string
	var sum int64
	for _, part := range slices.Sorted(maps.Keys(last.Disk)) {
		sum += last.Disk[part]
		if per := last.Disk[part] / max(last.Pages, 1); per > 0 {
			list = append(list, fmt.Sprintf("%s %d", part, per))
		}
	}
	fmt.Fprintf(b, "%s; together %d. With nothing to do the node takes %.1f %% of one processor.\n", strings.Join(list, ", "), sum/max(last.Pages, 1), m.Idle)
}

func profileTable(b *strings.Builder, p *profileResult) {
	fmt.Fprintf(b, "\n### Where the time goes: %s\n\n%d pages at %.0f pages/s, %.0f s of CPU sampled. By whose work it is: a sample counts for the innermost package named here on its stack.\n\n",
		p.Name, p.Pages, p.PerSecond, p.CPU)
	b.WriteString("| part | % |\n|---|--:|\n")
	for _, l := range p.Packages {
		fmt.Fprintf(b, "| %s | %.1f |\n", l.Name, l.Percent)
	}
	b.WriteString("\nBy function, its own time alone:\n\n| function | % |\n|---|--:|\n")
	for _, l := range p.Flat {
		fmt.Fprintf(b, "| `%s` | %.1f |\n", l.Name, l.Percent)
	}
}
