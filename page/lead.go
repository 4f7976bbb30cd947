package page

import "golang.org/x/net/html/atom"

// leadReach is how many blocks before the main text its introduction is looked for: what lies between a headline and the
// text is a by-line, a picture, a few buttons.
const leadReach = 24

// keepLead adds the introduction that stands between the headline and the element of the main text: templates put it
// into an element of its own beside that.
func (c *chooser) keepLead(root nodeID) {
	first := 0
	for first < len(c.blocks) && c.blocks[first].el < root {
		first++
	}
	top, headline := c.article(root), -1
	for i := first - 1; i >= max(0, first-leadReach) && c.blocks[i].el > top; i-- {
		if c.blocks[i].tag == atom.H1 {
			headline = i
			break
		}
	}
	if headline < 0 && c.hints[top] < hintContent {
		return
	}
	for i := first - 1; i > max(headline, first-leadReach-1) && i >= 0 && c.blocks[i].el > top; i-- {
		b := &c.blocks[i]
		if b.zone <= hintBoiler || b.linkDensity() > linkDense/2 {
			continue
		}
		if b.score > 0 && (b.sentence || b.chars >= longChars || b.tag == atom.P) || isHeading(b.tag) && b.chars > longHeading {
			b.keep = true
		}
	}
}

// dropEmptyHeadings drops the headings of which nothing is kept: those of lists that were dropped.
func (c *chooser) dropEmptyHeadings() {
	next := false
	for i := len(c.blocks) - 1; i >= 0; i-- {
		b := &c.blocks[i]
		if !isHeading(b.tag) {
			next = b.keep
			continue
		}
		b.keep = b.keep && (next || b.tag == atom.H1)
		next = b.keep
	}
}

// longHeading is the length from which a heading below the headline is an introduction in the form of one.
const longHeading = 80

// article returns the outermost ancestor of n that is one article: the highest below the body that is declared as
// content, or else a few levels up.
func (c *chooser) article(n nodeID) nodeID {
	top := n
	for level := 0; n != 0; level++ {
		n = c.t.nodes[n].parent
		if t := c.t.nodes[n].tag; n == 0 || t == atom.Body || t == atom.Html {
			if level < leadLevels {
				top = n
			}
			break
		}
		if level < leadLevels || c.hints[n] >= hintContent {
			top = n
		}
	}
	return top
}

// leadLevels is how many elements up an introduction is looked for where no element is declared as content.
const leadLevels = 5
