package index

import "math"

// norms holds what impacts need of each document: where its parts begin and what an occurrence in each is worth.
type norms struct {
	k1    float64
	start [NumParts][]uint32  // first position of each part in FieldAll; that of the title is 0
	value [NumParts][]float32 // weight over length normalisation
	own   [NumFields][]float32
}

// init computes the norms of all documents. Products are rounded before they are added (no fused multiply-add), so that
// every machine gets the same impacts.
func (n *norms) init(s *Scoring, averages *Lengths, c *columnWriter) {
	n.k1 = s.K1
	docs := len(c.flags)
	for p := range NumParts {
		n.value[p] = make([]float32, docs)
		n.start[p] = make([]uint32, docs)
		avg := averages.average(p)
		for d, l := range c.length[p] {
			if p > 0 {
				n.start[p][d] = n.start[p-1][d] + c.length[p-1][d] + partGap
			}
			n.value[p][d] = float32(s.Weight[p] / lengthNorm(s.B[p], l, avg))
		}
	}
	for f, p := range map[Field]Part{FieldTitle: PartTitle, FieldURL: PartURL} {
		n.own[f] = make([]float32, docs)
		avg := averages.average(p)
		for d, l := range c.length[p] {
			n.own[f][d] = float32(1 / lengthNorm(s.B[p], l, avg))
		}
	}
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

// impact returns the quantised impact of a posting, 1 to 255.
func (n *norms) impact(f Field, doc uint32, positions []uint32) byte {
	var x float64
	if f != FieldAll {
		x = float64(len(positions)) * float64(n.own[f][doc])
	} else if body := n.start[PartBody][doc]; positions[0] >= body {
		x = float64(len(positions)) * float64(n.value[PartBody][doc])
	} else {
		p := PartTitle
		for i := 0; i < len(positions); {
			for p < PartBody && positions[i] >= n.start[p+1][doc] {
				p++
			}
			end := len(positions)
			if p < PartBody {
				next := n.start[p+1][doc]
				for end = i + 1; end < len(positions) && positions[end] < next; end++ {
				}
			}
			x += float64(float64(end-i) * float64(n.value[p][doc]))
			i = end
		}
	}
	q := x / (x + n.k1) * 255
	return byte(max(1, min(255, int(q+0.5))))
}
