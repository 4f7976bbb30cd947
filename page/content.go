package page

import (
	"golang.org/x/net/html/atom"
)

// How the main text is chosen. Every block gets a score: positive for prose, negative for what is mostly links or stands
// where the author says that navigation stands. Scores are summed up the tree, and from the root the walk goes down
// into the child that holds most of the prose until no child dominates. Inside the element found, subtrees with more
// against than for them are dropped, and single blocks are judged by their neighbours, as jusText does (Pomikálek,
// "Removing Boilerplate and Duplicate Content from Web Corpora", 2011). A page of little prose is an index page: there
// the links are what it says.
const (
	longChars       = 120  // prose without a mark of a sentence counts from this length
	mediumChars     = 40   // and a little from this
	linkDense       = 0.5  // share of link characters above which a block is a list of links
	minProse        = 250  // score under which a page has no main text of its own
	indexProse      = 1000 // prose above which a page is no index, whatever it lists beside
	indexProsePart  = 0.10 // the same as a part of the visible text, for indexes of whole books
	indexShare      = 0.35 // part of the visible text under which little prose is the introduction of an index
	minSharePlain   = 0.80 // part of the prose a child must hold for the walk to go into it
	minShareContent = 0.45 // the same for a child the author marks as content
	goodQuality     = 0.75 // prose part of a sibling that is worth keeping
	goodSibling     = 0.15 // size of such siblings together, relative to the child, that keeps the walk above them
	goodSiblings    = 0.5  // the same for a child the author marks as content
)

// score judges a block by itself and by where it stands.
func (b *block) scoreAlone() float32 {
	n, ld := float32(b.chars), b.linkDensity()
	prose := n * (1 - ld)
	var s float32
	switch {
	case isHeading(b.tag):
		if ld > linkDense {
			return -2
		}
		return 0
	case b.tag == atom.Pre:
		s = prose * 0.7
	case ld > linkDense:
		s = -min(n, 100) * ld
	case b.sentence || n >= longChars:
		s = prose
	case n >= mediumChars:
		s = prose * 0.3
	default:
		s = -2
		if b.tag == atom.P || b.cell || b.item {
			s = 0
		}
	}
	if b.tag == atom.P && s > 0 {
		s *= 1.2
	}
	switch b.zone {
	case hintBoiler, hintHidden:
		return -absf(s) - 5
	case hintSuspect:
		if s > 0 {
			s *= 0.5
		}
	case hintMain:
		if s > 0 {
			s *= 1.2
		}
	}
	return s
}

func absf(f float32) float32 {
	if f < 0 {
		return -f
	}
	return f
}

// chooser picks the blocks of the main text.
type chooser struct {
	*segmenter
	good, bad []float32 // by node: sums of positive and of negative scores below it
}

// choose marks the blocks to keep and reports whether the page has prose of its own.
func (s *segmenter) choose() bool {
	c := &chooser{s, make([]float32, len(s.t.nodes)), make([]float32, len(s.t.nodes))}
	for i := range s.blocks {
		b := &s.blocks[i]
		b.score = b.scoreAlone()
		if b.zone <= hintBoiler {
			continue // neither for nor against what is around it
		}
		if b.score > 0 {
			c.good[b.el] += b.score
		} else {
			c.bad[b.el] -= b.score
		}
	}
	for id := len(s.t.nodes) - 1; id > 0; id-- {
		p := s.t.nodes[id].parent
		c.good[p] += c.good[id]
		c.bad[p] += c.bad[id]
	}
	if c.good[0] < minProse {
		return false
	}
	s.root = c.descend()
	root := s.root
	c.keepWithin(root)
	c.judgeByNeighbours(root)
	c.dropEmptyHeadings()
	c.keepLead(root)
	return !c.isIndex()
}

// descend goes down from the document to the element that holds the main text.
func (c *chooser) descend() nodeID {
	n := nodeID(0)
	for {
		best := c.bestChild(n)
		if best == 0 || !c.dominates(best, n) {
			return n
		}
		n = best
	}
}

// bestChild returns the child with the most prose.
func (c *chooser) bestChild(n nodeID) nodeID {
	var best nodeID
	for id := c.t.nodes[n].first; id != 0; id = c.t.nodes[id].next {
		if c.good[id] > 0 && (best == 0 || c.weight(id) > c.weight(best)) {
			best = id
		}
	}
	return best
}

// weight is the prose of an element, more where it is declared as content.
func (c *chooser) weight(n nodeID) float32 {
	switch c.hints[n] {
	case hintMain:
		return c.good[n] * 2
	case hintContent:
		return c.good[n] * 1.3
	}
	return c.good[n]
}

// dominates reports whether child holds so much of n's prose that the rest is not the main text.
func (c *chooser) dominates(child, n nodeID) bool {
	if tag := c.t.nodes[child].tag; tag == atom.P || tag == atom.Pre || tag == atom.Li || tag == atom.Blockquote || tag == atom.Dl || tag == atom.Ul || tag == atom.Ol || tag == atom.Figure || tag == atom.Figcaption || tag == atom.Form {
		return false // a paragraph is not a page
	}
	share := c.good[child] / c.good[n]
	need, siblings := float32(minSharePlain), float32(goodSibling)
	if c.hints[child] >= hintContent {
		need, siblings = minShareContent, goodSiblings
	}
	if share < need {
		return false
	}
	var rest float32
	for id := c.t.nodes[n].first; id != 0; id = c.t.nodes[id].next {
		if id != child && c.quality(id) > goodQuality && c.hints[id] > hintSuspect {
			rest += c.good[id]
		}
	}
	return rest <= siblings*c.good[child]
}

