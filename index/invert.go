package index

// inverter turns the token logs of documents into posting lists, in order of words. It counts first, so that every list
// has its place, then fills the lists of as many words at a time as its memory allows, walking the logs once for each batch of
// words: a counting sort. Documents are walked in their new order, so that lists need no sorting.
type inverter struct {
	docs     []builderDoc
	renumber [][]uint32 // by source of a document: its numbers to those of the table, nil: the same
	order    []uint32   // documents in their new order
	words    []uint32   // numbers in order of words

	counts []listCount // by number
	lists  []openList  // by number

	positions []uint32
	postings  []openPosting
}

// listCount is the size of a list: of 32 bits each, as no builder holds more words.
type listCount struct{ positions, postings uint32 }

// openList is where a list goes on while it is filled.
type openList struct {
	position uint32 // into positions; closedList: not in this batch
	posting  uint32 // into postings
	doc      uint32 // last document + 1
}

const closedList = ^uint32(0)

// openPosting is one posting; its positions end where those of the next begin.
type openPosting struct{ doc, from uint32 }

const (
	// minInvertBytes is what positions and postings of a batch may take at least.
	minInvertBytes = 16 << 20
	// maxInvertBytes keeps a batch within 32-bit offsets.
	maxInvertBytes = 4 << 30
	termStateBytes = 24 // of counts, lists and words
)

// span returns the positions of a document that a field has, in the position space of FieldAll.
func (m *docMeta) span(f Field) (from, to uint32) {
	switch f {
	case FieldTitle:
		return 0, m.length[PartTitle]
	case FieldURL:
		for p := range PartURL {
			from += m.length[p] + partGap
		}
		return from, from + m.length[PartURL]
	}
	return 0, closedList
}

// field calls emit with every list of a field that is not empty, in order of words: its word and its postings, whose
// positions are from their from to the next one's, and those of the last up to end.
func (v *inverter) field(f Field, memory int64, emit func(number uint32, postings []openPosting, end uint32) error) error {
	v.count(f)
	for rest := v.words; len(rest) > 0; {
		batch := v.open(rest, memory)
		rest = rest[len(batch):]
		v.fill(f)
		var posting, end uint32
		for _, n := range batch {
			c := v.counts[n]
			v.lists[n].position = closedList
			if c.postings == 0 {
				continue
			}
			end += c.positions
			if err := emit(n, v.postings[posting:posting+c.postings], end); err != nil {
				return err
			}
			posting += c.postings
		}
	}
	return nil
}

// count sizes the lists of a field.
func (v *inverter) count(f Field) {
	if v.counts == nil {
		v.counts, v.lists = make([]listCount, len(v.words)+1), make([]openList, len(v.words)+1)
	}
	clear(v.counts)
	for i := range v.lists {
		v.lists[i] = openList{position: closedList}
	}
	for id, i := range v.order {
		d := &v.docs[i]
		doc, renumber := uint32(id)+1, v.renumber[d.source]
		from, to := d.span(f)
		for at, log := uint32(0), d.tokens; len(log) > 0 && at < to; at++ {
			n := uint32(log[0])
			if n == tokenSkip {
				at += uint32(log[1])<<16 + uint32(log[2]) - 1
				log = log[3:]
				continue
			}
			log = log[1:]
			if n >= tokenWide {
				n = (n-tokenWide)<<16 + uint32(log[0])
				log = log[1:]
			}
			if at < from {
				continue
			}
			if renumber != nil {
				n = renumber[n]
			}
			c := &v.counts[n]
			c.positions++
			if l := &v.lists[n]; l.doc != doc {
				l.doc = doc
				c.postings++
			}
		}
	}
}

// open takes as many of the next words as fit the memory and gives their lists places.
func (v *inverter) open(words []uint32, memory int64) []uint32 {
	var position, posting uint32
	limit := uint64(min(max(memory, minInvertBytes), maxInvertBytes))
	taken := 0
	for _, n := range words {
		c := v.counts[n]
		if taken > 0 && 4*(uint64(position)+uint64(c.positions))+8*(uint64(posting)+uint64(c.postings)) > limit {
			break
		}
		if c.postings > 0 {
			v.lists[n] = openList{position: position, posting: posting}
		}
		position += c.positions
		posting += c.postings
		taken++
	}
	if uint32(cap(v.positions)) < position {
		v.positions = make([]uint32, position)
	}
	if uint32(cap(v.postings)) < posting {
		v.postings = make([]openPosting, posting)
	}
	v.positions, v.postings = v.positions[:position], v.postings[:posting]
	return words[:taken]
}

// fill walks all logs and puts what belongs to open lists into them. Positions count from the beginning of the field.
func (v *inverter) fill(f Field) {
	for id, i := range v.order {
		d := &v.docs[i]
		doc, renumber := uint32(id), v.renumber[d.source]
		from, to := d.span(f)
		for at, log := uint32(0), d.tokens; len(log) > 0 && at < to; at++ {
			n := uint32(log[0])
			if n == tokenSkip {
				at += uint32(log[1])<<16 + uint32(log[2]) - 1
				log = log[3:]
				continue
			}
			log = log[1:]
			if n >= tokenWide {
				n = (n-tokenWide)<<16 + uint32(log[0])
				log = log[1:]
			}
			if at < from {
				continue
			}
			if renumber != nil {
				n = renumber[n]
			}
			l := &v.lists[n]
			if l.position == closedList {
				continue
			}
			if l.doc != doc+1 {
				l.doc = doc + 1
				v.postings[l.posting] = openPosting{doc, l.position}
				l.posting++
			}
			v.positions[l.position] = at - from
			l.position++
		}
	}
}
