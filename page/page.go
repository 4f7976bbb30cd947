// Package page answers "what does a person read on this page, and where does it link?". It turns the bytes a server
// sent into a concord.Page: title, main text without navigation and boilerplate, headings, links with their anchor text,
// language, dates, and what the page asks of robots.
//
// It is not for fetching (package crawl), for deciding what a URL is (package weburl) or for splitting text into words
// (package text).
//
// Invariants:
//   - Extract is a pure function of its Input: no clock, no randomness, no network, no map order. The same input gives
//     the same page years later, because text digests are compared then.
//   - Time and memory are bounded by constants whatever the bytes are: nodes, nesting, attribute sizes, links, text.
//     What was cut is said by Page.Truncated.
//   - PDF parsing, which no Go library does within bounds, happens in a child process (PDFChild).
package page

import (
	"context"
	"net/http"
	"strings"

	"concord"
	"concord/text"
	"concord/weburl"
)

// Bounds of what is kept of one page.
const (
	MaxInputBytes       = 16 << 20  // bytes of a body that are looked at; the crawler stops at 10 MB before
	MaxBodyBytes        = 512 << 10 // main text; 4 of 11,000 documentation pages have more
	MaxTitleBytes       = 1 << 10   // one line of a result page shows about 100
	MaxDescriptionBytes = 2 << 10
	MaxHeadings         = 256
	MaxHeadingBytes     = 512
	MaxLinks            = 5_000 // sitemaps by hand have a few thousand; link farms have more
	MaxAnchorBytes      = 200
)

// Input is one response as the server sent it, content coding removed.
type Input struct {
	URL         weburl.URL  // final URL, after redirects
	ContentType string      // Content-Type as received; may be empty
	Header      http.Header // X-Robots-Tag, Content-Language, Last-Modified and Link are read; may be nil
	Body        []byte      // not changed and not kept
	Product     string      // our token in meta robots and X-Robots-Tag, "concord"
	PDF         PDFReader   // reads PDF bodies; nil: PDF is not indexed
}

// Extract returns what a person reads on the page. It is ExtractContext without a deadline of its own: everything but
// PDF is bounded by constants, and PDF by its reader.
//
// A content type that has no text for readers, or an unreadable PDF, is an Invalid error whose message says so. Extract
// is safe for concurrent use.
func Extract(in Input) (*concord.Page, error) { return ExtractContext(context.Background(), in) }

// ExtractContext is Extract whose PDF reader ends with ctx.
func ExtractContext(ctx context.Context, in Input) (*concord.Page, error) {
	mime := Sniff(in.ContentType, in.Body)
	if !Indexable(mime) {
		if mime == "" {
			mime = "unknown"
		}
		return nil, concord.Errorf(concord.Invalid, "content type %s is not indexed", mime)
	}
	p := &concord.Page{URL: in.URL.String()}
	if len(in.Body) > MaxInputBytes {
		in.Body, p.Truncated = in.Body[:MaxInputBytes], true
	}
	claims := headerClaims(in, p)
	var err error
	switch mime {
	case mimePDF:
		err = extractPDF(ctx, in, p)
	case mimeText:
		extractText(in, p)
	default:
		extractHTML(in, mime, p, &claims)
	}
	if err != nil {
		return nil, err
	}
	finish(p, &claims)
	return p, nil
}

// finish derives what depends on the whole text: language, digest and simhash.
func finish(p *concord.Page, c *claims) {
	p.Title = clipText(p.Title, MaxTitleBytes, &p.Truncated)
	p.Description = clipText(p.Description, MaxDescriptionBytes, &p.Truncated)
	p.Body = clipText(p.Body, MaxBodyBytes, &p.Truncated)
	p.Published, p.Modified = c.published, c.modified
	p.Language = decideLanguage(p, c)
	if p.Title == "" && p.Body == "" {
		return
	}
	norm := text.Normalise(p.Title + "\n" + p.Body)
	if strings.TrimSpace(norm) == "" {
		return
	}
	p.TextDigest = concord.Sum([]byte(norm))
	p.Profile = text.Profile
	p.Simhash = text.Simhash(norm)
}
