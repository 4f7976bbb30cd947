package concord

import (
	"cmp"
	"time"
)

// Scope bounds which of the links a crawl meets belong to it.
type Scope string

const (
	ScopeHost   Scope = "host"   // the seed's host and port
	ScopeSite   Scope = "site"   // the seed's registrable domain, all its hosts
	ScopePrefix Scope = "prefix" // URLs that start with the seed's URL up to its last slash
)

// CrawlSpec is what a person asks for. The zero values of the bounds mean the defaults below.
type CrawlSpec struct {
	Seeds        []string `json:"seeds"`
	Scope        Scope    `json:"scope,omitempty"`    // default ScopeHost
	Depth        int      `json:"depth,omitempty"`    // links away from a seed; 0: DefaultDepth; SeedsOnly: none are followed
	MaxPages     int      `json:"maxPages,omitempty"` // fetches with a response of its own content; 0: DefaultMaxPages
	Include      []string `json:"include,omitempty"`  // RE2 patterns; when given, a URL must match one
	Exclude      []string `json:"exclude,omitempty"`  // RE2 patterns; a URL that matches one is left out
	AllowPrivate bool     `json:"allowPrivate,omitempty"`
}

const (
	DefaultDepth    = 16
	DefaultMaxPages = 100_000
	MaxSeeds        = 10_000
	SeedsOnly       = -1
)

// Crawl is a crawl and how far it is.
type Crawl struct {
	ID       string    `json:"id"`
	Spec     CrawlSpec `json:"spec"`
	Created  time.Time `json:"created"`
	Finished time.Time `json:"finished,omitzero"` // when nothing was left to fetch; zero: running
	Stopped  bool      `json:"stopped,omitempty"` // it was told to end before that
	Queued   int64     `json:"queued"`            // URLs waiting
	InFlight int64     `json:"inFlight"`
	Fetched  int64     `json:"fetched"` // answers of any status
	Indexed  int64     `json:"indexed"` // captures handed to the index
	Skipped  int64     `json:"skipped"` // fetched, but kept out of the index (redirects, duplicates, noindex, …)
	Failed   int64     `json:"failed"`  // no answer after all tries
	Refused  int64     `json:"refused"` // not fetched: robots.txt, scope rules after a redirect, address, trap, budget
	Bytes    int64     `json:"bytes"`   // payload bytes received
}

// Done reports whether nothing is left to fetch.
func (c *Crawl) Done() bool { return !c.Finished.IsZero() }

// HostStatus is the politeness state of one host, with the reason of its next fetch time.
type HostStatus struct {
	Host      string        `json:"host"`
	Queued    int64         `json:"queued"`
	InFlight  string        `json:"inFlight,omitempty"` // URL being fetched now
	Next      time.Time     `json:"next,omitzero"`      // earliest next fetch
	Reason    string        `json:"reason"`             // "delay", "crawl-delay", "back-off after 503", "retry-after", "robots.txt unreachable", "ready", …
	Delay     time.Duration `json:"delayNanoseconds"`   // delay between requests now in force
	Backoff   int           `json:"backoff"`            // back-off exponent
	Fetched   int64         `json:"fetched"`
	Failed    int64         `json:"failed"`
	Asked     time.Time     `json:"asked,omitzero"` // its last request
	LastError string        `json:"lastError,omitempty"`
	Robots    string        `json:"robots"` // "none", "allowed by default (404)", "rules from 2026-11-22T10:00:00Z", "unreachable: …"
}

// Compare puts hosts that fetch first, then those that wait, by when they are next, then those asked last.
func (h HostStatus) Compare(o HostStatus) int {
	first := func(a, b bool) int {
		switch {
		case a && !b:
			return -1
		case b && !a:
			return 1
		}
		return 0
	}
	next := 0
	if h.Queued > 0 && o.Queued > 0 {
		next = h.Next.Compare(o.Next)
	}
	return cmp.Or(first(h.InFlight != "", o.InFlight != ""), first(h.Queued > 0, o.Queued > 0), next, o.Asked.Compare(h.Asked), cmp.Compare(h.Host, o.Host))
}

// URLStatus answers "is my URL in it, and why not".
type URLStatus struct {
	URL       string    `json:"url"`
	State     string    `json:"state"`            // "unknown", "queued", "fetching", "fetched", "failed", "refused", "gone"
	Reason    string    `json:"reason,omitempty"` // plain words: the robots rule, the error, the scope rule
	Crawl     string    `json:"crawl,omitempty"`
	Depth     int       `json:"depth,omitempty"`
	From      string    `json:"from,omitempty"` // page it was discovered on; empty: a seed or a sitemap
	Known     time.Time `json:"known,omitzero"`
	Fetched   time.Time `json:"fetched,omitzero"`
	Next      time.Time `json:"next,omitzero"`
	Status    int       `json:"status,omitempty"`
	Tries     int       `json:"tries,omitempty"`
	Redirect  string    `json:"redirect,omitempty"`
	Duplicate string    `json:"duplicate,omitempty"`
	Indexed   bool      `json:"indexed"`
	Skip      string    `json:"skip,omitempty"` // why it was fetched but not indexed
}

// CrawlEvent is one line of the live list of what a crawl does.
type CrawlEvent struct {
	Time   time.Time     `json:"time"`
	Crawl  string        `json:"crawl,omitempty"`
	URL    string        `json:"url"`
	Status int           `json:"status,omitempty"`
	Bytes  int64         `json:"bytes,omitempty"`
	Took   time.Duration `json:"tookNanoseconds,omitempty"`
	Note   string        `json:"note,omitempty"` // "indexed", "duplicate of …", "refused by robots.txt line 3", an error
}
