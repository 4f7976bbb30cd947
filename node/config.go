package node

import (
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"concord"
	"concord/attest"
	"concord/blob"
	"concord/cluster"
	"concord/federation"
	"concord/join"
	"concord/replica"
)

// Config is everything a node can be told. Names in the configuration file are those of the koanf tags.
type Config struct {
	Data     string   `koanf:"data"`     // data directory, created with 0700
	HTTP     string   `koanf:"http"`     // address of pages and API; loopback unless said otherwise
	Operator string   `koanf:"operator"` // name of the operator, a lower-case host name; part of every signature
	Contact  string   `koanf:"contact"`  // URL or e-mail address for people whose sites are crawled
	Origin   string   `koanf:"origin"`   // where strangers reach this node, "https://search.alice.example"; empty: taken from the request
	Hosts    []string `koanf:"hosts"`    // further host names that pages and API answer for
	Chain    string   `koanf:"chain"`    // name of the ledger, chosen once

	Shards    int         `koanf:"shards"`    // partitions of the index; fixed when the data directory is made
	Frontiers int         `koanf:"frontiers"` // partitions of the frontier; fixed likewise
	Crawl     CrawlConfig `koanf:"crawl"`
	// BatchWindow is how long captures are gathered before they are attested together, BatchWindowMax how long while they come slowly and nobody asks
	// for their receipts (less than BatchWindow: no longer than that); the same on all nodes.
	BatchWindow    time.Duration `koanf:"batch_window"`
	BatchWindowMax time.Duration `koanf:"batch_window_max"`

	Node    string        `koanf:"node"`    // name of this node in its cluster; empty: one is made up
	Cluster ClusterConfig `koanf:"cluster"` // for an operator with several machines
	// Federation is for a ledger that several operators share.
	Federation FederationConfig `koanf:"federation"`
	// OutsideWitnesses are no operators of the ledger, and are asked to cosign its heads: "<vkey> <url>" each, as anchor.ParseWitness reads it.
	OutsideWitnesses []string `koanf:"outside_witnesses"`
	NATS             string   `koanf:"nats"`  // NATS servers of the operator's own, instead of those that the nodes bring: "nats://…"
	Blobs            string   `koanf:"blobs"` // where a cluster keeps files, instead of with its nodes: "s3://bucket/prefix", "file:///dir"

	Traces        string  `koanf:"traces"`         // OpenTelemetry collector that traces are sent to over HTTP: "http://127.0.0.1:4318"; empty: none are made
	TracesPages   float64 `koanf:"traces_pages"`   // share of the pages whose life is traced, 0 to 1; the same on all nodes
	TracesQueries float64 `koanf:"traces_queries"` // share of the queries

	Join  string `koanf:"-"` // cluster address of a node whose cluster an empty data directory is to join
	Token string `koanf:"-"` // that a node of it made; not needed once the node is in the cluster

	Logger *slog.Logger `koanf:"-"`
	// Executable is this program, run again for PDF files in a process of its own; empty: PDF files are kept, not indexed.
	Executable string `koanf:"-"`
}

// ClusterConfig is this node's place among several.
type ClusterConfig struct {
	Addr      string        `koanf:"addr"`       // where the other nodes reach this one; the port after it is used as well
	Advertise string        `koanf:"advertise"`  // what the others are told when it is not Addr, as behind a container's ports
	Capacity  int           `koanf:"capacity"`   // how much this node takes beside the others
	Replicas  int           `koanf:"replicas"`   // nodes that each shard is searchable on
	Lease     time.Duration `koanf:"lease"`      // how long a silent node keeps its partitions; the same on all nodes
	Scrub     time.Duration `koanf:"scrub"`      // how often all copies of the logs are compared with each other; 0: never
	Save      time.Duration `koanf:"save"`       // how often the state of a partition is copied to the blobs
	BlobSpace int64         `koanf:"blob_space"` // bytes of each disk that blobs of the cluster may take, the same on all nodes; 0: no bound
}

func (c *ClusterConfig) advertised() string {
	if c.Advertise != "" {
		return c.Advertise
	}
	return c.Addr
}

