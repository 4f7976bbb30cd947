package crawl

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"concord"
	"concord/page"
	"concord/warc"
	"concord/weburl"
)

// fetchRobots fetches a host's robots.txt on behalf of the crawl whose URL is next there. Redirects are followed, and
// what is found in the end counts for this host (RFC 9309 section 2.3.1.2); every hop is a capture.
func (f *Frontier) fetchRobots(ctx context.Context, h *host, crawl crawlID) {
	u, err := weburl.Parse(h.name + robotsPath)
	if err != nil {
		f.postpone(h, nil)
		return
	}
	p := f.c.plan(crawl)
	private := p != nil && p.spec.AllowPrivate
	addrs, err := f.c.client.resolve(ctx, u, private)
	var no *refusal
	if errors.As(err, &no) {
		f.refuseNext(ctx, h, no.reason)
		return
	}
	if err == nil {
		if wait := f.turn(h, addrs[0]); wait > 0 {
			f.postpone(h, nil)
			return
		}
	}
	began := time.Now()
	m := &fetchedMsg{Crawl: crawl, URL: u.String(), Kind: kindRobots, Start: f.c.clock.shown(began).UnixMilli()}
	res := &result{f: f, fetched: m}
	held := f.robotsHops(ctx, u, private, m, res)
	if !held && ctx.Err() == nil {
		f.postpone(h, nil)
	}
	if !held || ctx.Err() != nil {
		f.c.held.Add(-res.held)
		return
	}
	m.timed(&f.c.clock, began, time.Since(began))
	f.writeRobots(m, res)
	f.mu.Lock()
	f.openGate(h)
	h.rest = max(h.rest, m.ended+f.c.cfg.Politeness.MinDelay.Milliseconds()) // and longer, when this is on record
	f.mu.Unlock()
	f.noteRobots(m)
	f.submit(ctx, res) // the host goes on when this is on record
}

// refuseNext refuses the URL that is next at a host whose address may not be asked, not even for its robots.txt.
func (f *Frontier) refuseNext(ctx context.Context, h *host, reason string) {
	f.mu.Lock()
	var list []barred
	for len(h.ready) > 0 && len(list) < prefetch {
		fl := &flight{queued: h.ready[0]}
		if p := f.c.plan(fl.e.Crawl); p != nil && p.spec.AllowPrivate && len(list) > 0 {
			break
		}
		f.take(h, fl)
		list = append(list, barred{fl.queued, reason})
	}
	h.more = true
	f.mu.Unlock()
	f.finish(h, nil)
	f.submitRefusals(ctx, list)
}

// errNotHeld ends what is done for a partition whose lease this machine holds no more.
var errNotHeld = errors.New("the partition's lease is not held")

// robotsHops makes the requests, and says in m what the robots.txt amounts to. It returns false when the lease was lost on the way.
func (f *Frontier) robotsHops(ctx context.Context, u weburl.URL, private bool, m *fetchedMsg, res *result) (held bool) {
	at := u
	for hop := 0; ; hop++ {
		head, info, err := f.robotsHop(ctx, at, u, private, m, res)
		if err != nil {
			var name *nameError
			m.Outcome, m.Note, m.RobotsKind = failed, concord.Clip(plain(err), maxNote), robotsUnreachable
			if errors.As(err, &name) {
				m.Outcome, m.Note = unresolved, concord.Clip(name.Error(), maxNote)
			}
			return !errors.Is(err, errNotHeld)
		}
		m.Outcome, m.Status, m.Note = answered, head.Status, itoa(head.Status)
		m.RetryAfter = retryAfter(head.Header, time.Now())
		target, err := at.Resolve(head.Header.Get("Location"))
		if isRedirect(head.Status) && err == nil && head.Header.Get("Location") != "" && hop < weburl.MaxRobotsRedirects {
			at = target
			continue
		}
		body, err := warc.DecodeContent(head.Header, info.Payload, robotsBytes)
		if err != nil && len(body) == 0 {
			body = nil
		}
		body = body[:min(len(body), robotsBytes)]
		_, state := weburl.RobotsForStatus(head.Status, body)
		m.RobotsKind = string(state)
		if state == weburl.RobotsRules {
			m.Raw, m.Robots = info.Raw, append([]byte(nil), body...)
		}
		return true
	}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// robotsHop makes one of the requests and adds its capture to the result.
func (f *Frontier) robotsHop(ctx context.Context, at, first weburl.URL, private bool, m *fetchedMsg, res *result) (warc.Head, warc.CaptureInfo, error) {
	var none warc.CaptureInfo
	if at.Origin() != first.Origin() {
		if !f.c.gates.await(ctx, at.Origin()) {
			return warc.Head{}, none, fmt.Errorf("redirect to %s: the host is busy", at.Origin())
		}
		defer f.c.gates.leave(at.Origin(), f.c.cfg.Politeness.MinDelay.Milliseconds())
	}
	addrs, err := f.c.client.resolve(ctx, at, private)
	if err != nil {
		return warc.Head{}, none, err
	}
	limited, cancel := context.WithTimeout(ctx, f.c.cfg.Bounds.DialTime+f.c.cfg.Bounds.FetchTime)
	defer cancel()
	if !f.holds() {
		return warc.Head{}, none, errNotHeld
	}
	x, err := f.c.client.do(limited, &request{url: at, addrs: addrs, maxBody: f.c.cfg.Bounds.BodyBytes, userAgent: f.c.cfg.userAgent()})
	if err != nil {
		return warc.Head{}, none, err
	}
	res.held += x.held
	list, info, err := warc.Build(warc.Exchange{URL: at.String(), Time: x.start, IP: x.conn.addr, Request: x.request, Response: x.response,
		Truncated: x.truncated, Protocol: x.conn.protocol, Cipher: x.conn.cipher})
	if err != nil {
		return warc.Head{}, none, err
	}
	c := &concord.Capture{ID: info.ID, URL: at.String(), Time: x.start.UTC().Truncate(time.Second), Status: info.Head.Status, Size: info.Size,
		Raw: info.Raw, Record: info.Record, Crawl: m.Crawl.String(), Skip: skipRobots, Mime: page.Sniff(info.Head.Header.Get("Content-Type"), info.Payload)}
	if isRedirect(info.Head.Status) {
		if target, err := at.Resolve(info.Head.Header.Get("Location")); err == nil {
			c.Redirect = target.String()
		}
	}
	res.groups, res.captures, res.pages = append(res.groups, list), append(res.captures, c), append(res.pages, nil)
	m.Capture, m.Bytes = info.ID, info.Size
	return info.Head, info, nil
}

func (f *Frontier) noteRobots(m *fetchedMsg) {
	note := map[string]string{string(weburl.RobotsRules): "robots.txt: rules", string(weburl.RobotsNone): "robots.txt: none"}[m.RobotsKind]
	if note == "" {
		note = "robots.txt unreachable: " + m.Note
	}
	f.c.watch.emit(concord.CrawlEvent{Time: time.Now().UTC(), Crawl: m.Crawl.String(), URL: m.URL, Status: m.Status, Bytes: m.Bytes,
		Took: time.Duration(m.Took) * time.Millisecond, Note: note})
	f.c.stats.fetch(m)
}
