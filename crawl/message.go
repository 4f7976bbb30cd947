package crawl

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"

	"concord"
)

// Messages of the frontier log. Each begins with the format version and a type byte; the fields follow in the order of
// the struct, in the encodings of type encoder. A reader refuses what it does not know: the log is its own, and a
// message passed over would be a URL lost.
//
//	01 01  crawl    a crawl begins (sent to every partition)
//	01 02  links    URLs of this partition that a page, a redirect or a sitemap named
//	01 03  fetched  a fetch of a URL of this partition came to an end
//	01 04  refused  URLs of this partition that will not be fetched, with the reason
//	01 05  close    a crawl ends: finished, stopped, or its page limit reached (sent to every partition)
//	01 06  forget   a page was deleted by the operator and is not to be fetched again
//	01 07  owner    a machine took the partition over, or gave it up in order (only where machines share the frontier)
//
// Worked example: one link to http://a.example/b found on http://a.example/ at depth 1 by crawl 0x0000019ab0c0d0e0:
//
//	01 02 | 0000019ab0c0d0e0 | 01 depth | 00 redirects | 00 via link | 00 page | 00 refused | 11 "http://a.example/"
//	| 01 link | 11 bytes shared with the URL before (here: the page) | 01 "b" | 00 no modification time
const messageVersion = 1

const (
	typeCrawl   = 1
	typeLinks   = 2
	typeFetched = 3
	typeRefused = 4
	typeClose   = 5
	typeForget  = 6
	typeOwner   = 7
)

// crawlID is a crawl's number: the milliseconds since 1970 at which it was asked for, in 48 bits, and 16 random bits.
// People see it as 16 hex digits. 0 is no crawl.
type crawlID uint64

func (id crawlID) String() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(id))
	return hex.EncodeToString(b[:])
}

func parseCrawlID(s string) (crawlID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 8 {
		return 0, concord.Errorf(concord.NotFound, "no crawl %q: an ID has 16 hex digits", concord.Clip(s, 40))
	}
	return crawlID(binary.BigEndian.Uint64(b)), nil
}

// urlKind is what a URL is fetched as.
type urlKind byte

const (
	kindPage    urlKind = 0
	kindSitemap urlKind = 1 // a sitemap or sitemap index; its depth is that of nested indexes
	kindRobots  urlKind = 2
	kindProbe   urlKind = 3 // not fetched itself: asks for the sitemaps its host's robots.txt names
	kindImport  urlKind = 4 // came from a WARC file
	kindWitness urlKind = 5 // fetched for an ask of the ledger: no business of the frontier's
)

type crawlMsg struct {
	Crawl   crawlID
	Created int64 // ms
	Spec    concord.CrawlSpec
}

// via says how a URL was met.
type via byte

const (
	viaLink via = iota
	viaSeed
	viaRedirect
	viaCanonical
	viaSitemap
)

type linksMsg struct {
	Crawl     crawlID
	Depth     int // of these URLs
	Redirects int // hops that led here
	Via       via
	Kind      urlKind
	Refused   string // the URLs are refused for this reason; empty: they are to be fetched
	From      string
	Links     []linkItem
}

type linkItem struct {
	URL     string
	LastMod int64 // ms; 0: not stated
}

// outcome is how a fetch ended.
type outcome byte

const (
	answered   outcome = iota // with a response
	failed                    // without: Note says why
	refused                   // it was not made: Note says why
	unresolved                // the host's name has no address: nothing is wrong with the URL itself
)

type fetchedMsg struct {
	Crawl   crawlID
	URL     string
	Kind    urlKind
	Entry   []byte // key of the queue entry that is done; empty: none (robots.txt, import)
	Start   int64  // ms, when the request was sent
	Took    int64  // ms
	ended   int64  // ms of this process: Start and Took by another clock; not on record
	Outcome outcome
	Status  int
	Note    string // error or reason
	Bytes   int64  // payload bytes

	RetryAfter int64 // ms the server asked to wait; 0: it did not

	Capture   string // ID of the capture; empty: none
	CapSeq    uint64 // number in the captures log at or below which all of it lies
	ETag      string
	LastMod   string // Last-Modified as sent
	Raw       concord.Digest
	Text      concord.Digest
	Profile   string
	Simhash   uint64
	Numbers   uint64 // digest of the numbers in the text, see duplicates.go
	Redirect  string
	Duplicate string
	Skip      string
	Indexed   bool // the page is in the index now
	Changed   bool // text differs from that of the fetch before
	NotMod    bool // the server answered 304, or with the very same bytes: digests are those of the fetch before
	WaitsFor  string
	Replaces  []string // pages of this site that this one now stands for
	Record    concord.Digest

	Robots     []byte // body of a robots.txt that has rules
	RobotsKind string // weburl.RobotsState

	// Not in the log:
	stood    bool   // what is known of the page stays
	replayed *entry // made from the archive: the queue entry it is to have, whose key is looked up when it is applied
}