// FederationConfig is this node's place among the operators that share the ledger.
type FederationConfig struct {
	Addr      string `koanf:"addr"`      // where the other operators' nodes reach this one; listened on only when there are any
	Advertise string `koanf:"advertise"` // what the others are told when it is not Addr

	Search        bool          `koanf:"search"`         // searches here ask the other operators as well
	SearchTimeout time.Duration `koanf:"search_timeout"` // how long they wait for them
	Replicas      int64         `koanf:"replicas"`       // bytes of the disk that other operators' batches may take; 0: none are kept
	Audit         time.Duration `koanf:"audit"`          // in which each of them is the subject of a poll once; 0: never
	// AllowPrivate lets the addresses at which other operators serve their API, and the pages that they ask to be witnessed, be on this machine
	// or on a private network.
	AllowPrivate bool `koanf:"allow_private"`
}

// CrawlConfig is how the crawler behaves towards other people's machines.
type CrawlConfig struct {
	Concurrency  int             `koanf:"concurrency"`   // fetches at a time, over all hosts
	MinDelay     time.Duration   `koanf:"min_delay"`     // between two requests to one host
	MaxDelay     time.Duration   `koanf:"max_delay"`     // upper end of the adaptive delay
	AddressDelay time.Duration   `koanf:"address_delay"` // between two requests to one address, over all its hosts
	MaxBody      int64           `koanf:"max_body"`      // bytes of one response kept
	FreeSpace    int64           `koanf:"free_space"`    // bytes that must stay free on the disk; below it nothing is fetched
	FirstRecrawl time.Duration   `koanf:"first_recrawl"` // when a page is first looked at again
	RetryAfter   []time.Duration `koanf:"retry_after"`   // pauses before the second, third, … try of a failed URL
	BackoffUnit  time.Duration   `koanf:"backoff_unit"`  // what a host's pause doubles from when it is overloaded or fails
	Patience     time.Duration   `koanf:"patience"`      // how long a crawl waits for a resting host before it counts as finished
	// Handover is how long hosts rest that come to this node from one that died: what was asked there may still be under way. 0: the longest a
	// request can take.
	Handover time.Duration `koanf:"handover"`
}

// Defaults are those of one person on one machine.
func Defaults() Config {
	return Config{
		HTTP: "127.0.0.1:7667", Operator: defaultOperator(), Chain: "concord", Shards: 4, Frontiers: 4, TracesPages: 0.01, TracesQueries: 1,
		BatchWindow: attest.DefaultWindow, BatchWindowMax: attest.DefaultMaxWindow,
		Cluster: ClusterConfig{Addr: "127.0.0.1:7668", Capacity: 1, Replicas: 2, Lease: 15 * time.Second, Save: 30 * time.Second, Scrub: 24 * time.Hour},
		Federation: FederationConfig{Addr: "127.0.0.1:7670", Search: true, SearchTimeout: federation.DefaultTimeout,
			Replicas: replica.DefaultBytes, Audit: replica.DefaultEvery},
		Crawl: CrawlConfig{
			Concurrency: 64, MinDelay: time.Second, MaxDelay: 30 * time.Second, AddressDelay: 500 * time.Millisecond,
			MaxBody: 10 << 20, FreeSpace: 1 << 30, FirstRecrawl: 7 * 24 * time.Hour,
			RetryAfter:  []time.Duration{15 * time.Minute, 2 * time.Hour, 24 * time.Hour},
			BackoffUnit: 5 * time.Second, Patience: time.Minute,
		},
	}
}

// MaxPartitions bounds shards and frontiers: each has files and a goroutine of its own.
const MaxPartitions = 64

var operatorName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// Bounds of BatchWindow and BatchWindowMax: a transaction costs the ledger more than a capture, and who waits for a receipt should live to see it.
const (
	minBatchWindow = 100 * time.Millisecond
	maxBatchWindow = time.Hour
)

