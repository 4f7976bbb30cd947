package crawl

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"concord"
	"concord/durable"
	"concord/page"
	"concord/trace"
	"concord/warc"
	"concord/weburl"
)

// Config is what a Crawler is made of. Zero values mean the defaults that withDefaults names.
type Config struct {
	Dir        string // state directory: one subdirectory a partition
	Partitions int    // partitions of the frontier, 4; fixed once there is state
	Shards     int    // shards of the index, to which captures are routed; 1

	Frontier concord.Log // log of the frontier's partitions
	Captures concord.Log // log of the shards
	Archive  Archive     // where exchanges are kept
	PDF      page.PDFReader

	Operator   string // name of the operator, shown in the User-Agent
	ContactURL string // page that says who crawls and how to reach them, or a mailto: URL
	Product    string // token for robots.txt, meta robots and X-Robots-Tag; "concord"

	Politeness Politeness
	Recrawl    Recrawl
	Bounds     Bounds

	Concurrency    int   // fetches at a time over all hosts, 64
	FreeSpaceFloor int64 // bytes that stay free on the disk: below it nothing is fetched; 1 GiB, negative: no floor
	// KeepLog leaves applied messages in the frontier log, for when other nodes may take over a partition and must find
	// all of it there. Otherwise the log is trimmed to what the state has not yet made durable.
	KeepLog bool

	// Shared says that partitions may be run on other machines too. A partition's store is then opened by Run, under the partition's lease,
	// and closed when Run ends: what lies in its directory in between is for package state to say. Nothing is trimmed from the log here, and
	// the owners of a partition follow each other in its log, so that each knows whether the one before may still be asking.
	Shared bool
	Node   string // name of this machine among those that share the frontier; needed when Shared
	// Holds reports whether a partition's lease is still held by this machine's own clock. It is asked before each request and each commit,
	// so that an owner that was paused does neither. nil: always.
	Holds func(partition string) bool
	// Others asks the machines that run the other partitions for their Shares as they are now; who does not answer is left out. nil: there
	// are none.
	Others func(ctx context.Context) ([]Share, error)

	Trace  *trace.Tracer // of the lives of pages; nil: nothing is recorded
	Logger *slog.Logger

	// Hooks for tests and unusual networks; nil means the real thing.
	Resolve   func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	Roots     *x509.CertPool                                   // certificate authorities; nil: the system's
	FreeSpace func(dir string) (free, total uint64, err error) // bytes of the disk that holds dir
}

// Archive keeps exchanges. *warc.Archive is one.
type Archive interface {
	// Append makes the records durable, each group as a whole, and returns where every record lies, in the same shape.
	Append(groups [][]warc.Record) ([][]concord.Location, error)
}

// Politeness bounds what a host is asked to bear.
type Politeness struct {
	MinDelay      time.Duration   // least pause between two requests to a host, 1 s
	MaxDelay      time.Duration   // longest pause that a slow answer alone causes, 30 s
	Factor        int             // pause as a multiple of the last answer's time, 5
	PerAddress    time.Duration   // least time between two requests to an IP address, whatever the host, 500 ms
	MaxCrawlDelay time.Duration   // longest Crawl-delay of a robots.txt that is honoured, 300 s
	BackoffUnit   time.Duration   // back-off is 2^p times the answer's time, or times this if longer, 5 s
	MaxBackoff    time.Duration   // 180 s
	MaxRetryAfter time.Duration   // longest Retry-After that is honoured, 24 h
	RobotsTTL     time.Duration   // how long a robots.txt is valid, 24 h (RFC 9309 section 2.4 allows no more)
	Retries       []time.Duration // when a URL that failed is tried again, 15 min, 2 h, 24 h
	DNSRetry      time.Duration   // pause after a name that does not resolve, doubling up to MaxDNSRetry, 1 h
	MaxDNSRetry   time.Duration   // 7 days
	// Patience is how long a crawl waits for a retry or a resting host before it counts what waits there as failed for
	// now, 1 min. The retry is made all the same, and the counts are then corrected.
	Patience time.Duration
	// Handover is how long a host rests, before its delay, after its partition came to this machine from one that did not give it up in
	// order: what was asked there may still be under way. Default: the longest a request can take.
	Handover time.Duration
}

// Recrawl bounds how often a page is looked at again: × 1.5 when its text is unchanged, × 0.5 when it changed.
type Recrawl struct {
	First time.Duration // interval after the first fetch, 7 days
	Min   time.Duration // 1 h
	Max   time.Duration // 90 days
	Gone  time.Duration // until a 404 or 410 is asked for the second and last time, 24 h
	Off   bool          // never fetch a page again by itself
}

// Bounds limit one fetch and one host.
type Bounds struct {
	DialTime    time.Duration // connect and TLS handshake, 10 s
	HeaderTime  time.Duration // from the request to the end of the header, 30 s
	FetchTime   time.Duration // the whole fetch, 120 s
	MinRate     int64         // bytes a second below which a body is given up, after MinRateGrace; 1 KiB
	HeaderBytes int           // 64 KiB
	BodyBytes   int           // of an ordinary response, 10 MiB
	SitemapSize int           // of a sitemap, compressed and uncompressed, 50 MiB (sitemaps.org)
	Inflation   int           // decoded size of a body as a multiple of BodyBytes, 10
	Redirects   int           // hops from a link to its page, 10
	HostURLs    int64         // URLs of one host that one crawl takes up, 200,000: where a trap of endless names ends
	Memory      int64         // bytes of bodies held at a time, above which no fetch starts, 256 MiB
}

