package page

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// The tree of a page is built here from the tokens of x/net/html rather than by its parser. The parser follows the HTML
// standard in repairing wrong nesting, and that can make a node count quadratic in the size of the page (formatting
// elements are opened again in every paragraph); it also gives up on deep nesting. Text in reading order needs neither
// repair: a tree of bounded depth and size with the standard's implied end tags does.
const (
	maxNodes     = 400_000   // 16 MB; the largest of 13,000 documentation pages has 190,000
	maxDepth     = 200       // deeper elements become siblings; real pages stay under 60
	maxAttrBytes = 4096      // longer values are cut; URLs of more than 2,048 bytes are not crawled anyway
	maxTagAttrs  = 64        // attributes of one tag after which the tokenizer is replaced, see parse
	maxLDBytes   = 256 << 10 // JSON-LD blocks together
)

// attrKey is an attribute that extraction looks at; all others are dropped while reading.
type attrKey uint8

const (
	attrNone attrKey = iota
	attrAlt
	attrAriaHidden
	attrClass
	attrContent
	attrDatetime
	attrHidden
	attrHref
	attrHTTPEquiv
	attrID
	attrItemprop
	attrLang
	attrName
	attrOpen
	attrProperty
	attrRel
	attrRole
	attrStyle
	attrTitle
	attrType
)

var attrKeys = map[string]attrKey{
	"alt": attrAlt, "aria-hidden": attrAriaHidden, "class": attrClass, "content": attrContent, "datetime": attrDatetime,
	"hidden": attrHidden, "href": attrHref, "http-equiv": attrHTTPEquiv, "id": attrID, "itemprop": attrItemprop,
	"lang": attrLang, "xml:lang": attrLang, "name": attrName, "open": attrOpen, "property": attrProperty, "rel": attrRel,
	"role": attrRole, "style": attrStyle, "title": attrTitle, "type": attrType,
}

// attr is one attribute with its value unescaped.
type attr struct {
	key   attrKey
	value string
}

// nodeID is an index into tree.nodes; 0 is the document, and as a link "none".
type nodeID int32

// node is an element (tag or an unknown element with tag 0) or a text (isText).
type node struct {
	tag                       atom.Atom
	parent, last, first, next nodeID
	a, b                      int32 // text: bytes a..b of tree.text; element: tree.attrs a..b
	isText                    bool
}

// tree is a parsed page. Nodes are in document order: a node's descendants follow it without a gap.
type tree struct {
	nodes []node
	attrs []attr
	text  []byte // of all text nodes, unescaped
	ld    []byte // of all application/ld+json scripts, separated by NUL
	cut   bool   // a bound was reached
}

func (t *tree) get(n nodeID, k attrKey) string {
	v, _ := t.lookup(n, k)
	return v
}

func (t *tree) lookup(n nodeID, k attrKey) (string, bool) {
	d := &t.nodes[n]
	if d.isText {
		return "", false
	}
	for _, a := range t.attrs[d.a:d.b] {
		if a.key == k {
			return a.value, true
		}
	}
	return "", false
}

func (t *tree) str(n nodeID) []byte { return t.text[t.nodes[n].a:t.nodes[n].b] }

// end returns the ID after the last descendant of n.
func (t *tree) end(n nodeID) nodeID {
	for {
		if next := t.nodes[n].next; next != 0 {
			return next
		}
		if n == 0 {
			return nodeID(len(t.nodes))
		}
		n = t.nodes[n].parent
	}
}

// builder makes a tree of tokens.
type builder struct {
	tree
	open  []nodeID // open elements, the document first
	over  int      // start tags above maxDepth that were not opened
	heavy bool     // a tag had more than maxTagAttrs attributes
	raw   bool     // the next token is raw text
}

// parse builds the tree of a UTF-8 page. It never fails: what is not understood is text or nothing.
func parse(body string) *tree {
	b := &builder{open: make([]nodeID, 1, maxDepth)}
	b.nodes = make([]node, 1, min(len(body)/24, maxNodes)+16)
	b.text = make([]byte, 0, len(body)/2)
	z := html.NewTokenizer(strings.NewReader(body))
	at := 0 // bytes of body that were read
	for len(b.nodes) < maxNodes {
		kind := z.Next()
		at += len(z.Raw())
		switch kind {
		case html.ErrorToken:
			return &b.tree
		case html.TextToken:
			b.raw = false
			b.addText(z.Text())
		case html.StartTagToken, html.SelfClosingTagToken:
			at += b.start(z, kind == html.SelfClosingTagToken)
		case html.EndTagToken:
			b.raw = false
			name, _ := z.TagName()
			b.endTag(atom.Lookup(name))
		}
		if b.heavy && !b.raw {
			// The tokenizer clears a table of attribute names at every tag, and the table never shrinks: one tag of a
			// million attributes would make every later tag cost a millisecond.
			z, b.heavy = html.NewTokenizer(strings.NewReader(body[at:])), false
		}
	}
	b.cut = true
	return &b.tree
}

// add appends a child to the innermost open element.
func (b *builder) add(n node) nodeID {
	id := nodeID(len(b.nodes))
	n.parent = b.open[len(b.open)-1]
	p := &b.nodes[n.parent]
	if p.last != 0 {
		b.nodes[p.last].next = id
	} else {
		p.first = id
	}
	p.last = id
	b.nodes = append(b.nodes, n)
	return id
}

