package web

import (
	"context"
	"io"
	"net/http"
	"time"

	"concord"
)

// Crawls is the crawler as people steer and watch it. Implementations are safe for concurrent use.
type Crawls interface {
	// Start makes the crawl durable and returns it. A spec that makes no sense is an Invalid error.
	Start(ctx context.Context, spec concord.CrawlSpec) (*concord.Crawl, error)
	// Crawls returns all crawls, newest first.
	Crawls(ctx context.Context) ([]concord.Crawl, error)
	// Crawl returns one crawl; NotFound.
	Crawl(ctx context.Context, id string) (*concord.Crawl, error)
	// Stop ends a crawl: what is queued for it is dropped, what was fetched stays. NotFound; stopping twice is no error.
	Stop(ctx context.Context, id string) error
	// Hosts returns at most limit hosts: those that fetch or wait first, then the most recently active.
	Hosts(ctx context.Context, limit int) ([]concord.HostStatus, error)
	// URL says what is known about a URL. A URL nobody met has State "unknown" and is no error.
	URL(ctx context.Context, url string) (concord.URLStatus, error)
	// Recent returns at most n of the last events, newest first.
	Recent(n int) []concord.CrawlEvent
	// Watch returns the events from now on until ctx ends; the channel is then closed. A reader that is too slow loses
	// events, never the crawler its time.
	Watch(ctx context.Context) <-chan concord.CrawlEvent
	// Searchable reports whether everything a finished crawl handed to the index can be found by Searcher. NotFound.
	Searchable(ctx context.Context, crawlID string) (bool, error)
}

// Pages is what is on record about single URLs.
type Pages interface {
	// Captures returns at most limit captures of a URL, newest first; none is no error.
	Captures(ctx context.Context, url string, limit int) ([]concord.Capture, error)
	// Delete takes the page out of the index, durably. Its captures stay on record. NotFound when nothing is known of it.
	Delete(ctx context.Context, url, reason string) error
}

// Archive reads what was captured.
type Archive interface {
	// Content returns what the server sent. For a revisit it is the body of the capture it refers to. Bytes that do not
	// match the capture's digests are a Corrupt error.
	Content(ctx context.Context, c concord.Capture) (Content, error)
}

// Content is one archived response, opened.
type Content struct {
	Status    int
	Header    http.Header
	Mime      string // media type without parameters, lower case
	Charset   string // as declared or sniffed; empty: not known
	Body      []byte // the payload with its content coding removed
	Raw       []byte // the payload as its digest covers it: transfer coding removed, content coding kept
	Block     []byte // the HTTP response as it lies in the WARC record; may be nil
	NoArchive bool   // the page asks that no copy be shown (meta robots, X-Robots-Tag)
	Truncated bool   // the body was cut at the crawler's bound
}

// Receipts hands out proofs.
type Receipts interface {
	// Receipt returns the .tlog-proof file of a capture. NotFound: no such capture; Unavailable: not yet under a checkpoint.
	Receipt(ctx context.Context, captureID string) ([]byte, error)
	// Promise is Receipt, but while the capture is not yet under a checkpoint it returns the operator's signed word, of level 0
	// (receipt.Promise). NotFound; Unavailable: not even that.
	Promise(ctx context.Context, captureID string) ([]byte, error)
	// Attested says how far the proof of a capture is. NotFound: no such capture.
	Attested(ctx context.Context, captureID string) (AttestState, error)
	// Policy returns the policy file that receipts of this ledger are checked with.
	Policy() string
}

// AttestState says how far the proof of a capture is.
type AttestState struct {
	Done  bool          `json:"done"`            // a receipt can be had
	Wait  time.Duration `json:"waitNanoseconds"` // until it is expected, when not Done
	Index uint64        `json:"index,omitempty"` // ledger entry of the batch that holds it, when Done
}

