package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"concord/web"
)

// printCluster prints the cluster for a person: what needs a look comes first and last, tables between.
func printCluster(w io.Writer, st *web.ClusterStatus) {
	line := func(label, format string, args ...any) {
		printWrapped(w, fmt.Sprintf("%-10s", label), printable(fmt.Sprintf(format, args...)))
	}
	line("cluster", "%s", st.Summary().Words())
	if st.State == web.ClusterAlone && st.Self != "" {
		fmt.Fprintln(w, "          add machines with: concord cluster token")
	}
	if st.Growing != nil {
		line("growing", "%s", growthWords(st.Growing))
	}
	if len(st.Nodes) > 0 {
		line("blobs", "%s%s", size(uint64(max(st.Blobs.Bytes, 0))), in(st.Blobs.Place))
	}
	printNodes(w, st)
	printPartitions(w, st)
	printLogs(w, st)
	if len(st.Nodes) > 0 && st.Moving+st.Unowned+len(st.Transfers)+len(st.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	for _, p := range st.Partitions {
		if p.State != web.PartitionOwned {
			line("moving", "%s", p.Name+" "+p.Words())
		}
	}
	for _, t := range st.Transfers {
		line("moving", "%s", strings.TrimSpace(t.Words()))
	}
	for _, warning := range st.Warnings {
		line("warning", "%s", warning)
	}
}

func in(place string) string {
	if place == "" {
		return ""
	}
	return " in " + place
}

// growthWords says how far growing is, the parts that are done or wait included.
func growthWords(g *web.ClusterGrowth) string {
	text := g.Words()
	if g.Partitions > 0 && g.Stage != web.GrowSave {
		text += fmt.Sprintf("; %d of %d partitions saved", g.PartitionsSaved, g.Partitions)
	}
	if g.ArchiveTotal > 0 && g.Stage != web.GrowArchive {
		text += fmt.Sprintf("; archive %s of %s", size(uint64(g.ArchiveCopied)), size(uint64(g.ArchiveTotal)))
	}
	return text
}

// table prints rows under a heading, in columns; cells are made printable.
func table(w io.Writer, title string, heads []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{heads}, rows...) {
		for i, cell := range row {
			row[i] = printable(strings.ReplaceAll(cell, "\t", " "))
		}
		fmt.Fprintln(tw, "  "+strings.Join(row, "\t"))
	}
	_ = tw.Flush() // into memory
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

func printNodes(w io.Writer, st *web.ClusterStatus) {
	var rows [][]string
	for _, n := range st.Nodes {
		name := n.Name
		if name == st.Self {
			name += " (this)"
		}
		owns := fmt.Sprint(n.Owns)
		if n.Owns != n.Assigned {
			owns += fmt.Sprintf(", should %d", n.Assigned)
		}
		state := n.State
		if len(n.Left) > 0 {
			state += fmt.Sprintf(", %d left", len(n.Left))
		}
		disk := "-"
		if n.DiskTotal > 0 {
			disk = size(n.DiskFree)
		}
		extra := n.Version
		if n.Ledger {
			extra += ", ledger"
		}
		rows = append(rows, []string{name, state, owns, disk, since(st.Time, n.LastSeen), extra})
	}
	table(w, "nodes", []string{"NAME", "STATE", "PARTITIONS", "DISK FREE", "HEARD OF", "VERSION"}, rows)
}

// since writes how long ago something was.
func since(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	return max(now.Sub(then), 0).Round(time.Second).String() + " ago"
}

func printPartitions(w io.Writer, st *web.ClusterStatus) {
	var rows [][]string
	for _, p := range st.Partitions {
		owner := p.Owner
		if owner == "" {
			owner = "-"
		}
		if p.Assigned != "" && p.Assigned != p.Owner {
			owner += " > " + p.Assigned
		}
		var places []string
		for _, r := range p.Replicas {
			places = append(places, place(r.Node, r.Lag == 0, r.Words()))
		}
		rows = append(rows, []string{p.Name, p.State, owner, strings.Join(places, ", ")})
	}
	table(w, "partitions", []string{"NAME", "STATE", "OWNER", "ANSWERED BY"}, rows)
}

func printLogs(w io.Writer, st *web.ClusterStatus) {
	var rows [][]string
	for _, l := range st.Logs {
		leader := l.Leader
		if leader == "" {
			leader = "none"
		}
		var places []string
		for _, c := range l.Copies {
			places = append(places, place(c.Node, c.Online && c.Current && c.Lag == 0, c.Words()))
		}
		rows = append(rows, []string{l.Name, fmt.Sprint(l.Messages), size(l.Bytes), fmt.Sprint(l.Replicas), leader, strings.Join(places, ", ")})
	}
	table(w, "logs", []string{"NAME", "MESSAGES", "SIZE", "COPIES", "LEADER", "AT"}, rows)
}

// place names a node that has a copy, and says so when the copy is not as it should be.
func place(node string, good bool, words string) string {
	if good {
		return node
	}
	return node + " (" + words + ")"
}
