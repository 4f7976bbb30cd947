package index

import (
	"errors"
	"fmt"
	"sync"

	"github.com/blevesearch/vellum"
	"github.com/blevesearch/vellum/levenshtein"

	"concord"
	"concord/text"
)

// guard turns a panic of the dictionary library, which trusts its bytes, into an error. The bytes were checked against
// their checksum, so this happens only for a file that was made to harm.
func guard(id sectionID, err *error) {
	if r := recover(); r != nil {
		*err = concord.Errorf(concord.Corrupt, "section %q: malformed automaton: %v", id, r)
	}
}

func loadDict(s *section) (d *vellum.FST, err error) {
	defer guard(s.id, &err)
	d, err = vellum.Load(s.data)
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "section %q: %w", s.id, err)
	}
	return d, nil
}

// lazyDict is the dictionary of a field, read when it is first used: checking the words of a large segment takes longer than opening the
// rest of it.
type lazyDict struct {
	once    sync.Once
	fst     *vellum.FST
	err     error
	readers sync.Pool // *vellum.Reader: they look words up without allocating
}

// get looks a word up.
func (d *lazyDict) get(word string) (at uint64, found bool, err error) {
	r, _ := d.readers.Get().(*vellum.Reader)
	if r == nil {
		if r, err = d.fst.Reader(); err != nil {
			return 0, false, err
		}
	}
	at, found, err = r.Get([]byte(word))
	d.readers.Put(r)
	return at, found, err
}

// dict returns the dictionary of a field. Errors: Corrupt, every time.
func (f *file) dict(field Field) (*vellum.FST, error) {
	d := &f.dicts[field]
	d.once.Do(func() {
		s := f.sections[secDictAll+sectionID(field)]
		if s.checked != nil {
			if d.err = s.verify(); d.err != nil {
				return
			}
		}
		d.fst, d.err = loadDict(s)
	})
	return d.fst, d.err
}

// Term is a dictionary entry: where a word's postings are and how many documents have it.
type Term struct {
	DocCount  uint32 // documents, deleted ones included
	MaxImpact byte   // upper bound of the impacts
	field     Field
	offset    uint64
}

// Term looks a word up. Errors: Corrupt.
func (s *Segment) Term(f Field, word string) (t Term, found bool, err error) {
	id := secDictAll + sectionID(f)
	defer guard(id, &err)
	if _, err := s.dict(f); err != nil {
		return Term{}, false, err
	}
	at, ok, err := s.dicts[f].get(word)
	if err != nil {
		return Term{}, false, concord.Errorf(concord.Corrupt, "section %q: %w", id, err)
	}
	if !ok {
		return Term{}, false, nil
	}
	t, err = s.termAt(f, at)
	return t, err == nil, err
}

// Words calls yield with the words of a field that begin with prefix, in order, until it returns false. The word is valid
// during the call only. Errors: Corrupt.
func (s *Segment) Words(f Field, prefix string, yield func(word []byte, t Term) bool) (err error) {
	id := secDictAll + sectionID(f)
	defer guard(id, &err)
	w := s.newWalk()
	d, err := s.dict(f)
	if err != nil {
		return err
	}
	it, err := d.Search(w, []byte(prefix), prefixEnd(prefix))
	return s.walk(f, w, it, err, yield)
}

// prefixEnd returns the first string after all that begin with prefix, nil when there is none.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func (s *Segment) walk(f Field, w *walk, it *vellum.FSTIterator, err error, yield func([]byte, Term) bool) error {
	for ; err == nil; err = it.Next() {
		word, at := it.Current()
		t, err := s.termAt(f, at)
		if err != nil {
			return err
		}
		if !yield(word, t) {
			return nil
		}
	}
	return w.end(secDictAll+sectionID(f), err)
}

// walk is an automaton that matches every word and bounds the way through a dictionary: one that was made to harm may have
// cycles, or more paths than words. Its states are depths.
type walk struct {
	left int  // steps that may still be made
	deep bool // a path was longer than any word
}

// newWalk returns a walk with as many steps as all words of the segment can take.
func (s *Segment) newWalk() *walk { return &walk{left: (s.meta.Terms + 1) * text.MaxTermBytes} }

// Start, IsMatch, CanMatch, WillAlwaysMatch and Accept make a vellum.Automaton of it.
func (w *walk) Start() int { return 0 }

