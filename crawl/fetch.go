package crawl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"concord"
	"concord/page"
	"concord/warc"
	"concord/weburl"
)

const (
	robotsPath  = "/robots.txt"
	maxSlice    = 500       // links in one message of the frontier log: some 20 KiB
	maxAnchors  = 500       // link texts of one page that go to other pages
	maxNote     = 300       // bytes of an error kept with a URL
	tokenBytes  = 1024      // of an ETag or Last-Modified that is kept; a longer one is not sent back
	maxEvent    = 3 << 20   // bytes of a page as an event: what logs take as one message, with room to spare
	robotsBytes = 500 << 10 // of a robots.txt that is kept, what RFC 9309 section 2.5 asks for at least
)

// Reasons why a capture is on record but not in the index.
const (
	skipRedirect  = "redirect"
	skipRobots    = "robots.txt"
	skipSitemap   = "sitemap"
	skipNoIndex   = "noindex"
	skipNoText    = "no text"
	skipExpired   = "expired"
	skipExact     = "exact duplicate"
	skipNear      = "near duplicate"
	skipCanonical = "canonical elsewhere"
	skipUnchanged = "unchanged"
)

// job is one URL to be fetched, with what its partition knows of it.
type job struct {
	fl     *flight
	url    weburl.URL
	plan   *plan
	before *urlRecord // nil: never fetched
	known  time.Time  // since when it was to be fetched
	robots concord.Digest
	maps   []string // sitemaps that robots.txt names, for a probe
	barred string   // why a probe's own URL may not be fetched
}

// result is what a finished fetch leaves to be made durable, in this order: records, captures, outcome and links.
type result struct {
	f        *Frontier
	groups   [][]warc.Record    // one for each of captures
	captures []*concord.Capture // Location is filled in by the committer
	pages    []*concord.Page    // for each capture, nil: nothing was extracted
	anchors  []concord.Anchor
	removals []concord.Removal
	links    []linksMsg // by partition, through route
	route    []int
	fetched  *fetchedMsg
	refused  *refusedMsg
	done     func()    // called once everything is durable, or never
	held     int64     // bytes of responses it keeps in memory
	awaited  bool      // counted in its partition's submitted
	known    time.Time // since when the URL was to be fetched; zero: nobody knows
	fence    uint64    // under which the partition was run when this was made; 0: that is not asked
	over     func()    // called when nothing more comes of it, after done if that is called
}

// prepare reads what is on record of a URL before its fetch.
func (f *Frontier) prepare(h *host, fl *flight) (*job, error) {
	u, err := weburl.Parse(fl.e.URL)
	if err != nil {
		return nil, fmt.Errorf("queue of %s: %w", h.name, err)
	}
	j := &job{fl: fl, url: u, plan: f.c.plan(fl.e.Crawl), robots: h.robotsDigest}
	if j.before, err = f.lookup(fl.e.URL); err != nil {
		return nil, err
	}
	j.known = waitingSince(j.before)
	if j.before != nil && j.before.Fetched == 0 {
		j.before = nil
	}
	if fl.e.Kind == kindProbe {
		j.maps, j.barred = h.robots.Sitemaps(), f.forbidden(h, fl.e)
	}
	return j, nil
}

// forbidden says which line of the host's robots.txt forbids a URL; empty: none does.
func (f *Frontier) forbidden(h *host, e *entry) string {
	u, err := weburl.Parse(e.URL)
	if err != nil {
		return "not a URL"
	}
	v := h.robots.Check(f.c.cfg.Product, u)
	if v.Allowed {
		return ""
	}
	return fmt.Sprintf("robots.txt line %d: %s", v.Line, concord.Clip(v.Rule, 120))
}

