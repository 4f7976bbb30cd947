package page

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/html/atom"

	"concord"
	"concord/text"
	"concord/weburl"
)

// claims are what header and page say of themselves and what is decided only at the end.
type claims struct {
	language            string
	published, modified time.Time
	timeElement         time.Time // of the first time element in an article
	modifiedByPage      bool      // modified is the page's own word, not the header's
	article             string    // articleBody of a schema.org description
	titles              [3]string // by preference: title element, og:title, first h1
}

// headerClaims reads the response header.
func headerClaims(in Input, p *concord.Page) claims {
	var c claims
	if in.Header == nil {
		return c
	}
	obey(p, weburl.ParseRobotsTag(in.Header.Values("X-Robots-Tag"), in.Product))
	if l := in.Header.Get("Content-Language"); l != "" && !strings.Contains(l, ",") {
		c.language = languageCode(l)
	}
	if t, err := http.ParseTime(in.Header.Get("Last-Modified")); err == nil && saneTime(t) {
		c.modified = t.UTC()
	}
	if ref := linkHeader(in.Header.Values("Link"), "canonical"); ref != "" {
		if u, err := in.URL.Resolve(ref); err == nil {
			p.Canonical = u.String()
		}
	}
	return c
}

// obey adds rules to those of the page; the stricter wins.
func obey(p *concord.Page, r weburl.PageRules) {
	p.NoIndex = p.NoIndex || r.NoIndex
	p.NoFollow = p.NoFollow || r.NoFollow
	p.NoArchive = p.NoArchive || r.NoArchive
	p.NoSnippet = p.NoSnippet || r.NoSnippet
	if r.MaxSnippet > 0 && (p.MaxSnippet == 0 || r.MaxSnippet < p.MaxSnippet) {
		p.MaxSnippet = r.MaxSnippet
	}
	if !r.Expires.IsZero() && (p.Expires.IsZero() || r.Expires.Before(p.Expires)) {
		p.Expires = r.Expires
	}
}

// linkHeader returns the target of the first link of that relation in Link headers (RFC 8288).
func linkHeader(values []string, rel string) string {
	for _, v := range values {
		for v != "" {
			_, rest, ok := strings.Cut(v, "<")
			if !ok {
				break
			}
			target, params, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			end := strings.Index(params, ",")
			if end < 0 {
				end = len(params)
			}
			for p := range strings.SplitSeq(params[:end], ";") {
				k, val, _ := strings.Cut(strings.TrimSpace(p), "=")
				if strings.EqualFold(strings.TrimSpace(k), "rel") && hasToken(strings.Trim(val, "\" "), rel) {
					return target
				}
			}
			v = params[end:]
		}
	}
	return ""
}

// hasToken reports whether a space-separated list holds a token, without regard to case.
func hasToken(list, token string) bool {
	for w := range strings.FieldsSeq(list) {
		if strings.EqualFold(w, token) {
			return true
		}
	}
	return false
}

// extractHTML fills a page from an HTML body.
func extractHTML(in Input, mime string, p *concord.Page, c *claims) {
	p.FileType = "html"
	source, _ := decode(in.Body, in.ContentType, true)
	t := parse(source, mime == mimeXHTML)
	p.Truncated = p.Truncated || t.cut
	x := &reader{tree: t, in: in, page: p, claims: c, base: in.URL}
	x.read()
	main, prose := mainText(t, &p.Truncated)
	x.keepHeadings(main)
	body := main.render(&p.Truncated)
	if !prose && len(c.article) > 2*len(body) && len(c.article) > minArticle {
		body = cleanLines(c.article) // scripts would show it
	}
	p.Body = body
}

// minArticle is the length under which a described article is a summary.
const minArticle = 200

// reader collects what the head and the elements of a page say: one pass over the tree in document order.
type reader struct {
	*tree
	in     Input
	page   *concord.Page
	claims *claims
	base   weburl.URL

	links linkSet
	heads []nodeID // elements of page.Headings
}

func (x *reader) read() {
	x.findBase()
	x.links = newLinkSet()
	for id := nodeID(1); int(id) < len(x.nodes); id++ {
		d := &x.nodes[id]
		if d.isText {
			continue
		}
		switch d.tag {
		case atom.Html:
			if l := x.get(id, attrLang); l != "" {
				x.claims.language = languageCode(l)
			}
		case atom.Title:
			if x.claims.titles[0] == "" && !x.inside(id, atom.Svg) {
				x.claims.titles[0] = x.textOf(id, MaxTitleBytes)
			}
		case atom.Meta:
			x.meta(id)
		case atom.Link:
			if hasToken(x.get(id, attrRel), "canonical") {
				x.canonical(x.get(id, attrHref))
			}
		case atom.H1, atom.H2, atom.H3:
			x.heading(id, d.tag)
		case atom.A, atom.Area:
			x.link(id)
		case atom.Time:
			x.time(id)
		}
	}
	x.page.Links = x.links.list
	x.page.Truncated = x.page.Truncated || x.links.cut
	x.jsonLD()
	for _, title := range x.claims.titles {
		if x.page.Title == "" {
			x.page.Title = title
		}
	}
}

