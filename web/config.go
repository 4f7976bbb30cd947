package web

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"time"

	"concord"
	"concord/trace"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a Server needs. Fields without "optional" must be set.
type Config struct {
	Searcher concord.Searcher
	Crawls   Crawls
	Pages    Pages
	Archive  Archive
	Receipts Receipts
	Ledger   Ledger
	Transfer Transfer
	// Cluster is what this node is a member of, or may become one of; nil: it is alone and cannot be more. Optional.
	Cluster Cluster
	// Federation is the operators that share the ledger. Optional.
	Federation Federation
	// Operators asks other operators when this one is searched; nil: nobody else is asked. Optional.
	Operators Operators
	// Replicas keeps the batches of other operators. Optional.
	Replicas Replicas
	// Witnesses are asked to look at pages. Optional.
	Witnesses Witnesses
	// Notary takes documents to the ledger. Optional.
	Notary Notary
	// Status gathers the node's facts; it is called on every page and should answer in a few milliseconds.
	Status func(ctx context.Context) (Status, error)
	// Ready says why the node cannot serve yet; nil: it can.
	Ready func(ctx context.Context) error
	// Metrics are served at /metrics.
	Metrics prometheus.Gatherer
	// Suggest completes what is being typed; optional.
	Suggest func(ctx context.Context, prefix string, limit int) ([]string, error)

	// APIKey allows writing. At least MinKeyBytes.
	APIKey string
	// KeyFile is where a person on this machine finds the key; named only to clients on loopback. Optional.
	KeyFile string

	Operator  string // name of the operator, "alice.example"
	Contact   string // e-mail address or URL for people whose sites are crawled; optional
	UserAgent string // as the crawler sends it; optional
	// Origin is where strangers reach this server, "https://search.alice.example"; empty: taken from the request.
	Origin string
	// Addr is the address listened on. When it is a loopback address only loopback names are accepted as Host, so that a
	// web page cannot reach the node through a name it controls (DNS rebinding).
	Addr string
	// Hosts are further names accepted as Host, for example that of a proxy; optional.
	Hosts []string
	// Manual holds the Markdown files served under /manual/; nil: those carried in the binary.
	Manual fs.FS
	// SearchRate and SearchBurst bound the searches of one client address over TCP, per second; 0: the defaults.
	SearchRate  float64
	SearchBurst int

	Trace *trace.Tracer // of queries; nil: nothing is recorded

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: discard
}

const (
	// MinKeyBytes keeps a key from being guessed.
	MinKeyBytes = 16

	// DefaultSearchRate and DefaultSearchBurst leave a person, and a program that pages through results, undisturbed.
	DefaultSearchRate  = 20
	DefaultSearchBurst = 60
)

// Validate says what is missing.
func (c *Config) Validate() error {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"Searcher", c.Searcher != nil}, {"Crawls", c.Crawls != nil}, {"Pages", c.Pages != nil}, {"Archive", c.Archive != nil},
		{"Receipts", c.Receipts != nil}, {"Ledger", c.Ledger != nil}, {"Transfer", c.Transfer != nil},
		{"Status", c.Status != nil}, {"Ready", c.Ready != nil}, {"Metrics", c.Metrics != nil}, {"Operator", c.Operator != ""},
	} {
		if !f.set {
			return concord.Errorf(concord.Invalid, "web: Config.%s is not set", f.name)
		}
	}
	if len(c.APIKey) < MinKeyBytes {
		return concord.Errorf(concord.Invalid, "web: the API key has %d bytes, want at least %d", len(c.APIKey), MinKeyBytes)
	}
	if c.SearchRate < 0 || c.SearchBurst < 0 {
		return concord.Errorf(concord.Invalid, "web: the search rate is negative")
	}
	return nil
}

// withDefaults returns c with what was left out filled in.
func (c Config) withDefaults() Config {
	if c.SearchRate == 0 {
		c.SearchRate = DefaultSearchRate
	}
	if c.SearchBurst == 0 {
		c.SearchBurst = DefaultSearchBurst
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Manual == nil {
		c.Manual = carriedManual()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.UserAgent == "" {
		c.UserAgent = "Concord/" + concord.Version
	}
	return c
}

// loopbackOnly reports whether the server listens on a loopback address only.
func (c *Config) loopbackOnly() bool {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		host = c.Addr
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