// quality is the part of prose among what speaks for and against an element.
func (c *chooser) quality(n nodeID) float32 {
	if c.good[n] == 0 {
		return 0
	}
	return c.good[n] / (c.good[n] + c.bad[n])
}

// keepWithin marks the blocks below root, without subtrees that are more links or boilerplate than prose.
func (c *chooser) keepWithin(root nodeID) {
	from, to := root, c.t.end(root)
	drop := make([]bool, to-from)
	for id := from + 1; id < to; id++ {
		d := &c.t.nodes[id]
		if d.isText {
			continue
		}
		drop[id-from] = (drop[d.parent-from] || c.dropped(id, d.tag)) && c.hints[id] != hintMain
	}
	for i := range c.blocks {
		b := &c.blocks[i]
		b.keep = b.el >= from && b.el < to && !drop[b.el-from] && b.zone > hintBoiler
	}
}

// minAgainst is how much has to speak against a subtree before it is dropped as a whole.
const minAgainst = 60

// dropped reports whether a subtree is dropped as a whole.
func (c *chooser) dropped(id nodeID, tag atom.Atom) bool {
	if c.hints[id] == hintBoiler {
		return true
	}
	if !isBlock(tag) || isCell(tag) || isRow(tag) || isSection(tag) {
		return false
	}
	if c.hints[id] == hintSuspect && c.bad[id] > c.good[id] {
		return true
	}
	return c.bad[id] > minAgainst && c.bad[id] > 1.5*c.good[id]
}

// judgeByNeighbours drops single blocks: mostly links without prose beside them, and labels at both ends.
func (c *chooser) judgeByNeighbours(root nodeID) {
	last := -1 // last kept prose
	first := -1
	for i := range c.blocks {
		b := &c.blocks[i]
		if !b.keep {
			continue
		}
		if b.score > 0 || b.tag == atom.Pre {
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	for i := range c.blocks {
		b := &c.blocks[i]
		if !b.keep || b.score > 0 && !b.caption {
			continue
		}
		ld := b.linkDensity()
		switch {
		case isHeading(b.tag):
			b.keep = i < last
		case b.cell:
			b.keep = true
		case b.caption && !b.sentence && b.chars < longCaption:
			b.keep = false
		case ld > linkDense && (i < first || i > last):
			b.keep = false
		case i > last && b.chars < mediumChars && !b.item && b.tag != atom.P:
			b.keep = false
		case i < first && b.chars < mediumChars && !b.item && b.tag != atom.P:
			b.keep = false
		}
	}
}

// longCaption is the length under which a caption that is no sentence is the name of a photographer.
const longCaption = 60

// keepVisible marks everything a reader sees, but for what is declared boilerplate: the text of an index page. When
// that leaves nothing it is everything.
func (s *segmenter) keepVisible() {
	var chars int32
	for i := range s.blocks {
		b := &s.blocks[i]
		b.keep = b.zone > hintBoiler
		if b.keep {
			chars += b.chars
		}
	}
	if chars >= mediumChars {
		return
	}
	for i := range s.blocks {
		s.blocks[i].keep = true
	}
}

// render returns the kept blocks, a line each; cells of one table row share a line.
func (s *segmenter) render(cut *bool) string {
	size := 0
	for i := range s.blocks {
		if b := &s.blocks[i]; b.keep {
			size += int(b.b-b.a) + 1
		}
	}
	out := make([]byte, 0, min(size, MaxBodyBytes+utf8Slack))
	var row nodeID
	for i := range s.blocks {
		b := &s.blocks[i]
		if !b.keep {
			continue
		}
		if len(out) > 0 {
			if b.row != 0 && b.row == row && b.cell {
				out = append(out, '\t')
			} else {
				out = append(out, '\n')
			}
		}
		row = b.row
		out = append(out, s.text[b.a:b.b]...)
		if len(out) > MaxBodyBytes {
			*cut = true
			break
		}
	}
	return string(out)
}

// utf8Slack is room for the block that passes the bound.
const utf8Slack = 4096

// mostlyBoiler reports whether most prose stands where the author's names say that none is.
func (s *segmenter) mostlyBoiler() bool {
	var in, out int32
	for i := range s.blocks {
		b := &s.blocks[i]
		if b.zone <= hintBoiler {
			in += b.chars - b.linkChars
		} else {
			out += b.chars - b.linkChars
		}
	}
	return in > 2*out
}

// isIndex reports whether what is kept is only the introduction of a page that lists links.
func (c *chooser) isIndex() bool {
	var kept, visible int32
	for i := range c.blocks {
		b := &c.blocks[i]
		if b.keep {
			kept += b.chars
		}
		if b.zone > hintBoiler {
			visible += b.chars
		}
	}
	v := float32(visible)
	return float32(kept) < indexShare*v && c.good[0] < max(indexProse, indexProsePart*v)
}

// mainText returns the blocks of a page with those of its main text marked, and whether that is prose rather than the
// little an index page says.
func mainText(t *tree, cut *bool) (s *segmenter, prose bool) {
	s = segment(t, false, false)
	if len(s.blocks) == 0 {
		s = segment(t, true, false) // a page that scripts would show
	}
	if prose = s.choose(); !prose && s.mostlyBoiler() {
		// Classes may mislead: a page built of "widgets" is one. Tags alone may still find prose.
		if plain := segment(t, s.hidden, true); plain.choose() {
			s, prose = plain, true
		}
	}
	if !prose {
		s.keepVisible()
	}
	*cut = *cut || s.full
	return s, prose
}
