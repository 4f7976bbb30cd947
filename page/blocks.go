package page

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/atom"
)

// block is a run of text that a reader sees as one piece: a paragraph, a list item, a table cell, a heading, a line of
// code between two empty ones is not one, the whole listing is.
type block struct {
	el        nodeID // innermost block element around it
	tag       atom.Atom
	a, b      int32 // its text, bytes of blocks.text
	chars     int32 // characters, wide ones counted twice
	linkChars int32 // of those, inside links
	zone      hint  // strongest hint of the elements around it
	item      bool  // inside a list item
	cell      bool  // inside a table cell
	caption   bool  // under a picture
	row       nodeID
	sentence  bool // reads like a sentence: ends like one, or has commas and stops inside
	score     float32
	keep      bool
}

func (b *block) linkDensity() float32 {
	if b.chars == 0 {
		return 0
	}
	return float32(b.linkChars) / float32(b.chars)
}

// segmenter walks the tree once and cuts its text into blocks.
type segmenter struct {
	t      *tree
	hint   hinter
	hints  []hint // by node: own hint
	text   []byte
	blocks []block
	cur    block
	inLink int
	inPre  int
	space  bool    // white space is due before the next character
	breaks int     // br elements in a row
	hidden bool    // take what is hidden as well
	prose  []int32 // by node: bytes of text outside links
	full   bool
	root   nodeID // element chosen as the main text
}

// maxSegmentBytes bounds the text that is looked at; MaxBodyBytes of it can be kept.
const maxSegmentBytes = 4 << 20

// segment cuts a tree into blocks. With hidden it takes what is not shown as well, with tagsOnly classes and ids say nothing.
func segment(t *tree, hidden, tagsOnly bool) *segmenter {
	s := &segmenter{t: t, hints: make([]hint, len(t.nodes)), text: make([]byte, 0, len(t.text)), hidden: hidden,
		blocks: make([]block, 0, 64)}
	s.hint = hinter{t: t, table: hints(), names: make(map[string][2]hint, 64), tagsOnly: tagsOnly}
	s.prose = proseBytes(t)
	s.walk(0, place{})
	s.flush()
	return s
}

// place is what the elements around a node say.
type place struct {
	el      nodeID
	tag     atom.Atom
	zone    hint
	content bool // inside declared content: headers and the like there belong to it
	item    bool
	cell    bool
	caption bool
	row     nodeID
}

// walk visits the children of n. It recurses at most maxDepth deep.
func (s *segmenter) walk(n nodeID, c place) {
	for id := s.t.nodes[n].first; id != 0 && !s.full; id = s.t.nodes[id].next {
		d := &s.t.nodes[id]
		if d.isText {
			s.write(s.t.str(id), c)
			continue
		}
		s.element(id, d.tag, c)
	}
}

// element visits one element.
func (s *segmenter) element(id nodeID, tag atom.Atom, c place) {
	switch tag {
	case atom.Br:
		s.lineBreak()
		return
	case atom.Hr:
		s.flush()
		return
	case atom.Wbr:
		return
	case atom.Img, atom.Input:
		return
	}
	if isSkipped(tag) {
		return
	}
	h := s.hint.of(id)
	if h == hintHidden && tag != atom.Body && tag != atom.Html && !s.hidden {
		s.hints[id] = h
		return
	}
	if h == hintHidden {
		h = hintNone
	}
	if !isBlock(tag) && h == hintNone && tag != atom.A {
		s.walk(id, c)
		return
	}
	h = inContext(h, tag, c)
	if h == hintBoiler && tag != atom.Nav && tag != atom.Footer && s.proseShare(id) > maxBoilerShare {
		h = hintNone
	}
	s.hints[id] = h
	inner := c
	inner.zone = nest(c.zone, h)
	inner.content = c.content || h >= hintContent && tag != atom.Div && tag != atom.Section || h == hintMain
	if !isBlock(tag) {
		s.inline(id, tag, inner, c)
		return
	}
	s.flush()
	inner.el, inner.tag = id, tag
	switch tag {
	case atom.Li, atom.Dd, atom.Dt:
		inner.item = true
	case atom.Figure, atom.Figcaption:
		inner.caption = true
	case atom.Tr:
		inner.row = id
	case atom.Td, atom.Th:
		inner.cell = true
	case atom.Table:
		inner.cell, inner.row = false, 0
	case atom.Pre, atom.Listing, atom.Xmp, atom.Plaintext:
		s.inPre++
		s.walk(id, inner)
		s.flush()
		s.inPre--
		return
	}
	link := s.inLink
	s.walk(id, inner)
	s.inLink = link
	s.flush()
}

