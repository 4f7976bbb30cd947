package node

import (
	"context"
	"strconv"
	"time"

	"concord"
	"concord/web"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics gathers what a Prometheus server should see of the node. Counts are read when asked for, never kept twice.
func (n *Node) metrics() prometheus.Gatherer {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{n}, clusterCollector{n}, movingCollector{n}, operatorsCollector{n}, replicasCollector{n})
	return r
}

// collectTime bounds what other nodes may take to answer: a scrape that takes longer than 10 s is commonly given up, and then the numbers that
// say what is wrong are missing as well.
const collectTime = 5 * time.Second

// collector reads the node's counts.
type collector struct{ n *Node }

var (
	descBuild     = desc("build_info", "The running version; always 1.", "version")
	descFetches   = desc("crawl_fetches_total", "Answers received, by class of status (1xx to 5xx).", "class")
	descFetchErrs = desc("crawl_failures_total", "Fetches without an answer, by cause.", "cause")
	descRefused   = desc("crawl_refused_total", "URLs not fetched, by reason.", "reason")
	descBytes     = desc("crawl_bytes_total", "Payload bytes received.")
	descQueued    = desc("crawl_queued", "URLs waiting to be fetched.")
	descInFlight  = desc("crawl_in_flight", "Fetches in progress.")
	descRunning   = desc("crawl_running", "Crawls that are not finished.")
	descDocs      = desc("index_documents", "Searchable pages.", "shard")
	descSegments  = desc("index_segments", "Segments.", "shard")
	descIdxBytes  = desc("index_bytes", "Bytes of segments.", "shard")
	descLag       = desc("index_lag_messages", "Messages of the captures log not yet searchable.", "shard")
	descCaptures  = desc("captures", "Captures on record.")
	descArchive   = desc("archive_bytes", "Bytes of WARC files.")
	descHeight    = desc("ledger_height", "Height of the ledger's chain.")
	descEntries   = desc("ledger_entries", "Entries of the ledger's log.")
	descSigned    = desc("ledger_signed_entries", "Entries under the newest checkpoint.")
	descAttested  = desc("attested_captures_total", "Captures in attestations that are in the ledger.")
	descPending   = desc("attest_pending_captures", "Captures that wait for their receipt.")
	descHalted    = desc("ledger_halted", "1 when the ledger has stopped, or the node that keeps it does not answer.")
	descFree      = desc("disk_free_bytes", "Free bytes where the data directory lies.")
	descTotal     = desc("disk_total_bytes", "Size of the disk where the data directory lies.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("concord_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector: unchecked, since labels come and go.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	o := out{ch}
	gauge, counter := o.gauge, o.counter
	gauge(descBuild, 1, concord.Version)
	s := c.n.crawler.Stats()
	for class, count := range s.Status {
		counter(descFetches, float64(count), class)
	}
	for reason, count := range s.Refusals {
		counter(descRefused, float64(count), reason)
	}
	for cause, count := range s.Failures {
		counter(descFetchErrs, float64(count), cause)
	}
	counter(descBytes, float64(s.Bytes))
	var m web.MachineStatus // also when the rest cannot be told
	c.n.machine(&m)
	gauge(descFree, float64(m.DiskFree))
	gauge(descTotal, float64(m.DiskTotal))
	ctx, cancel := context.WithTimeout(context.Background(), collectTime)
	defer cancel()
	st, err := c.n.Status(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descQueued, err)
		return
	}
	gauge(descQueued, float64(st.Crawl.Queued))
	gauge(descInFlight, float64(st.Crawl.InFlight))
	gauge(descRunning, float64(st.Crawl.Running))
	for _, sh := range st.Shards {
		label := strconv.Itoa(sh.Shard)
		gauge(descDocs, float64(sh.Documents), label)
		gauge(descSegments, float64(sh.Segments), label)
		gauge(descIdxBytes, float64(sh.Bytes), label)
		gauge(descLag, float64(sh.Lag), label)
	}
	gauge(descCaptures, float64(st.Captures))
	gauge(descArchive, float64(st.Archive.Bytes))
	gauge(descHeight, float64(st.Ledger.Height))
	gauge(descEntries, float64(st.Ledger.Size))
	gauge(descSigned, float64(st.Ledger.Checkpoint))
	if a, err := c.n.attestStatsHere(); err == nil { // of a cluster, the node that attests tells
		counter(descAttested, float64(a.Attested))
	}
	gauge(descPending, float64(st.Ledger.Pending))
	gauge(descHalted, one(st.Ledger.Error != ""))
}
