package scale

import "math"

// Costs are what was measured. Times of processors are those of the machine that it was measured on.
type Costs struct {
	PageCPU    float64 // seconds of processor a page, on all nodes of a cluster together, without RestCPU
	ShardCPU   float64 // of that: seconds for one copy of the page's shard
	FrontCPU   float64 // of that: seconds for the page's part of the frontier, in its one goroutine
	AttestCPU  float64 // of that: seconds of the attestor
	RestCPU    float64 // processors that a node uses at rest, besides RestGrowth
	RestGrowth float64 // processors more for each node there is

	Capture     float64 // bytes of a page's message in the captures log
	Frontier    float64 // messages of a page in the frontier log
	Archive     float64 // bytes of a page in the archive
	Index       float64 // bytes of a page in one copy of its shard
	States      float64 // bytes of a page in the saved states of partitions, besides its shard
	LogMessages float64 // messages a second that one log takes, with its copies
	LogBytes    float64 // bytes a second that one log takes, with its copies
	BlobBytes   float64 // bytes a second that the cluster's own blobs take, with their copies
	Puts        float64 // values a second that can be changed
	Renewals    float64 // leases a second that can be renewed
	WatchCPU    float64 // seconds of processor to tell one node one heartbeat, on both sides
	Heartbeat   float64 // bytes of a heartbeat
	Sockets     float64 // connections of a node to each other one

	QueryCPU    float64 // seconds of processor for a question, besides its shards
	AskShard    float64 // seconds more for each shard asked on the asked node itself
	AskRemote   float64 // seconds more again for each shard on another node
	QueryTime   float64 // seconds a question takes, besides its shards
	ShardTime   float64 // seconds that a shard takes to answer one round
	ShardSpread float64 // standard deviation of the logarithm of that
	Resident    float64 // bytes of memory of a node that works
}

// Machine is what every node is assumed to be.
type Machine struct {
	Cores   float64 // as fast as the one measured on
	Memory  float64 // bytes
	Disk    float64 // bytes
	Network float64 // bytes a second each way
	Use     float64 // part of processors, network and disk that may be used
}

// Web is what is crawled.
type Web struct {
	Fetch float64 // seconds that a fetch takes
	Pause float64 // seconds between two requests to one host
}

// Design is what the program fixes, or its settings.
type Design struct {
	Name        string
	Shards      float64 // partitions of the index
	Fronts      float64 // partitions of the frontier
	Copies      float64 // of each shard
	LogCopies   float64
	LogStreams  float64 // streams that each log is spread over
	BlobStreams float64 // streams of blobs; 0: a store that is not ours and has no limit here
	Attestors   float64
	Fetches     float64 // at a time on a node
	Lease       float64 // seconds that a silent node counts as live
	Beats       float64 // heartbeats in that time
	Renewals    float64 // of a lease in that time
	Watchers    float64 // consumers that one stream may have
	Group       float64 // nodes that tell each other all heartbeats; 0: all of them
	BlobShare   float64 // of a disk that blobs may take
}

// Model is one cluster.
type Model struct {
	Costs   Costs
	Machine Machine
	Web     Web
	Design  Design
}

// Limit is the rate at which one thing is used up.
type Limit struct {
	Name string
	Rate float64 // a second; +Inf when nothing of it is used
}

// Least returns the limit that is reached first.
func Least(list []Limit) Limit {
	least := Limit{Rate: math.Inf(1)}
	for _, l := range list {
		if l.Rate < least.Rate {
			least = l
		}
	}
	return least
}

// Names of limits.
const (
	Processors = "processors"
	Partitions = "partitions of the frontier"
	ShardFolds = "shards, each one goroutine"
	Fetches    = "fetches at a time"
	Captures   = "captures log, one leader"
	Frontier   = "frontier log, one leader"
	Blobs      = "blobs, one leader"
	Attestor   = "attestor"
	Heartbeats = "heartbeats written"
	Telling    = "heartbeats told, network"
	Hearing    = "heartbeats told, processors"
	Watchers   = "watchers of one stream"
	Leases     = "leases renewed"
	Replies    = "network of the asked nodes"
)

// PageLimits are the pages a second that each part allows on n nodes.
func (m *Model) PageLimits(n float64) []Limit {
	c, d, k := &m.Costs, &m.Design, &m.Machine
	working := math.Min(n, d.Fronts) // nodes that have a part of the frontier
	use := k.Use
	return []Limit{
		{Processors, n * m.spare(n) / c.PageCPU},
		// What is not done for shards is done where the part of the frontier is, on at most as many nodes as there are parts.
		{Partitions, math.Min(working*m.spare(n)/positive(c.PageCPU-c.ShardCPU*d.Copies), rate(d.Fronts*use, c.FrontCPU))},
		{ShardFolds, rate(d.Shards*use, c.ShardCPU)},
		{Fetches, working * d.Fetches / m.Web.Fetch},
		{Captures, use * d.LogStreams * math.Min(c.LogMessages, c.LogBytes/c.Capture)},
		{Frontier, use * d.LogStreams * rate(c.LogMessages, c.Frontier)},
		{Blobs, m.blobRate()},
		{Attestor, rate(d.Attestors*use, c.AttestCPU)},
	}
}

// archiveWrites is how often the bytes of a page are put into blobs: in small pieces at once, and in a large one later.
const archiveWrites = 2

