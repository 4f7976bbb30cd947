package web

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord"
)

// errAlone is the answer to whoever wants to steer a cluster that is none.
var errAlone = concord.Errorf(concord.Conflict, "this node is alone and cannot be a member of a cluster")

// cluster returns the cluster as the caller may see it, in order, with the warnings that follow from it.
func (s *Server) cluster(ctx context.Context) (ClusterStatus, error) {
	st := ClusterStatus{State: ClusterAlone, Hears: true}
	if s.cfg.Cluster != nil {
		var err error
		if st, err = s.cfg.Cluster.Status(ctx); err != nil {
			return ClusterStatus{}, err
		}
	}
	if st.Time.IsZero() {
		st.Time = s.cfg.Now()
	}
	st.Nodes = slices.Clone(nonNil(st.Nodes))
	for i := range st.Nodes {
		st.Nodes[i].Left = nonNil(st.Nodes[i].Left)
		if !callerOf(ctx).insider() {
			st.Nodes[i].Addresses = nil
		}
	}
	if !callerOf(ctx).insider() {
		st.Blobs.Place = ""
	}
	st.Partitions = slices.Clone(nonNil(st.Partitions))
	for i := range st.Partitions {
		st.Partitions[i].Replicas = nonNil(st.Partitions[i].Replicas)
	}
	slices.SortStableFunc(st.Partitions, func(a, b ClusterPartition) int { return comparePartitions(a.Name, b.Name) })
	st.Logs = slices.Clone(nonNil(st.Logs))
	for i := range st.Logs {
		st.Logs[i].Copies = nonNil(st.Logs[i].Copies)
	}
	st.Transfers = nonNil(st.Transfers)
	st.Warnings = append(slices.Clone(nonNil(st.Warnings)), st.troubles()...)
	return st, nil
}

// comparePartitions orders "shard.2" before "shard.10".
func comparePartitions(a, b string) int {
	kindA, a, _ := strings.Cut(a, ".")
	kindB, b, _ := strings.Cut(b, ".")
	na, _ := strconv.Atoi(a) // what is no number comes first, and by its name
	nb, _ := strconv.Atoi(b)
	return cmp.Or(strings.Compare(kindA, kindB), cmp.Compare(na, nb), strings.Compare(a, b))
}

// summary returns the short form for the node's status, and the warnings; nil for a node that is alone.
func (s *Server) summary(ctx context.Context) (*ClusterSummary, []string) {
	if s.cfg.Cluster == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, summaryPatience)
	defer cancel()
	st, err := s.cluster(ctx)
	if err != nil {
		return nil, []string{"nothing is known of the cluster now: " + problemOf(err).Detail}
	}
	if st.State == ClusterAlone {
		return nil, st.Warnings
	}
	return st.Summary(), st.Warnings
}

// summaryPatience keeps a cluster that does not answer from holding up the status of the node.
const summaryPatience = 3 * time.Second
