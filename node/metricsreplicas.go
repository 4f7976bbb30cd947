package node

import "github.com/prometheus/client_golang/prometheus"

// replicasCollector tells what is kept of other operators' batches.
type replicasCollector struct{ n *Node }

var (
	descReplicas    = desc("replicas_batches", "Batches of other operators that are kept here.")
	descRepBytes    = desc("replicas_bytes", "Bytes of the disk that they take.")
	descRepMissing  = desc("replicas_missing", "Batches of other operators that are asked for, and nobody gave yet.")
	descRepAlone    = desc("replicas_alone", "Batches of other operators that nobody else had when others were last asked about them.")
	descRepOwnAlone = desc("replicas_own_alone", "Own batches that no other operator had when it was last asked about them.")
	descRepBroken   = desc("replicas_broken", "Batches of other operators whose copy is damaged and not mended yet.")
	descRepPolls    = desc("replicas_polls_total", "Polls held about batches of other operators.")
	descRepDamaged  = desc("replicas_damaged_total", "Copies of batches found damaged.")
	descRepRepaired = desc("replicas_repaired_total", "Copies of batches that were mended.")
	descRepFetched  = desc("replicas_fetched_total", "Batches that another operator sent and that gave the attested root.", "operator")
	descRepRefused  = desc("replicas_refused_total", "Batches and votes that another operator sent and that were not used, by reason.", "operator", "reason")
	descRepVotes    = desc("replicas_votes_total", "Votes of another operator, by what they came to.", "operator", "outcome")
)

// Describe implements prometheus.Collector: unchecked, since labels come and go.
func (replicasCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c replicasCollector) Collect(ch chan<- prometheus.Metric) {
	if c.n.replicas == nil {
		return
	}
	o, s := out{ch}, c.n.replicas.Status()
	o.gauge(descReplicas, float64(s.Batches))
	o.gauge(descRepBytes, float64(s.Bytes))
	o.gauge(descRepMissing, float64(s.Missing))
	o.gauge(descRepAlone, float64(s.Alone))
	o.gauge(descRepOwnAlone, float64(s.OwnAlone))
	o.gauge(descRepBroken, float64(s.Broken))
	o.counter(descRepPolls, float64(s.Polls))
	o.counter(descRepDamaged, float64(s.Damaged))
	o.counter(descRepRepaired, float64(s.Repaired))
	for _, p := range s.Operators {
		o.counter(descRepFetched, float64(p.Fetched), p.Operator)
		for reason, count := range p.Refused {
			o.counter(descRepRefused, float64(count), p.Operator, reason)
		}
		for outcome, count := range map[string]uint64{"agreed": p.Agreed, "wrong": p.Wrong, "damaged": p.Damaged, "absent": p.Absent, "lost": p.Lost} {
			o.counter(descRepVotes, float64(count), p.Operator, outcome)
		}
	}
}