// findBase applies the first base element with an href.
func (x *reader) findBase() {
	for id := nodeID(1); int(id) < len(x.nodes); id++ {
		if d := &x.nodes[id]; d.isText || d.tag != atom.Base {
			continue
		}
		if href := x.get(id, attrHref); href != "" {
			if u, err := x.base.Resolve(href); err == nil {
				x.base = u
			}
			return
		}
	}
}

func (x *reader) canonical(href string) {
	if href = strings.TrimSpace(href); href == "" || x.page.Canonical != "" {
		return
	}
	if u, err := x.base.Resolve(href); err == nil {
		x.page.Canonical = u.String()
	}
}

func (x *reader) heading(id nodeID, tag atom.Atom) {
	if len(x.page.Headings) >= MaxHeadings {
		return
	}
	h := x.textOf(id, MaxHeadingBytes)
	h = strings.TrimRight(h, " ¶#§")
	if h == "" {
		return
	}
	if tag == atom.H1 && x.claims.titles[2] == "" {
		x.claims.titles[2] = h
	}
	x.page.Headings = append(x.page.Headings, h)
	x.heads = append(x.heads, id)
}

// keepHeadings leaves the headings of the main text, and first-level ones that are not in boilerplate: a headline often
// stands above the main text.
func (x *reader) keepHeadings(main *segmenter) {
	wanted := make(map[nodeID]bool, len(x.heads))
	for i := range main.blocks {
		b := &main.blocks[i]
		for n, up := b.el, 0; n != 0 && up < headingDepth; n, up = x.nodes[n].parent, up+1 {
			if tag := x.nodes[n].tag; isHeading(tag) {
				wanted[n] = wanted[n] || b.keep || tag == atom.H1 && b.zone > hintBoiler
				break
			}
		}
	}
	var kept []string
	for i, id := range x.heads {
		if wanted[id] {
			kept = append(kept, x.page.Headings[i])
		}
	}
	x.page.Headings = kept
}

// headingDepth is how deep inside a heading its text may stand.
const headingDepth = 4

// inside reports whether an element has an ancestor of a tag.
func (x *reader) inside(id nodeID, tag atom.Atom) bool {
	for n := x.nodes[id].parent; n != 0; n = x.nodes[n].parent {
		if x.nodes[n].tag == tag {
			return true
		}
	}
	return false
}

// maxScan is how many nodes below a link or heading are looked at for its text: nested links would be read again and
// again.
const maxScan = 4096

// textOf returns the text below an element, white space collapsed, at most max bytes.
func (x *reader) textOf(id nodeID, max int) string {
	var buf [512]byte
	b := buf[:0]
	for n, end := id+1, min(x.end(id), id+maxScan); n < end && len(b) < 2*max; {
		d := &x.nodes[n]
		switch {
		case d.isText:
			b = append(b, x.text[d.a:d.b]...)
		case isSkipped(d.tag) && d.tag != atom.Button:
			n = x.end(n)
			continue
		case isBlock(d.tag) || d.tag == atom.Br:
			b = append(b, ' ')
		}
		n++
	}
	var cut bool
	return clipText(collapse(string(bytes.ToValidUTF8(b, nil))), max, &cut)
}

// decideLanguage takes what the page claims, unless its text is clearly in another language.
func decideLanguage(p *concord.Page, c *claims) string {
	sample := p.Body
	if len(sample) > languageSampleBytes {
		var cut bool
		sample = clipText(sample, languageSampleBytes, &cut)
	}
	if strings.TrimSpace(sample) == "" {
		sample = p.Title
	}
	lang, confidence := text.Detect(sample)
	switch {
	case c.language == "" && confidence >= minConfidence:
		return lang
	case c.language != lang && lang != "" && confidence >= sureConfidence && len(sample) >= minDetectBytes:
		return lang
	}
	return c.language
}

const (
	languageSampleBytes = 1200 // enough for certainty, and detection costs as much as parsing ten times as much
	minDetectBytes      = 200  // under this a claim stands
	minConfidence       = 0.5  // for a page that claims nothing
	sureConfidence      = 0.8  // to overrule a claim
)

// languageCode returns the primary subtag of a language tag, when it is a two-letter code.
func languageCode(tag string) string {
	tag, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
	tag, _, _ = strings.Cut(tag, "_")
	if len(tag) != 2 || tag[0] < 'a' || tag[0] > 'z' || tag[1] < 'a' || tag[1] > 'z' {
		return ""
	}
	return tag
}
