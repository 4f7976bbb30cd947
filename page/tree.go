package page

import (
	"unicode/utf8"

	"golang.org/x/net/html/atom"
)

// The tree of a page is built here from the tokens of x/net/html rather than by its parser. The parser follows the HTML
// standard in repairing wrong nesting, and that can make a node count quadratic in the size of the page (formatting
// elements are opened again in every paragraph); it also gives up on deep nesting. Text in reading order needs neither
// repair: a tree of bounded depth and size with the standard's implied end tags does.
const (
	maxNodes     = 400_000   // 13 MB; the largest of 11,000 documentation pages has 244,000
	maxDepth     = 200       // deeper elements become siblings; those pages have at most 31
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
