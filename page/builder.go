package page

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// builder makes a tree of tokens.
type builder struct {
	tree
	open  []nodeID // open elements, the document first
	over  int      // start tags above maxDepth that were not opened
	heavy bool     // a tag had more than maxTagAttrs attributes
	raw   bool     // the next token is raw text
	xml   bool
}

// parse builds the tree of a UTF-8 page. It never fails: what is not understood is text or nothing. In XML an empty
// element tag ("<script src='x'/>") is a whole element, and there are CDATA sections.
func parse(body string, xml bool) *tree {
	b := &builder{open: make([]nodeID, 1, maxDepth), xml: xml}
	b.nodes = make([]node, 1, min(len(body)/24, maxNodes)+16)
	b.text = make([]byte, 0, len(body)/2)
	z := b.tokenizer(body)
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
			z, b.heavy = b.tokenizer(body[at:]), false
		}
	}
	b.cut = true
	return &b.tree
}

func (b *builder) tokenizer(body string) *html.Tokenizer {
	z := html.NewTokenizer(strings.NewReader(body))
	z.AllowCDATA(b.xml)
	return z
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
	empty := b.xml && selfClosing
	if empty {
		z.NextIsNotRawText()
	}
	b.raw = isRawText(tag) && !empty
	switch tag {
	case atom.Script, atom.Style:
		if !empty {
			return b.rawText(z, from)
		}
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
	case empty, isVoid(tag), selfClosing && (tag == 0 || b.inForeign()):
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