// inline visits an inline element that has a hint, or a link.
func (s *segmenter) inline(id nodeID, tag atom.Atom, inner, c place) {
	if inner.zone != c.zone && inner.zone < hintSuspect {
		s.flush()
		inner.el = id
		defer s.flush()
	}
	if tag == atom.A {
		if _, ok := s.t.lookup(id, attrHref); ok {
			s.inLink++
			defer func() { s.inLink-- }()
		}
	}
	s.walk(id, inner)
}

// nest returns the zone inside an element: declared main text counts wherever it stands, and nothing else undoes a
// boilerplate zone.
func nest(outer, h hint) hint {
	switch {
	case h == hintMain:
		return hintMain
	case h == hintNone || outer <= hintBoiler:
		return outer
	case h < hintNone:
		return h
	}
	return max(outer, h)
}

// inContext corrects a hint by what is around: the header of an article is no page header.
func inContext(h hint, tag atom.Atom, c place) hint {
	switch {
	case h == hintSuspect && tag == atom.Header && c.content:
		return hintNone
	case h == hintBoiler && isHeading(tag):
		return hintNone
	}
	return h
}

// lineBreak handles a br: one ends a line, two end the block.
func (s *segmenter) lineBreak() {
	if s.inPre > 0 {
		s.put('\n')
		return
	}
	s.breaks++
	if s.breaks > 1 {
		s.flush()
		return
	}
	if s.cur.b > s.cur.a {
		s.space = false
		s.put('\n')
	}
}

// write adds text to the current block, white space collapsed outside listings.
func (s *segmenter) write(p []byte, c place) {
	if s.full {
		return
	}
	if s.inPre > 0 {
		s.writePre(p, c)
		return
	}
	for i := 0; i < len(p); {
		r, size := rune(p[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(p[i:])
		}
		i += size
		if r == ' ' || r == '\n' || r == '\t' || r == '\r' || r == '\f' || r == 0xA0 || r > 0x7F && unicode.IsSpace(r) {
			s.space = true
			continue
		}
		if r < ' ' || r >= 0x7F && (printable(r) < 0 || invisible(r)) {
			continue
		}
		s.begin(c)
		if s.space && s.cur.b > s.cur.a && s.text[len(s.text)-1] != '\n' {
			s.text = append(s.text, ' ')
			s.cur.b++
			s.count(1)
		}
		s.space, s.breaks = false, 0
		if r < utf8.RuneSelf {
			s.text = append(s.text, byte(r))
		} else {
			s.text = utf8.AppendRune(s.text, r)
		}
		s.cur.b = int32(len(s.text))
		s.count(width(r))
	}
	s.full = len(s.text) > maxSegmentBytes
}

// writePre adds text of a listing as it is.
func (s *segmenter) writePre(p []byte, c place) {
	for i := 0; i < len(p); {
		r, size := utf8.DecodeRune(p[i:])
		i += size
		if r = printable(r); r < 0 || invisible(r) {
			continue
		}
		if s.cur.b == s.cur.a && r == '\n' {
			continue
		}
		s.begin(c)
		s.text = utf8.AppendRune(s.text, r)
		s.cur.b = int32(len(s.text))
		if r > ' ' {
			s.count(width(r))
		}
	}
	s.full = len(s.text) > maxSegmentBytes
}

// put adds one byte that is no text of its own.
func (s *segmenter) put(c byte) {
	if s.cur.b > s.cur.a {
		s.text = append(s.text, c)
		s.cur.b = int32(len(s.text))
	}
}

func (s *segmenter) count(n int32) {
	s.cur.chars += n
	if s.inLink > 0 {
		s.cur.linkChars += n
	}
}

// begin starts a block at its first character.
func (s *segmenter) begin(c place) {
	if s.cur.b > s.cur.a {
		return
	}
	at := int32(len(s.text))
	s.cur = block{el: c.el, tag: c.tag, a: at, b: at, zone: c.zone, item: c.item, cell: c.cell, row: c.row, caption: c.caption}
}

// flush ends the current block.
func (s *segmenter) flush() {
	s.trim()
	if isHeading(s.cur.tag) || s.cur.tag == atom.Dt {
		for _, mark := range permalinks {
			if bytes.HasSuffix(s.text[s.cur.a:s.cur.b], mark) {
				s.cur.b -= int32(len(mark))
				s.trim()
			}
		}
	}
	if s.cur.b > s.cur.a {
		s.cur.sentence = readsLikeSentence(s.text[s.cur.a:s.cur.b])
		s.blocks = append(s.blocks, s.cur)
	}
	s.cur = block{}
	s.space, s.breaks = false, 0
}

// permalinks are the signs that documentation puts after headings to link to them.
var permalinks = [...][]byte{[]byte("¶"), []byte(" #"), []byte("§")}

// trim takes white space off the end of the current block.
func (s *segmenter) trim() {
	for s.cur.b > s.cur.a && isSpaceByte(s.text[s.cur.b-1]) {
		s.cur.b--
	}
}

func isSpaceByte(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