func (w *walk) IsMatch(int) bool { return true }

func (w *walk) CanMatch(depth int) bool {
	w.deep = w.deep || depth > text.MaxTermBytes
	return w.left > 0 && !w.deep
}

func (w *walk) WillAlwaysMatch(int) bool { return false }

func (w *walk) Accept(depth int, _ byte) int {
	w.left--
	return depth + 1
}

// end says whether what ended the walk is an error.
func (w *walk) end(id sectionID, err error) error {
	switch {
	case w.left <= 0 || w.deep:
		return concord.Errorf(concord.Corrupt, "section %q: the automaton has paths that are no words", id)
	case err == nil || errors.Is(err, vellum.ErrIteratorDone):
		return nil
	}
	return concord.Errorf(concord.Corrupt, "section %q: %w", id, err)
}

// fuzzyWalk is a walk through the words that an automaton of limited depth matches.
type fuzzyWalk struct {
	walk
	dfa *levenshtein.DFA
}

// Start, IsMatch, CanMatch and Accept make a vellum.Automaton of it.
func (w *fuzzyWalk) Start() int { return w.dfa.Start() }

func (w *fuzzyWalk) IsMatch(state int) bool { return w.dfa.IsMatch(state) }

func (w *fuzzyWalk) CanMatch(state int) bool { return w.left > 0 && w.dfa.CanMatch(state) }

func (w *fuzzyWalk) Accept(state int, b byte) int {
	w.left--
	return w.dfa.Accept(state, b)
}

// MaxFuzzyDistance and MaxFuzzyWord bound Fuzzy: the automaton grows with both.
const (
	MaxFuzzyDistance = 2
	MaxFuzzyWord     = 32 // bytes
)

// Fuzzy matches words within an edit distance of one word; insertion, deletion, substitution and transposition of
// neighbours count one each. It is made once and used on many segments.
type Fuzzy struct {
	dfa  *levenshtein.DFA
	word string
}

// automata has the tables that automata of any word are made with, by distance less one. They are constants that take
// milliseconds to compute, so the first use computes them.
var automata = [MaxFuzzyDistance]func() (*levenshtein.LevenshteinAutomatonBuilder, error){
	sync.OnceValues(func() (*levenshtein.LevenshteinAutomatonBuilder, error) {
		return levenshtein.NewLevenshteinAutomatonBuilder(1, true)
	}),
	sync.OnceValues(func() (*levenshtein.LevenshteinAutomatonBuilder, error) {
		return levenshtein.NewLevenshteinAutomatonBuilder(2, true)
	}),
}

// NewFuzzy prepares the automaton of a word. Errors: Invalid for a distance or word beyond the bounds.
func NewFuzzy(word string, distance int) (*Fuzzy, error) {
	if distance < 1 || distance > MaxFuzzyDistance || word == "" || len(word) > MaxFuzzyWord {
		return nil, concord.Errorf(concord.Invalid, "fuzzy search for %q at distance %d: want at most %d bytes and a distance of 1 to %d",
			concord.Clip(word, 40), distance, MaxFuzzyWord, MaxFuzzyDistance)
	}
	b, err := automata[distance-1]()
	if err != nil {
		return nil, fmt.Errorf("fuzzy search: %w", err)
	}
	dfa, err := b.BuildDfa(word, uint8(distance))
	if err != nil {
		return nil, fmt.Errorf("fuzzy search for %q: %w", word, err)
	}
	return &Fuzzy{dfa: dfa, word: word}, nil
}

// Distance returns the edit distance of a word, and whether it is within the bound.
func (f *Fuzzy) Distance(word string) (int, bool) {
	ok, d := f.dfa.MatchAndDistance(word)
	return int(d), ok
}

// Fuzzy calls yield with the words of a field that f matches, in order, until it returns false. The word is valid during
// the call only. Errors: Corrupt.
func (s *Segment) Fuzzy(field Field, f *Fuzzy, yield func(word []byte, t Term) bool) (err error) {
	id := secDictAll + sectionID(field)
	defer guard(id, &err)
	w := &fuzzyWalk{*s.newWalk(), f.dfa}
	d, err := s.dict(field)
	if err != nil {
		return err
	}
	it, err := d.Search(w, nil, nil)
	return s.walk(field, &w.walk, it, err, yield)
}