// fetch makes one request and hands what came of it to the committer.
func (f *Frontier) fetch(ctx context.Context, h *host, j *job) {
	if j.fl.e.Kind == kindProbe && j.barred != "" {
		f.finish(h, nil)
		f.submit(ctx, f.probed(j, &result{f: f, refused: j.refusal(j.barred)}))
		return
	}
	x, m, ok := f.ask(ctx, h, j)
	if !ok {
		return // its turn has not come, or the partition ends
	}
	o := m.observation(h.name)
	if m.Outcome == refused {
		f.finish(h, &o)
		f.note(m)
		f.submit(ctx, f.probed(j, &result{f: f, refused: j.refusal(m.Note)}))
		return
	}
	// The host is not asked for the next page before this one is on record: a crash costs it one request at most.
	finish := func() { f.finish(h, &o) }
	res := &result{f: f, fetched: m, done: finish, known: j.known}
	if x != nil {
		res.held = x.held
		tokens := f.c.reading(x.header.Get("Content-Type"), j.url)
		tokens <- struct{}{}
		err := f.digest(ctx, j, x, m, res)
		<-tokens
		if err != nil { // what came is no HTTP response that could be kept
			m.Outcome, m.Note = failed, concord.Clip(err.Error(), maxNote)
			*res = result{f: f, fetched: m, held: x.held, done: finish}
		}
	}
	f.note(m)
	f.submit(ctx, f.probed(j, res))
}

func (j *job) refusal(reason string) *refusedMsg {
	return &refusedMsg{Crawl: j.fl.e.Crawl, Items: []refusedItem{{j.fl.key, j.fl.e.URL, reason}}}
}

// probed adds to the end of a probe the sitemaps that the host's robots.txt names.
func (f *Frontier) probed(j *job, res *result) *result {
	if j.fl.e.Kind == kindProbe && j.plan != nil {
		f.addSitemaps(res, j, j.maps, 0)
	}
	return res
}

// ask resolves, waits for the address's turn, and makes the request. The message says what became of it; ok is false
// when nothing did and the URL is back in its queue.
func (f *Frontier) ask(ctx context.Context, h *host, j *job) (*exchange, *fetchedMsg, bool) {
	e := j.fl.e
	in := f.c.clock.read()
	m := &fetchedMsg{Crawl: e.Crawl, URL: e.URL, Kind: e.Kind, Entry: j.fl.key, Start: in.wall, ended: in.now}
	if m.Kind == kindProbe {
		m.Kind = kindSitemap
	}
	private := j.plan != nil && j.plan.spec.AllowPrivate
	addrs, err := f.c.client.resolve(ctx, j.url, private)
	if err != nil {
		return nil, m, f.failedWith(ctx, m, err)
	}
	if wait := f.turn(h, addrs[0]); wait > 0 {
		f.postpone(h, j.fl)
		return nil, nil, false
	}
	r := &request{url: j.url, addrs: addrs, maxBody: f.c.cfg.Bounds.BodyBytes, userAgent: f.c.cfg.userAgent()}
	if m.Kind == kindSitemap {
		r.maxBody = f.c.cfg.Bounds.SitemapSize
	}
	if b := j.before; b != nil && b.Indexed && !e.has(entryAdopted) && m.Kind == kindPage {
		r.etag, r.lastMod = b.ETag, b.LastMod
	}
	if !f.holds() {
		f.postpone(h, j.fl)
		return nil, nil, false
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, f.c.cfg.Bounds.DialTime+f.c.cfg.Bounds.FetchTime)
	defer cancel()
	x, err := f.c.client.do(ctx, r)
	if err != nil {
		m.timed(&f.c.clock, began, time.Since(began))
		return nil, m, f.failedWith(ctx, m, err)
	}
	m.timed(&f.c.clock, x.start, x.took)
	m.Outcome = answered
	m.Status, m.RetryAfter = x.status, retryAfter(x.header, time.Now())
	return x, m, true
}

