package search

import (
	"slices"

	"concord/index"
)

// sloppy finds the places where the words of a phrase stand nearly side by side, as query.Phrase defines it: positions p[i] of words
// i, no two the same, such that the largest of p[i]-i is at most slop above the smallest. Counted are matches that share no position:
// the one whose smallest p[i]-i comes first is taken, and so on with what is left.
type sloppy struct {
	places []place
	begins []uint32
	stack  []uint32        // positions of the match being tried
	taken  map[uint32]bool // positions of matches found
}

// place is an occurrence of a word of the phrase: its position, and where the phrase would begin if it stood as in the query.
type place struct {
	shifted int64
	at      uint32
	word    int
}

// occurrences returns a position of each match in a document that has all words, in order.
func (s *sloppy) occurrences(c *phrase, doc index.DocID) []uint32 {
	s.places = s.places[:0]
	for i, w := range c.words {
		for _, p := range w.positions(doc) {
			s.places = append(s.places, place{int64(p) - int64(i), p, i})
		}
	}
	slices.SortFunc(s.places, func(a, b place) int {
		if a.shifted != b.shifted {
			return int(a.shifted - b.shifted)
		}
		return a.word - b.word
	})
	s.begins = s.begins[:0]
	if s.taken == nil {
		s.taken = map[uint32]bool{}
	}
	clear(s.taken)
	for from, to := 0, 0; from < len(s.places); from++ {
		for to < len(s.places) && s.places[to].shifted-s.places[from].shifted <= int64(c.slop) {
			to++
		}
		if s.assign(c, s.places[from:to]) {
			s.begins = append(s.begins, s.places[from].at)
			for _, at := range s.stack {
				s.taken[at] = true
			}
		}
	}
	slices.Sort(s.begins)
	return s.begins
}

// maxAssign bounds the search for distinct positions: phrases that repeat one word many times in a wide window have exponentially many
// arrangements.
const maxAssign = 10_000

// assign reports whether each word can have a position of its own among the places of a window, the first place being used.
func (s *sloppy) assign(c *phrase, window []place) bool {
	if s.taken[window[0].at] {
		return false
	}
	for i := range c.words {
		if !slices.ContainsFunc(window, func(p place) bool { return p.word == i && !s.taken[p.at] }) {
			return false
		}
	}
	s.stack = append(s.stack[:0], window[0].at)
	work := 0
	var try func(word int) bool
	try = func(word int) bool {
		if word == len(c.words) {
			return true
		}
		if work++; work > maxAssign {
			return false
		}
		if word == window[0].word {
			return try(word + 1)
		}
		for _, p := range window {
			if p.word == word && !s.taken[p.at] && !slices.Contains(s.stack, p.at) {
				s.stack = append(s.stack, p.at)
				if try(word + 1) {
					return true
				}
				s.stack = s.stack[:len(s.stack)-1]
			}
		}
		return false
	}
	return try(0)
}
