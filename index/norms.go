package index

import "math"

// How an impact becomes a byte. A posting's score is idf·(ImpactOffset + c)/ImpactLevels, where c is its code. The
// codes are not spent on impacts below ImpactOffset/ImpactLevels = 1/9, which decide no results: the finer steps above lift the
// overlap of the top 10 with exact BM25 from 0.9886 to 0.9918 (63,484 articles, 597 queries).
const (
	ImpactOffset = 32
	ImpactLevels = 287 // ImpactOffset + 255: a code of 255 is an impact of 1
)

// quantise returns the code of an impact between 0 and 1: 1 to 255.
func quantise(impact float64) byte {
	return byte(max(1, min(255, int(impact*ImpactLevels+0.5)-ImpactOffset)))
}

// weigher computes impacts. Every product is rounded before it is added (no fused multiply-add), so that all machines get the
// same codes; and every step is monotone, so that fewer occurrences never weigh more.
type weigher struct {
	k1, boost float64
	scoring   Scoring
	average   [NumParts]float64 // length of each part
}

// docNorms is what impacts need of one document.
type docNorms struct {
	start    [NumParts]uint32  // first position of each part in FieldAll; that of the title is 0
	value    [NumParts]float32 // weight over length normalisation
	ownTitle float32           // one over length normalisation
	ownURL   float32
}

func newWeigher(s *Scoring, averages *Lengths) weigher {
	w := weigher{k1: s.K1, boost: s.TitleBoost, scoring: *s}
	for p := range NumParts {
		w.average[p] = averages.average(p)
	}
	return w
}

// norms fills in n for a document whose parts have these lengths.
func (w *weigher) norms(n *docNorms, length *[NumParts]uint32) {
	var start uint32
	for p := range NumParts {
		norm := lengthNorm(w.scoring.B[p], length[p], w.average[p])
		n.start[p], n.value[p] = start, w.value(p, length[p])
		start += length[p] + partGap
		switch p {
		case PartTitle:
			n.ownTitle = float32(1 / norm)
		case PartURL:
			n.ownURL = float32(1 / norm)
		}
	}
}

// value returns what an occurrence in a part of this length is worth.
func (w *weigher) value(p Part, length uint32) float32 {
	return float32(w.scoring.Weight[p] / lengthNorm(w.scoring.B[p], length, w.average[p]))
}

func lengthNorm(b float64, length uint32, avg float64) float64 {
	if avg == 0 {
		return 1
	}
	scaled := float64(b * (float64(length) / avg))
	if norm := float64(1-b) + scaled; norm > 0 {
		return norm
	}
	return math.SmallestNonzeroFloat32 // b = 1 and an empty part: it has no occurrences to be weighed
}

// saturate is x/(x+k1), in a form that rounding keeps monotone.
func (w *weigher) saturate(x float64) float64 { return 1 - w.k1/(x+w.k1) }

// impact returns the impact of a posting with these positions, of which there is at least one, between 0 and 1.
func (w *weigher) impact(f Field, n *docNorms, positions []uint32) float64 {
	switch f {
	case FieldTitle:
		return w.saturate(float64(len(positions)) * float64(n.ownTitle))
	case FieldURL:
		return w.saturate(float64(len(positions)) * float64(n.ownURL))
	}
	if positions[0] >= n.start[PartBody] {
		return w.inBody(len(positions), n.value[PartBody])
	}
	var x, y float64
	p := PartTitle
	for i := 0; i < len(positions); {
		for p < PartBody && positions[i] >= n.start[p+1] {
			p++
		}
		end := len(positions)
		if p < PartBody {
			next := n.start[p+1]
			for end = i + 1; end < len(positions) && positions[end] < next; end++ {
			}
		}
		x += float64(float64(end-i) * float64(n.value[p]))
		if p == PartTitle {
			y = float64(end-i) * float64(n.ownTitle)
		}
		i = end
	}
	return (w.saturate(x) + float64(w.boost*w.saturate(y))) / (1 + w.boost)
}

// inBody returns the impact of a posting with so many positions, all of them in a body whose occurrences have this value.
func (w *weigher) inBody(positions int, value float32) float64 {
	return w.saturate(float64(positions)*float64(value)) / (1 + w.boost)
}

// norms are those of all documents being written. Most postings lie in bodies alone: what these need is at hand, eight bytes a document, as
// lists reach for the documents here and there; the rest is computed from the lengths when a posting asks for it.
type norms struct {
	weigher
	bodies []bodyNorm
	length *[NumParts][]uint32
}

// bodyNorm is what impacts need of the body of one document.
type bodyNorm struct {
	start uint32
	value float32
}

func (n *norms) init(s *Scoring, averages *Lengths, c *columnWriter) {
	n.weigher = newWeigher(s, averages)
	n.bodies, n.length = make([]bodyNorm, len(c.flags)), &c.length
	for d := range n.bodies {
		var start uint32
		for p := range PartBody {
			start += c.length[p][d] + partGap
		}
		n.bodies[d] = bodyNorm{start, n.value(PartBody, c.length[PartBody][d])}
	}
}

// code returns the quantised impact of a posting.
func (n *norms) code(f Field, doc uint32, positions []uint32) byte {
	if b := &n.bodies[doc]; f == FieldAll && positions[0] >= b.start {
		return quantise(n.inBody(len(positions), b.value))
	}
	var length [NumParts]uint32
	for p := range length {
		length[p] = n.length[p][doc]
	}
	var all docNorms
	n.weigher.norms(&all, &length)
	return quantise(n.impact(f, &all, positions))
}

// ImpactOf returns the code that a posting of the document with these positions, in order, would have in a list of the
// field: what a phrase is worth when it is scored as a word that stands at these positions. It is never more than the code of a word
// that stands at all of them, and 0 without positions. It allocates nothing; doc must be below Docs.
func (s *Segment) ImpactOf(f Field, doc DocID, positions []uint32) byte {
	if len(positions) == 0 {
		return 0
	}
	return quantise(s.ExactOf(f, doc, positions))
}

// ExactOf is ImpactOf before it is rounded to a code, between 0 and 1: the score without the inverse document frequency.
func (s *Segment) ExactOf(f Field, doc DocID, positions []uint32) float64 {
	if len(positions) == 0 {
		return 0
	}
	var n docNorms
	var length [NumParts]uint32
	for p := range length {
		length[p] = s.cols.length(Part(p), int(doc))
		n.start[PartBody] += length[p] + partGap
	}
	n.start[PartBody] -= length[PartBody] + partGap
	if f == FieldAll && positions[0] >= n.start[PartBody] { // as most are: the other parts do not matter
		n.value[PartBody] = s.weigher.value(PartBody, length[PartBody])
	} else {
		s.weigher.norms(&n, &length)
	}
	return s.weigher.impact(f, &n, positions)
}