const (
	minRateGrace     = 10 * time.Second // slow starts are common; a stall of this length is not
	defaultFreeFloor = 1 << 30          // room for the engines to write their logs and compact
	maxPartitions    = 256              // each has a store of its own, and a crawl begins with three messages to each in one append of 1,000
	maxNodeName      = 200              // it stands in messages
	maxConcurrency   = 10_000           // each fetch holds a file descriptor
)

// withDefaults fills the zero values in. It is the one place that knows the defaults.
func (c Config) withDefaults() Config {
	def(&c.Partitions, 4)
	def(&c.Shards, 1)
	def(&c.Product, "concord")
	def(&c.Concurrency, 64)
	def(&c.FreeSpaceFloor, defaultFreeFloor)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	p := &c.Politeness
	def(&p.MinDelay, time.Second)
	def(&p.MaxDelay, max(30*time.Second, p.MinDelay))
	def(&p.Factor, 5)
	def(&p.PerAddress, 500*time.Millisecond)
	def(&p.MaxCrawlDelay, 300*time.Second)
	def(&p.BackoffUnit, 5*time.Second)
	def(&p.MaxBackoff, 180*time.Second)
	def(&p.MaxRetryAfter, 24*time.Hour)
	def(&p.RobotsTTL, 24*time.Hour)
	if p.Retries == nil {
		p.Retries = []time.Duration{15 * time.Minute, 2 * time.Hour, 24 * time.Hour}
	}
	def(&p.DNSRetry, time.Hour)
	def(&p.MaxDNSRetry, 7*24*time.Hour)
	def(&p.Patience, time.Minute)
	r := &c.Recrawl
	def(&r.First, 7*24*time.Hour)
	def(&r.Min, time.Hour)
	def(&r.Max, 90*24*time.Hour)
	def(&r.Gone, 24*time.Hour)
	b := &c.Bounds
	def(&b.DialTime, 10*time.Second)
	def(&b.HeaderTime, 30*time.Second)
	def(&b.FetchTime, 120*time.Second)
	def(&b.MinRate, 1<<10)
	def(&b.HeaderBytes, 64<<10)
	def(&b.BodyBytes, 10<<20)
	def(&b.SitemapSize, 50<<20)
	def(&b.Inflation, 10)
	def(&b.Redirects, 10)
	def(&b.HostURLs, 200_000)
	def(&b.Memory, 256<<20)
	def(&p.Handover, b.DialTime+b.FetchTime)
	if c.Resolve == nil {
		c.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.FreeSpace == nil {
		c.FreeSpace = durable.FreeSpace
	}
	return c
}

func def[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Validate says what is missing or makes no sense, before anything is opened.
func (c Config) Validate() error {
	c = c.withDefaults()
	bad := func(format string, args ...any) error {
		return concord.Errorf(concord.Invalid, "crawl configuration: "+format, args...)
	}
	switch {
	case c.Dir == "":
		return bad("no directory")
	case c.Frontier == nil || c.Captures == nil:
		return bad("the frontier log and the captures log are needed")
	case c.Shared && (c.Node == "" || len(c.Node) > maxNodeName):
		return bad("partitions are shared, so the machine needs a name of 1 to %d bytes", maxNodeName)
	case c.Archive == nil:
		return bad("an archive is needed")
	case c.Partitions < 1 || c.Partitions > maxPartitions:
		return bad("%d partitions, want 1 to %d", c.Partitions, maxPartitions)
	case c.Shards < 1:
		return bad("%d shards, want at least 1", c.Shards)
	case c.Concurrency < 1 || c.Concurrency > maxConcurrency:
		return bad("concurrency %d, want 1 to %d", c.Concurrency, maxConcurrency)
	case c.Politeness.MaxDelay < c.Politeness.MinDelay:
		return bad("longest delay %s is below the least, %s", c.Politeness.MaxDelay, c.Politeness.MinDelay)
	case c.Recrawl.Max < c.Recrawl.Min:
		return bad("longest recrawl interval %s is below the least, %s", c.Recrawl.Max, c.Recrawl.Min)
	case c.Bounds.BodyBytes < 1 || c.Bounds.HeaderBytes < 1024 || c.Bounds.SitemapSize < 1:
		return bad("a body needs at least 1 byte, a header 1024")
	case slices.Min(append([]time.Duration{0}, c.Politeness.Retries...)) < 0:
		return bad("a negative retry time")
	case strings.ContainsAny(c.Operator+c.ContactURL+c.Product, "\r\n"):
		return bad("operator, contact page and product token are one line each")
	}
	if c.ContactURL != "" && !strings.HasPrefix(c.ContactURL, "mailto:") {
		if _, err := weburl.Parse(c.ContactURL); err != nil {
			return bad("contact page: %w", err)
		}
	}
	return nil
}

// userAgent names this program, and who answers for it.
func (c *Config) userAgent() string {
	var who []string
	if c.ContactURL != "" {
		who = append(who, "+"+c.ContactURL)
	}
	if c.Operator != "" {
		who = append(who, "operated by "+c.Operator)
	}
	ua := "Concord/" + concord.Version
	if len(who) > 0 {
		ua += " (" + strings.Join(who, "; ") + ")"
	}
	return ua
}

// extractors is how many pages are taken apart at a time: more than the processors only costs memory.
func extractors() int { return max(2, runtime.GOMAXPROCS(0)) }