func (b *builder) addText(s []byte) {
	if len(s) == 0 {
		return
	}
	from := int32(len(b.text))
	b.text = append(b.text, s...)
	b.add(node{isText: true, a: from, b: int32(len(b.text))})
}

// start handles a start tag. Void and self-closing foreign elements are closed at once. It returns the bytes of the raw
// text it read after the tag.
func (b *builder) start(z *html.Tokenizer, selfClosing bool) int {
	name, more := z.TagName()
	tag := atom.Lookup(name)
	from := int32(len(b.attrs))
	for n := 0; more; n++ {
		var k, v []byte
		k, v, more = z.TagAttr()
		b.heavy = b.heavy || n > maxTagAttrs
		if key := attrKeys[string(k)]; key != attrNone {
			b.attrs = append(b.attrs, attr{key, string(clipBytes(v, maxAttrBytes))})
		}
	}
	b.raw = isRawText(tag)
	switch tag {
	case atom.Script, atom.Style:
		return b.rawText(z, from)
	case atom.Noscript:
		z.NextIsNotRawText() // we run no scripts: what it holds is the page
	case atom.Html, atom.Body, atom.Head:
		if b.reopen(tag, from) {
			return 0
		}
	}
	b.implyEnds(tag)
	id := b.add(node{tag: tag, a: from, b: int32(len(b.attrs))})
	switch {
	case isVoid(tag) || selfClosing && (tag == 0 || b.inForeign()):
	case len(b.open) >= maxDepth:
		b.over++
	default:
		b.open = append(b.open, id)
	}
	return 0
}

// rawText reads the content of a script or style element. Only JSON-LD is kept. It returns the bytes read.
func (b *builder) rawText(z *html.Tokenizer, from int32) int {
	ld := false
	for _, a := range b.attrs[from:] {
		ld = ld || a.key == attrType && strings.EqualFold(strings.TrimSpace(a.value), "application/ld+json")
	}
	b.attrs = b.attrs[:from]
	kind := z.Next()
	size := len(z.Raw())
	b.raw = false
	if kind != html.TextToken { // the end tag of an empty element, or the end of the page
		return size
	}
	if s := z.Text(); ld && len(b.ld)+len(s) < maxLDBytes {
		b.ld = append(append(b.ld, s...), 0)
	}
	return size
}

// reopen merges the attributes of a second html or body tag into the first, and drops a second head.
func (b *builder) reopen(tag atom.Atom, from int32) bool {
	for _, id := range b.open[1:] {
		if b.nodes[id].tag == tag {
			b.attrs = b.attrs[:from]
			return true
		}
	}
	return false
}

// inForeign reports whether the innermost open elements are inside svg or math.
func (b *builder) inForeign() bool {
	for i := len(b.open) - 1; i > 0 && i > len(b.open)-16; i-- {
		if t := b.nodes[b.open[i]].tag; t == atom.Svg || t == atom.Math {
			return true
		}
	}
	return false
}

// implyEnds closes the open elements that a start tag ends without an end tag of their own.
func (b *builder) implyEnds(tag atom.Atom) {
	switch tag {
	case atom.Li:
		b.closeUntil(isLi, isListScope)
	case atom.Dt, atom.Dd:
		b.closeUntil(isDtDd, isListScope)
	case atom.Option, atom.Optgroup:
		b.closeUntil(isOption, isListScope)
	case atom.Tr:
		b.closeUntil(isRow, isTableScope)
	case atom.Td, atom.Th:
		b.closeUntil(isCell, isTableScope)
	case atom.Thead, atom.Tbody, atom.Tfoot:
		b.closeUntil(isSection, isTableScope)
	case atom.Body:
		b.closeUntil(isHead, isNever)
	}
	if endsParagraph(tag) {
		b.closeUntil(isP, isBlockScope)
		if isHeading(tag) {
			b.closeUntil(isHeading, isBlockScope)
		}
	}
	if tag == atom.A {
		b.closeUntil(isA, isBlockScope)
	}
}

// closeUntil closes the innermost open element that is wanted, with all inside it, unless a scope border comes first.
func (b *builder) closeUntil(wanted, border func(atom.Atom) bool) {
	for i := len(b.open) - 1; i > 0; i-- {
		t := b.nodes[b.open[i]].tag
		if wanted(t) {
			b.open = b.open[:i]
			return
		}
		if border(t) {
			return
		}
	}
}

// endTag closes the innermost open element of that tag. An end tag of an inline element does not reach beyond the block
// it is in, and none beyond a table cell but those of the table.
func (b *builder) endTag(tag atom.Atom) {
	if tag == atom.Body || tag == atom.Html {
		return // what follows still belongs to the page
	}
	if b.over > 0 && tag != atom.P && !isVoid(tag) {
		b.over--
		return
	}
	if tag == atom.Br { // a line break, as browsers read it
		b.add(node{tag: atom.Br, a: int32(len(b.attrs)), b: int32(len(b.attrs))})
		return
	}
	tableTag := isTablePart(tag)
	for i := len(b.open) - 1; i > 0; i-- {
		t := b.nodes[b.open[i]].tag
		if t == tag || isHeading(t) && isHeading(tag) {
			b.open = b.open[:i]
			return
		}
		if !tableTag && (t == atom.Td || t == atom.Th || t == atom.Table) || !isBlock(tag) && tag != 0 && isBlock(t) {
			return
		}
	}
}

// clipBytes cuts b to at most n bytes at a rune border.
func clipBytes(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}
