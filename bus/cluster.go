package bus

import "crypto/tls"

// clusterReplicas is how many machines keep a stream of a cluster: one may be lost at any time, and a majority decides.
const clusterReplicas = 3

// Cluster says how the nodes of one operator find and trust each other.
type Cluster struct {
	Name   string      // the same on all nodes
	Listen string      // host:port for the other nodes
	Peers  []string    // host:port of other nodes; one that runs is enough, it names the rest
	TLS    *tls.Config // own certificate, and the authority that both sides of a connection must be certified by
	// Replicas is how many nodes keep each stream once there are as many. Default 3.
	Replicas int
}

// replicas returns how many copies every stream is kept in: 1 alone, 3 in a cluster of three or more.
func (b *Bus) replicas() int {
	c := b.cfg.Cluster
	if c == nil {
		return 1
	}
	if c.Replicas > 0 {
		return c.Replicas
	}
	return clusterReplicas
}
