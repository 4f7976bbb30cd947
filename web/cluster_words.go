package web

import (
	"fmt"
	"strings"
	"time"
)

// count returns how many nodes are in a state.
func (st *ClusterStatus) count(state string) (n int) {
	for i := range st.Nodes {
		if st.Nodes[i].State == state {
			n++
		}
	}
	return n
}

// troubles says in words what is not as it should be, as far as the numbers tell.
func (st *ClusterStatus) troubles() (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if st.State == ClusterMember && !st.Hears {
		say("this node does not hear the others: what is shown may be old; see that its cluster address and the port after it are reachable")
	}
	for i := range st.Nodes {
		switch n := &st.Nodes[i]; n.State {
		case NodeDead:
			say("node %s is dead: it fell silent%s; start it again, or take it out for good with: concord cluster remove %s --force", n.Name, silentSince(st.Time, n.LastSeen), n.Name)
		case NodeDrained:
			say("node %s is drained: it can go, with: concord cluster remove %s", n.Name, n.Name)
		}
	}
	if st.Unowned > 0 {
		say("%s now%s", plural(st.Unowned, "partition runs nowhere", "partitions run nowhere"), st.whyUnowned())
	}
	for i := range st.Logs {
		switch l := &st.Logs[i]; {
		case l.Leader == "":
			say("log %s has no leader: it takes no messages until a majority of its nodes is back", l.Name)
		case l.whole() < l.Replicas:
			say("log %s has %d of %d copies; the rest is made when enough nodes are there", l.Name, l.whole(), l.Replicas)
		}
	}
	return list
}

// whyUnowned is the reason of the first partition that nobody runs.
func (st *ClusterStatus) whyUnowned() string {
	for _, p := range st.Partitions {
		if p.State == PartitionUnowned && p.Why != "" {
			return " (" + p.Name + "): " + p.Why
		}
	}
	return ": another node takes over within seconds"
}

// silentSince writes " 3 minutes ago"; nothing when the time is not known.
func silentSince(now, then time.Time) string {
	if then.IsZero() {
		return ""
	}
	return " " + ago(now.Sub(then)) + " ago"
}

// whole counts the copies that are there and take part.
func (l *ClusterLog) whole() (n int) {
	for _, c := range l.Copies {
		if c.Online && c.Current {
			n++
		}
	}
	return n
}

// Words says in one clause what the node is as regards its cluster.
func (s *ClusterSummary) Words() string {
	switch s.State {
	case ClusterAlone:
		return "this node is alone and keeps everything itself"
	case ClusterWaiting:
		return fmt.Sprintf("waits for more nodes: %d of %d are there", s.Nodes, s.Needs)
	}
	text := fmt.Sprintf("%s, %d at work", plural(s.Nodes, "node", "nodes"), s.Live)
	if s.State == ClusterGrowing {
		text = "grows into a cluster of " + text
	}
	if s.Moving > 0 {
		text += ", " + plural(s.Moving, "partition moves", "partitions move")
	}
	if s.Unowned > 0 {
		text += ", " + plural(s.Unowned, "partition runs nowhere", "partitions run nowhere")
	}
	return text
}

// Summary is the short form.
func (st *ClusterStatus) Summary() *ClusterSummary {
	return &ClusterSummary{State: st.State, Nodes: len(st.Nodes), Live: st.count(NodeLive) + st.count(NodeDraining) + st.count(NodeDrained), Needs: st.Needs,
		Moving: st.Moving, Unowned: st.Unowned, Growing: st.Growing}
}

// Words says what growing does now, with numbers.
func (g *ClusterGrowth) Words() string {
	log := ""
	if g.Stream != "" {
		log = " " + g.Stream
	}
	switch g.Stage {
	case GrowSave:
		return fmt.Sprintf("saving the states of partitions: %d of %d", g.PartitionsSaved, g.Partitions)
	case GrowArchive:
		return fmt.Sprintf("copying the archive: %s of %s", size(g.ArchiveCopied), size(g.ArchiveTotal))
	case GrowCopy:
		return fmt.Sprintf("copying log%s: %s of %s", log, size(g.Done), size(g.Total))
	case GrowRaise:
		return "giving log" + log + " its copies"
	case GrowVerify:
		return fmt.Sprintf("comparing log%s with the old one: %s of %s messages", log, number(g.Done), number(g.Total))
	case GrowDone:
		return "done"
	}
	return strings.TrimSpace(g.Stage + log)
}

// Words says how far a copy of a log is.
func (c *ClusterLogCopy) Words() string {
	switch {
	case !c.Online:
		return "away"
	case c.Lag > 0:
		return number(c.Lag) + " behind"
	case !c.Current:
		return "catching up"
	}
	return "up to date"
}

// Words says how far a replica of a partition is.
func (r *ClusterReplica) Words() string {
	if r.Lag > 0 {
		return number(r.Lag) + " behind"
	}
	return "up to date"
}

// Words says where a partition is that is not where it should be, and why.
func (p *ClusterPartition) Words() string {
	text := "runs nowhere"
	switch p.State {
	case PartitionOwned:
		return "is at " + p.Owner
	case PartitionMoving:
		text = strings.TrimSpace("is at " + p.Owner + " and moves " + p.Why)
	case PartitionWaiting:
		text = "is at " + p.Owner
		if p.Why != "" {
			text += " and " + p.Why
		}
	default:
		if p.Why != "" {
			text += ": " + p.Why
		}
	}
	return text
}

// Words says what a transfer does.
func (t *ClusterTransfer) Words() string {
	verb := "saves"
	if t.Kind == TransferLoad {
		verb = "loads"
	}
	return fmt.Sprintf("%s %s %s: %s of %s", t.Node, verb, t.Partition, size(t.Done), size(t.Total))
}
