package web

import (
	"bytes"
	"io"
	"mime"
	"strings"

	"concord"
	"concord/weburl"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
)

const (
	// maxCopyBytes bounds the page that is shown as an archived copy; a longer one can be downloaded.
	maxCopyBytes = 16 << 20
	// maxCopyDepth bounds nesting. Deeper elements are shown without their own mark-up.
	maxCopyDepth = 400
	// maxDataImage bounds one picture that is part of the page itself.
	maxDataImage = 1 << 20
)

// copyStyle makes a page legible whose style sheets are not part of the copy. The page's own style elements follow it.
const copyStyle = `:root{color-scheme:light}html{background:#fff;color:#1c1b19}body{font:1rem/1.6 Georgia,"Liberation Serif",serif;` +
	`max-width:50rem;margin:0 auto;padding:1.5rem 1.25rem 4rem;overflow-wrap:break-word}a{color:#0b5a54}` +
	`pre,code,kbd,samp{font-family:ui-monospace,"Liberation Mono",monospace;font-size:.92em}pre{overflow-x:auto;padding:.75rem 1rem;` +
	`background:#f5f3ee}table{border-collapse:collapse;display:block;overflow-x:auto}td,th{padding:.25rem .6rem;border:1px solid #ddd8cc;` +
	`text-align:left;vertical-align:top}img{max-width:100%;height:auto}blockquote{margin-inline:0;padding-left:1rem;border-left:3px solid #ddd8cc}` +
	`.concord-picture{display:inline-block;padding:.1rem .5rem;border:1px dashed #b9b2a3;color:#6b665c;font:.8rem/1.5 sans-serif}`

// keptElements are the elements of a copy, with the attributes they may have beside the common ones. What is not here is
// left out and its content kept, unless droppedElements names it.
var keptElements = map[atom.Atom][]string{
	atom.A: {"name"}, atom.Abbr: nil, atom.Address: nil, atom.Article: nil, atom.Aside: nil, atom.B: nil, atom.Bdi: nil, atom.Bdo: nil,
	atom.Big: nil, atom.Blockquote: nil, atom.Body: nil, atom.Br: nil, atom.Caption: nil, atom.Center: nil, atom.Cite: nil, atom.Code: nil,
	atom.Col: {"span", "width"}, atom.Colgroup: {"span"}, atom.Data: nil, atom.Dd: nil, atom.Del: nil, atom.Details: {"open"}, atom.Dfn: nil,
	atom.Div: {"align"}, atom.Dl: nil, atom.Dt: nil, atom.Em: nil, atom.Figcaption: nil, atom.Figure: nil, atom.Font: {"color", "size"},
	atom.Footer: nil, atom.H1: {"align"}, atom.H2: {"align"}, atom.H3: {"align"}, atom.H4: {"align"}, atom.H5: {"align"}, atom.H6: {"align"},
	atom.Header: nil, atom.Hgroup: nil, atom.Hr: nil, atom.I: nil, atom.Img: {"alt", "width", "height"}, atom.Ins: nil, atom.Kbd: nil,
	atom.Li: {"value"}, atom.Main: nil, atom.Mark: nil, atom.Nav: nil, atom.Ol: {"start", "type", "reversed"}, atom.P: {"align"}, atom.Pre: nil,
	atom.Q: nil, atom.Rp: nil, atom.Rt: nil, atom.Ruby: nil, atom.S: nil, atom.Samp: nil, atom.Section: nil, atom.Small: nil, atom.Span: nil,
	atom.Strike: nil, atom.Strong: nil, atom.Sub: nil, atom.Summary: nil, atom.Sup: nil, atom.Table: {"align", "border", "cellpadding", "cellspacing", "width"},
	atom.Tbody: nil, atom.Td: {"align", "valign", "colspan", "rowspan", "headers", "width"}, atom.Tfoot: nil,
	atom.Th: {"align", "valign", "colspan", "rowspan", "headers", "scope", "width"}, atom.Thead: nil, atom.Time: {"datetime"},
	atom.Tr: {"align", "valign"}, atom.Tt: nil, atom.U: nil, atom.Ul: {"type"}, atom.Var: nil, atom.Wbr: nil,
}

