package index

import (
	"bytes"
	"fmt"
)

// terms merges the posting lists of a field.
func (m *merger) terms(f Field) error {
	if err := m.w.beginField(f); err != nil {
		return err
	}
	merge := m.mergeLists
	if !m.sorted {
		merge = m.gatherLists
	}
	if err := m.words(f, func(word []byte, lists []*mergeInput) error {
		for _, in := range lists {
			if err := in.openPostings(); err != nil {
				return err
			}
		}
		m.w.beginTerm()
		if err := merge(lists); err != nil {
			return err
		}
		return m.w.endTerm(word)
	}); err != nil {
		return err
	}
	return m.w.endField()
}

// words calls do with each word of a field, in order, and the inputs that have it, whose terms are set.
func (m *merger) words(f Field, do func(word []byte, lists []*mergeInput) error) error {
	for _, in := range m.inputs {
		if err := in.firstWord(f); err != nil {
			return err
		}
	}
	var word []byte
	var lists []*mergeInput
	for {
		lists = lists[:0]
		for _, in := range m.inputs {
			if in.word == nil {
				continue
			}
			c := -1
			if len(lists) > 0 {
				c = bytes.Compare(in.word, lists[0].word)
			}
			if c < 0 {
				lists = lists[:0]
			}
			if c <= 0 {
				lists = append(lists, in)
			}
		}
		if len(lists) == 0 {
			return nil
		}
		word = append(word[:0], lists[0].word...)
		if err := do(word, lists); err != nil {
			return err
		}
		for _, in := range lists {
			if err := in.nextWord(f); err != nil {
				return err
			}
		}
	}
}

// mergeLists merges lists that keep their order, each standing on its first live posting.
func (m *merger) mergeLists(lists []*mergeInput) error {
	for {
		if err := m.tick(); err != nil {
			return err
		}
		var best *mergeInput
		id := gone
		for _, in := range lists {
			if d := in.postings.Doc(); d != NoDoc && in.newID[d] < id {
				best, id = in, in.newID[d]
			}
		}
		if best == nil {
			return nil
		}
		m.positions = best.postings.Positions(m.positions[:0])
		if err := best.postings.Err(); err != nil {
			return err
		}
		if err := m.w.addPosting(id, m.positions); err != nil {
			return err
		}
		if err := best.nextPosting(); err != nil {
			return err
		}
	}
}

// firstWord begins the walk through the dictionary of a field.
func (in *mergeInput) firstWord(f Field) (err error) {
	id := secDictAll + sectionID(f)
	defer guard(id, &err)
	in.walk = in.seg.newWalk()
	d, err := in.seg.dict(f)
	if err != nil {
		return err
	}
	in.fst, err = d.Search(in.walk, nil, nil)
	return in.current(f, err)
}

func (in *mergeInput) nextWord(f Field) (err error) {
	id := secDictAll + sectionID(f)
	defer guard(id, &err)
	return in.current(f, in.fst.Next())
}

// current takes the iterator's word and its term.
func (in *mergeInput) current(f Field, err error) error {
	in.word = nil
	if err := in.walk.end(secDictAll+sectionID(f), err); err != nil {
		return err
	}
	if err != nil { // the walk is at its end
		return nil
	}
	var at uint64
	if in.word, at = in.fst.Current(); in.word == nil {
		in.word = []byte{}
	}
	in.term, err = in.seg.termAt(f, at)
	return err
}

// openPostings stands on the first live posting of the current word.
func (in *mergeInput) openPostings() error {
	if err := in.postings.Reset(in.seg, in.term); err != nil {
		return err
	}
	return in.nextPosting()
}

// nextPosting goes to the next live posting.
func (in *mergeInput) nextPosting() error {
	for d := in.postings.Next(); d != NoDoc; d = in.postings.Next() {
		if in.newID[d] != gone {
			return nil
		}
	}
	if err := in.postings.Err(); err != nil {
		return fmt.Errorf("merge postings: %w", err)
	}
	return nil
}