// failedWith fills in why no answer came. It returns false when the partition ends: then nothing is known.
func (f *Frontier) failedWith(ctx context.Context, m *fetchedMsg, err error) bool {
	var no *refusal
	var name *nameError
	switch {
	case errors.As(err, &no):
		m.Outcome, m.Note = refused, no.reason
	case errors.As(err, &name):
		m.Outcome, m.Note = unresolved, name.Error()
	default:
		if errors.Is(ctx.Err(), context.Canceled) {
			return false
		}
		m.Outcome, m.Note = failed, plain(err)
	}
	m.Note = concord.Clip(m.Note, maxNote)
	return true
}

// timed notes when a request was made.
func (m *fetchedMsg) timed(k *clock, began time.Time, took time.Duration) {
	m.Start, m.Took = span(k.shown(began), took)
	m.ended = k.of(began.Add(took).Add(time.Millisecond - 1)) // not before its end, like Start and Took
}

// span gives a request in ms: when it began, since 1970, and how long it took, such that their sum is never before its end. A host's rest is
// counted from there.
func span(began time.Time, took time.Duration) (start, ms int64) {
	start = began.UnixMilli()
	took += began.Sub(time.UnixMilli(start))
	return start, int64((took + time.Millisecond - 1) / time.Millisecond)
}

// digest makes records, capture and page of an answer, and decides what becomes of the page.
func (f *Frontier) digest(ctx context.Context, j *job, x *exchange, m *fetchedMsg, res *result) error {
	records, info, err := f.build(j, x, m)
	if err != nil {
		return err
	}
	head := info.Head
	m.Status, m.Bytes, m.Capture, m.Raw = head.Status, info.Size, info.ID, info.Raw
	m.ETag, m.LastMod = token(head.Header.Get("ETag")), token(head.Header.Get("Last-Modified"))
	c := &concord.Capture{ID: info.ID, URL: m.URL, Time: x.start.UTC().Truncate(time.Second), Status: head.Status, Size: info.Size,
		Raw: info.Raw, Record: info.Record, Robots: j.robots, Crawl: m.Crawl.String()}
	if records.earlier != nil {
		c.Revisit, m.NotMod = records.earlier.ID, true
	}
	res.groups, res.captures, res.pages = [][]warc.Record{records.list}, []*concord.Capture{c}, []*concord.Page{nil}
	switch {
	case m.Kind == kindSitemap:
		c.Mime, c.Skip, m.Skip = page.Sniff(head.Header.Get("Content-Type"), info.Payload), skipSitemap, skipSitemap
		if head.Status == http.StatusOK {
			f.readSitemap(j, &info, res)
		}
	case head.Status == http.StatusNotModified:
		f.keepAsBefore(j, m, c)
	case head.Status >= 300 && head.Status < 400:
		f.redirected(j, head.Header, m, c, res)
	case head.Status < 200 || head.Status >= 300:
		c.Skip = "status " + strconv.Itoa(head.Status)
		c.Mime = page.Sniff(head.Header.Get("Content-Type"), info.Payload)
		m.Skip = c.Skip
	default:
		f.read(ctx, j, &info, m, c, res)
	}
	f.removeStale(j, m, res)
	f.writeDecision(j, m, res)
	return nil
}

func token(s string) string {
	if len(s) > tokenBytes {
		return ""
	}
	return s
}

type built struct {
	list    []warc.Record
	earlier *warc.Earlier
}

