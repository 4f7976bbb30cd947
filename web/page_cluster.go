package web

import (
	"net/http"
	"slices"
	"time"
)

// clusterPage is the operator's machines together.
type clusterPage struct {
	frame
	Facts    ClusterStatus
	Words    string
	Alone    bool
	Live     int
	Short    int // logs that have fewer copies than they shall have
	LogBytes uint64
	Growth   *growthBars
	Nodes    []clusterNodeRow
	Moves    []ClusterPartition // partitions that are not where they should be
	Loads    []transferRow
	Parts    []partitionRow
	Logs     []clusterLogRow
}

func (*clusterPage) template() string { return "cluster" }

// growthBars are how far growing is, with a bar for each part that has numbers.
type growthBars struct {
	Words string
	Bars  []growthBar
}

type growthBar struct {
	Name, Text  string
	Done, Total uint64
}

type clusterNodeRow struct {
	ClusterNode
	Self    bool
	Class   string // of its state
	Percent int    // of its disk that is free
	Seen    string // "3 seconds ago"
	Up      string
	Address string // for other nodes
}

type partitionRow struct {
	ClusterPartition
	Class string
	For   string // how long its owner has it
	Moves bool   // it should be another node's
	Reads []placeRow
}

type clusterLogRow struct {
	ClusterLog
	Whole  int
	Short  bool
	Places []placeRow
}

// placeRow is a copy of something at a node.
type placeRow struct {
	Node, Words string
	Leads, Good bool
}

type transferRow struct {
	ClusterTransfer
	Words string
}

func (s *Server) clusterPage(w http.ResponseWriter, r *http.Request) {
	st, err := s.cluster(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := &clusterPage{frame: frame{Title: "Cluster", Section: "cluster", BoxInTop: true, Refresh: pollSeconds}, Facts: st, Words: st.Summary().Words(),
		Alone: st.State == ClusterAlone, Live: st.Summary().Live, Growth: st.Growing.bars()}
	for _, n := range st.Nodes {
		p.Nodes = append(p.Nodes, n.row(&st))
	}
	for _, part := range st.Partitions {
		if part.State != PartitionOwned {
			p.Moves = append(p.Moves, part)
		}
		p.Parts = append(p.Parts, part.row(st.Time))
	}
	for _, l := range st.Logs {
		row := l.row()
		if row.Short {
			p.Short++
		}
		p.LogBytes += l.Bytes * uint64(max(row.Whole, 1))
		p.Logs = append(p.Logs, row)
	}
	for _, t := range st.Transfers {
		p.Loads = append(p.Loads, transferRow{t, t.Words()})
	}
	s.render(w, r, http.StatusOK, p)
}

// bars lays out g, which may be nil.
func (g *ClusterGrowth) bars() *growthBars {
	if g == nil {
		return nil
	}
	b := &growthBars{Words: g.Words()}
	add := func(name, text string, done, total uint64) {
		if total > 0 {
			b.Bars = append(b.Bars, growthBar{name, text, done, total})
		}
	}
	add("Partitions saved", number(g.PartitionsSaved)+" of "+number(g.Partitions), uint64(g.PartitionsSaved), uint64(g.Partitions))
	add("Archive copied", size(g.ArchiveCopied)+" of "+size(g.ArchiveTotal), uint64(g.ArchiveCopied), uint64(g.ArchiveTotal))
	switch g.Stage {
	case GrowCopy:
		add("Log "+g.Stream+" copied", size(g.Done)+" of "+size(g.Total), g.Done, g.Total)
	case GrowVerify:
		add("Log "+g.Stream+" compared", number(g.Done)+" of "+number(g.Total)+" messages", g.Done, g.Total)
	}
	return b
}

// stateClass is the look of a state: as it should be, for a person to look at, or neither.
func stateClass(state string) string {
	switch state {
	case NodeLive, PartitionOwned:
		return "running"
	case NodeDead, PartitionUnowned:
		return "failed"
	case NodeDraining, PartitionMoving, PartitionWaiting:
		return "held"
	}
	return ""
}

func (n ClusterNode) row(st *ClusterStatus) clusterNodeRow {
	row := clusterNodeRow{ClusterNode: n, Self: n.Name == st.Self, Class: stateClass(n.State), Address: n.Addresses["cluster"]}
	if n.DiskTotal > 0 {
		row.Percent = int(100 * float64(n.DiskFree) / float64(n.DiskTotal))
	}
	if !n.LastSeen.IsZero() {
		row.Seen = ago(st.Time.Sub(n.LastSeen)) + " ago"
		if st.Time.Sub(n.LastSeen) < time.Second {
			row.Seen = "now"
		}
	}
	if !n.Started.IsZero() && n.State != NodeDead && n.State != NodeStopped {
		row.Up = ago(st.Time.Sub(n.Started))
	}
	return row
}

func (p ClusterPartition) row(now time.Time) partitionRow {
	row := partitionRow{ClusterPartition: p, Class: stateClass(p.State), Moves: p.Assigned != "" && p.Assigned != p.Owner}
	if !p.Since.IsZero() {
		row.For = ago(now.Sub(p.Since))
	}
	for _, r := range p.Replicas {
		row.Reads = append(row.Reads, placeRow{Node: r.Node, Words: r.Words(), Good: r.Lag == 0})
	}
	return row
}

func (l ClusterLog) row() clusterLogRow {
	row := clusterLogRow{ClusterLog: l, Whole: l.whole()}
	row.Short = row.Whole < l.Replicas || l.Leader == ""
	for _, c := range l.Copies {
		row.Places = append(row.Places, placeRow{Node: c.Node, Words: c.Words(), Leads: c.Node == l.Leader, Good: c.Online && c.Current && c.Lag == 0})
	}
	slices.SortStableFunc(row.Places, func(a, b placeRow) int {
		switch {
		case a.Leads == b.Leads:
			return 0
		case a.Leads:
			return -1
		}
		return 1
	})
	return row
}
