package crawl

import (
	"net/http"
	"time"

	"concord"
	"concord/warc"
	"concord/weburl"
)

// again makes the result of a fetch from its records and from what was decided then. The message is nil for the earlier
// hops to a robots.txt, which only the last speaks for. own says whether this operator attests the capture.
func (r *Rebuild) again(p *Prepared) (res *result, m *fetchedMsg, own bool) {
	it, d := p.entry.Item, p.decision
	kind, own := r.kindOf(d)
	f := r.c.partition(p.url.Site())
	header := withMime(it)
	c := &concord.Capture{ID: it.ID, URL: p.url.String(), Time: it.Time.UTC().Truncate(time.Second), Status: statusOrOK(it), Mime: d.Mime, Size: d.Size,
		Raw: it.Raw, Text: d.Text, Profile: d.Profile, Record: it.Block, Location: p.entry.Location, Robots: d.Robots, Crawl: p.crawl, Skip: d.Skip}
	if !own {
		c.Crawl = concord.ImportCrawl
		r.stats.Imported++
	}
	m = &fetchedMsg{URL: c.URL, Start: d.Start, Took: d.Took, Outcome: answered, Status: c.Status, Bytes: d.Size, Capture: c.ID, Raw: c.Raw,
		Skip: d.Reason, Indexed: d.Indexed, Duplicate: d.Other, WaitsFor: d.WaitsFor, Replaces: d.Replaces, stood: d.Stands,
		ETag: token(it.Header.Get("ETag")), LastMod: token(it.Header.Get("Last-Modified")), RetryAfter: retryAfter(header, it.Time)}
	if it.Kind == warc.TypeRevisit {
		c.Revisit, m.NotMod = it.RefersTo.ID, true
	}
	if !d.Stands {
		m.Text, m.Profile, c.Duplicate = d.Text, d.Profile, d.Other
	}
	if loc := header.Get("Location"); loc != "" && c.Status >= 300 && c.Status < 400 && c.Status != http.StatusNotModified {
		if target, err := p.url.Resolve(loc); err == nil {
			c.Redirect, m.Redirect = target.String(), target.String()
		}
	}
	res = &result{f: f, captures: []*concord.Capture{c}, pages: []*concord.Page{nil}, removals: d.Removed, fetched: m}
	r.readAgain(p, c, m, res)
	switch {
	case kind == kindRobots:
		m = r.robotsAgain(p, res, m)
	case kind == kindWitness:
		m = nil
	case kind == kindImport:
		m.Kind, m.Record = kindImport, itemDigest(it)
	default:
		r.fetchedAgain(p, kind, m, c, res)
	}
	return res, m, own
}

// kindOf returns as what a capture was fetched, and whether it was this operator who did.
func (r *Rebuild) kindOf(d *decision) (urlKind, bool) {
	if d.By != r.c.cfg.Operator {
		return kindImport, false
	}
	for k, name := range kindNames {
		if name == d.Kind {
			return k, k != kindImport
		}
	}
	return kindImport, false
}

// readAgain fills in what the page says, and whether the index gets it.
func (r *Rebuild) readAgain(p *Prepared, c *concord.Capture, m *fetchedMsg, res *result) {
	pg := p.page
	if pg == nil {
		if c.Skip == "" {
			r.stats.Unread++
		}
		return
	}
	if pg.TextDigest != c.Text && c.Profile != "" {
		r.stats.Reread++
	}
	if !m.stood {
		m.Simhash = pg.Simhash
	}
	if m.Indexed && !m.stood {
		m.Numbers = numbersOf(pg.Title + "\n" + pg.Body)
	}
	if c.Skip == "" && !tooLong(pg) {
		res.pages[0] = pg
	}
}

// fetchedAgain fills in where a page or sitemap leads.
func (r *Rebuild) fetchedAgain(p *Prepared, kind urlKind, m *fetchedMsg, c *concord.Capture, res *result) {
	d, f := p.decision, res.f
	e := &entry{Kind: kind, Depth: d.Depth, Redirects: d.Hops, URL: c.URL}
	if d.Recrawl {
		e.Flags |= entryRecrawl
	}
	if d.Adopted {
		e.Flags |= entryAdopted
	}
	id, err := parseCrawlID(p.crawl)
	plan := r.c.plan(id)
	if err != nil || plan == nil {
		r.stats.NoCrawl++
		m.Kind, m.Record = kindImport, itemDigest(p.entry.Item) // on record, but no crawl asks for it again
		return
	}
	e.Crawl, m.Crawl, m.Kind = id, id, kind
	if kind == kindProbe {
		m.Kind = kindSitemap
	}
	m.replayed = e
	j := &job{fl: &flight{queued: queued{e: e}}, url: p.url, plan: plan}
	switch {
	case m.Kind == kindSitemap:
		r.sitemapAgain(p, j, res)
	case c.Redirect != "":
		scratch, ignored := *m, *c
		f.redirected(j, withMime(p.entry.Item), &scratch, &ignored, res)
	case p.page != nil:
		f.follow(j, p.page, res)
		if res.pages[0] == nil {
			res.anchors = nil
		}
		if target, err := weburl.Parse(d.WaitsFor); err == nil && d.WaitsFor != "" {
			f.addLinks(res, linksMsg{Crawl: id, Depth: d.Depth, Via: viaCanonical, From: c.URL}, []weburl.URL{target})
		}
	}
}

// sitemapAgain takes the URLs out of a sitemap, and for a probe those of the sitemaps that robots.txt names.
func (r *Rebuild) sitemapAgain(p *Prepared, j *job, res *result) {
	it := p.entry.Item
	payload := it.Payload
	if it.Kind == warc.TypeRevisit {
		payload, _ = r.earlier(it.RefersTo.ID) // an error costs hints only, and the pages behind them were fetched or are linked
	}
	if it.Status == http.StatusOK {
		info := &warc.CaptureInfo{Head: warc.Head{Status: it.Status, Header: it.Header}, Payload: payload}
		res.f.readSitemap(j, info, res)
	}
	if j.fl.e.Kind != kindProbe || r.flush(1) != nil {
		return
	}
	if rules, err := res.f.rulesOf(j.url.Origin()); err == nil {
		res.f.addSitemaps(res, j, rules.Sitemaps(), 0)
	}
}

// robotsAgain makes the end of the fetch of a robots.txt, where its last hop says what came of it.
func (r *Rebuild) robotsAgain(p *Prepared, res *result, m *fetchedMsg) *fetchedMsg {
	a := p.decision.Answer
	if a == nil {
		res.fetched = nil
		return nil
	}
	first, err := weburl.Parse(a.For)
	id, idErr := parseCrawlID(p.crawl)
	if err != nil || idErr != nil {
		res.fetched = nil
		return nil
	}
	it := p.entry.Item
	m.Kind, m.URL, m.Crawl, m.RobotsKind, m.Outcome, m.Note = kindRobots, a.For, id, a.State, outcome(a.Outcome), a.Note
	m.Raw, m.replayed = concord.Digest{}, nil
	if weburl.RobotsState(a.State) == weburl.RobotsRules {
		body, _ := warc.DecodeContent(it.Header, it.Payload, robotsBytes)
		m.Raw, m.Robots = it.Raw, body[:min(len(body), robotsBytes)]
	}
	res.f = r.c.partition(first.Site())
	return m
}