// build makes the records of an exchange: a revisit where the payload is the one that an earlier capture of the same URL
// has.
func (f *Frontier) build(j *job, x *exchange, m *fetchedMsg) (built, warc.CaptureInfo, error) {
	ex := warc.Exchange{URL: m.URL, Time: x.start, IP: x.conn.addr, Request: x.request, Response: x.response, Truncated: x.truncated,
		Protocol: x.conn.protocol, Cipher: x.conn.cipher, Metadata: []warc.Field{
			{Name: "fetchTimeMs", Value: strconv.FormatInt(m.Took, 10)}, {Name: "crawl", Value: m.Crawl.String()}}}
	if j.before == nil && j.fl.e.Depth > 0 {
		ex.Metadata = append(ex.Metadata, warc.Field{Name: "hopsFromSeed", Value: strconv.Itoa(j.fl.e.Depth)})
	}
	b := j.before
	known := b != nil && b.Capture != "" && !b.Raw.IsZero()
	if known && m.Status == http.StatusNotModified {
		ex.RevisitOf = &warc.Earlier{ID: b.Capture, URL: m.URL, Time: time.Unix(b.CapTime, 0), Raw: b.Raw, Kind: warc.NotModified}
		list, info, err := warc.Build(ex)
		if err == nil {
			return built{list, ex.RevisitOf}, info, nil
		}
		ex.RevisitOf = nil
	}
	list, info, err := warc.Build(ex)
	if err != nil || !known || info.Raw != b.Raw || x.truncated != "" || info.Size == 0 || info.Head.Status != b.Status {
		return built{list: list}, info, err
	}
	ex.RevisitOf = &warc.Earlier{ID: b.Capture, URL: m.URL, Time: time.Unix(b.CapTime, 0), Raw: b.Raw, Kind: warc.IdenticalPayload}
	again, info2, err := warc.Build(ex)
	if err != nil {
		return built{list: list}, info, nil
	}
	info2.Payload = info.Payload
	return built{again, ex.RevisitOf}, info2, nil
}

// keepAsBefore fills in what a 304 answer says: everything is as it was.
func (f *Frontier) keepAsBefore(j *job, m *fetchedMsg, c *concord.Capture) {
	c.Skip, m.Skip = skipUnchanged, "status 304"
	b := j.before
	if b == nil || !m.NotMod {
		return // nobody asked for it
	}
	m.stands(b)
	c.Text, c.Profile = b.Text, b.Profile
}

// redirected records where a 3xx answer leads, and hands the target to its queue or refuses it.
func (f *Frontier) redirected(j *job, header http.Header, m *fetchedMsg, c *concord.Capture, res *result) {
	c.Skip, m.Skip = skipRedirect, skipRedirect
	target, err := j.url.Resolve(header.Get("Location"))
	if err != nil || header.Get("Location") == "" {
		c.Skip = "status " + strconv.Itoa(m.Status)
		m.Skip = c.Skip
		return
	}
	c.Redirect, m.Redirect = target.String(), target.String()
	if j.plan == nil || target == j.url {
		return
	}
	e := j.fl.e
	reason := ""
	switch {
	case e.Redirects >= f.c.cfg.Bounds.Redirects:
		reason = fmt.Sprintf("more than %d redirects", f.c.cfg.Bounds.Redirects)
	default:
		reason = j.plan.refuse(target)
		if reason != "" {
			reason = "redirect target: " + reason
		}
	}
	f.addLinks(res, linksMsg{Crawl: m.Crawl, Depth: e.Depth, Redirects: e.Redirects + 1, Via: viaRedirect, Refused: reason, From: m.URL}, []weburl.URL{target})
}

// read extracts the page of an answer with content of its own.
func (f *Frontier) read(ctx context.Context, j *job, info *warc.CaptureInfo, m *fetchedMsg, c *concord.Capture, res *result) {
	skip := func(why string) { c.Skip, m.Skip = why, why }
	p, mime, why := f.c.extractPage(ctx, j.url, info.Head.Header, info.Payload)
	c.Mime = mime
	if p == nil {
		skip(why)
		return
	}
	res.pages[0] = p
	c.Text, c.Profile = p.TextDigest, p.Profile
	m.Text, m.Profile, m.Simhash = p.TextDigest, p.Profile, p.Simhash
	m.Changed = j.before != nil && j.before.Text != p.TextDigest
	f.follow(j, p, res)
	switch {
	case p.NoIndex:
		skip(skipNoIndex)
	case !p.Expires.IsZero() && p.Expires.Before(time.Now()):
		skip(skipExpired)
	case p.TextDigest.IsZero():
		skip(skipNoText)
	case tooLong(p):
		skip("text does not fit into a message")
	default:
		m.Numbers = numbersOf(p.Title + "\n" + p.Body)
		f.decide(j, p, m, c, res)
	}
	if m.NotMod && m.Indexed && j.before.Indexed && j.before.Profile == m.Profile {
		c.Skip, res.pages[0] = skipUnchanged, nil // the index has it
		res.anchors = nil
	}
	if !m.Indexed {
		res.pages[0], res.anchors = nil, nil
	}
}

