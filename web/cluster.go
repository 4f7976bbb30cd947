package web

import "time"

// States of this node as regards its cluster.
const (
	ClusterAlone   = "alone"   // it is the only one and keeps everything itself
	ClusterWaiting = "waiting" // for more nodes: below ClusterStatus.Needs of them there is no cluster yet
	ClusterGrowing = "growing" // what one node had becomes the cluster's
	ClusterMember  = "member"
)

// States of a node.
const (
	NodeLive     = "live"
	NodeDraining = "draining" // hands over what it has
	NodeDrained  = "drained"  // has nothing any more: may be removed
	NodeStopped  = "stopped"  // said goodbye
	NodeDead     = "dead"     // fell silent
)

// States of a partition.
const (
	PartitionOwned   = "owned"
	PartitionMoving  = "moving"  // its owner is stopping, for another node
	PartitionWaiting = "waiting" // for its turn to move
	PartitionUnowned = "unowned" // nobody runs it
)

// Stages of growing. Stages of other names are shown as they are.
const (
	GrowSave    = "save"    // states of partitions go to the blobs; no Done and Total, see PartitionsSaved
	GrowArchive = "archive" // archive files go to the blobs; no Done and Total, see ArchiveCopied
	GrowCopy    = "copy"    // a log is copied; Done and Total are bytes
	GrowRaise   = "raise"   // logs get their copies; no numbers
	GrowVerify  = "verify"  // a log is read back beside the old one; Done and Total are messages
	GrowDone    = "done"
)

// Directions of a transfer.
const (
	TransferLoad = "load" // from the blobs to the node
	TransferSave = "save"
)

// ClusterStatus is the cluster as one node sees it.
type ClusterStatus struct {
	State    string         `json:"state" enum:"alone,waiting,growing,member" doc:"Of this node: alone; waiting for more nodes; growing from one node to a cluster; member of a cluster."`
	Self     string         `json:"self" doc:"Name of the node that tells; empty when it cannot be more than alone."`
	Time     time.Time      `json:"time" doc:"When it told, by its clock, as all times here."`
	Needs    int            `json:"needs,omitempty" doc:"Nodes there must be before a node that waits becomes a member."`
	Growing  *ClusterGrowth `json:"growing,omitempty" doc:"How far growing is."`
	Hears    bool           `json:"hears" doc:"The node hears the others. If not, the rest is as it was before."`
	LastBeat time.Time      `json:"lastBeat,omitzero" doc:"When the cluster last accepted the node's heartbeat."`

	Nodes      []ClusterNode      `json:"nodes" nullable:"false"`
	Partitions []ClusterPartition `json:"partitions" nullable:"false"`
	Moving     int                `json:"moving" doc:"Partitions that are moving or wait for it."`
	Unowned    int                `json:"unowned" doc:"Partitions that nobody runs."`
	Logs       []ClusterLog       `json:"logs" nullable:"false"`
	Blobs      ClusterBlobs       `json:"blobs"`
	Transfers  []ClusterTransfer  `json:"transfers" nullable:"false" doc:"States of partitions on their way between nodes and blobs."`

	Warnings []string `json:"warnings" nullable:"false" doc:"In plain words, each with what to do."`
}

// ClusterGrowth is how far growing is.
type ClusterGrowth struct {
	Stage  string `json:"stage" doc:"save, archive, copy (of a log: done and total are bytes), raise, verify (done and total are messages), done."`
	Stream string `json:"stream,omitempty" doc:"Log that it is about."`
	Done   uint64 `json:"done"`
	Total  uint64 `json:"total"`

	PartitionsSaved int   `json:"partitionsSaved"`
	Partitions      int   `json:"partitions"`
	ArchiveCopied   int64 `json:"archiveCopied" doc:"Bytes."`
	ArchiveTotal    int64 `json:"archiveTotal" doc:"Bytes."`
}