// commonAttributes may be on every element. None of them loads or runs anything.
var commonAttributes = map[string]bool{"class": true, "id": true, "lang": true, "dir": true, "title": true, "style": true}

// droppedElements go with all they hold.
var droppedElements = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Template: true, atom.Iframe: true, atom.Frame: true, atom.Object: true, atom.Embed: true,
	atom.Applet: true, atom.Audio: true, atom.Video: true, atom.Canvas: true, atom.Svg: true, atom.Math: true, atom.Head: true, atom.Title: true,
	atom.Meta: true, atom.Link: true, atom.Base: true, atom.Input: true, atom.Button: true, atom.Select: true, atom.Textarea: true,
	atom.Datalist: true, atom.Noembed: true, atom.Noframes: true, atom.Xmp: true, atom.Plaintext: true, atom.Listing: true, atom.Dialog: true,
}

var voidElements = map[atom.Atom]bool{atom.Br: true, atom.Col: true, atom.Hr: true, atom.Img: true, atom.Wbr: true}

// staticCopy rebuilds an HTML page as a document that runs nothing, loads nothing and leads nowhere but to this server's
// own archive: from an allow list of elements and attributes, in UTF-8. It is served in a sandbox all the same.
func staticCopy(body []byte, charsetLabel, pageURL string) ([]byte, error) {
	if len(body) > maxCopyBytes {
		return nil, concord.Errorf(concord.Invalid, "the page is too long to be shown; it can be downloaded")
	}
	doc, err := html.ParseWithOptions(bytes.NewReader(toUTF8(body, charsetLabel, "text/html")), html.ParseOptionEnableScripting(false))
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "the page cannot be read as HTML (%w); it can be downloaded", err)
	}
	c := &copier{}
	c.base, _ = weburl.Parse(pageURL) // the zero URL resolves no relative link, so none is shown as one
	c.survey(doc, 0)
	c.out.WriteString("<!doctype html>\n<html")
	c.attr("lang", c.lang)
	c.out.WriteString("><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>")
	c.out.WriteString(html.EscapeString(c.title))
	c.out.WriteString("</title><style>" + copyStyle + "</style>")
	for _, s := range c.styles {
		c.out.WriteString("<style>" + s + "</style>")
	}
	c.out.WriteString("</head>")
	c.node(doc, 0)
	c.out.WriteString("</html>\n")
	return c.out.Bytes(), nil
}

// textCopy is the copy of a page of plain text.
func textCopy(body []byte, charsetLabel, pageURL string) ([]byte, error) {
	if len(body) > maxCopyBytes {
		return nil, concord.Errorf(concord.Invalid, "the text is too long to be shown; it can be downloaded")
	}
	text := html.EscapeString(string(toUTF8(body, charsetLabel, "text/plain")))
	return []byte("<!doctype html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>" +
		html.EscapeString(pageURL) + "</title><style>" + copyStyle + "pre{background:none;padding:0;white-space:pre-wrap}</style></head><body><pre>" +
		text + "</pre></body></html>\n"), nil
}

