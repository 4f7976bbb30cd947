package crawl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"concord"
	"concord/page"
	"concord/text"
	"concord/warc"
	"concord/weburl"
)

// Visit is one look at a page, outside of any crawl: what a witness does. It obeys robots.txt and the spacing of requests
// to a host, follows redirects, and every exchange is in the archive. Nothing of it is announced: see Announce.
type Visit struct {
	URL      string             // asked last, after redirects, in normal form
	Capture  *concord.Capture   // of that; nil: there was no answer
	Captures []*concord.Capture // all, in the order they were made: robots.txt files, redirects, the page
	Text     string             // normalised; empty: the answer has no text for readers
	Cert     concord.Digest     // SHA-256 of the certificates that the server sent, one after the other in DER; zero: no TLS
	Time     time.Time          // when the last request was sent
	Failed   string             // why there was no answer
}

// Visit looks at a page. private allows addresses that are not on the public internet, and other ports than 80 and 443.
// A host that gives no answer is no error. Errors: Invalid for a URL that is none, Unauthorized when robots.txt or the
// host's address forbid it, Unavailable when this node fetches nothing at the moment, or ctx ends.
func (c *Crawler) Visit(ctx context.Context, rawURL string, private bool) (*Visit, error) {
	u, err := weburl.Parse(rawURL)
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "visit: %w", err)
	}
	if why := c.stalled(); why != "" {
		return nil, concord.Errorf(concord.Unavailable, "visit %s: nothing is fetched now: %s", u, why)
	}
	v := &visitor{c: c, private: private, v: &Visit{URL: u.String(), Time: time.Now()}}
	defer func() { c.held.Add(-v.held) }()
	err = v.follow(ctx, u)
	var no *refusal
	switch {
	case ctx.Err() != nil:
		return nil, concord.Errorf(concord.Unavailable, "visit %s: %w", u, ctx.Err())
	case errors.As(err, &no):
		return nil, concord.Errorf(concord.Unauthorized, "visit %s: %s", u, no.reason)
	case err != nil:
		v.v.Failed, v.v.Capture, v.v.Text, v.v.Cert = concord.Clip(plain(err), maxNote), nil, "", concord.Digest{}
	}
	if err := v.archive(); err != nil {
		return nil, concord.Errorf(concord.Unavailable, "visit %s: %w", u, err)
	}
	return v.v, nil
}

// Announce puts captures of visits on record as this operator's: shards keep them beside those of crawls, without a change
// of what is indexed, and the attestor attests them. Repeating it is no error.
func (c *Crawler) Announce(ctx context.Context, captures []*concord.Capture) error {
	var msgs []concord.Message
	for _, x := range captures {
		msgs = append(msgs, concord.Message{Subject: c.captureSubject(x.URL), ID: x.ID, Data: encodeCapture(x, nil)})
	}
	if len(msgs) == 0 {
		return nil
	}
	_, err := c.cfg.Captures.Append(ctx, msgs...)
	return err
}

// visitor makes the requests of one visit.
type visitor struct {
	c       *Crawler
	private bool
	v       *Visit
	groups  [][]warc.Record
	robots  map[string]*robotsFound // by origin
	held    int64
}

type robotsFound struct {
	rules  *weburl.Robots
	digest concord.Digest
}

// follow asks for a page and goes where it leads.
func (v *visitor) follow(ctx context.Context, u weburl.URL) error {
	for hop := 0; ; hop++ {
		v.v.URL, v.v.Time = u.String(), time.Now()
		found, err := v.robotsOf(ctx, u)
		if err != nil {
			return err
		}
		if verdict := found.rules.Check(v.c.cfg.Product, u); !verdict.Allowed {
			return &refusal{fmt.Sprintf("robots.txt line %d: %s", verdict.Line, concord.Clip(verdict.Rule, 120))}
		}
		x, info, err := v.ask(ctx, u)
		if err != nil {
			return err
		}
		capture := v.keep(u, x, &info, found.digest)
		target, err := u.Resolve(info.Head.Header.Get("Location"))
		if isRedirect(info.Head.Status) && err == nil && info.Head.Header.Get("Location") != "" && hop < v.c.cfg.Bounds.Redirects {
			capture.Redirect = target.String()
			u = target
			continue
		}
		v.v.Capture, v.v.Time, v.v.Cert = capture, x.start, x.conn.certs
		v.read(ctx, u, &info, capture)
		return nil
	}
}