type refusedMsg struct {
	Crawl crawlID
	Items []refusedItem
}

type refusedItem struct {
	Entry  []byte
	URL    string
	Reason string
}

// closing is why a crawl ends.
type closing byte

const (
	closeFinished closing = 1
	closeStopped  closing = 2
	closeLimit    closing = 3
)

type closeMsg struct {
	Crawl crawlID
	Why   closing
	Time  int64 // ms
}

type forgetMsg struct {
	URL    string
	Reason string
}

// ownerMsg is the first message of an owner, and its last when it has no request under way any more.
type ownerMsg struct {
	Fence uint64
	Node  string
	Left  bool
	Time  int64 // ms
}

func newMessage(kind byte) *encoder {
	return &encoder{b: append(make([]byte, 0, 128), messageVersion, kind)}
}

func (m *crawlMsg) encode() ([]byte, error) {
	spec, err := json.Marshal(m.Spec)
	if err != nil {
		return nil, err
	}
	e := newMessage(typeCrawl)
	e.fixed(uint64(m.Crawl))
	e.int(m.Created)
	e.bytes(spec)
	return e.b, nil
}

func (m *crawlMsg) decode(d *decoder) {
	m.Crawl, m.Created = crawlID(d.fixed()), d.int()
	spec := d.raw()
	if d.err == nil && json.Unmarshal(spec, &m.Spec) != nil {
		d.fail("crawl's specification is not JSON")
	}
}

func (m *linksMsg) encode() []byte {
	e := newMessage(typeLinks)
	e.fixed(uint64(m.Crawl))
	e.uint(uint64(m.Depth))
	e.uint(uint64(m.Redirects))
	e.byte(byte(m.Via))
	e.byte(byte(m.Kind))
	e.string(m.Refused)
	e.string(m.From)
	e.uint(uint64(len(m.Links)))
	before := m.From
	for _, l := range m.Links {
		n := sharedPrefix(before, l.URL)
		e.uint(uint64(n))
		e.string(l.URL[n:])
		e.int(l.LastMod)
		before = l.URL
	}
	return e.b
}

func (m *linksMsg) decode(d *decoder) {
	m.Crawl = crawlID(d.fixed())
	m.Depth, m.Redirects = int(d.uint()&0xffff), int(d.uint()&0xffff)
	m.Via, m.Kind = via(d.byte()), urlKind(d.byte())
	m.Refused, m.From = d.string(), d.string()
	n := d.count()
	m.Links = make([]linkItem, 0, min(n, maxSlice))
	before := m.From
	for range n {
		shared, rest := d.uint(), d.raw()
		if shared > uint64(len(before)) {
			d.fail("link shares more than there is")
		}
		if d.err != nil {
			return
		}
		before = before[:shared] + string(rest)
		m.Links = append(m.Links, linkItem{before, d.int()})
	}
}

func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func (m *fetchedMsg) encode() []byte {
	e := newMessage(typeFetched)
	e.fixed(uint64(m.Crawl))
	e.string(m.URL)
	e.byte(byte(m.Kind))
	e.bytes(m.Entry)
	e.int(m.Start)
	e.int(m.Took)
	e.byte(byte(m.Outcome))
	e.uint(uint64(m.Status))
	e.string(m.Note)
	e.int(m.Bytes)
	e.int(m.RetryAfter)
	e.string(m.Capture)
	e.uint(m.CapSeq)
	e.string(m.ETag)
	e.string(m.LastMod)
	e.digest(m.Raw)
	e.digest(m.Text)
	e.string(m.Profile)
	e.fixed(m.Simhash)
	e.fixed(m.Numbers)
	e.string(m.Redirect)
	e.string(m.Duplicate)
	e.string(m.Skip)
	e.bool(m.Indexed)
	e.bool(m.Changed)
	e.bool(m.NotMod)
	e.string(m.WaitsFor)
	e.strings(m.Replaces)
	e.digest(m.Record)
	e.bytes(m.Robots)
	e.string(m.RobotsKind)
	return e.b
}

