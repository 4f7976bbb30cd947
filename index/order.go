package index

import (
	"math/bits"

	"concord"
	"concord/pack"
)

// A segment has two orders. Documents are *numbered* so that those with the same words are near each other when Merge was told to reorder
// them, and by site and URL otherwise. Their *ranks* are always by site and URL: ties between equal scores are broken by rank, the document store and the
// URLs lie in that order, and merges walk it.

// docWidth is the number of bits that number or rank of one of n documents takes.
func docWidth(n int) int { return bits.Len(uint(max(n, 1) - 1)) }

// Ordered reports whether documents are numbered by site and URL: then a document's rank is its number.
func (s *Segment) Ordered() bool { return len(s.sections[secRanks].data) == 0 }

// Rank returns the place of a document, which must be below Docs, among those of the segment in order of site and URL.
func (s *Segment) Rank(doc DocID) uint32 {
	b := s.sections[secRanks].data
	if len(b) == 0 {
		return uint32(doc)
	}
	return pack.At(b, s.rankWidth, int(doc))
}

// rank is Rank for reading where it leads: never out of range.
func (s *Segment) rank(doc DocID) (int, error) {
	r := int(s.Rank(doc))
	if r >= s.Docs() {
		return 0, concord.Errorf(concord.Corrupt, "section %q: rank %d of document %d is out of range", secRanks, r, doc)
	}
	return r, nil
}

// byRank returns the documents in order of rank; nil: their numbers are their ranks.
func (s *Segment) byRank() ([]uint32, error) {
	if s.Ordered() {
		return nil, nil
	}
	docs := make([]uint32, s.Docs())
	for r := range docs {
		docs[r] = gone
	}
	for d := range DocID(s.Docs()) {
		r, err := s.rank(d)
		if err != nil {
			return nil, err
		}
		if docs[r] != gone {
			return nil, concord.Errorf(concord.Corrupt, "section %q: documents %d and %d have the same rank", secRanks, docs[r], d)
		}
		docs[r] = uint32(d)
	}
	return docs, nil
}

// Number returns the document with a rank, the inverse of Rank. Where documents were reordered the first call makes a table of 4 bytes
// a document. Errors: Corrupt.
func (s *Segment) Number(rank uint32) (DocID, error) {
	if s.Ordered() {
		return DocID(rank), nil
	}
	s.numbersOnce.Do(func() { s.numbers, s.numbersErr = s.byRank() })
	if s.numbersErr != nil {
		return 0, s.numbersErr
	}
	if int(rank) >= len(s.numbers) {
		return 0, concord.Errorf(concord.Corrupt, "section %q: rank %d is out of range", secRanks, rank)
	}
	return DocID(s.numbers[rank]), nil
}

// appendRanks encodes where each rank went: place has the number of each document by rank.
func appendRanks(place []uint32) []byte {
	ranks := make([]uint32, len(place))
	for r, d := range place {
		ranks[d] = uint32(r)
	}
	return pack.Append(nil, ranks, docWidth(len(ranks)))
}