// ClusterNode is one node.
type ClusterNode struct {
	Name      string            `json:"name"`
	State     string            `json:"state" enum:"live,draining,drained,stopped,dead"`
	Version   string            `json:"version,omitempty"`
	Addresses map[string]string `json:"addresses,omitempty" nullable:"false" doc:"Host and port by purpose. Left out for callers without the key."`
	Capacity  int               `json:"capacity" doc:"How much work it takes, relative to the others."`
	Started   time.Time         `json:"started,omitzero" doc:"By its own clock."`
	LastSeen  time.Time         `json:"lastSeen,omitzero"`
	DiskFree  uint64            `json:"diskFree" doc:"Bytes."`
	DiskTotal uint64            `json:"diskTotal" doc:"Bytes; 0: not known."`
	Owns      int               `json:"owns" doc:"Partitions it runs."`
	Assigned  int               `json:"assigned" doc:"Partitions it should run."`
	Left      []string          `json:"left" nullable:"false" doc:"Of a node that leaves: what it still has to hand over."`
	Ledger    bool              `json:"ledger,omitempty" doc:"It keeps the operator's ledger."`
}

// ClusterPartition is one partition.
type ClusterPartition struct {
	Name     string           `json:"name"`
	State    string           `json:"state" enum:"owned,moving,waiting,unowned"`
	Owner    string           `json:"owner,omitempty"`
	Fence    uint64           `json:"fence,omitempty" doc:"Grows with every change of owner."`
	Since    time.Time        `json:"since,omitzero" doc:"When the owner took it."`
	Assigned string           `json:"assigned,omitempty" doc:"Node that should own it."`
	Why      string           `json:"why,omitempty" doc:"Why owner and assigned differ, or nobody runs it."`
	Replicas []ClusterReplica `json:"replicas" nullable:"false" doc:"Nodes that answer queries for it."`
}

// ClusterReplica is one node that answers queries for a partition.
type ClusterReplica struct {
	Node     string `json:"node"`
	Position uint64 `json:"position" doc:"Message of the partition's log that it has applied."`
	Lag      uint64 `json:"lag" doc:"Messages it has yet to apply."`
}

// ClusterLog is how one log is kept.
type ClusterLog struct {
	Name     string           `json:"name"`
	Messages uint64           `json:"messages"`
	Bytes    uint64           `json:"bytes"`
	Replicas int              `json:"replicas" doc:"Copies it shall have."`
	Leader   string           `json:"leader,omitempty" doc:"Node that takes its messages; none: it takes none now."`
	Copies   []ClusterLogCopy `json:"copies" nullable:"false"`
}

// ClusterLogCopy is one copy of a log.
type ClusterLogCopy struct {
	Node    string `json:"node"`
	Online  bool   `json:"online"`
	Current bool   `json:"current" doc:"It takes part in decisions."`
	Lag     uint64 `json:"lag" doc:"Messages it has yet to get, or a few more."`
}

// ClusterBlobs is where whole files are kept.
type ClusterBlobs struct {
	Place string `json:"place,omitempty" doc:"Directory, bucket, or the cluster itself. Left out for callers without the key."`
	Bytes int64  `json:"bytes"`
}

// ClusterTransfer is a partition's state on its way.
type ClusterTransfer struct {
	Node      string    `json:"node,omitempty" doc:"The node at one end; the blobs are at the other."`
	Partition string    `json:"partition"`
	Kind      string    `json:"kind" enum:"load,save" doc:"load: from the blobs to the node."`
	Started   time.Time `json:"started,omitzero"`
	Done      int64     `json:"done" doc:"Bytes."`
	Total     int64     `json:"total" doc:"Bytes."`
}

// ClusterToken lets machines join.
type ClusterToken struct {
	Token   string    `json:"token" doc:"Who has it can join, and gets the cluster's keys: treat it as a password."`
	Join    string    `json:"join" doc:"Host and port to join at."`
	Expires time.Time `json:"expires"`
}

// ClusterSummary is the cluster in the few numbers that belong to a node's status.
type ClusterSummary struct {
	State   string         `json:"state"`
	Nodes   int            `json:"nodes"`
	Live    int            `json:"live"`
	Needs   int            `json:"needs,omitempty"`
	Moving  int            `json:"moving"`
	Unowned int            `json:"unowned"`
	Growing *ClusterGrowth `json:"growing,omitempty"`
}
