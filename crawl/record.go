package crawl

import (
	"concord"
)

// Records of a partition's state. Each begins with a version byte; fields follow in the order of the struct.
const recordVersion = 1

// urlState is where a URL stands.
type urlState byte

const (
	stateQueued  urlState = 1
	stateFetched urlState = 2
	stateFailed  urlState = 3
	stateRefused urlState = 4
	stateGone    urlState = 5
	stateDeleted urlState = 6 // by the operator: never fetched again
)

// urlRecord is what is known of one URL. Its key is the URL.
type urlRecord struct {
	State     urlState
	Reason    string
	Crawl     crawlID   // the last crawl that took it up
	Crawls    []crawlID // running crawls that have seen it
	Depth     int
	From      string
	Known     int64 // ms
	Fetched   int64 // ms
	Next      int64 // ms: next retry or recrawl
	Status    int
	Tries     int
	Redirect  string
	Duplicate string
	Skip      string
	Indexed   bool
	ETag      string
	LastMod   string
	Capture   string // ID of the newest capture with a payload of its own
	CapTime   int64  // unix seconds of that capture
	Raw       concord.Digest
	Text      concord.Digest
	Profile   string
	Simhash   uint64
	Numbers   uint64
	Interval  int64  // ms until the next recrawl
	Missing   int    // answers 404 or 410 in a row
	WaitsFor  string // canonical URL that, once fetched, takes this one's place
	Recrawl   []byte // queue entry of the recrawl; empty: none
}

func (r *urlRecord) seenBy(id crawlID) bool {
	for _, c := range r.Crawls {
		if c == id {
			return true
		}
	}
	return false
}

func (r *urlRecord) encode() []byte {
	e := &encoder{b: append(make([]byte, 0, 192), recordVersion)}
	e.byte(byte(r.State))
	e.string(r.Reason)
	e.fixed(uint64(r.Crawl))
	e.uint(uint64(len(r.Crawls)))
	for _, c := range r.Crawls {
		e.fixed(uint64(c))
	}
	e.uint(uint64(r.Depth))
	e.string(r.From)
	e.int(r.Known)
	e.int(r.Fetched)
	e.int(r.Next)
	e.uint(uint64(r.Status))
	e.uint(uint64(r.Tries))
	e.string(r.Redirect)
	e.string(r.Duplicate)
	e.string(r.Skip)
	e.bool(r.Indexed)
	e.string(r.ETag)
	e.string(r.LastMod)
	e.string(r.Capture)
	e.int(r.CapTime)
	e.digest(r.Raw)
	e.digest(r.Text)
	e.string(r.Profile)
	e.uint(r.Simhash)
	e.uint(r.Numbers)
	e.int(r.Interval)
	e.uint(uint64(r.Missing))
	e.string(r.WaitsFor)
	e.bytes(r.Recrawl)
	return e.b
}

func decodeURL(b []byte) (*urlRecord, error) {
	d := open(b)
	r := &urlRecord{State: urlState(d.byte()), Reason: d.string(), Crawl: crawlID(d.fixed())}
	n := d.count()
	for i := 0; i < n && d.err == nil; i++ {
		r.Crawls = append(r.Crawls, crawlID(d.fixed()))
	}
	r.Depth, r.From = int(d.uint()), d.string()
	r.Known, r.Fetched, r.Next = d.int(), d.int(), d.int()
	r.Status, r.Tries = int(d.uint()), int(d.uint())
	r.Redirect, r.Duplicate, r.Skip, r.Indexed = d.string(), d.string(), d.string(), d.bool()
	r.ETag, r.LastMod, r.Capture, r.CapTime = d.string(), d.string(), d.string(), d.int()
	r.Raw, r.Text, r.Profile, r.Simhash, r.Numbers = d.digest(), d.digest(), d.string(), d.uint(), d.uint()
	r.Interval, r.Missing, r.WaitsFor, r.Recrawl = d.int(), int(d.uint()), d.string(), d.bytes()
	return r, d.end()
}

// hostRecord is the politeness state of one host: it travels with the host's queue.
type hostRecord struct {
	Next       int64 // ms: earliest next request
	Reason     string
	Delay      int64 // ms now in force
	CrawlDelay int64 // ms that robots.txt asks for
	Backoff    int
	Good       int // good answers since the back-off last changed
	NetFails   int // requests in a row that got no answer
	Fetched    int64
	Failed     int64
	LastError  string
	Last       int64 // ms of the last request
	Queued     int64 // pages in its queue that crawls wait for
	Parked     bool  // it rests for longer than a crawl waits
	Wake       int64 // ms under which it stands in the schedule; 0: it does not, or it is active
	Born       uint64
	Robots     int64 // ms until which its robots.txt is valid; 0: there is none yet
	RobotsNote string
	RobotsDown int64 // ms since which its robots.txt is unreachable; 0: it is not
	RobotsFail int   // fetches of it in a row that failed
}