// Ledger is the log that everyone can read. Reads are from memory or local disk and need no context.
type Ledger interface {
	Info() LedgerInfo
	Size() uint64
	// Checkpoint returns the newest checkpoint; its Size is 0 when there is none yet.
	Checkpoint() concord.Checkpoint
	// Checkpoints returns at most n checkpoints of sizes up to upTo, newest first; upTo 0: from the newest.
	Checkpoints(upTo uint64, n int) ([]concord.Checkpoint, error)
	// Covering returns the checkpoint that receipts of an entry are under: the earliest with a quorum of cosignatures and one from outside that covers it,
	// while there is none the earliest with a quorum, while there is none one with fewer.
	// Unavailable: nobody has signed one yet.
	Covering(index uint64) (concord.Checkpoint, error)
	// Entry returns one entry; NotFound when index is not below Size.
	Entry(index uint64) (*concord.LedgerEntry, error)
	// Entries returns at most n entries with indexes from, from+1, …
	Entries(from uint64, n int) ([]concord.LedgerEntry, error)
	// Find returns at most n entries that name a term and have an index below one, newest first. A digest that is an entry's leaf hash
	// leads to it too. None is no error. What it costs does not grow with the log.
	Find(t concord.LedgerTerm, below uint64, n int) ([]concord.LedgerEntry, error)
	// Block returns where the entries of a block lie. NotFound: there are none.
	Block(height int64) (concord.LedgerBlock, error)
	// Proof returns the tlog-proof of an entry under the newest checkpoint. NotFound; Unavailable: no checkpoint covers it.
	Proof(index uint64) ([]byte, error)
	// HashTile returns the first width hashes of tile n at a level of tiles, 32 bytes each (c2sp.org/tlog-tiles), and
	// EntryBundle its first width entries, each after its length as a big-endian uint16. A tile that the newest checkpoint
	// does not cover is NotFound.
	HashTile(level int, n uint64, width int) ([]byte, error)
	EntryBundle(n uint64, width int) ([]byte, error)
}

// LedgerInfo is what does not change from entry to entry.
type LedgerInfo struct {
	Chain     string         `json:"chain"`  // <name>:<first 12 hex digits of SHA-256(genesis file)>
	Origin    string         `json:"origin"` // of the checkpoints
	Operators []OperatorInfo `json:"operators" nullable:"false"`
	Height    int64          `json:"height"`  // of the chain
	Quorum    string         `json:"quorum"`  // in words: "1 of 1 operators must cosign"
	Genesis   time.Time      `json:"genesis"` // when the chain began
	Held      int64          `json:"held"`    // credit that open asks hold; with it the balances add up to 0
}

// OperatorInfo is one member of the ledger.
type OperatorInfo struct {
	Name  string            `json:"name"`
	State string            `json:"state"`          // "active", "candidate", "faulted", "left"
	Power int64             `json:"power"`          // votes in the ordering of entries
	Keys  map[string]string `json:"keys,omitempty"` // by purpose ("op", "cosign", "log"): verifier keys

	URL       string         `json:"url,omitempty"`      // where it serves the log
	Cosigned  uint64         `json:"cosigned"`           // entries under the newest checkpoint that it cosigned, as far as this node knows
	Seq       uint64         `json:"seq"`                // transactions it has sent
	LastBatch concord.Digest `json:"lastBatch,omitzero"` // root of its last attested batch
	Balance   int64          `json:"balance"`            // credit; it may fall to minus limit
	Limit     int64          `json:"limit"`
	ASN       string         `json:"asn,omitempty"` // where it is, as others observed it
	Region    string         `json:"region,omitempty"`
}

// Transfer moves whole archives in and out.
type Transfer interface {
	// Import reads one WARC file (plain or gzip) as a stream, archives, indexes and attests what it holds. It returns when
	// all of it is durable. On an error the summary says what was taken before it.
	Import(ctx context.Context, name string, r io.Reader) (ImportSummary, error)
	// Export writes WARC files into the directory dir of the node's own machine; site empty: everything.
	Export(ctx context.Context, dir, site string) (ExportSummary, error)
}

// Cluster is the operator's machines as people see and steer them. Implementations are safe for concurrent use.
type Cluster interface {
	// Status describes the cluster as this node sees it. It is asked for on every view of a node's status and cluster page and should
	// answer in a few milliseconds from what is known. Warnings need not say what follows from the rest: that is added.
	Status(ctx context.Context) (ClusterStatus, error)
	// Token makes a token with which uses machines can join within life; on a node that is alone the first one makes the cluster.
	// life 0 is the default. Errors: Invalid, Unavailable.
	Token(ctx context.Context, life time.Duration, uses int) (ClusterToken, error)
	// Drain orders a node to hand over what it has, or, with undo, takes that back. It returns at once; Status tells how far it is.
	// Repeating it is no error. Errors: NotFound, Conflict, Unavailable.
	Drain(ctx context.Context, node string, undo bool) error
	// Remove takes a node out for good. It has to be drained, or dead and given up with force. Errors: NotFound, Conflict, Unavailable.
	Remove(ctx context.Context, node string, force bool) error
}