// Validate says what is wrong and what to write instead.
func (c *Config) Validate() error {
	if c.Data == "" {
		return concord.Errorf(concord.Invalid, "no data directory given: use --data DIR")
	}
	if _, _, err := net.SplitHostPort(c.HTTP); err != nil {
		return concord.Errorf(concord.Invalid, "http address %q: %v; write HOST:PORT, for example 127.0.0.1:7667", c.HTTP, err)
	}
	if !operatorName.MatchString(c.Operator) || len(c.Operator) > 200 {
		return concord.Errorf(concord.Invalid, "operator %q is not a lower-case host name such as alice.example", c.Operator)
	}
	if !operatorName.MatchString(c.Chain) || strings.Contains(c.Chain, ".") || len(c.Chain) > 40 {
		return concord.Errorf(concord.Invalid, "chain name %q: use lower-case letters, digits and hyphens, at most 40", c.Chain)
	}
	if c.Shards < 1 || c.Shards > MaxPartitions || c.Frontiers < 1 || c.Frontiers > MaxPartitions {
		return concord.Errorf(concord.Invalid, "shards and frontiers must lie between 1 and %d, not %d and %d", MaxPartitions, c.Shards, c.Frontiers)
	}
	if c.Crawl.MinDelay < 0 || c.Crawl.MaxDelay < c.Crawl.MinDelay || c.Crawl.AddressDelay < 0 {
		return concord.Errorf(concord.Invalid, "crawl delays must not be negative, and max_delay not below min_delay")
	}
	if c.Crawl.Concurrency < 1 || c.Crawl.Concurrency > 4096 {
		return concord.Errorf(concord.Invalid, "crawl concurrency must lie between 1 and 4096, not %d", c.Crawl.Concurrency)
	}
	if c.BatchWindow < minBatchWindow || c.BatchWindow > maxBatchWindow {
		return concord.Errorf(concord.Invalid, "batch_window must lie between %v and %v, not be %v", minBatchWindow, maxBatchWindow, c.BatchWindow)
	}
	if c.BatchWindowMax < minBatchWindow || c.BatchWindowMax > maxBatchWindow {
		return concord.Errorf(concord.Invalid, "batch_window_max must lie between %v and %v, not be %v", minBatchWindow, maxBatchWindow, c.BatchWindowMax)
	}
	if err := c.validateCluster(); err != nil {
		return err
	}
	if err := c.validateTraces(); err != nil {
		return err
	}
	if err := c.Federation.validate(); err != nil {
		return err
	}
	if _, err := c.outsideWitnesses(); err != nil {
		return err
	}
	if c.Logger == nil {
		return concord.Errorf(concord.Invalid, "node: no logger")
	}
	return nil
}

// minLease leaves a lease renewed three times before it runs out, each within a moment of a slow disk.
const minLease = 2 * time.Second

func (c *Config) validateCluster() error {
	for _, addr := range []string{c.Cluster.Addr, c.Cluster.advertised()} {
		if _, err := engineAddr(addr); err != nil {
			return err
		}
	}
	if c.Node != "" {
		if err := join.CheckName(c.Node); err != nil {
			return err
		}
	}
	if c.Cluster.Capacity < 0 || c.Cluster.Capacity > cluster.MaxCapacity || c.Cluster.Replicas < 1 || c.Cluster.BlobSpace < 0 {
		return concord.Errorf(concord.Invalid, "cluster: capacity must lie between 0 and %d, replicas be at least 1, blob_space not be negative", cluster.MaxCapacity)
	}
	if c.Cluster.Lease < minLease || c.Cluster.Lease%time.Second != 0 || c.Cluster.Save <= 0 || c.Cluster.Scrub < 0 {
		return concord.Errorf(concord.Invalid, "cluster: lease must be whole seconds, at least %v, and save be positive", minLease)
	}
	if c.Blobs != "" {
		if _, err := blob.Parse(c.Blobs); err != nil {
			return err
		}
	}
	if c.Join == "" && c.Token != "" {
		return errJoinNeeds()
	}
	return nil
}

func errJoinNeeds() error {
	return concord.Errorf(concord.Invalid, "joining a cluster needs both its address and a token: --join HOST:PORT --token T (concord cluster token makes one)")
}

// defaultOperator names the operator after the machine, under .local, a name nobody can own.
func defaultOperator() string {
	name, err := os.Hostname()
	if err != nil {
		name = ""
	}
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	name = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, name), "-")
	if name == "" {
		name = "node"
	}
	return concord.Clip(name, 40) + ".local"
}
