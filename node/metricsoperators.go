package node

import "github.com/prometheus/client_golang/prometheus"

// operatorsCollector tells what became of asking other operators, and witnesses that are none.
type operatorsCollector struct{ n *Node }

var (
	descOpAsked    = desc("operators_asked_total", "Searches in which another operator was asked.", "operator")
	descOpAnswered = desc("operators_answered_total", "Answers of another operator that could be read.", "operator")
	descOpVerified = desc("operators_verified_results_total", "Results of another operator that held against our copy of the ledger.", "operator")
	descOpDropped  = desc("operators_dropped_results_total", "Results of another operator that did not, by reason.", "operator", "reason")
	descOpFailed   = desc("operators_failures_total", "Searches in which another operator gave no answer that can be used, by reason.", "operator", "reason")
	descOpRested   = desc("operators_rested_total", "Searches in which another operator was not asked, having failed too often.", "operator")

	descOutAsked    = desc("outside_asked_total", "Heads of the log that a witness from outside was asked to cosign.", "witness")
	descOutCosigned = desc("outside_cosigned_total", "Heads of the log that it cosigned.", "witness")
	descOutFailed   = desc("outside_failures_total", "Heads of the log that it did not cosign so that it counts, by reason.", "witness", "reason")
	descOutSize     = desc("outside_cosigned_entries", "Entries under the newest head that it cosigned.", "witness")
)

// Describe implements prometheus.Collector: unchecked, since labels come and go.
func (operatorsCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c operatorsCollector) Collect(ch chan<- prometheus.Metric) {
	o := out{ch}
	if c.n.anchor != nil {
		for _, w := range c.n.anchor.Tallies() {
			o.counter(descOutAsked, float64(w.Asked), w.Name)
			o.counter(descOutCosigned, float64(w.Cosigned), w.Name)
			o.gauge(descOutSize, float64(w.Size), w.Name)
			for reason, count := range w.Failed {
				o.counter(descOutFailed, float64(count), w.Name, reason)
			}
		}
	}
	if c.n.operators == nil {
		return
	}
	for _, s := range c.n.operators.Counters() {
		o.counter(descOpAsked, float64(s.Asked), s.Operator)
		o.counter(descOpAnswered, float64(s.Answered), s.Operator)
		o.counter(descOpVerified, float64(s.Verified), s.Operator)
		o.counter(descOpRested, float64(s.Rested), s.Operator)
		for reason, count := range s.Dropped {
			o.counter(descOpDropped, float64(count), s.Operator, reason)
		}
		for reason, count := range s.Failed {
			o.counter(descOpFailed, float64(count), s.Operator, reason)
		}
	}
}