func (m *fetchedMsg) decode(d *decoder) {
	m.Crawl, m.URL, m.Kind, m.Entry = crawlID(d.fixed()), d.string(), urlKind(d.byte()), d.bytes()
	m.Start, m.Took, m.Outcome = d.int(), d.int(), outcome(d.byte())
	m.Status, m.Note, m.Bytes, m.RetryAfter = int(d.uint()&0xffff), d.string(), d.int(), d.int()
	m.Capture, m.CapSeq, m.ETag, m.LastMod = d.string(), d.uint(), d.string(), d.string()
	m.Raw, m.Text, m.Profile, m.Simhash, m.Numbers = d.digest(), d.digest(), d.string(), d.fixed(), d.fixed()
	m.Redirect, m.Duplicate, m.Skip = d.string(), d.string(), d.string()
	m.Indexed, m.Changed, m.NotMod = d.bool(), d.bool(), d.bool()
	m.WaitsFor, m.Replaces, m.Record = d.string(), d.strings(), d.digest()
	m.Robots, m.RobotsKind = d.bytes(), d.string()
}

func (m *refusedMsg) encode() []byte {
	e := newMessage(typeRefused)
	e.fixed(uint64(m.Crawl))
	e.uint(uint64(len(m.Items)))
	for _, it := range m.Items {
		e.bytes(it.Entry)
		e.string(it.URL)
		e.string(it.Reason)
	}
	return e.b
}

func (m *refusedMsg) decode(d *decoder) {
	m.Crawl = crawlID(d.fixed())
	n := d.count()
	for i := 0; i < n && d.err == nil; i++ {
		m.Items = append(m.Items, refusedItem{d.bytes(), d.string(), d.string()})
	}
}

func (m *closeMsg) encode() []byte {
	e := newMessage(typeClose)
	e.fixed(uint64(m.Crawl))
	e.byte(byte(m.Why))
	e.int(m.Time)
	return e.b
}

func (m *closeMsg) decode(d *decoder) {
	m.Crawl, m.Why, m.Time = crawlID(d.fixed()), closing(d.byte()), d.int()
}

func (m *forgetMsg) encode() []byte {
	e := newMessage(typeForget)
	e.string(m.URL)
	e.string(m.Reason)
	return e.b
}

func (m *forgetMsg) decode(d *decoder) { m.URL, m.Reason = d.string(), d.string() }

func (m *ownerMsg) encode() []byte {
	e := newMessage(typeOwner)
	e.uint(m.Fence)
	e.string(m.Node)
	e.bool(m.Left)
	e.int(m.Time)
	return e.b
}

func (m *ownerMsg) decode(d *decoder) {
	m.Fence, m.Node, m.Left, m.Time = d.uint(), d.string(), d.bool(), d.int()
}

// decodeMessage reads any message: the pointer it returns is of one of the types above.
func decodeMessage(data []byte) (any, error) {
	d := &decoder{b: data}
	if v := d.byte(); d.err == nil && v != messageVersion {
		d.fail("message of an unknown version")
	}
	type body interface{ decode(*decoder) }
	var m body
	switch d.byte() {
	case typeCrawl:
		m = new(crawlMsg)
	case typeLinks:
		m = new(linksMsg)
	case typeFetched:
		m = new(fetchedMsg)
	case typeRefused:
		m = new(refusedMsg)
	case typeClose:
		m = new(closeMsg)
	case typeForget:
		m = new(forgetMsg)
	case typeOwner:
		m = new(ownerMsg)
	default:
		d.fail("message of an unknown type")
		return nil, d.err
	}
	m.decode(d)
	if err := d.end(); err != nil {
		return nil, err
	}
	return m, nil
}
