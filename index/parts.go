package index

// PartCount says how often something occurs in one part of a document.
type PartCount struct {
	Part    Part
	Count   int
	Length  uint32  // positions the part takes in this document
	Average float64 // and in the documents whose lengths the impacts were computed with
}

// PartCounts says where positions of a posting of the document in a list of the field lie, part by part, those without any left out: what
// ExactOf computes with. Positions are in order; doc must be below Docs.
func (s *Segment) PartCounts(f Field, doc DocID, positions []uint32) []PartCount {
	count := func(p Part, n int) PartCount {
		return PartCount{Part: p, Count: n, Length: s.cols.length(p, int(doc)), Average: s.weigher.average[p]}
	}
	switch {
	case len(positions) == 0:
		return nil
	case f == FieldTitle:
		return []PartCount{count(PartTitle, len(positions))}
	case f == FieldURL:
		return []PartCount{count(PartURL, len(positions))}
	}
	var out []PartCount
	var end uint32
	i := 0
	for p := range NumParts {
		end += s.cols.length(p, int(doc)) + partGap
		from := i
		for i < len(positions) && (positions[i] < end || p == PartBody) {
			i++
		}
		if i > from {
			out = append(out, count(p, i-from))
		}
	}
	return out
}