// extractPage takes a payload apart. Without a page it says why there is none; mime is empty when not even that is known.
func (c *Crawler) extractPage(ctx context.Context, u weburl.URL, h http.Header, payload []byte) (p *concord.Page, mime, why string) {
	b := &c.cfg.Bounds
	body, err := warc.DecodeContent(h, payload, int64(b.BodyBytes)*int64(b.Inflation))
	if err != nil && len(body) == 0 {
		return nil, "", "cannot be decoded"
	}
	mime = page.Sniff(h.Get("Content-Type"), body)
	if errors.Is(err, warc.ErrTooLong) {
		return nil, mime, "longer than its bound when decoded"
	}
	if !page.Indexable(mime) {
		return nil, mime, "content type " + concord.Clip(mime, 80)
	}
	p, err = page.ExtractContext(ctx, page.Input{URL: u, ContentType: h.Get("Content-Type"), Header: h, Body: body, Product: c.cfg.Product, PDF: c.cfg.PDF})
	if err != nil {
		return nil, mime, concord.Clip(err.Error(), maxNote)
	}
	return p, mime, ""
}

// tooLong reports whether a page is larger in the captures log than a message may be: text made of characters that JSON
// writes as six bytes.
func tooLong(p *concord.Page) bool {
	if len(p.Body) < maxEvent/16 {
		return false // title, description and headings are bounded far below the rest
	}
	data, err := json.Marshal(p)
	return err != nil || len(data) > maxEvent
}

// removeStale takes a page out of the index that is there from an earlier fetch and should be no longer.
func (f *Frontier) removeStale(j *job, m *fetchedMsg, res *result) {
	b := j.before
	if b == nil || !b.Indexed || m.Indexed || m.Kind != kindPage {
		return
	}
	switch {
	case m.Status == http.StatusNotFound || m.Status == http.StatusGone:
		if b.Missing == 0 {
			m.stands(b) // it may be back tomorrow
			return
		}
		res.removals = append(res.removals, concord.Removal{URL: m.URL, Reason: "gone"})
	case m.Status >= 400:
		m.stands(b) // trouble of the moment
	default:
		res.removals = append(res.removals, concord.Removal{URL: m.URL, Reason: m.Skip, Duplicate: m.Duplicate})
	}
}

// stands says that what the index has of a page stays there.
func (m *fetchedMsg) stands(b *urlRecord) {
	m.stood = true
	m.Indexed, m.Skip, m.Duplicate, m.WaitsFor = b.Indexed, b.Skip, b.Duplicate, b.WaitsFor
	m.Text, m.Profile, m.Simhash, m.Numbers = b.Text, b.Profile, b.Simhash, b.Numbers
}

// note writes a line into the live list.
func (f *Frontier) note(m *fetchedMsg) {
	e := concord.CrawlEvent{Time: time.Now().UTC(), Crawl: m.Crawl.String(), URL: m.URL, Status: m.Status, Bytes: m.Bytes,
		Took: time.Duration(m.Took) * time.Millisecond}
	switch {
	case m.Outcome != answered:
		e.Note = m.Note
		if m.Outcome == refused {
			e.Note = "refused: " + m.Note
		}
	case m.Duplicate != "":
		e.Note = m.Skip + ": " + m.Duplicate
	case m.Redirect != "":
		e.Note = "redirect to " + m.Redirect
	case m.Indexed && m.NotMod:
		e.Note = skipUnchanged
	case m.Indexed:
		e.Note = "indexed"
	default:
		e.Note = m.Skip
	}
	f.c.watch.emit(e)
	f.c.stats.fetch(m)
}

func itoa(n int) string { return strconv.Itoa(n) }
