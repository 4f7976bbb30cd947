package node

import (
	"context"
	"strconv"
	"time"

	"concord"
	"concord/cluster"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of a node among others. What a node says of itself is true; what it says of the whole (concord_cluster_…, concord_log_…) is how it
// sees it, which matters most when views differ. A node alone is shown as a cluster of one.

var (
	descMember     = desc("cluster_member", "1 when the node works as one of a cluster, 0 when it is alone.")
	descHears      = desc("cluster_hears", "1 when this node hears the other nodes; if not, what it says of the cluster is as it was before.")
	descNodes      = desc("cluster_nodes", "Nodes of the cluster, by state.", "state")
	descParts      = desc("cluster_partitions", "Partitions, by state.", "state")
	descPartOwned  = desc("cluster_partition_owned", "1 when a node runs the partition.", "partition")
	descServing    = desc("cluster_shard_copies", "Nodes that answer for the shard.", "shard")
	descOwnedHere  = desc("partitions_owned", "Partitions that this node runs.")
	descLost       = desc("leases_lost_total", "Leases that this node lost before it had given the partition up.")
	descCertEnd    = desc("cluster_certificate_expiry_timestamp_seconds", "When this node's certificate ends.")
	descCAEnd      = desc("cluster_authority_expiry_timestamp_seconds", "When the cluster's authority ends, and the cluster with it.")
	descCopyLag    = desc("shard_copy_lag_messages", "Messages of its log that this node's copy of the shard has not applied.", "shard")
	descCopyReady  = desc("shard_copy_ready", "1 when this node's copy of the shard answers queries.", "shard")
	descLogMsgs    = desc("log_messages", "Messages kept in the log.", "log")
	descLogBytes   = desc("log_bytes", "Bytes of the log.", "log")
	descLogCopies  = desc("log_copies", "Copies of the log that are online and current.", "log")
	descLogWanted  = desc("log_copies_wanted", "Copies that the log should have.", "log")
	descLogLeader  = desc("log_leader", "1 when the log has a leader; without, it takes no messages.", "log")
	descBusRefuses = desc("bus_refuses", "1 when the message engine takes nothing until the node is started again.")
	descBusBytes   = desc("bus_bytes", "Bytes of the message engine's files here: logs, and blobs unless they are elsewhere.")
)

// clusterCollector reads what is known of the cluster. It asks nobody, so that it answers while others do not.
type clusterCollector struct{ n *Node }

// Describe implements prometheus.Collector, unchecked.
func (clusterCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c clusterCollector) Collect(ch chan<- prometheus.Metric) {
	n, o := c.n, out{ch}
	o.gauge(descMember, one(n.clustered()))
	c.whole(o)
	c.logs(o)
	owned := 0
	for _, p := range n.partitionNames() {
		if _, ok := n.keeper.Owned(p); ok {
			owned++
		}
	}
	o.gauge(descOwnedHere, float64(owned))
	o.counter(descLost, float64(n.keeper.Lost()))
	n.placeMu.Lock()
	identity := n.identity
	n.placeMu.Unlock()
	if identity != nil {
		o.gauge(descCertEnd, float64(identity.Expires().Unix()))
		o.gauge(descCAEnd, float64(identity.AuthorityExpires().Unix()))
	}
	o.gauge(descBusRefuses, one(n.bus.WriteError() != nil))
	o.gauge(descBusBytes, float64(n.bus.Bytes()))
}

// whole tells of nodes and partitions.
func (c clusterCollector) whole(o out) {
	n := c.n
	states := map[string]int{cluster.NodeLive: 0, cluster.NodeDraining: 0, cluster.NodeDrained: 0, cluster.NodeStopped: 0, cluster.NodeDead: 0}
	parts := map[string]int{cluster.PartitionOwned: 0, cluster.PartitionMoving: 0, cluster.PartitionWaiting: 0, cluster.PartitionUnowned: 0}
	if n.members == nil {
		states[cluster.NodeLive]++
		o.gauge(descHears, 1)
		for _, p := range n.partitionNames() {
			// The shards of a node alone are open all the time, and need no lease.
			_, ok := n.keeper.Owned(p)
			if _, isShard := shardNumber(p); isShard {
				ok = true
			}
			parts[map[bool]string{true: cluster.PartitionOwned, false: cluster.PartitionUnowned}[ok]]++
			o.gauge(descPartOwned, one(ok), p)
		}
		for i := range n.layout.Shards {
			o.gauge(descServing, one(n.copies.ready(i)), strconv.Itoa(i))
		}
	} else {
		st := n.members.Status(n.partitionNames())
		o.gauge(descHears, one(st.Hears))
		for _, x := range st.Nodes {
			states[x.State]++
		}
		for _, p := range st.Partitions {
			parts[p.State]++
			o.gauge(descPartOwned, one(p.State != cluster.PartitionUnowned), p.Name)
			if i, ok := shardNumber(p.Name); ok {
				o.gauge(descServing, float64(len(p.Replicas)), strconv.Itoa(i))
			}
		}
	}
	for state, count := range states {
		o.gauge(descNodes, float64(count), state)
	}
	for state, count := range parts {
		o.gauge(descParts, float64(count), state)
	}
}

// logs tells of the logs, and of the copies of shards that are here.
func (c clusterCollector) logs(o out) {
	n := c.n
	known := n.known.get()
	if !n.clustered() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		known.logs, _ = n.bus.Logs(ctx) // in this process
		for i := range n.layout.Shards {
			last, _ := n.captures.Last(ctx, concord.CaptureSubject(i))
			known.last = append(known.last, last)
		}
	}
	for _, l := range known.logs {
		good := 0
		for _, x := range l.Copies {
			if x.Online && x.Current {
				good++
			}
		}
		o.gauge(descLogMsgs, float64(l.Messages), l.Name)
		o.gauge(descLogBytes, float64(l.Bytes), l.Name)
		o.gauge(descLogCopies, float64(good), l.Name)
		o.gauge(descLogWanted, float64(l.Replicas), l.Name)
		o.gauge(descLogLeader, one(l.Leader != ""), l.Name)
	}
	for _, s := range n.copies.list() {
		label := strconv.Itoa(s.id)
		lag := uint64(0)
		if at := s.position(); s.id < len(known.last) && known.last[s.id] > at {
			lag = known.last[s.id] - at
		}
		o.gauge(descCopyLag, float64(lag), label)
		o.gauge(descCopyReady, one(s.caughtUp()), label)
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// out writes metrics.
type out struct{ ch chan<- prometheus.Metric }

func (o out) gauge(d *prometheus.Desc, v float64, labels ...string) {
	o.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (o out) counter(d *prometheus.Desc, v float64, labels ...string) {
	o.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}