// read fills in the text of an answer with content of its own.
func (v *visitor) read(ctx context.Context, u weburl.URL, info *warc.CaptureInfo, capture *concord.Capture) {
	if info.Head.Status < 200 || info.Head.Status >= 300 {
		return
	}
	tokens := v.c.reading(info.Head.Header.Get("Content-Type"), u)
	tokens <- struct{}{}
	defer func() { <-tokens }()
	p, mime, _ := v.c.extractPage(ctx, u, info.Head.Header, info.Payload)
	capture.Mime = mime
	if p != nil && !p.TextDigest.IsZero() {
		capture.Text, capture.Profile = p.TextDigest, p.Profile
		v.v.Text = text.Normalise(p.Title + "\n" + p.Body)
	}
}

// robotsOf returns the rules of a URL's host, asked for once in a visit.
func (v *visitor) robotsOf(ctx context.Context, u weburl.URL) (*robotsFound, error) {
	if found := v.robots[u.Origin()]; found != nil {
		return found, nil
	}
	at, err := weburl.Parse(u.Origin() + robotsPath)
	if err != nil {
		return nil, err
	}
	found := new(robotsFound)
	for hop := 0; ; hop++ {
		x, info, err := v.ask(ctx, at)
		var no *refusal
		if errors.As(err, &no) {
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("robots.txt: %w", err)
		}
		v.keep(at, x, &info, concord.Digest{}).Skip = skipRobots
		target, err := at.Resolve(info.Head.Header.Get("Location"))
		if isRedirect(info.Head.Status) && err == nil && info.Head.Header.Get("Location") != "" && hop < weburl.MaxRobotsRedirects {
			at = target
			continue
		}
		body, err := warc.DecodeContent(info.Head.Header, info.Payload, robotsBytes)
		if err != nil && len(body) == 0 {
			body = nil
		}
		rules, state := weburl.RobotsForStatus(info.Head.Status, body[:min(len(body), robotsBytes)])
		if found.rules = rules; state == weburl.RobotsRules {
			found.digest = info.Raw
		}
		break
	}
	if v.robots == nil {
		v.robots = map[string]*robotsFound{}
	}
	v.robots[u.Origin()] = found
	return found, nil
}

// ask makes one request when the host's turn has come.
func (v *visitor) ask(ctx context.Context, u weburl.URL) (*exchange, warc.CaptureInfo, error) {
	var none warc.CaptureInfo
	addrs, err := v.c.client.resolve(ctx, u, v.private)
	if err != nil {
		return nil, none, err
	}
	if !v.c.gates.await(ctx, u.Origin()) {
		return nil, none, errors.New("the host is busy with other requests of this node")
	}
	defer v.c.gates.leave(u.Origin(), v.c.cfg.Politeness.MinDelay.Milliseconds())
	limited, cancel := context.WithTimeout(ctx, v.c.cfg.Bounds.DialTime+v.c.cfg.Bounds.FetchTime)
	defer cancel()
	x, err := v.c.client.do(limited, &request{url: u, addrs: addrs, maxBody: v.c.cfg.Bounds.BodyBytes, userAgent: v.c.cfg.userAgent()})
	if err != nil {
		return nil, none, err
	}
	v.held += x.held
	list, info, err := warc.Build(warc.Exchange{URL: u.String(), Time: x.start, IP: x.conn.addr, Request: x.request, Response: x.response,
		Truncated: x.truncated, Protocol: x.conn.protocol, Cipher: x.conn.cipher})
	if err != nil {
		return nil, none, err
	}
	v.groups = append(v.groups, list)
	return x, info, nil
}

// keep makes the capture of an exchange.
func (v *visitor) keep(u weburl.URL, x *exchange, info *warc.CaptureInfo, robots concord.Digest) *concord.Capture {
	c := &concord.Capture{ID: info.ID, URL: u.String(), Time: x.start.UTC().Truncate(time.Second), Status: info.Head.Status, Size: info.Size,
		Raw: info.Raw, Record: info.Record, Robots: robots, Crawl: concord.WitnessCrawl, Skip: concord.SkipWitness,
		Mime: page.Sniff(info.Head.Header.Get("Content-Type"), info.Payload)}
	v.v.Captures = append(v.v.Captures, c)
	return c
}

// archive makes the records durable, with what was concluded of each, so that a rebuild makes the same captures.
func (v *visitor) archive() error {
	if len(v.groups) == 0 {
		return nil
	}
	for i, c := range v.v.Captures {
		d := &decision{Version: decisionVersion, By: v.c.cfg.Operator, Kind: kindNames[kindWitness], Start: c.Time.UnixMilli(), Size: c.Size, Mime: c.Mime,
			Text: c.Text, Profile: c.Profile, Robots: c.Robots, Skip: c.Skip}
		v.groups[i] = warc.Annotate(v.groups[i], warc.Field{Name: "crawl", Value: c.Crawl}, jsonField(fieldDecision, d))
	}
	places, err := v.c.cfg.Archive.Append(v.groups)
	if err != nil {
		return err
	}
	for i, c := range v.v.Captures {
		c.Location = places[i][0]
	}
	return nil
}
