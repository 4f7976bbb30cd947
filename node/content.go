package node

import (
	"context"
	"fmt"
	"net/http"

	"concord"
	"concord/page"
	"concord/warc"
	"concord/web"
	"concord/weburl"
)

// Product is the crawler's name in robots.txt, meta robots and X-Robots-Tag.
const Product = "concord"

// maxDecoded bounds a body once its content coding is undone.
const maxDecoded = 100 << 20

// archive opens what was captured.
type archive struct{ n *Node }

// Content implements web.Archive.
func (a archive) Content(ctx context.Context, c concord.Capture) (web.Content, error) {
	return a.n.content(ctx, &c)
}

// content reads a capture's record, follows a revisit to the capture that has the body, and checks both against the
// digests on record.
func (n *Node) content(ctx context.Context, c *concord.Capture) (web.Content, error) {
	rec, err := n.archive.Read(c.Location)
	if err != nil {
		return web.Content{}, err
	}
	if got := concord.Sum(rec.Block); got != c.Record {
		return web.Content{}, concord.Errorf(concord.Corrupt, "the archived record of %s does not match its digest", c.URL)
	}
	head, payload, err := warc.Payload(rec.Block)
	if err != nil {
		return web.Content{}, err
	}
	if rec.Type() == warc.TypeRevisit {
		if payload, err = n.revisited(ctx, c); err != nil {
			return web.Content{}, err
		}
	}
	if got := concord.Sum(payload); got != c.Raw {
		return web.Content{}, concord.Errorf(concord.Corrupt, "the archived body of %s does not match its digest", c.URL)
	}
	body, err := warc.DecodeContent(head.Header, payload, maxDecoded)
	if err != nil && body == nil {
		body = payload // shown as it is: what the server sent is not what it said
	}
	rules := weburl.ParseRobotsTag(head.Header.Values("X-Robots-Tag"), Product)
	return web.Content{Status: head.Status, Header: head.Header, Mime: c.Mime, Charset: page.Charset(head.Header.Get("Content-Type"), body),
		Body: body, Raw: payload, Block: rec.Block, NoArchive: rules.NoArchive, Truncated: rec.Header.Get("WARC-Truncated") != ""}, nil
}

// revisited returns the body of the capture that a revisit refers to.
func (n *Node) revisited(ctx context.Context, c *concord.Capture) ([]byte, error) {
	if c.Revisit == "" {
		return nil, concord.Errorf(concord.NotFound, "the body of %s lies in an archive that is not here", c.URL)
	}
	first, err := n.capture(ctx, c.Revisit)
	if err != nil {
		return nil, fmt.Errorf("earlier capture of %s: %w", c.URL, err)
	}
	if first.Revisit != "" {
		return nil, concord.Errorf(concord.Corrupt, "revisit of %s refers to another revisit", c.URL)
	}
	rec, err := n.archive.Read(first.Location)
	if err != nil {
		return nil, err
	}
	_, payload, err := warc.Payload(rec.Block)
	return payload, err
}

// reextract makes the page of a capture anew, as the crawler did when it fetched it.
func (n *Node) reextract(ctx context.Context, c *concord.Capture) (*concord.Page, error) {
	content, err := n.content(ctx, c)
	if err != nil {
		return nil, err
	}
	return Extract(c.URL, content.Header, content.Body, n.pdf)
}

// Extract makes the page of a response. Its text digest is what captures attest.
func Extract(rawURL string, h http.Header, body []byte, pdf page.PDFReader) (*concord.Page, error) {
	u, err := weburl.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	return page.Extract(page.Input{URL: u, ContentType: h.Get("Content-Type"), Header: h, Body: body, Product: Product, PDF: pdf})
}