// toUTF8 decodes body from the charset named, or guessed from its first bytes; what cannot be decoded is replaced.
func toUTF8(body []byte, label, mimeType string) []byte {
	params := map[string]string{}
	if label != "" {
		params["charset"] = label
	}
	r, err := charset.NewReader(bytes.NewReader(body), mime.FormatMediaType(mimeType, params))
	if err != nil {
		return bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	out, err := io.ReadAll(io.LimitReader(r, 4*maxCopyBytes))
	if err != nil {
		return bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	return out
}

// copier writes the copy of one page.
type copier struct {
	out    bytes.Buffer
	base   weburl.URL
	based  bool // a <base> was seen; later ones do not count
	title  string
	lang   string
	styles []string
}

// survey collects what the head of the copy needs, wherever in the page it is.
func (c *copier) survey(n *html.Node, depth int) {
	if depth > maxCopyDepth {
		return
	}
	if n.Type == html.ElementNode && n.Namespace == "" {
		switch n.DataAtom {
		case atom.Html:
			c.lang = attribute(n, "lang")
		case atom.Title:
			if c.title == "" {
				c.title = strings.Join(strings.Fields(textOf(n)), " ")
			}
		case atom.Base:
			if u, err := c.base.Resolve(attribute(n, "href")); err == nil && !c.based {
				c.base, c.based = u, true
			}
		case atom.Style:
			if s := textOf(n); !strings.Contains(s, "<") {
				c.styles = append(c.styles, s)
			}
		}
	}
	for k := n.FirstChild; k != nil; k = k.NextSibling {
		c.survey(k, depth+1)
	}
}

// node writes a node and what it holds.
func (c *copier) node(n *html.Node, depth int) {
	switch n.Type {
	case html.TextNode:
		c.out.WriteString(html.EscapeString(n.Data))
		return
	case html.ElementNode:
		if droppedElements[n.DataAtom] || n.Namespace != "" {
			return
		}
	case html.DocumentNode:
	default:
		return // comments, doctypes
	}
	allowed, kept := keptElements[n.DataAtom]
	kept = kept && n.Type == html.ElementNode && depth <= maxCopyDepth
	if kept && n.DataAtom == atom.Img {
		c.picture(n, allowed)
		return
	}
	if kept {
		c.open(n, allowed)
		if voidElements[n.DataAtom] {
			return
		}
		if n.DataAtom == atom.Pre {
			c.out.WriteByte('\n') // the parser takes the first line feed away, ours or the page's
		}
	}
	if depth < 2*maxCopyDepth {
		for k := n.FirstChild; k != nil; k = k.NextSibling {
			c.node(k, depth+1)
		}
	}
	if kept {
		c.out.WriteString("</" + n.DataAtom.String() + ">")
	}
}

// open writes a start tag with the attributes that are kept.
func (c *copier) open(n *html.Node, allowed []string) {
	c.out.WriteString("<" + n.DataAtom.String())
	for _, a := range n.Attr {
		if a.Namespace != "" {
			continue
		}
		if commonAttributes[a.Key] {
			c.attr(a.Key, a.Val)
			continue
		}
		for _, k := range allowed {
			if a.Key == k {
				c.attr(a.Key, a.Val)
			}
		}
	}
	if n.DataAtom == atom.A {
		c.link(attribute(n, "href"))
	}
	c.out.WriteByte('>')
}

// link writes where a link of the copy leads: to a place on the same page, or to the archive's answer for its target.
func (c *copier) link(href string) {
	href = strings.TrimSpace(href)
	if href == "" {
		return
	}
	if strings.HasPrefix(href, "#") {
		c.attr("href", href)
		return
	}
	u, err := c.base.Resolve(href)
	if err != nil || u.IsZero() {
		return
	}
	c.attr("href", lookupLink(u.String()))
	c.out.WriteString(` target="_top" rel="noopener nofollow"`)
}

// picture writes a picture that is part of the page, and in place of any other its description.
func (c *copier) picture(n *html.Node, allowed []string) {
	src := attribute(n, "src")
	for _, kind := range [...]string{"png", "jpeg", "gif", "webp"} {
		if len(src) <= maxDataImage && strings.HasPrefix(src, "data:image/"+kind+";base64,") {
			c.out.WriteString("<img")
			c.attr("src", src)
			for _, k := range allowed {
				c.attr(k, attribute(n, k))
			}
			c.out.WriteByte('>')
			return
		}
	}
	if alt := strings.TrimSpace(attribute(n, "alt")); alt != "" {
		c.out.WriteString(`<span class="concord-picture">` + html.EscapeString(alt) + "</span>")
	}
}

func (c *copier) attr(key, value string) {
	if value != "" || key == "open" || key == "reversed" {
		c.out.WriteString(" " + key + `="` + html.EscapeString(value) + `"`)
	}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key && a.Namespace == "" {
			return a.Val
		}
	}
	return ""
}

// textOf returns the text directly inside n.
func textOf(n *html.Node) string {
	var b strings.Builder
	for k := n.FirstChild; k != nil; k = k.NextSibling {
		if k.Type == html.TextNode {
			b.WriteString(k.Data)
		}
	}
	return b.String()
}