func (r *hostRecord) encode() []byte {
	e := &encoder{b: append(make([]byte, 0, 96), recordVersion)}
	e.int(r.Next)
	e.string(r.Reason)
	e.int(r.Delay)
	e.int(r.CrawlDelay)
	e.uint(uint64(r.Backoff))
	e.uint(uint64(r.Good))
	e.uint(uint64(r.NetFails))
	e.int(r.Fetched)
	e.int(r.Failed)
	e.string(r.LastError)
	e.int(r.Last)
	e.int(r.Queued)
	e.bool(r.Parked)
	e.int(r.Wake)
	e.uint(r.Born)
	e.int(r.Robots)
	e.string(r.RobotsNote)
	e.int(r.RobotsDown)
	e.uint(uint64(r.RobotsFail))
	return e.b
}

func decodeHost(b []byte) (*hostRecord, error) {
	d := open(b)
	r := &hostRecord{Next: d.int(), Reason: d.string(), Delay: d.int(), CrawlDelay: d.int(), Backoff: int(d.uint()), Good: int(d.uint()),
		NetFails: int(d.uint()), Fetched: d.int(), Failed: d.int(), LastError: d.string(), Last: d.int(), Queued: d.int(),
		Parked: d.bool(), Wake: d.int(), Born: d.uint(), Robots: d.int(), RobotsNote: d.string(), RobotsDown: d.int(), RobotsFail: int(d.uint())}
	return r, d.end()
}

// counters is what a partition counts of one crawl.
type counters struct {
	Queued, Parked                             int64 // pages the crawl waits for; of them, those on resting hosts
	Maps, MapsParked                           int64 // the same of sitemaps
	Fetched, Indexed, Skipped, Failed, Refused int64
	Bytes, Pages                               int64
	CapSeq                                     uint64
	Finished                                   int64 // ms
	Stopped, Limited                           bool
}

func (c *counters) encode() []byte {
	e := &encoder{b: []byte{recordVersion}}
	for _, v := range []int64{c.Queued, c.Parked, c.Fetched, c.Indexed, c.Skipped, c.Failed, c.Refused, c.Bytes, c.Pages, c.Finished, c.Maps, c.MapsParked} {
		e.int(v)
	}
	e.uint(c.CapSeq)
	e.bool(c.Stopped)
	e.bool(c.Limited)
	return e.b
}

func decodeCounters(b []byte) (*counters, error) {
	d := open(b)
	c := new(counters)
	for _, v := range []*int64{&c.Queued, &c.Parked, &c.Fetched, &c.Indexed, &c.Skipped, &c.Failed, &c.Refused, &c.Bytes, &c.Pages, &c.Finished, &c.Maps, &c.MapsParked} {
		*v = d.int()
	}
	c.CapSeq, c.Stopped, c.Limited = d.uint(), d.bool(), d.bool()
	return c, d.end()
}

// share is what one crawl has on one host.
type share struct {
	Queued   int64 // pages the crawl waits for
	Maps     int64 // sitemaps it waits for
	Known    int64 // URLs taken up
	Sitemaps int64 // sitemaps taken up
}

func (s *share) encode() []byte {
	e := &encoder{b: []byte{recordVersion}}
	e.int(s.Queued)
	e.int(s.Maps)
	e.int(s.Known)
	e.int(s.Sitemaps)
	return e.b
}

func decodeShare(b []byte) (*share, error) {
	d := open(b)
	s := &share{d.int(), d.int(), d.int(), d.int()}
	return s, d.end()
}

// Flags of a queue entry.
const (
	entryCounted = 1 << iota // the crawl waits for it
	entryFailed              // counted as failed until its retry
	entryRecrawl             // another look at a page, after its interval
	entryAdopted             // known from an earlier crawl: fetched without conditions
)

// entry is one URL in a host's queue. Its key orders it.
type entry struct {
	Crawl     crawlID
	Kind      urlKind
	Flags     byte
	Depth     int
	Redirects int
	Tries     int
	URL       string
}

func (n *entry) has(flag byte) bool { return n.Flags&flag != 0 }

func (n *entry) encode() []byte {
	e := &encoder{b: append(make([]byte, 0, 20+len(n.URL)), recordVersion)}
	e.fixed(uint64(n.Crawl))
	e.byte(byte(n.Kind))
	e.byte(n.Flags)
	e.uint(uint64(n.Depth))
	e.uint(uint64(n.Redirects))
	e.uint(uint64(n.Tries))
	e.string(n.URL)
	return e.b
}

func decodeEntry(b []byte) (*entry, error) {
	d := open(b)
	n := &entry{Crawl: crawlID(d.fixed()), Kind: urlKind(d.byte()), Flags: d.byte(), Depth: int(d.uint()), Redirects: int(d.uint()),
		Tries: int(d.uint()), URL: d.string()}
	return n, d.end()
}

// robotsRecord is a host's robots.txt.
type robotsRecord struct {
	Kind   string // weburl.RobotsState
	Time   int64  // ms
	Digest concord.Digest
	Body   []byte
}

func (r *robotsRecord) encode() []byte {
	e := &encoder{b: []byte{recordVersion}}
	e.string(r.Kind)
	e.int(r.Time)
	e.digest(r.Digest)
	e.bytes(r.Body)
	return e.b
}

func decodeRobots(b []byte) (*robotsRecord, error) {
	d := open(b)
	r := &robotsRecord{d.string(), d.int(), d.digest(), d.bytes()}
	return r, d.end()
}

func open(b []byte) *decoder {
	d := &decoder{b: b}
	if v := d.byte(); d.err == nil && v != recordVersion {
		d.fail("record of an unknown version")
	}
	return d
}