func (m *Model) blobRate() float64 {
	if m.Design.BlobStreams == 0 {
		return math.Inf(1)
	}
	return m.Machine.Use * m.Design.BlobStreams * m.Costs.BlobBytes / (archiveWrites*m.Costs.Archive + m.Costs.Index + m.Costs.States)
}

// spare is how many processors of one of n nodes are there for work.
func (m *Model) spare(n float64) float64 {
	told := math.Min(n, m.group(n))
	return math.Max(m.Machine.Cores*m.Machine.Use-m.Costs.RestCPU-m.Costs.RestGrowth*told, 0)
}

// group is how many nodes hear each other's heartbeats.
func (m *Model) group(n float64) float64 {
	if m.Design.Group == 0 {
		return n
	}
	return math.Min(n, m.Design.Group)
}

// NodeLimits are the numbers of nodes that what nodes say of themselves allows: as many as the design's groups have, when it has groups.
func (m *Model) NodeLimits() []Limit {
	c, d, k := &m.Costs, &m.Design, &m.Machine
	beats := d.Beats / d.Lease
	// All heartbeats are told by the three nodes that keep them, to all of a group: n² without groups.
	pairs := func(total float64) float64 {
		if d.Group > 0 {
			return total / d.Group
		}
		return math.Sqrt(total)
	}
	watchers := d.Watchers
	if d.Group > 0 {
		watchers = math.Inf(1)
		if d.Group > d.Watchers {
			watchers = 0
		}
	}
	return []Limit{
		{Heartbeats, k.Use * c.Puts / beats},
		{Telling, pairs(k.Use * d.LogCopies * k.Network / (beats * c.Heartbeat))},
		{Hearing, pairs(k.Use * d.LogCopies * k.Cores / (beats * c.WatchCPU))},
		{Watchers, watchers},
	}
}

// LeaseLoad is the part of the leases' store that renewing takes; it does not grow with nodes but with partitions.
func (m *Model) LeaseLoad() float64 {
	return (m.Design.Shards + m.Design.Fronts + m.Design.Attestors) * m.Design.Renewals / m.Design.Lease / m.Costs.Renewals
}

// Points of how a shard's time grows with its documents: measured on one index and one processor, see docs/INDEX-GROWTH.md. A best-ten
// query of the public benchmark takes 18 µs on 100,000 paragraphs and 83 µs on a million.
const (
	growthDocuments = 1e6
	growthSeconds   = 83e-6
	growthExponent  = 0.66
)

// ScoreCPU is the seconds that finding the best ten of a shard takes.
func ScoreCPU(documents float64) float64 {
	return growthSeconds * math.Pow(documents/growthDocuments, growthExponent)
}

// QueryCPU is what a question costs on all nodes together when the index has so many documents and the asked node has none of them.
func (m *Model) QueryCPU(documents float64) float64 {
	s := m.Design.Shards
	return m.Costs.QueryCPU + s*(m.Costs.AskShard+m.Costs.AskRemote+ScoreCPU(documents/s))
}

// answerBytes is the size of a shard's two answers and questions, places and statistics: ten places of a hundred bytes, and headers.
const answerBytes = 4 << 10

// QueryLimits are the questions a second that each part allows on n nodes over an index of so many documents.
func (m *Model) QueryLimits(n, documents float64) []Limit {
	d, c := &m.Design, &m.Costs
	score := d.Shards * (c.AskShard + ScoreCPU(documents/d.Shards))
	having := math.Min(n, d.Shards*d.Copies) // nodes that have a copy of a shard
	return []Limit{
		{Processors, n * m.spare(n) / m.QueryCPU(documents)},
		{"nodes that have a shard", rate(having*m.spare(n), score)},
		{Replies, n * m.Machine.Use * m.Machine.Network / (d.Shards * answerBytes)},
	}
}

// Capacity is where all the pages lie.
type Capacity struct {
	Disk      float64 // bytes of each node, without the cluster's own blobs
	Blobs     float64 // bytes of blobs on each of the nodes that keep them
	BlobsFit  float64 // pages whose blobs fit on those nodes
	Shard     float64 // bytes of one shard
	Documents float64 // of one shard
	Cached    float64 // part of a node's shards that its memory holds
}

// Capacity returns where so many pages lie on n nodes.
func (m *Model) Capacity(n, pages float64) Capacity {
	c, d, k := &m.Costs, &m.Design, &m.Machine
	out := Capacity{Documents: pages / d.Shards}
	out.Shard = out.Documents * c.Index
	own := pages * (c.Archive + d.Copies*c.Index + c.States) / n
	out.Disk = own
	blobs := c.Archive + c.Index + c.States
	if d.BlobStreams > 0 {
		keepers := math.Min(n, d.LogCopies*d.BlobStreams)
		out.Blobs = pages * blobs * math.Min(d.LogCopies, n) / keepers
		out.BlobsFit = keepers / math.Min(d.LogCopies, n) * d.BlobShare * k.Disk / blobs
	}
	out.Cached = math.Min((k.Memory*k.Use-c.Resident)/(pages*d.Copies*c.Index/n), 1)
	return out
}

// rate is how often a second something fits that takes cost; what takes nothing fits always.
func rate(room, cost float64) float64 {
	if cost <= 0 {
		return math.Inf(1)
	}
	return room / cost
}

// positive keeps what noise of measurements made negative from turning a limit around.
func positive(v float64) float64 { return math.Max(v, 1e-9) }
