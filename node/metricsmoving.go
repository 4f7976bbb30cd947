package node

import (
	"strconv"

	"concord/search"
	"concord/state"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of what goes between nodes: states of partitions, the archive's copy, and questions to copies of shards.

var (
	descSaves       = desc("state_saves_total", "States of partitions saved to the blobs.")
	descSaveErrs    = desc("state_save_errors_total", "Saves that came to nothing.")
	descSaveSecs    = desc("state_save_seconds_total", "Time that saves took.")
	descSavedBytes  = desc("state_saved_bytes_total", "Bytes of the states that were saved.")
	descUploaded    = desc("state_uploaded_bytes_total", "Bytes of them that were not in the blobs before.")
	descLastSave    = desc("state_last_save_timestamp_seconds", "When this node saved a state last; 0: it has not yet.")
	descLoads       = desc("state_loads_total", "States of partitions loaded.")
	descLoadErrs    = desc("state_load_errors_total", "Loads that came to nothing.")
	descLoadSecs    = desc("state_load_seconds_total", "Time that loads took.")
	descDownloaded  = desc("state_downloaded_bytes_total", "Bytes that loads read from the blobs.")
	descDamagedBlob = desc("state_damaged_blobs_total", "Blobs that did not match their checksum.")
	descMoving      = desc("state_transfers", "Saves and loads under way.")

	descVaultLeft     = desc("archive_uncopied_bytes", "Bytes of this node's archive that are not in the blobs yet; 0 for a node alone, which has none.")
	descVaultProblems = desc("archive_copy_problems", "Archive files whose copy could not be finished.")
	descVaultWaits    = desc("archive_copy_waits", "1 when the blobs take nothing now, and fetched pages wait.")
	descDamages       = desc("archive_damaged_places", "Places of this node's WARC files that could not be read.")
	descCommits       = desc("archive_commits_total", "Commits of the archive, each an fsync.")
	descCommitSecs    = desc("archive_commit_seconds_total", "Time that writing and syncing them took.")

	descCalls      = desc("query_shard_calls_total", "Questions put to the shard by queries at this node.", "shard")
	descAsked      = desc("query_copies_asked_total", "Of them, those put to a node's copy.", "shard", "node")
	descHedges     = desc("query_hedges_total", "Times that a node's copy was asked because another was slow.", "shard", "node")
	descFailovers  = desc("query_failovers_total", "Times that a node's copy was asked because another had failed.", "shard", "node")
	descCopyErrs   = desc("query_copy_failures_total", "Errors of a node's copy.", "shard", "node")
	descHedgesNone = desc("query_hedges_refused_total", "Hedges that were due, and were over the budget.", "shard")
)

// movingCollector reads counts of this process.
type movingCollector struct{ n *Node }

// Describe implements prometheus.Collector, unchecked.
func (movingCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c movingCollector) Collect(ch chan<- prometheus.Metric) {
	o := out{ch}
	c.states(o)
	c.archive(o)
	for i, s := range c.n.fan {
		askedCopies(o, strconv.Itoa(i), s.Counts())
	}
}

func (c movingCollector) states(o out) {
	var s state.Stats
	moving := 0
	if c.n.states != nil {
		s, moving = c.n.states.Stats(), len(c.n.states.Moving())
	}
	o.counter(descSaves, float64(s.Saves))
	o.counter(descSaveErrs, float64(s.SaveErrors))
	o.counter(descSaveSecs, s.SaveTime.Seconds())
	o.counter(descSavedBytes, float64(s.SavedBytes))
	o.counter(descUploaded, float64(s.UploadedBytes))
	o.counter(descLoads, float64(s.Loads))
	o.counter(descLoadErrs, float64(s.LoadErrors))
	o.counter(descLoadSecs, s.LoadTime.Seconds())
	o.counter(descDownloaded, float64(s.DownloadedBytes))
	o.counter(descDamagedBlob, float64(s.DamagedBlobs))
	o.gauge(descMoving, float64(moving))
	last := 0.0
	if !s.LastSave.IsZero() {
		last = float64(s.LastSave.Unix())
	}
	o.gauge(descLastSave, last)
}

func (c movingCollector) archive(o out) {
	left, problems, waits := int64(0), 0, false
	if c.n.vault != nil {
		p := c.n.vault.Progress()
		left, problems, waits = p.Total-p.Done, len(p.Problems), p.Waiting != ""
	}
	o.gauge(descVaultLeft, float64(left))
	o.gauge(descVaultProblems, float64(problems))
	o.gauge(descVaultWaits, one(waits))
	a := c.n.archive.Stats()
	o.gauge(descDamages, float64(a.Damages))
	o.counter(descCommits, float64(a.Commits))
	o.counter(descCommitSecs, a.CommitTime.Seconds())
}

// askedCopies tells how the copies of one shard were asked.
func askedCopies(o out, shard string, s search.CopiesCounts) {
	o.counter(descCalls, float64(s.Calls), shard)
	o.counter(descHedgesNone, float64(s.Refused), shard)
	for _, x := range s.Copies {
		o.counter(descAsked, float64(x.Asked), shard, x.Node)
		o.counter(descHedges, float64(x.Hedges), shard, x.Node)
		o.counter(descFailovers, float64(x.Failovers), shard, x.Node)
		o.counter(descCopyErrs, float64(x.Failed), shard, x.Node)
	}
}