// ImportSummary says what became of the records of one imported file.
type ImportSummary struct {
	Name     string   `json:"name"`
	Records  int64    `json:"records"`  // WARC records read
	Captures int64    `json:"captures"` // taken into the archive
	Indexed  int64    `json:"indexed"`  // of these, handed to the index
	Skipped  int64    `json:"skipped"`  // records that are no captures, or already here
	Damaged  int64    `json:"damaged"`  // records that could not be read
	Bytes    int64    `json:"bytes"`    // of the file as sent
	Problems []string `json:"problems,omitempty" nullable:"false"`
}

// ExportSummary says what an export wrote.
type ExportSummary struct {
	Dir     string `json:"dir"`
	Files   int64  `json:"files"`
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"`
}

// Status is what a node says about itself.
type Status struct {
	Version   string        `json:"version"`
	Operator  string        `json:"operator"`
	Node      string        `json:"node,omitempty"`
	Started   time.Time     `json:"started"`
	Uptime    time.Duration `json:"uptimeNanoseconds"`
	DataDir   string        `json:"dataDir,omitempty"` // left out for strangers
	Traces    string        `json:"traces,omitempty"`  // where traces go and of what, in words; empty: there are none. Left out for strangers
	Addr      string        `json:"addr,omitempty"`    // address served
	Documents uint64        `json:"documents"`         // searchable pages
	Sites     uint64        `json:"sites,omitempty"`   // sites they belong to; 0: not counted
	Captures  uint64        `json:"captures"`

	Shards  []ShardStatus `json:"shards" nullable:"false"`
	Archive ArchiveStatus `json:"archive"`
	Crawl   CrawlTotals   `json:"crawl"`
	Ledger  LedgerStatus  `json:"ledger"`
	Machine MachineStatus `json:"machine"`
	// Cluster is filled in by the server; nil on a node that is alone.
	Cluster *ClusterSummary `json:"cluster,omitempty"`

	Warnings []string `json:"warnings" nullable:"false"` // in plain words, each with what to do
}

// ShardStatus is the state of one partition of the index.
type ShardStatus struct {
	Shard     int    `json:"shard"`
	Documents uint64 `json:"documents"`
	Segments  int    `json:"segments"`
	Bytes     int64  `json:"bytes"`
	Lag       uint64 `json:"lag"` // messages of its log not yet searchable
	Error     string `json:"error,omitempty"`
}

// ArchiveStatus is the size of the archive.
type ArchiveStatus struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// CrawlTotals are the counts of all crawls together.
type CrawlTotals struct {
	Running  int     `json:"running"` // crawls that are not finished
	Queued   int64   `json:"queued"`
	InFlight int64   `json:"inFlight"`
	Fetched  int64   `json:"fetched"`
	Indexed  int64   `json:"indexed"`
	Failed   int64   `json:"failed"`
	Refused  int64   `json:"refused"`
	Bytes    int64   `json:"bytes"`
	Rate     float64 `json:"rate"` // fetches per second over the last minute
}

// LedgerStatus is the state of this node's ledger.
type LedgerStatus struct {
	Height     int64     `json:"height"`
	Size       uint64    `json:"size"`       // entries
	Checkpoint uint64    `json:"checkpoint"` // size that the newest checkpoint covers
	Time       time.Time `json:"time,omitzero"`
	Pending    uint64    `json:"pending"` // captures that wait for their receipt
	Error      string    `json:"error,omitempty"`
}

// MachineStatus is what the node uses of its machine.
type MachineStatus struct {
	Memory     uint64 `json:"memory"` // bytes the process holds from the operating system
	Goroutines int    `json:"goroutines"`
	DiskFree   uint64 `json:"diskFree"` // bytes free where the data directory lies
	DiskTotal  uint64 `json:"diskTotal"`
}
