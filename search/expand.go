package search

import (
	"concord/index"
	"concord/pack"
)

// expanded is a prefix or fuzzy word: the documents of any number of terms, each with the largest impact that one of them has there.
// The lists are read into memory, a byte a document of the segment.
type expanded struct {
	impacts []byte // by document, 0: does not match
	maxima  []byte // of each window
	count   int
	weight  uint32
}

// expand reads the lists of a group's terms.
func (p *compiler) expand(g *group, terms []index.Term) (clause, error) {
	docs := p.seg.Docs()
	c := &expanded{impacts: make([]byte, docs), maxima: make([]byte, docs/pack.WindowLen+1), weight: g.weight}
	used := p.x.lists.used
	l := p.x.lists.take()
	for _, t := range terms {
		if err := p.x.tick(); err != nil {
			return nil, err
		}
		if err := l.Reset(p.seg, t); err != nil {
			return nil, err
		}
		for ok := l.SeekBlock(0); ok; ok = l.NextBlock() {
			docs, impacts := l.Block()
			c.add(docs, impacts)
		}
		if err := l.Err(); err != nil {
			return nil, err
		}
	}
	p.x.lists.used = used
	if c.count == 0 {
		return nothing{}, nil
	}
	return c, nil
}

func (c *expanded) add(docs []uint32, impacts []byte) {
	for i, d := range docs {
		m := impacts[i]
		if c.impacts[d] == 0 {
			c.count++
		}
		c.impacts[d] = max(c.impacts[d], m)
		c.maxima[d/pack.WindowLen] = max(c.maxima[d/pack.WindowLen], m)
	}
}

func (c *expanded) next(from index.DocID) index.DocID {
	for i := int(from); i < len(c.impacts); i++ {
		if c.impacts[i] != 0 {
			return index.DocID(i)
		}
	}
	return index.NoDoc
}

func (c *expanded) has(doc index.DocID) bool { return c.impacts[doc] != 0 }

func (c *expanded) at(doc index.DocID, _ uint32) (uint32, bool) {
	if m := c.impacts[doc]; m != 0 {
		return worth(c.weight, m), true
	}
	return 0, false
}

func (c *expanded) bound(first, last index.DocID) uint32 {
	from := min(int(first/pack.WindowLen), len(c.maxima))
	to := min(int(last/pack.WindowLen)+1, len(c.maxima))
	if m := pack.MaxByte(c.maxima[from:max(from, to)]); m > 0 {
		return worth(c.weight, m)
	}
	return 0
}

func (c *expanded) mark(w *window, out *pack.Bitmap) {
	for i, m := range c.impacts[w.base:w.end] {
		if m != 0 {
			out.Set(uint32(i))
		}
	}
}

func (c *expanded) keep(w *window, out *pack.Bitmap) { keepEach(c, w, out) }

func (c *expanded) cost() int { return c.count }
